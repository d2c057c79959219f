/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kernels that lack a part of the sandbox: the daemon says which, of itself and
 * of its connector; with --sandbox=require it does not start.
 */
#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/landlock.h"
#include "process.h"

struct place {
    char *folder, *socket, *socket_option;
};

static void place_init(struct place *place)
{
    place->folder = g_dir_make_tmp("vwl-parts-XXXXXX", NULL);
    place->socket = g_build_filename(place->folder, "vhost", NULL);
    place->socket_option = g_strdup_printf("--socket-path=%s", place->socket);
}

static void place_finish(struct place *place)
{
    g_assert_false(g_file_test(place->socket, G_FILE_TEST_EXISTS));
    g_assert_cmpint(g_rmdir(place->folder), ==, 0);
    g_free(place->folder);
    g_free(place->socket);
    g_free(place->socket_option);
}

/* Until it listens, or to its end; what it said, and how it ended. */
static char *start(const struct place *place, int no_call, const char *mode,
                   bool listens, int *status)
{
    struct process process = { .no_call = no_call };
    char *text;

    process_daemon(&process, true,
                   (const char *const[]){ place->socket_option,
                                          "--wayland-sock=/nobody",
                                          "--dmabuf=off", mode, NULL });
    if (listens) {
        process_wait_listening(place->socket);
        *status = process_terminate(&process);
        text = process_errors(&process);
    } else {
        text = process_errors(&process);
        *status = process_wait(&process);
    }
    g_test_message("%s", text);
    return text;
}

static void expect(const char *text, const char *line)
{
    if (!strstr(text, line)) {
        g_error("no '%s' in: %s", line, text);
    }
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

static void without(int call, const char *missing)
{
    g_autofree char *daemons = g_strdup_printf("the daemon %s", missing);
    g_autofree char *connectors = g_strdup_printf("the connector %s", missing);
    struct place place;
    int status;
    char *text;

    if (!sandboxed()) {
        return;
    }
    place_init(&place);
    text = start(&place, call, "--sandbox=on", true, &status);
    g_assert_cmpint(status, ==, 0);
    expect(text, daemons);
    expect(text, connectors);
    g_free(text);
    text = start(&place, call, "--sandbox=require", false, &status);
    g_assert_cmpint(status, ==, 1);
    expect(text, connectors);
    expect(text, "--sandbox=require: the connector cannot be confined");
    g_free(text);
    place_finish(&place);
}

static void test_no_landlock(void)
{
    without(SYS_landlock_create_ruleset, "has no Landlock");
}

static void test_no_filter(void)
{
    without(SYS_seccomp, "has no system call filter");
}

static void test_no_capset(void)
{
    without(SYS_capset, "keeps its capabilities");
}

static bool has_landlock(void)
{
    const struct vwl_landlock_wishes none = { 0 };
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        _exit(vwl_landlock_enter(&none) < 0);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    return status == 0;
}

static void test_all_there(void)
{
    struct place place;
    int status;
    char *text;

    if (!sandboxed()) {
        return;
    }
    if (!has_landlock()) {
        g_test_skip("this kernel has no Landlock");
        return;
    }
    place_init(&place);
    text = start(&place, 0, "--sandbox=require", true, &status);
    g_assert_cmpint(status, ==, 0);
    g_assert_null(strstr(text, "cannot be confined"));
    g_free(text);
    place_finish(&place);
}

/* A build that cannot have all of it says so, too. */
static void test_build(void)
{
    struct place place;
    int status;
    char *text;

    if (!*g_getenv("VWL_SANITIZED") && *g_getenv("VWL_SECCOMP")) {
        g_test_skip("this build has all parts");
        return;
    }
    place_init(&place);
    text = start(&place, 0, "--sandbox=require", false, &status);
    g_assert_cmpint(status, ==, 1);
    expect(text, *g_getenv("VWL_SANITIZED") ? "a sanitizer is built in"
                                            : "built without libseccomp");
    g_free(text);
    place_finish(&place);
}

static void test_option(void)
{
    struct place place;
    int status;
    char *text;

    place_init(&place);
    text = start(&place, 0, "--sandbox=yes", false, &status);
    g_assert_cmpint(status, ==, 2);
    expect(text, "--sandbox=yes: it must be one of on|off|require");
    g_free(text);
    place_finish(&place);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sandbox-parts/option", test_option);
    g_test_add_func("/sandbox-parts/build", test_build);
    g_test_add_func("/sandbox-parts/all-there", test_all_there);
    g_test_add_func("/sandbox-parts/no-landlock", test_no_landlock);
    g_test_add_func("/sandbox-parts/no-filter", test_no_filter);
    g_test_add_func("/sandbox-parts/no-capset", test_no_capset);
    return g_test_run();
}
