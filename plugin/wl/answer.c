/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/answer.h"

#include <string.h>

#include "base/le.h"
#include "wl/kinds/dmabuf.h"
#include "wl/state.h"
#include "wl/vfd.h"

uint64_t vwl_answer_pfn_none(const struct vwl_core *core)
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

uint32_t vwl_answer_told_flags(const struct vwl_vfd *vfd)
{
    bool is_memory = vwl_vfd_is_memory(vfd);

    if (vwl_core_has(vfd->core, VIRTIO_WL_F_TRANS_FLAGS)) {
        return is_memory ? 0 : vfd->flags;
    }
    return is_memory && vfd->map
               ? VIRTIO_WL_VFD_LEGACY_WRITE | VIRTIO_WL_VFD_LEGACY_MAP
               : 0;
}

/* Drivers differ in what they take; see docs/protocol.md, modes. */
static void answer_describe(const struct vwl_vfd *vfd, uint32_t *flags,
                            uint64_t *pfn)
{
    struct vwl_core *core = vfd->core;

    *pfn = vwl_answer_pfn_none(core);
    if (vwl_vfd_is_memory(vfd)) {
        *flags = vfd->answered_flags;
        vwl_answer_pfn(core, vwl_map_offset(vfd->map), pfn);
    } else if (vfd->ops->kind == VWL_VFD_PIPE) {
        *flags = vwl_core_has(core, VIRTIO_WL_F_USE_SHMEM) ? 0 : vfd->flags;
        *pfn = 0;
    } else {
        *flags = vwl_core_has(core, VIRTIO_WL_F_TRANS_FLAGS)
                     ? VIRTIO_WL_VFD_READ | VIRTIO_WL_VFD_WRITE
                     : VIRTIO_WL_VFD_LEGACY_CONTROL;
    }
}

void vwl_answer_new(struct vwl_core *core, struct vwl_request *request,
                    const struct vwl_vfd *vfd)
{
    uint8_t *at = request->response;
    uint32_t flags;
    uint64_t pfn;

    answer_describe(vfd, &flags, &pfn);
    memset(at, 0, 32);
    vwl_le_put32(at, VIRTIO_WL_RESP_VFD_NEW);
    vwl_le_put32(at + 8, vfd->id);
    vwl_le_put32(at + 12, flags);
    vwl_le_put64(at + 16, pfn);
    vwl_le_put32(at + 24, (uint32_t)vfd->size_bytes);
    request->response_bytes = 32;
    if (vfd->dmabuf) {
        const struct vwl_buffer *layout = &vfd->dmabuf->layout;

        vwl_le_put32(at, VIRTIO_WL_RESP_VFD_NEW_DMABUF);
        memset(at + 28, 0, 12); /* width, height, format */
        for (unsigned int i = 0; i < VWL_BUFFER_PLANES; i++) {
            vwl_le_put32(at + 40 + 4 * i, layout->stride[i]);
            vwl_le_put32(at + 52 + 4 * i, layout->offset[i]);
        }
        request->response_bytes = 64;
    }
}
