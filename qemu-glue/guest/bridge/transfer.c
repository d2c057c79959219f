/* SPDX-License-Identifier: BSD-3-Clause */
#include "transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client.h"
#include "watch.h"

/* Descriptors that one holds: its own, its VFD, and a pipe in between. */
#define FDS 4u
#define CHUNK 65536u
#define ROUNDS 32u
/* That are read at one go. */
#define PIECES 4u

struct vwl_transfer {
    struct vwl_bridge *bridge;
    struct vwl_client *client; /* NULL: gone */
    int vfd, fd;
    bool outwards; /* fd is read, the VFD is written */
    bool is_socket;
    int mid[2];    /* a pipe of our own before fd; -1: none */
    size_t in_mid; /* of the first of what waits, this much is there, too */
    bool sending, dead, ended, retry;
    guint watch;         /* for the next piece */
    guint hup_watch;     /* for the end of who only reads */
    GByteArray *waiting; /* received and not yet written; or read, not sent */
};

static struct vwl_transfer *transfer_new(struct vwl_client *client, int fd,
                                         int vfd, bool outwards)
{
    struct vwl_transfer *transfer = g_new0(struct vwl_transfer, 1);

    transfer->bridge = client->bridge;
    transfer->client = client;
    transfer->fd = fd;
    transfer->vfd = vfd;
    transfer->outwards = outwards;
    transfer->mid[0] = transfer->mid[1] = -1;
    transfer->waiting = g_steal_pointer(&client->bridge->spare);
    if (transfer->waiting == NULL) {
        transfer->waiting = g_byte_array_new();
    }
    client->n_transfers++;
    client->n_fds += FDS;
    g_ptr_array_add(client->bridge->transfers, transfer);
    vwl_transport_watch(client->bridge->transport, vfd, 1);
    return transfer;
}

void vwl_transfer_forget_client(struct vwl_transfer *transfer,
                                const struct vwl_client *client)
{
    if (transfer->client == client) {
        transfer->client = NULL;
    }
}

static void close_ends(struct vwl_transfer *transfer)
{
    if (transfer->watch != 0) {
        g_source_remove(transfer->watch);
        transfer->watch = 0;
    }
    if (transfer->hup_watch != 0) {
        g_source_remove(transfer->hup_watch);
        transfer->hup_watch = 0;
    }
    if (transfer->vfd >= 0) {
        if (transfer->client != NULL) {
            vwl_uplink_close(&transfer->client->uplink, transfer->vfd);
        } else {
            vwl_transport_close(transfer->bridge->transport, transfer->vfd);
        }
        transfer->vfd = -1;
    }
    if (transfer->fd >= 0) {
        close(transfer->fd);
        transfer->fd = -1;
    }
    for (unsigned int i = 0; i < 2; i++) {
        if (transfer->mid[i] >= 0) {
            close(transfer->mid[i]);
            transfer->mid[i] = -1;
        }
    }
}

/* Frees it at the next reaping. */
static void transfer_end(struct vwl_transfer *transfer)
{
    if (transfer->dead) {
        return;
    }
    transfer->dead = true;
    close_ends(transfer);
    if (transfer->client != NULL) {
        transfer->client->n_transfers--;
        transfer->client->n_fds -= FDS;
    }
    transfer->bridge->again = true;
}

bool vwl_transfer_is_over(const struct vwl_transfer *transfer)
{
    return transfer->dead && !transfer->sending;
}

void vwl_transfer_free(struct vwl_transfer *transfer)
{
    transfer_end(transfer);
    if (transfer->bridge->spare == NULL) {
        transfer->bridge->spare = g_byte_array_set_size(transfer->waiting, 0);
    } else {
        g_byte_array_unref(transfer->waiting);
    }
    g_free(transfer);
}

/* Whoever only reads says nothing when it has had enough: what it would read
 * may not come for long, and its writer is to know. */
static gboolean on_given_up(gint fd, GIOCondition condition, gpointer data)
{
    struct vwl_transfer *transfer = data;

    transfer->hup_watch = 0;
    transfer_end(transfer);
    return G_SOURCE_REMOVE;
}

static gboolean on_writable(gint fd, GIOCondition condition, gpointer data);

/* As write does, and never waits, whatever the flags of the client's end. */
static ssize_t write_some(struct vwl_transfer *transfer, const void *data,
                          size_t len)
{
    ssize_t n;

    if (transfer->is_socket) {
        return send(transfer->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    if (transfer->mid[0] < 0) {
        return write(transfer->fd, data, len);
    }
    if (transfer->in_mid == 0) {
        n = write(transfer->mid[1], data, len);
        if (n <= 0) {
            return n;
        }
        transfer->in_mid = (size_t)n;
    }
    n = splice(transfer->mid[0], NULL, transfer->fd, NULL, transfer->in_mid,
               SPLICE_F_NONBLOCK);
    if (n > 0) {
        transfer->in_mid -= (size_t)n;
    }
    return n;
}

/* Towards the client: as much as it takes. */
static void write_out(struct vwl_transfer *transfer)
{
    GByteArray *bytes = transfer->waiting;

    while (bytes->len != 0) {
        ssize_t n = write_some(transfer, bytes->data, bytes->len);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            if (transfer->watch == 0) {
                transfer->watch = vwl_watch_add(transfer->fd, G_IO_OUT,
                                                on_writable, transfer);
            }
            return;
        }
        if (n <= 0) {
            transfer_end(transfer);
            return;
        }
        g_byte_array_remove_range(bytes, 0, (guint)n);
    }
    if (transfer->ended) {
        transfer_end(transfer);
    }
}

static gboolean on_writable(gint fd, GIOCondition condition, gpointer data)
{
    struct vwl_transfer *transfer = data;

    transfer->watch = 0;
    transfer->bridge->again = true;
    write_out(transfer);
    return G_SOURCE_REMOVE;
}

static void receive_in(struct vwl_transfer *transfer)
{
    struct vwl_transport *t = transfer->bridge->transport;
    unsigned int round;

    for (round = 0; round < ROUNDS && !transfer->dead && !transfer->ended &&
                    transfer->waiting->len < CHUNK;
         round++) {
        int vfds[VWL_TRANSPORT_MAX_VFDS];
        unsigned int n = VWL_TRANSPORT_MAX_VFDS;
        guint8 data[4096];
        ssize_t r;

        if (vwl_transport_poll(t, transfer->vfd, 0) != 1) {
            return;
        }
        r = vwl_transport_recv(t, transfer->vfd, data, sizeof data, vfds, &n,
                               0);
        if (r == -ETIMEDOUT) {
            return;
        }
        for (unsigned int i = 0; r >= 0 && i < n; i++) {
            vwl_transport_close(t, vfds[i]);
        }
        if (r > 0 && !transfer->outwards) {
            g_byte_array_append(transfer->waiting, data, (guint)r);
        }
        if (r <= 0 && transfer->outwards) {
            transfer_end(transfer); /* nobody reads at the host */
            return;
        }
        transfer->ended = r <= 0;
    }
    if (round == ROUNDS || transfer->waiting->len >= CHUNK) {
        transfer->bridge->again = true;
    }
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer data);

static void on_sent(void *opaque, int result)
{
    struct vwl_transfer *transfer = opaque;

    transfer->sending = false;
    if (transfer->dead) {
        transfer->bridge->again = true;
        return;
    }
    if (result < 0 || transfer->ended) {
        transfer_end(transfer);
    } else if (transfer->watch == 0) {
        transfer->watch = vwl_watch_add(transfer->fd, G_IO_IN | G_IO_HUP,
                                        on_readable, transfer);
    }
}

static void send_out(struct vwl_transfer *transfer)
{
    int r = vwl_transport_send_async(transfer->bridge->transport, transfer->vfd,
                                     transfer->waiting->data,
                                     transfer->waiting->len, NULL, 0, on_sent,
                                     transfer);

    transfer->retry = r == -EBUSY;
    if (r == 0) {
        transfer->sending = true;
        g_byte_array_set_size(transfer->waiting, 0);
    } else if (r != -EBUSY) {
        transfer_end(transfer);
    }
}

/* All that is there, and whether that was all: most data comes in one piece,
 * and its reader waits for the end. How much; 0: there was nothing, or nothing
 * more will come. */
static guint read_piece(struct vwl_transfer *transfer)
{
    guint len = 0;
    ssize_t n;

    g_byte_array_set_size(transfer->waiting, CHUNK);
    do {
        n = read(transfer->fd, transfer->waiting->data + len, CHUNK - len);
        len += n > 0 ? (guint)n : 0;
    } while ((n > 0 && len < CHUNK) || (n < 0 && errno == EINTR));
    g_byte_array_set_size(transfer->waiting, len);
    transfer->ended = n == 0 || (n < 0 && errno != EAGAIN);
    if (len == 0 && transfer->ended) {
        transfer_end(transfer);
    }
    return len;
}

/* The watch stays where each piece goes at once. */
static gboolean on_readable(gint fd, GIOCondition condition, gpointer data)
{
    struct vwl_transfer *transfer = data;
    guint len = CHUNK;

    for (unsigned int i = 0; i < PIECES && len == CHUNK; i++) {
        len = read_piece(transfer);
        if (len != 0) {
            send_out(transfer);
            vwl_bridge_settle(transfer->bridge);
        }
        if (transfer->dead || transfer->sending || transfer->retry) {
            break;
        }
    }
    if (transfer->watch != 0 && (transfer->sending || transfer->retry)) {
        transfer->watch = 0;
        return G_SOURCE_REMOVE;
    }
    return transfer->watch != 0;
}

void vwl_transfer_serve(struct vwl_transfer *transfer)
{
    if (transfer->dead) {
        return;
    }
    if (transfer->retry) {
        send_out(transfer);
    }
    if (transfer->dead || (!transfer->outwards && transfer->watch != 0)) {
        return;
    }
    receive_in(transfer);
    if (!transfer->dead && !transfer->outwards) {
        write_out(transfer);
    }
}

/* A description of our own, so that O_NONBLOCK is not the client's. */
static int reopen(int fd, int flags)
{
    char path[64];

    g_snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

/* Where no description of our own can be had: of a socket, and of the pipe of
 * a client that is another user's. */
static int borrow(int fd, bool is_socket, int mid[2])
{
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    if (own >= 0 && !is_socket && pipe2(mid, O_CLOEXEC | O_NONBLOCK) < 0) {
        int error = errno;

        close(own);
        errno = error;
        return -1;
    }
    return own;
}

/* Whether a client may have one more; the reason is said. */
static bool has_room(struct vwl_client *client)
{
    if (client->n_transfers < vwl_limit_of(client, VWL_LIMIT_PIPES)) {
        return true;
    }
    vwl_limit_reached(client->bridge, client, VWL_LIMIT_PIPES);
    return false;
}

/* A pipe whose guest's end is shut as soon as it was sent. */
int vwl_transfer_shut(struct vwl_client *client, int fd)
{
    bool outwards = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY;
    int vfd = -1,
        r = vwl_transport_pipe(client->bridge->transport, outwards, &vfd);

    return r < 0 ? r : vfd;
}

int vwl_transfer_from_client(struct vwl_client *client, int *fd)
{
    int flags = fcntl(*fd, F_GETFL), mid[2] = { -1, -1 }, vfd = -1, own, r;
    bool outwards = (flags & O_ACCMODE) == O_RDONLY, is_socket;
    struct vwl_transfer *transfer;
    struct stat st;

    if (!has_room(client) || !vwl_limit_may_hold(client, *fd)) {
        return -EMFILE;
    }
    /* opening or writing another kind of file may block */
    if (fstat(*fd, &st) < 0 ||
        (!S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode))) {
        return -EINVAL;
    }
    is_socket = S_ISSOCK(st.st_mode);
    own = is_socket ? -1 : reopen(*fd, outwards ? O_RDONLY : O_WRONLY);
    if (own < 0 && !outwards) {
        own = borrow(*fd, is_socket, mid);
    }
    if (own < 0) {
        return -errno;
    }
    r = vwl_transport_pipe(client->bridge->transport, outwards, &vfd);
    if (r < 0) {
        close(own);
        for (unsigned int i = 0; i < 2 && mid[i] >= 0; i++) {
            close(mid[i]);
        }
        return r;
    }
    close(*fd);
    *fd = -1;
    transfer = transfer_new(client, own, vfd, outwards);
    transfer->is_socket = is_socket;
    transfer->mid[0] = mid[0];
    transfer->mid[1] = mid[1];
    if (outwards) {
        transfer->watch = vwl_watch_add(own, G_IO_IN | G_IO_HUP, on_readable,
                                        transfer);
    } else {
        transfer->hup_watch = vwl_watch_add(own, G_IO_ERR | G_IO_HUP,
                                            on_given_up, transfer);
    }
    return vfd;
}

/* A client of the host's own machine needs nobody in between. */
static int host_pipe(struct vwl_client *client, int vfd)
{
    int fd = vwl_transport_host_pipe(client->bridge->transport, vfd);

    if (fd >= 0 && !vwl_limit_may_hold(client, fd)) {
        close(fd);
        return -EMFILE;
    }
    return fd;
}

int vwl_transfer_from_host(struct vwl_client *client, int *vfd)
{
    struct vwl_transfer *transfer;
    int ends[2], own = host_pipe(client, *vfd);

    if (own >= 0) {
        return own;
    }
    if (!has_room(client) || pipe2(ends, O_CLOEXEC) < 0) {
        return -EMFILE;
    }
    if (!vwl_limit_may_hold(client, ends[1])) {
        close(ends[0]);
        close(ends[1]);
        return -EMFILE;
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    transfer = transfer_new(client, ends[0], *vfd, true);
    *vfd = -1;
    transfer->watch = vwl_watch_add(ends[0], G_IO_IN | G_IO_HUP, on_readable,
                                    transfer);
    return ends[1];
}

int vwl_transfer_copy_memory(struct vwl_client *client, int *vfd, size_t size)
{
    struct vwl_transport *t = client->bridge->transport;
    int fd = memfd_create("vwl-keymap", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct vwl_transport_mem mem;
    int r = fd < 0 ? -errno : 0;
    size_t at = 0;

    if (r == 0 && size != 0) {
        r = vwl_transport_map(t, *vfd, size, 0, &mem);
        while (r == 0 && at < size) {
            ssize_t n = write(fd, (char *)mem.ptr + at, size - at);

            at += n > 0 ? (size_t)n : 0;
            r = n < 0 && errno != EINTR ? -errno : 0;
        }
        if (at != 0) {
            vwl_transport_unmap(t, &mem);
        }
    }
    if (r < 0) {
        if (fd >= 0) {
            close(fd);
        }
        return r;
    }
    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
    return fd;
}
