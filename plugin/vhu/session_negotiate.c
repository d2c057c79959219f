/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhu/session_private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"

static uint64_t get_u64(const struct vwl_vhu_msg *msg)
{
    uint64_t value;

    memcpy(&value, msg->payload, sizeof value);
    return value;
}

static int refuse_bits(struct vwl_session_answer *answer, uint64_t bits)
{
    return vwl_session_answer_refuse(answer, -EINVAL,
                                     "bits 0x%" PRIx64 " were not offered",
                                     bits);
}

/* Whether the front-end can map is known once it has set protocol features. One
 * that owns the device first and asks then (crosvm) asks no second time: it has
 * the benefit of the doubt. Who asks before either asks again (QEMU), or cannot
 * map (libkrun). */
static bool may_map(const struct vwl_session *session)
{
    return vwl_backchan_dialect(session->backchan) != VWL_SHM_NONE ||
           (session->owned && !session->no_dialect);
}

int vwl_session_get_features(struct vwl_session *session,
                             struct vwl_vhu_msg *msg,
                             struct vwl_session_answer *answer)
{
    uint64_t hidden = may_map(session) ? 0 : session->config.features_need_shm;

    vwl_session_answer_u64(answer, session->offered & ~hidden);
    return 0;
}

int vwl_session_set_features(struct vwl_session *session,
                             struct vwl_vhu_msg *msg,
                             struct vwl_session_answer *answer)
{
    uint64_t transport = BIT(VHOST_F_LOG_ALL) |
                         BIT(VHOST_USER_F_PROTOCOL_FEATURES);
    uint64_t bits = get_u64(msg);
    uint64_t changed = (bits ^ session->acked) & ~transport;

    if (bits & ~(session->offered | transport)) {
        session->features_refused = !vwl_session_any_started(session);
        return refuse_bits(answer, bits & ~(session->offered | transport));
    }
    if (changed && vwl_session_any_started(session)) {
        return vwl_session_answer_refuse(answer, -EBUSY,
                                         "other features while a ring is "
                                         "started");
    }
    session->features_refused = false;
    session->acked = bits;
    vwl_dirty_enable(session->dirty, bits & BIT(VHOST_F_LOG_ALL));
    if (changed || !session->features_set ||
        !vwl_session_any_started(session)) {
        session->features_set = true;
        session->ops->features(session->opaque, bits);
    }
    if (!vwl_session_has_feature(session, VHOST_USER_F_PROTOCOL_FEATURES)) {
        for (unsigned int i = 0; i < VIRTIO_WL_QUEUE_COUNT; i++) {
            session->rings[i].enabled = true;
        }
    }
    vwl_session_rings_update(session);
    return 0;
}

int vwl_session_get_protocol_features(struct vwl_session *session,
                                      struct vwl_vhu_msg *msg,
                                      struct vwl_session_answer *answer)
{
    vwl_session_answer_u64(answer, session->config.protocol_features);
    return 0;
}

int vwl_session_set_protocol_features(struct vwl_session *session,
                                      struct vwl_vhu_msg *msg,
                                      struct vwl_session_answer *answer)
{
    const uint64_t needed = BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |
                            BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ);
    uint64_t bits = get_u64(msg);
    enum vwl_shm_dialect dialect = VWL_SHM_NONE;

    if (bits & ~session->config.protocol_features) {
        return refuse_bits(answer, bits & ~session->config.protocol_features);
    }
    if (bits & BIT(VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS) &&
        (bits & needed) != needed) {
        session->fatal = -EPROTO;
        return vwl_session_answer_refuse(answer, -EPROTO,
                                         "in-band notifications without "
                                         "REPLY_ACK and BACKEND_REQ");
    }
    if (bits & BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ)) {
        if (bits & BIT(VHOST_USER_PROTOCOL_F_SHMEM)) {
            dialect = VWL_SHM_STANDARD;
        } else if (bits & BIT(VHOST_USER_PROTOCOL_F_SHARED_MEMORY_REGIONS)) {
            dialect = VWL_SHM_PRIVATE;
        }
    }
    session->protocol_acked = bits;
    session->no_dialect = dialect == VWL_SHM_NONE;
    vwl_backchan_configure(session->backchan, dialect,
                           bits & BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK));
    return 0;
}

static void forget_descriptors(struct vwl_session_ring *ring)
{
    vwl_session_notifier_set(&ring->call, -1);
    vwl_session_notifier_set(&ring->err, -1);
    ring->has &= VWL_RING_BASE;
    ring->base = 0;
}

int vwl_session_set_owner(struct vwl_session *session, struct vwl_vhu_msg *msg,
                          struct vwl_session_answer *answer)
{
    int none = -1;

    if (!session->owned) {
        session->owned = true;
        return 0;
    }
    vwl_session_device_reset(session, VWL_RESET_OWNER);
    for (unsigned int i = 0; i < VIRTIO_WL_QUEUE_COUNT; i++) {
        forget_descriptors(&session->rings[i]);
    }
    vwl_session_memory_clear(session);
    vwl_dirty_set_fd(session->dirty, &none);
    vwl_dirty_enable(session->dirty, false);
    session->acked = 0;
    session->features_set = false;
    session->features_refused = false;
    vwl_session_rings_update(session);
    return 0;
}

/* Deprecated, and ambiguous across releases of the specification: ignored. */
int vwl_session_reset_owner(struct vwl_session *session,
                            struct vwl_vhu_msg *msg,
                            struct vwl_session_answer *answer)
{
    return 0;
}

int vwl_session_reset_device(struct vwl_session *session,
                             struct vwl_vhu_msg *msg,
                             struct vwl_session_answer *answer)
{
    vwl_session_device_reset(session, VWL_RESET_DEVICE);
    vwl_session_rings_update(session);
    return 0;
}

int vwl_session_get_status(struct vwl_session *session, struct vwl_vhu_msg *msg,
                           struct vwl_session_answer *answer)
{
    uint64_t status = session->status;

    for (unsigned int i = 0; i < VIRTIO_WL_QUEUE_COUNT; i++) {
        if (session->rings[i].broken || session->rings[i].was_broken) {
            status |= VIRTIO_CONFIG_S_NEEDS_RESET_BIT;
        }
    }
    vwl_session_answer_u64(answer, status);
    return 0;
}

int vwl_session_set_status(struct vwl_session *session, struct vwl_vhu_msg *msg,
                           struct vwl_session_answer *answer)
{
    uint8_t status = (uint8_t)get_u64(msg);

    if (status == 0) {
        vwl_session_device_reset(session, VWL_RESET_STATUS);
        vwl_session_rings_update(session);
    }
    session->status = status;
    return 0;
}

int vwl_session_get_queue_num(struct vwl_session *session,
                              struct vwl_vhu_msg *msg,
                              struct vwl_session_answer *answer)
{
    vwl_session_answer_u64(answer, VIRTIO_WL_QUEUE_COUNT);
    return 0;
}

/* The configuration space of this device is empty. */
int vwl_session_get_config(struct vwl_session *session, struct vwl_vhu_msg *msg,
                           struct vwl_session_answer *answer)
{
    struct vhost_user_config config;

    memcpy(&config, msg->payload, sizeof config);
    /* the bytes asked for come along, or do not */
    if (msg->size != sizeof config &&
        msg->size != sizeof config + (size_t)config.size) {
        return vwl_session_answer_refuse(answer, -EINVAL,
                                         "a payload of %u bytes for %u of the "
                                         "configuration space",
                                         msg->size, config.size);
    }
    if (config.size > VHOST_USER_MAX_CONFIG_SIZE ||
        config.offset > VHOST_USER_MAX_CONFIG_SIZE - config.size) {
        return vwl_session_answer_refuse(answer, -EINVAL,
                                         "%u bytes at %u of a configuration "
                                         "space of %u at most",
                                         config.size, config.offset,
                                         VHOST_USER_MAX_CONFIG_SIZE);
    }
    G_STATIC_ASSERT(sizeof answer->payload >=
                    sizeof config + VHOST_USER_MAX_CONFIG_SIZE);
    /* This device has no configuration. Front-ends pass on what a guest reads
     * there, and some end at an answer without a payload: zeros, then. */
    vwl_session_answer_body(answer, &config, sizeof config);
    memset(answer->payload + answer->size, 0, config.size);
    answer->size += config.size;
    return 0;
}

int vwl_session_set_config(struct vwl_session *session, struct vwl_vhu_msg *msg,
                           struct vwl_session_answer *answer)
{
    return vwl_session_answer_refuse(answer, -EOPNOTSUPP,
                                     "the configuration space is empty");
}

static bool is_stream_socket(int fd)
{
    int domain = 0, type = 0;
    socklen_t len = sizeof domain;

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0) {
        return false;
    }
    len = sizeof type;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
           domain == AF_UNIX && type == SOCK_STREAM;
}

int vwl_session_set_backend_fd(struct vwl_session *session,
                               struct vwl_vhu_msg *msg,
                               struct vwl_session_answer *answer)
{
    bool replaces = vwl_backchan_socket(session->backchan)->fd >= 0;

    if (!vwl_session_has_protocol(session, VHOST_USER_PROTOCOL_F_BACKEND_REQ)) {
        return vwl_session_answer_refuse(answer, -EOPNOTSUPP,
                                         "BACKEND_REQ was not negotiated");
    }
    if (!is_stream_socket(msg->fds[0])) {
        return vwl_session_answer_refuse(answer, -ENOTSOCK,
                                         "its descriptor is no Unix stream "
                                         "socket");
    }
    vwl_backchan_set_fd(session->backchan, &msg->fds[0]);
    /* The end of the one before may not have been seen yet. */
    if (replaces && !vwl_session_any_kicked(session)) {
        vwl_session_device_reset(session, VWL_RESET_CHANNEL);
    }
    return 0;
}

static bool offers_shm(const struct vwl_session *session, unsigned int bit)
{
    return vwl_session_offers_protocol(session, bit) &&
           session->config.shm_size > 0;
}

int vwl_session_get_shmem_config(struct vwl_session *session,
                                 struct vwl_vhu_msg *msg,
                                 struct vwl_session_answer *answer)
{
    struct vhost_user_shmem_config config = { 0 };

    if (offers_shm(session, VHOST_USER_PROTOCOL_F_SHMEM)) {
        config.nregions = 1;
        config.memory_sizes[0] = session->config.shm_size;
    }
    vwl_session_answer_body(answer, &config, sizeof config);
    return 0;
}

int vwl_session_get_private_regions(struct vwl_session *session,
                                    struct vwl_vhu_msg *msg,
                                    struct vwl_session_answer *answer)
{
    struct vhost_user_private_shmem_region region = {
        .id = 0,
        .length = session->config.shm_size,
    };
    bool has = offers_shm(session, VHOST_USER_PROTOCOL_F_SHARED_MEMORY_REGIONS);

    vwl_session_answer_u64(answer, has ? 1 : 0);
    if (has) {
        memcpy(answer->payload + answer->size, &region, sizeof region);
        answer->size += sizeof region;
    }
    return 0;
}
