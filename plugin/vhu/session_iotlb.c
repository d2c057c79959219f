/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhu/session_private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static bool is_in_table(const struct vwl_session *session, uint64_t uva,
                        uint64_t size)
{
    struct vwl_span span;

    if (size == 0 || uva + size < size) {
        return false;
    }
    while (size > 0) {
        if (!vwl_mem_at_uva(session->mem, uva, size, &span)) {
            return false;
        }
        uva += span.len;
        size -= span.len;
    }
    return true;
}

static int update(struct vwl_session *session,
                  const struct vhost_user_iotlb *wire,
                  struct vwl_session_answer *answer)
{
    int err;

    if (!is_in_table(session, wire->user_addr, wire->size)) {
        return vwl_session_answer_refuse(answer, -EFAULT,
                                         "0x%" PRIx64 " bytes at 0x%" PRIx64
                                         " are in no region of memory",
                                         (uint64_t)wire->size,
                                         (uint64_t)wire->user_addr);
    }
    err = vwl_iotlb_update(session->iotlb, wire->iova, wire->size,
                           wire->user_addr, wire->permission);
    if (err < 0) {
        return vwl_session_answer_errno(answer, err, "the translation");
    }
    vwl_session_settle_misses(session, wire->iova, wire->size);
    vwl_session_memory_apply(session);
    return 0;
}

int vwl_session_iotlb_msg(struct vwl_session *session, struct vwl_vhu_msg *msg,
                          struct vwl_session_answer *answer)
{
    struct vhost_user_iotlb wire;

    if (!vwl_session_has_feature(session, VIRTIO_F_ACCESS_PLATFORM)) {
        return vwl_session_answer_refuse(answer, -EOPNOTSUPP,
                                         "ACCESS_PLATFORM was not negotiated");
    }
    memcpy(&wire, msg->payload, sizeof wire);
    switch (wire.type) {
    case VHOST_USER_IOTLB_UPDATE:
        return update(session, &wire, answer);
    case VHOST_USER_IOTLB_INVALIDATE:
        session->ops->iotlb_invalidate(session->opaque, wire.iova, wire.size);
        vwl_iotlb_invalidate(session->iotlb, wire.iova, wire.size);
        vwl_session_memory_apply(session);
        return 0;
    default:
        return vwl_session_answer_refuse(answer, -EINVAL,
                                         "type %u is not one for a device",
                                         wire.type);
    }
}
