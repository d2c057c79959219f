/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Linux 6.1 and later as if they were the latest.
 */
#ifndef WL_COMPAT_H
#define WL_COMPAT_H

#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error virtio_wl needs Linux 6.1 or newer: this kernel is older than that
#endif

#include <linux/mm.h>
#include <linux/virtio_config.h>

#include <vhost-user-wl/virtio_wl.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}

static inline void vm_flags_clear(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags &= ~flags;
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
struct virtqueue_info {
	const char *name;
	vq_callback_t *callback;
	bool ctx;
};

static inline int wl_find_vqs(struct virtio_device *vdev, unsigned int n,
			      struct virtqueue *vqs[],
			      struct virtqueue_info info[])
{
	vq_callback_t *callbacks[VIRTIO_WL_QUEUE_COUNT];
	const char *names[VIRTIO_WL_QUEUE_COUNT];
	unsigned int i;

	for (i = 0; i < n; i++) {
		callbacks[i] = info[i].callback;
		names[i] = info[i].name;
	}
	return virtio_find_vqs(vdev, n, vqs, callbacks, names, NULL);
}
#else
static inline int wl_find_vqs(struct virtio_device *vdev, unsigned int n,
			      struct virtqueue *vqs[],
			      struct virtqueue_info info[])
{
	return virtio_find_vqs(vdev, n, vqs, info, NULL);
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#define WL_IMPORT_NS(ns) MODULE_IMPORT_NS(ns)
#else
#define WL_IMPORT_NS(ns) MODULE_IMPORT_NS(#ns)
#endif

/* shmem_mapping is not exported by all kernels before 6.12; all of them have
 * files of it, whose operations are the same. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#include <linux/file.h>
#include <linux/shmem_fs.h>

static inline bool wl_is_shmem(struct address_space *mapping)
{
	static const struct address_space_operations *ops;

	if (!READ_ONCE(ops)) {
		struct file *file = shmem_file_setup("virtwl", 0, 0);

		if (IS_ERR(file))
			return false;
		WRITE_ONCE(ops, file->f_mapping->a_ops);
		fput(file);
	}
	return mapping->a_ops == ops;
}
#else
#define wl_is_shmem(mapping) shmem_mapping(mapping)
#endif

/*
 * From 7.2 on a work queue that says neither WQ_PERCPU nor WQ_UNBOUND is
 * warned about; before 6.18 the former is not there, and is meant.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 18, 0)
#define WL_WQ_FLAGS WQ_HIGHPRI
#else
#define WL_WQ_FLAGS (WQ_HIGHPRI | WQ_PERCPU)
#endif

/*
 * Where virtio-gpu keeps a resource's id in kernels without BTF, up to 6.12:
 * behind what all its buffers begin with.
 */
#if IS_ENABLED(CONFIG_DRM_GEM_SHMEM_HELPER) && \
	LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#define WL_GPU_OBJECT_PLACE ((int)sizeof(struct drm_gem_shmem_object))
#else
#define WL_GPU_OBJECT_PLACE (-ENOENT)
#endif

#endif
