/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhu/session_private.h"

#include <errno.h>

/* Translations asked for at a time: each ring wants one. */
#define MAX_MISSES 16

static void on_miss_done(void *opaque, uint64_t cookie, int err)
{
    struct vwl_session *session = opaque;

    for (guint i = 0; i < session->misses->len; i++) {
        struct vwl_session_miss miss = g_array_index(session->misses,
                                                     struct vwl_session_miss,
                                                     i);

        if (miss.cookie != cookie) {
            continue;
        }
        /* Until the UPDATE, if no reply was due: the same miss is not asked
         * for twice. With a reply the UPDATE came before it. */
        if (err == 0 &&
            !vwl_session_has_protocol(session,
                                      VHOST_USER_PROTOCOL_F_REPLY_ACK)) {
            return;
        }
        g_array_remove_index_fast(session->misses, i);
        if (err < 0 && err != -ECONNRESET) {
            vwl_session_ring_fault(session, miss.index,
                                   "an address that the IOMMU does not map");
        }
        return;
    }
}

void vwl_session_ask_miss(struct vwl_session *session, unsigned int index)
{
    struct vhost_user_iotlb msg = { .type = VHOST_USER_IOTLB_MISS };
    struct vwl_session_miss miss = { .index = index };
    int err;

    if (!vwl_session_has_feature(session, VIRTIO_F_ACCESS_PLATFORM)) {
        return;
    }
    vwl_vq_miss(session->rings[index].vq, &miss.iova, &miss.access);
    for (guint i = 0; i < session->misses->len; i++) {
        struct vwl_session_miss *old = &g_array_index(session->misses,
                                                      struct vwl_session_miss,
                                                      i);

        if (old->iova == miss.iova && old->access == miss.access) {
            return;
        }
    }
    if (session->misses->len >= MAX_MISSES) {
        g_array_remove_index(session->misses, 0);
    }
    miss.cookie = ++session->next_cookie;
    msg.iova = miss.iova;
    msg.permission = (uint8_t)miss.access;
    g_array_append_val(session->misses, miss);
    err = vwl_backchan_iotlb(session->backchan, &msg, on_miss_done, session,
                             miss.cookie);
    if (err == 0) {
        on_miss_done(session, miss.cookie, 0);
    } else if (err != -EINPROGRESS) {
        log_host_bug(session->log, "ring %u: cannot report an IOTLB miss: %s",
                     index, g_strerror(-err));
        on_miss_done(session, miss.cookie, -ECONNRESET);
    }
}

void vwl_session_forget_misses(struct vwl_session *session)
{
    vwl_backchan_forget(session->backchan, session);
    g_array_set_size(session->misses, 0);
}

void vwl_session_settle_misses(struct vwl_session *session, uint64_t iova,
                               uint64_t size)
{
    for (guint i = session->misses->len; i > 0; i--) {
        struct vwl_session_miss *miss = &g_array_index(session->misses,
                                                       struct vwl_session_miss,
                                                       i - 1);

        if (miss->iova >= iova && miss->iova - iova < size) {
            g_array_remove_index_fast(session->misses, i - 1);
        }
    }
}

void vwl_session_ring_miss(struct vwl_session *session, unsigned int index)
{
    vwl_session_ask_miss(session, index);
}
