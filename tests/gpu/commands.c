/* SPDX-License-Identifier: BSD-3-Clause */
#include "commands.h"

#include <string.h>

#include <linux/virtio_gpu.h>

#include "bytes.h"
#include "wl_names.h"

uint32_t gpu_blob(struct virtio *gpu, uint32_t id, const uint32_t *pages,
                  uint32_t n)
{
    uint8_t bytes[56 + 16 * 16] = { 0 };

    put32(bytes, VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB);
    put32(bytes + 24, id);
    put32(bytes + 28, VIRTIO_GPU_BLOB_MEM_GUEST);
    put32(bytes + 32, VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE |
                          VIRTIO_GPU_BLOB_FLAG_USE_SHAREABLE);
    put32(bytes + 36, n);
    put64(bytes + 48, n * PAGE);
    for (uint32_t i = 0; i < n; i++) {
        put64(bytes + 56 + 16 * i, pages[i]);
        put32(bytes + 64 + 16 * i, PAGE);
    }
    return virtio_command(gpu, bytes, 56 + 16 * n);
}

uint32_t gpu_2d(struct virtio *gpu, uint32_t id)
{
    uint8_t bytes[40] = { 0 };

    put32(bytes, VIRTIO_GPU_CMD_RESOURCE_CREATE_2D);
    put32(bytes + 24, id);
    put32(bytes + 28, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM);
    put32(bytes + 32, 64);
    put32(bytes + 36, 64);
    return virtio_command(gpu, bytes, sizeof bytes);
}

uint32_t gpu_attach(struct virtio *gpu, uint32_t id, const uint32_t *pages,
                    uint32_t n, uint32_t len)
{
    uint8_t bytes[32 + 16 * 16] = { 0 };

    put32(bytes, VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING);
    put32(bytes + 24, id);
    put32(bytes + 28, n);
    for (uint32_t i = 0; i < n; i++) {
        put64(bytes + 32 + 16 * i, pages[i]);
        put32(bytes + 40 + 16 * i, len);
    }
    return virtio_command(gpu, bytes, 32 + 16 * n);
}

uint32_t gpu_unref(struct virtio *gpu, uint32_t id)
{
    uint8_t bytes[32] = { 0 };

    put32(bytes, VIRTIO_GPU_CMD_RESOURCE_UNREF);
    put32(bytes + 24, id);
    return virtio_command(gpu, bytes, sizeof bytes);
}

uint32_t wl_send(struct virtio *wl, uint32_t kind, uint64_t value)
{
    uint8_t bytes[33];

    memset(bytes, 0xcd, sizeof bytes);
    put32(bytes, CMD_VFD_SEND_FOREIGN_ID);
    put32(bytes + 4, 0);
    put32(bytes + 8, 1);
    put32(bytes + 12, 1);
    put32(bytes + 16, kind);
    put32(bytes + 24, (uint32_t)value);
    if (kind == VIRTIO_WL_FOREIGN_VIRTGPU_FENCE) {
        put32(bytes + 28, (uint32_t)(value >> 32));
    }
    return virtio_command(wl, bytes, sizeof bytes);
}

uint32_t wl_new_dmabuf(struct virtio *wl, uint32_t id, uint32_t width,
                       uint32_t height)
{
    uint8_t bytes[64] = { 0 };

    put32(bytes, CMD_VFD_NEW_DMABUF);
    put32(bytes + 8, id);
    put32(bytes + 28, width);
    put32(bytes + 32, height);
    put32(bytes + 36, 0x34325258); /* XR24 */
    return virtio_command(wl, bytes, sizeof bytes);
}

uint32_t wl_short(struct virtio *wl, uint32_t type, uint32_t id, uint32_t flags)
{
    uint8_t bytes[16] = { 0 };

    put32(bytes, type);
    put32(bytes + 8, id);
    put32(bytes + 12, flags);
    return virtio_command(wl, bytes, sizeof bytes);
}

uint32_t wl_send_vfd(struct virtio *wl, uint32_t id)
{
    uint8_t bytes[21] = { 0 };

    put32(bytes, CMD_VFD_SEND);
    put32(bytes + 8, 1);
    put32(bytes + 12, 1);
    put32(bytes + 16, id);
    return virtio_command(wl, bytes, sizeof bytes);
}
