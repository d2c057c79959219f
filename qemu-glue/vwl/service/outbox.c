/* SPDX-License-Identifier: BSD-3-Clause */
#include "outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_BYTES (1u << 20)
#define MOST_FDS 4

struct piece {
    GBytes *bytes;
    size_t sent;
    int fds[MOST_FDS];
    size_t n_fds;
};

struct vwl_outbox {
    int fd;
    void (*broken)(void *data);
    void *data;
    GQueue pieces;
    size_t waiting;
    unsigned int watch;
};

static void free_piece(gpointer data)
{
    struct piece *piece = data;

    for (size_t i = 0; i < piece->n_fds; i++) {
        close(piece->fds[i]);
    }
    g_bytes_unref(piece->bytes);
    g_free(piece);
}

/* 1: all of it; 0: the socket is full; -errno */
static int send_piece(int fd, struct piece *piece)
{
    size_t length;
    const char *data = g_bytes_get_data(piece->bytes, &length);
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int) * MOST_FDS)];
    } control = { 0 };

    while (piece->sent < length) {
        struct iovec part = { (void *)(data + piece->sent),
                              length - piece->sent };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
        ssize_t n;

        if (piece->n_fds > 0) {
            struct cmsghdr *head;

            message.msg_control = control.space;
            message.msg_controllen = CMSG_SPACE(sizeof(int) * piece->n_fds);
            head = CMSG_FIRSTHDR(&message);
            head->cmsg_level = SOL_SOCKET;
            head->cmsg_type = SCM_RIGHTS;
            head->cmsg_len = CMSG_LEN(sizeof(int) * piece->n_fds);
            memcpy(CMSG_DATA(head), piece->fds, sizeof(int) * piece->n_fds);
        }
        n = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EINTR) {
            return errno == EAGAIN ? 0 : -errno;
        }
        if (n > 0) {
            piece->sent += (size_t)n;
            for (; piece->n_fds > 0; piece->n_fds--) {
                close(piece->fds[piece->n_fds - 1]);
            }
        }
    }
    return 1;
}

static int flush(struct vwl_outbox *outbox)
{
    struct piece *piece;
    int status = 1;

    while (status > 0 && (piece = g_queue_peek_head(&outbox->pieces))) {
        status = send_piece(outbox->fd, piece);
        if (status > 0) {
            outbox->waiting -= g_bytes_get_size(piece->bytes);
            free_piece(g_queue_pop_head(&outbox->pieces));
        }
    }
    return status;
}

static gboolean on_writable(int fd, GIOCondition condition, gpointer data)
{
    struct vwl_outbox *outbox = data;
    int status = flush(outbox);

    if (status == 0) {
        return G_SOURCE_CONTINUE;
    }
    outbox->watch = 0;
    if (status < 0) {
        outbox->broken(outbox->data);
    }
    return G_SOURCE_REMOVE;
}

struct vwl_outbox *vwl_outbox_create(int fd, void (*broken)(void *data),
                                     void *data)
{
    struct vwl_outbox *outbox = g_new0(struct vwl_outbox, 1);

    outbox->fd = fd;
    outbox->broken = broken;
    outbox->data = data;
    g_queue_init(&outbox->pieces);
    return outbox;
}

void vwl_outbox_destroy(struct vwl_outbox *outbox)
{
    if (!outbox) {
        return;
    }
    g_clear_handle_id(&outbox->watch, g_source_remove);
    g_queue_clear_full(&outbox->pieces, free_piece);
    g_free(outbox);
}

bool vwl_outbox_put(struct vwl_outbox *outbox, const void *bytes, size_t length,
                    const int *fds, size_t n_fds)
{
    struct piece *piece;

    g_return_val_if_fail(n_fds <= MOST_FDS, false);
    if (outbox->waiting + length > MOST_BYTES) {
        return false;
    }
    piece = g_new0(struct piece, 1);
    piece->bytes = g_bytes_new(bytes, length);
    for (size_t i = 0; i < n_fds; i++) {
        int copy = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);

        if (copy < 0) {
            free_piece(piece);
            return false;
        }
        piece->fds[piece->n_fds++] = copy;
    }
    g_queue_push_tail(&outbox->pieces, piece);
    outbox->waiting += length;
    if (outbox->watch == 0) {
        outbox->watch = g_unix_fd_add(outbox->fd, G_IO_OUT, on_writable,
                                      outbox);
    }
    return true;
}
