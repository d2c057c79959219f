/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR BSD-3-Clause */
/*
 * The ioctl interface of /dev/wl0, the same as in ChromeOS guests.
 *
 * /dev/wlN hands out VFDs (virtual file descriptors): contexts, which are
 * connections to a socket of the host, shared memory, and pipes. Each is a
 * file descriptor of its own that can be sent over a context. What follows
 * says what this driver does where the interface leaves it open.
 *
 * NEW       on /dev/wlN. Shorter structs than today's are accepted; what is
 *           missing counts as zero. The new descriptor is close-on-exec.
 * SEND      on a VFD. `len` bytes of data and the VFDs of `fds`, up to the
 *           first negative one. A dma-buf of virtio-gpu and, where the device
 *           takes fences, a sync_file of it (or a signalled one of anybody)
 *           can stand there, too: ENOENT when the host does not know it. With O_NONBLOCK it is queued and not waited
 *           for: EAGAIN when too much is queued already, and an error that
 *           comes later is reported by the next call, as a socket does.
 * RECV      on a VFD. Blocks until there is something; 0 bytes and no
 *           descriptors mean that the peer hung up. Consecutive messages are
 *           joined, so that descriptors come with the data they were sent
 *           with, or before it.
 * read, write, poll and mmap work on a VFD where its kind allows. A fence of the
 * host's arrives as a sync_file, where the kernel has those (else it polls
 * POLLHUP when it is signalled); it can be sent again. A VFD whose
 * device was reset or is gone polls EPOLLERR and EPOLLHUP; its memory is gone
 * (SIGBUS), and only what had been received already can still be read.
 */
#ifndef _LINUX_VIRTWL_H
#define _LINUX_VIRTWL_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define VIRTWL_SEND_MAX_ALLOCS 28

#define VIRTWL_IOCTL_BASE 'w'

enum virtwl_ioctl_new_type {
	VIRTWL_IOCTL_NEW_CTX, /* connect to the host's socket */
	VIRTWL_IOCTL_NEW_ALLOC, /* shared memory of `size` bytes */
	VIRTWL_IOCTL_NEW_PIPE_READ, /* we read, the other end is sent */
	VIRTWL_IOCTL_NEW_PIPE_WRITE, /* we write, the other end is sent */
	VIRTWL_IOCTL_NEW_DMABUF, /* a graphics buffer; ENOTTY: none here */
	VIRTWL_IOCTL_NEW_CTX_NAMED, /* connect to the socket `name` */
};

struct virtwl_ioctl_new {
	__u32 type; /* enum virtwl_ioctl_new_type */
	__s32 fd; /* returned */
	__u32 flags; /* 0 */
	union {
		__u32 size; /* NEW_ALLOC: bytes, rounded up to pages */
		struct {
			__u32 width; /* pixels */
			__u32 height; /* pixels */
			__u32 format; /* DRM fourcc */
			__u32 stride0; /* returned, as all that follows */
			__u32 stride1;
			__u32 stride2;
			__u32 offset0;
			__u32 offset1;
			__u32 offset2;
		} dmabuf;
		char name[32]; /* NEW_CTX_NAMED: may fill it without a NUL */
	};
};

struct virtwl_ioctl_txn {
	__s32 fds[VIRTWL_SEND_MAX_ALLOCS]; /* unused ones are -1 */
	__u32 len; /* bytes; RECV: room, returned as bytes received */
	__u8 data[];
};

struct virtwl_ioctl_dmabuf_sync {
	__u32 flags; /* DMA_BUF_SYNC_READ, _WRITE and _END */
};

/*
 * Our own: pages of one file of shared memory (memfd, tmpfs) that is mapped
 * shared and may be written, as a file for host peers, without a copy. They are
 * pinned until some time after the VFD is closed. E2BIG: they are scattered too
 * much (MADV_COLLAPSE helps); ENOTTY: the host has it not; EDQUOT: too much is
 * pinned. PAGES_INTACT asks whether the file still has them all; ESTALE: it was
 * truncated meanwhile, host peers see what is in it no more.
 */
struct virtwl_ioctl_new_pages {
	__s32 fd; /* returned */
	__u32 flags; /* 0 */
	__u64 address; /* and */
	__u64 length; /* of whole pages */
};

/* The directions are those of the interface in use, wrong as they are. */
#define VIRTWL_IOCTL_NEW _IOWR(VIRTWL_IOCTL_BASE, 0x00, struct virtwl_ioctl_new)
#define VIRTWL_IOCTL_SEND _IOR(VIRTWL_IOCTL_BASE, 0x01, struct virtwl_ioctl_txn)
#define VIRTWL_IOCTL_RECV _IOW(VIRTWL_IOCTL_BASE, 0x02, struct virtwl_ioctl_txn)
#define VIRTWL_IOCTL_DMABUF_SYNC \
	_IOR(VIRTWL_IOCTL_BASE, 0x03, struct virtwl_ioctl_dmabuf_sync)
#define VIRTWL_IOCTL_NEW_PAGES \
	_IOWR(VIRTWL_IOCTL_BASE, 0x40, struct virtwl_ioctl_new_pages)
#define VIRTWL_IOCTL_PAGES_INTACT _IO(VIRTWL_IOCTL_BASE, 0x41)

#endif
