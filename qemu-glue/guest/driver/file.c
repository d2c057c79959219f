// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VFD as a file.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/poll.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "wl.h"

static int vfd_release(struct inode *inode, struct file *file)
{
	struct wl_vfd *vfd = file->private_data;

	if (vfd)
		wl_vfd_close(vfd);
	return 0;
}

/* vfd->lock is held. */
static bool has_out_room(const struct wl_vfd *vfd, size_t len)
{
	return !vfd->n_out || (vfd->n_out < WL_OUT_MAX_REQS &&
			       vfd->n_out_bytes + len <= WL_OUT_MAX_BYTES);
}

static bool may_send(struct wl_vfd *vfd, size_t len)
{
	bool may;

	spin_lock_irq(&vfd->lock);
	may = vfd->dead || vfd->out_err || has_out_room(vfd, len);
	spin_unlock_irq(&vfd->lock);
	return may;
}

/* A place among the VFD's SENDs, or an error that one before this met. */
static int take_out_room(struct wl_vfd *vfd, size_t len, bool block)
{
	bool looked = false;
	int err;

	if (READ_ONCE(vfd->n_out))
		wl_out_look(vfd->wd);
	for (;;) {
		spin_lock_irq(&vfd->lock);
		err = -EAGAIN;
		if (vfd->dead) {
			err = -ENODEV;
		} else if (vfd->out_err) {
			err = vfd->out_err;
			vfd->out_err = 0;
		} else if (has_out_room(vfd, len)) {
			vfd->n_out++;
			vfd->n_out_bytes += len;
			err = 0;
		}
		spin_unlock_irq(&vfd->lock);
		if (err == -EAGAIN && !looked) {
			looked = true;
			wl_out_hurry(vfd->wd);
			continue;
		}
		if (err != -EAGAIN || !block)
			return err;
		err = wait_event_interruptible(vfd->wait, may_send(vfd, len));
		if (err)
			return err;
		looked = false;
	}
}

/* What the request sends along; the files are the caller's. */
static int add_items(struct wl_req *req, struct wl_item *items, unsigned int n)
{
	struct virtio_wl_ctrl_vfd_sendrecv *head = (void *)req->head;
	__le32 *ids = (void *)(head + 1);
	struct wl_vfd *vfd;
	unsigned int i;

	head->vfd_id = cpu_to_le32(req->vfd->id);
	head->vfd_count = cpu_to_le32(n);
	if (!n)
		return 0;
	req->vfds = kmalloc_array(n, sizeof(*req->vfds), GFP_KERNEL_ACCOUNT);
	req->kept = kmalloc_array(n, sizeof(*req->kept), GFP_KERNEL_ACCOUNT);
	if (!req->vfds || !req->kept)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		if (items[i].kind != VIRTIO_WL_FOREIGN_LOCAL) {
			req->kept[req->n_kept++] = get_file(items[i].file);
			continue;
		}
		vfd = items[i].vfd;
		items[i].value = vfd->id;
		ids[i] = cpu_to_le32(vfd->id);
		wl_vfd_get(vfd);
		wl_vfd_pin(vfd);
		req->vfds[req->n_vfds++] = vfd;
	}
	if (req->n_kept)
		req->head_len = wl_foreign_put(req->wd, head + 1, items, n) -
				(void *)req->head;
	return 0;
}

static u32 send_type(const struct wl_item *items, unsigned int n)
{
	while (n--) {
		if (items[n].kind != VIRTIO_WL_FOREIGN_LOCAL)
			return VIRTIO_WL_CMD_VFD_SEND_FOREIGN_ID;
	}
	return VIRTIO_WL_CMD_VFD_SEND;
}

/*
 * One SEND, whole or not at all. A blocking one that is interrupted counts as
 * sent, because it is.
 */
ssize_t wl_send(struct file *file, struct wl_item *items, unsigned int n_items,
		const char __user *data, size_t len)
{
	struct wl_vfd *vfd = wl_vfd_of_file(file);
	bool block = !(file->f_flags & O_NONBLOCK);
	struct wl_req *req;
	int err;

	if (len > WL_SEND_MAX)
		return -EMSGSIZE;
	err = take_out_room(vfd, len, block);
	if (err)
		return err;

	err = -ENOMEM;
	req = wl_req_alloc(vfd, send_type(items, n_items),
			   sizeof(struct virtio_wl_ctrl_vfd_sendrecv) +
				   n_items * sizeof(__le32),
			   sizeof(struct virtio_wl_ctrl_hdr));
	if (!req)
		goto give_room;
	req->n_bytes = len;
	err = wl_req_add_data(req, data, len);
	if (!err)
		err = add_items(req, items, n_items);
	if (err)
		goto free_req;

	req->quiet = !block && !n_items;
	wl_submit(req, block ? WL_REQ_WAITED : WL_REQ_ALONE);
	if (!block || wl_wait(req))
		return len;
	err = req->err;
	wl_req_free(req);
	return err ? err : len;

free_req:
	wl_req_free(req);
give_room:
	wl_vfd_sent(vfd, len, 0);
	return err;
}

static ssize_t vfd_write(struct file *file, const char __user *data, size_t len,
			 loff_t *ppos)
{
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = wl_send(file, NULL, 0, data + done,
			    min_t(size_t, len - done, WL_WRITE_CHUNK));
		if (n < 0)
			return done ? done : n;
		done += n;
		if (signal_pending(current))
			break;
	}
	return done;
}

/* Memory says that it may not be written, or nothing: then it may. In the old
 * flags, what we call READ says that it can be mapped. */
static unsigned int mode_of(const struct wl_vfd *vfd)
{
	bool trans = wl_has_feature(vfd->wd, VIRTIO_WL_F_TRANS_FLAGS);

	switch (vfd->flags & (VIRTIO_WL_VFD_READ | VIRTIO_WL_VFD_WRITE)) {
	case VIRTIO_WL_VFD_READ:
		return O_RDONLY;
	case VIRTIO_WL_VFD_WRITE:
		return trans && !vfd->mem ? O_WRONLY : O_RDWR;
	default:
		return O_RDWR;
	}
}

/* The message's next VFD as a descriptor that is not installed yet. */
static int take_file(struct wl_msg *msg, s32 *fd, struct file **file)
{
	struct wl_vfd *vfd = msg->vfds[msg->next_vfd];

	*fd = get_unused_fd_flags(O_CLOEXEC);
	if (*fd < 0)
		return *fd;
	*file = wl_vfd_is_fence(vfd) ? wl_fence_file_create(vfd)
				     : wl_file_create(vfd, mode_of(vfd));
	if (IS_ERR(*file)) {
		put_unused_fd(*fd);
		return PTR_ERR(*file);
	}
	msg->next_vfd++;
	return 0;
}

static struct wl_msg *first_msg(struct wl_vfd *vfd, int *eof)
{
	struct wl_msg *msg;

	spin_lock_irq(&vfd->lock);
	msg = list_first_entry_or_null(&vfd->msgs, struct wl_msg, link);
	*eof = vfd->hup ? vfd->in_err : -EAGAIN;
	spin_unlock_irq(&vfd->lock);
	return msg;
}

static void unlink_msg(struct wl_vfd *vfd, struct wl_msg *msg)
{
	spin_lock_irq(&vfd->lock);
	/* the session's end may have taken it already */
	list_del_init(&msg->link);
	vfd->n_in_bytes -= msg->charge;
	spin_unlock_irq(&vfd->lock);
}

/* What is there now, from as many messages as fit; read_lock is held. */
static ssize_t take_msgs(struct wl_vfd *vfd, char __user *data, size_t room,
			 s32 *fds, struct file **files, unsigned int *n_files)
{
	struct wl_msg *msg;
	size_t got = 0, n;
	unsigned int n_vfds;
	int err, eof;

	for (;;) {
		msg = first_msg(vfd, &eof);
		if (!msg) {
			err = eof;
			break;
		}
		err = 0;
		n_vfds = msg->n_vfds - msg->next_vfd;
		if ((got || *n_files) &&
		    (room == got || *n_files + n_vfds > VIRTWL_SEND_MAX_ALLOCS))
			break;
		for (; n_vfds && files && *n_files < VIRTWL_SEND_MAX_ALLOCS;
		     n_vfds--, (*n_files)++) {
			err = take_file(msg, &fds[*n_files], &files[*n_files]);
			if (err)
				break;
		}
		if (err)
			break;

		n = min(room - got, msg->len);
		if (copy_to_user(data + got, msg->data, n)) {
			err = -EFAULT;
			break;
		}
		msg->data += n;
		msg->len -= n;
		got += n;
		if (msg->len || (files && n_vfds))
			break;
		unlink_msg(vfd, msg);
		wl_msg_free(vfd->wd, msg);
	}
	if (got || *n_files)
		return got;
	return err;
}

static bool is_readable(struct wl_vfd *vfd)
{
	return READ_ONCE(vfd->hup) || !list_empty_careful(&vfd->msgs);
}

/* files NULL: VFDs that come along are dropped. 0 and none: end of file. */
ssize_t wl_recv(struct file *file, char __user *data, size_t room, s32 *fds,
		struct file **files, unsigned int *n_files)
{
	struct wl_vfd *vfd = wl_vfd_of_file(file);
	ssize_t got;

	for (;;) {
		*n_files = 0;
		if (mutex_lock_interruptible(&vfd->read_lock))
			return -ERESTARTSYS;
		got = take_msgs(vfd, data, room, fds, files, n_files);
		mutex_unlock(&vfd->read_lock);
		if (got != -EAGAIN || (file->f_flags & O_NONBLOCK))
			return got;
		if (wait_event_interruptible(vfd->wait, is_readable(vfd)))
			return -ERESTARTSYS;
	}
}

static ssize_t vfd_read(struct file *file, char __user *data, size_t room,
			loff_t *ppos)
{
	unsigned int n_files;

	if (!room)
		return 0;
	return wl_recv(file, data, room, NULL, NULL, &n_files);
}

static __poll_t vfd_poll(struct file *file, poll_table *wait)
{
	struct wl_vfd *vfd = wl_vfd_of_file(file);
	__poll_t events = 0;

	poll_wait(file, &vfd->wait, wait);
	if (READ_ONCE(vfd->n_out) && !may_send(vfd, 1))
		wl_out_hurry(vfd->wd);
	spin_lock_irq(&vfd->lock);
	if (!list_empty(&vfd->msgs))
		events |= EPOLLIN | EPOLLRDNORM;
	if (vfd->hup)
		events |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP | EPOLLHUP;
	if (vfd->dead || vfd->out_err || vfd->in_err)
		events |= EPOLLERR;
	if (has_out_room(vfd, 1) && !vfd->dead)
		events |= EPOLLOUT | EPOLLWRNORM;
	spin_unlock_irq(&vfd->lock);
	return events;
}

static void vfd_show_fdinfo(struct seq_file *seq, struct file *file)
{
	struct wl_vfd *vfd = wl_vfd_of_file(file);

	wl_out_look(vfd->wd);
	spin_lock_irq(&vfd->lock);
	seq_printf(seq, "virtwl-id:\t%#x\nvirtwl-size:\t%u\n", vfd->id,
		   vfd->size);
	seq_printf(seq, "virtwl-unread:\t%zu\nvirtwl-unsent:\t%zu\n",
		   vfd->n_in_bytes, vfd->n_out_bytes);
	spin_unlock_irq(&vfd->lock);
}

static const struct file_operations vfd_fops = {
	.owner = THIS_MODULE,
	.read = vfd_read,
	.write = vfd_write,
	.poll = vfd_poll,
	.mmap = wl_vfd_mmap,
	.unlocked_ioctl = wl_vfd_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.release = vfd_release,
	.show_fdinfo = vfd_show_fdinfo,
};

struct wl_vfd *wl_vfd_of_file(struct file *file)
{
	return file->f_op == &vfd_fops ? file->private_data : NULL;
}

/* The file becomes the VFD's owner. */
struct file *wl_file_create(struct wl_vfd *vfd, unsigned int mode)
{
	struct file *file;

	file = anon_inode_getfile("[virtwl]", &vfd_fops, vfd, mode);
	if (IS_ERR(file))
		return file;
	file->f_mapping = vfd->wd->inode->i_mapping;
	stream_open(file_inode(file), file);
	spin_lock_irq(&vfd->lock);
	vfd->has_file = true;
	spin_unlock_irq(&vfd->lock);
	return file;
}

/* Undoes that: the VFD is the caller's again. */
void wl_file_abandon(struct file *file)
{
	file->private_data = NULL;
	fput(file);
}
