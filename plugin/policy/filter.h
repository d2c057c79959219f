/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stream of one connection, both ways, held to the rules of its socket.
 * Bytes and descriptors go in as they come, in pieces of any size; what may
 * pass comes out, changed where a rule says so, each descriptor with the
 * message that it belongs to. Which protocol it is, the rules say.
 *
 * Wayland: the filter knows the interface of every object (an id keeps it
 * until the compositor has told the client that it is free), so it finds each
 * registry however it was made, counts descriptors by what the messages take,
 * and fails closed: what it cannot walk, what names an object that does not
 * exist, and what binds a global that was not announced ends the connection,
 * with the protocol's own error for the client.
 *
 * PulseAudio: commands are sorted by a table. What is refused is answered with
 * the protocol's error, and the connection goes on; what cannot be read ends
 * it. Audio passes as it comes, and no descriptor does.
 *
 * Pure: it makes no system call but by its ops, and allocates no more than the
 * limits of the rules and two messages. Device thread.
 */
#ifndef VWL_POLICY_FILTER_H
#define VWL_POLICY_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "policy/rules.h"

struct vwl_filter;

enum vwl_way {
    VWL_TO_HOST,
    VWL_TO_GUEST,
    VWL_N_WAYS,
};

struct vwl_filter_ops {
    /* How long the file is; 0: it is none that can be a pool. */
    uint64_t (*file_bytes)(void *opaque, int fd);
    /* It does not pass. */
    void (*close_fd)(void *opaque, int fd);
    /* A transfer of this kind and way waits for the host's word, which
     * vwl_filter_answer brings under this ticket. Other than 0: it is refused.
     * NULL: all are. */
    int (*ask)(void *opaque, enum vwl_transfer_kind kind, enum vwl_way way,
               uint32_t ticket);
    /* It does not wait any more: its object or the connection is gone. May be
     * NULL. */
    void (*unask)(void *opaque, uint32_t ticket);
    /* Another descriptor of a file that may become longer; -1: it cannot, or
     * no more can be kept. The filter closes it. NULL: none is. */
    int (*keep_file)(void *opaque, int fd);
    /* Bytes of memory for what it knows of objects, below 0 when they are free
     * again. False: it may not have them. NULL: nobody counts. */
    bool (*charge)(void *opaque, int64_t bytes);
    /* The guest was refused this; it may go on. what: the same of the same
     * thing, and of nothing else; text: for the log. NULL: nobody hears. */
    void (*refused)(void *opaque, const void *what, const char *text);
};

/* A descriptor that passes, and the byte of the output that it must not come
 * after: the first one of its message. */
struct vwl_passed_fd {
    size_t at;
    int fd;
};

struct vwl_passed {
    const uint8_t *data;
    size_t len;
    const struct vwl_passed_fd *fds;
    unsigned int n_fds;
};

/* rules, ops: borrowed for its life. */
struct vwl_filter *vwl_filter_create(const struct vwl_rules *rules,
                                     const struct vwl_filter_ops *ops,
                                     void *opaque);
/* Closes the descriptors that it holds. NULL is fine. */
void vwl_filter_destroy(struct vwl_filter *filter);

/* Takes what came from the other end of that way, with its descriptors (which
 * are the filter's from here on, whatever it returns). 0; -EPROTO: the guest
 * is at fault and the connection is over: what still passes to the guest ends
 * with the error; -EBADMSG: the host's program is at fault, and it is over.
 * Afterwards nothing more is taken. Either way may have got output by it. */
int vwl_filter_push(struct vwl_filter *filter, enum vwl_way way,
                    const void *data, size_t len, const int *fds,
                    unsigned int n_fds);

/* The host's word on a transfer; one that is not due any more is no error. */
void vwl_filter_answer(struct vwl_filter *filter, uint32_t ticket, bool allow);

/* What may pass that way and was not taken yet; valid until the next call. */
struct vwl_passed vwl_filter_passed(const struct vwl_filter *filter,
                                    enum vwl_way way);
/* All of it was taken; the descriptors are the caller's. */
void vwl_filter_taken(struct vwl_filter *filter, enum vwl_way way);

/* Appends a line for each window that the client has, in the order in which
 * they were made: its application id, a tab, its title; either may be empty. */
void vwl_filter_windows(const struct vwl_filter *filter, GString *lines);

/* Why it is over, for the log: no byte of the stream is in it. */
const char *vwl_filter_why(const struct vwl_filter *filter);
/* What was refused, as `refused` of the ops tells it, if that ended it; or
 * NULL. */
const void *vwl_filter_refused(const struct vwl_filter *filter);

#endif
