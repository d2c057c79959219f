/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon's sandbox, tried from within by a plugin that means harm, with
 * the sandbox off as the control; and what the device needs all the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <linux/landlock.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/landlock.h"
#include "driver.h"
#include "frontend.h"
#include "process.h"

struct place {
    char *folder, *socket, *peer, *other;
    char *socket_option, *peer_option, *intruder;
    int other_fd, abstract_fd;
    unsigned int fds; /* of ours, at the beginning */
};

static char *in(const struct place *place, const char *name)
{
    return g_build_filename(place->folder, name, NULL);
}

/* By the name that the intruder knows. */
static int listen_abstract(const struct place *place)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t len;

    g_snprintf(sun.sun_path, sizeof sun.sun_path, "%s/abstract", place->folder);
    len = offsetof(struct sockaddr_un, sun_path) + strlen(sun.sun_path);
    sun.sun_path[0] = 0;
    g_assert_cmpint(bind(fd, (struct sockaddr *)&sun, (socklen_t)len), ==, 0);
    g_assert_cmpint(listen(fd, 4), ==, 0);
    return fd;
}

static void place_init(struct place *place)
{
    g_autofree char *file = NULL, *victim = NULL;

    place->fds = process_fds(getpid());
    place->folder = g_dir_make_tmp("vwl-sandbox-XXXXXX", NULL);
    place->socket = in(place, "vhost");
    place->peer = in(place, "wayland-0");
    place->other = in(place, "other");
    place->socket_option = g_strdup_printf("--socket-path=%s", place->socket);
    place->peer_option = g_strdup_printf("--wayland-sock=%s,policy=none",
                                         place->peer);
    place->intruder = g_strdup_printf("--plugin=%s", g_getenv("VWL_INTRUDER"));
    place->other_fd = process_listen(place->other, 4);
    place->abstract_fd = listen_abstract(place);
    file = in(place, "file");
    victim = in(place, "victim");
    g_assert_true(g_file_set_contents(file, "secret", 6, NULL));
    g_assert_true(g_file_set_contents(victim, "x", 1, NULL));
    g_setenv("VWL_INTRUDE_FOLDER", place->folder, TRUE);
}

static void place_finish(struct place *place)
{
    static const char *const names[] = { "vhost",  "wayland-0", "other", "file",
                                         "victim", "new",       "bound" };

    close(place->other_fd);
    close(place->abstract_fd);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = in(place, names[i]);

        g_unlink(path);
    }
    {
        g_autofree char *made = in(place, "folder");

        g_rmdir(made);
    }
    g_assert_cmpint(g_rmdir(place->folder), ==, 0);
    g_assert_cmpuint(process_fds(getpid()), ==, place->fds);
    g_free(place->folder);
    g_free(place->socket);
    g_free(place->peer);
    g_free(place->other);
    g_free(place->socket_option);
    g_free(place->peer_option);
    g_free(place->intruder);
}

static bool sandboxed(void)
{
    if (*g_getenv("VWL_SANITIZED")) {
        g_test_skip("a sanitizer is built in: most of the sandbox is off");
        return false;
    }
    if (!*g_getenv("VWL_SECCOMP")) {
        g_test_skip("built without libseccomp");
        return false;
    }
    return true;
}

/* The daemon with the intruder; what it said until its end, and how it
 * ended. */
static char *intrude_with(struct place *place, const char *what, bool sandbox,
                          const char *dmabufs, int *status)
{
    struct process process = { 0 };
    char *text;

    g_setenv("VWL_INTRUDE", what, TRUE);
    process_daemon(&process, true,
                   (const char *const[]){
                       place->socket_option, place->peer_option,
                       place->intruder, dmabufs,
                       sandbox ? "--sandbox=on" : "--sandbox=off", NULL });
    process_wait_listening(place->socket);
    if (strcmp(what, "all") == 0) {
        char buffer[8192];
        size_t len = 0;
        const char *last = sandbox ? "try far: " : "try drm-driver: ";

        buffer[0] = 0;
        while (!strstr(buffer, last) || !g_str_has_suffix(buffer, "\n")) {
            ssize_t n;

            g_assert_cmpuint(len, <, sizeof buffer - 1);
            n = read(process.err, buffer + len, sizeof buffer - 1 - len);
            g_assert_cmpint(n, >, 0);
            len += (size_t)n;
            buffer[len] = 0;
        }
        *status = process_terminate(&process);
        close(process.err);
        text = g_strdup(buffer);
    } else {
        text = process_errors(&process);
        *status = process_wait(&process);
    }
    g_test_message("%s", text);
    return text;
}

static char *intrude(struct place *place, const char *what, bool sandbox,
                     int *status)
{
    return intrude_with(place, what, sandbox, "--dmabuf=off", status);
}

static void expect(const char *text, const char *line)
{
    if (!strstr(text, line)) {
        g_error("no '%s' in: %s", line, text);
    }
}

/* Where it can, a daemon may connect, and Landlock says to which files. */
static bool by_landlock(const char *what)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0,
                   LANDLOCK_CREATE_RULESET_VERSION) >=
               VWL_LANDLOCK_SOCKETS_ABI &&
           (strcmp(what, "other-socket") == 0 ||
            strcmp(what, "reconnect") == 0);
}

static void test_stopped(void)
{
    static const char *const stopped[] = {
        "read",       "write",      "create",       "folder",   "mkdir",
        "unlink",     "chmod",      "other-socket", "abstract", "datagram",
        "reconnect",  "bind",       "tcp",          "fork",     "code",
        "code-later", "signal",     "dumpable",     "limits",   "io-uring",
        "vmsplice",   "sendfile",   "copy-range",   "sendmmsg", "recvmmsg",
        "accept",     "drm-master", "drm-modes",
    };
    struct place place;
    int listener, peer, status;
    char *text, *victim;

    if (!sandboxed()) {
        return;
    }
    place_init(&place);
    listener = process_listen(place.peer, 4);
    text = intrude(&place, "all", true, &status);
    for (size_t i = 0; i < G_N_ELEMENTS(stopped); i++) {
        char *line = g_strdup_printf("try %s: %s\n", stopped[i],
                                     by_landlock(stopped[i]) ? "EACCES"
                                                             : "EPERM");

        expect(text, line);
        g_free(line);
    }
    /* the connector knows numbers alone */
    expect(text, "try given: allowed\n");
    expect(text, "try not-given: Invalid argument\n");
    expect(text, "try far: Invalid argument\n");
    g_free(text);
    g_assert_cmpint(status, ==, 0);
    g_assert_false(process_readable(place.other_fd, 0));
    g_assert_false(process_readable(place.abstract_fd, 0));
    g_assert_true(process_readable(listener, 0));
    peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    victim = in(&place, "victim");
    g_assert_true(g_file_test(victim, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(place.socket, G_FILE_TEST_EXISTS));
    g_free(victim);
    close(peer);
    close(listener);
    place_finish(&place);
}

/* The intruder itself works. */
static void test_control(void)
{
    static const char *const done[] = {
        "read",       "write",    "create",       "folder",   "mkdir",
        "unlink",     "chmod",    "other-socket", "abstract", "datagram",
        "bind",       "tcp",      "fork",         "code",     "code-later",
        "signal",     "dumpable", "limits",       "vmsplice", "sendfile",
        "copy-range", "sendmmsg", "recvmmsg",
    };
    /* the kernel's own word, standard input being none of these */
    static const char *const asked[] = {
        "accept: Socket operation on non-socket",
        "drm-master: Inappropriate ioctl for device",
        "drm-modes: Inappropriate ioctl for device",
        "drm-version: Inappropriate ioctl for device",
        "drm-driver: Inappropriate ioctl for device",
    };
    struct place place;
    int status;
    char *text;

    place_init(&place);
    text = intrude(&place, "all", false, &status);
    for (size_t i = 0; i < G_N_ELEMENTS(done); i++) {
        char *line = g_strdup_printf("try %s: allowed\n", done[i]);

        expect(text, line);
        g_free(line);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(asked); i++) {
        expect(text, asked[i]);
    }
    g_assert_true(process_readable(place.other_fd, 0));
    g_free(text);
    place_finish(&place);
}

/* With a GPU's buffers: its driver's requests, and never its screens. */
static void test_gpu(void)
{
    struct place place;
    int status;
    char *text;

    if (!sandboxed()) {
        return;
    }
    place_init(&place);
    text = intrude_with(&place, "all", true, "--dmabuf=gbm", &status);
    g_assert_cmpint(status, ==, 0);
    expect(text, "try drm-master: EPERM\n");
    expect(text, "try drm-modes: EPERM\n");
    expect(text, "try drm-version: Inappropriate ioctl for device\n");
    expect(text, "try drm-driver: Inappropriate ioctl for device\n");
    g_free(text);
    text = intrude(&place, "all", true, &status);
    g_assert_cmpint(status, ==, 0);
    expect(text, "try drm-version: EPERM\n");
    expect(text, "try drm-driver: EPERM\n");
    g_free(text);
    place_finish(&place);
}

static void test_deadly(void)
{
    static const char *const names[] = { "execve", "ptrace" };
    struct place place;
    int status;

    if (!sandboxed()) {
        return;
    }
    place_init(&place);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_free(intrude(&place, names[i], true, &status));
        g_assert_cmpint(status, ==, -SIGSYS);
        g_unlink(place.socket);
    }
    place_finish(&place);
}

/* Landlock by itself, as the system call filter answers first. */
static void test_landlock(void)
{
    struct vwl_landlock_wishes wishes = { 0 };
    struct place place;
    char *file;
    int status;
    pid_t pid;

    place_init(&place);
    wishes.may_remove_in = place.folder;
    file = in(&place, "file");
    pid = fork();
    if (pid == 0) {
        char *made = in(&place, "new"), *victim = in(&place, "victim");
        int abi;

        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        abi = vwl_landlock_enter(&wishes);
        if (abi == -ENOSYS || abi == -EOPNOTSUPP) {
            _exit(77);
        }
        _exit(abi < 0 ? 2
                      : !(open(file, O_RDONLY) < 0 && errno == EACCES &&
                          open("/", O_RDONLY) < 0 && errno == EACCES &&
                          open(made, O_WRONLY | O_CREAT, 0600) < 0 &&
                          errno == EACCES && mkdir(made, 0700) < 0 &&
                          errno == EACCES && unlink("/etc/hostname") < 0 &&
                          errno == EACCES && unlink(victim) == 0));
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    if (WEXITSTATUS(status) == 77) {
        g_test_skip("this kernel has no Landlock");
    } else {
        g_assert_cmpint(status, ==, 0);
    }
    g_free(file);
    place_finish(&place);
}

static char *status_field(GPid pid, const char *field)
{
    char *path = g_strdup_printf("/proc/%d/status", (int)pid);
    char *text = NULL, *at;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    at = strstr(text, field);
    g_assert_nonnull(at);
    at = g_strstrip(
        g_strndup(at + strlen(field), strcspn(at + strlen(field), "\n")));
    g_free(text);
    g_free(path);
    return at;
}

static void expect_status(GPid pid, const char *field, const char *value)
{
    char *found = status_field(pid, field);

    g_assert_cmpstr(found, ==, value);
    g_free(found);
}

static GPid only_child(GPid pid)
{
    char *path = g_strdup_printf("/proc/%d/task/%d/children", (int)pid,
                                 (int)pid);
    char *text = NULL;
    GPid child;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    child = atoi(text);
    g_free(text);
    g_free(path);
    return child;
}

/* A guest's context, twice, with another compositor each time. */
static void test_restart(void)
{
    struct vwl_fe_options options = { .dialect = VWL_FE_STANDARD };
    struct vwl_drv_options drv_options = { 0 };
    struct process process = { 0 };
    struct vwl_drv *drv;
    struct vwl_fe *fe;
    struct place place;
    GPid connector;
    int fd;

    place_init(&place);
    process_daemon(&process, false,
                   (const char *const[]){ place.socket_option,
                                          place.peer_option, NULL });
    g_assert_cmpint(vwl_fe_connect(place.socket, 30000, &fd), ==, 0);
    g_assert_cmpint(vwl_fe_create(&options, &fd, &fe), ==, 0);
    g_assert_cmpint(vwl_fe_handshake(fe), ==, 0);
    g_assert_cmpint(vwl_drv_create(fe, &drv_options, &drv), ==, 0);
    /* nobody is there yet */
    g_assert_cmphex(vwl_drv_new_ctx(drv, 1, NULL), ==, VIRTIO_WL_RESP_ERR);
    for (uint32_t round = 1; round <= 3; round++) {
        int listener = process_listen(place.peer, 4), peer;
        char bytes[5] = { 0 };

        g_assert_cmphex(vwl_drv_new_ctx(drv, round, NULL), ==,
                        VIRTIO_WL_RESP_VFD_NEW);
        peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        g_assert_cmphex(vwl_drv_send(drv, round, NULL, 0, "hello", 5), ==,
                        VIRTIO_WL_RESP_OK);
        g_assert_cmpint(recv(peer, bytes, 5, MSG_WAITALL), ==, 5);
        g_assert_cmpmem(bytes, 5, "hello", 5);
        close(peer);
        close(listener);
        g_assert_cmpint(g_unlink(place.peer), ==, 0);
    }
    connector = only_child(process.pid);
    g_assert_cmpint(connector, >, 0);
    expect_status(process.pid, "NoNewPrivs:", "1");
    expect_status(process.pid, "CapPrm:", "0000000000000000");
    expect_status(connector, "NoNewPrivs:", "1");
    /* root's may reach a user's socket, and nothing else */
    expect_status(connector, "CapPrm:",
                  getuid() == 0 ? "0000000000000002" : "0000000000000000");
    expect_status(connector, "CapEff:",
                  getuid() == 0 ? "0000000000000002" : "0000000000000000");
    if (!*g_getenv("VWL_SANITIZED") && *g_getenv("VWL_SECCOMP")) {
        expect_status(process.pid, "Seccomp:", "2");
        expect_status(connector, "Seccomp:", "2");
    }
    vwl_drv_destroy(drv);
    vwl_fe_destroy(fe);
    /* it ends with a daemon that is killed, too */
    g_assert_cmpint(kill(process.pid, SIGKILL), ==, 0);
    g_assert_cmpint(process_wait(&process), ==, -SIGKILL);
    for (int i = 0; kill(connector, 0) == 0; i++) {
        char *path = g_strdup_printf("/proc/%d/stat", (int)connector);
        char *text = NULL;
        bool over = !g_file_get_contents(path, &text, NULL, NULL) ||
                    strstr(text, ") Z ");

        g_free(text);
        g_free(path);
        if (over) {
            break; /* nobody reaps it here */
        }
        g_assert_cmpint(i, <, 30000);
        g_usleep(1000);
    }
    place_finish(&place);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    g_unsetenv("WAYLAND_DISPLAY");
    g_test_add_func("/sandbox/control", test_control);
    g_test_add_func("/sandbox/stopped", test_stopped);
    g_test_add_func("/sandbox/gpu", test_gpu);
    g_test_add_func("/sandbox/deadly", test_deadly);
    g_test_add_func("/sandbox/landlock", test_landlock);
    g_test_add_func("/sandbox/restart", test_restart);
    return g_test_run();
}
