/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/outbox/outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "base/closer.h"
#include "base/iov.h"
#include "wl/outbox/foreign.h"
#include "wl/outbox/parcel.h"
#include "wl/outbox/wait.h"
#include "wl/state.h"
#include "wl/vfd.h"

#define ALL_FDS (VWL_OUTBOX_FDS + VIRTWL_SEND_MAX_ALLOCS)

/* One peer gets no more than this in one go: others wait for us. */
#define TURN_BYTES (1024u * 1024u)

static void outbox_drop_held(struct vwl_outbox *outbox)
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
    outbox_drop_held(outbox);
    g_free(outbox->data);
    *outbox = (struct vwl_outbox){ 0 };
}

static bool outbox_is_shortage(int err)
{
    return err == -ENOMEM || err == -ENOBUFS || err == -ETOOMANYREFS ||
           err == -EMFILE || err == -ENFILE;
}

/* Sends from the request's memory until the peer takes no more. Returns 0
 * (request->progress tells), or why the peer is broken. */
static int request_push(struct vwl_vfd *vfd, struct vwl_request *request,
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

static bool outbox_fits(const struct vwl_vfd *vfd, size_t bytes,
                        unsigned int n_fds)
{
    const struct vwl_outbox *outbox = &vfd->outbox;

    return outbox->len + bytes <= VWL_OUTBOX_BYTES &&
           outbox->n_fds + n_fds <= VWL_OUTBOX_FDS &&
           vfd->core->outbox_bytes + bytes <=
               vfd->core->config.max_queued_bytes;
}

/* Where as many bytes more can be written; NULL: no memory. */
static char *outbox_make_room(struct vwl_outbox *outbox, size_t bytes)
{
    if (outbox->start + outbox->len + bytes > outbox->cap) {
        size_t cap = 1024;
        char *data;

        while (cap < outbox->len + bytes) {
            cap *= 2;
        }
        data = g_try_malloc(cap);
        if (!data) {
            return NULL;
        }
        if (outbox->len) {
            memcpy(data, outbox->data + outbox->start, outbox->len);
        }
        g_free(outbox->data);
        outbox->data = data;
        outbox->start = 0;
        outbox->cap = cap;
    }
    return outbox->data + outbox->start + outbox->len;
}

/* So many bytes were written there; takes the parcel. */
static void outbox_count(struct vwl_vfd *vfd, size_t bytes,
                         struct vwl_parcel *parcel)
{
    struct vwl_outbox *outbox = &vfd->outbox;

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
}

/* Copies the rest of the request, which fits; takes the parcel. */
static int outbox_append(struct vwl_vfd *vfd, struct vwl_request *request,
                         struct vwl_parcel *parcel)
{
    size_t bytes = request->total_bytes - request->progress;
    char *to = outbox_make_room(&vfd->outbox, bytes);

    if (!to) {
        return -ENOMEM;
    }
    vwl_iov_read(request->payload, request->n_payload, request->progress, to,
                 bytes);
    outbox_count(vfd, bytes, parcel);
    vfd->core->counters.sent_bytes += bytes;
    return 0;
}

int vwl_outbox_put(struct vwl_vfd *vfd, const void *data, size_t len, int *fds,
                   unsigned int n_fds)
{
    struct vwl_parcel *parcel = NULL;
    const char *at = data;
    char *to;

    while (len > 0 && vfd->outbox.len == 0) {
        struct iovec iov = { (char *)(uintptr_t)at, len };
        ssize_t n = vwl_peer_write(vfd->how, vfd->fd, &vfd->core->bounce, &iov,
                                   1, fds, n_fds);

        if (n < 0 && n != -EAGAIN && !outbox_is_shortage((int)n)) {
            vwl_closer_close_all(vfd->core->closer, fds, n_fds);
            return -EPIPE;
        }
        if (n < 0) {
            break;
        }
        vwl_closer_close_all(vfd->core->closer, fds, n_fds);
        n_fds = 0;
        at += n;
        len -= (size_t)n;
    }
    if (len == 0) {
        return 0;
    }
    to = outbox_make_room(&vfd->outbox, len);
    if (!to || (n_fds &&
                vwl_parcel_adopt(vfd->core->closer, fds, n_fds, &parcel) < 0)) {
        vwl_closer_close_all(vfd->core->closer, fds, n_fds);
        return -EPIPE;
    }
    memcpy(to, at, len);
    outbox_count(vfd, len, parcel);
    return 0;
}

/* 0: it is empty; -EAGAIN: the peer takes no more; else it is broken. */
static int outbox_flush(struct vwl_vfd *vfd)
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

/* What is held, then these: how many. */
static unsigned int outbox_with_held(const struct vwl_outbox *outbox,
                                     const int *fds, unsigned int n_fds,
                                     int all[ALL_FDS])
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
static int outbox_hold(struct vwl_vfd *vfd, const int *fds, unsigned int n_fds)
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
    err = vwl_parcel_create(vfd->core->closer, all,
                            outbox_with_held(outbox, fds, n_fds, all), &parcel);
    if (err < 0) {
        return err;
    }
    outbox_drop_held(outbox);
    outbox->held = parcel;
    outbox->n_fds += parcel->n;
    return 0;
}

/* What was not taken at once: copied, or it waits. asked: of the last fds. */
static int outbox_keep(struct vwl_vfd *vfd, struct vwl_request *request,
                       const int *fds, unsigned int n_fds,
                       unsigned int first_asked, uint32_t asked)
{
    size_t rest = request->total_bytes - request->progress;
    struct vwl_parcel *parcel = NULL;
    int err;

    if (n_fds) {
        err = vwl_parcel_create(vfd->core->closer, fds, n_fds, &parcel);
        if (err == 0 && asked) {
            err = vwl_foreign_begin(vfd, parcel, first_asked, asked);
        }
        if (err < 0) {
            vwl_parcel_destroy(parcel);
            return err;
        }
    }
    outbox_drop_held(&vfd->outbox);
    if (!asked && !vfd->first_wait && outbox_fits(vfd, rest, n_fds) &&
        outbox_append(vfd, request, parcel) == 0) {
        return 0;
    }
    request->waits_on = parcel;
    return -EINPROGRESS;
}

/*
 * Nothing overtakes what was sent before. A SEND without data is held until
 * data follow. With data, in turn:
 *
 *   outbox empty, no request waits,   the peer gets what it takes, with the
 *   no descriptor asked for           descriptors that were held and these
 *   a rest, which fits, no request    copied into the outbox; descriptors go
 *   waits, none asked for             along if no byte went before
 *   else                              waits in flight, likewise
 */
int vwl_outbox_send(struct vwl_vfd *vfd, struct vwl_request *request,
                    size_t skip, const int *fds, unsigned int n_fds,
                    uint32_t asked)
{
    struct vwl_outbox *outbox = &vfd->outbox;
    int all[ALL_FDS];
    unsigned int n, first;
    int err;

    if (skip == request->total_bytes && !asked) {
        return !n_fds            ? 0
               : vfd->first_wait ? -EINVAL
                                 : outbox_hold(vfd, fds, n_fds);
    }
    n = outbox_with_held(outbox, fds, n_fds, all);
    first = n - n_fds;
    request->progress = skip;
    if (outbox->len == 0 && !vfd->first_wait && !asked) {
        err = request_push(vfd, request, all, n);
        if (err < 0) {
            return request->progress == skip && outbox_is_shortage(err)
                       ? err
                       : -EPIPE;
        }
        if (request->progress > skip) {
            outbox_drop_held(outbox);
            n = 0;
        }
        if (request->progress == request->total_bytes) {
            return 0;
        }
    }
    return outbox_keep(vfd, request, all, n, first, asked);
}

/* Descriptors that were asked for have come, or will not. 0: go on sending;
 * 1: they are held, and there is nothing else to do; or -errno. */
static int request_end_asking(struct vwl_vfd *vfd,
                              const struct vwl_request *request)
{
    struct vwl_parcel *parcel = request->waits_on;
    int err = vwl_foreign_end(parcel);

    if (err < 0 || request->progress < request->total_bytes) {
        return err;
    }
    err = outbox_hold(vfd, parcel->fds, parcel->n);
    return err < 0 ? err : 1;
}

/* Its first bytes, with its descriptors and those that were held meanwhile. */
static int request_push_waiting(struct vwl_vfd *vfd,
                                struct vwl_request *request)
{
    const struct vwl_parcel *parcel = request->waits_on;
    unsigned int n_fds = parcel ? parcel->n : 0;
    size_t before = request->progress;
    int all[ALL_FDS], err;

    if (!vfd->outbox.held || vfd->outbox.held->n + n_fds > ALL_FDS) {
        return request_push(vfd, request, parcel ? parcel->fds : NULL, n_fds);
    }
    n_fds = outbox_with_held(&vfd->outbox, parcel ? parcel->fds : NULL, n_fds,
                             all);
    err = request_push(vfd, request, all, n_fds);
    if (request->progress > before) {
        outbox_drop_held(&vfd->outbox);
    }
    return err;
}

/* 0: the first waiting request is done; -EAGAIN; else the peer is broken. */
static int request_feed(struct vwl_vfd *vfd)
{
    struct vwl_request *request = vfd->first_wait;
    struct vwl_parcel *parcel = request->waits_on;
    size_t before = request->progress;
    int err;

    if (vwl_foreign_is_due(request)) {
        return -EAGAIN;
    }
    if (parcel && parcel->foreign) {
        err = request_end_asking(vfd, request);
        if (err != 0) {
            vwl_wait_complete(vfd, MIN(err, 0));
            return 0;
        }
    }
    err = request_push_waiting(vfd, request);
    if (err < 0) {
        return err;
    }
    if (request->progress > before) {
        vwl_parcel_destroy(parcel);
        request->waits_on = parcel = NULL;
    }
    if (request->progress < request->total_bytes) {
        if (vfd->outbox.held ||
            !outbox_fits(vfd, request->total_bytes - request->progress,
                         parcel ? parcel->n : 0) ||
            outbox_append(vfd, request, parcel) < 0) {
            return -EAGAIN;
        }
        request->waits_on = NULL;
    }
    vwl_wait_complete(vfd, 0);
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
    err = outbox_flush(vfd);
    return err == -EAGAIN ? 0 : err;
}

/* What a caller of ours is told of it. */
static int outbox_tell(int err)
{
    return err < 0 && err != -EAGAIN && !outbox_is_shortage(err) ? -EPIPE : err;
}

int vwl_outbox_flush(struct vwl_vfd *vfd)
{
    return outbox_tell(outbox_flush(vfd));
}

int vwl_outbox_feed(struct vwl_vfd *vfd)
{
    int err = outbox_flush(vfd);

    while (err == 0 && vfd->first_wait && vfd->outbox.len == 0) {
        err = request_feed(vfd);
    }
    return outbox_tell(err);
}
