/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/wait.h"

#include <errno.h>

#include "wl/parcel.h"
#include "wl/state.h"
#include "wl/vfd.h"

static void wait_push(struct vwl_vfd *vfd, struct vwl_request *request)
{
    struct vwl_core *core = vfd->core;

    request->number = core->next_number++;
    request->next = NULL;
    request->prev = vfd->last_wait;
    if (vfd->last_wait) {
        vfd->last_wait->next = request;
    } else {
        vfd->first_wait = request;
        vwl_list_insert(&core->waiting, &vfd->waiting);
    }
    vfd->last_wait = request;
    vfd->n_waiting++;
    core->in_flight++;
}

static struct vwl_request *wait_pop(struct vwl_vfd *vfd)
{
    struct vwl_request *request = vfd->first_wait;

    if (!request) {
        return NULL;
    }
    vfd->first_wait = request->next;
    if (request->next) {
        request->next->prev = NULL;
    } else {
        vfd->last_wait = NULL;
        vwl_list_remove(&vfd->waiting);
    }
    vfd->n_waiting--;
    vfd->core->in_flight--;
    request->next = NULL;
    vwl_parcel_destroy(request->waits_on);
    request->waits_on = NULL;
    return request;
}

void vwl_wait_complete(struct vwl_vfd *vfd, uint32_t type)
{
    struct vwl_core *core = vfd->core;
    struct vwl_request *request = wait_pop(vfd);

    vwl_answer(core, request, type);
    core->ops->complete(core->opaque, request);
}

void vwl_wait_fail(struct vwl_vfd *vfd, uint32_t type)
{
    while (vfd->first_wait) {
        vwl_wait_complete(vfd, type);
    }
}

void vwl_wait_drop(struct vwl_vfd *vfd)
{
    while (wait_pop(vfd)) {
    }
}

/* The VFD whose first request has waited for longest. */
static struct vwl_vfd *oldest_stuck(struct vwl_core *core)
{
    struct vwl_vfd *oldest = NULL;

    for (struct vwl_list *link = core->waiting.next; link != &core->waiting;
         link = link->next) {
        struct vwl_vfd *vfd = vwl_list_entry(link, struct vwl_vfd, waiting);

        if (vfd->first_wait &&
            (!oldest || vfd->first_wait->number < oldest->first_wait->number)) {
            oldest = vfd;
        }
    }
    return oldest;
}

int vwl_wait_make_room(struct vwl_core *core, const struct vwl_vfd *vfd)
{
    struct vwl_vfd *victim;

    if (core->in_flight < core->in_flight_limit) {
        return 0;
    }
    victim = oldest_stuck(core);
    if (!victim || victim == vfd) {
        return -EBUSY;
    }
    log_compositor_bug(core->log,
                       "%s 0x%" PRIx32 ": its peer takes nothing"
                       " and %u requests wait: hung up",
                       victim->ops->name, victim->id, core->in_flight);
    vwl_vfd_hang_up(victim);
    return 0;
}

int vwl_wait_begin(struct vwl_vfd *vfd, struct vwl_request *request,
                   struct vwl_parcel *parcel)
{
    struct vwl_core *core = vfd->core;
    unsigned int share = MAX(core->in_flight_limit / 4, 1);

    if (vfd->n_waiting + 1 > share || vwl_wait_make_room(core, vfd) < 0) {
        log_compositor_bug(core->log,
                           "%s 0x%" PRIx32 ": its peer takes"
                           " nothing and %u requests wait for it: hung up",
                           vfd->ops->name, vfd->id, vfd->n_waiting + 1);
        vwl_parcel_destroy(parcel);
        vwl_vfd_hang_up(vfd);
        vwl_answer(core, request, VIRTIO_WL_RESP_ERR);
        return 0;
    }
    request->waits_on = parcel;
    wait_push(vfd, request);
    vwl_vfd_watch(vfd);
    return -EINPROGRESS;
}
