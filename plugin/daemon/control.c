/* SPDX-License-Identifier: BSD-3-Clause */
#include "control.h"

#include <errno.h>
#include <glib-unix.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "say.h"

#define MOST_LINE 128
#define MOST_WAITING (1u << 20)
#define MOST_WINDOWS (1u << 18) /* bytes of their text */
#define MOST_ASKS 64

static const char *const kinds[] = {
    [VWL_KIND_CLIPBOARD] = "clipboard",
    [VWL_KIND_PRIMARY] = "primary",
    [VWL_KIND_DRAG] = "drag",
};

static const char *const ways[] = {
    [VWL_TRANSFER_BOTH] = "both",
    [VWL_TRANSFER_TO_GUEST] = "to-guest",
    [VWL_TRANSFER_FROM_GUEST] = "from-guest",
    [VWL_TRANSFER_OFF] = "off",
    [VWL_TRANSFER_ASK] = "ask",
};

struct ask {
    struct vwl_control *control;
    unsigned int number, watch;
    int fd; /* the device waits at its other end */
};

static void ask_free(gpointer data)
{
    struct ask *ask = data;

    g_clear_handle_id(&ask->watch, g_source_remove);
    close(ask->fd);
    g_free(ask);
}

/* ---- what goes out ------------------------------------------------------ */

static void hang_up(struct vwl_control *control)
{
    g_clear_handle_id(&control->reads, g_source_remove);
    g_clear_handle_id(&control->writes, g_source_remove);
    if (control->fd >= 0) {
        close(control->fd);
        control->fd = -1;
    }
    g_byte_array_set_size(control->in, 0);
    g_byte_array_set_size(control->out, 0);
    g_ptr_array_set_size(control->asks, 0);
}

/* False: it is over. */
static bool flush(struct vwl_control *control)
{
    ssize_t n = 0;

    while (control->out->len > 0 &&
           (n = send(control->fd, control->out->data, control->out->len,
                     MSG_NOSIGNAL | MSG_DONTWAIT)) > 0) {
        g_byte_array_remove_range(control->out, 0, (guint)n);
    }
    return n >= 0 || errno == EAGAIN || errno == EINTR;
}

static gboolean on_writable(gint fd, GIOCondition condition, gpointer data)
{
    struct vwl_control *control = data;

    if (flush(control) && control->out->len > 0) {
        return G_SOURCE_CONTINUE;
    }
    control->writes = 0;
    if (control->out->len > 0) {
        hang_up(control);
    }
    return G_SOURCE_REMOVE;
}

/* Sent by the main loop: whoever calls may be in the middle of a line. */
static void put(struct vwl_control *control, const char *text)
{
    if (control->fd < 0) {
        return;
    }
    g_byte_array_append(control->out, (const guint8 *)text,
                        (guint)strlen(text));
    if (!control->writes) {
        control->writes = g_unix_fd_add(control->fd, G_IO_OUT, on_writable,
                                        control);
    }
}

static void say(struct vwl_control *control, const char *format, ...)
    G_GNUC_PRINTF(2, 3);

static void say(struct vwl_control *control, const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    put(control, text);
    g_free(text);
}

/* ---- look --------------------------------------------------------------- */

static void say_figures(struct vwl_control *control)
{
    struct vwl_stats stats = { .size = sizeof stats };

    control->plugin->device_stats(control->device, &stats);
    say(control,
        "figures connections=%" PRIu64 " shared-bytes=%" PRIu64
        " sent-bytes=%" PRIu64 " received-bytes=%" PRIu64 " requests=%" PRIu64
        " refused=%" PRIu64 " buffers=%" PRIu64 "\n",
        stats.contexts, stats.shm_bytes, stats.sent_bytes, stats.received_bytes,
        stats.requests, stats.refused, stats.dmabufs);
}

static void say_windows(struct vwl_control *control)
{
    char *text = g_malloc(MOST_WINDOWS), **lines;
    int n = control->plugin->device_windows(control->device, text,
                                            MOST_WINDOWS);

    if (n > 0) {
        lines = g_strsplit(text, "\n", -1);
        /* behind the last end of a line stands nothing, or what was cut */
        for (size_t i = 0; lines[i] && lines[i + 1]; i++) {
            say(control, "window %s\n", lines[i]);
        }
        g_strfreev(lines);
    }
    g_free(text);
}

/* ---- what comes in ------------------------------------------------------ */

static bool find(const char *const *words, size_t n, const char *word,
                 uint32_t *at)
{
    for (*at = 0; *at < n; (*at)++) {
        if (strcmp(words[*at], word) == 0) {
            return true;
        }
    }
    return false;
}

static bool set_transfer(struct vwl_control *control, uint32_t kind,
                         const char *word)
{
    uint32_t way;

    if (!find(ways, G_N_ELEMENTS(ways), word, &way)) {
        return false;
    }
    for (size_t i = 0; i < control->n_sockets; i++) {
        control->plugin->device_set_transfer(control->device, i, kind, way);
    }
    return true;
}

static bool answer(struct vwl_control *control, const char *number,
                   const char *word)
{
    bool yes = strcmp(word, "yes") == 0;
    guint64 wanted;
    int32_t status = yes ? 0 : -EPERM;

    if (!g_ascii_string_to_unsigned(number, 10, 0, G_MAXUINT, &wanted, NULL) ||
        (!yes && strcmp(word, "no") != 0)) {
        return false;
    }
    for (guint i = 0; i < control->asks->len; i++) {
        const struct ask *ask = control->asks->pdata[i];

        if (ask->number == wanted) {
            (void)!send(ask->fd, &status, sizeof status,
                        MSG_NOSIGNAL | MSG_DONTWAIT);
            g_ptr_array_remove_index(control->asks, i);
            break;
        }
    }
    return true; /* it may have come too late */
}

static bool take(struct vwl_control *control, const char *line)
{
    char **words = g_strsplit(line, " ", 4);
    guint n = g_strv_length(words);
    uint32_t kind;
    bool ok = false;

    if (n == 1 && strcmp(words[0], "look") == 0) {
        say_figures(control);
        say_windows(control);
        put(control, "end\n");
        ok = true;
    } else if (n == 2 && find(kinds, G_N_ELEMENTS(kinds), words[0], &kind)) {
        ok = set_transfer(control, kind, words[1]);
    } else if (n == 3 && strcmp(words[0], "answer") == 0) {
        ok = answer(control, words[1], words[2]);
    }
    g_strfreev(words);
    return ok && control->out->len <= MOST_WAITING;
}

/* False: it is over. */
static bool take_lines(struct vwl_control *control)
{
    GByteArray *in = control->in;
    bool ok = true;
    guint8 *end;

    while (ok && in->len > 0 && (end = memchr(in->data, '\n', in->len))) {
        *end = '\0';
        ok = take(control, (const char *)in->data);
        g_byte_array_remove_range(in, 0, (guint)(end - in->data) + 1);
    }
    return ok && in->len <= MOST_LINE;
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer data)
{
    struct vwl_control *control = data;
    guint8 bytes[1024];
    ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);

    if (n > 0) {
        g_byte_array_append(control->in, bytes, (guint)n);
        if (take_lines(control)) {
            return G_SOURCE_CONTINUE;
        }
        vwl_say("--control: whoever is connected does not speak its language, "
                "or does not read, and is hung up on");
    } else if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return G_SOURCE_CONTINUE;
    }
    control->reads = 0;
    hang_up(control);
    return G_SOURCE_REMOVE;
}

static void listen_again(struct vwl_control *control);

static gboolean after_pause(gpointer data)
{
    listen_again(data);
    return G_SOURCE_REMOVE;
}

static gboolean on_connection(gint fd, GIOCondition condition, gpointer data)
{
    struct vwl_control *control = data;
    int connection = vwl_listener_accept(&control->listener);

    if (connection == -EAGAIN) {
        return G_SOURCE_CONTINUE;
    }
    if (connection < 0) {
        vwl_say("--control: cannot accept a connection: %s",
                g_strerror(-connection));
        control->accepts = g_timeout_add(VWL_LISTENER_PAUSE_MS, after_pause,
                                         control);
        return G_SOURCE_REMOVE;
    }
    hang_up(control);
    control->fd = connection;
    control->reads = g_unix_fd_add(connection, G_IO_IN, on_readable, control);
    return G_SOURCE_CONTINUE;
}

static void listen_again(struct vwl_control *control)
{
    control->accepts = g_unix_fd_add(control->listener.fd, G_IO_IN,
                                     on_connection, control);
}

/* ---- questions ---------------------------------------------------------- */

static gboolean on_over(gint fd, GIOCondition condition, gpointer data)
{
    struct ask *ask = data;
    struct vwl_control *control = ask->control;

    ask->watch = 0;
    say(control, "over %u\n", ask->number);
    g_ptr_array_remove(control->asks, ask);
    return G_SOURCE_REMOVE;
}

int vwl_control_ask(struct vwl_control *control, uint32_t kind, uint32_t way,
                    int *fd)
{
    struct ask *ask;
    int sv[2];

    if (control->fd < 0 || control->asks->len >= MOST_ASKS ||
        kind >= G_N_ELEMENTS(kinds) || way >= G_N_ELEMENTS(ways)) {
        return -EPERM;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                   sv) < 0) {
        return -errno;
    }
    ask = g_new(struct ask, 1);
    *ask = (struct ask){ .control = control,
                         .number = ++control->last,
                         .fd = sv[0] };
    ask->watch = g_unix_fd_add(sv[0], G_IO_IN | G_IO_HUP, on_over, ask);
    g_ptr_array_add(control->asks, ask);
    say(control, "ask %u %s %s\n", ask->number, kinds[kind], ways[way]);
    *fd = sv[1];
    return 0;
}

/* ---- life --------------------------------------------------------------- */

void vwl_control_init(struct vwl_control *control)
{
    *control = (struct vwl_control){
        .listener = { .fd = -1, .reserve = -1 },
        .fd = -1,
        .in = g_byte_array_new(),
        .out = g_byte_array_new(),
        .asks = g_ptr_array_new_with_free_func(ask_free),
    };
}

bool vwl_control_open(struct vwl_control *control, const char *path,
                      const struct vwl_plugin *plugin,
                      struct vwl_device *device, size_t n_sockets,
                      GError **error)
{
    const struct vwl_listener_access access = { 0600, (gid_t)-1 };

    if (plugin->size <
        offsetof(struct vwl_plugin, device_windows) + sizeof(void *)) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSYS,
                    "--control: the plugin is older than this daemon (%s); "
                    "install both of one version",
                    plugin->version);
        return false;
    }
    control->plugin = plugin;
    control->device = device;
    control->n_sockets = n_sockets;
    if (!vwl_listener_open(&control->listener, path, &access, error)) {
        return false;
    }
    listen_again(control);
    return true;
}

void vwl_control_close(struct vwl_control *control)
{
    hang_up(control);
    g_clear_handle_id(&control->accepts, g_source_remove);
    vwl_listener_close(&control->listener);
    g_ptr_array_unref(control->asks);
    g_byte_array_unref(control->out);
    g_byte_array_unref(control->in);
}
