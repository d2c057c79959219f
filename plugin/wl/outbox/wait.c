/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/outbox/wait.h"

#include <errno.h>

#include "base/clock.h"
#include "wl/answer.h"
#include "wl/outbox/parcel.h"
#include "wl/state.h"
#include "wl/vfd.h"

/* So many requests of others, and a greedy VFD that stands still in a crowd has
 * to go: they do not come in one short moment. */
#define OTHERS_MANY 8
/* So long it may fill the queue: a driver gives up after a second. */
#define FULL_US (700 * UINT64_C(1000))

static bool wait_is_greedy(const struct vwl_vfd *vfd)
{
    return vfd->n_waiting > MAX(vfd->core->in_flight_limit / 4, 1);
}

/* The clock is asked only for those that it may matter for. */
void vwl_wait_moved(struct vwl_vfd *vfd)
{
    vfd->still_since = vfd->core->counters.requests;
    if (wait_is_greedy(vfd)) {
        vfd->still_since_us = vwl_clock_us();
    }
}

void vwl_wait_push(struct vwl_vfd *vfd, struct vwl_request *request)
{
    struct vwl_core *core = vfd->core;
    bool was_greedy = wait_is_greedy(vfd);

    request->number = core->next_number++;
    request->next = NULL;
    if (vfd->last_wait) {
        vfd->last_wait->next = request;
    } else {
        vfd->first_wait = request;
        vwl_list_remove(&vfd->waiting); /* it may be there: it is made */
        vwl_list_insert(&core->waiting, &vfd->waiting);
        vfd->still_since = core->counters.requests - 1;
    }
    vfd->still_since++; /* its own do not count */
    vfd->last_wait = request;
    vfd->n_waiting++;
    if (!was_greedy && wait_is_greedy(vfd)) {
        vfd->still_since_us = vwl_clock_us();
    }
    core->in_flight++;
    core->waiting_entries += request->entries;
}

static struct vwl_request *wait_pop(struct vwl_vfd *vfd)
{
    struct vwl_request *request = vfd->first_wait;

    if (!request) {
        return NULL;
    }
    vfd->first_wait = request->next;
    if (!request->next) {
        vfd->last_wait = NULL;
        if (!vfd->creating) {
            vwl_list_remove(&vfd->waiting);
        }
    }
    vfd->n_waiting--;
    vfd->core->in_flight--;
    vfd->core->waiting_entries -= request->entries;
    request->next = NULL;
    vwl_parcel_destroy(request->waits_on);
    request->waits_on = NULL;
    return request;
}

void vwl_wait_complete(struct vwl_vfd *vfd, int err)
{
    struct vwl_core *core = vfd->core;
    struct vwl_request *request = wait_pop(vfd);

    vwl_wait_moved(vfd);
    vwl_answer(core, request, err);
    core->ops->complete(core->opaque, request);
}

void vwl_wait_fail(struct vwl_vfd *vfd, int err)
{
    while (vfd->first_wait) {
        vwl_wait_complete(vfd, err);
    }
}

void vwl_wait_release(struct vwl_vfd *vfd)
{
    struct vwl_request **end = &vfd->core->released, *request;

    while (*end) {
        end = &(*end)->next;
    }
    while ((request = wait_pop(vfd))) {
        *end = request;
        end = &request->next;
    }
}

void vwl_wait_drop(struct vwl_vfd *vfd)
{
    while (wait_pop(vfd)) {
    }
}

/* The VFD whose first request has waited for longest. */
static struct vwl_vfd *wait_oldest(struct vwl_core *core)
{
    struct vwl_vfd *oldest = NULL;

    for (struct vwl_list *link = core->waiting.next; link != &core->waiting;
         link = link->next) {
        struct vwl_vfd *vfd = vwl_list_entry(link, struct vwl_vfd, waiting);

        if (vfd->first_wait && !vfd->creating &&
            (!oldest || vfd->first_wait->number < oldest->first_wait->number)) {
            oldest = vfd;
        }
    }
    return oldest;
}

/* The greedy VFD with the most requests; stands: of those that stand still
 * while others need room. */
static struct vwl_vfd *wait_greediest(struct vwl_core *core,
                                      bool (*stands)(const struct vwl_vfd *))
{
    struct vwl_vfd *most = NULL;

    for (struct vwl_list *link = core->waiting.next; link != &core->waiting;
         link = link->next) {
        struct vwl_vfd *vfd = vwl_list_entry(link, struct vwl_vfd, waiting);

        if (wait_is_greedy(vfd) && !vfd->creating && (!stands || stands(vfd)) &&
            (!most || vfd->n_waiting > most->n_waiting)) {
            most = vfd;
        }
    }
    return most;
}

int vwl_wait_check_room(struct vwl_core *core, const struct vwl_vfd *vfd,
                        struct vwl_vfd **victim)
{
    struct vwl_vfd *greedy, *goes;

    if (core->in_flight < core->in_flight_limit) {
        return 0;
    }
    greedy = wait_greediest(core, NULL);
    if (greedy && core->in_flight < core->in_flight_most) {
        return 0;
    }
    goes = greedy ? greedy : wait_oldest(core);
    if (!goes || goes == vfd) {
        return -EBUSY;
    }
    *victim = goes;
    return -EAGAIN;
}

/* What waits keeps more than three quarters of the driver's queue. */
static bool wait_ring_is_full(const struct vwl_core *core)
{
    return core->waiting_entries * 4 > (uint64_t)core->ring_entries * 3;
}

static bool wait_stands(const struct vwl_vfd *vfd)
{
    const struct vwl_core *core = vfd->core;

    return core->counters.requests - vfd->still_since >= OTHERS_MANY ||
           (wait_ring_is_full(core) &&
            vwl_clock_us() - vfd->still_since_us >= FULL_US);
}

struct vwl_vfd *vwl_wait_find_intruder(struct vwl_core *core)
{
    bool crowded = core->in_flight * UINT64_C(4) >
                   core->in_flight_limit * UINT64_C(3);

    return crowded || wait_ring_is_full(core)
               ? wait_greediest(core, wait_stands)
               : NULL;
}

bool vwl_wait_fills_ring(struct vwl_core *core)
{
    return wait_ring_is_full(core) && wait_greediest(core, NULL);
}
