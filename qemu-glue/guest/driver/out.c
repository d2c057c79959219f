// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests to the device.
 *
 * A request that the ring has no room for waits in `pending`, so that none is
 * ever given up, a CLOSE least of all. What can be in there is bounded: a VFD
 * has few SENDs and one CLOSE, a thread has one NEW. The device may keep SENDs
 * for as long as their peers do not read; part of the ring is not for them, so
 * that VFDs can be made and closed meanwhile (`urgent`).
 *
 * When the answer comes, the submitter is woken, or done_work sees to the
 * rest when nobody waits (any more): a NEW that was interrupted is closed
 * again, VFDs that were sent are let go, a CLOSE frees the id.
 *
 * An answer that nobody needs soon is `quiet`: that of a SEND of bytes whose
 * sender went on. The device is asked for no interrupt for those alone; they
 * are taken with the next request or message. Who finds out that such an
 * answer matters, since a VFD is full or is to be closed, says wl_out_hurry();
 * and so does look_work a moment later, for an error that somebody waits for.
 */
#include <linux/file.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/virtio_config.h>

#include "wl.h"

#define SEG_BYTES (64U << 10)
#define LOOK_DELAY (HZ / 20)

struct wl_req *wl_req_alloc(struct wl_vfd *vfd, u32 type, size_t head_len,
			    size_t resp_len)
{
	struct virtio_wl_ctrl_hdr *hdr;
	struct wl_req *req;

	req = kzalloc(sizeof(*req), GFP_KERNEL_ACCOUNT);
	if (!req)
		return NULL;
	INIT_LIST_HEAD(&req->link);
	init_completion(&req->answered);
	req->wd = vfd->wd;
	req->vfd = vfd;
	req->type = type;
	req->head_len = head_len;
	req->resp_len = resp_len;
	hdr = (struct virtio_wl_ctrl_hdr *)req->head;
	hdr->type = cpu_to_le32(type);
	return req;
}

/* Copies what the user wants sent, in few pieces. */
int wl_req_add_data(struct wl_req *req, const char __user *data, size_t len)
{
	unsigned int max = req->wd->out_segs - 2;
	unsigned int n;

	if (!len)
		return 0;
	max = min_t(size_t, max, DIV_ROUND_UP(len, PAGE_SIZE));
	req->segs = kmalloc_array(max, sizeof(*req->segs), GFP_KERNEL_ACCOUNT);
	if (!req->segs)
		return -ENOMEM;
	sg_init_table(req->segs, max);

	for (n = 0; len; n++) {
		size_t size = min_t(size_t, len, SEG_BYTES);
		void *seg;

		if (n == max)
			return -ENOMEM;
		for (;;) {
			gfp_t gfp = GFP_KERNEL_ACCOUNT;

			if (size > PAGE_SIZE)
				gfp |= __GFP_NOWARN | __GFP_NORETRY;
			seg = kmalloc(size, gfp);
			if (seg || size <= PAGE_SIZE)
				break;
			size /= 2;
		}
		if (!seg)
			return -ENOMEM;
		sg_set_buf(&req->segs[n], seg, size);
		req->n_segs = n + 1;
		if (copy_from_user(seg, data, size))
			return -EFAULT;
		data += size;
		len -= size;
	}
	sg_mark_end(&req->segs[n - 1]);
	return 0;
}

void wl_req_free(struct wl_req *req)
{
	unsigned int i;

	for (i = 0; i < req->n_segs; i++)
		kfree(sg_virt(&req->segs[i]));
	kfree(req->segs);
	for (i = 0; i < req->n_vfds; i++)
		wl_vfd_put(req->vfds[i]);
	kfree(req->vfds);
	for (i = 0; i < req->n_kept; i++)
		fput(req->kept[i]);
	kfree(req->kept);
	kfree(req);
}

static int response_error(u32 type)
{
	switch (type) {
	case VIRTIO_WL_RESP_OK:
	case VIRTIO_WL_RESP_VFD_NEW:
	case VIRTIO_WL_RESP_VFD_NEW_DMABUF:
		return 0;
	case VIRTIO_WL_RESP_ERR:
		return -ENODEV;
	case VIRTIO_WL_RESP_OUT_OF_MEMORY:
		return -ENOMEM;
	case VIRTIO_WL_RESP_INVALID_ID:
		return -ENOENT;
	case VIRTIO_WL_RESP_INVALID_TYPE:
		return -EINVAL;
	case VIRTIO_WL_RESP_INVALID_FLAGS:
		return -EPERM;
	case VIRTIO_WL_RESP_INVALID_CMD:
		return -ENOTTY;
	default:
		return -EPROTO;
	}
}

/* Takes the answer out of the device's reach, and judges it. */
static int take_answer(struct wl_req *req, size_t len)
{
	u32 type, expect = 0;
	size_t need = 0;
	int err;

	len = min(len, req->resp_len);
	memcpy(&req->answer, &req->resp, len);
	if (len < sizeof(req->answer.hdr.type))
		return -EPROTO;

	type = le32_to_cpu(req->answer.hdr.type);
	err = response_error(type);
	if (err)
		return err;

	switch (req->type) {
	case VIRTIO_WL_CMD_VFD_NEW:
	case VIRTIO_WL_CMD_VFD_NEW_CTX:
	case VIRTIO_WL_CMD_VFD_NEW_CTX_NAMED:
	case VIRTIO_WL_CMD_VFD_NEW_PIPE:
	case VIRTIO_WL_CMD_VFD_NEW_PAGES:
		expect = VIRTIO_WL_RESP_VFD_NEW;
		need = offsetofend(struct virtio_wl_ctrl_vfd_new, size);
		break;
	case VIRTIO_WL_CMD_VFD_NEW_DMABUF:
		expect = VIRTIO_WL_RESP_VFD_NEW_DMABUF;
		need = sizeof(struct virtio_wl_ctrl_vfd_new_dmabuf);
		break;
	}
	if ((expect && type != expect) || len < need)
		return -EPROTO;
	return 0;
}

/* The request is over. out_lock is held. */
static void finish(struct wl_req *req, int err)
{
	struct wl_device *wd = req->wd;
	unsigned int i;
	bool waited;

	for (i = 0; i < req->n_vfds; i++)
		wl_vfd_unpin(req->vfds[i]);
	req->err = err;
	waited = atomic_xchg(&req->state, WL_REQ_DONE) == WL_REQ_WAITED;
	if (req->type == VIRTIO_WL_CMD_VFD_SEND ||
	    req->type == VIRTIO_WL_CMD_VFD_SEND_FOREIGN_ID)
		wl_vfd_sent(req->vfd, req->n_bytes, waited ? 0 : err);
	if (waited) {
		complete(&req->answered);
	} else {
		list_add_tail(&req->link, &wd->done);
		/* The work has a reference; the request has another. */
		wl_device_get(wd);
		if (!queue_work(wl_wq, &wd->done_work))
			wl_device_put(wd);
	}
}

static int add_to_ring(struct wl_req *req)
{
	struct scatterlist head, resp, *sgs[3];
	unsigned int n = 0;
	int err;

	sg_init_one(&head, req->head, req->head_len);
	sgs[n++] = &head;
	if (req->n_segs)
		sgs[n++] = req->segs;
	sg_init_one(&resp, &req->resp, req->resp_len);
	sgs[n] = &resp;

	err = virtqueue_add_sgs(req->wd->out_vq, sgs, n, 1, req, GFP_ATOMIC);
	if (!err) {
		req->wd->n_in_flight++;
		req->wd->n_wanted += !req->quiet;
	}
	return err;
}

/* As many as the ring takes, in order. True: some were added. */
static bool flush_list(struct wl_device *wd, struct list_head *list,
		       unsigned int reserve)
{
	struct wl_req *req, *next;
	bool added = false;
	int err;

	list_for_each_entry_safe (req, next, list, link) {
		if (wd->out_vq->num_free < reserve)
			break;
		err = add_to_ring(req);
		if (err == -ENOSPC ||
		    (err == -ENOMEM && req->type == VIRTIO_WL_CMD_VFD_CLOSE)) {
			if (!wd->n_in_flight)
				queue_delayed_work(wl_wq, &wd->look_work,
						   LOOK_DELAY);
			break;
		}
		list_del_init(&req->link);
		if (err)
			finish(req, err);
		else
			added = true;
	}
	return added;
}

/* out_lock is held, and wd is up. */
static void flush_pending(struct wl_device *wd)
{
	bool added = flush_list(wd, &wd->urgent, 0);

	added |= flush_list(wd, &wd->pending, wd->out_reserve);
	if (added)
		virtqueue_kick(wd->out_vq);
}

static void take_answers(struct wl_device *wd)
{
	struct wl_req *req;
	unsigned int len;

	while ((req = virtqueue_get_buf(wd->out_vq, &len))) {
		wd->n_in_flight--;
		wd->n_wanted -= !req->quiet;
		finish(req, take_answer(req, len));
	}
	if (!wd->n_in_flight)
		wd->hurry = false;
}

/* out_lock is held, and wd is up. All that can be done now is done, and the
 * device calls for what is needed later. */
static void settle(struct wl_device *wd)
{
	struct virtqueue *vq = wd->out_vq;
	bool more;

	do {
		virtqueue_disable_cb(vq);
		take_answers(wd);
		flush_pending(wd);
		more = wd->n_wanted || wd->hurry || !list_empty(&wd->urgent) ||
		       !list_empty(&wd->pending);
	} while (more && !virtqueue_enable_cb(vq) && !virtqueue_is_broken(vq));
	if (!more && wd->n_in_flight)
		queue_delayed_work(wl_wq, &wd->look_work, LOOK_DELAY);
}

/* The device answers it at once, whatever peers do. */
static bool is_urgent(const struct wl_req *req)
{
	switch (req->type) {
	case VIRTIO_WL_CMD_VFD_NEW:
	case VIRTIO_WL_CMD_VFD_NEW_CTX:
	case VIRTIO_WL_CMD_VFD_NEW_CTX_NAMED:
	case VIRTIO_WL_CMD_VFD_NEW_PIPE:
	case VIRTIO_WL_CMD_VFD_NEW_DMABUF:
	case VIRTIO_WL_CMD_VFD_NEW_PAGES:
	case VIRTIO_WL_CMD_VFD_CLOSE:
		return true;
	default:
		return false;
	}
}

/*
 * Hands a request to the device. With WL_REQ_WAITED wl_wait() must follow;
 * with WL_REQ_ALONE the request is not the caller's any more.
 */
void wl_submit(struct wl_req *req, enum wl_req_state how)
{
	struct wl_device *wd = req->wd;
	unsigned long flags;

	wl_vfd_get(req->vfd);
	atomic_set(&req->state, how);
	spin_lock_irqsave(&wd->out_lock, flags);
	if (wd->up && req->vfd->session == wd->session) {
		list_add_tail(&req->link,
			      is_urgent(req) ? &wd->urgent : &wd->pending);
		settle(wd);
	} else {
		finish(req, -ENODEV);
	}
	spin_unlock_irqrestore(&wd->out_lock, flags);
}

/*
 * 0: there is an answer (req->err says which), and the request is the
 * caller's. -ERESTARTSYS: a signal came first, and it is not.
 */
int wl_wait(struct wl_req *req)
{
	struct wl_vfd *vfd = req->vfd;

	if (wait_for_completion_interruptible(&req->answered)) {
		if (atomic_cmpxchg(&req->state, WL_REQ_WAITED, WL_REQ_ALONE) ==
		    WL_REQ_WAITED)
			return -ERESTARTSYS;
		wait_for_completion(&req->answered);
	}
	wl_vfd_put(vfd);
	return 0;
}

static void end_alone(struct wl_req *req)
{
	struct wl_vfd *vfd = req->vfd;

	switch (req->type) {
	case VIRTIO_WL_CMD_VFD_CLOSE:
		wl_vfd_forget(vfd);
		break;
	case VIRTIO_WL_CMD_VFD_NEW:
	case VIRTIO_WL_CMD_VFD_NEW_CTX:
	case VIRTIO_WL_CMD_VFD_NEW_CTX_NAMED:
	case VIRTIO_WL_CMD_VFD_NEW_PIPE:
	case VIRTIO_WL_CMD_VFD_NEW_DMABUF:
	case VIRTIO_WL_CMD_VFD_NEW_PAGES:
		/* interrupted: the VFD is ours */
		if (req->err)
			wl_vfd_refused(vfd, req->err);
		wl_vfd_close(vfd);
		break;
	}
	if (req != vfd->close)
		wl_req_free(req);
	wl_vfd_put(vfd);
}

static void done_work(struct work_struct *work)
{
	struct wl_device *wd = container_of(work, struct wl_device, done_work);
	struct wl_req *req, *next;
	LIST_HEAD(done);

	spin_lock_irq(&wd->out_lock);
	list_splice_init(&wd->done, &done);
	spin_unlock_irq(&wd->out_lock);

	list_for_each_entry_safe (req, next, &done, link) {
		list_del_init(&req->link);
		end_alone(req);
		cond_resched();
	}
	wl_device_put(wd);
}

/* Takes the answers that are there. */
void wl_out_look(struct wl_device *wd)
{
	unsigned long flags;

	spin_lock_irqsave(&wd->out_lock, flags);
	if (wd->up)
		settle(wd);
	spin_unlock_irqrestore(&wd->out_lock, flags);
}

/* The same, and the device calls until it has answered all it has. */
void wl_out_hurry(struct wl_device *wd)
{
	unsigned long flags;

	spin_lock_irqsave(&wd->out_lock, flags);
	if (wd->up) {
		wd->hurry = true;
		settle(wd);
	}
	spin_unlock_irqrestore(&wd->out_lock, flags);
}

static void look_work(struct work_struct *work)
{
	wl_out_hurry(container_of(to_delayed_work(work), struct wl_device,
				  look_work));
}

/* Interrupt. */
void wl_out_done(struct virtqueue *vq)
{
	wl_out_look(vq->vdev->priv);
}

/* After sleep: calls and kicks may have been lost. */
void wl_out_wake(struct wl_device *wd)
{
	wl_out_done(wd->out_vq);
	virtqueue_notify(wd->out_vq);
}

void wl_out_init(struct wl_device *wd)
{
	spin_lock_init(&wd->out_lock);
	INIT_LIST_HEAD(&wd->urgent);
	INIT_LIST_HEAD(&wd->pending);
	INIT_LIST_HEAD(&wd->done);
	INIT_WORK(&wd->done_work, done_work);
	INIT_DELAYED_WORK(&wd->look_work, look_work);
}

int wl_out_start(struct wl_device *wd, struct virtqueue *vq)
{
	unsigned int size = virtqueue_get_vring_size(vq);

	/* head, data, response; and one to spare */
	if (size < 4)
		return -ENODEV;
	spin_lock_irq(&wd->out_lock);
	wd->out_vq = vq;
	wd->out_segs = min_t(unsigned int, size, WL_MAX_SEGS);
	wd->out_reserve = min_t(unsigned int, size / 4, WL_OUT_RESERVE);
	wd->n_in_flight = 0;
	wd->n_wanted = 0;
	wd->hurry = false;
	wd->up = true;
	spin_unlock_irq(&wd->out_lock);
	return 0;
}

/* The session is over: nothing is submitted any more. */
void wl_out_stop(struct wl_device *wd)
{
	spin_lock_irq(&wd->out_lock);
	if (wd->up) {
		wd->up = false;
		WRITE_ONCE(wd->session, wd->session + 1);
	}
	spin_unlock_irq(&wd->out_lock);
}

/* After the device was reset: gives up what it had. */
void wl_out_drain(struct wl_device *wd)
{
	struct wl_req *req, *next;

	spin_lock_irq(&wd->out_lock);
	if (wd->out_vq) {
		while ((req = virtqueue_detach_unused_buf(wd->out_vq)))
			finish(req, -ENODEV);
		wd->out_vq = NULL;
	}
	list_splice_tail_init(&wd->urgent, &wd->pending);
	list_for_each_entry_safe (req, next, &wd->pending, link) {
		list_del_init(&req->link);
		finish(req, -ENODEV);
	}
	wd->n_in_flight = 0;
	wd->n_wanted = 0;
	spin_unlock_irq(&wd->out_lock);
	cancel_delayed_work_sync(&wd->look_work);
}
