/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon as its user and its service manager meet it: options, the
 * listening socket, signals, and front-ends that come and go, one of them
 * killed in the middle of traffic, again and again.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver.h"
#include "frontend.h"
#include "process.h"

#define KILLS 100

struct place {
    char *folder, *socket, *peer;
    char *socket_option, *peer_option;
};

static void place_init(struct place *place)
{
    place->folder = g_dir_make_tmp("vwl-daemon-XXXXXX", NULL);
    place->socket = g_build_filename(place->folder, "vhost", NULL);
    place->peer = g_build_filename(place->folder, "wayland-0", NULL);
    place->socket_option = g_strdup_printf("--socket-path=%s", place->socket);
    place->peer_option = g_strdup_printf("--wayland-sock=%s,policy=none",
                                         place->peer);
}

static void place_finish(struct place *place)
{
    g_unlink(place->peer);
    g_unlink(place->socket);
    g_assert_cmpint(g_rmdir(place->folder), ==, 0);
    g_free(place->folder);
    g_free(place->socket);
    g_free(place->peer);
    g_free(place->socket_option);
    g_free(place->peer_option);
}

/* Runs the daemon to its end; its words on standard error hold `say`. */
static void expect_refusal(const char *say, const char *const *options)
{
    struct process process = { 0 };
    char *text;
    int status;

    process_daemon(&process, true, options);
    text = process_errors(&process);
    status = process_wait(&process);
    g_test_message("%s", text);
    g_assert_cmpint(status, >, 0);
    g_assert_nonnull(strstr(text, say));
    g_free(text);
}

#define REFUSAL(say, ...) \
    expect_refusal(say, (const char *const[]){ __VA_ARGS__, NULL })

static void test_refusals(void)
{
    struct place place;

    place_init(&place);
    REFUSAL("--socket-path", "--wayland-sock=/x");
    REFUSAL("exclude", "--socket-path=/a", "--fd=0", "--wayland-sock=/x");
    REFUSAL("no such descriptor", "--fd=999", "--wayland-sock=/x");
    REFUSAL("not a socket", "--fd=2", "--wayland-sock=/x");
    REFUSAL("PATH[,name=NAME]", place.socket_option, "--wayland-sock=,name=x");
    REFUSAL("PATH[,name=NAME]", place.socket_option, "--wayland-sock=/a,b");
    REFUSAL("a comma within a path is written \\,", place.socket_option,
            "--wayland-sock=/a;/b,c");
    REFUSAL("policy=none", place.socket_option, "--wayland-sock=/a,name=b");
    REFUSAL("nobody to ask", place.socket_option, "--wayland-sock=/a",
            "--clipboard=ask");
    REFUSAL("given before", place.socket_option, "--wayland-sock=/a",
            "--wayland-sock=/b");
    REFUSAL("out of range", place.socket_option, place.peer_option,
            "--max-vfds=-1");
    REFUSAL("out of range", place.socket_option, place.peer_option,
            "--max-vfds=4294967296");
    REFUSAL("not a number", place.socket_option, place.peer_option,
            "--max-shm-bytes=4G");
    REFUSAL("configuration", place.socket_option, place.peer_option,
            "--shm-window=3000");
    REFUSAL("is no option", place.socket_option, place.peer_option, "word");
    REFUSAL("cannot load the plugin", place.socket_option, place.peer_option,
            "--plugin=/nonexistent.so");
    REFUSAL("cannot bind", "--socket-path=/nonexistent/folder/socket",
            place.peer_option);
    /* none of them left a socket behind */
    g_assert_false(g_file_test(place.socket, G_FILE_TEST_EXISTS));
    place_finish(&place);
}

static void expect_output(const char *option, const char *say)
{
    char *argv[] = { (char *)g_getenv("VWL_DAEMON"), (char *)option, NULL };
    char *text = NULL;
    int status;

    g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_DEFAULT, NULL, NULL,
                               &text, NULL, &status, NULL));
    g_assert_cmpint(status, ==, 0);
    g_assert_nonnull(strstr(text, say));
    g_free(text);
}

static void copy_file(const char *from, const char *to)
{
    g_autofree char *bytes = NULL;
    gsize len;

    g_assert_true(g_file_get_contents(from, &bytes, &len, NULL));
    g_assert_true(g_file_set_contents(to, bytes, (gssize)len, NULL));
    g_assert_cmpint(chmod(to, 0700), ==, 0);
}

/* An installed daemon loads the plugin of its own installation, not one that
 * somebody put beside its folder. The planted one would accept any window and
 * serve; the right one is missing, or refuses this window. */
static void test_installed(void)
{
    g_autofree char *folder = g_dir_make_tmp("vwl-daemon-XXXXXX", NULL);
    g_autofree char *bin = g_build_filename(folder, "bin", NULL);
    g_autofree char *program = g_build_filename(bin, "vhost-user-wl", NULL);
    g_autofree char *plugin = g_build_filename(folder, "libvhost-user-wl.so",
                                               NULL);
    g_autofree char *socket = g_strdup_printf("--socket-path=%s/s", folder);
    char *argv[] = { program, socket, (char *)"--wayland-sock=/x",
                     (char *)"--shm-window=3000", NULL };
    g_autofree char *text = NULL;
    int status;

    g_assert_cmpint(g_mkdir(bin, 0700), ==, 0);
    copy_file(g_getenv("VWL_DAEMON_INSTALLED"), program);
    copy_file(g_getenv("VWL_INTRUDER"), plugin);
    g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_DEFAULT, NULL, NULL,
                               NULL, &text, &status, NULL));
    g_test_message("%s", text);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 1);
    g_assert_true(strstr(text, "cannot load the plugin") ||
                  strstr(text, "refuses its configuration"));
    g_unlink(plugin);
    g_unlink(program);
    g_rmdir(bin);
    g_assert_cmpint(g_rmdir(folder), ==, 0);
}

/* What ends at once needs no socket, no plugin and no compositor. */
static void test_outputs(void)
{
    expect_output("--version", "plugin ABI 1");
    expect_output("--print-capabilities", "\"type\": \"wl\"");
    expect_output("--help", "--wayland-sock=PATH[,name=NAME]");
}

static void test_listening(void)
{
    struct place place;
    struct process process = { 0 };
    struct stat st;
    const char *options[3];
    int fd;

    place_init(&place);
    options[0] = place.socket_option;
    options[1] = place.peer_option;
    options[2] = NULL;

    /* a file that is no socket is left alone */
    g_assert_true(g_file_set_contents(place.socket, "keep", 4, NULL));
    expect_refusal("left alone", options);
    g_assert_cmpint(g_unlink(place.socket), ==, 0);

    process_daemon(&process, false, options);
    process_wait_listening(place.socket);
    g_assert_cmpint(lstat(place.socket, &st), ==, 0);
    g_assert_true(S_ISSOCK(st.st_mode));
    g_assert_cmpint(st.st_mode & 0777, ==, 0600);
    expect_refusal("another process listens", options);

    g_assert_cmpint(process_terminate(&process), ==, 0);
    g_assert_false(g_file_test(place.socket, G_FILE_TEST_EXISTS));

    /* SIGTERM ends it while a front-end is connected, too */
    process_daemon(&process, false, options);
    g_assert_cmpint(vwl_fe_connect(place.socket, 30000, &fd), ==, 0);
    g_assert_cmpint(process_terminate(&process), ==, 0);
    close(fd);
    place_finish(&place);
}

static struct vwl_fe *connect_fe(const char *path, struct vwl_drv **drv)
{
    struct vwl_fe_options options = { .dialect = VWL_FE_STANDARD };
    struct vwl_drv_options drv_options = { 0 };
    struct vwl_fe *fe;
    int fd;

    g_assert_cmpint(vwl_fe_connect(path, 30000, &fd), ==, 0);
    g_assert_cmpint(vwl_fe_create(&options, &fd, &fe), ==, 0);
    g_assert_cmpint(vwl_fe_handshake(fe), ==, 0);
    g_assert_cmpint(vwl_drv_create(fe, &drv_options, drv), ==, 0);
    return fe;
}

static void test_exit_on_disconnect(void)
{
    struct place place;
    struct process process = { 0 };
    struct vwl_drv *drv;
    struct vwl_fe *fe;

    place_init(&place);
    process_daemon(&process, false,
                   (const char *const[]){ place.socket_option,
                                          place.peer_option,
                                          "--exit-on-disconnect", NULL });
    fe = connect_fe(place.socket, &drv);
    vwl_drv_destroy(drv);
    vwl_fe_destroy(fe);
    g_assert_cmpint(process_wait(&process), ==, 0);
    place_finish(&place);
}

/* A host that is short of descriptors or memory for a while: a front-end waits
 * as long, and the daemon does not run in circles meanwhile; a guest that
 * connects, too. */
static void test_no_accept(void)
{
    static const int errors[] = { EMFILE, ENFILE, ENOBUFS, ENOMEM };

    if (g_strcmp0(g_getenv("VWL_SANITIZED"), "1") == 0) {
        g_test_skip("the sanitizers' library must be the first one");
        return;
    }
    for (unsigned int i = 0; i < G_N_ELEMENTS(errors); i++) {
        g_autofree char *number = g_strdup_printf("%d", errors[i]);
        g_autofree char *text = NULL;
        struct process process = { 0 };
        struct place place;
        struct vwl_drv *drv;
        struct vwl_fe *fe;
        unsigned int tries = 0;
        const char *at;
        int listener;

        place_init(&place);
        listener = process_listen(place.peer, 4);
        g_setenv("VWL_NO_ACCEPT_ERRNO", number, TRUE);
        g_setenv("LD_PRELOAD", g_getenv("VWL_NO_ACCEPT"), TRUE);
        process_daemon(&process, true,
                       (const char *const[]){ place.socket_option,
                                              place.peer_option,
                                              "--exit-on-disconnect", NULL });
        g_unsetenv("LD_PRELOAD");
        g_unsetenv("VWL_NO_ACCEPT_ERRNO");
        fe = connect_fe(place.socket, &drv);
        g_assert_cmpint(vwl_drv_new_ctx(drv, 1, NULL), ==,
                        VIRTIO_WL_RESP_VFD_NEW);
        vwl_drv_destroy(drv);
        vwl_fe_destroy(fe);
        g_assert_cmpint(process_wait(&process), ==, 0);
        text = process_errors(&process);
        at = strstr(text, "accept failed ");
        g_assert_nonnull(at);
        g_assert_cmpint(sscanf(at, "accept failed %u", &tries), ==, 1);
        g_test_message("%s: %u tries", g_strerror(errors[i]), tries);
        g_assert_cmpuint(tries, <, 100);
        close(listener);
        place_finish(&place);
    }
}

/* Without --wayland-sock: what libwayland would connect to. */
static void test_default_socket(void)
{
    struct place place;
    struct process process = { 0 };
    struct vwl_drv *drv;
    struct vwl_fe *fe;
    int listener, peer;

    place_init(&place);
    listener = process_listen(place.peer, 4);
    REFUSAL("WAYLAND_DISPLAY", place.socket_option);
    for (int absolute = 0; absolute < 2; absolute++) {
        g_setenv("WAYLAND_DISPLAY", absolute ? place.peer : "wayland-0", TRUE);
        g_setenv("XDG_RUNTIME_DIR", absolute ? "/nonexistent" : place.folder,
                 TRUE);
        process_daemon(&process, false,
                       (const char *const[]){ place.socket_option, NULL });
        fe = connect_fe(place.socket, &drv);
        g_assert_cmpint(vwl_drv_new_ctx(drv, 1, NULL), ==,
                        VIRTIO_WL_RESP_VFD_NEW);
        g_assert_true(process_readable(listener, 30000));
        peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        vwl_drv_destroy(drv);
        vwl_fe_destroy(fe);
        g_assert_cmpint(process_terminate(&process), ==, 0);
        close(peer);
    }
    g_unsetenv("WAYLAND_DISPLAY");
    close(listener);
    place_finish(&place);
}

/* --fd with a connected socket, and with a listening one. */
static void test_inherited(void)
{
    struct place place;
    struct process process = { 0 };
    struct vwl_fe_options options = { .dialect = VWL_FE_STANDARD };
    struct vwl_fe *fe;
    struct vwl_drv *drv;
    char *fd_option;
    int sv[2], listener;

    place_init(&place);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), ==, 0);
    fcntl(sv[0], F_SETFD, FD_CLOEXEC);
    fd_option = g_strdup_printf("--fd=%d", sv[1]);
    process_daemon(&process, false,
                   (const char *const[]){ fd_option, place.peer_option, NULL });
    close(sv[1]);
    g_free(fd_option);
    g_assert_cmpint(vwl_fe_create(&options, &sv[0], &fe), ==, 0);
    g_assert_cmpint(vwl_fe_handshake(fe), ==, 0);
    vwl_fe_destroy(fe);
    g_assert_cmpint(process_wait(&process), ==, 0);

    listener = process_listen(place.socket, 4);
    fcntl(listener, F_SETFD, 0);
    fd_option = g_strdup_printf("--fd=%d", listener);
    process_daemon(&process, false,
                   (const char *const[]){ fd_option, place.peer_option, NULL });
    close(listener);
    g_free(fd_option);
    for (int i = 0; i < 3; i++) {
        fe = connect_fe(place.socket, &drv);
        vwl_drv_destroy(drv);
        vwl_fe_destroy(fe);
    }
    g_assert_cmpint(process_terminate(&process), ==, 0);
    place_finish(&place);
}

/* The guest of a front-end that will be killed: opens a context, memory and a
 * pipe, and sends without end. */
static void G_GNUC_NORETURN traffic(const char *path)
{
    struct vwl_drv *drv;
    struct vwl_fe *fe = connect_fe(path, &drv);
    static char data[3000];

    vwl_drv_new_ctx(drv, 1, NULL);
    vwl_drv_new(drv, 2, 1 << 20);
    vwl_drv_new_pipe(drv, 3, VIRTIO_WL_VFD_READ);
    for (;;) {
        const uint32_t ids[] = { 2 };

        if (vwl_drv_send(drv, 1, ids, 1, data, sizeof data) !=
            VIRTIO_WL_RESP_OK) {
            break;
        }
    }
    vwl_fe_complain(fe, "the device answered wrong");
    _exit(1);
}

static size_t swallow(int fd, bool *end)
{
    char buffer[65536], control[1024];
    struct iovec iov = { buffer, sizeof buffer };
    size_t total = 0;

    for (;;) {
        struct msghdr msg = { .msg_iov = &iov,
                              .msg_iovlen = 1,
                              .msg_control = control,
                              .msg_controllen = sizeof control };
        ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

        *end = n == 0 || (n < 0 && errno == ECONNRESET);
        if (n <= 0) {
            return total;
        }
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c;
             c = CMSG_NXTHDR(&msg, c)) {
            int *fds = (int *)(void *)CMSG_DATA(c);

            for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof *fds;
                 i++) {
                close(fds[i]);
            }
        }
        total += (size_t)n;
    }
}

static void one_kill(const struct place *place, int listener)
{
    pid_t child = fork();
    size_t got = 0;
    bool end = false;
    int peer;

    g_assert_cmpint(child, >=, 0);
    if (child == 0) {
        close(listener);
        traffic(place->socket);
    }
    g_assert_true(process_readable(listener, 30000));
    peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    while (got < 20000) {
        g_assert_true(process_readable(peer, 30000));
        got += swallow(peer, &end);
        g_assert_false(end);
    }
    g_assert_cmpint(kill(child, SIGKILL), ==, 0);
    g_assert_cmpint(waitpid(child, NULL, 0), ==, child);
    /* The window goes: our connection ends before another comes. */
    while (!end) {
        g_assert_true(process_readable(peer, 30000));
        swallow(peer, &end);
    }
    g_assert_false(process_readable(listener, 0));
    close(peer);
}

/* Once the daemon waits for the next front-end: nothing says when that is. */
static unsigned int settled_fds(GPid pid)
{
    unsigned int now = process_fds(pid);

    for (int same = 0; same < 20; same++) {
        unsigned int before = now;

        g_usleep(50000);
        now = process_fds(pid);
        if (now != before) {
            same = 0;
        }
    }
    return now;
}

static unsigned int fds_once_at_most(GPid pid, unsigned int most)
{
    for (int i = 0; process_fds(pid) > most && i < 60000; i++) {
        g_usleep(1000);
    }
    return process_fds(pid);
}

static void test_kills(void)
{
    struct place place;
    struct process process = { 0 };
    unsigned long rss = 0, later;
    unsigned int fds = 0, later_fds;
    int listener;

    place_init(&place);
    listener = process_listen(place.peer, 8);
    process_daemon(&process, false,
                   (const char *const[]){ place.socket_option,
                                          place.peer_option, NULL });
    process_wait_listening(place.socket);
    for (int i = 0; i < KILLS; i++) {
        one_kill(&place, listener);
        if (i == 10) {
            fds = settled_fds(process.pid);
            rss = process_kib(process.pid, "RssAnon:");
        }
    }
    later_fds = fds_once_at_most(process.pid, fds);
    later = process_kib(process.pid, "RssAnon:");
    g_test_message("%d kills: descriptors %u then %u, memory %lu then %lu "
                   "KiB",
                   KILLS, fds, later_fds, rss, later);
    g_assert_cmpuint(later_fds, <=, fds);
    if (!*g_getenv("VWL_SANITIZED")) { /* quarantines grow by design */
        g_assert_cmpuint(later, <=, rss + 512);
    }
    g_assert_cmpint(process_terminate(&process), ==, 0);
    close(listener);
    place_finish(&place);
}

/* The kernel counts what is in flight on sockets for all of a user's processes
 * together, against the limit of the one that sends. */
static int new_in_the_end(struct vwl_drv *drv, uint32_t id)
{
    int type = vwl_drv_new(drv, id, 4096);

    for (int i = 0; i < 6000 && type == VIRTIO_WL_RESP_OUT_OF_MEMORY; i++) {
        g_usleep(10000);
        type = vwl_drv_new(drv, id, 4096);
    }
    return type;
}

/* A daemon without descriptors to spare still serves its front-ends. */
static void test_few_descriptors(void)
{
    struct place place;
    struct process process = { 0 };
    struct vwl_drv *drv;
    struct vwl_fe *fe;
    uint32_t id = 1;
    int type;
    char *text;

    place_init(&place);
    process.max_fds = 128;
    process_daemon(&process, true,
                   (const char *const[]){ place.socket_option,
                                          place.peer_option, NULL });
    for (int round = 0; round < 3; round++) {
        fe = connect_fe(place.socket, &drv);
        for (id = 1; id < 200; id++) {
            type = id <= 8 ? new_in_the_end(drv, id)
                           : vwl_drv_new(drv, id, 4096);
            if (type != VIRTIO_WL_RESP_VFD_NEW) {
                break;
            }
        }
        g_assert_cmphex(type, ==, VIRTIO_WL_RESP_OUT_OF_MEMORY);
        g_assert_cmpuint(id, >, 8);
        /* the control socket still works: another start hands descriptors
         * over once more */
        g_assert_cmpint(vwl_fe_stop(fe), ==, 0);
        g_assert_cmpint(vwl_fe_start(fe), ==, 0);
        g_assert_cmpint(vwl_drv_close(drv, 1), ==, VIRTIO_WL_RESP_OK);
        g_assert_cmpint(new_in_the_end(drv, 1), ==, VIRTIO_WL_RESP_VFD_NEW);
        vwl_drv_destroy(drv);
        vwl_fe_destroy(fe);
    }
    g_assert_cmpint(process_terminate(&process), ==, 0);
    text = process_errors(&process);
    g_assert_nonnull(strstr(text, "may have 128 descriptors at once"));
    g_free(text);
    place_finish(&place);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    g_unsetenv("WAYLAND_DISPLAY");
    g_test_add_func("/daemon/outputs", test_outputs);
    g_test_add_func("/daemon/refusals", test_refusals);
    g_test_add_func("/daemon/installed", test_installed);
    g_test_add_func("/daemon/listening", test_listening);
    g_test_add_func("/daemon/no-accept", test_no_accept);
    g_test_add_func("/daemon/exit-on-disconnect", test_exit_on_disconnect);
    g_test_add_func("/daemon/default-socket", test_default_socket);
    g_test_add_func("/daemon/inherited", test_inherited);
    g_test_add_func("/daemon/few-descriptors", test_few_descriptors);
    g_test_add_func("/daemon/kills", test_kills);
    return g_test_run();
}
