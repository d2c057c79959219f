/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon's socket as a service manager and libvirt set it up: its group and
 * mode, one that was handed over, one that a killed daemon left behind, and a
 * second front-end at it.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver.h"
#include "frontend.h"
#include "process.h"

struct place {
    char *folder, *socket, *socket_option;
};

static void place_init(struct place *place)
{
    place->folder = g_dir_make_tmp("vwl-socket-XXXXXX", NULL);
    place->socket = g_build_filename(place->folder, "vhost", NULL);
    place->socket_option = g_strdup_printf("--socket-path=%s", place->socket);
}

static void place_finish(struct place *place)
{
    g_assert_cmpint(g_rmdir(place->folder), ==, 0);
    g_free(place->folder);
    g_free(place->socket);
    g_free(place->socket_option);
}

static void begin(struct process *process, const struct place *place,
                  bool keep_err, const char *one, const char *two)
{
    process_daemon(process, keep_err,
                   (const char *const[]){ "--wayland-sock=/nobody",
                                          place->socket_option, one, two,
                                          NULL });
}

static void wait_until_gone(const char *path)
{
    for (int i = 0; access(path, F_OK) == 0; i++) {
        g_assert_cmpint(i, <, 30000);
        g_usleep(1000);
    }
}

/* The file's mode and group once somebody can connect. */
static void expect_access(const char *one, const char *two, mode_t mode,
                          gid_t group)
{
    struct process process = { 0 };
    struct place place;
    struct stat st;

    place_init(&place);
    begin(&process, &place, false, one, two);
    process_wait_listening(place.socket);
    g_assert_cmpint(lstat(place.socket, &st), ==, 0);
    g_assert_cmphex(st.st_mode & 07777, ==, mode);
    g_assert_cmpuint(st.st_gid, ==, group);
    g_assert_cmpint(process_terminate(&process), ==, 0);
    place_finish(&place);
}

/* A group of ours besides the first; root may take any. */
static gid_t other_group(void)
{
    gid_t groups[64];
    int n = getgroups(G_N_ELEMENTS(groups), groups);

    if (getuid() == 0) {
        return getegid() + 1;
    }
    for (int i = 0; i < n; i++) {
        if (groups[i] != getegid()) {
            return groups[i];
        }
    }
    return getegid();
}

static void test_access(void)
{
    gid_t other = other_group();
    g_autofree char *number = g_strdup_printf("--socket-group=%u", other);

    expect_access(NULL, NULL, 0600, getegid());
    expect_access("--socket-mode=0666", NULL, 0666, getegid());
    expect_access("--socket-mode=660", NULL, 0660, getegid());
    expect_access(number, NULL, 0660, other);
    expect_access(number, "--socket-mode=0620", 0620, other);
    if (getuid() == 0) {
        expect_access("--socket-group=root", NULL, 0660, 0);
    }
}

static void expect_refusal(const char *say, const char *const *options)
{
    struct process process = { 0 };
    char *text;

    process_daemon(&process, true, options);
    text = process_errors(&process);
    g_test_message("%s", text);
    g_assert_cmpint(process_wait(&process), >, 0);
    g_assert_nonnull(strstr(text, say));
    g_free(text);
}

#define REFUSAL(say, ...)                                                \
    expect_refusal(say, (const char *const[]){ "--wayland-sock=/nobody", \
                                               __VA_ARGS__, NULL })

static void test_refusals(void)
{
    struct place place;

    place_init(&place);
    REFUSAL("must be octal", place.socket_option, "--socket-mode=0800");
    REFUSAL("must be octal", place.socket_option, "--socket-mode=1777");
    REFUSAL("must be octal", place.socket_option, "--socket-mode=0");
    REFUSAL("must be octal", place.socket_option, "--socket-mode=-1");
    REFUSAL("no such group", place.socket_option,
            "--socket-group=no-such-group");
    REFUSAL("are for --socket-path", "--fd=0", "--socket-mode=0600");
    if (getuid() != 0) {
        REFUSAL("cannot give the socket", place.socket_option,
                "--socket-group=0");
    }
    place_finish(&place);
}

/* The connector removes the socket of a daemon that was killed, and leaves one
 * alone that another has bound in its place. */
static void test_killed(void)
{
    struct process process = { 0 };
    struct place place;
    int listener;

    place_init(&place);
    begin(&process, &place, false, NULL, NULL);
    process_wait_listening(place.socket);
    g_assert_cmpint(kill(process.pid, SIGKILL), ==, 0);
    g_assert_cmpint(process_wait(&process), ==, -SIGKILL);
    wait_until_gone(place.socket);

    begin(&process, &place, false, NULL, NULL);
    process_wait_listening(place.socket);
    g_assert_cmpint(g_unlink(place.socket), ==, 0);
    listener = process_listen(place.socket, 1);
    g_assert_cmpint(process_terminate(&process), ==, 0);
    g_assert_true(g_file_test(place.socket, G_FILE_TEST_EXISTS));
    close(listener);
    g_assert_cmpint(g_unlink(place.socket), ==, 0);

    /* without a sandbox there is nobody to do it, and the next one does */
    begin(&process, &place, false, "--sandbox=off", NULL);
    process_wait_listening(place.socket);
    g_assert_cmpint(kill(process.pid, SIGKILL), ==, 0);
    g_assert_cmpint(process_wait(&process), ==, -SIGKILL);
    g_assert_true(g_file_test(place.socket, G_FILE_TEST_EXISTS));
    begin(&process, &place, false, NULL, NULL);
    process_wait_listening(place.socket);
    g_assert_cmpint(process_terminate(&process), ==, 0);
    wait_until_gone(place.socket);
    place_finish(&place);
}

static struct vwl_fe *connect_fe(const char *path)
{
    struct vwl_fe_options options = { .dialect = VWL_FE_STANDARD };
    struct vwl_fe *fe;
    int fd;

    g_assert_cmpint(vwl_fe_connect(path, 30000, &fd), ==, 0);
    g_assert_cmpint(vwl_fe_create(&options, &fd, &fe), ==, 0);
    g_assert_cmpint(vwl_fe_handshake(fe), ==, 0);
    return fe;
}

/* As a service manager starts it: descriptor 3, and two variables. The shell
 * knows the process's number before there is a daemon. */
static void test_activated(void)
{
    static const char script[] =
        "exec 3<&\"$1\"; shift; LISTEN_FDS=$1 LISTEN_PID=$$; shift; "
        "export LISTEN_FDS LISTEN_PID; exec \"$@\"";
    struct process process = { 0 };
    g_autofree char *number = NULL;
    g_autofree char *plugin = g_strdup_printf("--plugin=%s",
                                              g_getenv("VWL_PLUGIN"));
    char *text = NULL;
    int listener, status;
    struct place place;

    place_init(&place);
    listener = process_listen(place.socket, 4);
    fcntl(listener, F_SETFD, 0);
    number = g_strdup_printf("%d", listener);
    for (int n = 1; n <= 2; n++) {
        char *argv[] = { (char *)"/bin/sh",
                         (char *)"-c",
                         (char *)script,
                         (char *)"sh",
                         number,
                         (char *)(n == 1 ? "1" : "2"),
                         (char *)g_getenv("VWL_DAEMON"),
                         plugin,
                         (char *)"--wayland-sock=/nobody",
                         (char *)"--exit-on-disconnect",
                         NULL };

        if (n == 1) {
            struct vwl_fe *fe;

            g_assert_true(g_spawn_async(NULL, argv, NULL,
                                        G_SPAWN_DO_NOT_REAP_CHILD |
                                            G_SPAWN_LEAVE_DESCRIPTORS_OPEN,
                                        NULL, NULL, &process.pid, NULL));
            fe = connect_fe(place.socket);
            vwl_fe_destroy(fe);
            g_assert_cmpint(process_wait(&process), ==, 0);
            /* it is the service manager's */
            g_assert_true(g_file_test(place.socket, G_FILE_TEST_EXISTS));
        } else {
            g_assert_true(g_spawn_sync(NULL, argv, NULL,
                                       G_SPAWN_LEAVE_DESCRIPTORS_OPEN, NULL,
                                       NULL, NULL, &text, &status, NULL));
            g_assert_nonnull(strstr(text, "must hand over one socket"));
            g_assert_cmpint(status, !=, 0);
            g_free(text);
        }
    }
    /* what is meant for another process is left alone */
    g_setenv("LISTEN_PID", "1", TRUE);
    g_setenv("LISTEN_FDS", "1", TRUE);
    REFUSAL("give --socket-path", "--dmabuf=off");
    g_unsetenv("LISTEN_PID");
    g_unsetenv("LISTEN_FDS");
    close(listener);
    g_unlink(place.socket);
    place_finish(&place);
}

/* Reads until the line is there. */
static void read_until(int from, GString *text, const char *line)
{
    char buffer[512];

    while (!strstr(text->str, line)) {
        ssize_t n = read(from, buffer, sizeof buffer);

        g_assert_cmpint(n, >, 0);
        g_string_append_len(text, buffer, n);
    }
}

static unsigned int count(const char *text, const char *what)
{
    unsigned int n = 0;

    for (; (text = strstr(text, what)); text++) {
        n++;
    }
    return n;
}

static void test_second(void)
{
    static const char waits[] = "it waits until the first one has left";
    struct process process = { 0 };
    struct vwl_fe *first, *second;
    GString *text = g_string_new(NULL);
    struct place place;
    char *rest;
    int fd, third;

    place_init(&place);
    begin(&process, &place, true, NULL, NULL);
    first = connect_fe(place.socket);
    g_assert_cmpint(vwl_fe_connect(place.socket, 30000, &fd), ==, 0);
    read_until(process.err, text, waits);
    g_assert_cmpint(vwl_fe_connect(place.socket, 30000, &third), ==, 0);
    vwl_fe_destroy(first);
    /* it was not forgotten */
    {
        struct vwl_fe_options options = { .dialect = VWL_FE_STANDARD };

        g_assert_cmpint(vwl_fe_create(&options, &fd, &second), ==, 0);
        g_assert_cmpint(vwl_fe_handshake(second), ==, 0);
    }
    vwl_fe_destroy(second);
    close(third);
    g_assert_cmpint(process_terminate(&process), ==, 0);
    rest = process_errors(&process);
    g_string_append(text, rest);
    /* one line for each that was served while others waited */
    g_assert_cmpuint(count(text->str, waits), <=, 2);
    g_free(rest);

    begin(&process, &place, true, "--exit-on-disconnect", NULL);
    first = connect_fe(place.socket);
    g_assert_cmpint(vwl_fe_connect(place.socket, 30000, &fd), ==, 0);
    g_string_truncate(text, 0);
    read_until(process.err, text, "it is not served");
    vwl_fe_destroy(first);
    g_assert_cmpint(process_wait(&process), ==, 0);
    close(process.err);
    close(fd);
    g_string_free(text, TRUE);
    place_finish(&place);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    g_test_add_func("/daemon-socket/access", test_access);
    g_test_add_func("/daemon-socket/refusals", test_refusals);
    g_test_add_func("/daemon-socket/killed", test_killed);
    g_test_add_func("/daemon-socket/activated", test_activated);
    g_test_add_func("/daemon-socket/second", test_second);
    return g_test_run();
}
