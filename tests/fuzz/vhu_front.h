/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front-end and its guest, for the fuzz target of the vhost-user session:
 * what it says, what it reads of the answers, and rings of both formats in 64
 * KiB of memory. Nothing here is careful: the target also lies.
 */
#ifndef VWL_TEST_FUZZ_VHU_FRONT_H
#define VWL_TEST_FUZZ_VHU_FRONT_H

#include <glib.h>

#include "vhost-user-wl/virtio_wl.h"

#include "fuzz.h"
#include "vhu_names.h"

#define RAM_BYTES 0x10000u
#define UVA UINT64_C(0x7f0000000000)
#define RING_AT(ring) (0x4000u * (ring))
#define DRIVER_AT 0x1000u
#define DEVICE_AT 0x2000u
#define IN_BUFFERS_AT 0x8000u
#define OUT_BUFFERS_AT 0xc000u

struct vhu_ring {
    int kick, call; /* eventfds */
    uint16_t size;
    uint16_t idx;
    bool wrap;
};

struct vhu_front {
    int sock;           /* -1: closed */
    bool torn;          /* the stream does not stand between two messages */
    bool back_torn;     /* nor does the other one */
    bool ended;         /* the device ended the back-end channel */
    uint32_t answer[2]; /* the last answer's request, and its size */
    uint64_t value;     /* and its first eight bytes */
    int back;           /* our end of the back-end channel, or -1 */
    int ram_fd;
    uint8_t *ram;
    bool packed;
    bool answers; /* every back-end request at once */
    struct vhu_ring ring[2];
    GByteArray *rx; /* of the socket, not yet parsed */
    GByteArray *back_rx;
    GArray *asked;   /* uint32_t: back-end requests without an answer */
    int inflight_fd; /* from GET_INFLIGHT_FD, or -1 */
    uint8_t inflight[24];
};

/* Its memory and eventfds; no socket yet. */
void vhu_front_init(struct vhu_front *front);
void vhu_front_finish(struct vhu_front *front);
/* Closes both sockets and forgets what was under way on them. */
void vhu_hang_up(struct vhu_front *front);

/* One message; nothing is said on a closed socket. The descriptors stay the
 * caller's. Without flags: NEED_REPLY. */
void vhu_say_fds(struct vhu_front *front, uint32_t request, uint32_t flags,
                 const void *payload, uint32_t size, const int *fds,
                 unsigned int n_fds);
void vhu_say(struct vhu_front *front, uint32_t request, const void *payload,
             uint32_t size);
/* A payload of one number; fd -1: without a descriptor. */
void vhu_say_u64(struct vhu_front *front, uint32_t request, uint64_t value,
                 int fd);
/* A payload of a ring's index and a number. */
void vhu_say_state(struct vhu_front *front, uint32_t request, uint32_t index,
                   uint32_t num);

/* Reads what the device answered, which must be well-formed. */
void vhu_read_answers(struct vhu_front *front);
/* Reads what the device asks on the back-end channel, which must be
 * well-formed; answers it if `answers` is set. */
void vhu_read_requests(struct vhu_front *front);
/* Answers the oldest of these, if there is one. */
void vhu_answer(struct vhu_front *front, uint64_t value);

/* The driver begins anew at that index. */
void vhu_ring_reset(struct vhu_front *front, unsigned int index, uint16_t idx);
/* A chain of n buffers; the last one is writable. */
void vhu_offer(struct vhu_front *front, unsigned int index, const uint64_t *gpa,
               const uint32_t *len, unsigned int n);

#endif
