// SPDX-License-Identifier: GPL-2.0-only
/*
 * Received messages, and the buffers of the in ring that some of them hold.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "wl.h"

void wl_buf_free(struct wl_buf *buf)
{
	free_page((unsigned long)buf->data);
	kfree(buf);
}

struct wl_buf *wl_buf_alloc(u32 session)
{
	struct wl_buf *buf;

	buf = kmalloc(sizeof(*buf), GFP_KERNEL);
	if (!buf)
		return NULL;
	buf->session = session;
	/*
	 * Pages, not kmalloc: the ring's change one by one, and a few that
	 * live long would keep many slabs.
	 */
	BUILD_BUG_ON(VIRTIO_WL_IN_BUFFER_SIZE > PAGE_SIZE);
	buf->data = (void *)get_zeroed_page(GFP_KERNEL);
	if (!buf->data) {
		kfree(buf);
		return NULL;
	}
	return buf;
}

int wl_buf_add(struct wl_device *wd, struct wl_buf *buf)
{
	struct scatterlist sg;
	int err;

	if (wd->n_posted >= WL_IN_MAX_BUFS)
		return -ENOSPC;
	sg_init_one(&sg, buf->data, VIRTIO_WL_IN_BUFFER_SIZE);
	err = virtqueue_add_inbuf(wd->in_vq, &sg, 1, buf, GFP_KERNEL);
	if (!err)
		wd->n_posted++;
	return err;
}

/*
 * Gives a buffer back to the device, if it still is the same. One too many is
 * freed: another took its place.
 */
void wl_buf_post(struct wl_device *wd, struct wl_buf *buf, bool kick)
{
	mutex_lock(&wd->in_lock);
	if (wd->in_vq && buf->session == READ_ONCE(wd->session) &&
	    !wl_buf_add(wd, buf))
		buf = NULL;
	if (kick && !buf)
		virtqueue_kick(wd->in_vq);
	mutex_unlock(&wd->in_lock);
	if (buf)
		wl_buf_free(buf);
}

/* The message is read, or nobody will read it. */
void wl_msg_free(struct wl_device *wd, struct wl_msg *msg)
{
	unsigned int i;

	for (i = msg->next_vfd; i < msg->n_vfds; i++)
		wl_vfd_close(msg->vfds[i]);
	if (msg->buf) {
		atomic_dec(&wd->n_held);
		wl_buf_post(wd, msg->buf, true);
	}
	if (msg->copy) {
		atomic_sub(msg->charge, &wd->in_bytes);
		kvfree(msg->copy);
	}
	kfree(msg);
}
