/* SPDX-License-Identifier: BSD-3-Clause */
#include "client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "part.h"
#include "watch.h"

#define READ_SIZE 65536u
#define ROUNDS 64u /* records received at one go */

/* ---- what is said to the client ---- */

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
    vwl_queue_put(&client->to_client, head, sizeof head, -1);
    vwl_queue_put(&client->to_client, text, len, -1);
    vwl_queue_put(&client->to_client, zeros, -len & 3, -1);
    vwl_client_fail(client, text);
    g_free(text);
}

void vwl_client_delete_id(struct vwl_client *client, uint32_t id)
{
    uint32_t message[3] = { 1, 12u << 16 | 1, id };

    vwl_queue_put(&client->to_client, message, sizeof message, -1);
}

void vwl_client_event(struct vwl_client *client, uint32_t object,
                      unsigned int opcode, int fd)
{
    uint32_t message[2] = { object, 8u << 16 | opcode };

    vwl_queue_put(&client->to_client, message, sizeof message, fd);
}

void vwl_client_bad_id(struct vwl_client *client, uint32_t id)
{
    if (id >= client->objects.max && id < VWL_SERVER_IDS) {
        vwl_limit_reached(client->bridge, client, VWL_LIMIT_OBJECTS);
    }
    vwl_client_error(client, 1, WL_ERROR_INVALID_OBJECT, "invalid new id %u",
                     id);
}

struct vwl_object *vwl_client_new_object(struct vwl_client *client,
                                         const struct wl_interface *iface,
                                         uint32_t version,
                                         const struct vwl_wire_arg *arg,
                                         void *data)
{
    struct vwl_object *object;

    if (!vwl_objects_may_use(&client->objects, arg->value)) {
        vwl_client_bad_id(client, arg->value);
        return NULL;
    }
    object = vwl_objects_new(&client->objects, iface, version, arg->value,
                             true);
    if (object == NULL) {
        vwl_limit_reached(client->bridge, client, VWL_LIMIT_OBJECTS);
        vwl_client_error(client, 1, WL_ERROR_NO_MEMORY, "too many objects");
        return NULL;
    }
    vwl_wire_put(data, arg->at, object->host_id);
    return object;
}

/* ---- sending ---- */

static void set_watches(struct vwl_client *client);

static void on_sent(void *opaque, int result)
{
    struct vwl_client *client = opaque;

    client->sending = false;
    if (vwl_uplink_is_refused(&client->uplink, result)) {
        if (!client->dead && client->speaker->refused != NULL) {
            client->speaker->refused(client, &client->uplink.asking);
        }
        result = 0;
    }
    vwl_uplink_forget(&client->uplink);
    if (result < 0 && !client->host_gone) {
        /* what the host said before it hung up comes first */
        client->host_gone = true;
        client->bridge->again = true;
    }
    if (!client->dead) {
        vwl_client_flush(client);
    }
}

static void flush_to_host(struct vwl_client *client)
{
    int r;

    if (client->sending || client->host_gone || client->hold >= 0 ||
        vwl_uplink_len(&client->uplink) == 0) {
        return;
    }
    r = vwl_uplink_send(&client->uplink, client->ctx, on_sent, client);
    client->sending = r == 0;
    if (r < 0 && r != -EBUSY) {
        vwl_client_fail(client, "cannot send to the host");
    }
}

static gboolean on_released(gint fd, GIOCondition condition, gpointer data)
{
    struct vwl_client *client = data;

    client->hold_watch = 0;
    close(client->hold);
    client->hold = -1;
    vwl_client_flush(client);
    return G_SOURCE_REMOVE;
}

void vwl_client_hold(struct vwl_client *client, int fd)
{
    client->hold = fd;
    client->hold_watch = vwl_watch_add(fd, G_IO_IN, on_released, client);
}

/* false: the client takes no more now. */
static bool send_to_client(struct vwl_client *client)
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

void vwl_client_flush(struct vwl_client *client)
{
    if (client->dead) {
        return;
    }
    flush_to_host(client);
    while (client->to_client.bytes->len != 0 && send_to_client(client)) {
    }
    if (client->full && client->to_client.bytes->len <= VWL_HIGH_WATER) {
        client->full = false;
        client->bridge->again = true; /* what came meanwhile is not news */
    }
    if (client->failed || client->speaker->is_over(client)) {
        client->dead = true;
        client->bridge->again = true;
    }
    set_watches(client);
}

/* ---- receiving ---- */

static bool receive_fds(struct vwl_client *client, struct msghdr *msg)
{
    unsigned int max = vwl_limit_of(client, VWL_LIMIT_DESCRIPTORS);
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
            fits = fits && vwl_limit_may_hold(client, fd);
        }
    }
    if (client->from_client.fds->len > max) {
        vwl_limit_reached(client->bridge, client, VWL_LIMIT_DESCRIPTORS);
        return false;
    }
    return fits;
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
    } else if (!receive_fds(client, &msg)) {
        vwl_client_error(client, 1, WL_ERROR_NO_MEMORY, "too many descriptors");
    } else {
        client->speaker->from_client(client);
    }
    vwl_client_flush(client);
    vwl_bridge_settle(client->bridge);
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
              vwl_uplink_len(&client->uplink) < VWL_HIGH_WATER;
    bool out = !client->dead && client->to_client.bytes->len != 0;

    if (in && client->in_watch == 0) {
        client->in_watch = vwl_watch_add(client->fd, G_IO_IN | G_IO_HUP,
                                         on_readable, client);
    } else if (!in && client->in_watch != 0) {
        g_source_remove(client->in_watch);
        client->in_watch = 0;
    }
    if (out && client->out_watch == 0) {
        client->out_watch = vwl_watch_add(client->fd, G_IO_OUT, on_writable,
                                          client);
    } else if (!out && client->out_watch != 0) {
        g_source_remove(client->out_watch);
        client->out_watch = 0;
    }
}

static ssize_t receive_from_host(struct vwl_client *client)
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

    if (client->later) {
        client->speaker->from_host(client);
    }
    for (round = 0;
         round < ROUNDS && !client->dead && !client->host_eof && !client->later;
         round++) {
        client->full = client->to_client.bytes->len > VWL_HIGH_WATER;
        if (client->full || vwl_transport_poll(t, client->ctx, 0) != 1) {
            break;
        }
        r = receive_from_host(client);
        if (r <= 0) {
            break;
        }
        client->speaker->from_host(client);
    }
    vwl_parts_serve(client);
    client->host_eof |= r <= 0 && r != -ETIMEDOUT;
    if (round == ROUNDS) {
        client->bridge->again = true;
    } else if ((client->host_eof || client->host_gone) && !client->later &&
               client->speaker->host_left != NULL) {
        client->speaker->host_left(client);
    }
    vwl_client_flush(client);
}

/* ---- the life ---- */

bool vwl_client_has_room(struct vwl_bridge *bridge)
{
    bool room = bridge->clients->len + bridge->arrivals->len <
                (guint)bridge->options.limits.max[VWL_LIMIT_CLIENTS];

    if (!room) {
        vwl_limit_reached(bridge, NULL, VWL_LIMIT_CLIENTS);
    }
    return room;
}

struct vwl_client *vwl_client_new(struct vwl_bridge *bridge,
                                  const struct vwl_speaker *speaker, int ctx,
                                  int fd)
{
    struct vwl_client *client = g_new0(struct vwl_client, 1);

    client->bridge = bridge;
    client->speaker = speaker;
    client->number = ++bridge->counter;
    client->ctx = ctx;
    client->fd = fd;
    client->hold = -1;
    vwl_queue_init(&client->from_client);
    vwl_queue_init(&client->to_client);
    vwl_queue_init(&client->from_host);
    vwl_uplink_init(&client->uplink, bridge->transport);
    client->parts = vwl_parts_new();
    if (speaker->begin != NULL) {
        speaker->begin(client);
    }
    g_ptr_array_add(bridge->clients, client);
    vwl_transport_watch(bridge->transport, ctx, 1);
    set_watches(client);
    return client;
}

static void fds_close(struct vwl_queue *queue)
{
    while (queue->fds->len != 0) {
        close(vwl_queue_take(queue));
    }
    vwl_queue_finish(queue);
}

static void vfds_close(struct vwl_client *client, struct vwl_queue *queue)
{
    while (queue->fds->len != 0) {
        vwl_transport_close(client->bridge->transport, vwl_queue_take(queue));
    }
    vwl_queue_finish(queue);
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
    if (client->hold_watch != 0) {
        g_source_remove(client->hold_watch);
    }
    if (client->hold >= 0) {
        close(client->hold);
    }
    if (client->speaker->end != NULL) {
        client->speaker->end(client);
    }
    vwl_parts_finish(client);
    fds_close(&client->from_client);
    fds_close(&client->to_client);
    vfds_close(client, &client->from_host);
    vwl_uplink_finish(&client->uplink);
    vwl_client_hang_up(client);
    close(client->fd);
    g_free(client);
}
