/* SPDX-License-Identifier: BSD-3-Clause */
#include "soak.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define RANGE(guest, from, to) \
    ((uint32_t)g_rand_int_range((guest)->random, (from), (to)))
#define PATIENCE_US (INT64_C(120) * 1000000)

static void start_stream(struct channel *channel, struct stream *stream,
                         bool from_guest)
{
    memset(stream, 0, sizeof *stream);
    stream->guest = channel->guest;
    stream->seed = soak_seed(channel->guest);
    stream->from_guest = from_guest;
    stream->fd = -1;
}

void soak_channel_init(struct guest *guest, struct channel *channel)
{
    memset(channel, 0, sizeof *channel);
    channel->guest = guest;
    g_queue_init(&channel->to_host);
    g_queue_init(&channel->to_guest);
    start_stream(channel, &channel->out, true);
    start_stream(channel, &channel->in, false);
}

static void open_channel(struct channel *channel)
{
    struct guest *guest = channel->guest;
    struct vwl_drv *drv = guest->rig->drv;
    uint32_t id = vwl_drv_free_id(drv);
    char name[16];
    int type, fd;

    channel->peer = RANGE(guest, 0, (gint32)guest->n_peers);
    g_snprintf(name, sizeof name, guest->shared ? "soak%u" : "peer%u",
               channel->peer);
    type = vwl_drv_new_ctx(drv, id, name);
    if (guest->peers[channel->peer].listener < 0) {
        soak_check(type == VIRTIO_WL_RESP_ERR, guest,
                   "a compositor that is gone took a connection");
        guest->tally.refused++;
        return;
    }
    soak_check(type == VIRTIO_WL_RESP_VFD_NEW, guest, "no connection");
    fd = peer_accept(&guest->peers[channel->peer]);
    soak_check(fd >= 0, guest, "nobody connected");
    start_stream(channel, &channel->out, true);
    start_stream(channel, &channel->in, false);
    channel->out.id = channel->in.id = id;
    channel->out.fd = channel->in.fd = fd;
    channel->state = CHANNEL_OPEN;
    channel->lazy_until_us = 0;
    channel->until_us = g_get_monotonic_time() +
                        (int64_t)RANGE(guest, 1, 12) * 1000000;
}

/* ---- reading, on both sides ---- */

/* False: the end was reached. */
static bool guest_side(struct channel *channel)
{
    uint32_t ids[32];
    ssize_t n = 1;

    for (unsigned int i = 0; i < 16 && n > 0; i++) {
        unsigned int n_ids = 32;

        n = soak_guest_read(&channel->in, ids, &n_ids);
        for (unsigned int j = 0; j < n_ids; j++) {
            soak_guest_took(channel, ids[j]);
        }
        n = n == 0 && n_ids ? 1 : n;
    }
    return n != 0;
}

static bool host_side(struct channel *channel)
{
    int fds[PEER_MAX_FDS];
    ssize_t n = 1;

    for (unsigned int i = 0; i < 8 && n > 0; i++) {
        unsigned int n_fds = PEER_MAX_FDS;

        n = soak_host_read(&channel->out, fds, &n_fds);
        for (unsigned int j = 0; n > 0 && j < n_fds; j++) {
            soak_host_took(channel, fds[j]);
        }
    }
    return n != 0;
}

static void host_close(struct channel *channel)
{
    if (channel->out.fd >= 0) {
        close(channel->out.fd);
        channel->out.fd = channel->in.fd = -1;
    }
}

static void finish(struct channel *channel)
{
    struct tally *tally = &channel->guest->tally;

    tally->out_bytes += channel->out.received;
    tally->in_bytes += channel->in.received;
    soak_lose_parcels(&channel->to_host);
    soak_lose_parcels(&channel->to_guest);
    host_close(channel);
    channel->state = CHANNEL_NONE;
}

/* ---- ends ---- */

/* What is already there for the guest stays readable until the answer. */
static void guest_close(struct channel *channel)
{
    struct guest *guest = channel->guest;
    struct vwl_drv *drv = guest->rig->drv;
    uint8_t request[12] = { 1, 1 };
    struct vwl_drv_request *close_request;
    uint32_t id = channel->out.id;

    request[8] = (uint8_t)id;
    request[9] = (uint8_t)(id >> 8);
    close_request = vwl_drv_submit(drv, request, sizeof request, 4, NULL);
    soak_check(close_request != NULL, guest, "no room for a CLOSE");
    soak_check(vwl_drv_wait(drv, close_request, 60000) == 0, guest,
               "a CLOSE is not answered");
    soak_check(vwl_drv_request_type(close_request) == VIRTIO_WL_RESP_OK, guest,
               "a CLOSE was refused");
    vwl_drv_request_free(drv, close_request);
    while (vwl_drv_readable(drv, id) && guest_side(channel)) {
        continue;
    }
    g_hash_table_remove(drv->vfds, GUINT_TO_POINTER(id));
    if (drv->options.hold_buffers) {
        vwl_drv_post(drv, drv->options.queue_size);
    }
    channel->out.id = channel->in.id = 0;
}

void soak_channel_host_kill(struct channel *channel)
{
    if (channel->state != CHANNEL_OPEN && channel->state != CHANNEL_DRAIN) {
        return;
    }
    channel->out.cut = true;
    channel->in.ended = true;
    host_close(channel);
    soak_lose_parcels(&channel->to_host);
    channel->state = CHANNEL_HOST_KILLED;
    channel->until_us = g_get_monotonic_time() + PATIENCE_US;
}

static void end_life(struct channel *channel)
{
    struct guest *guest = channel->guest;

    channel->until_us = g_get_monotonic_time() + PATIENCE_US;
    switch (RANGE(guest, 0, 3)) {
    case 0:
        channel->state = CHANNEL_DRAIN;
        channel->in.ended = true;
        break;
    case 1:
        guest->tally.host_kills++;
        soak_channel_host_kill(channel);
        break;
    default:
        guest->tally.guest_kills++;
        channel->in.cut = channel->out.cut = true;
        channel->in.ended = true;
        channel->state = CHANNEL_GUEST_KILLED;
        soak_answered(&channel->out);
        guest_close(channel);
        soak_lose_parcels(&channel->to_guest);
        break;
    }
}

static bool is_lazy(const struct channel *channel)
{
    return g_get_monotonic_time() < channel->lazy_until_us;
}

/* A CLOSE would drop a pipe's end that the device has not answered for. */
static bool sends_pipe(struct channel *channel)
{
    const struct parcel *last = g_queue_peek_tail(&channel->to_host);

    return channel->out.request && last && last->is_pipe;
}

static void turn_open(struct channel *channel)
{
    struct guest *guest = channel->guest;
    unsigned int what = RANGE(guest, 0, 40);

    if (what == 0 && !RANGE(guest, 0, 10)) {
        channel->lazy_until_us = g_get_monotonic_time() +
                                 (int64_t)RANGE(guest, 100, 2000) * 1000;
    }
    if (what < 3) {
        soak_send_parcel(channel);
    } else if (what < 8) {
        soak_guest_send(&channel->out, RANGE(guest, 1, 40000), NULL, 0);
    } else if (what < 13) {
        soak_host_send(&channel->in, RANGE(guest, 1, 40000), NULL, 0);
    }
    soak_check((is_lazy(channel) || host_side(channel)) && guest_side(channel),
               guest, "a connection ended by itself");
    if (g_get_monotonic_time() > channel->until_us && !sends_pipe(channel)) {
        end_life(channel);
    }
}

static void turn_drain(struct channel *channel)
{
    struct guest *guest = channel->guest;

    soak_check(host_side(channel) && guest_side(channel), guest,
               "a connection ended by itself");
    if (channel->out.id && !channel->out.request &&
        channel->out.received == channel->out.sent &&
        channel->in.received == channel->in.sent) {
        soak_check(channel->to_host.length == 0 &&
                       channel->to_guest.length == 0,
                   guest, "descriptors were lost");
        /* the rest is its end, and nothing before that */
        channel->out.cut = channel->in.cut = true;
        guest_close(channel);
        channel->state = CHANNEL_GUEST_KILLED;
        guest->tally.drained++;
    }
}

/* All that the host had sent comes before the end. */
static void turn_host_killed(struct channel *channel)
{
    struct guest *guest = channel->guest;

    if (!guest_side(channel)) {
        soak_check(channel->in.received == channel->in.sent, guest,
                   "bytes of a killed compositor were lost");
        soak_check(channel->to_guest.length == 0, guest,
                   "descriptors of a killed compositor were lost");
        if (!channel->out.request) {
            guest_close(channel);
            finish(channel);
        }
    }
}

/* All that was answered OK comes before the end. */
static void turn_guest_killed(struct channel *channel)
{
    struct guest *guest = channel->guest;

    if (!host_side(channel)) {
        soak_check(channel->out.received >= channel->out.answered, guest,
                   "bytes that were answered for were lost");
        if (!channel->out.request) {
            finish(channel);
        }
    }
}

void soak_channel_turn(struct channel *channel)
{
    static void (*const turns[])(struct channel *) = {
        open_channel,     turn_open,         turn_drain,
        turn_host_killed, turn_guest_killed,
    };

    soak_answered(&channel->out);
    turns[channel->state](channel);
    if (channel->state > CHANNEL_OPEN) {
        soak_check(g_get_monotonic_time() < channel->until_us, channel->guest,
                   channel->state == CHANNEL_DRAIN ? "bytes do not arrive"
                                                   : "an end is not seen");
    }
}

void soak_channel_gone(struct channel *channel)
{
    struct stream *out = &channel->out;
    int64_t end = g_get_monotonic_time() + PATIENCE_US;

    out->cut = true;
    out->id = channel->in.id = 0;
    if (channel->state == CHANNEL_NONE) {
        return;
    }
    while (out->fd >= 0 && host_side(channel)) {
        struct pollfd p = { out->fd, POLLIN, 0 };

        soak_check(g_get_monotonic_time() < end, channel->guest,
                   "a connection outlived its front-end");
        poll(&p, 1, 100);
    }
    finish(channel);
}
