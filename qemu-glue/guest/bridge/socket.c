/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Named sockets: whatever is spoken, as a relay. virtio-wl has no half-close:
 * the host learns of a client's end when the client is gone altogether, a
 * client of the host's at once.
 */
#include "client.h"

#include <errno.h>
#include <glib-unix.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

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

static void forget_sharing(struct vwl_raw *raw, guint8 *bytes, size_t len)
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

void vwl_socket_from_client(struct vwl_client *client)
{
    struct vwl_queue *from = &client->from_client;
    GByteArray *bytes = from->bytes;
    size_t at = client->to_host.bytes->len;

    while (from->fds->len != 0) {
        int fd = vwl_client_take_fd(client), vfd = -EINVAL;
        struct stat st;

        if (!client->failed && fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode)) {
            vfd = vwl_pipe_from_client(client, &fd);
        }
        if (fd >= 0) {
            close(fd);
        }
        if (vfd < 0) {
            vwl_client_fail(client, "a descriptor that cannot cross");
        } else {
            struct vwl_attached entry = { vfd, at };

            g_array_append_val(client->to_host.fds, entry);
        }
    }
    if (!client->failed) {
        forget_sharing(&client->raw_state, bytes->data, bytes->len);
        vwl_client_to_host(client, bytes->data, bytes->len, -1);
        g_byte_array_set_size(bytes, 0);
    }
}

/* A pipe or socket of the host's becomes a socket here. */
static int adopt(struct vwl_client *client, int vfd)
{
    struct vwl_bridge *bridge = client->bridge;
    struct vwl_client *other;
    int pair[2];

    if (bridge->clients->len >= VWL_MAX_CLIENTS ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return -EMFILE;
    }
    g_unix_set_fd_nonblocking(pair[0], TRUE, NULL);
    other = vwl_client_new(bridge, vfd, pair[0]);
    other->raw = true;
    g_ptr_array_add(bridge->clients, other);
    bridge->again = true;
    return pair[1];
}

void vwl_socket_from_host(struct vwl_client *client)
{
    struct vwl_queue *from = &client->from_host;
    struct vwl_queue *to = &client->to_client;
    size_t at = to->bytes->len;

    while (from->fds->len != 0) {
        int vfd = g_array_index(from->fds, struct vwl_attached, 0).fd;
        struct vwl_attached entry = { adopt(client, vfd), at };

        g_array_remove_index(from->fds, 0);
        if (entry.fd < 0) {
            vwl_transport_close(client->bridge->transport, vfd);
            vwl_client_fail(client, "no descriptors");
        } else {
            g_array_append_val(to->fds, entry);
        }
    }
    g_byte_array_append(to->bytes, from->bytes->data, from->bytes->len);
    g_byte_array_set_size(from->bytes, 0);
}

static gboolean on_hup(gint fd, GIOCondition condition, gpointer data)
{
    struct vwl_client *client = data;

    client->raw_state.hup_watch = 0;
    client->raw_state.client_gone = true;
    vwl_client_flush(client);
    return G_SOURCE_REMOVE;
}

bool vwl_socket_is_over(struct vwl_client *client)
{
    struct vwl_raw *raw = &client->raw_state;
    bool told = client->to_client.bytes->len == 0;
    bool sent = !client->sending &&
                (client->host_gone || client->to_host.bytes->len == 0);

    if (raw->host_eof && told && !raw->shut) {
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
    return raw->host_eof && told &&
           (client->host_gone || (client->eof && sent));
}
