/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of a session, shared by the files session*.c alone. Each calls
 * those below it, never upwards:
 *
 *     session.c                dispatch, life
 *     session_table.c          a row for each message: shape, answer, handler
 *     session_negotiate.c      features, status, the back-end channel
 *     session_state.c, _log.c  snapshots; dirty log and in-flight buffer
 *     session_vring.c          vring messages
 *     session_iotlb.c          translations that come
 *     session_memory.c         memory table
 *     session_ring.c           when rings start and stop, resets
 *     session_miss.c           translations that are asked for
 *     session_notify.c         the rings' descriptors and faults
 *     session_answer.c         what a handler fills in
 */
#ifndef VWL_VHU_SESSION_PRIVATE_H
#define VWL_VHU_SESSION_PRIVATE_H

#include <glib.h>
#include <sys/types.h>

#include "base/bits.h"
#include "guest/dirty.h"
#include "guest/inflight.h"
#include "guest/iotlb.h"
#include "guest/mem.h"
#include "vhost-user-wl/virtio_wl.h"
#include "vhu/msg.h"
#include "vhu/session.h"

/* What GET_MAX_MEM_SLOTS says. */
#define MEM_SLOTS 509

/*
 * What a ring does:
 *
 *     IDLE --NUM, ADDR, BASE--> TOUCHED --+
 *       |                                 | a kick, or a kick descriptor
 *       +---------------------------------+
 *                                         v
 *                 pause, fault <------ KICKED ("started" in the specification)
 *                      |                  | enabled, configured, decided, and
 *                      v                  v its parts are found
 *                    KICKED <--------- RUNNING
 *
 * GET_VRING_BASE and a reset lead back to IDLE from everywhere. A pause
 * (disabled, suspended) and a fault lead from RUNNING to KICKED; the virtqueue
 * stays started. A broken ring, or one that is not enabled, does not run.
 */
enum vwl_ring_state {
    VWL_RING_IDLE,
    VWL_RING_TOUCHED,
    VWL_RING_KICKED,
    VWL_RING_RUNNING, /* reported to the owner */
};

/* What a ring cannot start without. */
enum vwl_ring_setting {
    VWL_RING_SIZE = 1 << 0,
    VWL_RING_PARTS = 1 << 1,
    VWL_RING_BASE = 1 << 2,
    VWL_RING_ALL = (1 << 3) - 1,
};

/* An eventfd of the front-end that this side writes to. */
struct vwl_session_notifier {
    int fd; /* -1: none */
    bool may_block;
};

struct vwl_session_ring {
    struct vwl_vq *vq;
    enum vwl_ring_state state;
    bool enabled;
    bool broken;     /* until it is stopped, or a reset */
    bool was_broken; /* until it runs again, or a reset */
    bool resumed;    /* started with an in-flight region: kick and call once */

    unsigned int has; /* enum vwl_ring_setting */
    uint32_t size;
    uint64_t desc, driver, device, log_gpa;
    bool log_used;
    uint32_t base; /* as set, or as it was at the last stop */

    bool has_answer;
    uint32_t answer; /* base at the last stop of the virtqueue */

    struct vwl_watched kick;
    struct vwl_session_notifier call, err;
};

struct vwl_session_region {
    struct vwl_mem_region region;
    dev_t dev;
    ino_t ino;
    bool own; /* a piece of region 0, not guest memory */
};

struct vwl_session_miss {
    uint64_t iova;
    unsigned int access;
    unsigned int index; /* ring that waits */
    uint64_t cookie;
};

struct vwl_session {
    struct vwl_session_config config;
    const struct vwl_session_ops *ops;
    void *opaque;
    struct vwl_log *log;
    struct vwl_watched socket;
    struct vwl_vhu_reader reader;
    struct vwl_vhu_writer *writer;
    struct vwl_backchan *backchan;
    int fatal; /* 0, or what dispatch returns */

    uint64_t offered, acked;
    bool features_set, features_refused;
    uint64_t protocol_acked;
    bool no_dialect; /* protocol features were set without one */
    bool owned;
    uint8_t status;
    bool suspended;
    bool checking; /* CHECK_DEVICE_STATE waits for its answer */
    bool decided;  /* reset or pause, for this run of the out ring */

    struct vwl_mem *mem;
    GArray *regions; /* struct vwl_session_region */
    struct vwl_iotlb *iotlb;
    GArray *misses; /* struct vwl_session_miss */
    uint64_t next_cookie;
    struct vwl_dirty *dirty;
    struct vwl_inflight *inflight;

    struct vwl_session_ring rings[VIRTIO_WL_QUEUE_COUNT];
};

static inline bool vwl_session_has_protocol(const struct vwl_session *session,
                                            unsigned int bit)
{
    return session->protocol_acked & BIT(bit);
}

static inline bool vwl_session_offers_protocol(
    const struct vwl_session *session, unsigned int bit)
{
    return session->config.protocol_features & BIT(bit);
}

static inline bool vwl_session_has_feature(const struct vwl_session *session,
                                           unsigned int bit)
{
    return session->acked & BIT(bit);
}

/* ---- session_answer.c: what a handler fills in ---- */

struct vwl_session_answer {
    uint32_t size;
    int fd; /* owned */
    /* the longest; GET_CONFIG's is shorter */
    uint8_t payload[sizeof(struct vhost_user_shmem_config)];
    char why[160]; /* of a refusal, in words */
};

void vwl_session_answer_u64(struct vwl_session_answer *answer, uint64_t value);
void vwl_session_answer_body(struct vwl_session_answer *answer,
                             const void *body, uint32_t bytes);
/* Notes why the request is refused and returns err. */
int vwl_session_answer_refuse(struct vwl_session_answer *answer, int err,
                              const char *why, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for a system call that failed: what it was for, and its error. */
int vwl_session_answer_errno(struct vwl_session_answer *answer, int err,
                             const char *what);

/* ---- session_table.c: a row for each message ---- */

/* How a request is answered. */
enum vwl_session_reply {
    VWL_REPLY_ACK,    /* u64 0 or not, if asked */
    VWL_REPLY_STATUS, /* the same, always */
    VWL_REPLY_LOGGED, /* always once LOG_SHMFD was acknowledged */
    VWL_REPLY_VALUE,  /* a u64, always; 0 when refused */
    VWL_REPLY_BODY,   /* a payload, always; empty when refused */
};

/* A handler: the message is of the shape of its row. 0; -EINPROGRESS: the
 * answer follows; or -errno, with the reason in answer->why. The rest of the
 * answer is its to fill for a VALUE or a BODY. */
typedef int vwl_session_serve(struct vwl_session *session,
                              struct vwl_vhu_msg *msg,
                              struct vwl_session_answer *answer);

struct vwl_session_row {
    struct vwl_vhu_row shape;
    enum vwl_session_reply reply;
    vwl_session_serve *serve; /* NULL: not a part of this device */
    uint64_t refusal;         /* a STATUS of it; 0 is 1 */
};

/* NULL for a request that is not known. */
const struct vwl_session_row *vwl_session_row(uint32_t request);

/* The handlers. session_negotiate.c: */
vwl_session_serve vwl_session_get_features, vwl_session_set_features,
    vwl_session_get_protocol_features, vwl_session_set_protocol_features,
    vwl_session_set_owner, vwl_session_reset_owner, vwl_session_reset_device,
    vwl_session_get_status, vwl_session_set_status, vwl_session_get_queue_num,
    vwl_session_get_config, vwl_session_set_config, vwl_session_set_backend_fd,
    vwl_session_get_shmem_config, vwl_session_get_private_regions;
/* session_memory.c: */
vwl_session_serve vwl_session_set_mem_table, vwl_session_get_mem_slots,
    vwl_session_add_region, vwl_session_remove_region;
/* session_iotlb.c: */
vwl_session_serve vwl_session_iotlb_msg;
/* session_vring.c: */
vwl_session_serve vwl_session_set_vring_num, vwl_session_set_vring_addr,
    vwl_session_set_vring_base, vwl_session_get_vring_base,
    vwl_session_set_vring_kick, vwl_session_set_vring_call,
    vwl_session_set_vring_err, vwl_session_set_vring_enable,
    vwl_session_vring_kick;
/* session_log.c: */
vwl_session_serve vwl_session_set_log_base, vwl_session_set_log_fd,
    vwl_session_get_inflight, vwl_session_set_inflight;
/* session_state.c: */
vwl_session_serve vwl_session_set_state_fd, vwl_session_check_state;

/* ---- session_memory.c ---- */

void vwl_session_memory_init(struct vwl_session *session);
void vwl_session_memory_finish(struct vwl_session *session);
void vwl_session_memory_clear(struct vwl_session *session);
/* Every started ring looks its parts up again, rings that could not start try
 * again, and the owner is told. */
void vwl_session_memory_apply(struct vwl_session *session);

/* ---- session_ring.c ---- */

/* Connection, protocol features and back-end channel outlive it. */
void vwl_session_device_reset(struct vwl_session *session,
                              enum vwl_reset_reason reason);
void vwl_session_rings_init(struct vwl_session *session);
void vwl_session_rings_finish(struct vwl_session *session);
/* Starts and reports what may run by now. */
void vwl_session_rings_update(struct vwl_session *session);
/* Stops the virtqueue too and forgets the kick descriptor. */
void vwl_session_ring_stop(struct vwl_session *session, unsigned int index);
/* The front-end configures it. */
void vwl_session_ring_touch(struct vwl_session_ring *ring);
/* A kick, or a descriptor for kicks: what is in the ring is to be processed. */
void vwl_session_ring_kick(struct vwl_session *session, unsigned int index);
bool vwl_session_any_started(const struct vwl_session *session);
bool vwl_session_any_kicked(const struct vwl_session *session);

/* ---- session_miss.c ---- */

void vwl_session_ask_miss(struct vwl_session *session, unsigned int index);
void vwl_session_forget_misses(struct vwl_session *session);
void vwl_session_settle_misses(struct vwl_session *session, uint64_t iova,
                               uint64_t size);

/* ---- session_notify.c ---- */

/* Only reported as stopping; its virtqueue stays. */
void vwl_session_ring_pause(struct vwl_session *session, unsigned int index);
/* What the front-end set up is no ring: broken, and the front-end's fault. */
void vwl_session_ring_refused(struct vwl_session *session, unsigned int index,
                              const char *why);
/* A fault that the session found itself: the owner is told, too. */
void vwl_session_ring_fault(struct vwl_session *session, unsigned int index,
                            const char *why);
/* An anonymous-inode descriptor (eventfd): nothing else is polled or written
 * without a chance to block or to reach a stranger's file. */
bool vwl_session_is_anonymous(int fd);
/* Takes fd (-1: none) in place of the one it has. */
void vwl_session_notifier_set(struct vwl_session_notifier *notifier, int fd);

#endif
