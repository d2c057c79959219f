/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-user stream: bytes and descriptors in, whole messages out, and
 * back. Non-blocking and resumable: a partial message is a state, not a loop.
 * Used for both channels. Knows no message's meaning; tables of names, sizes
 * and descriptor counts say what is well-formed. Device thread.
 */
#ifndef VWL_VHU_MSG_H
#define VWL_VHU_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vhost-user-wl/vhost_user.h"

/* No legal message is longer: a greater size ends the connection. */
#define VWL_VHU_MAX_PAYLOAD 4096
#define VWL_VHU_MAX_FDS 32
/* The most messages that wait in a writer. */
#define VWL_VHU_MAX_WAITING 64

struct vwl_vhu_msg {
    uint32_t request;
    uint32_t flags;
    uint32_t size; /* of payload, bytes */
    unsigned int n_fds;
    bool fds_lost;            /* the process's limit cut some off */
    int fds[VWL_VHU_MAX_FDS]; /* owned by the message until stolen */
    uint8_t payload[VWL_VHU_MAX_PAYLOAD] __attribute__((aligned(8)));
};

/* What is well-formed. One for each message: the front-end's stand in
 * session_table.c with who serves them, ours in backchan_table.c. */
struct vwl_vhu_row {
    uint32_t request;
    const char *name;            /* the specification's */
    uint16_t min_size, max_size; /* payload, bytes */
    uint8_t min_fds, max_fds;
};

void vwl_vhu_msg_init(struct vwl_vhu_msg *msg);
/* Closes descriptors that nobody took. */
void vwl_vhu_msg_finish(struct vwl_vhu_msg *msg);

/* Reader: one per socket, embedded. */
struct vwl_vhu_reader {
    struct vwl_vhu_msg msg; /* under construction */
    uint8_t header[12];
    size_t got;   /* bytes of header and payload so far */
    bool starved; /* the kernel was out of memory at the last read */
    /* What each message's payload has at least, if it is known: then it is read
     * with its header. Less is a malformed stream. */
    uint32_t least;
};
#define VWL_VHU_LEAST_MAX 16u

void vwl_vhu_reader_init(struct vwl_vhu_reader *reader);
void vwl_vhu_reader_finish(struct vwl_vhu_reader *reader);

/* 1: *msg is the next whole message (previous content must be finished; its
 * descriptors are the caller's now); 0: no more for now; -ECONNRESET: end of
 * file or a dead peer; -EPROTO: a malformed stream (*why is a static text):
 * wrong version, payload too long, descriptors with a later byte or more than
 * VWL_VHU_MAX_FDS. Descriptors that this process had no room for are not the
 * peer's fault: fds_lost says so. Every descriptor is close-on-exec. 0 with
 * reader->starved: the socket may be ready all the same, so it is no use to
 * poll it; read again in a while. */
int vwl_vhu_read(struct vwl_vhu_reader *reader, int fd, struct vwl_vhu_msg *msg,
                 const char **why);

/* Writer: messages that the socket does not take at once wait, bounded. */
struct vwl_vhu_writer;
struct vwl_vhu_writer *vwl_vhu_writer_create(void);
void vwl_vhu_writer_destroy(struct vwl_vhu_writer *writer);

/* Sends or queues; fd (may be -1) is borrowed (duplicated when it must wait).
 * -ENOBUFS above VWL_VHU_MAX_WAITING, -ECONNRESET, -EMFILE. Never raises
 * SIGPIPE. */
int vwl_vhu_write(struct vwl_vhu_writer *writer, int sock, uint32_t request,
                  uint32_t flags, const void *payload, uint32_t size, int fd);
/* Call when the socket is writable. 0, or -ECONNRESET. */
int vwl_vhu_flush(struct vwl_vhu_writer *writer, int sock);
bool vwl_vhu_writer_pending(const struct vwl_vhu_writer *writer);
/* What waits does so because the kernel is out of memory (or of room for
 * descriptors under way): flush again in a while, whatever the socket says. */
bool vwl_vhu_writer_starved(const struct vwl_vhu_writer *writer);

#endif
