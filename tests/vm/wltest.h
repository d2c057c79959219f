/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of /dev/wl0 from inside a guest: the calls of the driver in short, and
 * every test. All of it is one static program (host.py builds it) that links
 * nothing but libc. A test returns at its first failed CHECK.
 */
#ifndef TESTS_VM_WLTEST_H
#define TESTS_VM_WLTEST_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include "virtwl.h"

/* What the host's peer.py does: the first number of a message. */
enum {
    ECHO = 1,
    FLOOD,
    MEMFD,
    PIPE_R,
    PIPE_W,
    HANG_UP,
    SLEEP,
    SUM,
    FILL,
    FDS,
    DRAIN
};

/* The device, open. */
extern int wl;
/* What make_ctx() opens; NULL: the device's unnamed socket. */
extern const char *socket_name;

/* Notes why the test failed, with the value of errno. */
void wltest_fail(const char *file, int line, const char *what);

#define CHECK(expr)                                 \
    do {                                            \
        if (!(expr)) {                              \
            wltest_fail(__FILE__, __LINE__, #expr); \
            return;                                 \
        }                                           \
    } while (0)

/* ---- the driver's calls: a descriptor or 0, or -1 and errno ------------- */

struct txn {
    struct virtwl_ioctl_txn head;
    uint8_t data[8192];
};

/* A new VFD. */
int make(struct virtwl_ioctl_new *new);
int make_kind(uint32_t type, uint32_t size);
int make_ctx(void);
/* A context behind a named socket. */
int make_named(const char *name);

/* Leaves a transaction without descriptors. */
void no_fds(struct virtwl_ioctl_txn *txn);
/* A SEND of data and descriptors. */
int send_fds(int ctx, const void *data, size_t len, const int *fds, int n_fds);
/* A SEND that tells the peer what to do; fd -1: without a descriptor. */
int send_op(int ctx, uint32_t op, uint32_t arg, int fd);
/* A RECV: its bytes, and *n_fds of fds, which has room for 28. */
int recv_some(int ctx, void *data, size_t room, int *fds, int *n_fds);
/* Reads until there are so many bytes; -1 when it ends before. */
int recv_exactly(int ctx, void *data, size_t len);
/* The events that came, 0 after the time. */
int poll_for(int fd, short events, int timeout_ms);
/* Whether a word comes back from the peer. */
int ping(int ctx);

/* ---- data that both ends can make --------------------------------------- */

/* The byte at that place of the pattern that peer.py sends. */
uint8_t pattern_at(size_t at);
/* Whether data is the pattern from `at` on. */
int is_pattern(const uint8_t *data, size_t len, size_t at);
/* Adler-32, as peer.py answers it. */
uint32_t checksum(const uint8_t *data, size_t len);

/* ---- signals ------------------------------------------------------------ */

/* SIGALRM again and again, each counted in signals: the first may come before
 * there is a call to interrupt. */
extern volatile sig_atomic_t signals;
void alarm_each(int ms);
/* Ends that and leaves errno as it is. */
void alarm_off(void);

/* ---- the tests ---------------------------------------------------------- */

/* wltest_data.c */
void test_ping(void);
void test_echo(void);
void test_named(void);
void test_memory(void);
void test_received_memory(void);
void test_many_fds(void);
void test_send_many(void);
void test_pipes(void);

/* wltest_waits.c */
void test_hang_up(void);
void test_no_wait(void);
void test_late_error(void);
void test_rounds(void);
void test_signals(void);
void test_interrupted_new(void);
void test_unread(void);

/* wltest_limits.c */
void test_errors(void);
void test_full_table(void);
void test_lots(void);
void test_many_at_once(void);

/* wltest_special.c */
void test_session_end(void);
void test_across(void);
void test_hold(void);
void test_hold_maps(void);
void test_take_all(void);
void test_modes(void);
void test_write_all(void);
void test_alloc(void);
void test_open(void);
void test_stuck_send(void);
void test_stuck_sends(void);

/* wltest_pages.c */
void test_pages(void);
void test_pages_limited(void);
void test_pages_once(void);
void test_pages_hold(void);

#endif
