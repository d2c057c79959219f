// SPDX-License-Identifier: GPL-2.0-only
/*
 * A fence of the host's as one of the kernel's: programs get a sync_file.
 *
 * The fence owns the VFD, which is closed when the last user of the fence is
 * gone. It is signalled when the VFD hangs up, and with an error when the
 * session ends before that.
 */
#include <linux/dma-fence.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/sync_file.h>

#include "wl.h"

#ifdef CONFIG_SYNC_FILE

struct wl_fence {
	struct dma_fence base;
	spinlock_t lock; /* the base's */
	struct wl_vfd *vfd; /* owned */
	struct work_struct release_work;
};

static const struct dma_fence_ops wl_fence_ops;

static struct wl_fence *to_wl_fence(struct dma_fence *fence)
{
	return container_of(fence, struct wl_fence, base);
}

static const char *driver_name(struct dma_fence *fence)
{
	return "virtio_wl";
}

static const char *timeline_name(struct dma_fence *fence)
{
	return "host";
}

/* The module goes no sooner than its work queue. */
static void release_work(struct work_struct *work)
{
	struct wl_fence *fence =
		container_of(work, struct wl_fence, release_work);

	wl_vfd_close(fence->vfd);
	dma_fence_free(&fence->base);
	module_put(THIS_MODULE);
}

/* Any context. */
static void release(struct dma_fence *base)
{
	struct wl_fence *fence = to_wl_fence(base);
	unsigned long flags;

	spin_lock_irqsave(&fence->vfd->lock, flags);
	fence->vfd->fence = NULL;
	spin_unlock_irqrestore(&fence->vfd->lock, flags);
	queue_work(wl_wq, &fence->release_work);
}

static const struct dma_fence_ops wl_fence_ops = {
	.get_driver_name = driver_name,
	.get_timeline_name = timeline_name,
	.release = release,
};

bool wl_vfd_is_fence(const struct wl_vfd *vfd)
{
	return wl_has_feature(vfd->wd, VIRTIO_WL_F_TRANS_FLAGS) &&
	       vfd->flags & VIRTIO_WL_VFD_FENCE;
}

/* The file becomes the VFD's owner. */
struct file *wl_fence_file_create(struct wl_vfd *vfd)
{
	struct sync_file *sync_file;
	struct wl_fence *fence;
	bool signal;

	fence = kzalloc(sizeof(*fence), GFP_KERNEL_ACCOUNT);
	if (!fence)
		return ERR_PTR(-ENOMEM);
	spin_lock_init(&fence->lock);
	INIT_WORK(&fence->release_work, release_work);
	dma_fence_init(&fence->base, &wl_fence_ops, &fence->lock,
		       dma_fence_context_alloc(1), 1);
	sync_file = sync_file_create(&fence->base);
	if (!sync_file) {
		kfree(fence);
		return ERR_PTR(-ENOMEM);
	}
	__module_get(THIS_MODULE);
	fence->vfd = vfd;
	spin_lock_irq(&vfd->lock);
	vfd->has_file = true;
	vfd->fence = &fence->base;
	signal = vfd->hup;
	spin_unlock_irq(&vfd->lock);
	if (signal)
		wl_fence_signal(vfd, 0);
	/* the file has its own */
	dma_fence_put(&fence->base);
	return sync_file->file;
}

/* If the VFD is one. */
void wl_fence_signal(struct wl_vfd *vfd, int err)
{
	struct dma_fence *fence;

	spin_lock_irq(&vfd->lock);
	fence = vfd->fence;
	/* the last one may be about to go */
	if (fence && !kref_get_unless_zero(&fence->refcount))
		fence = NULL;
	spin_unlock_irq(&vfd->lock);
	if (!fence)
		return;
	if (err && !dma_fence_is_signaled(fence))
		dma_fence_set_error(fence, err);
	dma_fence_signal(fence);
	dma_fence_put(fence);
}

/* NULL: it is none of ours. The fence keeps it. */
struct wl_vfd *wl_vfd_of_fence(struct dma_fence *fence)
{
	return fence->ops == &wl_fence_ops ? to_wl_fence(fence)->vfd : NULL;
}

#else

bool wl_vfd_is_fence(const struct wl_vfd *vfd)
{
	return false;
}

struct file *wl_fence_file_create(struct wl_vfd *vfd)
{
	return ERR_PTR(-EINVAL);
}

void wl_fence_signal(struct wl_vfd *vfd, int err)
{
}

#endif
