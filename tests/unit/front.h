/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For the tests of the session: a front-end double that says and expects
 * literal bytes, an owner that writes down what it is told, and a guest memory
 * of 1 MiB with two rings in it. One thread; nothing here waits.
 *
 * The trace: F features, Sk/Sd ring started (held chains kept, dropped), T ring
 * stopping, C ring changed or kicked, R reset with its reason, M memory
 * changed, B base of region 0, I invalidated.
 */
#ifndef TESTS_UNIT_FRONT_H
#define TESTS_UNIT_FRONT_H

#include <glib.h>

#include "base/bits.h"
#include "vhost-user-wl/vhost_user.h"
#include "vhost-user-wl/virtio_wl.h"
#include "vhu/session.h"

#include "vhu_names.h"

#define RAM_BYTES 0x100000u
/* Its guest address is 0, its front-end address 0x7f0000000000. */
#define TABLE_RAM                       \
    "0000000000000000 0000100000000000" \
    "00000000007f0000 0000000000000000"
#define TABLE_ONE "01000000 00000000" TABLE_RAM
#define ADDR_0                                            \
    "00000000 00000000 00000000007f0000 00200000007f0000" \
    "00100000007f0000 0000000000000000"
#define ADDR_1                                            \
    "01000000 00000000 00400000007f0000 00600000007f0000" \
    "00500000007f0000 0000000000000000"
#define U64_0 "0000000000000000"
#define U64_1 "0100000000000000"

/* What drivers negotiate for the device itself. */
#define FEATURES_WL                                                \
    (BIT(VIRTIO_WL_F_TRANS_FLAGS) | BIT(VIRTIO_WL_F_SEND_FENCES) | \
     BIT(VIRTIO_WL_F_USE_SHMEM))
/* All that a device of this layer may offer. */
#define FEATURES_ALL                                                         \
    (FEATURES_WL | BIT(VHOST_F_LOG_ALL) | BIT(VIRTIO_RING_F_INDIRECT_DESC) | \
     BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VHOST_USER_F_PROTOCOL_FEATURES) |    \
     BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_ACCESS_PLATFORM) |               \
     BIT(VIRTIO_F_RING_PACKED))
#define PROTOCOL_ALL                                                        \
    (BIT(VHOST_USER_PROTOCOL_F_MQ) | BIT(VHOST_USER_PROTOCOL_F_LOG_SHMFD) | \
     BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |                                 \
     BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) |                               \
     BIT(VHOST_USER_PROTOCOL_F_CONFIG) |                                    \
     BIT(VHOST_USER_PROTOCOL_F_BACKEND_SEND_FD) |                           \
     BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD) |                            \
     BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE) |                              \
     BIT(VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS) |                      \
     BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS) |                       \
     BIT(VHOST_USER_PROTOCOL_F_STATUS) | BIT(VHOST_USER_PROTOCOL_F_SHMEM) | \
     BIT(VHOST_USER_PROTOCOL_F_SHARED_MEMORY_REGIONS))
/* What a QEMU takes of that. */
#define FEATURES_QEMU                             \
    (FEATURES_WL | BIT(VIRTIO_RING_F_EVENT_IDX) | \
     BIT(VHOST_USER_F_PROTOCOL_FEATURES) | BIT(VIRTIO_F_VERSION_1))
#define PROTOCOL_QEMU                         \
    (BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |   \
     BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) | \
     BIT(VHOST_USER_PROTOCOL_F_SHMEM))

struct front {
    struct vwl_session *session;
    struct vwl_log log;
    int sock;
    int back; /* the front-end's end of the back-end channel, or -1 */
    int ram_fd;
    guint8 *ram;
    GString *trace; /* what the owner was told: see above */
    GString *lines; /* of the log */

    /* The device's own file, if own: at own_offset of region 0. */
    bool own;
    int own_fd;
    uint64_t own_offset;

    struct vwl_chain *held[4]; /* what the owner holds of ring 1 */
    unsigned int n_held;
    unsigned int fds_before;
};

/* A session that offers these features, connected, nothing said yet. */
void front_init(struct front *f, uint64_t features, uint64_t protocol_features);
/* Destroys the session; fails the test when a descriptor stays open. */
void front_finish(struct front *f);

/* A message with its header: hexadecimal text, as payload is. The caller
 * frees. */
char *frame(uint32_t request, uint32_t flags, const char *payload);

/* One message, which the session has dispatched when this returns. payload is
 * hexadecimal text; the descriptors stay the caller's. */
void say_fds(struct front *f, uint32_t request, uint32_t flags,
             const char *payload, const int *fds, size_t n);
void say(struct front *f, uint32_t request, uint32_t flags,
         const char *payload);
/* The answer to request, and nothing more: its descriptor or -1. */
int answered(struct front *f, uint32_t request, const char *payload);
/* Says it with NEED_REPLY; it is answered 0. */
void tell(struct front *f, uint32_t request, const char *payload);
void tell_fd(struct front *f, uint32_t request, const char *payload, int fd);
/* Says it without; it is not answered. */
void quiet(struct front *f, uint32_t request, const char *payload);

/* This is the trace since the last call. */
void expect_trace(struct front *f, const char *text);

/* A payload of one 64-bit number. The caller frees. */
char *le64(uint64_t value);

/* The messages at QEMU's -device time, from the protocol features on; with a
 * back-end channel if they say so. */
void handshake(struct front *f, uint64_t protocol);
void set_features(struct front *f, uint64_t features);
/* SET_VRING_BASE. */
void set_base(struct front *f, unsigned int index, uint32_t base);

/* Kick and call descriptors of a ring, the front-end's copies. */
struct ring_fds {
    int kick, call;
};

void ring_fds_init(struct ring_fds *fds);
void ring_fds_finish(struct ring_fds *fds);
/* Takes what an eventfd counted; 0: nothing. */
uint64_t count_of(int fd);

/* DRIVER_OK as QEMU 11.1 says it, from the memory table on. */
void qemu_start(struct front *f, struct ring_fds fds[2], uint32_t base0,
                uint32_t base1);
/* The rings stop; base0 and base1 are the answers of GET_VRING_BASE. */
void qemu_stop(struct front *f, const char *base0, const char *base1);

/* The driver offers one buffer of 16 bytes at guest address 0x10000. */
void front_offer(struct front *f, unsigned int ring);
/* The same, and the device takes it and gives it back. */
void front_take_one(struct front *f, unsigned int ring);

/* A front-end after its handshake, and what two rings need. */
struct bed {
    struct front f;
    struct ring_fds fds[2];
};

/* With what a QEMU negotiates; _with: with these. */
void bed_init(struct bed *b);
void bed_init_with(struct bed *b, uint64_t features, uint64_t protocol);
void bed_finish(struct bed *b);

#endif
