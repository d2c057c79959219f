/* SPDX-License-Identifier: BSD-3-Clause */
#include "qmp.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "socket.h"

#define RETRY_MS 50
#define MOST_LINE (1u << 20)

struct call {
    vwl_qmp_done_fn done;
    void *data;
};

struct vwl_qmp {
    char *path;
    const struct vwl_qmp_ops *ops;
    void *data;
    int fd;
    unsigned int retry, watch; /* GSources */
    GByteArray *rest;          /* of a line */
    GQueue calls;              /* struct call, in the order of answers */
    unsigned int depth;        /* of dispatch */
    bool destroyed;
};

static void finish(struct vwl_qmp *qmp)
{
    g_byte_array_unref(qmp->rest);
    g_queue_clear_full(&qmp->calls, g_free);
    g_free(qmp->path);
    g_free(qmp);
}

static void hang_up(struct vwl_qmp *qmp)
{
    g_clear_handle_id(&qmp->retry, g_source_remove);
    g_clear_handle_id(&qmp->watch, g_source_remove);
    if (qmp->fd >= 0) {
        close(qmp->fd);
        qmp->fd = -1;
    }
}

void vwl_qmp_destroy(struct vwl_qmp *qmp)
{
    if (!qmp) {
        return;
    }
    hang_up(qmp);
    qmp->destroyed = true;
    if (qmp->depth == 0) {
        finish(qmp);
    }
}

static bool send_line(int socket, const char *line, int fd)
{
    struct iovec part = { (char *)line, strlen(line) };
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

    if (fd >= 0) {
        struct cmsghdr *head;

        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(head), &fd, sizeof fd);
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL) == (ssize_t)part.iov_len;
}

bool vwl_qmp_call(struct vwl_qmp *qmp, const char *command,
                  const char *arguments, int fd, vwl_qmp_done_fn done,
                  void *data)
{
    char *line;
    bool sent;

    if (!qmp || qmp->fd < 0) {
        return false;
    }
    line = g_strdup_printf("{\"execute\":\"%s\"%s%s}\n", command,
                           arguments ? ",\"arguments\":" : "",
                           arguments ? arguments : "");
    sent = send_line(qmp->fd, line, fd);
    g_free(line);
    if (sent) {
        struct call *call = g_new(struct call, 1);

        *call = (struct call){ done, data };
        g_queue_push_tail(&qmp->calls, call);
    }
    return sent;
}

bool vwl_qmp_send(struct vwl_qmp *qmp, const char *command,
                  vwl_qmp_done_fn done, void *data)
{
    return vwl_qmp_call(qmp, command, NULL, -1, done, data);
}

/* ---- what comes --------------------------------------------------------- */

static void on_capable(void *data, JsonNode *value, const char *why)
{
    struct vwl_qmp *qmp = data;

    if (value && qmp->ops->ready) {
        qmp->ops->ready(qmp->data);
    }
}

static void take_answer(struct vwl_qmp *qmp, JsonObject *object)
{
    struct call *call = g_queue_pop_head(&qmp->calls);
    JsonObject *error = json_object_has_member(object, "error")
                            ? json_object_get_object_member(object, "error")
                            : NULL;

    if (call && call->done) {
        call->done(call->data, json_object_get_member(object, "return"),
                   error ? json_object_get_string_member_with_default(error,
                                                                      "desc",
                                                                      "refused")
                         : NULL);
    }
    g_free(call);
}

static void take_object(struct vwl_qmp *qmp, JsonObject *object)
{
    if (json_object_has_member(object, "QMP")) {
        vwl_qmp_send(qmp, "qmp_capabilities", on_capable, qmp);
    } else if (json_object_has_member(object, "event")) {
        JsonNode *details = json_object_get_member(object, "data");

        qmp->ops->event(qmp->data,
                        json_object_get_string_member_with_default(object,
                                                                   "event", ""),
                        details && JSON_NODE_HOLDS_OBJECT(details)
                            ? json_node_get_object(details)
                            : NULL);
    } else {
        take_answer(qmp, object);
    }
}

static bool take_line(struct vwl_qmp *qmp, const char *line, size_t length)
{
    JsonParser *parser = json_parser_new();
    bool ok = json_parser_load_from_data(parser, line, (gssize)length, NULL);
    JsonNode *root = ok ? json_parser_get_root(parser) : NULL;

    ok = root && JSON_NODE_HOLDS_OBJECT(root);
    if (ok) {
        take_object(qmp, json_node_get_object(root));
    }
    g_object_unref(parser);
    return ok;
}

static bool take_lines(struct vwl_qmp *qmp)
{
    bool ok = true;
    guint8 *end;

    while (ok && !qmp->destroyed && qmp->rest->len > 0 &&
           (end = memchr(qmp->rest->data, '\n', qmp->rest->len))) {
        size_t length = (size_t)(end - qmp->rest->data);
        char *line = g_strndup((char *)qmp->rest->data, length);

        g_byte_array_remove_range(qmp->rest, 0, (guint)length + 1);
        ok = take_line(qmp, line, length);
        g_free(line);
    }
    return ok && qmp->rest->len <= MOST_LINE;
}

static gboolean on_readable(int fd, GIOCondition condition, gpointer data)
{
    struct vwl_qmp *qmp = data;
    guint8 buffer[16384];
    ssize_t n = recv(fd, buffer, sizeof buffer, 0);
    bool ok = n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));

    qmp->depth++;
    if (n > 0) {
        g_byte_array_append(qmp->rest, buffer, (guint)n);
        ok = take_lines(qmp);
    }
    if (!ok && !qmp->destroyed) {
        qmp->watch = 0;
        hang_up(qmp);
        qmp->ops->closed(qmp->data);
    }
    qmp->depth--;
    if (qmp->destroyed) {
        finish(qmp);
        return G_SOURCE_REMOVE;
    }
    return ok;
}

/* ---- begin -------------------------------------------------------------- */

static gboolean on_retry(gpointer data)
{
    struct vwl_qmp *qmp = data;
    int fd = vwl_socket_connect(qmp->path);

    if (fd < 0) {
        return G_SOURCE_CONTINUE;
    }
    qmp->fd = fd;
    qmp->retry = 0;
    qmp->watch = g_unix_fd_add(fd, G_IO_IN, on_readable, qmp);
    return G_SOURCE_REMOVE;
}

struct vwl_qmp *vwl_qmp_create(const char *path, const struct vwl_qmp_ops *ops,
                               void *data)
{
    struct vwl_qmp *qmp = g_new0(struct vwl_qmp, 1);

    qmp->path = g_strdup(path);
    qmp->ops = ops;
    qmp->data = data;
    qmp->fd = -1;
    qmp->rest = g_byte_array_new();
    g_queue_init(&qmp->calls);
    qmp->retry = g_timeout_add(RETRY_MS, on_retry, qmp);
    return qmp;
}
