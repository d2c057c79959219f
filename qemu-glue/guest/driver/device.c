// SPDX-License-Identifier: GPL-2.0-only
/*
 * What all other files share: the device's structure, for as long as anybody
 * has a reference, and the queue that its work is done by.
 */
#include <linux/fs.h>
#include <linux/slab.h>

#include "wl.h"

struct workqueue_struct *wl_wq;

static void device_release(struct kref *ref)
{
	struct wl_device *wd = container_of(ref, struct wl_device, ref);

	iput(wd->inode);
	idr_destroy(&wd->vfds);
	kfree(wd);
}

void wl_device_get(struct wl_device *wd)
{
	kref_get(&wd->ref);
}

void wl_device_put(struct wl_device *wd)
{
	kref_put(&wd->ref, device_release);
}
