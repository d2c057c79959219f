/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose peer is read next: those that epoll found readable, in turn, and two
 * guesses that save asking it. Whoever filled a buffer probably has more; and
 * whoever was sent something often answers before anybody else speaks, as
 * whoever alone had something twice often has it a third time.
 */
#ifndef VWL_WL_INBOX_READY_H
#define VWL_WL_INBOX_READY_H

#include <stdbool.h>

#define VWL_READY_MAX 64

struct vwl_vfd;

struct vwl_ready {
    struct vwl_vfd *vfds[VWL_READY_MAX]; /* NULL where one was closed */
    int n;
    int next;
    int n_kept; /* of vfds: filled a buffer, so looked at once more */
    int rounds; /* that were made without asking epoll */
    bool more;  /* epoll may know of more than it said */
    struct vwl_vfd *expected; /* that was sent something and tends to answer at
                                 once; NULL: nobody */
    struct vwl_vfd *alone;    /* nobody else had something when epoll was asked;
                                 NULL: several had */
    struct vwl_vfd *guessed;  /* the one that was read for that reason */
    unsigned int guesses;     /* since epoll was asked */
};

/* The next one; NULL: none. Asks epoll at most once for each *polled that is
 * false to begin with. */
struct vwl_vfd *vwl_ready_next(struct vwl_ready *ready, int epoll,
                               bool *polled);
/* It was read, and had something; full: as much as a buffer takes. */
void vwl_ready_had(struct vwl_ready *ready, struct vwl_vfd *vfd, bool full);
/* Nobody but the one that was just handed out had something. */
bool vwl_ready_is_alone(const struct vwl_ready *ready);
/* It took long: others may have something by now. */
void vwl_ready_ask_next(struct vwl_ready *ready);
/* Whether another call may find one without any change outside. */
bool vwl_ready_has_more(const struct vwl_ready *ready);

/* Its peer was sent all there was: its answer may be the next to come. */
void vwl_ready_expect(struct vwl_ready *ready, struct vwl_vfd *vfd);
/* It goes. */
void vwl_ready_forget(struct vwl_ready *ready, struct vwl_vfd *vfd);
/* No VFD is left. */
void vwl_ready_reset(struct vwl_ready *ready);

#endif
