/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "channel/parser.h"
#include "wire.h"

#define FULL (512u << 10)
#define READ_BYTES 65536u
#define MAX_FDS 253u /* the kernel's, for one message */

struct vwl_wire {
    const struct vwl_wire_ops *ops;
    void *opaque;
    char *path;
    int fd;
    bool greeted, was_full;
    struct vwl_parser *parser;
    GByteArray *out;
    size_t sent; /* of out */
    guint on_in, on_out, on_retry;
    unsigned int backoff_ms;
};

static gboolean on_retry(gpointer data);

static void stop(guint *source)
{
    if (*source != 0) {
        g_source_remove(*source);
        *source = 0;
    }
}

static void down(struct vwl_wire *wire, const char *why)
{
    bool greeted = wire->greeted;

    stop(&wire->on_in);
    stop(&wire->on_out);
    if (wire->fd >= 0) {
        close(wire->fd);
        wire->fd = -1;
    }
    wire->greeted = wire->was_full = false;
    g_clear_pointer(&wire->parser, vwl_parser_destroy);
    g_byte_array_set_size(wire->out, 0);
    wire->sent = 0;
    if (greeted) {
        g_message("the host is gone: %s", why);
        wire->ops->down(wire->opaque);
    }
    if (wire->on_retry == 0) {
        wire->on_retry = g_timeout_add(wire->backoff_ms, on_retry, wire);
        wire->backoff_ms = MIN(wire->backoff_ms * 2, VWL_MAX_BACKOFF_MS);
    }
}

/* ---- in ----------------------------------------------------------------- */

static void deal_with(struct vwl_wire *wire, struct vwl_frame *frame)
{
    if (frame->type == VWL_FRAME_HELLO) {
        wire->greeted = true;
        wire->backoff_ms = VWL_MIN_BACKOFF_MS;
    }
    wire->ops->frame(wire->opaque, frame);
    for (unsigned int i = 0; i < VWL_EXEC_FDS; i++) {
        if (frame->fds[i] >= 0) {
            close(frame->fds[i]);
        }
    }
}

static ssize_t receive(struct vwl_wire *wire)
{
    static guint8 data[READ_BYTES];
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(MAX_FDS * sizeof(int))];
    } control;
    struct iovec iov = { data, sizeof data };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = &control,
                          .msg_controllen = sizeof control };
    ssize_t n = recvmsg(wire->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (n <= 0) {
        return n;
    }
    vwl_parser_feed(wire->parser, data, (size_t)n, NULL, 0);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            vwl_parser_feed(wire->parser, data, 0, (const int *)CMSG_DATA(c),
                            (c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        }
    }
    return n;
}

static gboolean on_in(gint fd, GIOCondition condition, gpointer data)
{
    struct vwl_wire *wire = data;
    struct vwl_frame frame;
    ssize_t n = receive(wire);
    int status;

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return G_SOURCE_CONTINUE;
    }
    if (n <= 0) {
        down(wire, n == 0 ? "it hung up" : g_strerror(errno));
        return G_SOURCE_REMOVE;
    }
    while ((status = vwl_parser_next(wire->parser, &frame)) > 0) {
        deal_with(wire, &frame);
        if (!wire->parser) {
            return G_SOURCE_REMOVE; /* a flush found the end */
        }
    }
    if (status < 0) {
        g_message("the host breaks the rules: %s",
                  vwl_parser_why(wire->parser));
        down(wire, "told to");
        return G_SOURCE_REMOVE;
    }
    return G_SOURCE_CONTINUE;
}

/* ---- out ---------------------------------------------------------------- */

bool vwl_wire_is_greeted(const struct vwl_wire *wire)
{
    return wire->greeted;
}

bool vwl_wire_is_full(struct vwl_wire *wire)
{
    wire->was_full |= wire->out->len - wire->sent > FULL;
    return wire->out->len - wire->sent > FULL;
}

GByteArray *vwl_wire_out(struct vwl_wire *wire)
{
    return wire->out;
}

static gboolean on_out(gint fd, GIOCondition condition, gpointer data)
{
    struct vwl_wire *wire = data;
    ssize_t n = send(wire->fd, wire->out->data + wire->sent,
                     wire->out->len - wire->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        down(wire, g_strerror(errno));
        return G_SOURCE_REMOVE;
    }
    wire->sent += n > 0 ? (size_t)n : 0;
    if (wire->was_full && !vwl_wire_is_full(wire)) {
        wire->was_full = false;
        wire->ops->drained(wire->opaque);
    }
    if (wire->sent < wire->out->len) {
        return G_SOURCE_CONTINUE;
    }
    g_byte_array_set_size(wire->out, 0);
    wire->sent = 0;
    wire->on_out = 0;
    return G_SOURCE_REMOVE;
}

void vwl_wire_flush(struct vwl_wire *wire)
{
    if (wire->fd < 0) {
        g_byte_array_set_size(wire->out, 0);
    } else if (wire->on_out == 0 && wire->out->len != 0) {
        wire->on_out = g_unix_fd_add(wire->fd, G_IO_OUT, on_out, wire);
    }
}

/* ---- up ----------------------------------------------------------------- */

static bool open_socket(struct vwl_wire *wire)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    if (strlen(wire->path) >= sizeof address.sun_path) {
        return false;
    }
    strcpy(address.sun_path, wire->path);
    wire->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return wire->fd >= 0 &&
           connect(wire->fd, (struct sockaddr *)&address, sizeof address) == 0;
}

static gboolean on_retry(gpointer data)
{
    struct vwl_wire *wire = data;

    wire->on_retry = 0;
    if (!open_socket(wire)) {
        down(wire, "nobody listens");
        return G_SOURCE_REMOVE;
    }
    wire->parser = vwl_parser_create(VWL_SIDE_HOST);
    wire->on_in = g_unix_fd_add(wire->fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_in,
                                wire);
    if (!vwl_frame_put(wire->out, VWL_SIDE_GUEST, VWL_FRAME_HELLO, 0,
                       VWL_CHANNEL_VERSION, "vwl-guest " VWL_VERSION,
                       g_get_user_name(), g_get_home_dir(), NULL)) {
        down(wire, "a name that is not UTF-8");
        return G_SOURCE_REMOVE;
    }
    vwl_wire_flush(wire);
    return G_SOURCE_REMOVE;
}

struct vwl_wire *vwl_wire_create(const char *path,
                                 const struct vwl_wire_ops *ops, void *opaque)
{
    struct vwl_wire *wire = g_new0(struct vwl_wire, 1);

    wire->ops = ops;
    wire->opaque = opaque;
    wire->path = g_strdup(path);
    wire->fd = -1;
    wire->out = g_byte_array_sized_new(4096);
    wire->backoff_ms = VWL_MIN_BACKOFF_MS;
    wire->on_retry = g_idle_add(on_retry, wire);
    return wire;
}

void vwl_wire_destroy(struct vwl_wire *wire)
{
    if (!wire) {
        return;
    }
    stop(&wire->on_in);
    stop(&wire->on_out);
    stop(&wire->on_retry);
    if (wire->fd >= 0) {
        close(wire->fd);
    }
    vwl_parser_destroy(wire->parser);
    g_byte_array_unref(wire->out);
    g_free(wire->path);
    g_free(wire);
}
