/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Exercises /dev/wl0 from inside a guest, against the host's peer.py. Run as
 * `wltest [TEST...]`: prints "ok NAME" or "not ok NAME: why" for each, and
 * fails if one failed. With --device=PATH another device, with --socket=NAME
 * another of its sockets than the unnamed one.
 */
#define _GNU_SOURCE
#include "wltest.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int wl;
const char *socket_name;
static const char *path = "/dev/wl0";
static const char *why;
static char why_text[256];

void wltest_fail(const char *file, int line, const char *what)
{
    const char *slash = strrchr(file, '/');

    snprintf(why_text, sizeof why_text, "%s:%d: %s (errno %d %s)",
             slash ? slash + 1 : file, line, what, errno, strerror(errno));
    why = why_text;
}

static const struct {
    const char *name;
    void (*run)(void);
    int special; /* only when asked for by name */
} tests[] = {
    { "ping", test_ping, 0 },
    { "late-error", test_late_error, 0 }, /* while all is quiet */
    { "echo", test_echo, 0 },
    { "named", test_named, 0 },
    { "memory", test_memory, 0 },
    { "received-memory", test_received_memory, 0 },
    { "many-fds", test_many_fds, 0 },
    { "send-many", test_send_many, 0 },
    { "pipes", test_pipes, 0 },
    { "hang-up", test_hang_up, 0 },
    { "no-wait", test_no_wait, 0 },
    { "signals", test_signals, 0 },
    { "interrupted-new", test_interrupted_new, 0 },
    { "unread", test_unread, 0 },
    { "errors", test_errors, 0 },
    { "full-table", test_full_table, 0 },
    { "lots", test_lots, 0 },
    { "many-at-once", test_many_at_once, 0 },
    { "session-end", test_session_end, 1 },
    { "across", test_across, 1 },
    { "rounds", test_rounds, 1 },
    { "hold", test_hold, 1 },
    { "hold-maps", test_hold_maps, 1 },
    { "take-all", test_take_all, 1 },
    { "modes", test_modes, 1 },
    { "write-all", test_write_all, 1 },
    { "alloc", test_alloc, 1 },
    { "open", test_open, 1 },
    { "stuck-send", test_stuck_send, 1 },
    { "stuck-sends", test_stuck_sends, 1 },
    { "pages", test_pages, 1 },
    { "pages-limited", test_pages_limited, 1 },
    { "pages-once", test_pages_once, 1 },
    { "pages-hold", test_pages_hold, 1 },
};

static int wanted(int argc, char **argv, const char *name, int special)
{
    int named = 0;

    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') {
            named = 1;
            if (strcmp(argv[i], name) == 0) {
                return 1;
            }
        }
    }
    return !named && !special;
}

static int count_fds(void)
{
    int n = 0;

    for (int fd = 0; fd < 1024; fd++) {
        n += fcntl(fd, F_GETFD) >= 0;
    }
    return n;
}

int main(int argc, char **argv)
{
    int failed = 0, ran = 0;

    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--device=", 9) == 0) {
            path = argv[i] + 9;
        } else if (strncmp(argv[i], "--socket=", 9) == 0) {
            socket_name = argv[i] + 9;
        }
    }
    signal(SIGPIPE, SIG_IGN);
    wl = open(path, O_RDWR | O_CLOEXEC);
    if (wl < 0) {
        printf("not ok %s: %s\n", path, strerror(errno));
        return 1;
    }
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        int fds = count_fds();
        struct timespec begin, end;

        if (!wanted(argc, argv, tests[i].name, tests[i].special)) {
            continue;
        }
        why = NULL;
        ran++;
        clock_gettime(CLOCK_MONOTONIC, &begin);
        tests[i].run();
        clock_gettime(CLOCK_MONOTONIC, &end);
        if (why == NULL && count_fds() != fds) {
            why = "descriptors leak";
        }
        if (why != NULL) {
            printf("not ok %s: %s\n", tests[i].name, why);
            failed = 1;
        } else {
            printf("ok %s # %ld ms\n", tests[i].name,
                   (end.tv_sec - begin.tv_sec) * 1000 +
                       (end.tv_nsec - begin.tv_nsec) / 1000000);
        }
        fflush(stdout);
    }
    if (ran == 0) {
        printf("not ok: no such test\n");
        return 1;
    }
    return failed;
}
