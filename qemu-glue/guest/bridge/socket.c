/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Named sockets: whatever is spoken, as a relay. virtio-wl has no half-close:
 * the host learns of a client's end when the client is gone altogether, a
 * client of the host's at once.
 */
#include <errno.h>
#include <glib-unix.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client.h"
#include "part.h"
#include "transfer.h"

/* Of each client. */
struct raw {
    guint hup_watch;
    bool client_gone; /* both its directions */
    bool shut;
    size_t seen;  /* bytes of the client */
    bool unknown; /* not PulseAudio's protocol */
};

static void raw_finish(struct vwl_client *client, void *part)
{
    const struct raw *raw = part;

    if (raw->hup_watch != 0) {
        g_source_remove(raw->hup_watch);
    }
}

static const struct vwl_part raw_part = {
    .size = sizeof(struct raw),
    .finish = raw_finish,
};

static struct raw *raw_of(struct vwl_client *client)
{
    return vwl_part_of(client, &raw_part);
}

/*
 * PulseAudio's clients first of all ask to be authenticated, and say by two
 * bits whether they can share memory. A server on the same machine would
 * believe them, and nobody could hear them then: memory does not go through
 * here. Bytes of that request, big-endian: length, channel (none), offset,
 * flags; then tagged numbers: command, tag, version with the two bits.
 */
#define PULSE_VERSION 31u
#define PULSE_SHARES 0xc0u

static bool is_pulse(size_t at, guint8 byte)
{
    static const guint8 begin[PULSE_VERSION] = {
        [4] = 0xff, [5] = 0xff, [6] = 0xff, [7] = 0xff,
        [20] = 'L', [24] = 8,   [25] = 'L', [30] = 'L',
    };

    return at < 4 || (at >= 26 && at < 30) || begin[at] == byte;
}

static void forget_sharing(struct raw *raw, guint8 *bytes, size_t len)
{
    for (size_t i = 0; i < len && raw->seen <= PULSE_VERSION && !raw->unknown;
         i++) {
        if (raw->seen == PULSE_VERSION) {
            bytes[i] &= (guint8)~PULSE_SHARES;
        } else {
            raw->unknown = !is_pulse(raw->seen, bytes[i]);
        }
        raw->seen++;
    }
}

static void on_client_bytes(struct vwl_client *client)
{
    struct vwl_queue *from = &client->from_client;
    GByteArray *bytes = from->bytes;
    size_t at = vwl_uplink_len(&client->uplink);

    while (from->fds->len != 0) {
        int fd = vwl_queue_take(from), vfd = -EINVAL;
        struct stat st;

        if (!client->failed && fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode)) {
            vfd = vwl_transfer_from_client(client, &fd);
            if (vfd < 0) {
                vfd = vwl_transfer_shut(client, fd);
                vwl_uplink_close_after(&client->uplink, vfd, bytes->len);
            }
        }
        if (fd >= 0) {
            close(fd);
        }
        if (vfd < 0) {
            vwl_client_fail(client, "a descriptor that is no pipe");
        } else {
            vwl_queue_attach(&client->uplink.queue, vfd, at);
        }
    }
    if (!client->failed) {
        forget_sharing(raw_of(client), bytes->data, bytes->len);
        vwl_uplink_put(&client->uplink, bytes->data, bytes->len, -1);
        g_byte_array_set_size(bytes, 0);
    }
}

/* A pipe or socket of the host's becomes a socket here. */
static int adopt(struct vwl_client *client, int vfd)
{
    struct vwl_bridge *bridge = client->bridge;
    int pair[2];

    if (!vwl_client_has_room(bridge) ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return -EMFILE;
    }
    g_unix_set_fd_nonblocking(pair[0], TRUE, NULL);
    vwl_client_new(bridge, &vwl_socket_speaker, vfd, pair[0]);
    bridge->again = true;
    return pair[1];
}

static void on_host_bytes(struct vwl_client *client)
{
    struct vwl_queue *from = &client->from_host;
    struct vwl_queue *to = &client->to_client;
    size_t at = to->bytes->len;

    while (from->fds->len != 0) {
        int vfd = vwl_queue_take(from), fd = adopt(client, vfd);

        if (fd < 0) {
            vwl_transport_close(client->bridge->transport, vfd);
            vwl_client_fail(client, "out of descriptors");
        } else {
            vwl_queue_attach(to, fd, at);
        }
    }
    g_byte_array_append(to->bytes, from->bytes->data, from->bytes->len);
    g_byte_array_set_size(from->bytes, 0);
}

static gboolean on_hup(gint fd, GIOCondition condition, gpointer data)
{
    struct vwl_client *client = data;

    raw_of(client)->hup_watch = 0;
    raw_of(client)->client_gone = true;
    vwl_client_flush(client);
    return G_SOURCE_REMOVE;
}

static bool is_over(struct vwl_client *client)
{
    struct raw *raw = raw_of(client);
    bool told = client->to_client.bytes->len == 0;
    bool sent = !client->sending &&
                (client->host_gone || vwl_uplink_len(&client->uplink) == 0);

    if (client->host_eof && told && !raw->shut) {
        raw->shut = true;
        shutdown(client->fd, SHUT_WR);
    }
    if (client->eof && !raw->client_gone && raw->hup_watch == 0) {
        raw->hup_watch = g_unix_fd_add(client->fd, G_IO_HUP | G_IO_ERR, on_hup,
                                       client);
    }
    if (client->eof && sent && (raw->client_gone || client->deaf)) {
        return true;
    }
    return client->host_eof && told &&
           (client->host_gone || (client->eof && sent));
}

const struct vwl_speaker vwl_socket_speaker = {
    .from_client = on_client_bytes,
    .from_host = on_host_bytes,
    .is_over = is_over,
};
