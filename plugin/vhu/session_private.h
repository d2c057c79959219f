/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of a session, shared by the files session*.c alone. Each calls
 * those below it:
 *
 *     session.c                dispatch and answers
 *     session_negotiate.c      features, status, the back-end channel
 *     session_state.c, _log.c  snapshots; dirty log and in-flight buffer
 *     session_memory.c         memory table, translations
 *     session_ring.c           vrings and resets
 *     session_miss.c           translations that are asked for
 *     session_notify.c         the rings' descriptors and faults
 */
#ifndef VWL_VHU_SESSION_PRIVATE_H
#define VWL_VHU_SESSION_PRIVATE_H

#include <glib.h>
#include <string.h>
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

struct vwl_session_ring {
    struct vwl_vq *vq;
    /* configuration; NUM, ADDR and BASE are asked for before a start */
    uint32_t size;
    uint64_t desc, driver, device, log_gpa;
    bool log_used;
    uint32_t base; /* as set, or as it was at the last stop */
    bool has_size, has_addr, has_base;
    bool touched; /* configuration began since the last stop */
    /* state */
    bool kicked; /* started, in the specification's sense */
    bool enabled;
    bool running; /* reported to the owner */
    bool broken;
    bool resumed; /* started with an in-flight region: kick and call once */
    bool has_answer;
    uint32_t answer; /* base at the last stop of the virtqueue */
    int kick, call, err;
    bool call_may_block, err_may_block;
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
    int fd;
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

/* An answer under construction. */
struct vwl_session_answer {
    uint32_t size;
    int fd; /* owned */
    uint8_t payload[sizeof(struct vhost_user_shmem_config)];
};

/* Handlers: the message is well-formed by its row. 0 or -errno; the answer is
 * theirs to fill where the route says so. */
typedef int vwl_session_serve(struct vwl_session *session,
                              struct vwl_vhu_msg *msg,
                              struct vwl_session_answer *answer);

/* session_negotiate.c */
vwl_session_serve vwl_session_get_features, vwl_session_set_features,
    vwl_session_get_protocol_features, vwl_session_set_protocol_features,
    vwl_session_set_owner, vwl_session_reset_owner, vwl_session_reset_device,
    vwl_session_get_status, vwl_session_set_status, vwl_session_get_queue_num,
    vwl_session_get_config, vwl_session_refuse, vwl_session_set_backend_fd,
    vwl_session_get_shmem_config, vwl_session_get_private_regions;
/* session_memory.c */
vwl_session_serve vwl_session_set_mem_table, vwl_session_get_mem_slots,
    vwl_session_add_region, vwl_session_remove_region, vwl_session_iotlb_msg;
/* session_ring.c */
vwl_session_serve vwl_session_vring_num, vwl_session_vring_addr,
    vwl_session_vring_base, vwl_session_get_vring_base, vwl_session_vring_kick,
    vwl_session_vring_call, vwl_session_vring_err, vwl_session_vring_enable,
    vwl_session_inband_kick;
/* session_log.c */
vwl_session_serve vwl_session_set_log_base, vwl_session_set_log_fd,
    vwl_session_get_inflight, vwl_session_set_inflight;
/* session_state.c */
vwl_session_serve vwl_session_set_state_fd, vwl_session_check_state;

/* session.c */
static inline void vwl_session_answer_u64(struct vwl_session_answer *answer,
                                          uint64_t value)
{
    memcpy(answer->payload, &value, sizeof value);
    answer->size = sizeof value;
}
static inline bool vwl_session_has_protocol(const struct vwl_session *session,
                                            unsigned int bit)
{
    return session->protocol_acked & BIT(bit);
}
static inline bool vwl_session_has_feature(const struct vwl_session *session,
                                           unsigned int bit)
{
    return session->acked & BIT(bit);
}

/* session_memory.c */
void vwl_session_memory_init(struct vwl_session *session);
void vwl_session_memory_finish(struct vwl_session *session);
void vwl_session_memory_clear(struct vwl_session *session);
/* Every started ring looks its parts up again, rings that could not start try
 * again, and the owner is told. */
void vwl_session_memory_apply(struct vwl_session *session);

/* session_miss.c */
void vwl_session_ask_miss(struct vwl_session *session, unsigned int index);
void vwl_session_forget_misses(struct vwl_session *session);
void vwl_session_settle_misses(struct vwl_session *session, uint64_t iova,
                               uint64_t size);

/* session_ring.c */
/* Connection, protocol features and back-end channel outlive it. */
void vwl_session_device_reset(struct vwl_session *session,
                              enum vwl_reset_reason reason);
void vwl_session_rings_init(struct vwl_session *session);
void vwl_session_rings_finish(struct vwl_session *session);
/* Starts and reports what may run by now. */
void vwl_session_rings_update(struct vwl_session *session);
/* Stops the virtqueue too and forgets the kick descriptor. */
void vwl_session_ring_stop(struct vwl_session *session, unsigned int index);
bool vwl_session_any_started(const struct vwl_session *session);
bool vwl_session_any_kicked(const struct vwl_session *session);

/* session_notify.c */
/* Only reported as stopping; its virtqueue stays. */
void vwl_session_ring_pause(struct vwl_session *session, unsigned int index);
/* A fault that the session found itself: the owner is told, too. */
void vwl_session_ring_fault(struct vwl_session *session, unsigned int index,
                            const char *why);
/* An anonymous-inode descriptor (eventfd): nothing else is polled or written
 * without a chance to block or to reach a stranger's file. */
bool vwl_session_is_anonymous(int fd);
bool vwl_session_may_block(int fd);

#endif
