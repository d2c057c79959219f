/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: the few Wayland messages by which a security context is made
 * (wp_security_context_v1), as a state machine: bytes in, bytes out. Older
 * hosts have no XML of that protocol, and it is all that is needed.
 *
 * Pure: no system call, no allocation. Ownership: whoever has the struct.
 * Thread: one at a time.
 */
#ifndef VWL_SECCTX_TALK_H
#define VWL_SECCTX_TALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each of the names below, without its NUL. */
#define VWL_TALK_LONGEST_NAME 255u

/* The longest event that is taken; a compositor sends none here that comes
 * near it. */
#define VWL_TALK_LONGEST_EVENT 4096u

struct vwl_talk_names {
    const char *engine, *app_id, *instance_id;
};

struct vwl_talk {
    int result;       /* see vwl_talk_feed */
    bool asked;       /* the context is asked for: its messages are out */
    bool fds_due;     /* the two descriptors go with the next bytes */
    bool found;       /* the compositor has the manager */
    uint32_t manager; /* its name in the registry */
    uint32_t error;   /* the code of the compositor's error */
    uint8_t in[VWL_TALK_LONGEST_EVENT];
    size_t in_len;
    uint8_t out[1280];
    size_t out_len, out_sent;
    struct vwl_talk_names names; /* borrowed */
};

/* Names that are empty or too long: -EINVAL. The strings must stay. */
int vwl_talk_init(struct vwl_talk *talk, const struct vwl_talk_names *names);

/* What is to be sent now; NULL: nothing. fds_due says whether the listening
 * socket and the end of the pipe, in this order, go with the first byte. */
const void *vwl_talk_to_send(const struct vwl_talk *talk, size_t *len);
void vwl_talk_sent(struct vwl_talk *talk, size_t len);

/* Bytes of the compositor. -EINPROGRESS: it goes on; 0: the context is there;
 * -EOPNOTSUPP: the compositor has no such protocol; -EPROTO: it answered with
 * the error `error`; -EBADMSG: it sent what is not Wayland. Other than
 * -EINPROGRESS stays. */
int vwl_talk_feed(struct vwl_talk *talk, const void *data, size_t len);

#endif
