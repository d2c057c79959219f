// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ioctl interface; virtwl.h says what it is.
 *
 * Commands are told apart by number alone: the sizes have changed in the past
 * and the directions were never right.
 */
#include <linux/file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "wl.h"

static bool is_cmd(unsigned int cmd, unsigned int want)
{
	return _IOC_TYPE(cmd) == _IOC_TYPE(want) &&
	       _IOC_NR(cmd) == _IOC_NR(want);
}

struct new_kind {
	u32 cmd;
	unsigned int mode;
	u32 flags; /* of the request */
};

static int new_kind(struct wl_device *wd, u32 type, struct new_kind *kind)
{
	bool trans = wl_has_feature(wd, VIRTIO_WL_F_TRANS_FLAGS);

	switch (type) {
	case VIRTWL_IOCTL_NEW_CTX:
	case VIRTWL_IOCTL_NEW_CTX_NAMED:
		kind->cmd = type == VIRTWL_IOCTL_NEW_CTX
				    ? VIRTIO_WL_CMD_VFD_NEW_CTX
				    : VIRTIO_WL_CMD_VFD_NEW_CTX_NAMED;
		kind->mode = O_RDWR;
		kind->flags = trans ? VIRTIO_WL_VFD_READ | VIRTIO_WL_VFD_WRITE
				    : VIRTIO_WL_VFD_LEGACY_CONTROL;
		return 0;
	case VIRTWL_IOCTL_NEW_ALLOC:
		kind->cmd = VIRTIO_WL_CMD_VFD_NEW;
		kind->mode = O_RDWR;
		kind->flags = trans ? 0
				    : VIRTIO_WL_VFD_LEGACY_WRITE |
					      VIRTIO_WL_VFD_LEGACY_MAP;
		return 0;
	case VIRTWL_IOCTL_NEW_PIPE_READ:
		kind->cmd = VIRTIO_WL_CMD_VFD_NEW_PIPE;
		kind->mode = O_RDONLY;
		kind->flags = VIRTIO_WL_VFD_READ;
		return 0;
	case VIRTWL_IOCTL_NEW_PIPE_WRITE:
		kind->cmd = VIRTIO_WL_CMD_VFD_NEW_PIPE;
		kind->mode = O_WRONLY;
		kind->flags = VIRTIO_WL_VFD_WRITE;
		return 0;
	case VIRTWL_IOCTL_NEW_DMABUF:
		kind->cmd = VIRTIO_WL_CMD_VFD_NEW_DMABUF;
		kind->mode = O_RDWR;
		kind->flags = 0;
		return 0;
	default:
		return -EINVAL;
	}
}

static struct wl_req *new_req(struct wl_vfd *vfd, const struct new_kind *kind,
			      const struct virtwl_ioctl_new *arg)
{
	/* 64 bytes for every kind: today's devices expect no other */
	const size_t len = sizeof(struct virtio_wl_ctrl_vfd_new_dmabuf);
	struct virtio_wl_ctrl_vfd_new_dmabuf *head;
	struct virtio_wl_ctrl_vfd_new_ctx_named *named;
	struct wl_req *req;

	BUILD_BUG_ON(len > WL_HEAD_MAX || len != sizeof(*named));
	req = wl_req_alloc(vfd, kind->cmd, len, len);
	if (!req)
		return NULL;
	head = (void *)req->head;
	head->vfd_id = cpu_to_le32(vfd->id);
	head->flags = cpu_to_le32(kind->flags);
	switch (kind->cmd) {
	case VIRTIO_WL_CMD_VFD_NEW:
		head->size = cpu_to_le32(PAGE_ALIGN(arg->size));
		break;
	case VIRTIO_WL_CMD_VFD_NEW_DMABUF:
		head->width = cpu_to_le32(arg->dmabuf.width);
		head->height = cpu_to_le32(arg->dmabuf.height);
		head->format = cpu_to_le32(arg->dmabuf.format);
		break;
	case VIRTIO_WL_CMD_VFD_NEW_CTX_NAMED:
		named = (void *)req->head;
		BUILD_BUG_ON(sizeof(named->name) != sizeof(arg->name));
		memcpy(named->name, arg->name, sizeof(named->name));
		break;
	}
	return req;
}

static int take_new_answer(struct wl_vfd *vfd, const struct wl_req *req,
			   struct virtwl_ioctl_new *arg)
{
	const struct virtio_wl_ctrl_vfd_new_dmabuf *answer = &req->answer;
	int err;

	vfd->size = le32_to_cpu(answer->size);
	vfd->flags = le32_to_cpu(answer->flags);
	err = wl_map_check(vfd->wd, le64_to_cpu(answer->pfn), vfd->size,
			   &vfd->mem);
	switch (req->type) {
	case VIRTIO_WL_CMD_VFD_NEW:
		if (!err && (!vfd->mem || vfd->size < arg->size))
			err = -EPROTO;
		break;
	case VIRTIO_WL_CMD_VFD_NEW_DMABUF:
		arg->dmabuf.stride0 = le32_to_cpu(answer->stride0);
		arg->dmabuf.stride1 = le32_to_cpu(answer->stride1);
		arg->dmabuf.stride2 = le32_to_cpu(answer->stride2);
		arg->dmabuf.offset0 = le32_to_cpu(answer->offset0);
		arg->dmabuf.offset1 = le32_to_cpu(answer->offset1);
		arg->dmabuf.offset2 = le32_to_cpu(answer->offset2);
		break;
	default:
		/* nothing to map, whatever it says */
		vfd->mem = 0;
		err = 0;
		break;
	}
	return err;
}

/*
 * Has the device make the VFD; the request is freed. The VFD is the caller's,
 * unless this fails. arg: what is returned of a buffer, or NULL.
 */
static struct wl_vfd *ask_new(struct wl_vfd *vfd, struct wl_req *req,
			      struct virtwl_ioctl_new *arg)
{
	int err;

	wl_submit(req, WL_REQ_WAITED);
	err = wl_wait(req);
	if (err)
		return ERR_PTR(err); /* the request closes it */

	err = req->err;
	if (err)
		wl_vfd_refused(vfd, err);
	else
		err = take_new_answer(vfd, req, arg);
	wl_req_free(req);
	if (err) {
		wl_vfd_close(vfd);
		return ERR_PTR(err);
	}
	return vfd;
}

/*
 * As a file of the caller's, whose number arg tells already; arg goes to the
 * user. If that fails, the VFD is closed.
 */
static int hand_out(struct wl_vfd *vfd, unsigned int mode, int fd,
		    void __user *user, const void *arg, size_t size)
{
	struct file *file = wl_file_create(vfd, mode);

	if (IS_ERR(file)) {
		wl_vfd_close(vfd);
		return PTR_ERR(file);
	}
	if (copy_to_user(user, arg, size)) {
		fput(file);
		return -EFAULT;
	}
	fd_install(fd, file);
	return 0;
}

/* The VFD is the caller's, unless this fails. */
static struct wl_vfd *new_vfd(struct wl_device *wd, struct new_kind *kind,
			      struct virtwl_ioctl_new *arg)
{
	struct wl_vfd *vfd;
	struct wl_req *req;

	vfd = wl_vfd_create(wd, kind->cmd, 0);
	if (IS_ERR(vfd))
		return vfd;
	req = new_req(vfd, kind, arg);
	if (!req) {
		wl_vfd_refused(vfd, -ENOMEM);
		wl_vfd_close(vfd);
		return ERR_PTR(-ENOMEM);
	}
	return ask_new(vfd, req, arg);
}

static long ioctl_new(struct wl_device *wd, void __user *user, size_t size)
{
	struct virtwl_ioctl_new arg = {};
	struct new_kind kind;
	struct wl_vfd *vfd;
	int fd, err;

	size = min(size, sizeof(arg));
	if (size < offsetofend(struct virtwl_ioctl_new, flags))
		return -EINVAL;
	if (copy_from_user(&arg, user, size))
		return -EFAULT;
	err = new_kind(wd, arg.type, &kind);
	if (err)
		return err;
	if (arg.flags)
		return -EINVAL;
	if (kind.cmd == VIRTIO_WL_CMD_VFD_NEW_DMABUF && size < sizeof(arg))
		return -EINVAL;
	if (kind.cmd == VIRTIO_WL_CMD_VFD_NEW &&
	    (!arg.size || PAGE_ALIGN((u64)arg.size) > U32_MAX))
		return -EINVAL;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	vfd = new_vfd(wd, &kind, &arg);
	arg.fd = fd;
	err = IS_ERR(vfd) ? PTR_ERR(vfd)
			  : hand_out(vfd, kind.mode, fd, user, &arg, size);
	if (err)
		put_unused_fd(fd);
	return err;
}

static struct wl_vfd *new_pages(struct wl_device *wd, unsigned long address,
				unsigned long n)
{
	const size_t resp_len = sizeof(struct virtio_wl_ctrl_vfd_new_dmabuf);
	struct virtio_wl_ctrl_vfd_new_pages *head;
	struct wl_pages *pages;
	struct wl_vfd *vfd;
	struct wl_req *req;
	int err;

	pages = wl_pages_create(address, n);
	if (IS_ERR(pages))
		return ERR_CAST(pages);
	vfd = wl_vfd_create(wd, VIRTIO_WL_CMD_VFD_NEW_PAGES, 0);
	if (IS_ERR(vfd)) {
		wl_pages_drop(pages);
		return vfd;
	}
	req = wl_req_alloc(vfd, VIRTIO_WL_CMD_VFD_NEW_PAGES, sizeof(*head),
			   resp_len);
	err = req ? wl_pages_add_runs(req, pages) : -ENOMEM;
	if (err) {
		wl_pages_drop(pages);
		if (req)
			wl_req_free(req);
		wl_vfd_refused(vfd, err);
		wl_vfd_close(vfd);
		return ERR_PTR(err);
	}
	head = (void *)req->head;
	head->vfd_id = cpu_to_le32(vfd->id);
	vfd->pages = pages;
	return ask_new(vfd, req, NULL);
}

static long ioctl_new_pages(struct wl_device *wd, void __user *user)
{
	struct virtwl_ioctl_new_pages arg;
	struct wl_vfd *vfd;
	int fd, err;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (!wl_has_feature(wd, VIRTIO_WL_F_GUEST_PAGES))
		return -ENOTTY;
	if (arg.flags || !arg.length ||
	    (arg.address | arg.length) & ~PAGE_MASK ||
	    arg.address + arg.length < arg.address ||
	    arg.address + arg.length > TASK_SIZE)
		return -EINVAL;
	if (arg.length > VIRTIO_WL_PAGES_MAX_BYTES)
		return -E2BIG;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	arg.fd = fd;
	vfd = new_pages(wd, arg.address, arg.length >> PAGE_SHIFT);
	if (IS_ERR(vfd)) {
		err = PTR_ERR(vfd);
	} else if (vfd->size != arg.length) {
		wl_vfd_close(vfd);
		err = -EPROTO;
	} else {
		err = hand_out(vfd, O_RDWR, fd, user, &arg, sizeof(arg));
	}
	if (err)
		put_unused_fd(fd);
	return err;
}

long wl_device_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	if (is_cmd(cmd, VIRTWL_IOCTL_NEW))
		return ioctl_new(file->private_data, (void __user *)arg,
				 _IOC_SIZE(cmd));
	if (is_cmd(cmd, VIRTWL_IOCTL_NEW_PAGES))
		return ioctl_new_pages(file->private_data, (void __user *)arg);
	return -ENOTTY;
}

/* One of a SEND's descriptors; the file is the caller's. */
static int take_item(struct wl_vfd *vfd, int fd, struct wl_item *item)
{
	struct wl_vfd *sent;

	*item = (struct wl_item){ .file = fget(fd) };
	if (!item->file)
		return -EBADF;
	sent = item->vfd = wl_vfd_of_file(item->file);
	if (!sent)
		return wl_foreign_take(vfd, fd, item);
	return wl_vfds_are_siblings(sent, vfd) ? 0 : -EINVAL;
}

static long ioctl_send(struct file *file, void __user *user)
{
	struct wl_item items[VIRTWL_SEND_MAX_ALLOCS];
	struct virtwl_ioctl_txn txn;
	struct wl_vfd *vfd;
	unsigned int n = 0;
	ssize_t ret = 0;

	vfd = wl_vfd_of_file(file);
	if (copy_from_user(&txn, user, sizeof(txn)))
		return -EFAULT;
	while (n < VIRTWL_SEND_MAX_ALLOCS && txn.fds[n] >= 0) {
		ret = take_item(vfd, txn.fds[n], &items[n]);
		if (items[n].file)
			n++;
		if (ret)
			goto out;
	}
	if (n || txn.len)
		ret = wl_send(file, items, n,
			      user + offsetof(struct virtwl_ioctl_txn, data),
			      txn.len);
out:
	while (n)
		fput(items[--n].file);
	return min_t(ssize_t, ret, 0);
}

static long ioctl_recv(struct file *file, void __user *user)
{
	struct file *files[VIRTWL_SEND_MAX_ALLOCS];
	struct virtwl_ioctl_txn txn;
	unsigned int i, n;
	ssize_t got;
	u32 room;

	if (get_user(room, &((struct virtwl_ioctl_txn __user *)user)->len))
		return -EFAULT;
	room = min_t(u32, room, INT_MAX);
	memset(txn.fds, 0xff, sizeof(txn.fds));
	got = wl_recv(file, user + offsetof(struct virtwl_ioctl_txn, data),
		      room, txn.fds, files, &n);
	if (got < 0)
		return got;
	txn.len = got;
	/* where take_file failed, there is a number that is none */
	for (i = n; i < VIRTWL_SEND_MAX_ALLOCS; i++)
		txn.fds[i] = -1;
	if (copy_to_user(user, &txn, sizeof(txn))) {
		for (i = 0; i < n; i++) {
			put_unused_fd(txn.fds[i]);
			fput(files[i]);
		}
		return -EFAULT;
	}
	for (i = 0; i < n; i++)
		fd_install(txn.fds[i], files[i]);
	return 0;
}

static long ioctl_dmabuf_sync(struct wl_vfd *vfd, void __user *user)
{
	struct virtio_wl_ctrl_vfd_dmabuf_sync *head;
	struct virtwl_ioctl_dmabuf_sync arg;
	struct wl_req *req;
	int err;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.flags & ~VIRTIO_WL_DMABUF_SYNC_ALL)
		return -EINVAL;
	req = wl_req_alloc(vfd, VIRTIO_WL_CMD_VFD_DMABUF_SYNC, sizeof(*head),
			   sizeof(struct virtio_wl_ctrl_hdr));
	if (!req)
		return -ENOMEM;
	head = (void *)req->head;
	head->vfd_id = cpu_to_le32(vfd->id);
	head->flags = cpu_to_le32(arg.flags);
	wl_submit(req, WL_REQ_WAITED);
	err = wl_wait(req);
	if (err)
		return err;
	err = req->err;
	wl_req_free(req);
	return err;
}

static long ioctl_pages_intact(const struct wl_vfd *vfd)
{
	if (!vfd->pages)
		return -ENOTTY;
	return wl_pages_are_intact(vfd->pages) ? 0 : -ESTALE;
}

long wl_vfd_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *user = (void __user *)arg;

	if (is_cmd(cmd, VIRTWL_IOCTL_SEND))
		return ioctl_send(file, user);
	if (is_cmd(cmd, VIRTWL_IOCTL_RECV))
		return ioctl_recv(file, user);
	if (is_cmd(cmd, VIRTWL_IOCTL_DMABUF_SYNC))
		return ioctl_dmabuf_sync(wl_vfd_of_file(file), user);
	if (is_cmd(cmd, VIRTWL_IOCTL_PAGES_INTACT))
		return ioctl_pages_intact(wl_vfd_of_file(file));
	return -ENOTTY;
}
