/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/inbox/ready.h"

#include <glib.h>
#include <sys/epoll.h>

#include "base/look.h"
#include "wl/vfd.h"

/* A few times only, since others may have become ready. */
#define ROUNDS_MAX 4

/* A bounded number of times: the others wait meanwhile. */
#define GUESSES_MAX 64
/* Of those for whom nothing speaks but that they spoke last. */
#define AGAIN_MAX 4

static void ready_keep(struct vwl_ready *ready, struct vwl_vfd *vfd)
{
    vfd->ready_slot = ready->n_kept;
    ready->vfds[ready->n_kept++] = vfd;
}

/* False: epoll must be asked. */
static bool ready_another_round(struct vwl_ready *ready)
{
    if (ready->n_kept && ready->rounds < ROUNDS_MAX) {
        ready->rounds++;
        ready->n = ready->n_kept;
        ready->next = ready->n_kept = 0;
        return true;
    }
    for (int i = 0; i < ready->n_kept; i++) {
        if (ready->vfds[i]) {
            ready->vfds[i]->ready_slot = -1;
        }
    }
    ready->rounds = ready->n_kept = 0;
    return false;
}

/* Whoever answered first last time is read without asking epoll, once for each
 * time that it is sent something. */
static struct vwl_vfd *ready_take_expected(struct vwl_ready *ready)
{
    struct vwl_vfd *vfd = ready->expected;

    ready->guessed = NULL;
    if (!vfd || !vfd->answers || ready->guesses == GUESSES_MAX ||
        ready->next < ready->n || ready->n_kept) {
        return NULL;
    }
    ready->expected = NULL;
    ready->guessed = vfd;
    ready->guesses++;
    vfd->answers = false; /* until it turns out that it did */
    return vfd;
}

/* alone: nobody else had something; NULL: there were several. */
static void ready_learn(struct vwl_ready *ready, struct vwl_vfd *alone)
{
    if (ready->expected) {
        ready->expected->answers = alone == ready->expected;
        ready->expected = NULL;
    }
    if (alone && alone == ready->alone) {
        alone->answers = true;
    }
    ready->alone = alone;
}

/* 0: nothing is readable. */
static int ready_ask_epoll(struct vwl_ready *ready, int epoll)
{
    struct epoll_event events[VWL_READY_MAX];
    int n = vwl_look(epoll, events, VWL_READY_MAX);

    ready->n = MAX(n, 0);
    ready->more = n == VWL_READY_MAX;
    ready->next = 0;
    ready->guesses = 0;
    for (int i = 0; i < n; i++) {
        ready->vfds[i] = events[i].data.ptr;
        ready->vfds[i]->ready_slot = i;
    }
    if (n > 0) {
        ready_learn(ready, n == 1 ? ready->vfds[0] : NULL);
    }
    return ready->n;
}

struct vwl_vfd *vwl_ready_next(struct vwl_ready *ready, int epoll, bool *polled)
{
    for (;;) {
        struct vwl_vfd *vfd = ready_take_expected(ready);

        if (vfd) {
            return vfd;
        }
        if (ready->next == ready->n && !ready_another_round(ready)) {
            if (*polled || ready_ask_epoll(ready, epoll) == 0) {
                return NULL;
            }
            *polled = true;
        }
        vfd = ready->vfds[ready->next++];
        if (vfd) {
            vfd->ready_slot = -1;
            return vfd;
        }
    }
}

void vwl_ready_had(struct vwl_ready *ready, struct vwl_vfd *vfd, bool full)
{
    vfd->answers |= vfd == ready->guessed;
    if (full) {
        ready_keep(ready, vfd);
    } else if (vfd == ready->alone && ready->guesses < AGAIN_MAX) {
        ready->expected = vfd;
    }
}

bool vwl_ready_is_alone(const struct vwl_ready *ready)
{
    return !ready->guessed && ready->n == 1 && !ready->more && !ready->n_kept;
}

void vwl_ready_ask_next(struct vwl_ready *ready)
{
    ready->rounds = ROUNDS_MAX;
}

bool vwl_ready_has_more(const struct vwl_ready *ready)
{
    return ready->more || ready->n_kept || ready->next < ready->n;
}

void vwl_ready_expect(struct vwl_ready *ready, struct vwl_vfd *vfd)
{
    ready->expected = vfd;
}

void vwl_ready_forget(struct vwl_ready *ready, struct vwl_vfd *vfd)
{
    if (ready->expected == vfd) {
        ready->expected = NULL;
    }
    if (ready->alone == vfd) {
        ready->alone = NULL;
    }
    if (vfd->ready_slot >= 0) {
        ready->vfds[vfd->ready_slot] = NULL;
        vfd->ready_slot = -1;
    }
}

void vwl_ready_reset(struct vwl_ready *ready)
{
    ready->n = ready->next = 0;
    ready->n_kept = ready->rounds = 0;
}
