/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/vfd.h"

#include <errno.h>
#include <malloc.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "wl/closer.h"
#include "wl/foreign.h"
#include "wl/state.h"
#include "wl/wait.h"

#define CROWD_VFDS 1024

static void on_no_timer(struct vwl_timer *timer)
{
}

static void *key_of(uint32_t id)
{
    return GUINT_TO_POINTER(id);
}

int vwl_vfd_check_id(struct vwl_core *core, uint32_t id)
{
    return g_hash_table_contains(core->vfds, key_of(id)) ? -EINVAL : 0;
}

int vwl_vfd_create(struct vwl_core *core, const struct vwl_vfd_ops *ops,
                   uint32_t id, struct vwl_vfd **out)
{
    struct vwl_vfd *vfd;

    if (core->n_vfds >= core->config.max_vfds) {
        log_guest_bug(core->log,
                      "vfd 0x%" PRIx32 ": the limit of %" PRIu32
                      " VFDs is reached",
                      id, core->config.max_vfds);
        return -ENOSPC;
    }
    vfd = g_try_new0(struct vwl_vfd, 1);
    if (!vfd) {
        return -ENOMEM;
    }
    vfd->core = core;
    vfd->ops = ops;
    vfd->id = id;
    vfd->refs = VWL_REF_GUEST;
    vfd->fd = -1;
    vfd->send_fd = -1;
    vfd->copy_fd = -1;
    vfd->answer_fd = -1;
    vfd->ready_slot = -1;
    vwl_list_init(&vfd->paused);
    vwl_list_init(&vfd->messages);
    vwl_list_init(&vfd->lends);
    vwl_list_init(&vfd->waiting);
    vwl_list_init(&vfd->lingering);
    vwl_list_init(&vfd->base_waiter);
    vwl_timer_init(&vfd->timer, on_no_timer);
    core->n_vfds++;
    core->peak_vfds = MAX(core->peak_vfds, core->n_vfds);
    g_hash_table_insert(core->vfds, key_of(id), vfd);
    *out = vfd;
    return 0;
}

int vwl_vfd_create_host(struct vwl_core *core, const struct vwl_vfd_ops *ops,
                        struct vwl_vfd **out)
{
    uint32_t id = core->next_host_id;
    int err;

    while (g_hash_table_contains(core->vfds, key_of(id))) {
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

struct vwl_vfd *vwl_vfd_find(struct vwl_core *core, uint32_t id)
{
    struct vwl_vfd *vfd = g_hash_table_lookup(core->vfds, key_of(id));

    return vfd && vfd->is_known ? vfd : NULL;
}

struct vwl_vfd *vwl_vfd_find_to_close(struct vwl_core *core, uint32_t id)
{
    struct vwl_vfd *vfd = g_hash_table_lookup(core->vfds, key_of(id));

    return vfd && (vfd->is_known || vfd->creating) ? vfd : NULL;
}

static void watch_in(struct vwl_vfd *vfd)
{
    struct vwl_core *core = vfd->core;
    bool wanted = vfd->enrolled && vfd->fd >= 0 && !vfd->in_ended &&
                  !vfd->pause && vfd->ops->receive &&
                  (vfd->flags & (VIRTIO_WL_VFD_READ | VIRTIO_WL_VFD_FENCE)) &&
                  (vfd->refs & VWL_REF_GUEST);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = vfd };

    if (wanted == vfd->in_watched) {
        return;
    }
    vfd->in_watched = wanted;
    if (!wanted) {
        epoll_ctl(core->in_epoll, EPOLL_CTL_DEL, vfd->fd, &event);
    } else if (epoll_ctl(core->in_epoll, EPOLL_CTL_ADD, vfd->fd, &event) < 0) {
        vfd->in_watched = false;
        log_host_bug(core->log, "vfd 0x%" PRIx32 ": cannot be watched: %s",
                     vfd->id, g_strerror(errno));
        vwl_vfd_in_end(vfd);
    }
}

static uint32_t out_wanted(const struct vwl_vfd *vfd)
{
    if (!vfd->enrolled || vfd->fd < 0 || vfd->send_broken) {
        return 0;
    }
    if (vfd->outbox.len > 0 ||
        (vfd->first_wait && !vwl_foreign_is_due(vfd->first_wait))) {
        return EPOLLOUT | EPOLLERR;
    }
    /* that its reader is gone is told by nothing else */
    return vfd->ops->kind == VWL_VFD_PIPE && vfd->flags == VIRTIO_WL_VFD_WRITE
               ? EPOLLERR
               : 0;
}

static void watch_out(struct vwl_vfd *vfd)
{
    struct vwl_core *core = vfd->core;
    uint32_t wanted = out_wanted(vfd);
    struct epoll_event event = { .events = wanted, .data.ptr = vfd };

    int how = vfd->out_watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    if (wanted == vfd->out_watched) {
        return;
    }
    vfd->out_watched = wanted;
    if (!wanted) {
        epoll_ctl(core->out_epoll, EPOLL_CTL_DEL, vfd->fd, &event);
    } else if (epoll_ctl(core->out_epoll, how, vfd->fd, &event) < 0) {
        vfd->out_watched = 0;
        log_host_bug(core->log, "vfd 0x%" PRIx32 ": cannot be watched: %s",
                     vfd->id, g_strerror(errno));
        vwl_outbox_break(vfd);
    }
}

void vwl_vfd_watch(struct vwl_vfd *vfd)
{
    watch_in(vfd);
    watch_out(vfd);
}

static void unwatch(struct vwl_vfd *vfd)
{
    struct epoll_event event = { 0 };

    /* others may hold the open file: closing ours would not unregister it */
    if (vfd->in_watched) {
        epoll_ctl(vfd->core->in_epoll, EPOLL_CTL_DEL, vfd->fd, &event);
        vfd->in_watched = false;
    }
    if (vfd->out_watched) {
        epoll_ctl(vfd->core->out_epoll, EPOLL_CTL_DEL, vfd->fd, &event);
        vfd->out_watched = 0;
    }
}

void vwl_vfd_pause(struct vwl_vfd *vfd, enum vwl_pause reason)
{
    vfd->pause |= reason;
    watch_in(vfd);
}

void vwl_vfd_resume(struct vwl_vfd *vfd, enum vwl_pause reason)
{
    vfd->pause &= ~(unsigned int)reason;
    watch_in(vfd);
}

/* What came from a host peer may be slow to close. */
static void release_fd(struct vwl_vfd *vfd, int *fd)
{
    if (vfd->id & VIRTIO_WL_VFD_HOST_ID_BIT) {
        vwl_closer_close(vfd->core->closer, fd);
    } else {
        vwl_fd_clear(fd);
    }
}

static void cut(struct vwl_vfd *vfd)
{
    unwatch(vfd);
    /* a socket of ours may have been sent to somebody: closing would not do */
    if (vfd->is_context && vfd->fd >= 0) {
        shutdown(vfd->fd, SHUT_RDWR);
    }
    release_fd(vfd, &vfd->fd);
}

void vwl_vfd_in_end(struct vwl_vfd *vfd)
{
    vfd->in_ended = true;
    watch_in(vfd);
    if (!vfd->hup_queued && (vfd->refs & VWL_REF_GUEST)) {
        vfd->hup_queued = true;
        vwl_inbox_push_hup(vfd);
    }
}

void vwl_vfd_hang_up(struct vwl_vfd *vfd)
{
    if (vfd->ops->finish) {
        vfd->ops->finish(vfd);
    }
    vwl_outbox_break(vfd);
    vwl_vfd_in_end(vfd);
    cut(vfd);
    release_fd(vfd, &vfd->send_fd);
}

/* After a crowd has left, what it used goes back to the system: the heap by
 * itself keeps pages below the last small piece that stayed. Seldom enough to
 * cost nothing for each VFD. */
static void give_back(struct vwl_core *core)
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
    vwl_list_remove(&vfd->base_waiter);
    vwl_outbox_clear(vfd);
    cut(vfd);
    release_fd(vfd, &vfd->send_fd);
    vwl_fd_clear(&vfd->copy_fd);
    vwl_fd_clear(&vfd->answer_fd);
    vwl_map_destroy(vfd->map);
    core->shm_bytes -= vfd->charged_bytes;
    core->n_contexts -= vfd->is_context;
    core->n_vfds--;
    if (vfd->ops->free) {
        vfd->ops->free(vfd);
    }
    g_free(vfd);
    give_back(core);
}

static void unref(struct vwl_vfd *vfd, enum vwl_vfd_ref reason)
{
    vfd->refs &= ~(unsigned int)reason;
    if (!vfd->refs) {
        vfd_free(vfd);
    }
}

#define LINGER_MS 30000
#define LINGER_MAX 256

static void on_linger_over(struct vwl_timer *timer)
{
    vwl_vfd_end_linger(vwl_list_entry(timer, struct vwl_vfd, timer));
}

static void linger(struct vwl_vfd *vfd)
{
    struct vwl_core *core = vfd->core;

    if (core->n_lingering >= LINGER_MAX) {
        vwl_vfd_end_linger(
            vwl_list_entry(core->lingering.next, struct vwl_vfd, lingering));
    }
    vfd->refs |= VWL_REF_LINGER;
    vwl_list_insert(&core->lingering, &vfd->lingering);
    core->n_lingering++;
    vwl_timer_init(&vfd->timer, on_linger_over);
    vwl_timer_set(&core->timers, &vfd->timer, LINGER_MS);
    release_fd(vfd, &vfd->send_fd);
}

void vwl_vfd_end_linger(struct vwl_vfd *vfd)
{
    vfd->core->n_lingering--;
    unref(vfd, VWL_REF_LINGER);
}

void vwl_vfd_close(struct vwl_vfd *vfd, bool at_once)
{
    struct vwl_core *core = vfd->core;
    struct vwl_request *creating = vfd->creating;

    g_hash_table_remove(core->vfds, key_of(vfd->id));
    vfd->is_known = false;
    vfd->creating = NULL;
    vwl_timer_cancel(&core->timers, &vfd->timer);
    if (vfd->ops->finish) {
        vfd->ops->finish(vfd);
    }
    vwl_inbox_forget(vfd);
    vwl_wait_fail(vfd, VIRTIO_WL_RESP_ERR);
    vwl_list_remove(&vfd->waiting);
    if (creating) {
        core->in_flight--;
        vwl_answer(core, creating, VIRTIO_WL_RESP_ERR);
        core->ops->complete(core->opaque, creating);
    }
    if (!at_once && vfd->outbox.len > 0 && vfd->fd >= 0) {
        linger(vfd);
    }
    vfd->in_ended = true;
    watch_in(vfd);
    unref(vfd, VWL_REF_GUEST);
}

uint32_t vwl_vfd_told_flags(const struct vwl_vfd *vfd)
{
    bool is_memory = vwl_vfd_is_memory(vfd);

    if (vwl_core_has(vfd->core, VIRTIO_WL_F_TRANS_FLAGS)) {
        return is_memory ? 0 : vfd->flags;
    }
    return is_memory && vfd->map
               ? VIRTIO_WL_VFD_LEGACY_WRITE | VIRTIO_WL_VFD_LEGACY_MAP
               : 0;
}

int vwl_vfd_creation_wait(struct vwl_vfd *vfd, struct vwl_request *request)
{
    struct vwl_core *core = vfd->core;
    int err = vwl_wait_make_room(core, vfd);

    if (err < 0) {
        return err;
    }
    request->number = core->next_number++;
    request->waits_on = NULL;
    vfd->creating = request;
    vwl_list_insert(&core->waiting, &vfd->waiting);
    core->in_flight++;
    return 0;
}

void vwl_vfd_creation_end(struct vwl_vfd *vfd, int err)
{
    struct vwl_core *core = vfd->core;
    struct vwl_request *request = vfd->creating;

    vfd->creating = NULL;
    vwl_list_remove(&vfd->waiting);
    vwl_timer_cancel(&core->timers, &vfd->timer);
    core->in_flight--;
    if (err < 0) {
        vwl_answer(core, request, vwl_response_of(err));
        vwl_vfd_close(vfd, true);
    } else {
        vfd->is_known = true;
        vwl_answer_new(core, request, vfd);
    }
    core->ops->complete(core->opaque, request);
}
