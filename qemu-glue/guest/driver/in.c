// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages from the device.
 *
 * A received message is copied out of its buffer, and the buffer goes back
 * into the ring at once, so that a program which does not read cannot take
 * them all. One that goes on not reading has its messages left in their
 * buffers, which is what makes the device stop sending to it. When few are
 * left for the others then, new ones take their place; and if a device does
 * not stop, its VFD is broken at last.
 */
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/virtio_config.h>

#include "wl.h"

#define BUDGET 256
#define KICK_EVERY 32

static bool is_host_id(u32 id)
{
	return (id & (VIRTIO_WL_VFD_HOST_ID_BIT | BIT(31))) ==
	       VIRTIO_WL_VFD_HOST_ID_BIT;
}

static void drop_oldest_announced(struct wl_device *wd)
{
	struct wl_vfd *vfd = NULL;

	mutex_lock(&wd->lock);
	if (wd->n_announced > WL_ANNOUNCED_MAX) {
		vfd = list_first_entry(&wd->announced, struct wl_vfd, link);
		list_del_init(&vfd->link);
		wd->n_announced--;
	}
	mutex_unlock(&wd->lock);
	if (vfd)
		wl_vfd_close(vfd);
}

static const char *on_new(struct wl_device *wd,
			  const struct virtio_wl_ctrl_vfd_new *new, size_t len)
{
	u32 id = le32_to_cpu(new->vfd_id);
	const char *complaint = NULL;
	struct wl_vfd *vfd;

	if (len < offsetofend(struct virtio_wl_ctrl_vfd_new, size))
		return "VFD_NEW too short";
	if (!is_host_id(id))
		return "VFD_NEW with an id that is not the host's";

	vfd = wl_vfd_create(wd, VIRTIO_WL_CMD_VFD_NEW, id);
	if (vfd == ERR_PTR(-ENODEV))
		return NULL;
	if (IS_ERR(vfd))
		return "VFD_NEW with an id in use, or no memory";
	vfd->flags = le32_to_cpu(new->flags);
	vfd->size = le32_to_cpu(new->size);
	if (wl_map_check(wd, le64_to_cpu(new->pfn), vfd->size, &vfd->mem))
		complaint = "VFD_NEW with memory outside of the region";

	/* Not if the session ended meanwhile. */
	mutex_lock(&wd->lock);
	if (vfd->in_table) {
		list_add_tail(&vfd->link, &wd->announced);
		wd->n_announced++;
		vfd = NULL;
	}
	mutex_unlock(&wd->lock);
	if (vfd)
		wl_vfd_close(vfd);
	drop_oldest_announced(wd);
	return complaint;
}

/* Makes the listed VFDs the message's own; each was announced, once. */
static void claim_vfds(struct wl_device *wd, struct wl_msg *msg,
		       const struct wl_vfd *parent, const __le32 *ids,
		       unsigned int count)
{
	struct wl_vfd *vfd;
	unsigned int i;

	mutex_lock(&wd->lock);
	for (i = 0; i < count; i++) {
		vfd = idr_find(&wd->vfds, le32_to_cpu(ids[i]));
		if (!vfd || vfd == parent || list_empty(&vfd->link)) {
			dev_warn_ratelimited(&wd->vdev->dev,
					     "VFD_RECV lists an unknown VFD\n");
			continue;
		}
		list_del_init(&vfd->link);
		wd->n_announced--;
		msg->vfds[msg->n_vfds++] = vfd;
	}
	mutex_unlock(&wd->lock);
}

/* Where the message's data stays; see the top of this file. */
static int place_data(struct wl_device *wd, struct wl_vfd *vfd,
		      struct wl_msg *msg, struct wl_buf *buf, size_t at,
		      size_t len)
{
	size_t queued = READ_ONCE(vfd->n_in_bytes);
	size_t all = atomic_read(&wd->in_bytes);
	size_t charge = struct_size(msg, vfds, msg->n_vfds) + len;
	bool spare = all + charge <= WL_IN_ALL_BYTES;

	msg->len = len;
	if (queued + charge <= WL_IN_MIN_BYTES ||
	    (queued + charge <= WL_IN_MAX_BYTES && spare)) {
		msg->copy = kvmalloc(max_t(size_t, len, 1), GFP_KERNEL);
		if (!msg->copy)
			return -ENOMEM;
		memcpy(msg->copy, buf->data + at, len);
		msg->data = msg->copy;
		msg->charge = charge;
		atomic_add(charge, &wd->in_bytes);
		return 0;
	}
	if (atomic_read(&wd->n_held) >= WL_IN_MAX_HELD)
		return -ENOBUFS;
	msg->data = buf->data + at;
	msg->buf = buf;
	atomic_inc(&wd->n_held);
	return 0;
}

static const char *on_recv(struct wl_device *wd, struct wl_buf *buf, size_t len,
			   bool *kept)
{
	const struct virtio_wl_ctrl_vfd_sendrecv *recv = buf->data;
	const size_t at = sizeof(*recv);
	__le32 ids[WL_RECV_MAX_VFDS];
	const char *complaint = NULL;
	struct wl_vfd *vfd;
	struct wl_msg *msg;
	u32 count;
	int err;

	if (len < at)
		return "VFD_RECV too short";
	count = le32_to_cpu(READ_ONCE(recv->vfd_count));
	vfd = wl_vfd_find(wd, le32_to_cpu(READ_ONCE(recv->vfd_id)));
	if (count > (len - at) / sizeof(__le32) || count > ARRAY_SIZE(ids)) {
		complaint = "VFD_RECV with a count that cannot be";
		err = -EIO;
		goto lost;
	}
	if (!count && len == at)
		goto out;

	msg = kzalloc(struct_size(msg, vfds, count), GFP_KERNEL);
	if (!msg) {
		err = -ENOMEM;
		goto lost;
	}
	memcpy(ids, buf->data + at, count * sizeof(__le32));
	claim_vfds(wd, msg, vfd, ids, count);
	len -= at + count * sizeof(__le32);
	if (!vfd || (!len && !msg->n_vfds)) {
		/* closed meanwhile: so is what came for it */
		wl_msg_free(wd, msg);
		goto out;
	}
	err = place_data(wd, vfd, msg, buf, at + count * sizeof(__le32), len);
	if (err) {
		wl_msg_free(wd, msg);
		complaint = "a VFD is not read, and its data is lost";
		goto lost;
	}
	*kept = msg->buf;
	if (wl_vfd_deliver(vfd, msg))
		wl_msg_free(wd, msg);
out:
	if (vfd)
		wl_vfd_put(vfd);
	return complaint;
lost:
	if (vfd) {
		wl_vfd_hang_up(vfd, err);
		wl_vfd_put(vfd);
	}
	return complaint;
}

static const char *on_hup(struct wl_device *wd, u32 id)
{
	struct wl_vfd *vfd;

	/* one that was just closed is nothing to complain about */
	vfd = wl_vfd_find(wd, id);
	if (vfd) {
		wl_vfd_hang_up(vfd, 0);
		wl_vfd_put(vfd);
	}
	return NULL;
}

/* *kept: the buffer belongs to a message now. */
static void receive(struct wl_device *wd, struct wl_buf *buf, size_t len,
		    bool *kept)
{
	struct virtio_wl_ctrl_vfd_new head = {};
	const char *complaint;

	len = min_t(size_t, len, VIRTIO_WL_IN_BUFFER_SIZE);
	memcpy(&head, buf->data, min(len, sizeof(head)));
	switch (len < 12 ? 0 : le32_to_cpu(head.hdr.type)) {
	case VIRTIO_WL_CMD_VFD_NEW:
		complaint = on_new(wd, &head, len);
		break;
	case VIRTIO_WL_CMD_VFD_RECV:
		complaint = on_recv(wd, buf, len, kept);
		break;
	case VIRTIO_WL_CMD_VFD_HUP:
		complaint = on_hup(wd, le32_to_cpu(head.vfd_id));
		break;
	default:
		complaint = "an unknown message";
		break;
	}
	if (complaint)
		dev_warn_ratelimited(&wd->vdev->dev, "device: %s\n", complaint);
}

/* A buffer was kept: the device shall not be without any. */
static void replace_held(struct wl_device *wd)
{
	struct wl_buf *buf;

	mutex_lock(&wd->in_lock);
	if (wd->in_vq && wd->n_posted < WL_IN_RESERVE) {
		buf = wl_buf_alloc(READ_ONCE(wd->session));
		if (buf && wl_buf_add(wd, buf))
			wl_buf_free(buf);
	}
	mutex_unlock(&wd->in_lock);
}

static void in_work(struct work_struct *work)
{
	struct wl_device *wd = container_of(work, struct wl_device, in_work);
	struct wl_buf *buf;
	unsigned int len, n;
	bool idle, kept;

	wl_out_look(wd);
	for (n = 1; n <= BUDGET; n++) {
		mutex_lock(&wd->in_lock);
		idle = !wd->in_vq;
		buf = NULL;
		if (!idle) {
			virtqueue_disable_cb(wd->in_vq);
			buf = virtqueue_get_buf(wd->in_vq, &len);
			if (buf) {
				wd->n_posted--;
			} else {
				virtqueue_kick(wd->in_vq);
				idle = virtqueue_enable_cb(wd->in_vq) ||
				       virtqueue_is_broken(wd->in_vq);
			}
		}
		mutex_unlock(&wd->in_lock);
		if (idle)
			return;
		if (!buf)
			continue;

		kept = false;
		receive(wd, buf, len, &kept);
		if (!kept)
			wl_buf_post(wd, buf, n % KICK_EVERY == 0);
		else
			replace_held(wd);
		cond_resched();
	}
	mutex_lock(&wd->in_lock);
	if (wd->in_vq) {
		virtqueue_kick(wd->in_vq);
		queue_work(wl_wq, &wd->in_work);
	}
	mutex_unlock(&wd->in_lock);
}

/* Interrupt. */
void wl_in_done(struct virtqueue *vq)
{
	struct wl_device *wd = vq->vdev->priv;

	queue_work(wl_wq, &wd->in_work);
}

/* As wl_out_wake. */
void wl_in_wake(struct wl_device *wd)
{
	mutex_lock(&wd->in_lock);
	virtqueue_notify(wd->in_vq);
	mutex_unlock(&wd->in_lock);
	queue_work(wl_wq, &wd->in_work);
}

void wl_in_init(struct wl_device *wd)
{
	mutex_init(&wd->in_lock);
	INIT_WORK(&wd->in_work, in_work);
}

/* Fills the ring; the device has not begun yet. */
int wl_in_start(struct wl_device *wd, struct virtqueue *vq)
{
	struct wl_buf *buf;
	int err = 0;

	mutex_lock(&wd->in_lock);
	wd->in_vq = vq;
	wd->n_posted = 0;
	while (vq->num_free && !err) {
		buf = wl_buf_alloc(READ_ONCE(wd->session));
		err = buf ? wl_buf_add(wd, buf) : -ENOMEM;
		if (err && buf)
			wl_buf_free(buf);
	}
	/* some are better than none */
	if (wd->n_posted)
		err = 0;
	mutex_unlock(&wd->in_lock);
	return err;
}

/* After the device was reset; what messages hold is freed when it is read. */
void wl_in_stop(struct wl_device *wd)
{
	struct virtqueue *vq;
	struct wl_buf *buf;

	mutex_lock(&wd->in_lock);
	vq = wd->in_vq;
	wd->in_vq = NULL;
	if (vq) {
		while ((buf = virtqueue_detach_unused_buf(vq)))
			wl_buf_free(buf);
	}
	mutex_unlock(&wd->in_lock);
	cancel_work_sync(&wd->in_work);
}
