// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio-wl: Wayland connections and shared memory from the host.
 *
 * A device whose session ended, for whatever reason, starts anew: after a sleep
 * that took its power, after it said that it needs a reset. What was open in
 * the old session hangs up and stays so.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/virtio_config.h>

#include "compat.h"
#include "wl.h"

/* A device that needs one reset after the other gets them ever more slowly. */
#define RESET_DELAY_MAX (30 * HZ)
#define RESET_REST (60 * HZ)

static unsigned int virtio_id = VIRTIO_ID_WL;
module_param(virtio_id, uint, 0444);
MODULE_PARM_DESC(virtio_id, "virtio device id to bind (default 63)");

static bool use_shmem = true;
module_param(use_shmem, bool, 0444);
MODULE_PARM_DESC(use_shmem, "accept USE_SHMEM, pfns relative to region 0");

static bool trans_flags = true;
module_param(trans_flags, bool, 0444);
MODULE_PARM_DESC(trans_flags, "accept TRANS_FLAGS, today's meaning of flags");

static bool guest_pages = true;
module_param(guest_pages, bool, 0444);
MODULE_PARM_DESC(guest_pages, "accept GUEST_PAGES, programs' memory in place");

static DEFINE_IDA(indices);

static int device_open(struct inode *inode, struct file *file)
{
	struct wl_device *wd =
		container_of(file->private_data, struct wl_device, misc);

	/* misc_deregister waits for us, and remove has a reference */
	wl_device_get(wd);
	file->private_data = wd;
	return 0;
}

static int device_close(struct inode *inode, struct file *file)
{
	wl_device_put(file->private_data);
	return 0;
}

static const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	.open = device_open,
	.release = device_close,
	.unlocked_ioctl = wl_device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static void wl_config_changed(struct virtio_device *vdev)
{
	struct wl_device *wd = vdev->priv;
	unsigned long delay;

	if (!(vdev->config->get_status(vdev) & VIRTIO_CONFIG_S_NEEDS_RESET))
		return;
	if (time_after(jiffies, wd->last_reset + RESET_REST))
		wd->n_resets = 0;
	delay = wd->n_resets ? HZ << min(wd->n_resets - 1, 5U) : 0;
	if (queue_delayed_work(system_freezable_wq, &wd->reset_work,
			       min_t(unsigned long, delay, RESET_DELAY_MAX))) {
		wd->n_resets++;
		wd->last_reset = jiffies;
	}
}

static int wl_probe(struct virtio_device *vdev)
{
	struct wl_device *wd;
	int err;

	wd = kzalloc(sizeof(*wd), GFP_KERNEL);
	if (!wd)
		return -ENOMEM;
	wd->index = ida_alloc(&indices, GFP_KERNEL);
	if (wd->index < 0) {
		err = wd->index;
		goto free;
	}
	wd->inode = wl_map_inode_create();
	if (IS_ERR(wd->inode)) {
		err = PTR_ERR(wd->inode);
		goto free_index;
	}
	kref_init(&wd->ref);
	wd->vdev = vdev;
	init_rwsem(&wd->map_lock);
	mutex_init(&wd->lock);
	idr_init(&wd->vfds);
	INIT_LIST_HEAD(&wd->announced);
	INIT_DELAYED_WORK(&wd->reset_work, wl_reset_work);
	wl_out_init(wd);
	wl_in_init(wd);
	wd->last_reset = jiffies;
	vdev->priv = wd;

	err = wl_start(wd);
	if (err)
		goto put;
	wd->started = true;
	snprintf(wd->name, sizeof(wd->name), "wl%d", wd->index);
	wd->misc.name = wd->name;
	wd->misc.minor = MISC_DYNAMIC_MINOR;
	wd->misc.fops = &device_fops;
	wd->misc.parent = &vdev->dev;
	err = misc_register(&wd->misc);
	if (err)
		goto stop;
	dev_info(&vdev->dev, "%s: features %#llx, window of %llu MiB\n",
		 wd->name, wd->features, wd->shm_len >> 20);
	return 0;

stop:
	wl_stop(wd);
put:
	ida_free(&indices, wd->index);
	wl_device_put(wd);
	return err;
free_index:
	ida_free(&indices, wd->index);
free:
	kfree(wd);
	return err;
}

static void wl_remove(struct virtio_device *vdev)
{
	struct wl_device *wd = vdev->priv;

	misc_deregister(&wd->misc);
	/* the name is free, whoever has the device open still */
	ida_free(&indices, wd->index);
	cancel_delayed_work_sync(&wd->reset_work);
	if (wd->started)
		wl_stop(wd);
	else
		virtio_reset_device(vdev);
	/* a config interrupt before the reset may have queued it again */
	cancel_delayed_work_sync(&wd->reset_work);
	wl_device_put(wd);
}

/* Set up by init, before the driver is registered. */
static unsigned int feature_table[4];

static struct virtio_device_id id_table[] = {
	{ VIRTIO_ID_WL, VIRTIO_DEV_ANY_ID },
	{ 0 },
};
MODULE_DEVICE_TABLE(virtio, id_table);

static struct virtio_driver wl_driver = {
	.driver.name = KBUILD_MODNAME,
	.driver.owner = THIS_MODULE,
	.id_table = id_table,
	.feature_table = feature_table,
	.probe = wl_probe,
	.remove = wl_remove,
	.config_changed = wl_config_changed,
#ifdef CONFIG_PM_SLEEP
	.freeze = wl_freeze,
	.restore = wl_restore,
#endif
};

static int __init wl_init(void)
{
	unsigned int n = 0;
	int err;

	id_table[0].device = virtio_id;
	feature_table[n++] = VIRTIO_WL_F_SEND_FENCES;
	if (trans_flags)
		feature_table[n++] = VIRTIO_WL_F_TRANS_FLAGS;
	if (use_shmem)
		feature_table[n++] = VIRTIO_WL_F_USE_SHMEM;
	if (guest_pages)
		feature_table[n++] = VIRTIO_WL_F_GUEST_PAGES;
	wl_driver.feature_table_size = n;

	wl_wq = alloc_workqueue(KBUILD_MODNAME, WL_WQ_FLAGS, 0);
	if (!wl_wq)
		return -ENOMEM;
	err = wl_map_module_init();
	if (err)
		goto destroy_wq;
	err = register_virtio_driver(&wl_driver);
	if (err)
		goto map_exit;
	return 0;

map_exit:
	wl_map_module_exit();
destroy_wq:
	destroy_workqueue(wl_wq);
	return err;
}

static void __exit wl_exit(void)
{
	unregister_virtio_driver(&wl_driver);
	/* ends what the last VFDs left to do, and so drops the last devices */
	destroy_workqueue(wl_wq);
	wl_pages_module_exit();
	wl_map_module_exit();
}

module_init(wl_init);
module_exit(wl_exit);

MODULE_DESCRIPTION("virtio-wl driver");
MODULE_AUTHOR("The vhost-user-wl project");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.2.0");
