/* SPDX-License-Identifier: BSD-3-Clause */
#include "resources.h"

#include <errno.h>
#include <glib-unix.h>
#include <inttypes.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "say.h"
#include "vhost-user-wl/virtio_wl.h"

/* Questions without an answer; the socket's buffer holds as many. */
#define MAX_ASKED 64
/* The longest answer has a fifth of this. */
#define MAX_PACKET 2048
#define MAX_FDS 8
#define MAX_PLANES 4
#define MAX_COMPLAINTS 8 /* lines in the log about wrong answers */

struct question {
    int to;      /* where the answer goes */
    bool buffer; /* of a buffer, or of a fence */
};

struct vwl_resources {
    int fd; /* -1: the bridge is gone */
    guint watch;
    GQueue asked; /* of struct question, oldest first */
    unsigned int n_complaints;
};

/* What came with a packet. Those that nobody takes are closed. */
struct baggage {
    int fds[MAX_FDS];
    unsigned int n;
};

static void answer(struct question *question, int32_t status, int fd)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct iovec iov = { &status, sizeof status };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (fd >= 0) {
        msg.msg_control = &control;
        msg.msg_controllen = sizeof control;
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    }
    /* whoever asked may have gone; the end of file is a refusal, too */
    (void)!sendmsg(question->to, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    close(question->to);
    g_free(question);
}

static void give_up(struct vwl_resources *resources, const char *why)
{
    struct question *question;

    vwl_say("the resource bridge is no longer used: %s", why);
    if (resources->watch) {
        g_source_remove(resources->watch);
        resources->watch = 0;
    }
    close(resources->fd);
    resources->fd = -1;
    while ((question = g_queue_pop_head(&resources->asked))) {
        answer(question, -ENOTCONN, -1);
    }
}

/* ---- answers ---------------------------------------------------------- */

static JsonObject *member_object(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);

    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node)
                                                : NULL;
}

/* A whole number that is not above the limit. */
static bool member_number(JsonObject *object, const char *name, uint64_t most,
                          uint64_t *out)
{
    JsonNode *node = json_object_get_member(object, name);
    gint64 value;

    if (!node || !JSON_NODE_HOLDS_VALUE(node) ||
        json_node_get_value_type(node) != G_TYPE_INT64) {
        return false;
    }
    value = json_node_get_int(node);
    if (value < 0 || (uint64_t)value > most) {
        return false;
    }
    *out = (uint64_t)value;
    return true;
}

/* Whether every plane begins within the buffer. */
static bool planes_fit(JsonObject *buffer, int fd)
{
    JsonNode *node = json_object_get_member(buffer, "planes");
    JsonArray *planes;
    struct stat st;
    uint64_t size = 0;

    if (!node || !JSON_NODE_HOLDS_ARRAY(node)) {
        return false;
    }
    planes = json_node_get_array(node);
    if (json_array_get_length(planes) < 1 ||
        json_array_get_length(planes) > MAX_PLANES) {
        return false;
    }
    if (fstat(fd, &st) == 0 && st.st_size > 0) {
        size = (uint64_t)st.st_size;
    }
    for (guint i = 0; i < json_array_get_length(planes); i++) {
        JsonNode *at = json_array_get_element(planes, i);
        uint64_t offset, stride;

        if (!JSON_NODE_HOLDS_OBJECT(at) ||
            !member_number(json_node_get_object(at), "offset", UINT32_MAX,
                           &offset) ||
            !member_number(json_node_get_object(at), "stride", UINT32_MAX,
                           &stride) ||
            (size && stride && offset >= size)) {
            return false;
        }
    }
    return true;
}

/* The descriptor's place in the baggage; -ENOENT: there is no such thing;
 * -EPROTO: it is not an answer. */
static int read_resource(JsonObject *root, bool want_buffer,
                         const struct baggage *baggage)
{
    JsonObject *resource = member_object(root, "Resource");
    JsonObject *thing = resource
                            ? member_object(resource,
                                            want_buffer ? "Buffer" : "Fence")
                            : NULL;
    uint64_t handle;

    if (!thing || baggage->n == 0 ||
        !member_number(thing, "handle", baggage->n - 1, &handle) ||
        (want_buffer && !planes_fit(thing, baggage->fds[handle]))) {
        return -EPROTO;
    }
    return (int)handle;
}

static int read_answer(const char *text, size_t len, bool want_buffer,
                       const struct baggage *baggage)
{
    JsonParser *parser = json_parser_new_immutable();
    JsonNode *root = NULL;
    int at = -EPROTO;

    if (g_utf8_validate(text, (gssize)len, NULL) &&
        json_parser_load_from_data(parser, text, (gssize)len, NULL)) {
        root = json_parser_get_root(parser);
    }
    if (root && JSON_NODE_HOLDS_OBJECT(root)) {
        at = read_resource(json_node_get_object(root), want_buffer, baggage);
    } else if (root && JSON_NODE_HOLDS_VALUE(root) &&
               g_strcmp0(json_node_get_string(root), "Invalid") == 0) {
        at = -ENOENT;
    }
    g_object_unref(parser);
    return at;
}

/* Its length, or -errno. */
static ssize_t receive(int fd, char *packet, struct baggage *baggage)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(MAX_FDS * sizeof(int))];
    } control;
    struct iovec iov = { packet, MAX_PACKET };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = &control,
                          .msg_controllen = sizeof control };
    ssize_t n;

    do {
        n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return -errno;
    }
    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg); cmsg;
         cmsg = CMSG_NXTHDR(&msg, cmsg)) {
        size_t some = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS &&
            some <= MAX_FDS - baggage->n) {
            memcpy(baggage->fds + baggage->n, CMSG_DATA(cmsg),
                   some * sizeof(int));
            baggage->n += (unsigned int)some;
        }
    }
    return msg.msg_flags & (MSG_CTRUNC | MSG_TRUNC) ? 1 : n;
}

/* A guest chooses how often it asks. */
static void complain(struct vwl_resources *resources, ssize_t len,
                     unsigned int n_fds)
{
    if (resources->n_complaints < MAX_COMPLAINTS) {
        resources->n_complaints++;
        vwl_say("the resource bridge sent %zd bytes and %u descriptors that "
                "are not an answer%s",
                len, n_fds,
                resources->n_complaints == MAX_COMPLAINTS
                    ? "; more of these are not logged"
                    : "");
    }
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer data)
{
    struct vwl_resources *resources = data;
    struct baggage baggage = { .n = 0 };
    struct question *question;
    char packet[MAX_PACKET];
    ssize_t n = receive(fd, packet, &baggage);
    int at;

    if (n == -EAGAIN) {
        return G_SOURCE_CONTINUE;
    }
    question = n > 0 ? g_queue_pop_head(&resources->asked) : NULL;
    if (question) {
        /* one that was cut off has one byte: no value */
        at = read_answer(packet, (size_t)n, question->buffer, &baggage);
        if (at == -EPROTO) {
            complain(resources, n, baggage.n);
        }
        answer(question, MIN(at, 0), at < 0 ? -1 : baggage.fds[at]);
    }
    for (unsigned int i = 0; i < baggage.n; i++) {
        close(baggage.fds[i]);
    }
    if (!question) {
        resources->watch = 0;
        give_up(resources, n > 0
                               ? "it sent a message that nothing had asked for"
                           : n == 0 ? "it closed the connection"
                                    : g_strerror((int)-n));
        return G_SOURCE_REMOVE;
    }
    return G_SOURCE_CONTINUE;
}

/* ---- questions -------------------------------------------------------- */

static int ask(struct vwl_resources *resources, bool buffer, uint64_t id)
{
    char text[64];
    int len = g_snprintf(text, sizeof text,
                         buffer ? "{\"GetBuffer\":{\"id\":%" PRIu64 "}}"
                                : "{\"GetFence\":{\"seqno\":%" PRIu64 "}}",
                         id);
    ssize_t n;

    do {
        n = send(resources->fd, text, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

static int resources_request(struct vwl_resources *resources, uint32_t kind,
                             uint64_t id, int *fd)
{
    bool buffer = kind == VIRTIO_WL_FOREIGN_VIRTGPU;
    struct question *question;
    int sv[2], err;

    if (resources->fd < 0) {
        return -ENOTCONN;
    }
    if (resources->asked.length >= MAX_ASKED) {
        return -EBUSY;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                   sv) < 0) {
        return -errno;
    }
    err = ask(resources, buffer, id);
    if (err < 0) {
        close(sv[0]);
        close(sv[1]);
        if (err != -EAGAIN) {
            give_up(resources, g_strerror(-err));
        }
        return err;
    }
    question = g_new(struct question, 1);
    *question = (struct question){ sv[1], buffer };
    g_queue_push_tail(&resources->asked, question);
    *fd = sv[0];
    return 0;
}

static struct vwl_resources *resources_create(const char *path, GError **error)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    struct vwl_resources *resources;
    int fd;

    if (strlen(path) >= sizeof sun.sun_path) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NAMETOOLONG,
                    "--resource-bridge: '%s' is too long for a socket", path);
        return NULL;
    }
    memcpy(sun.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&sun, sizeof sun) < 0) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                    "--resource-bridge=%s: %s", path, g_strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return NULL;
    }
    /* its types are made now: later there may be a sandbox */
    g_object_unref(json_parser_new_immutable());
    resources = g_new0(struct vwl_resources, 1);
    resources->fd = fd;
    g_queue_init(&resources->asked);
    resources->watch = g_unix_fd_add(fd, G_IO_IN, on_readable, resources);
    return resources;
}

static void resources_destroy(struct vwl_resources *resources)
{
    struct question *question;

    if (!resources) {
        return;
    }
    while ((question = g_queue_pop_head(&resources->asked))) {
        answer(question, -ENOTCONN, -1);
    }
    if (resources->watch) {
        g_source_remove(resources->watch);
    }
    if (resources->fd >= 0) {
        close(resources->fd);
    }
    g_free(resources);
}

const struct vwl_resources_calls *vwl_resources_get(void)
{
    static const struct vwl_resources_calls calls = {
        .version = VWL_VERSION,
        .create = resources_create,
        .destroy = resources_destroy,
        .request = resources_request,
    };

    return &calls;
}
