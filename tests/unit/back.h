/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For the tests of the back-end channel: the channel, and the front-end's end
 * of it, which says and expects literal bytes. Every request is for the same
 * 0x2000 bytes at 0x123456000 of region 0. Nothing here waits.
 */
#ifndef TESTS_UNIT_BACK_H
#define TESTS_UNIT_BACK_H

#include <glib.h>

#include "vhu/backchan.h"

struct back {
    struct vwl_log log;
    struct vwl_backchan *chan;
    int front;          /* the front-end's end; -1: closed */
    GString *done;      /* "cookie:err " of every callback */
    unsigned int lines; /* of the log */
    unsigned int fds_before;
};

/* A connected channel of that dialect; ack: REPLY_ACK is negotiated. */
void back_init(struct back *b, enum vwl_shm_dialect dialect, bool ack);
/* Fails the test when a descriptor stays open. */
void back_finish(struct back *b);
/* Another channel; the front-end's end of the old one is the caller's. */
void back_connect(struct back *b);

/* Asks to map 0x2000 bytes from 0x3000 of fd, to unmap them. */
int back_map(struct back *b, int fd, unsigned int cookie, bool writable);
int back_unmap(struct back *b, unsigned int cookie);
/* The callback of both: opaque is a struct back. */
void back_on_done(void *opaque, uint64_t cookie, int err);

/* These bytes come, with a descriptor of this file (-1: without one), and
 * nothing more. */
void back_expect(struct back *b, const char *text, int file);
/* Says these bytes, which the channel has dispatched when this returns. */
void back_reply(struct back *b, const char *text);
/* These callbacks came since the last call. */
void back_expect_done(struct back *b, const char *text);

#endif
