/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/core.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/closer.h"
#include "base/fd.h"
#include "base/look.h"
#include "policy/filter.h"
#include "wl/command.h"
#include "wl/crowd.h"
#include "wl/kinds/connect.h"
#include "wl/kinds/dmabuf.h"
#include "wl/kinds/memory.h"
#include "wl/outbox/wait.h"
#include "wl/state.h"
#include "wl/turns.h"
#include "wl/vfd.h"

static int core_open_fds(struct vwl_core *core)
{
    struct epoll_event event = { .events = EPOLLIN };
    int err = vwl_timers_init(&core->timers);

    if (err < 0) {
        return err;
    }
    err = vwl_bounce_init(&core->bounce);
    if (err < 0) {
        return err;
    }
    vwl_watched_set(&core->in, epoll_create1(EPOLL_CLOEXEC));
    vwl_watched_set(&core->out, epoll_create1(EPOLL_CLOEXEC));
    if (core->in.fd < 0 || core->out.fd < 0 ||
        epoll_ctl(core->out.fd, EPOLL_CTL_ADD, core->timers.fd, &event) < 0) {
        return -errno;
    }
    return 0;
}

int vwl_core_create(const struct vwl_core_config *config,
                    const struct vwl_core_ops *ops, void *opaque,
                    struct vwl_log *log, struct vwl_core **out)
{
    struct vwl_core *core = g_new0(struct vwl_core, 1);
    int err;

    core->ops = ops;
    core->opaque = opaque;
    core->log = log;
    core->config = *config;
    vwl_watched_init(&core->in);
    vwl_watched_init(&core->out);
    core->anchor_fd = -1;
    core->timers.fd = core->bounce.fd[0] = core->bounce.fd[1] = -1;
    vwl_core_set_in_flight_limit(core, VIRTIO_WL_QUEUE_SIZE / 2,
                                 VIRTIO_WL_QUEUE_SIZE, VIRTIO_WL_QUEUE_SIZE);
    vwl_timer_init(&core->crowd, vwl_crowd_on_timer);
    core->next_host_id = VIRTIO_WL_VFD_HOST_ID_BIT;
    core->vfds = g_hash_table_new(NULL, NULL);
    core->refused = g_hash_table_new(NULL, NULL);
    core->closer = config->closer ? config->closer : vwl_closer_create();
    core->syncer = vwl_closer_create();
    vwl_foreigns_init(&core->foreigns, vwl_vfd_feed);
    vwl_list_init(&core->contexts);
    vwl_list_init(&core->others);
    vwl_asks_init(&core->asks);
    vwl_channels_init(&core->channels);
    vwl_list_init(&core->waiting);
    vwl_list_init(&core->lingering);
    vwl_list_init(&core->base_waiters);
    vwl_list_init(&core->buffer_waiters);
    vwl_messages_init(&core->messages);
    vwl_share_init(&core->share);
    vwl_list_init(&core->queue_paused);
    vwl_list_init(&core->still);
    vwl_maps_init(core);
    vwl_held_init(&core->held, config->locks);
    err = core_open_fds(core);
    if (err < 0) {
        log_host_bug(log, "the core has no descriptors for itself: %s",
                     g_strerror(-err));
        vwl_core_destroy(core);
        return err;
    }
    *out = core;
    return 0;
}

void vwl_core_destroy(struct vwl_core *core)
{
    if (!core) {
        return;
    }
    vwl_core_reset(core, false);
    vwl_channels_finish(core);
    vwl_maps_finish(core);
    vwl_held_finish(&core->held);
    vwl_bounce_finish(&core->bounce);
    g_free(core->scratch);
    vwl_timers_finish(&core->timers);
    vwl_foreigns_finish(&core->foreigns);
    vwl_closer_destroy(core->syncer);
    if (!core->config.closer) {
        vwl_closer_destroy(core->closer);
    }
    vwl_asks_finish(&core->asks);
    vwl_watched_clear(&core->in);
    vwl_watched_clear(&core->out);
    g_hash_table_unref(core->vfds);
    g_hash_table_unref(core->refused);
    g_free(core);
}

void vwl_core_set_features(struct vwl_core *core, uint64_t features,
                           bool has_shm)
{
    core->features = features;
    core->has_shm = has_shm;
}

void vwl_core_set_in_flight_limit(struct vwl_core *core, unsigned int limit,
                                  unsigned int most, unsigned int entries)
{
    core->in_flight_limit = limit;
    core->in_flight_most = MAX(most, limit);
    core->ring_entries = entries;
}

static void core_drop_requests(struct vwl_core *core)
{
    while (!vwl_list_is_empty(&core->waiting)) {
        struct vwl_vfd *vfd = vwl_list_entry(core->waiting.next, struct vwl_vfd,
                                             waiting);

        vwl_wait_drop(vfd);
        core->n_creating -= vfd->creating ? 1 : 0;
        vfd->creating = NULL;
        vwl_list_remove(&vfd->waiting);
    }
    core->in_flight = 0;
    vwl_timer_cancel(&core->timers, &core->crowd);
}

static void core_close_all(struct vwl_list *vfds)
{
    while (!vwl_list_is_empty(vfds)) {
        vwl_vfd_close(vwl_list_entry(vfds->next, struct vwl_vfd, all), true);
    }
}

void vwl_core_reset(struct vwl_core *core, bool unmap)
{
    core_drop_requests(core);
    vwl_maps_hold(core); /* they are dealt with together, below */
    /* contexts first: what only their messages announce goes with them */
    core_close_all(&core->contexts);
    core_close_all(&core->others);
    while (!vwl_list_is_empty(&core->lingering)) {
        vwl_vfd_end_linger(
            vwl_list_entry(core->lingering.next, struct vwl_vfd, lingering));
    }
    vwl_maps_reset(core, unmap);
    vwl_share_reset(&core->share);
    vwl_ready_reset(&core->ready);
    vwl_foreigns_reset(&core->foreigns);
    core->next_host_id = VIRTIO_WL_VFD_HOST_ID_BIT;
    core->base_is_missing = false;
    core->counters.resets++;
}

void vwl_core_fail_requests(struct vwl_core *core,
                            bool (*filter)(void *opaque,
                                           const struct vwl_request *),
                            void *opaque)
{
    struct vwl_list *link = core->waiting.next;

    while (link != &core->waiting) {
        struct vwl_vfd *vfd = vwl_list_entry(link, struct vwl_vfd, waiting);
        bool hit = vfd->creating && (!filter || filter(opaque, vfd->creating));

        link = link->next;
        for (struct vwl_request *request = vfd->first_wait; request && !hit;
             request = request->next) {
            hit = !filter || filter(opaque, request);
        }
        if (hit && vfd->creating) {
            vwl_vfd_close(vfd, true); /* answers it, too */
        } else if (hit) {
            vwl_vfd_hang_up(vfd);
        }
    }
}

void vwl_core_dispatch_out(struct vwl_core *core)
{
    struct epoll_event events[64];
    int n = vwl_look(core->out.fd, events, G_N_ELEMENTS(events));
    bool timers = false, foreigns = false, asks = false;

    for (int i = 0; i < n; i++) {
        struct vwl_vfd *vfd = events[i].data.ptr;
        struct vwl_channel *channel = vwl_channels_find(core, vfd);

        if (channel) {
            vwl_connect_answered(core, channel);
        } else if (events[i].data.ptr == &core->foreigns) {
            foreigns = true;
        } else if (events[i].data.ptr == &core->asks) {
            asks = true;
        } else if (vfd && vfd->ops->on_ready) {
            vfd->ops->on_ready(vfd, events[i].events);
        } else if (vfd) {
            vwl_vfd_on_peer(vfd, events[i].events);
        } else {
            timers = true;
        }
    }
    /* last: they may free what has an event of this round */
    if (foreigns) {
        vwl_foreigns_dispatch(core);
    }
    if (asks) {
        vwl_asks_dispatch(core);
    }
    if (timers) {
        vwl_timers_run(&core->timers);
    }
    vwl_command_resume(core);
}

int vwl_core_execute(struct vwl_core *core, struct vwl_request *request)
{
    int err = vwl_command_execute(core, request);

    vwl_command_resume(core);
    return err;
}

ssize_t vwl_core_next_message(struct vwl_core *core, const struct iovec *buffer,
                              unsigned int n_buffer, uint64_t token)
{
    return vwl_turns_next_message(core, buffer, n_buffer, token);
}

void vwl_core_hoard(struct vwl_core *core)
{
    vwl_turns_hoard(core);
}

void vwl_core_hoard_end(struct vwl_core *core)
{
    vwl_turns_hoard_end(core);
}

bool vwl_core_has_more(const struct vwl_core *core)
{
    return vwl_turns_has_more(core);
}

bool vwl_core_wants_buffers(const struct vwl_core *core)
{
    return !vwl_list_is_empty(&core->share.paused);
}

void vwl_core_buffer_returned(struct vwl_core *core, uint64_t token)
{
    vwl_turns_buffer_returned(core, token);
}

void vwl_core_buffers_free(struct vwl_core *core, unsigned int n_free,
                           unsigned int ring_size)
{
    vwl_turns_buffers_free(core, n_free, ring_size);
}

struct vwl_watched *vwl_core_in(struct vwl_core *core)
{
    return &core->in;
}

struct vwl_watched *vwl_core_out(struct vwl_core *core)
{
    return &core->out;
}

int vwl_core_in_fd(const struct vwl_core *core)
{
    return core->in.fd;
}

int vwl_core_out_fd(const struct vwl_core *core)
{
    return core->out.fd;
}

void vwl_core_base_changed(struct vwl_core *core)
{
    vwl_memory_base_changed(core);
    vwl_command_resume(core);
}

void vwl_core_buffers_changed(struct vwl_core *core)
{
    vwl_dmabuf_offer_changed(core);
    vwl_command_resume(core);
}

void vwl_core_map_done(struct vwl_core *core, uint64_t cookie, int err)
{
    vwl_map_done(core, cookie, err);
    vwl_command_resume(core);
}

void vwl_core_unmap_done(struct vwl_core *core, uint64_t cookie, int err)
{
    vwl_map_unmap_done(core, cookie, err);
    vwl_command_resume(core);
}

bool vwl_core_owns_file(const struct vwl_core *core, uint64_t st_dev,
                        uint64_t st_ino, uint64_t *shm_offset)
{
    return vwl_maps_own_file(&core->maps, st_dev, st_ino, shm_offset);
}

void vwl_core_remake(struct vwl_core *core)
{
    vwl_maps_remake(core);
}

bool vwl_core_is_restoring(const struct vwl_core *core)
{
    return core->maps.n_restored > 0;
}

void vwl_core_windows(const struct vwl_core *core, GString *lines)
{
    const struct vwl_list *contexts = &core->contexts;

    for (const struct vwl_list *at = contexts->next; at != contexts;
         at = at->next) {
        const struct vwl_vfd *vfd = vwl_list_entry(at, struct vwl_vfd, all);

        if (vfd->filter) {
            vwl_filter_windows(vfd->filter, lines);
        }
    }
}

int vwl_core_pipe(struct vwl_core *core, uint32_t id)
{
    const struct vwl_vfd *vfd = vwl_vfd_find(core, id);
    int fd;

    if (!vfd) {
        return -ENOENT;
    }
    if (vfd->how != VWL_PEER_SHARED_PIPE || vfd->fd < 0 ||
        vfd->flags != VIRTIO_WL_VFD_WRITE || vfd->outbox.len > 0 ||
        vfd->n_waiting > 0) {
        return -EOPNOTSUPP;
    }
    fd = fcntl(vfd->fd, F_DUPFD_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

void vwl_core_stats(const struct vwl_core *core, struct vwl_stats *stats)
{
    const struct vwl_stats *counters = &core->counters;

    stats->vfds = core->n_vfds;
    stats->contexts = core->n_contexts;
    stats->dmabufs = core->n_dmabufs;
    stats->guest_pages = core->n_pages;
    stats->guest_pages_bytes = core->pages_bytes;
    stats->shm_bytes = core->shm_bytes;
    stats->shm_mappings = core->maps.n_mapped;
    stats->in_flight = core->in_flight;
    stats->queued_bytes = core->messages.queued_bytes;
    stats->requests = counters->requests;
    stats->refused = counters->refused;
    stats->messages = counters->messages;
    stats->sent_bytes = counters->sent_bytes;
    stats->received_bytes = counters->received_bytes;
    stats->hangups = counters->hangups;
    stats->resets = counters->resets;
}
