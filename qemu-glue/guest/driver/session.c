// SPDX-License-Identifier: GPL-2.0-only
/*
 * A session with the device: from its reset to the next one.
 */
#include <linux/virtio_config.h>

#include "compat.h"
#include "wl.h"

/* Begins a session. The device is reset and its features are agreed on. */
int wl_start(struct wl_device *wd)
{
	struct virtqueue_info info[VIRTIO_WL_QUEUE_COUNT] = {
		[VIRTIO_WL_QUEUE_IN] = { .name = "in", .callback = wl_in_done },
		[VIRTIO_WL_QUEUE_OUT] = { .name = "out",
					  .callback = wl_out_done },
	};
	struct virtqueue *vqs[VIRTIO_WL_QUEUE_COUNT];
	struct virtio_device *vdev = wd->vdev;
	u64 features = 0;
	int bit, err;

	for (bit = 0; bit <= VIRTIO_WL_F_GUEST_PAGES; bit++) {
		if (__virtio_test_bit(vdev, bit))
			features |= BIT_ULL(bit);
	}
	WRITE_ONCE(wd->features, features);

	err = wl_map_find_region(wd);
	if (err) {
		dev_err(&vdev->dev, "no shared-memory region\n");
		return err;
	}
	err = wl_find_vqs(vdev, VIRTIO_WL_QUEUE_COUNT, vqs, info);
	if (err)
		goto lose_region;
	err = wl_in_start(wd, vqs[VIRTIO_WL_QUEUE_IN]);
	if (err)
		goto reset;
	virtio_device_ready(vdev);
	err = wl_out_start(wd, vqs[VIRTIO_WL_QUEUE_OUT]);
	if (err)
		goto reset;
	virtqueue_kick(vqs[VIRTIO_WL_QUEUE_IN]);
	return 0;

reset:
	virtio_reset_device(vdev);
	wl_in_stop(wd);
	vdev->config->del_vqs(vdev);
lose_region:
	wl_map_lose_region(wd);
	return err;
}

/* Ends a session: nothing of it is left to the device. */
void wl_stop(struct wl_device *wd)
{
	wl_out_stop(wd);
	virtio_reset_device(wd->vdev);
	wl_in_stop(wd);
	wl_out_drain(wd);
	wl_map_zap(wd);
	wl_vfds_die(wd);
	wd->vdev->config->del_vqs(wd->vdev);
	wl_map_lose_region(wd);
}
