// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFDs: their ids, and their life from NEW to CLOSE.
 *
 * Guest ids are handed out in turn, not lowest first: a message for a VFD that
 * was closed while the message was in the ring meets no other VFD then.
 */
#include <linux/slab.h>

#include "wl.h"

#define GUEST_ID_MIN 1
#define GUEST_ID_END VIRTIO_WL_VFD_HOST_ID_BIT

static void vfd_release(struct kref *ref)
{
	struct wl_vfd *vfd = container_of(ref, struct wl_vfd, ref);
	struct wl_device *wd = vfd->wd;

	wl_pages_put(vfd->pages);
	wl_req_free(vfd->close);
	kfree(vfd);
	wl_device_put(wd);
}

void wl_vfd_get(struct wl_vfd *vfd)
{
	kref_get(&vfd->ref);
}

void wl_vfd_put(struct wl_vfd *vfd)
{
	kref_put(&vfd->ref, vfd_release);
}

static void send_close(struct wl_vfd *vfd)
{
	struct virtio_wl_ctrl_vfd *head = (void *)vfd->close->head;

	head->vfd_id = cpu_to_le32(vfd->id);
	wl_submit(vfd->close, WL_REQ_ALONE);
}

/* The last SEND is through, or there was time enough for it. */
static void linger_work(struct work_struct *work)
{
	struct wl_vfd *vfd =
		container_of(to_delayed_work(work), struct wl_vfd, linger);
	bool send;

	spin_lock_irq(&vfd->lock);
	send = !vfd->close_sent;
	vfd->close_sent = true;
	spin_unlock_irq(&vfd->lock);
	if (send)
		send_close(vfd);
	wl_vfd_put(vfd);
}

/* vfd->lock is held. The work has a reference of its own. */
static void linger(struct wl_vfd *vfd, unsigned long delay)
{
	wl_vfd_get(vfd);
	if (mod_delayed_work(wl_wq, &vfd->linger, delay))
		wl_vfd_put(vfd);
}

/* host_id 0: an id of ours. The caller is the owner. */
struct wl_vfd *wl_vfd_create(struct wl_device *wd, u32 kind, u32 host_id)
{
	struct wl_vfd *vfd;
	int id = -ENODEV;

	vfd = kzalloc(sizeof(*vfd), GFP_KERNEL_ACCOUNT);
	if (!vfd)
		return ERR_PTR(-ENOMEM);
	kref_init(&vfd->ref);
	vfd->wd = wd;
	vfd->kind = kind;
	INIT_LIST_HEAD(&vfd->link);
	INIT_LIST_HEAD(&vfd->msgs);
	mutex_init(&vfd->read_lock);
	init_waitqueue_head(&vfd->wait);
	spin_lock_init(&vfd->lock);
	INIT_DELAYED_WORK(&vfd->linger, linger_work);
	vfd->close = wl_req_alloc(vfd, VIRTIO_WL_CMD_VFD_CLOSE,
				  sizeof(struct virtio_wl_ctrl_vfd),
				  sizeof(struct virtio_wl_ctrl_hdr));
	if (!vfd->close) {
		kfree(vfd);
		return ERR_PTR(-ENOMEM);
	}
	wl_device_get(wd);

	mutex_lock(&wd->lock);
	spin_lock_irq(&wd->out_lock);
	vfd->session = wd->session;
	if (wd->up)
		id = 0;
	spin_unlock_irq(&wd->out_lock);
	if (!id) {
		if (host_id)
			id = idr_alloc(&wd->vfds, vfd, host_id, host_id + 1,
				       GFP_KERNEL);
		else
			id = idr_alloc_cyclic(&wd->vfds, vfd, GUEST_ID_MIN,
					      GUEST_ID_END, GFP_KERNEL);
	}
	if (id > 0) {
		vfd->id = id;
		vfd->in_table = true;
		wl_vfd_get(vfd);
	}
	mutex_unlock(&wd->lock);
	if (id < 0) {
		wl_vfd_put(vfd);
		return ERR_PTR(id);
	}
	return vfd;
}

/* A reference, or NULL. */
struct wl_vfd *wl_vfd_find(struct wl_device *wd, u32 id)
{
	struct wl_vfd *vfd = NULL;

	mutex_lock(&wd->lock);
	if (id && id <= INT_MAX)
		vfd = idr_find(&wd->vfds, id);
	if (vfd)
		wl_vfd_get(vfd);
	mutex_unlock(&wd->lock);
	return vfd;
}

/* The device does not know it (any more): the id is free. */
void wl_vfd_forget(struct wl_vfd *vfd)
{
	struct wl_device *wd = vfd->wd;
	bool put;

	mutex_lock(&wd->lock);
	put = vfd->in_table;
	if (put) {
		idr_remove(&wd->vfds, vfd->id);
		vfd->in_table = false;
	}
	mutex_unlock(&wd->lock);
	if (put)
		wl_vfd_put(vfd);
}

static void free_msgs(struct wl_device *wd, struct list_head *msgs)
{
	struct wl_msg *msg, *next;

	list_for_each_entry_safe (msg, next, msgs, link) {
		list_del(&msg->link);
		wl_msg_free(wd, msg);
	}
}

/* The owner lets go: its reference is taken. */
void wl_vfd_close(struct wl_vfd *vfd)
{
	bool send = false;
	LIST_HEAD(msgs);

	if (READ_ONCE(vfd->n_out))
		wl_out_hurry(vfd->wd);
	spin_lock_irq(&vfd->lock);
	vfd->closing = true;
	list_splice_init(&vfd->msgs, &msgs);
	vfd->n_in_bytes = 0;
	if (!vfd->close_sent) {
		if ((vfd->n_out || vfd->n_pins) && !vfd->dead) {
			linger(vfd, WL_LINGER);
		} else {
			vfd->close_sent = true;
			send = true;
		}
	}
	spin_unlock_irq(&vfd->lock);

	if (send)
		send_close(vfd);
	free_msgs(vfd->wd, &msgs);
	wl_vfd_put(vfd);
}

/* NEW failed: if the device made nothing, there is nothing to close. */
void wl_vfd_refused(struct wl_vfd *vfd, int err)
{
	if (err == -EPROTO)
		return;
	spin_lock_irq(&vfd->lock);
	vfd->close_sent = true;
	spin_unlock_irq(&vfd->lock);
	wl_vfd_forget(vfd);
}

/* vfd->lock is held: the last SEND may be what its CLOSE waited for. */
static void check_linger(struct wl_vfd *vfd)
{
	if (vfd->closing && !vfd->close_sent && !vfd->n_out && !vfd->n_pins)
		linger(vfd, 0);
}

/* A SEND that lists it is under way: its CLOSE shall come after that. */
void wl_vfd_pin(struct wl_vfd *vfd)
{
	spin_lock_irq(&vfd->lock);
	vfd->n_pins++;
	spin_unlock_irq(&vfd->lock);
}

/* Any context. */
void wl_vfd_unpin(struct wl_vfd *vfd)
{
	unsigned long flags;

	spin_lock_irqsave(&vfd->lock, flags);
	vfd->n_pins--;
	check_linger(vfd);
	spin_unlock_irqrestore(&vfd->lock, flags);
}

/* A SEND to it is over. Any context. */
void wl_vfd_sent(struct wl_vfd *vfd, size_t bytes, int err)
{
	unsigned long flags;

	spin_lock_irqsave(&vfd->lock, flags);
	vfd->n_out--;
	vfd->n_out_bytes -= bytes;
	if (err && !vfd->out_err)
		vfd->out_err = err;
	check_linger(vfd);
	wake_up_all(&vfd->wait);
	spin_unlock_irqrestore(&vfd->lock, flags);
}

/* Queues a message for the reader; false errors: nobody will read it. */
int wl_vfd_deliver(struct wl_vfd *vfd, struct wl_msg *msg)
{
	int err = 0;

	spin_lock_irq(&vfd->lock);
	if (vfd->closing || vfd->dead || vfd->in_err) {
		err = -EPIPE;
	} else {
		list_add_tail(&msg->link, &vfd->msgs);
		vfd->n_in_bytes += msg->charge;
		wake_up_all(&vfd->wait);
	}
	spin_unlock_irq(&vfd->lock);
	return err;
}

/* err: what the reader is told when it has read the rest; 0: end of file. */
void wl_vfd_hang_up(struct wl_vfd *vfd, int err)
{
	spin_lock_irq(&vfd->lock);
	vfd->hup = true;
	if (err && !vfd->in_err)
		vfd->in_err = err;
	wake_up_all(&vfd->wait);
	spin_unlock_irq(&vfd->lock);
	wl_fence_signal(vfd, err);
}

/* The session is over (wl_out_stop was called): so are its VFDs. */
void wl_vfds_die(struct wl_device *wd)
{
	struct wl_vfd *vfd, *next;
	LIST_HEAD(orphans);
	LIST_HEAD(dead);
	int id;

	mutex_lock(&wd->lock);
	list_splice_init(&wd->announced, &orphans);
	wd->n_announced = 0;
	list_for_each_entry_safe (vfd, next, &orphans, link) {
		list_del_init(&vfd->link);
		vfd->orphan = true;
	}
	idr_for_each_entry (&wd->vfds, vfd, id) {
		idr_remove(&wd->vfds, id);
		vfd->in_table = false;
		list_add_tail(&vfd->link, &dead);
	}
	mutex_unlock(&wd->lock);

	list_for_each_entry_safe (vfd, next, &dead, link) {
		LIST_HEAD(msgs);

		list_del_init(&vfd->link);
		spin_lock_irq(&vfd->lock);
		vfd->dead = true;
		vfd->hup = true;
		/* VFDs in messages may own each other; end that */
		if (!vfd->has_file)
			list_splice_init(&vfd->msgs, &msgs);
		if (vfd->closing && !vfd->close_sent)
			linger(vfd, 0);
		wake_up_all(&vfd->wait);
		spin_unlock_irq(&vfd->lock);
		wl_fence_signal(vfd, -ENODEV);
		free_msgs(wd, &msgs);
		if (vfd->orphan)
			wl_vfd_close(vfd);
		wl_vfd_put(vfd);
	}
}
