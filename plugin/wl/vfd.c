/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/vfd.h"

#include <errno.h>
#include <malloc.h>
#include <sys/epoll.h>

#include "base/closer.h"
#include "policy/filter.h"
#include "wl/answer.h"
#include "wl/outbox/filtered.h"
#include "wl/outbox/parcel.h"
#include "wl/outbox/wait.h"
#include "wl/state.h"
#include "wl/watch.h"

#define CROWD_VFDS 1024

static void vfd_on_no_timer(struct vwl_timer *timer)
{
}

static void *vfd_key(uint32_t id)
{
    return GUINT_TO_POINTER(id);
}

int vwl_vfd_make(struct vwl_core *core, const struct vwl_vfd_ops *ops,
                 uint32_t id, struct vwl_vfd **out)
{
    struct vwl_vfd *vfd = g_try_malloc0(ops->bytes);

    if (!vfd) {
        return -ENOMEM;
    }
    vfd->core = core;
    vfd->ops = ops;
    vfd->id = id;
    vfd->fd = vfd->send_fd = vfd->ready_slot = -1;
    vwl_list_init(&vfd->all);
    vwl_list_init(&vfd->paused);
    vwl_list_init(&vfd->messages);
    vwl_list_init(&vfd->lends);
    vwl_list_init(&vfd->waiting);
    vwl_list_init(&vfd->lingering);
    vwl_timer_init(&vfd->timer, vfd_on_no_timer);
    if (ops->init) {
        ops->init(vfd);
    }
    core->n_vfds++;
    core->peak_vfds = MAX(core->peak_vfds, core->n_vfds);
    g_hash_table_insert(core->vfds, vfd_key(id), vfd);
    vwl_list_insert(ops->is_context ? &core->contexts : &core->others,
                    &vfd->all);
    *out = vfd;
    return 0;
}

int vwl_vfd_create(struct vwl_core *core, const struct vwl_vfd_ops *ops,
                   uint32_t id, struct vwl_vfd **out)
{
    unsigned int waiting = vwl_closer_waiting(core->closer);

    /* what cannot be closed for long was one, too */
    waiting = MAX(waiting, VWL_CLOSER_FULL) - VWL_CLOSER_FULL;
    if (core->n_vfds + waiting < core->config.max_vfds) {
        return vwl_vfd_make(core, ops, id, out);
    }
    log_guest_bug(core->log,
                  "vfd 0x%" PRIx32 ": the limit of %" PRIu32 " VFDs is reached",
                  id, core->config.max_vfds);
    return -ENOSPC;
}

int vwl_vfd_create_host(struct vwl_core *core, const struct vwl_vfd_ops *ops,
                        struct vwl_vfd **out)
{
    uint32_t id = core->next_host_id;
    int err;

    while (g_hash_table_contains(core->vfds, vfd_key(id))) {
        id = VIRTIO_WL_VFD_HOST_ID_BIT |
             ((id + 1) & (VIRTIO_WL_VFD_HOST_ID_BIT - 1));
    }
    err = vwl_vfd_create(core, ops, id, out);
    if (err == 0) {
        core->next_host_id = VIRTIO_WL_VFD_HOST_ID_BIT |
                             ((id + 1) & (VIRTIO_WL_VFD_HOST_ID_BIT - 1));
    }
    return err;
}

void vwl_vfd_change_kind(struct vwl_vfd *vfd, const struct vwl_vfd_ops *ops)
{
    if (vfd->ops->free) {
        vfd->ops->free(vfd);
    }
    vwl_closer_close(vfd->core->closer, &vfd->send_fd);
    vfd->size_bytes = 0;
    vfd->ops = ops;
}

struct vwl_vfd *vwl_vfd_lookup(const struct vwl_core *core, uint32_t id)
{
    return g_hash_table_lookup(core->vfds, vfd_key(id));
}

struct vwl_vfd *vwl_vfd_find(struct vwl_core *core, uint32_t id)
{
    struct vwl_vfd *vfd = vwl_vfd_lookup(core, id);

    return vfd && vfd->life == VWL_VFD_KNOWN ? vfd : NULL;
}

static void vfd_break(struct vwl_vfd *vfd);

static void vfd_watch_in(struct vwl_vfd *vfd)
{
    if (vwl_watch_in(vfd) < 0) {
        vwl_vfd_in_end(vfd);
    }
}

void vwl_vfd_watch(struct vwl_vfd *vfd)
{
    vfd_watch_in(vfd);
    if (vwl_watch_out(vfd) < 0) {
        vfd_break(vfd);
    }
}

void vwl_vfd_open(struct vwl_vfd *vfd)
{
    if (vfd->in == VWL_IN_UNREADY) {
        vfd->in = VWL_IN_OPEN;
    }
    vwl_vfd_watch(vfd);
}

void vwl_vfd_pause(struct vwl_vfd *vfd, enum vwl_pause reason)
{
    vfd->pause |= reason;
    vfd_watch_in(vfd);
}

void vwl_vfd_resume(struct vwl_vfd *vfd, enum vwl_pause reason)
{
    vfd->pause &= ~(unsigned int)reason;
    vfd_watch_in(vfd);
}

void vwl_vfd_resume_all(struct vwl_list *paused, enum vwl_pause reason)
{
    while (!vwl_list_is_empty(paused)) {
        struct vwl_vfd *vfd = vwl_list_entry(paused->next, struct vwl_vfd,
                                             paused);

        vwl_list_remove(&vfd->paused);
        vwl_vfd_resume(vfd, reason);
    }
}

void vwl_vfd_resume_queued(struct vwl_core *core)
{
    if (core->messages.queued_bytes <= core->config.max_queued_bytes / 2) {
        vwl_vfd_resume_all(&core->queue_paused, VWL_PAUSE_QUEUE);
    }
}

static void vfd_release_fd(struct vwl_vfd *vfd, int *fd)
{
    vwl_closer_close(vfd->core->closer, fd);
}

static void vfd_cut(struct vwl_vfd *vfd)
{
    vwl_watch_end(vfd);
    /* a socket of ours may have been sent to somebody: closing would not do */
    if (vfd->ops->is_context) {
        vwl_closer_close_shut(vfd->core->closer, &vfd->fd);
    } else {
        vfd_release_fd(vfd, &vfd->fd);
    }
}

void vwl_vfd_in_end(struct vwl_vfd *vfd)
{
    bool is_told = vfd->in == VWL_IN_HUNG || vfd->life == VWL_VFD_CLOSED;

    vfd->in = is_told ? vfd->in : VWL_IN_HUNG;
    vwl_watch_in(vfd); /* never fails: it is only taken off */
    if (!is_told) {
        vwl_messages_push_hup(vfd);
    }
}

/* Its peer takes no more: waiting requests end with ERR. May free it. */
static void vfd_break(struct vwl_vfd *vfd)
{
    vfd->send_broken = true;
    vwl_outbox_clear(vfd);
    vwl_wait_fail(vfd, -EPIPE);
    vwl_vfd_watch(vfd);
    if (vfd->life == VWL_VFD_CLOSED) {
        vwl_vfd_end_linger(vfd);
    } else if (!(vfd->flags & VIRTIO_WL_VFD_READ)) {
        vwl_vfd_in_end(vfd); /* nobody else would notice */
    }
}

void vwl_vfd_hang_up(struct vwl_vfd *vfd)
{
    if (vfd->ops->finish) {
        vfd->ops->finish(vfd);
    }
    vfd_break(vfd);
    vwl_vfd_in_end(vfd);
    vfd_cut(vfd);
    vfd_release_fd(vfd, &vfd->send_fd);
}

void vwl_vfd_look_at_filter(struct vwl_vfd *vfd, int err)
{
    if (vfd->filter && (err == -EPROTO ||
                        vwl_filter_passed(vfd->filter, VWL_TO_GUEST).len > 0)) {
        vfd->ops->filtered(vfd, err == -EPROTO ? err : 0);
    }
}

int vwl_vfd_send(struct vwl_vfd *vfd, struct vwl_request *request, size_t skip,
                 const int *fds, unsigned int n_fds, uint32_t asked)
{
    int err;

    if (vfd->send_broken || vfd->fd < 0) {
        return -EPIPE;
    }
    err = vfd->filter ? vwl_filtered_send(vfd, request, skip, fds, n_fds, asked)
                      : vwl_outbox_send(vfd, request, skip, fds, n_fds, asked);
    vwl_vfd_look_at_filter(vfd, err);
    if (err == -EPROTO) {
        return 0; /* it was taken; the guest is told what is wrong with it */
    }
    if (err == -EINPROGRESS) {
        return vwl_vfd_wait(vfd, request);
    }
    if (err == -EPIPE) {
        vfd_break(vfd);
    } else if (err == 0 && vfd->outbox.len > 0) {
        vwl_vfd_watch(vfd);
    } else if (err == 0 && request->progress == request->total_bytes) {
        vwl_ready_expect(&vfd->core->ready, vfd);
    }
    return err;
}

void vwl_vfd_feed(struct vwl_vfd *vfd)
{
    int err = vfd->filter ? vwl_filtered_feed(vfd) : vwl_outbox_feed(vfd);

    vwl_vfd_look_at_filter(vfd, err);
    if (err == -EPROTO) {
        return;
    }
    if (err == -EPIPE ||
        (err < 0 && err != -EAGAIN && vfd->life == VWL_VFD_CLOSED)) {
        vfd_break(vfd);
    } else if (err < 0 && err != -EAGAIN) {
        log_host_bug(vfd->core->log,
                     "%s 0x%" PRIx32
                     ": cannot send to its peer: %s; it is closed",
                     vfd->ops->name, vfd->id, g_strerror(-err));
        vwl_vfd_hang_up(vfd);
    } else {
        vwl_wait_moved(vfd);
        vwl_vfd_watch(vfd);
        if (vfd->outbox.len == 0 && vfd->life == VWL_VFD_CLOSED) {
            vwl_vfd_end_linger(vfd);
        }
    }
}

void vwl_vfd_on_peer(struct vwl_vfd *vfd, uint32_t events)
{
    if ((events & (EPOLLERR | EPOLLHUP)) && vfd->how != VWL_PEER_SOCKET) {
        vfd_break(vfd);
    } else {
        vwl_vfd_feed(vfd);
    }
}

/* ---- requests that wait ------------------------------------------------- */

/* Room for one more, at somebody else's cost if need be. -EBUSY. */
static int vfd_make_room(struct vwl_core *core, const struct vwl_vfd *vfd)
{
    struct vwl_vfd *victim;
    int err = vwl_wait_check_room(core, vfd, &victim);

    if (err == -EAGAIN) {
        log_compositor_bug(core->log,
                           "%s 0x%" PRIx32 ": its peer does not read,"
                           " and %u requests wait in all; it is closed",
                           victim->ops->name, victim->id, core->in_flight);
        vwl_vfd_hang_up(victim);
        err = 0;
    }
    return err;
}

int vwl_vfd_wait(struct vwl_vfd *vfd, struct vwl_request *request)
{
    if (vfd_make_room(vfd->core, vfd) < 0) {
        log_compositor_bug(vfd->core->log,
                           "%s 0x%" PRIx32 ": its peer does not read,"
                           " and %u requests wait for that; it is closed",
                           vfd->ops->name, vfd->id, vfd->n_waiting + 1);
        vwl_parcel_destroy(request->waits_on);
        request->waits_on = NULL;
        vwl_vfd_hang_up(vfd);
        return -EPIPE;
    }
    vwl_wait_push(vfd, request);
    vwl_vfd_watch(vfd);
    return -EINPROGRESS;
}

int vwl_vfd_park(struct vwl_vfd *vfd, struct vwl_request *request)
{
    int err = vfd_make_room(vfd->core, vfd);

    if (err == 0) {
        vwl_wait_push(vfd, request);
    }
    return err < 0 ? err : -EINPROGRESS;
}

/* After a crowd has left, what it used goes back to the system: the heap by
 * itself keeps pages below the last small piece that stayed. Seldom enough to
 * cost nothing for each VFD. */
static void vfd_give_back(struct vwl_core *core)
{
    if (core->peak_vfds >= CROWD_VFDS && core->n_vfds < core->peak_vfds / 8) {
        core->peak_vfds = core->n_vfds;
        malloc_trim(0);
    }
}

static void vfd_free(struct vwl_vfd *vfd)
{
    struct vwl_core *core = vfd->core;

    vwl_timer_cancel(&core->timers, &vfd->timer);
    vwl_list_remove(&vfd->lingering);
    vwl_outbox_clear(vfd);
    core->n_vfds--;
    if (vfd->ops->free) {
        vfd->ops->free(vfd);
    }
    vfd_cut(vfd);
    vfd_release_fd(vfd, &vfd->send_fd);
    g_free(vfd);
    vfd_give_back(core);
}

#define LINGER_MS 30000
#define LINGER_MAX 256

static void vfd_on_linger_over(struct vwl_timer *timer)
{
    vwl_vfd_end_linger(vwl_list_entry(timer, struct vwl_vfd, timer));
}

static void vfd_linger(struct vwl_vfd *vfd)
{
    struct vwl_core *core = vfd->core;

    if (core->n_lingering >= LINGER_MAX) {
        vwl_vfd_end_linger(
            vwl_list_entry(core->lingering.next, struct vwl_vfd, lingering));
    }
    vwl_list_insert(&core->lingering, &vfd->lingering);
    core->n_lingering++;
    vwl_timer_init(&vfd->timer, vfd_on_linger_over);
    vwl_timer_set(&core->timers, &vfd->timer, LINGER_MS);
    vfd_release_fd(vfd, &vfd->send_fd);
}

void vwl_vfd_end_linger(struct vwl_vfd *vfd)
{
    vfd->core->n_lingering--;
    vfd_free(vfd);
}

/* Its messages, and whoever only they would have announced. */
static void vfd_forget_messages(struct vwl_vfd *vfd)
{
    struct vwl_message_view view;

    while (vwl_messages_peek(vfd, &view)) {
        for (unsigned int i = 0; i < view.n_ids; i++) {
            struct vwl_vfd *listed = vwl_vfd_lookup(vfd->core, view.ids[i]);

            if (listed) {
                vwl_vfd_close(listed, true);
            }
        }
        vwl_messages_drop(vfd);
    }
}

void vwl_vfd_close(struct vwl_vfd *vfd, bool at_once)
{
    struct vwl_core *core = vfd->core;
    struct vwl_request *creating = vfd->creating;

    g_hash_table_remove(core->vfds, vfd_key(vfd->id));
    vwl_list_remove(&vfd->all);
    vfd->life = VWL_VFD_CLOSED;
    vfd->creating = NULL;
    vwl_timer_cancel(&core->timers, &vfd->timer);
    if (vfd->ops->finish) {
        vfd->ops->finish(vfd);
    }
    vfd_forget_messages(vfd);
    vwl_share_forget(vfd);
    vwl_list_remove(&vfd->paused);
    vwl_ready_forget(&core->ready, vfd);
    vwl_vfd_resume_queued(core);
    vwl_wait_fail(vfd, -EPIPE);
    vwl_list_remove(&vfd->waiting);
    if (creating) {
        core->in_flight--;
        core->n_creating--;
        vwl_answer(core, creating, -ECANCELED);
        core->ops->complete(core->opaque, creating);
    }
    vfd->in = VWL_IN_ENDED;
    vwl_watch_in(vfd); /* never fails: it is only taken off */
    if (!at_once && vfd->outbox.len > 0 && vfd->fd >= 0) {
        vfd_linger(vfd);
    } else {
        vfd_free(vfd);
    }
}

/* ---- while it is being made --------------------------------------------- */

int vwl_vfd_created(struct vwl_vfd *vfd, struct vwl_request *request, int err)
{
    if (err == 0) {
        vfd->life = VWL_VFD_KNOWN;
        vwl_answer_new(vfd->core, request, vfd);
    } else if (err != -EINPROGRESS) {
        vwl_vfd_close(vfd, true);
    }
    return err;
}

int vwl_vfd_creation_wait(struct vwl_vfd *vfd, struct vwl_request *request)
{
    struct vwl_core *core = vfd->core;
    int err = vfd_make_room(core, vfd);

    if (err < 0) {
        log_guest_bug(core->log,
                      "%s 0x%" PRIx32 ": %u requests wait, which is as many"
                      " as may",
                      vfd->ops->name, vfd->id, core->in_flight);
        return err;
    }
    request->number = core->next_number++;
    request->waits_on = NULL;
    vfd->creating = request;
    vwl_list_insert(&core->waiting, &vfd->waiting);
    core->in_flight++;
    core->n_creating++;
    return 0;
}

void vwl_vfd_creation_end(struct vwl_vfd *vfd, int err)
{
    struct vwl_core *core = vfd->core;
    struct vwl_request *request = vfd->creating;

    vwl_wait_release(vfd);
    vfd->creating = NULL;
    vwl_list_remove(&vfd->waiting);
    vwl_timer_cancel(&core->timers, &vfd->timer);
    core->in_flight--;
    core->n_creating--;
    if (err < 0) {
        vwl_answer(core, request, err);
        vwl_vfd_close(vfd, true);
    } else {
        vfd->life = VWL_VFD_KNOWN;
        vwl_answer_new(core, request, vfd);
    }
    core->ops->complete(core->opaque, request);
}
