/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/kinds/dmabuf.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>

#include "base/fd.h"
#include "wl/answer.h"
#include "wl/kinds/dmabuf_sync.h"
#include "wl/kinds/kinds.h"
#include "wl/kinds/memory.h"
#include "wl/outbox/wait.h"
#include "wl/peer/classify.h"
#include "wl/request.h"
#include "wl/state.h"

/* How long a request waits for somebody to know what the compositor takes. */
#define OFFER_MS 1000

struct vwl_dmabuf {
    struct vwl_memory memory;
    struct vwl_buffer_wish wish;  /* of the guest */
    struct vwl_buffer layout;     /* strides and offsets alone */
    uint32_t watched;             /* epoll events of send_fd; 0 */
    bool received;                /* a host peer has it */
    struct vwl_dmabuf_sync *sync; /* the first request waits for it; NULL */
};

static struct vwl_dmabuf *dmabuf_of(struct vwl_vfd *vfd)
{
    return (struct vwl_dmabuf *)(void *)vfd;
}

bool vwl_dmabuf_is(const struct vwl_vfd *vfd)
{
    return vfd->ops == &vwl_dmabuf_ops;
}

/* ---- synchronising ------------------------------------------------------ */

/* What must be over before the processor may go on: writes of devices before
 * it reads, their reads, too, before it writes. */
static short sync_awaits(uint32_t flags)
{
    if (flags & VIRTIO_WL_DMABUF_SYNC_END) {
        return 0;
    }
    return flags & VIRTIO_WL_DMABUF_SYNC_WRITE ? POLLOUT : POLLIN;
}

static uint32_t sync_flags(const struct vwl_request *request)
{
    return VWL_REQUEST32(request, virtio_wl_ctrl_vfd_dmabuf_sync, flags);
}

static bool sync_is_ready(const struct vwl_vfd *vfd, uint32_t flags)
{
    struct pollfd p = { .fd = vfd->send_fd, .events = sync_awaits(flags) };

    return p.events == 0 || poll(&p, 1, 0) != 0;
}

/* Nobody but us has it, or what is asked waits for nobody. */
static bool sync_is_instant(const struct vwl_vfd *vfd, uint32_t flags)
{
    const struct vwl_dmabuf *dmabuf = (const struct vwl_dmabuf *)(const void *)
        vfd;

    return sync_awaits(flags) == 0 ||
           (!dmabuf->received && !dmabuf->memory.sent);
}

static int sync_result(const struct vwl_vfd *vfd, int err)
{
    if (err < 0) {
        log_host_bug(vfd->core->log,
                     "dmabuf 0x%" PRIx32
                     ": its device does not synchronise: %s",
                     vfd->id, g_strerror(-err));
        return -EIO;
    }
    return 0;
}

static int sync_carry_out(const struct vwl_vfd *vfd, uint32_t flags)
{
    return sync_result(vfd, vwl_dmabuf_sync_now(vfd->send_fd, flags));
}

/* It goes on when the thread is back. 0 or -errno. */
static int sync_by_thread(struct vwl_vfd *vfd, uint32_t flags)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = vfd };
    struct vwl_dmabuf *dmabuf = dmabuf_of(vfd);
    struct vwl_core *core = vfd->core;
    int err = vwl_dmabuf_sync_begin(core->syncer, vfd->send_fd, flags,
                                    &dmabuf->sync);

    if (err == 0 && epoll_ctl(core->out.fd, EPOLL_CTL_ADD,
                              vwl_dmabuf_sync_fd(dmabuf->sync), &event) < 0) {
        err = -errno;
        vwl_dmabuf_sync_end(g_steal_pointer(&dmabuf->sync));
    }
    return err;
}

/* What the thread's call has returned; -EINPROGRESS: nothing yet. */
static int sync_take(struct vwl_dmabuf *dmabuf)
{
    struct pollfd p = { .fd = vwl_dmabuf_sync_fd(dmabuf->sync),
                        .events = POLLIN };

    return poll(&p, 1, 0) == 1
               ? vwl_dmabuf_sync_end(g_steal_pointer(&dmabuf->sync))
               : -EINPROGRESS;
}

/* False: it cannot be watched. */
static bool dmabuf_watch(struct vwl_vfd *vfd)
{
    struct vwl_dmabuf *dmabuf = dmabuf_of(vfd);
    struct epoll_event event = { .data.ptr = vfd };
    uint32_t wanted = 0;
    int how;

    if (vfd->first_wait && !dmabuf->sync) {
        /* EPOLLIN and EPOLLOUT have the values of POLLIN and POLLOUT */
        wanted = (uint32_t)sync_awaits(sync_flags(vfd->first_wait));
    }
    if (wanted == dmabuf->watched) {
        return true;
    }
    how = !wanted           ? EPOLL_CTL_DEL
          : dmabuf->watched ? EPOLL_CTL_MOD
                            : EPOLL_CTL_ADD;
    dmabuf->watched = wanted;
    event.events = wanted;
    return epoll_ctl(vfd->core->out.fd, how, vfd->send_fd, &event) == 0 ||
           !wanted;
}

/* The first request that waits, as far as it goes. -EINPROGRESS: it waits. */
static int sync_first(struct vwl_vfd *vfd)
{
    struct vwl_dmabuf *dmabuf = dmabuf_of(vfd);
    uint32_t flags = sync_flags(vfd->first_wait);
    int err;

    if (dmabuf->sync) {
        err = sync_take(dmabuf);
        return err == -EINPROGRESS ? err : sync_result(vfd, err);
    }
    if (!sync_is_ready(vfd, flags)) {
        return -EINPROGRESS;
    }
    if (sync_is_instant(vfd, flags)) {
        return sync_carry_out(vfd, flags);
    }
    err = sync_by_thread(vfd, flags);
    return err < 0 ? sync_result(vfd, err) : -EINPROGRESS;
}

static void dmabuf_on_ready(struct vwl_vfd *vfd, uint32_t events)
{
    while (vfd->first_wait) {
        int err = sync_first(vfd);

        if (err == -EINPROGRESS) {
            break;
        }
        vwl_wait_complete(vfd, err);
    }
    if (!dmabuf_watch(vfd)) {
        vwl_wait_fail(vfd, -EIO);
    }
}

int vwl_dmabuf_sync(struct vwl_vfd *vfd, struct vwl_request *request)
{
    int ret;

    if (vfd->send_fd < 0) {
        return -EPIPE;
    }
    if (!vfd->first_wait && sync_is_ready(vfd, sync_flags(request)) &&
        sync_is_instant(vfd, sync_flags(request))) {
        return sync_carry_out(vfd, sync_flags(request));
    }
    ret = vwl_vfd_wait(vfd, request);
    if (ret == -EINPROGRESS) {
        dmabuf_on_ready(vfd, 0);
    }
    return ret;
}

static void dmabuf_unwatch(struct vwl_vfd *vfd)
{
    struct vwl_dmabuf *dmabuf = dmabuf_of(vfd);
    struct epoll_event event = { 0 };

    if (dmabuf->watched) {
        epoll_ctl(vfd->core->out.fd, EPOLL_CTL_DEL, vfd->send_fd, &event);
        dmabuf->watched = 0;
    }
    if (dmabuf->sync) {
        vwl_dmabuf_sync_end(g_steal_pointer(&dmabuf->sync));
    }
}

static void dmabuf_init(struct vwl_vfd *vfd)
{
    vwl_memory_init(vfd);
    vfd->core->n_dmabufs++;
}

static void dmabuf_free(struct vwl_vfd *vfd)
{
    vfd->core->n_dmabufs--;
    vwl_memory_free(vfd);
}

static void dmabuf_answer(const struct vwl_vfd *vfd,
                          struct vwl_vfd_words *words)
{
    vwl_memory_answer(vfd, words);
    words->layout = &((const struct vwl_dmabuf *)(const void *)vfd)->layout;
}

static int dmabuf_adopt(struct vwl_vfd *vfd, int *fd,
                        const struct vwl_fd_info *info, uint64_t *copied)
{
    vfd->send_fd = vwl_fd_steal(fd);
    dmabuf_of(vfd)->received = true;
    if (info->size_bytes > UINT32_MAX) {
        return -EFBIG;
    }
    if (!vfd->core->has_shm) {
        return -ENODEV;
    }
    vfd->size_bytes = info->size_bytes;
    return vwl_memory_map(vwl_memory_of(vfd), vfd->send_fd, info->size_bytes);
}

const struct vwl_vfd_ops vwl_dmabuf_ops = {
    .name = "dmabuf",
    .bytes = sizeof(struct vwl_dmabuf),
    .send_refusal = -VWL_EBADTYPE,
    .init = dmabuf_init,
    .free = dmabuf_free,
    .finish = dmabuf_unwatch,
    .answer = dmabuf_answer,
    .announce = vwl_memory_announce,
    .adopt = dmabuf_adopt,
    .fd_to_send = vwl_memory_fd_to_send,
    .sent = vwl_memory_sent,
    .on_ready = dmabuf_on_ready,
    .saved = {
        .kind = VWL_IMAGE_SHM,
        .describe = vwl_memory_describe,
        .file = vwl_memory_file,
    },
};

/* ---- making ------------------------------------------------------------- */

/* The guest's probe gets EBADCMD, and nobody else. */
static int dmabuf_offer(struct vwl_core *core)
{
    return core->ops->buffer_offer ? core->ops->buffer_offer(core->opaque)
                                   : -EOPNOTSUPP;
}

bool vwl_dmabuf_offered(struct vwl_core *core)
{
    return dmabuf_offer(core) != -EOPNOTSUPP;
}

static int dmabuf_alloc(struct vwl_dmabuf *dmabuf, struct vwl_buffer *made)
{
    struct vwl_vfd *vfd = &dmabuf->memory.vfd;
    struct vwl_core *core = vfd->core;
    struct vwl_buffer_wish wish = dmabuf->wish;
    int err;

    wish.max_bytes = MIN(vwl_core_shm_left(core), core->config.shm_window);
    err = core->ops->buffer_alloc(core->opaque, &wish, made);
    if (err == -VWL_EBADCMD) {
        err = -EIO;
    }
    /* without any size it is the question whether there are buffers, as
     * guests ask it */
    if (err < 0 && (wish.width != 0 || wish.height != 0)) {
        log_guest_bug(core->log,
                      "dmabuf 0x%" PRIx32 ": no buffer of %" PRIu32 "x%" PRIu32
                      " and format 0x%08" PRIx32 ": %s",
                      vfd->id, wish.width, wish.height, wish.format,
                      g_strerror(-err));
    }
    return err;
}

static int dmabuf_make(struct vwl_dmabuf *dmabuf)
{
    struct vwl_memory *memory = &dmabuf->memory;
    struct vwl_vfd *vfd = &memory->vfd;
    struct vwl_buffer made;
    int err = dmabuf_offer(vfd->core);

    if (err == -EOPNOTSUPP) {
        return -VWL_EBADCMD;
    }
    err = err < 0 ? err : dmabuf_alloc(dmabuf, &made);
    if (err < 0) {
        return err;
    }
    vfd->send_fd = made.fd;
    memory->copy_fd = made.map_fd;
    vfd->size_bytes = made.size_bytes;
    dmabuf->layout = made;
    err = vwl_memory_charge(memory, made.size_bytes);
    return err < 0 ? err
                   : vwl_memory_map(memory,
                                    made.map_fd >= 0 ? made.map_fd : made.fd,
                                    made.size_bytes);
}

/* last: nobody asks again. */
static void dmabuf_retry(struct vwl_dmabuf *dmabuf, bool last)
{
    struct vwl_vfd *vfd = &dmabuf->memory.vfd;
    int err = dmabuf_offer(vfd->core);

    if (err == -EINPROGRESS && !last) {
        return;
    }
    vwl_list_remove(&dmabuf->memory.waiter);
    vwl_timer_cancel(&vfd->core->timers, &vfd->timer);
    err = err == -EINPROGRESS ? -VWL_EBADCMD : dmabuf_make(dmabuf);
    if (err != -EINPROGRESS) {
        vwl_vfd_creation_end(vfd, err);
    }
}

static void dmabuf_on_offer_late(struct vwl_timer *timer)
{
    struct vwl_vfd *vfd = vwl_list_entry(timer, struct vwl_vfd, timer);

    dmabuf_retry(dmabuf_of(vfd), true);
}

void vwl_dmabuf_offer_changed(struct vwl_core *core)
{
    struct vwl_list *link = core->buffer_waiters.next;

    while (link != &core->buffer_waiters) {
        struct vwl_memory *memory = vwl_list_entry(link, struct vwl_memory,
                                                   waiter);

        link = link->next;
        dmabuf_retry(dmabuf_of(&memory->vfd), false);
    }
}

static int dmabuf_start(struct vwl_dmabuf *dmabuf, struct vwl_request *request)
{
    struct vwl_vfd *vfd = &dmabuf->memory.vfd;
    struct vwl_core *core = vfd->core;
    int err = dmabuf_make(dmabuf);

    if (err != -EINPROGRESS) {
        return err;
    }
    if (vfd->send_fd < 0) {
        vwl_list_insert(&core->buffer_waiters, &dmabuf->memory.waiter);
        vwl_timer_init(&vfd->timer, dmabuf_on_offer_late);
        vwl_timer_set(&core->timers, &vfd->timer, OFFER_MS);
    }
    err = vwl_vfd_creation_wait(vfd, request);
    return err < 0 ? err : -EINPROGRESS;
}

int vwl_dmabuf_create(struct vwl_core *core, struct vwl_request *request,
                      uint32_t id, const struct vwl_buffer_wish *wish)
{
    struct vwl_vfd *vfd;
    int err = vwl_vfd_create(core, &vwl_dmabuf_ops, id, &vfd);

    if (err < 0) {
        return err;
    }
    dmabuf_of(vfd)->wish = *wish;
    return vwl_vfd_created(vfd, request, dmabuf_start(dmabuf_of(vfd), request));
}
