/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/kinds/ctx_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/closer.h"
#include "base/fd.h"
#include "base/iov.h"
#include "policy/filter.h"
#include "wl/inbox/messages.h"
#include "wl/kinds/ctx.h"
#include "wl/kinds/ctx_ask.h"
#include "wl/kinds/received.h"
#include "wl/outbox/filtered.h"
#include "wl/state.h"
#include "wl/vfd.h"

static bool stat_file(int fd, struct statx *sx)
{
    return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC,
                 STATX_TYPE | STATX_SIZE, sx) == 0;
}

/* The guest's own pages, which are a dmabuf: that has a size, but no type. */
static bool is_pages(const struct vwl_core *core, const struct statx *sx)
{
    return core->n_pages > 0 && (sx->stx_mode & S_IFMT) == 0;
}

/* Files that shrink under a reader are the reader's fault to see; what has no
 * size of its own is no pool. No server is asked for it. */
static uint64_t filter_file_bytes(void *opaque, int fd)
{
    const struct vwl_vfd *vfd = opaque;
    struct statx sx;

    return stat_file(fd, &sx) &&
                   (S_ISREG(sx.stx_mode) || is_pages(vfd->core, &sx))
               ? sx.stx_size
               : 0;
}

/* What guests make themselves cannot grow. */
static int filter_keep_file(void *opaque, int fd)
{
    int seals = fcntl(fd, F_GET_SEALS), kept = -1;
    struct statx sx;

    if (!(seals >= 0 && (seals & F_SEAL_GROW)) && stat_file(fd, &sx) &&
        S_ISREG(sx.stx_mode)) {
        kept = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    }
    if (kept >= 0 && vwl_fd_admit(kept) < 0) {
        vwl_fd_clear(&kept);
    }
    return kept;
}

static void filter_close_fd(void *opaque, int fd)
{
    struct vwl_vfd *vfd = opaque;

    vwl_closer_close(vfd->core->closer, &fd);
}

static int filter_ask(void *opaque, enum vwl_transfer_kind kind,
                      enum vwl_way way, uint32_t ticket)
{
    return vwl_ask_begin(opaque, kind, way, ticket);
}

static void filter_unask(void *opaque, uint32_t ticket)
{
    vwl_ask_end(opaque, ticket);
}

/* Of all connections; a desktop's programs have some thousand objects, of 24
 * bytes each. */
#define OBJECTS_BYTES (INT64_C(64) * 1024 * 1024)

static bool filter_charge(void *opaque, int64_t bytes)
{
    const struct vwl_vfd *vfd = opaque;
    int64_t *sum = &vfd->core->objects_bytes;

    if (bytes > 0 && *sum + bytes > OBJECTS_BYTES) {
        return false;
    }
    *sum += bytes;
    return true;
}

/* Each thing is named once: a guest may go on trying. */
static void filter_refused(void *opaque, const void *what, const char *text)
{
    struct vwl_vfd *vfd = opaque;

    if (g_hash_table_add(vfd->core->refused, (void *)(uintptr_t)what)) {
        log_guest_bug(vfd->core->log, "ctx 0x%" PRIx32 ": %s", vfd->id, text);
    }
}

static const struct vwl_filter_ops filter_ops = {
    .file_bytes = filter_file_bytes,
    .close_fd = filter_close_fd,
    .ask = filter_ask,
    .unask = filter_unask,
    .keep_file = filter_keep_file,
    .charge = filter_charge,
    .refused = filter_refused,
};

const struct vwl_rules *vwl_ctx_rules(const struct vwl_vfd *vfd)
{
    const struct vwl_rules *const *rules = vfd->core->config.rules;
    const struct vwl_ctx *ctx = (const struct vwl_ctx *)(const void *)vfd;

    return rules ? rules[ctx->socket] : NULL;
}

void vwl_ctx_filter(struct vwl_vfd *vfd)
{
    const struct vwl_rules *rules = vwl_ctx_rules(vfd);

    if (rules) {
        vfd->filter = vwl_filter_create(rules, &filter_ops, vfd);
    }
}

static void ctx_log_end(struct vwl_vfd *vfd, int err)
{
    const void *what = vwl_filter_refused(vfd->filter);
    struct vwl_core *core = vfd->core;
    const char *why = vwl_filter_why(vfd->filter);

    if (err != -EPROTO) {
        log_compositor_bug(core->log,
                           "ctx 0x%" PRIx32 ": its peer sent %s; it is closed",
                           vfd->id, why);
    } else if (!what ||
               g_hash_table_add(core->refused, (void *)(uintptr_t)what)) {
        log_guest_bug(core->log, "ctx 0x%" PRIx32 ": %s; it is closed", vfd->id,
                      why);
    }
}

/* All that has passed, as messages. 0, or why it cannot be told. */
static int ctx_queue_passed(struct vwl_vfd *vfd)
{
    struct vwl_passed passed = vwl_filter_passed(vfd->filter, VWL_TO_GUEST);
    struct iovec iov = { (uint8_t *)(uintptr_t)passed.data, passed.len };
    int fds[VWL_PEER_MAX_FDS];
    int err = 0;

    if (passed.n_fds > VWL_PEER_MAX_FDS) {
        return -EMFILE; /* they go with the filter */
    }
    for (unsigned int i = 0; i < passed.n_fds; i++) {
        fds[i] = passed.fds[i].fd;
    }
    if (passed.n_fds) {
        err = vwl_received_message(vwl_ctx_of(vfd), fds, passed.n_fds, &iov, 1,
                                   passed.len);
    } else if (passed.len) {
        vwl_messages_push_recv(vfd, NULL, 0, passed.data, passed.len);
    }
    vwl_filter_taken(vfd->filter, VWL_TO_GUEST);
    return err;
}

/* What it is told is made by what it sends, which no queue holds back: a guest
 * that takes none of it may not go on for ever. More than one peer's answer. */
#define UNREAD_BYTES (UINT64_C(2) * 1024 * 1024)

static bool ctx_is_unread(const struct vwl_vfd *vfd)
{
    return vfd->core->messages.queued_bytes +
               vwl_filter_passed(vfd->filter, VWL_TO_GUEST).len >
           vfd->core->config.max_queued_bytes + UNREAD_BYTES;
}

void vwl_ctx_filtered(struct vwl_vfd *vfd, int err)
{
    struct vwl_ctx *ctx = vwl_ctx_of(vfd);
    int queued = 0;

    if (err < 0) {
        vwl_received_destroy(ctx->received); /* the error is told, not that */
    }
    if (!ctx->received) { /* else behind it, when that is settled */
        queued = ctx_queue_passed(vfd);
    }
    if (err < 0) {
        ctx_log_end(vfd, err);
        vwl_vfd_hang_up(vfd);
    } else if (queued < 0) {
        log_host_bug(vfd->core->log,
                     "ctx 0x%" PRIx32 ": a descriptor of its peer: %s; it is "
                     "closed",
                     vfd->id, g_strerror(-queued));
        vwl_vfd_hang_up(vfd);
    } else if (ctx_is_unread(vfd)) {
        log_guest_bug(vfd->core->log,
                      "ctx 0x%" PRIx32 ": the guest takes no answers; it is "
                      "closed",
                      vfd->id);
        vwl_vfd_hang_up(vfd);
    }
}

/* What its peer said made the filter send something. */
static void ctx_flush(struct vwl_vfd *vfd)
{
    if (!vfd->send_broken && vwl_filtered_flush(vfd) == 0 &&
        vfd->outbox.len > 0) {
        vwl_vfd_watch(vfd);
    }
}

/* What has passed, straight into the guest's buffer. 0: it was queued, or
 * there is nothing. */
static ssize_t ctx_hand_over(struct vwl_vfd *vfd, const struct iovec *buffer,
                             unsigned int n_buffer)
{
    struct vwl_passed passed = vwl_filter_passed(vfd->filter, VWL_TO_GUEST);
    uint8_t head[VWL_RECV_HEAD_BYTES];

    if (passed.len == 0) {
        return 0;
    }
    if (passed.n_fds || passed.len > VWL_RECV_DATA_BYTES ||
        vwl_iov_bytes(buffer, n_buffer) < sizeof head + passed.len) {
        vwl_ctx_filtered(vfd, 0);
        return 0;
    }
    vwl_messages_recv_head(head, vfd->id, 0);
    vwl_iov_write(buffer, n_buffer, 0, head, sizeof head);
    vwl_iov_write(buffer, n_buffer, sizeof head, passed.data, passed.len);
    vwl_filter_taken(vfd->filter, VWL_TO_GUEST);
    return (ssize_t)(sizeof head + passed.len);
}

/* Up to so many bytes of its peer, through the filter, whose output may be more
 * or less. False: nothing came, or it ended. The filter looks at bytes that no
 * guest can change meanwhile, so not in the guest's buffers. */
static bool ctx_pull(struct vwl_vfd *vfd, uint8_t *data, size_t len)
{
    struct iovec iov = { data, len };
    int fds[VWL_PEER_MAX_FDS], err;
    unsigned int n_fds = 0;
    ssize_t n = vwl_peer_read_fds(vfd->fd, &iov, 1, fds, &n_fds,
                                  vfd->core->closer);

    vfd->had_more = n == (ssize_t)len;
    if (n == -EAGAIN) {
        return false;
    }
    if (n <= 0) {
        vwl_ctx_read_end(vfd, (int)n);
        return false;
    }
    err = vwl_filter_push(vfd->filter, VWL_TO_GUEST, data, (size_t)n, fds,
                          n_fds);
    ctx_flush(vfd);
    if (err < 0) {
        vwl_ctx_filtered(vfd, err);
        return false;
    }
    return true;
}

ssize_t vwl_ctx_filtered_receive(struct vwl_vfd *vfd,
                                 const struct iovec *buffer,
                                 unsigned int n_buffer)
{
    uint8_t data[VWL_RECV_DATA_BYTES];

    return ctx_pull(vfd, data, sizeof data)
               ? ctx_hand_over(vfd, buffer, n_buffer)
               : 0;
}

/* What the filter may have held back of a message fits in, too. */
#define HELD_BYTES 4096u
#define SCRATCH_BYTES ((1 + VWL_MORE_MAX) * VWL_RECV_DATA_BYTES - HELD_BYTES)

ssize_t vwl_ctx_filtered_read(struct vwl_vfd *vfd, const struct iovec *iov,
                              unsigned int n_iov)
{
    struct vwl_core *core = vfd->core;
    size_t room = vwl_iov_bytes(iov, n_iov);
    uint8_t few[VWL_RECV_DATA_BYTES];
    struct vwl_passed passed;

    if (!core->scratch) {
        core->scratch = g_try_malloc(SCRATCH_BYTES);
    }
    if (!ctx_pull(vfd, core->scratch ? core->scratch : few,
                  core->scratch ? MIN(room - HELD_BYTES, SCRATCH_BYTES)
                                : sizeof few)) {
        return 0;
    }
    passed = vwl_filter_passed(vfd->filter, VWL_TO_GUEST);
    if (passed.n_fds || passed.len > room) {
        vwl_ctx_filtered(vfd, 0);
        return 0;
    }
    vwl_iov_write(iov, n_iov, 0, passed.data, passed.len);
    vwl_filter_taken(vfd->filter, VWL_TO_GUEST);
    return (ssize_t)passed.len;
}
