// SPDX-License-Identifier: GPL-2.0-only
/*
 * Descriptors in a SEND that are no VFDs: buffers of virtio-gpu, and fences.
 * The host has these already and is told their numbers.
 */
#include <linux/dma-buf.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/sync_file.h>

#include "compat.h"
#include "wl.h"

#define GPU "virtio_gpu"

/* Kernels for clouds are without dmabufs, or without fences as files. */
#ifdef CONFIG_DMA_SHARED_BUFFER

static int take_buffer(int fd, struct wl_item *item)
{
	struct dma_buf *buf = dma_buf_get(fd);
	int err = -EINVAL;

	if (IS_ERR(buf))
		return -EINVAL;
	if (buf->exp_name && !strcmp(buf->exp_name, GPU))
		err = wl_gpu_number(buf, &item->value);
	/* the host must find it: it stays until the answer is here */
	if (!err) {
		item->kind = VIRTIO_WL_FOREIGN_VIRTGPU;
		fput(item->file);
		item->file = get_file(buf->file);
	}
	dma_buf_put(buf);
	return err;
}

#else

static int take_buffer(int fd, struct wl_item *item)
{
	return -EINVAL;
}

#endif

#ifdef CONFIG_SYNC_FILE

static int take_fence(struct wl_vfd *to, int fd, struct wl_item *item)
{
	struct dma_fence *fence;
	struct wl_vfd *own;
	int err = 0;

	fence = sync_file_get_fence(fd);
	if (!fence)
		return -EINVAL;
	own = wl_vfd_of_fence(fence);
	if (own && wl_vfds_are_siblings(own, to)) {
		/* the host's own, whose VFD the file keeps */
		item->vfd = own;
	} else if (!wl_has_feature(to->wd, VIRTIO_WL_F_SEND_FENCES)) {
		err = -EINVAL;
	} else if (dma_fence_is_signaled(fence)) {
		/* whoever made it: they are all alike */
		item->kind = VIRTIO_WL_FOREIGN_VIRTGPU_SIGNALED_FENCE;
	} else if (!strcmp(fence->ops->get_driver_name(fence), GPU)) {
		item->kind = VIRTIO_WL_FOREIGN_VIRTGPU_FENCE;
		item->value = fence->seqno;
	} else {
		err = -EINVAL;
	}
	dma_fence_put(fence);
	return err;
}

#else

static int take_fence(struct wl_vfd *to, int fd, struct wl_item *item)
{
	return -EINVAL;
}

#endif

/* item->file is fd's, and no VFD. -EINVAL: the host knows no number for it. */
int wl_foreign_take(struct wl_vfd *to, int fd, struct wl_item *item)
{
	int err = take_buffer(fd, item);

	return err == -EINVAL ? take_fence(to, fd, item) : err;
}

/* Writes the entries of a SEND; returns where they end. */
void *wl_foreign_put(struct wl_device *wd, void *at,
		     const struct wl_item *items, unsigned int n)
{
	struct virtio_wl_foreign_entry_v2 *wide = at;
	struct virtio_wl_foreign_entry *entry = at;
	unsigned int i;

	if (!wl_has_feature(wd, VIRTIO_WL_F_SEND_FENCES)) {
		for (i = 0; i < n; i++, entry++) {
			entry->kind = cpu_to_le32(items[i].kind);
			entry->id = cpu_to_le32((u32)items[i].value);
		}
		return entry;
	}
	for (i = 0; i < n; i++, wide++) {
		wide->kind = cpu_to_le32(items[i].kind);
		wide->value = cpu_to_le64(items[i].value);
	}
	return wide;
}

WL_IMPORT_NS(DMA_BUF);
