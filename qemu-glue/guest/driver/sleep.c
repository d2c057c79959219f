// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ends of a session that the device or the machine asks for: a reset, and
 * sleep.
 *
 * virtio resets every device that wakes up, since it may have lost its power.
 * One that slept in suspend-to-idle has not: its session is still there, its
 * rings are, and so are its windows on the host. So while it sleeps so, the
 * reset that comes first asks the device instead of resetting it: if it still
 * knows its driver, the session goes on. Other kinds of sleep end it; after
 * hibernation another kernel may have had the device meanwhile.
 */
#include <linux/suspend.h>
#include <linux/virtio_config.h>

#include "wl.h"

/* What virtio_device_restore would do, where a kernel does not sleep, too. */
static int restart(struct wl_device *wd)
{
	struct virtio_device *vdev = wd->vdev;
	const struct virtio_config_ops *ops = vdev->config;
	int err;

	if (wd->started)
		wl_stop(wd);
	wd->started = false;
	virtio_reset_device(vdev);
	ops->set_status(vdev,
			ops->get_status(vdev) | VIRTIO_CONFIG_S_ACKNOWLEDGE);
	ops->set_status(vdev, ops->get_status(vdev) | VIRTIO_CONFIG_S_DRIVER);
	err = ops->finalize_features(vdev);
	if (err)
		return err;
	if (virtio_has_feature(vdev, VIRTIO_F_VERSION_1)) {
		ops->set_status(vdev, ops->get_status(vdev) |
					      VIRTIO_CONFIG_S_FEATURES_OK);
		if (!(ops->get_status(vdev) & VIRTIO_CONFIG_S_FEATURES_OK))
			return -ENODEV;
	}
	err = wl_start(wd);
	wd->started = !err;
	return err;
}

/*
 * The device said that it needs a reset. Not during sleep (the queue is
 * freezable), and not while the driver comes or goes (the lock).
 */
void wl_reset_work(struct work_struct *work)
{
	struct wl_device *wd = container_of(to_delayed_work(work),
					    struct wl_device, reset_work);
	struct virtio_device *vdev = wd->vdev;
	int err;

	if (!device_trylock(&vdev->dev)) {
		queue_delayed_work(system_freezable_wq, &wd->reset_work,
				   HZ / 10);
		return;
	}
	if (vdev->config->get_status(vdev) & VIRTIO_CONFIG_S_NEEDS_RESET) {
		dev_info(&vdev->dev, "device needs a reset\n");
		err = restart(wd);
		if (err) {
			dev_err(&vdev->dev, "reset failed: %d\n", err);
			vdev->config->set_status(
				vdev, vdev->config->get_status(vdev) |
					      VIRTIO_CONFIG_S_FAILED);
		}
	}
	device_unlock(&vdev->dev);
}

#ifdef CONFIG_PM_SLEEP

/* A reset would break the rings there, whatever the transport does. */
#ifdef CONFIG_VIRTIO_HARDEN_NOTIFICATION
#define CAN_BE_QUIET 0
#else
#define CAN_BE_QUIET IS_ENABLED(CONFIG_SUSPEND)
#endif

static void be_loud(struct wl_device *wd)
{
	wd->vdev->config = wd->config;
	wd->config = NULL;
}

/* What a device has that went on living. Its DRIVER_OK may be gone: a VMM takes
 * it while the device may not use memory. */
#define ALIVE                                                   \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | \
	 VIRTIO_CONFIG_S_FEATURES_OK)

static void quiet_reset(struct virtio_device *vdev)
{
	struct wl_device *wd = vdev->priv;
	u8 status = wd->config->get_status(vdev);

	if ((status & (ALIVE | VIRTIO_CONFIG_S_NEEDS_RESET)) == ALIVE)
		return;
	be_loud(wd);
	wl_stop(wd);
	wd->started = false;
}

static int quiet_features(struct virtio_device *vdev)
{
	return 0; /* they are agreed on */
}

int wl_freeze(struct virtio_device *vdev)
{
	struct wl_device *wd = vdev->priv;

	if (!wd->started)
		return 0;
	if (CAN_BE_QUIET && pm_suspend_target_state == PM_SUSPEND_TO_IDLE &&
	    virtio_has_feature(vdev, VIRTIO_F_VERSION_1)) {
		wd->config = vdev->config;
		wd->quiet = *vdev->config;
		wd->quiet.reset = quiet_reset;
		wd->quiet.finalize_features = quiet_features;
		vdev->config = &wd->quiet;
		return 0;
	}
	wl_stop(wd);
	wd->started = false;
	return 0;
}

/* What came while nobody listened is looked for on both sides. */
static void wake(struct wl_device *wd)
{
	struct virtio_device *vdev = wd->vdev;

	be_loud(wd);
	if (!(vdev->config->get_status(vdev) & VIRTIO_CONFIG_S_DRIVER_OK))
		virtio_device_ready(vdev);
	wl_out_wake(wd);
	wl_in_wake(wd);
}

int wl_restore(struct virtio_device *vdev)
{
	struct wl_device *wd = vdev->priv;
	int err = 0;

	if (wd->config) {
		wake(wd);
	} else {
		err = wl_start(wd);
		wd->started = !err;
	}
	return err;
}

#endif
