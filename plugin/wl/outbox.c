/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "base/fd.h"
#include "base/iov.h"
#include "wl/foreign.h"
#include "wl/parcel.h"
#include "wl/state.h"
#include "wl/vfd.h"
#include "wl/wait.h"

#define ALL_FDS (VWL_OUTBOX_FDS + VIRTWL_SEND_MAX_ALLOCS)

/* One peer gets no more than this in one go: others wait for us. */
#define TURN_BYTES (1024u * 1024u)

static void drop_held(struct vwl_outbox *outbox)
{
    if (outbox->held) {
        outbox->n_fds -= outbox->held->n;
        vwl_parcel_destroy(outbox->held);
        outbox->held = NULL;
    }
}

void vwl_outbox_clear(struct vwl_vfd *vfd)
{
    struct vwl_outbox *outbox = &vfd->outbox;

    vfd->core->outbox_bytes -= outbox->len;
    while (outbox->first) {
        struct vwl_parcel *parcel = outbox->first;

        outbox->first = parcel->next;
        vwl_parcel_destroy(parcel);
    }
    drop_held(outbox);
    g_free(outbox->data);
    *outbox = (struct vwl_outbox){ 0 };
}

static bool is_short_of_resources(int err)
{
    return err == -ENOMEM || err == -ENOBUFS || err == -ETOOMANYREFS ||
           err == -EMFILE || err == -ENFILE;
}

/* Sends from the request's memory until the peer takes no more. Returns 0
 * (request->progress tells), or why the peer is broken. */
static int push(struct vwl_vfd *vfd, struct vwl_request *request,
                const int *fds, unsigned int n_fds)
{
    size_t turn = 0;

    while (request->progress < request->total_bytes && turn < TURN_BYTES) {
        struct iovec iov[IOV_MAX];
        unsigned int n_iov;
        ssize_t n;

        n_iov = vwl_iov_slice(request->payload, request->n_payload,
                              request->progress,
                              request->total_bytes - request->progress, iov,
                              IOV_MAX, NULL);
        if (n_iov == 0) {
            return -EFAULT;
        }
        n = vwl_peer_write(vfd->how, vfd->fd, &vfd->core->bounce, iov, n_iov,
                           fds, n_fds);
        if (n == -EAGAIN) {
            return 0;
        }
        if (n < 0) {
            return (int)n;
        }
        n_fds = 0;
        request->progress += (size_t)n;
        turn += (size_t)n;
        vfd->core->counters.sent_bytes += (uint64_t)n;
    }
    return 0;
}

static bool fits(const struct vwl_vfd *vfd, size_t bytes, unsigned int n_fds)
{
    const struct vwl_outbox *outbox = &vfd->outbox;

    return outbox->len + bytes <= VWL_OUTBOX_BYTES &&
           outbox->n_fds + n_fds <= VWL_OUTBOX_FDS &&
           vfd->core->outbox_bytes + bytes <=
               vfd->core->config.max_queued_bytes;
}

/* Copies the rest of the request, which fits; takes the parcel. */
static int append(struct vwl_vfd *vfd, struct vwl_request *request,
                  struct vwl_parcel *parcel)
{
    struct vwl_outbox *outbox = &vfd->outbox;
    size_t bytes = request->total_bytes - request->progress;

    if (outbox->start + outbox->len + bytes > outbox->cap) {
        size_t cap = 1024;
        char *data;

        while (cap < outbox->len + bytes) {
            cap *= 2;
        }
        data = g_try_malloc(cap);
        if (!data) {
            return -ENOMEM;
        }
        if (outbox->len) {
            memcpy(data, outbox->data + outbox->start, outbox->len);
        }
        g_free(outbox->data);
        outbox->data = data;
        outbox->start = 0;
        outbox->cap = cap;
    }
    vwl_iov_read(request->payload, request->n_payload, request->progress,
                 outbox->data + outbox->start + outbox->len, bytes);
    if (parcel) {
        parcel->at = outbox->at + outbox->len;
        if (outbox->first) {
            outbox->last->next = parcel;
        } else {
            outbox->first = parcel;
        }
        outbox->last = parcel;
        outbox->n_fds += parcel->n;
    }
    outbox->len += bytes;
    vfd->core->outbox_bytes += bytes;
    vfd->core->counters.sent_bytes += bytes;
    return 0;
}

/* 0: it is empty; -EAGAIN: the peer takes no more; else it is broken. */
static int flush(struct vwl_vfd *vfd)
{
    struct vwl_outbox *outbox = &vfd->outbox;

    while (outbox->len > 0) {
        struct vwl_parcel *parcel = outbox->first;
        bool rides = parcel && parcel->at == outbox->at;
        struct vwl_parcel *next = rides ? parcel->next : parcel;
        struct iovec iov = { outbox->data + outbox->start, outbox->len };
        ssize_t n;

        if (next) {
            iov.iov_len = (size_t)(next->at - outbox->at);
        }
        n = vwl_peer_write(vfd->how, vfd->fd, &vfd->core->bounce, &iov, 1,
                           rides ? parcel->fds : NULL, rides ? parcel->n : 0);
        if (n < 0) {
            return (int)n;
        }
        if (rides) {
            outbox->first = parcel->next;
            outbox->n_fds -= parcel->n;
            vwl_parcel_destroy(parcel);
        }
        outbox->start += (size_t)n;
        outbox->at += (uint64_t)n;
        outbox->len -= (size_t)n;
        vfd->core->outbox_bytes -= (uint64_t)n;
    }
    g_free(outbox->data);
    outbox->data = NULL;
    outbox->start = outbox->cap = 0;
    return 0;
}

void vwl_outbox_break(struct vwl_vfd *vfd)
{
    vfd->send_broken = true;
    vwl_outbox_clear(vfd);
    vwl_wait_fail(vfd, VIRTIO_WL_RESP_ERR);
    vwl_vfd_watch(vfd);
    if (vfd->refs & VWL_REF_LINGER) {
        vwl_vfd_end_linger(vfd);
    } else if (!(vfd->flags & VIRTIO_WL_VFD_READ)) {
        vwl_vfd_in_end(vfd); /* nobody else would notice */
    }
}

static int answer_errno(struct vwl_vfd *vfd, struct vwl_request *request,
                        int err)
{
    vwl_answer(vfd->core, request, vwl_response_of(err));
    return 0;
}

/* What is held, then these: how many. */
static unsigned int with_held(const struct vwl_outbox *outbox, const int *fds,
                              unsigned int n_fds, int all[ALL_FDS])
{
    unsigned int n = 0;

    if (outbox->held) {
        n = outbox->held->n;
        memcpy(all, outbox->held->fds, n * sizeof(int));
    }
    if (n_fds) {
        memcpy(all + n, fds, n_fds * sizeof(int));
    }
    return n + n_fds;
}

/* Descriptors alone: a stream socket would drop them. */
static int hold(struct vwl_vfd *vfd, const int *fds, unsigned int n_fds)
{
    struct vwl_outbox *outbox = &vfd->outbox;
    int all[ALL_FDS];
    struct vwl_parcel *parcel;
    int err;

    if (outbox->n_fds + n_fds > VWL_OUTBOX_FDS) {
        log_guest_bug(vfd->core->log,
                      "ctx 0x%" PRIx32 ": too many"
                      " descriptors without data",
                      vfd->id);
        return -EINVAL;
    }
    err = vwl_parcel_create(all, with_held(outbox, fds, n_fds, all), &parcel);
    if (err < 0) {
        return err;
    }
    drop_held(outbox);
    outbox->held = parcel;
    outbox->n_fds += parcel->n;
    return 0;
}

/* What was not taken at once: copied, or it waits. asked: of the last fds. */
static int send_later(struct vwl_vfd *vfd, struct vwl_request *request,
                      const int *fds, unsigned int n_fds,
                      unsigned int first_asked, uint32_t asked)
{
    size_t rest = request->total_bytes - request->progress;
    struct vwl_parcel *parcel = NULL;
    int err;

    if (n_fds) {
        err = vwl_parcel_create(fds, n_fds, &parcel);
        if (err == 0 && asked) {
            err = vwl_foreign_begin(vfd, parcel, first_asked, asked);
        }
        if (err < 0) {
            vwl_parcel_destroy(parcel);
            return answer_errno(vfd, request, err);
        }
    }
    drop_held(&vfd->outbox);
    if (!asked && !vfd->first_wait && fits(vfd, rest, n_fds) &&
        append(vfd, request, parcel) == 0) {
        vwl_answer(vfd->core, request, VIRTIO_WL_RESP_OK);
        vwl_vfd_watch(vfd);
        return 0;
    }
    return vwl_wait_begin(vfd, request, parcel);
}

int vwl_outbox_send(struct vwl_vfd *vfd, struct vwl_request *request,
                    size_t skip, const int *fds, unsigned int n_fds,
                    uint32_t asked)
{
    struct vwl_outbox *outbox = &vfd->outbox;
    int all[ALL_FDS];
    unsigned int n, first;
    int err;

    if (vfd->send_broken || vfd->fd < 0) {
        return answer_errno(vfd, request, -EPIPE);
    }
    if (skip == request->total_bytes && !asked) {
        err = !n_fds ? 0 : vfd->first_wait ? -EINVAL : hold(vfd, fds, n_fds);
        vwl_answer(vfd->core, request,
                   err < 0 ? vwl_response_of(err) : VIRTIO_WL_RESP_OK);
        return 0;
    }
    n = with_held(outbox, fds, n_fds, all);
    first = n - n_fds;
    request->progress = skip;
    if (outbox->len == 0 && !vfd->first_wait && !asked) {
        err = push(vfd, request, all, n);
        if (err < 0 && request->progress == skip &&
            is_short_of_resources(err)) {
            return answer_errno(vfd, request, err);
        }
        if (err < 0) {
            vwl_outbox_break(vfd);
            return answer_errno(vfd, request, -EPIPE);
        }
        if (request->progress > skip) {
            drop_held(outbox);
            n = 0;
        }
        if (request->progress == request->total_bytes) {
            vwl_answer(vfd->core, request, VIRTIO_WL_RESP_OK);
            vwl_inbox_expect(vfd);
            return 0;
        }
    }
    return send_later(vfd, request, all, n, first, asked);
}

/* Descriptors that were asked for have come, or will not. The response, when
 * there is nothing else to do. */
static uint32_t end_asking(struct vwl_vfd *vfd,
                           const struct vwl_request *request)
{
    struct vwl_parcel *parcel = request->waits_on;
    uint32_t refusal = vwl_foreign_end(parcel);
    int err;

    if (refusal || request->progress < request->total_bytes) {
        return refusal;
    }
    err = hold(vfd, parcel->fds, parcel->n);
    return err < 0 ? vwl_response_of(err) : VIRTIO_WL_RESP_OK;
}

/* Its first bytes, with its descriptors and those that were held meanwhile. */
static int push_waiting(struct vwl_vfd *vfd, struct vwl_request *request)
{
    const struct vwl_parcel *parcel = request->waits_on;
    unsigned int n_fds = parcel ? parcel->n : 0;
    size_t before = request->progress;
    int all[ALL_FDS], err;

    if (!vfd->outbox.held || vfd->outbox.held->n + n_fds > ALL_FDS) {
        return push(vfd, request, parcel ? parcel->fds : NULL, n_fds);
    }
    n_fds = with_held(&vfd->outbox, parcel ? parcel->fds : NULL, n_fds, all);
    err = push(vfd, request, all, n_fds);
    if (request->progress > before) {
        drop_held(&vfd->outbox);
    }
    return err;
}

/* 0: the first waiting request is done; -EAGAIN; else the peer is broken. */
static int feed_request(struct vwl_vfd *vfd)
{
    struct vwl_request *request = vfd->first_wait;
    struct vwl_parcel *parcel = request->waits_on;
    size_t before = request->progress;
    uint32_t response;
    int err;

    if (vwl_foreign_is_due(request)) {
        return -EAGAIN;
    }
    if (parcel && parcel->foreign) {
        response = end_asking(vfd, request);
        if (response) {
            vwl_wait_complete(vfd, response);
            return 0;
        }
    }
    err = push_waiting(vfd, request);
    if (err < 0) {
        return err;
    }
    if (request->progress > before) {
        vwl_parcel_destroy(parcel);
        request->waits_on = parcel = NULL;
    }
    if (request->progress < request->total_bytes) {
        if (vfd->outbox.held ||
            !fits(vfd, request->total_bytes - request->progress,
                  parcel ? parcel->n : 0) ||
            append(vfd, request, parcel) < 0) {
            return -EAGAIN;
        }
        request->waits_on = NULL;
    }
    vwl_wait_complete(vfd, VIRTIO_WL_RESP_OK);
    return 0;
}

int vwl_outbox_restore(struct vwl_vfd *vfd, const void *data, size_t len)
{
    struct vwl_outbox *outbox = &vfd->outbox;
    int err;

    if (len == 0) {
        return 0;
    }
    outbox->data = g_try_malloc(len);
    if (!outbox->data) {
        return -ENOMEM;
    }
    memcpy(outbox->data, data, len);
    outbox->cap = outbox->len = len;
    vfd->core->outbox_bytes += len;
    err = flush(vfd);
    return err == -EAGAIN ? 0 : err;
}

void vwl_outbox_feed(struct vwl_vfd *vfd)
{
    int err = flush(vfd);

    while (err == 0 && vfd->first_wait && vfd->outbox.len == 0) {
        err = feed_request(vfd);
    }
    if (err < 0 && err != -EAGAIN) {
        if (!is_short_of_resources(err) || !(vfd->refs & VWL_REF_GUEST)) {
            vwl_outbox_break(vfd);
            return;
        }
        log_host_bug(vfd->core->log, "%s 0x%" PRIx32 ": sending: %s",
                     vfd->ops->name, vfd->id, g_strerror(-err));
        vwl_vfd_hang_up(vfd);
        return;
    }
    vwl_vfd_watch(vfd);
    if (vfd->outbox.len == 0 && (vfd->refs & VWL_REF_LINGER)) {
        vwl_vfd_end_linger(vfd);
    }
}
