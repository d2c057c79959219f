/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/outbox/wait.h"

#include <errno.h>

#include "wl/answer.h"
#include "wl/outbox/parcel.h"
#include "wl/state.h"
#include "wl/vfd.h"

void vwl_wait_push(struct vwl_vfd *vfd, struct vwl_request *request)
{
    struct vwl_core *core = vfd->core;

    request->number = core->next_number++;
    request->next = NULL;
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
    if (!request->next) {
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

void vwl_wait_complete(struct vwl_vfd *vfd, int err)
{
    struct vwl_core *core = vfd->core;
    struct vwl_request *request = wait_pop(vfd);

    vwl_answer(core, request, err);
    core->ops->complete(core->opaque, request);
}

void vwl_wait_fail(struct vwl_vfd *vfd, int err)
{
    while (vfd->first_wait) {
        vwl_wait_complete(vfd, err);
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

        if (vfd->first_wait &&
            (!oldest || vfd->first_wait->number < oldest->first_wait->number)) {
            oldest = vfd;
        }
    }
    return oldest;
}

int vwl_wait_check_room(struct vwl_core *core, const struct vwl_vfd *vfd,
                        struct vwl_vfd **victim)
{
    struct vwl_vfd *oldest;

    if (core->in_flight < core->in_flight_limit) {
        return 0;
    }
    oldest = wait_oldest(core);
    if (!oldest || oldest == vfd) {
        return -EBUSY;
    }
    *victim = oldest;
    return -EAGAIN;
}

bool vwl_wait_has_share(const struct vwl_vfd *vfd)
{
    return vfd->n_waiting < MAX(vfd->core->in_flight_limit / 4, 1);
}
