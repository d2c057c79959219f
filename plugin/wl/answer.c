/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/answer.h"

#include <endian.h>
#include <stddef.h>
#include <string.h>

#include "base/buffer.h"
#include "base/le.h"
#include "wl/state.h"
#include "wl/vfd.h"

/* What says "no memory" in this mode. */
static uint64_t answer_pfn_none(const struct vwl_core *core)
{
    return vwl_core_has(core, VIRTIO_WL_F_USE_SHMEM)
               ? core->config.shm_window >> VIRTIO_WL_PFN_SHIFT
               : 0;
}

int vwl_answer_pfn(struct vwl_core *core, uint64_t shm_offset, uint64_t *pfn)
{
    uint64_t gpa = 0;

    if (!vwl_core_has(core, VIRTIO_WL_F_USE_SHMEM)) {
        int err = core->ops->shm_base(core->opaque, &gpa);

        if (err < 0) {
            return err;
        }
    }
    *pfn = (gpa + shm_offset) >> VIRTIO_WL_PFN_SHIFT;
    return 0;
}

bool vwl_answer_is_shortage(int err)
{
    switch (-err) {
    case ENOMEM:
    case ENOBUFS:
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ETOOMANYREFS:
    case EBUSY: /* too many requests wait */
        return true;
    default:
        return false;
    }
}

static uint32_t answer_type(int err)
{
    switch (-err) {
    case 0:
        return VIRTIO_WL_RESP_OK;
    case VWL_EBADID:
        return VIRTIO_WL_RESP_INVALID_ID;
    case VWL_EBADTYPE:
        return VIRTIO_WL_RESP_INVALID_TYPE;
    case VWL_EBADFLAGS:
        return VIRTIO_WL_RESP_INVALID_FLAGS;
    case VWL_EBADCMD:
        return VIRTIO_WL_RESP_INVALID_CMD;
    default:
        return vwl_answer_is_shortage(err) ? VIRTIO_WL_RESP_OUT_OF_MEMORY
                                           : VIRTIO_WL_RESP_ERR;
    }
}

void vwl_answer(struct vwl_core *core, struct vwl_request *request, int err)
{
    vwl_le_put32(request->response, answer_type(err));
    request->response_bytes = MIN(request->response_room, 4);
    core->counters.refused += err < 0;
}

/* Both begin alike, on the wire and here. */
static void answer_fill(const struct vwl_vfd *vfd, uint32_t type,
                        const struct vwl_vfd_words *words,
                        struct virtio_wl_ctrl_vfd_new *out)
{
    *out = (struct virtio_wl_ctrl_vfd_new){
        .hdr.type = htole32(type),
        .vfd_id = htole32(vfd->id),
        .flags = htole32(words->flags),
        .pfn = htole64(words->pfn),
        .size = htole32((uint32_t)vfd->size_bytes),
    };
}

void vwl_answer_new(struct vwl_core *core, struct vwl_request *request,
                    const struct vwl_vfd *vfd)
{
    struct vwl_vfd_words words = { .pfn = answer_pfn_none(core) };
    struct virtio_wl_ctrl_vfd_new plain;
    struct virtio_wl_ctrl_vfd_new_dmabuf dmabuf = { 0 };

    vfd->ops->answer(vfd, &words);
    if (!words.layout) {
        answer_fill(vfd, VIRTIO_WL_RESP_VFD_NEW, &words, &plain);
        memcpy(request->response, &plain, sizeof plain);
        request->response_bytes = sizeof plain;
        return;
    }
    answer_fill(vfd, VIRTIO_WL_RESP_VFD_NEW_DMABUF, &words, &plain);
    memcpy(&dmabuf, &plain, offsetof(struct virtio_wl_ctrl_vfd_new, pad));
    dmabuf.stride0 = htole32(words.layout->stride[0]);
    dmabuf.stride1 = htole32(words.layout->stride[1]);
    dmabuf.stride2 = htole32(words.layout->stride[2]);
    dmabuf.offset0 = htole32(words.layout->offset[0]);
    dmabuf.offset1 = htole32(words.layout->offset[1]);
    dmabuf.offset2 = htole32(words.layout->offset[2]);
    memcpy(request->response, &dmabuf, sizeof dmabuf);
    request->response_bytes = sizeof dmabuf;
}

void vwl_answer_announce(const struct vwl_vfd *vfd,
                         struct virtio_wl_ctrl_vfd_new *out)
{
    struct vwl_vfd_words words = { .pfn = answer_pfn_none(vfd->core) };

    if (vfd->ops->announce) {
        vfd->ops->announce(vfd, &words);
    } else if (vwl_core_has(vfd->core, VIRTIO_WL_F_TRANS_FLAGS)) {
        words.flags = vfd->flags;
    }
    answer_fill(vfd, VIRTIO_WL_CMD_VFD_NEW, &words, out);
}
