/* SPDX-License-Identifier: BSD-3-Clause */
/* One client's two connections: bytes and descriptors, in and out. */
#include "client.h"
#include "clock.h"

#include <errno.h>
#include <glib-unix.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE 65536u
#define MAX_WAITING_FDS 512u /* of a client, before their messages */
#define ROUNDS 64u           /* records received at one go */

void vwl_client_fail(struct vwl_client *client, const char *why)
{
    if (client->bridge->options.trace) {
        fprintf(stderr, "[%u] closed: %s\n", client->number, why);
    }
    client->failed = true;
}

void vwl_client_error(struct vwl_client *client, uint32_t object, uint32_t code,
                      const char *format, ...)
{
    uint32_t head[5] = { 1, 0, object, code, 0 };
    static const char zeros[4];
    va_list args;
    char *text;
    size_t len;

    if (client->failed) {
        return;
    }
    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    len = strlen(text) + 1;
    head[4] = (uint32_t)len;
    head[1] = (uint32_t)(sizeof head + ((len + 3) & ~(size_t)3)) << 16;
    g_byte_array_append(client->to_client.bytes, (const guint8 *)head,
                        sizeof head);
    g_byte_array_append(client->to_client.bytes, (const guint8 *)text,
                        (guint)len);
    g_byte_array_append(client->to_client.bytes, (const guint8 *)zeros,
                        (guint)(-len & 3));
    vwl_client_fail(client, text);
    g_free(text);
}

void vwl_client_delete_id(struct vwl_client *client, uint32_t id)
{
    uint32_t message[3] = { 1, 12u << 16 | 1, id };

    g_byte_array_append(client->to_client.bytes, (const guint8 *)message,
                        sizeof message);
}

void vwl_client_to_host(struct vwl_client *client, const void *bytes,
                        size_t len, int vfd)
{
    if (vfd >= 0) {
        vwl_queue_attach(&client->to_host, vfd, client->to_host.bytes->len);
    }
    g_byte_array_append(client->to_host.bytes, bytes, (guint)len);
}

void vwl_client_request(struct vwl_client *client, uint32_t object,
                        unsigned int opcode, const uint32_t *args,
                        unsigned int n_args, int vfd)
{
    uint32_t words[16] = {
        object,
        (uint32_t)((n_args + 2) * 4) << 16 | opcode,
    };

    if (n_args != 0) {
        memcpy(words + 2, args, n_args * sizeof *args);
    }
    vwl_client_to_host(client, words, (n_args + 2) * 4, vfd);
}

static void close_sent(struct vwl_client *client, size_t sent)
{
    for (guint i = 0; i < client->closing->len;) {
        struct vwl_attached *entry = &g_array_index(client->closing,
                                                    struct vwl_attached, i);

        if (entry->at <= sent) {
            vwl_transport_close(client->bridge->transport, entry->fd);
            g_array_remove_index(client->closing, i);
        } else {
            entry->at -= sent;
            i++;
        }
    }
}

void vwl_client_close_vfd(struct vwl_client *client, int vfd)
{
    struct vwl_attached entry = { vfd, client->to_host.bytes->len };

    if (entry.at == 0) {
        vwl_transport_close(client->bridge->transport, vfd);
    } else {
        g_array_append_val(client->closing, entry);
    }
}

void vwl_client_alone(struct vwl_client *client,
                      const struct vwl_object *object,
                      const struct vwl_lone *lone)
{
    struct vwl_lone entry = *lone;

    entry.end = client->to_host.bytes->len;
    entry.object = object->host_id;
    g_array_append_val(client->lone, entry);
}

static struct vwl_lone *lone_at(struct vwl_client *client, guint i)
{
    return &g_array_index(client->lone, struct vwl_lone, i);
}

static void drop_lone(struct vwl_client *client, struct vwl_lone *lone)
{
    for (unsigned int i = 0; i < lone->n; i++) {
        vwl_transport_close(client->bridge->transport, lone->handles[i]);
    }
    if (lone->fence >= 0) {
        close(lone->fence);
    }
    *lone = (struct vwl_lone){ .fence = -1 };
}

/* What an answer says of the descriptors, and not of the connection. */
static bool is_refusal(int result)
{
    return result == -ENOENT || result == -EINVAL || result == -ENOTTY ||
           result == -ENOMEM || result == -EPERM || result == -EBADF;
}

/* true: what went alone was not sent, and that is all. */
static bool end_lone(struct vwl_client *client, int result)
{
    struct vwl_lone *lone = &client->asking;
    struct vwl_object *object = vwl_objects_host(&client->objects,
                                                 lone->object);
    bool refused = is_refusal(result);

    if (refused && object != NULL && !client->dead) {
        if (vwl_kind_of(object) == VWL_KIND_DMABUF_PARAMS) {
            vwl_dmabuf_refused(client, object, lone->fatal);
        } else if (vwl_kind_of(object) == VWL_KIND_SYNC) {
            vwl_sync_refused(client, object, &lone->fence);
        } else if (vwl_kind_of(object) == VWL_KIND_POOL) {
            vwl_shm_refused(client);
        }
    }
    drop_lone(client, lone);
    return refused;
}

static void set_watches(struct vwl_client *client);

static void on_sent(void *opaque, int result)
{
    struct vwl_client *client = opaque;

    client->sending = false;
    if (client->asking.end != 0 && end_lone(client, result)) {
        result = 0;
    }
    if (result < 0 && !client->host_gone) {
        /* what the host said before it hung up comes first */
        client->host_gone = true;
        client->bridge->again = true;
    }
    if (!client->dead) {
        vwl_client_flush(client);
    }
}

/* Moves what is queued behind what was sent. */
static void shift_to_host(struct vwl_client *client, size_t len, unsigned int n)
{
    vwl_queue_shift(&client->to_host, len, n);
    close_sent(client, len);
    for (guint i = 0; i < client->lone->len; i++) {
        lone_at(client, i)->begin -= len;
        lone_at(client, i)->end -= len;
    }
}

static int send_alone(struct vwl_client *client)
{
    struct vwl_queue *queue = &client->to_host;
    struct vwl_lone lone = *lone_at(client, 0);
    int vfds[VWL_MAX_FDS], r;
    unsigned int n;
    size_t len = vwl_queue_batch(queue, lone.end, vfds, &n);

    r = vwl_transport_send_checked(client->bridge->transport, client->ctx,
                                   queue->bytes->data, len, vfds, n, on_sent,
                                   client);
    if (r == 0) {
        client->asking = lone;
        g_array_remove_index(client->lone, 0);
        shift_to_host(client, len, n);
    }
    return r;
}

static int send_batch(struct vwl_client *client)
{
    struct vwl_queue *queue = &client->to_host;
    int vfds[VWL_MAX_FDS], r;
    unsigned int n;
    size_t len = queue->bytes->len;

    if (client->lone->len != 0) {
        len = lone_at(client, 0)->begin;
    }
    len = vwl_queue_batch(queue, len, vfds, &n);
    r = vwl_transport_send_async(client->bridge->transport, client->ctx,
                                 queue->bytes->data, len, vfds, n, on_sent,
                                 client);
    if (r == 0) {
        shift_to_host(client, len, n);
    }
    return r;
}

static void flush_to_host(struct vwl_client *client)
{
    bool alone = client->lone->len != 0 && lone_at(client, 0)->begin == 0;
    int r;

    if (client->sending || client->host_gone || client->fence >= 0 ||
        client->to_host.bytes->len == 0) {
        return;
    }
    r = alone ? send_alone(client) : send_batch(client);
    client->sending = r == 0;
    if (r < 0 && r != -EBUSY) {
        vwl_client_fail(client, "cannot send to the host");
    }
}

static bool send_some(struct vwl_client *client)
{
    struct vwl_queue *queue = &client->to_client;
    union {
        char space[CMSG_SPACE(sizeof(int) * VWL_MAX_FDS)];
        struct cmsghdr align;
    } control;
    int fds[VWL_MAX_FDS];
    unsigned int n;
    struct iovec iov = {
        queue->bytes->data,
        vwl_queue_batch(queue, queue->bytes->len, fds, &n),
    };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t sent;

    if (n != 0) {
        memset(&control, 0, sizeof control);
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * n);
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(sizeof(int) * n);
        memcpy(CMSG_DATA(&control.align), fds, sizeof(int) * n);
    }
    sent = sendmsg(client->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    if (sent < 0) {
        /* It does not listen; what it said before is still to be read. */
        client->deaf = true;
        sent = (ssize_t)iov.iov_len;
    }
    for (unsigned int i = 0; i < n; i++) {
        close(fds[i]);
    }
    vwl_queue_shift(queue, (size_t)sent, n);
    return true;
}

static bool is_over(struct vwl_client *client)
{
    if (client->failed || client->raw) {
        return client->failed || vwl_socket_is_over(client);
    }
    return client->eof && !client->sending &&
           (client->host_gone || client->to_host.bytes->len == 0);
}

void vwl_client_flush(struct vwl_client *client)
{
    if (client->dead) {
        return;
    }
    flush_to_host(client);
    while (client->to_client.bytes->len != 0 && send_some(client)) {
    }
    if (client->full && client->to_client.bytes->len <= VWL_HIGH_WATER) {
        client->full = false;
        client->bridge->again = true; /* what came meanwhile is not news */
    }
    if (is_over(client)) {
        client->dead = true;
        client->bridge->again = true;
    }
    set_watches(client);
}

static bool take_fds(struct vwl_client *client, struct msghdr *msg)
{
    bool fits = (msg->msg_flags & MSG_CTRUNC) == 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL;
         c = CMSG_NXTHDR(msg, c)) {
        size_t n;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            vwl_queue_attach(&client->from_client, fd, 0);
        }
    }
    return fits && client->from_client.fds->len <= MAX_WAITING_FDS;
}

static void relay(struct vwl_client *client, struct vwl_queue *queue,
                  void (*one)(struct vwl_client *, void *, size_t))
{
    GByteArray *bytes = queue->bytes;
    size_t at = 0;

    while (!client->failed && !client->dead) {
        int size = vwl_wire_size(bytes->data + at, bytes->len - at);

        if (size < 0) {
            vwl_client_error(client, 1, WL_ERROR_INVALID_METHOD,
                             "invalid message size");
        }
        if (size <= 0) {
            break;
        }
        one(client, bytes->data + at, (size_t)size);
        at += (size_t)size;
    }
    if (at != 0) {
        g_byte_array_remove_range(bytes, 0, (guint)at);
    }
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer data)
{
    struct vwl_client *client = data;
    struct vwl_queue *queue = &client->from_client;
    guint have = queue->bytes->len;
    union {
        char space[CMSG_SPACE(sizeof(int) * 253)];
        struct cmsghdr align;
    } control;
    struct iovec iov;
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control,
    };
    ssize_t n;

    g_byte_array_set_size(queue->bytes, have + READ_SIZE);
    iov = (struct iovec){ queue->bytes->data + have, READ_SIZE };
    n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    g_byte_array_set_size(queue->bytes, have + (n > 0 ? (guint)n : 0));
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return G_SOURCE_CONTINUE;
    }
    if (n <= 0) {
        client->eof = true;
    } else if (!take_fds(client, &msg)) {
        vwl_client_error(client, 1, WL_ERROR_NO_MEMORY, "too many descriptors");
    } else if (client->raw) {
        vwl_socket_from_client(client);
    } else {
        relay(client, queue, vwl_relay_request);
    }
    vwl_client_flush(client);
    return client->in_watch != 0;
}

static gboolean on_writable(gint fd, GIOCondition condition, gpointer data)
{
    struct vwl_client *client = data;

    client->out_watch = 0;
    vwl_client_flush(client);
    return G_SOURCE_REMOVE;
}

static void set_watches(struct vwl_client *client)
{
    bool in = !client->dead && !client->eof &&
              client->to_host.bytes->len < VWL_HIGH_WATER;
    bool out = !client->dead && client->to_client.bytes->len != 0;

    if (in && client->in_watch == 0) {
        client->in_watch = vwl_bridge_watch(client->fd, G_IO_IN | G_IO_HUP,
                                            on_readable, client);
    } else if (!in && client->in_watch != 0) {
        g_source_remove(client->in_watch);
        client->in_watch = 0;
    }
    if (out && client->out_watch == 0) {
        client->out_watch = vwl_bridge_watch(client->fd, G_IO_OUT, on_writable,
                                             client);
    } else if (!out && client->out_watch != 0) {
        g_source_remove(client->out_watch);
        client->out_watch = 0;
    }
}

static ssize_t receive(struct vwl_client *client)
{
    struct vwl_queue *queue = &client->from_host;
    struct vwl_transport *t = client->bridge->transport;
    int vfds[VWL_TRANSPORT_MAX_VFDS];
    unsigned int n = VWL_TRANSPORT_MAX_VFDS;
    guint8 data[4096];
    ssize_t r = vwl_transport_recv(t, client->ctx, data, sizeof data, vfds, &n,
                                   0);

    if (r > 0) {
        g_byte_array_append(queue->bytes, data, (guint)r);
    }
    for (unsigned int i = 0; r >= 0 && i < n; i++) {
        vwl_queue_attach(queue, vfds[i], 0);
    }
    return r;
}

void vwl_client_from_host(struct vwl_client *client)
{
    struct vwl_transport *t = client->bridge->transport;
    unsigned int round;
    ssize_t r = 1;

    for (round = 0;
         round < ROUNDS && !client->dead && !client->raw_state.host_eof;
         round++) {
        client->full = client->to_client.bytes->len > VWL_HIGH_WATER;
        if (client->full || vwl_transport_poll(t, client->ctx, 0) != 1) {
            break;
        }
        r = receive(client);
        if (r <= 0) {
            break;
        }
        if (client->raw) {
            vwl_socket_from_host(client);
        } else {
            relay(client, &client->from_host, vwl_relay_event);
        }
    }
    vwl_sync_serve(client);
    if (round == ROUNDS) {
        client->bridge->again = true;
    } else if (client->raw) {
        client->raw_state.host_eof |= r <= 0 && r != -ETIMEDOUT;
    } else if ((r <= 0 && r != -ETIMEDOUT) || client->host_gone) {
        client->host_gone = true;
        vwl_client_fail(client, "the host hung up");
    }
    vwl_client_flush(client);
}

static void on_freed(void *opaque, struct vwl_object *object)
{
    vwl_clock_object_freed(object);
    if (vwl_kind_of(object) == VWL_KIND_DMABUF_PARAMS) {
        vwl_dmabuf_freed(opaque, object);
    }
    vwl_shm_object_freed(opaque, object);
}

static const struct vwl_objects_ops objects_ops = {
    .role = vwl_kind_role,
    .freed = on_freed,
};

struct vwl_client *vwl_client_new(struct vwl_bridge *bridge, int ctx, int fd)
{
    struct vwl_client *client = g_new0(struct vwl_client, 1);

    client->bridge = bridge;
    client->number = ++bridge->counter;
    client->ctx = ctx;
    client->fd = fd;
    vwl_queue_init(&client->from_client);
    vwl_queue_init(&client->to_client);
    vwl_queue_init(&client->from_host);
    vwl_queue_init(&client->to_host);
    client->closing = g_array_new(FALSE, FALSE, sizeof(struct vwl_attached));
    client->globals = g_hash_table_new(NULL, NULL);
    client->buffers = g_ptr_array_new();
    client->lone = g_array_new(FALSE, FALSE, sizeof(struct vwl_lone));
    client->releases = vwl_sync_releases_new();
    client->asking.fence = client->fence = -1;
    g_queue_init(&client->idle);
    vwl_objects_init(&client->objects, &objects_ops, client);
    vwl_transport_watch(bridge->transport, ctx, 1);
    set_watches(client);
    return client;
}

static void queue_finish(struct vwl_client *client, struct vwl_queue *queue,
                         bool vfds)
{
    for (guint i = 0; i < queue->fds->len; i++) {
        if (vfds) {
            vwl_transport_close(client->bridge->transport,
                                vwl_queue_attached(queue, i)->fd);
        } else {
            close(vwl_queue_attached(queue, i)->fd);
        }
    }
    g_byte_array_unref(queue->bytes);
    g_array_unref(queue->fds);
}

void vwl_client_hang_up(struct vwl_client *client)
{
    if (client->ctx >= 0) {
        vwl_transport_close(client->bridge->transport, client->ctx);
        client->ctx = -1;
    }
}

void vwl_client_free(struct vwl_client *client)
{
    client->dead = true;
    set_watches(client);
    if (client->raw_state.hup_watch != 0) {
        g_source_remove(client->raw_state.hup_watch);
    }
    /* VFDs to the host have owners of their own. */
    g_array_set_size(client->to_host.fds, 0);
    vwl_objects_finish(&client->objects);
    vwl_shm_finish(client);
    vwl_sync_finish(client);
    drop_lone(client, &client->asking);
    for (guint i = 0; i < client->lone->len; i++) {
        drop_lone(client, lone_at(client, i));
    }
    g_array_unref(client->lone);
    queue_finish(client, &client->from_client, false);
    queue_finish(client, &client->to_client, false);
    queue_finish(client, &client->from_host, true);
    queue_finish(client, &client->to_host, true);
    close_sent(client, SIZE_MAX);
    g_array_unref(client->closing);
    g_hash_table_unref(client->globals);
    g_ptr_array_unref(client->buffers);
    vwl_client_hang_up(client);
    close(client->fd);
    g_free(client);
}
