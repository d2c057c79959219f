/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What goes through descriptors: clipboard and drag data, either way, and
 * keymaps. A pipe outlives its client, as it would without a bridge.
 */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK 65536u
#define ROUNDS 32u

struct vwl_pipe {
    struct vwl_bridge *bridge;
    struct vwl_client *client; /* NULL: gone */
    int vfd, fd;
    bool outwards; /* fd is read, the VFD is written */
    bool is_socket;
    int mid[2];    /* a pipe of our own before fd; -1: none */
    size_t in_mid; /* of the first of what waits, this much is there, too */
    bool sending, dead, ended, retry;
    guint watch;
    GByteArray *waiting; /* received and not yet written; or read, not sent */
};

static struct vwl_pipe *pipe_new(struct vwl_client *client, int fd, int vfd,
                                 bool outwards)
{
    struct vwl_pipe *pipe = g_new0(struct vwl_pipe, 1);

    pipe->bridge = client->bridge;
    pipe->client = client;
    pipe->fd = fd;
    pipe->vfd = vfd;
    pipe->outwards = outwards;
    pipe->mid[0] = pipe->mid[1] = -1;
    pipe->waiting = g_byte_array_new();
    client->n_pipes++;
    g_ptr_array_add(client->bridge->pipes, pipe);
    vwl_transport_watch(client->bridge->transport, vfd, 1);
    return pipe;
}

void vwl_pipe_forget_client(struct vwl_pipe *pipe,
                            const struct vwl_client *client)
{
    if (pipe->client == client) {
        pipe->client = NULL;
    }
}

static void close_ends(struct vwl_pipe *pipe)
{
    if (pipe->watch != 0) {
        g_source_remove(pipe->watch);
        pipe->watch = 0;
    }
    if (pipe->vfd >= 0) {
        if (pipe->client != NULL) {
            vwl_client_close_vfd(pipe->client, pipe->vfd);
        } else {
            vwl_transport_close(pipe->bridge->transport, pipe->vfd);
        }
        pipe->vfd = -1;
    }
    if (pipe->fd >= 0) {
        close(pipe->fd);
        pipe->fd = -1;
    }
    for (unsigned int i = 0; i < 2; i++) {
        if (pipe->mid[i] >= 0) {
            close(pipe->mid[i]);
            pipe->mid[i] = -1;
        }
    }
}

/* Frees it at the next reaping. */
static void end(struct vwl_pipe *pipe)
{
    if (pipe->dead) {
        return;
    }
    pipe->dead = true;
    close_ends(pipe);
    if (pipe->client != NULL) {
        pipe->client->n_pipes--;
    }
    pipe->bridge->again = true;
}

bool vwl_pipe_is_dead(const struct vwl_pipe *pipe)
{
    return pipe->dead && !pipe->sending;
}

void vwl_pipe_free(struct vwl_pipe *pipe)
{
    end(pipe);
    g_byte_array_unref(pipe->waiting);
    g_free(pipe);
}

static gboolean on_writable(gint fd, GIOCondition condition, gpointer data);

/* As write does, and never waits, whatever the flags of the client's end. */
static ssize_t put(struct vwl_pipe *pipe, const void *data, size_t len)
{
    ssize_t n;

    if (pipe->is_socket) {
        return send(pipe->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    if (pipe->mid[0] < 0) {
        return write(pipe->fd, data, len);
    }
    if (pipe->in_mid == 0) {
        n = write(pipe->mid[1], data, len);
        if (n <= 0) {
            return n;
        }
        pipe->in_mid = (size_t)n;
    }
    n = splice(pipe->mid[0], NULL, pipe->fd, NULL, pipe->in_mid,
               SPLICE_F_NONBLOCK);
    if (n > 0) {
        pipe->in_mid -= (size_t)n;
    }
    return n;
}

/* Towards the client: as much as it takes. */
static void write_out(struct vwl_pipe *pipe)
{
    GByteArray *bytes = pipe->waiting;

    while (bytes->len != 0) {
        ssize_t n = put(pipe, bytes->data, bytes->len);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            if (pipe->watch == 0) {
                pipe->watch = vwl_bridge_watch(pipe->fd, G_IO_OUT, on_writable,
                                               pipe);
            }
            return;
        }
        if (n <= 0) {
            end(pipe);
            return;
        }
        g_byte_array_remove_range(bytes, 0, (guint)n);
    }
    if (pipe->ended) {
        end(pipe);
    }
}

static gboolean on_writable(gint fd, GIOCondition condition, gpointer data)
{
    struct vwl_pipe *pipe = data;

    pipe->watch = 0;
    pipe->bridge->again = true;
    write_out(pipe);
    return G_SOURCE_REMOVE;
}

static void receive(struct vwl_pipe *pipe)
{
    struct vwl_transport *t = pipe->bridge->transport;
    unsigned int round;

    for (round = 0; round < ROUNDS && !pipe->dead && !pipe->ended &&
                    pipe->waiting->len < CHUNK;
         round++) {
        int vfds[VWL_TRANSPORT_MAX_VFDS];
        unsigned int n = VWL_TRANSPORT_MAX_VFDS;
        guint8 data[4096];
        ssize_t r;

        if (vwl_transport_poll(t, pipe->vfd, 0) != 1) {
            return;
        }
        r = vwl_transport_recv(t, pipe->vfd, data, sizeof data, vfds, &n, 0);
        if (r == -ETIMEDOUT) {
            return;
        }
        for (unsigned int i = 0; r >= 0 && i < n; i++) {
            vwl_transport_close(t, vfds[i]);
        }
        if (r > 0 && !pipe->outwards) {
            g_byte_array_append(pipe->waiting, data, (guint)r);
        }
        if (r <= 0 && pipe->outwards) {
            end(pipe); /* nobody reads at the host */
            return;
        }
        pipe->ended = r <= 0;
    }
    if (round == ROUNDS || pipe->waiting->len >= CHUNK) {
        pipe->bridge->again = true;
    }
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer data);

static void on_sent(void *opaque, int result)
{
    struct vwl_pipe *pipe = opaque;

    pipe->sending = false;
    if (pipe->dead) {
        pipe->bridge->again = true;
        return;
    }
    if (result < 0 || pipe->ended) {
        end(pipe);
        return;
    }
    pipe->watch = vwl_bridge_watch(pipe->fd, G_IO_IN | G_IO_HUP, on_readable,
                                   pipe);
}

static void send_out(struct vwl_pipe *pipe)
{
    int r = vwl_transport_send_async(pipe->bridge->transport, pipe->vfd,
                                     pipe->waiting->data, pipe->waiting->len,
                                     NULL, 0, on_sent, pipe);

    pipe->retry = r == -EBUSY;
    if (r == 0) {
        pipe->sending = true;
        g_byte_array_set_size(pipe->waiting, 0);
    } else if (r != -EBUSY) {
        end(pipe);
    }
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer data)
{
    struct vwl_pipe *pipe = data;
    ssize_t n;

    g_byte_array_set_size(pipe->waiting, CHUNK);
    n = read(fd, pipe->waiting->data, CHUNK);
    g_byte_array_set_size(pipe->waiting, n > 0 ? (guint)n : 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return G_SOURCE_CONTINUE;
    }
    pipe->watch = 0;
    if (n <= 0) {
        end(pipe);
    } else {
        send_out(pipe);
    }
    return G_SOURCE_REMOVE;
}

void vwl_pipe_serve(struct vwl_pipe *pipe)
{
    if (pipe->dead) {
        return;
    }
    if (pipe->retry) {
        send_out(pipe);
    }
    if (pipe->dead || (!pipe->outwards && pipe->watch != 0)) {
        return;
    }
    receive(pipe);
    if (!pipe->dead && !pipe->outwards) {
        write_out(pipe);
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

int vwl_pipe_from_client(struct vwl_client *client, int *fd)
{
    int flags = fcntl(*fd, F_GETFL), mid[2] = { -1, -1 }, vfd = -1, own, r;
    bool outwards = (flags & O_ACCMODE) == O_RDONLY, is_socket;
    struct vwl_pipe *pipe;
    struct stat st;

    if (client->n_pipes >= VWL_MAX_CLIENT_PIPES) {
        return -EMFILE;
    }
    /* opening or writing another kind of file may take for ever */
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
    pipe = pipe_new(client, own, vfd, outwards);
    pipe->is_socket = is_socket;
    pipe->mid[0] = mid[0];
    pipe->mid[1] = mid[1];
    if (outwards) {
        pipe->watch = vwl_bridge_watch(own, G_IO_IN | G_IO_HUP, on_readable,
                                       pipe);
    }
    return vfd;
}

int vwl_pipe_from_host(struct vwl_client *client, int *vfd)
{
    struct vwl_pipe *pipe;
    int ends[2];

    if (client->n_pipes >= VWL_MAX_CLIENT_PIPES || pipe2(ends, O_CLOEXEC) < 0) {
        return -EMFILE;
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    pipe = pipe_new(client, ends[0], *vfd, true);
    *vfd = -1;
    pipe->watch = vwl_bridge_watch(ends[0], G_IO_IN | G_IO_HUP, on_readable,
                                   pipe);
    return ends[1];
}

int vwl_pipe_copy_memory(struct vwl_client *client, int *vfd, size_t size)
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
