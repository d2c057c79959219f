/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhu/msg.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/fd.h"

#define HEADER_BYTES sizeof(struct vhost_user_header)

void vwl_vhu_msg_init(struct vwl_vhu_msg *msg)
{
    msg->request = 0;
    msg->flags = 0;
    msg->size = 0;
    msg->n_fds = 0;
    msg->fds_lost = false;
    for (size_t i = 0; i < VWL_VHU_MAX_FDS; i++) {
        msg->fds[i] = -1;
    }
}

void vwl_vhu_msg_finish(struct vwl_vhu_msg *msg)
{
    vwl_fds_clear(msg->fds, msg->n_fds);
    vwl_vhu_msg_init(msg);
}

static void reader_begin(struct vwl_vhu_reader *reader)
{
    vwl_vhu_msg_init(&reader->msg);
    reader->got = 0;
    reader->starved = false;
}

void vwl_vhu_reader_init(struct vwl_vhu_reader *reader)
{
    reader_begin(reader);
    reader->least = 0;
}

void vwl_vhu_reader_finish(struct vwl_vhu_reader *reader)
{
    vwl_vhu_msg_finish(&reader->msg);
    reader_begin(reader);
}

/* Adds what rode along; false: some did not fit the message. */
static bool take_fds(struct vwl_vhu_msg *msg, int *fds, unsigned int n)
{
    unsigned int room = MIN(n, VWL_VHU_MAX_FDS - msg->n_fds);

    memcpy(msg->fds + msg->n_fds, fds, room * sizeof *fds);
    msg->n_fds += room;
    vwl_fds_clear(fds + room, n - room);
    return room == n;
}

/* Bytes, 0 for "not now", or -errno as of vwl_vhu_read. */
static int receive(struct vwl_vhu_reader *reader, int fd, void *to, size_t want,
                   const char **why)
{
    struct iovec iov = { .iov_base = to, .iov_len = want };
    int fds[VWL_FDS_MAX];
    unsigned int n_fds;
    bool lost;
    ssize_t n = vwl_fds_receive(fd, 0, &iov, 1, fds, &n_fds, &lost);

    reader->starved = n == -ENOMEM || n == -ENOBUFS;
    if (n < 0) {
        return reader->starved || n == -EAGAIN ? 0 : -ECONNRESET;
    }
    reader->msg.fds_lost |= lost;
    if (!take_fds(&reader->msg, fds, n_fds)) {
        *why = "too many descriptors";
        return -EPROTO;
    }
    if (n_fds > 0 && reader->got > 0) {
        *why = "descriptors in the middle of a message";
        return -EPROTO;
    }
    return n == 0 ? -ECONNRESET : (int)n;
}

static int parse_header(struct vwl_vhu_reader *reader, const char **why)
{
    struct vhost_user_header header;

    memcpy(&header, reader->header, sizeof header);
    if ((header.flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION) {
        *why = "not version 1";
        return -EPROTO;
    }
    if (header.size > VWL_VHU_MAX_PAYLOAD) {
        *why = "payload too long";
        return -EPROTO;
    }
    reader->msg.request = header.request;
    reader->msg.flags = header.flags;
    reader->msg.size = header.size;
    return 0;
}

static void hand_over(struct vwl_vhu_reader *reader, struct vwl_vhu_msg *msg)
{
    struct vwl_vhu_msg *from = &reader->msg;

    msg->request = from->request;
    msg->flags = from->flags;
    msg->size = from->size;
    msg->n_fds = from->n_fds;
    msg->fds_lost = from->fds_lost;
    memcpy(msg->fds, from->fds, sizeof msg->fds);
    memcpy(msg->payload, from->payload, from->size);
    reader_begin(reader);
}

/* The first bytes of a message, with those of its payload that it surely has:
 * as receive. */
static int receive_first(struct vwl_vhu_reader *reader, int fd,
                         const char **why)
{
    uint8_t bytes[HEADER_BYTES + VWL_VHU_LEAST_MAX];
    int n = receive(reader, fd, bytes, HEADER_BYTES + reader->least, why), err;

    if (n <= 0) {
        return n;
    }
    reader->got = (size_t)n;
    memcpy(reader->header, bytes, MIN(reader->got, HEADER_BYTES));
    if (reader->got < HEADER_BYTES) {
        return n;
    }
    err = parse_header(reader, why);
    if (err == 0 && reader->msg.size < reader->least) {
        *why = "payload too short";
        err = -EPROTO;
    }
    if (err < 0) {
        return err;
    }
    memcpy(reader->msg.payload, bytes + HEADER_BYTES,
           reader->got - HEADER_BYTES);
    return n;
}

int vwl_vhu_read(struct vwl_vhu_reader *reader, int fd, struct vwl_vhu_msg *msg,
                 const char **why)
{
    if (reader->got == 0 && reader->least > 0) {
        int n = receive_first(reader, fd, why);

        if (n <= 0) {
            return n;
        }
        if (reader->got == HEADER_BYTES + reader->msg.size &&
            reader->got > HEADER_BYTES) {
            hand_over(reader, msg);
            return 1;
        }
    }
    for (;;) {
        bool in_header = reader->got < HEADER_BYTES;
        size_t total = HEADER_BYTES + (in_header ? 0 : reader->msg.size);
        uint8_t *to = in_header
                          ? reader->header + reader->got
                          : reader->msg.payload + (reader->got - HEADER_BYTES);
        int n = receive(reader, fd, to, total - reader->got, why);

        if (n <= 0) {
            return n;
        }
        reader->got += (size_t)n;
        if (reader->got < total) {
            continue;
        }
        if (in_header) {
            int err = parse_header(reader, why);

            if (err < 0) {
                return err;
            }
            if (reader->msg.size > 0) {
                continue;
            }
        }
        hand_over(reader, msg);
        return 1;
    }
}

struct waiting {
    int fd; /* owned; -1 when there is none or it went out already */
    size_t len;
    size_t sent;
    uint8_t bytes[];
};

struct vwl_vhu_writer {
    GQueue waiting; /* struct waiting */
    bool starved;   /* the last attempt found no memory */
};

struct vwl_vhu_writer *vwl_vhu_writer_create(void)
{
    struct vwl_vhu_writer *writer = g_new0(struct vwl_vhu_writer, 1);

    g_queue_init(&writer->waiting);
    return writer;
}

static void waiting_free(void *data)
{
    struct waiting *waiting = data;

    vwl_fd_clear(&waiting->fd);
    g_free(waiting);
}

void vwl_vhu_writer_destroy(struct vwl_vhu_writer *writer)
{
    if (!writer) {
        return;
    }
    g_queue_clear_full(&writer->waiting, waiting_free);
    g_free(writer);
}

/* Bytes sent, 0 for "not now", or -ECONNRESET. -ETOOMANYREFS: so many
 * descriptors are under way between processes that no more are let in. Nothing
 * tells when that is over, nor when there is memory again. */
static ssize_t send_some(struct vwl_vhu_writer *writer, int sock,
                         const struct iovec *iov, size_t n_iov, int fd)
{
    ssize_t n = vwl_fds_send(sock, iov, n_iov, &fd, fd >= 0);

    writer->starved = false;
    if (n >= 0) {
        return n;
    }
    switch ((int)-n) {
    case EAGAIN:
        return 0;
    case ENOMEM:
    case ENOBUFS:
        writer->starved = true;
        return 0;
    case ETOOMANYREFS:
        writer->starved = true;
        return -ETOOMANYREFS;
    default:
        return -ECONNRESET;
    }
}

int vwl_vhu_write(struct vwl_vhu_writer *writer, int sock, uint32_t request,
                  uint32_t flags, const void *payload, uint32_t size, int fd)
{
    struct vhost_user_header header = { request, flags, size };
    struct iovec iov[2] = {
        { .iov_base = &header, .iov_len = sizeof header },
        { .iov_base = (void *)payload, .iov_len = size },
    };
    struct waiting *waiting;
    ssize_t sent = 0;
    int own = -1;

    if (g_queue_is_empty(&writer->waiting)) {
        sent = send_some(writer, sock, iov, size ? 2 : 1, fd);
        if (sent < 0) {
            return (int)sent;
        }
        if ((size_t)sent == sizeof header + size) {
            return 0;
        }
    } else if (writer->waiting.length >= VWL_VHU_MAX_WAITING) {
        return -ENOBUFS;
    }
    if (fd >= 0 && sent == 0) {
        own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (own < 0) {
            return -errno;
        }
    }
    waiting = g_malloc(sizeof *waiting + sizeof header + size);
    waiting->fd = own;
    waiting->len = sizeof header + size;
    waiting->sent = (size_t)sent;
    memcpy(waiting->bytes, &header, sizeof header);
    if (size) {
        memcpy(waiting->bytes + sizeof header, payload, size);
    }
    g_queue_push_tail(&writer->waiting, waiting);
    return 0;
}

int vwl_vhu_flush(struct vwl_vhu_writer *writer, int sock)
{
    struct waiting *waiting;

    while ((waiting = g_queue_peek_head(&writer->waiting))) {
        struct iovec iov = {
            .iov_base = waiting->bytes + waiting->sent,
            .iov_len = waiting->len - waiting->sent,
        };
        ssize_t n = send_some(writer, sock, &iov, 1, waiting->fd);

        if (n <= 0) {
            return n == -ETOOMANYREFS ? 0 : (int)n;
        }
        vwl_fd_clear(&waiting->fd);
        waiting->sent += (size_t)n;
        if (waiting->sent == waiting->len) {
            waiting_free(g_queue_pop_head(&writer->waiting));
        }
    }
    return 0;
}

bool vwl_vhu_writer_pending(const struct vwl_vhu_writer *writer)
{
    return writer->waiting.length > 0;
}

bool vwl_vhu_writer_starved(const struct vwl_vhu_writer *writer)
{
    return vwl_vhu_writer_pending(writer) && writer->starved;
}
