/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/outbox/filtered.h"

#include <errno.h>
#include <poll.h>

#include "base/fd.h"
#include "base/iov.h"
#include "policy/filter.h"
#include "wl/outbox/foreign.h"
#include "wl/outbox/parcel.h"
#include "wl/outbox/wait.h"
#include "wl/state.h"
#include "wl/vfd.h"

/* What is copied of a request at once. */
#define PIECE_BYTES 16384u

/* One guest's program gets no more than this in one go: others wait. */
#define TURN_BYTES (1024u * 1024u)

/* One of at most as many descriptors as libwayland takes at once. */
static int filtered_flush_batch(struct vwl_vfd *vfd,
                                const struct vwl_passed *passed, size_t from,
                                size_t to, unsigned int first, unsigned int n)
{
    int fds[VIRTWL_SEND_MAX_ALLOCS];

    for (unsigned int i = 0; i < n; i++) {
        fds[i] = passed->fds[first + i].fd;
    }
    return vwl_outbox_put(vfd, passed->data + from, to - from, fds, n);
}

int vwl_filtered_flush(struct vwl_vfd *vfd)
{
    struct vwl_passed passed = vwl_filter_passed(vfd->filter, VWL_TO_HOST);
    unsigned int first = 0;
    size_t from = 0;
    int err = 0;

    while (from < passed.len) {
        unsigned int n = MIN(passed.n_fds - first, VIRTWL_SEND_MAX_ALLOCS);
        size_t to = first + n < passed.n_fds ? passed.fds[first + n].at
                                             : passed.len;
        int one = filtered_flush_batch(vfd, &passed, from, to, first, n);

        err = err < 0 ? err : one;
        first += n;
        from = to;
    }
    vwl_filter_taken(vfd->filter, VWL_TO_HOST);
    return err;
}

/* Whether a piece may be taken from the guest: what the peer does not take of
 * it stays here. */
static bool filtered_has_room(const struct vwl_vfd *vfd)
{
    const struct vwl_outbox *outbox = &vfd->outbox;
    struct pollfd pollfd = { .fd = vfd->fd, .events = POLLOUT };

    if (vfd->core->outbox_bytes + PIECE_BYTES >
        vfd->core->config.max_queued_bytes) {
        return outbox->len == 0 && poll(&pollfd, 1, 0) == 1;
    }
    return outbox->len + PIECE_BYTES <= VWL_OUTBOX_BYTES &&
           outbox->n_fds + VIRTWL_SEND_MAX_ALLOCS <= VWL_OUTBOX_FDS;
}

/* The next piece, with the descriptors that wait for it. */
static int filtered_push_piece(struct vwl_vfd *vfd, struct vwl_request *request)
{
    struct vwl_parcel *parcel = request->waits_on;
    size_t len = MIN(request->total_bytes - request->progress, PIECE_BYTES);
    uint8_t data[PIECE_BYTES];
    int err, flushed;

    vwl_iov_read(request->payload, request->n_payload, request->progress, data,
                 len);
    request->progress += len;
    vfd->core->counters.sent_bytes += len;
    err = vwl_filter_push(vfd->filter, VWL_TO_HOST, data, len,
                          parcel ? parcel->fds : NULL, parcel ? parcel->n : 0);
    if (parcel) {
        parcel->n = 0; /* they are the filter's */
        vwl_parcel_destroy(parcel);
        request->waits_on = NULL;
    }
    flushed = vwl_filtered_flush(vfd);
    return err < 0 ? err : flushed;
}

/* 0: all of it was taken; -EAGAIN; -EPROTO; -EPIPE. */
static int filtered_pump(struct vwl_vfd *vfd, struct vwl_request *request)
{
    size_t turn = 0;
    int err = 0;

    while ((request->progress < request->total_bytes || request->waits_on) &&
           err == 0) {
        if (!filtered_has_room(vfd) || turn >= TURN_BYTES) {
            return -EAGAIN;
        }
        err = filtered_push_piece(vfd, request);
        turn += PIECE_BYTES;
    }
    return err;
}

int vwl_filtered_send(struct vwl_vfd *vfd, struct vwl_request *request,
                      size_t skip, const int *fds, unsigned int n_fds,
                      uint32_t asked)
{
    struct vwl_parcel *parcel = NULL;
    int err = n_fds ? vwl_parcel_create(vfd->core->closer, fds, n_fds, &parcel)
                    : 0;

    if (err == 0 && asked) {
        err = vwl_foreign_begin(vfd, parcel, 0, asked);
    }
    if (err < 0) {
        vwl_parcel_destroy(parcel);
        return err;
    }
    request->progress = skip;
    request->waits_on = parcel;
    if (asked || vfd->first_wait) {
        return -EINPROGRESS;
    }
    err = filtered_pump(vfd, request);
    return err == -EAGAIN ? -EINPROGRESS : err;
}

/* 0: the first waiting request is done; -EAGAIN; -EPROTO; -EPIPE. */
static int filtered_feed_request(struct vwl_vfd *vfd)
{
    struct vwl_request *request = vfd->first_wait;
    struct vwl_parcel *parcel = request->waits_on;
    int err = 0;

    if (vwl_foreign_is_due(request)) {
        return -EAGAIN;
    }
    if (parcel && parcel->foreign) {
        err = vwl_foreign_end(parcel);
        if (err < 0) {
            vwl_wait_complete(vfd, err);
            return 0;
        }
    }
    err = filtered_pump(vfd, request);
    if (err == 0) {
        vwl_wait_complete(vfd, 0);
    }
    return err;
}

int vwl_filtered_feed(struct vwl_vfd *vfd)
{
    int err = vwl_filtered_flush(vfd);

    err = err < 0 ? err : vwl_outbox_flush(vfd);
    while (err == 0 && vfd->first_wait && vfd->outbox.len == 0) {
        err = filtered_feed_request(vfd);
    }
    return err;
}
