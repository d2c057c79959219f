/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The virtio-wl driver's own structures.
 *
 * main.c   module, probe, remove, a session's beginning and end
 * device.c what all others share: the device's structure and its work queue
 * out.c    requests to the device: submit, answer, what became of them
 * in.c     messages from the device
 * msg.c    one message, and the buffer of the in ring that it may hold
 * vfd.c    VFDs, their ids, their life
 * file.c   a VFD as a file: read, write, poll
 * fence.c  a VFD as a fence of the kernel's
 * foreign.c what is sent and no VFD
 * gpu.c    the number of a virtio-gpu buffer
 * ioctl.c  NEW, SEND, RECV, DMABUF_SYNC, NEW_PAGES, PAGES_INTACT
 * map.c    a VFD as memory
 * pages.c  a program's memory as a VFD
 * sleep.c  sleep, and a reset that the device needs
 *
 * Who holds what: a VFD has one owner, which is its file, or the message in
 * which it arrived, or (for the moment between the two messages that announce
 * and deliver it) the device's list `announced`. When the owner lets go, the
 * VFD is closed: a CLOSE goes to the device, and its id is free when that is
 * answered. References (kref) only keep the structure.
 *
 * A session is the time between two resets of the device. Everything of a
 * session dies with it: its VFDs are `dead`, their ids mean nothing any more,
 * and buffers of its rings are freed instead of posted.
 *
 * Locks, outermost first: vfd->read_lock, wd->in_lock, wd->lock, wd->out_lock,
 * vfd->lock. map_lock stands alone.
 */
#ifndef WL_H
#define WL_H

/* First: what an older kernel lacks is not what its user should read. */
#include "compat.h"

#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include <vhost-user-wl/virtio_wl.h>

#include "virtwl.h"

/* Longest SEND in one go; a longer write(2) becomes several. */
#define WL_SEND_MAX (4U << 20)
#define WL_WRITE_CHUNK (128U << 10)
/* What one VFD may have on its way to the device, SENDs and bytes. */
#define WL_OUT_MAX_REQS 16
#define WL_OUT_MAX_BYTES (256U << 10)
/* Descriptors of the out ring that no SEND takes. */
#define WL_OUT_RESERVE 16
/* How long a closed VFD waits for its last SENDs. */
#define WL_LINGER (5 * HZ)
/* Received but unread bytes that are copied out of the ring's buffers: always
 * per VFD, usually per VFD, and of all VFDs together. */
#define WL_IN_MIN_BYTES (64U << 10)
#define WL_IN_MAX_BYTES (256U << 10)
#define WL_IN_ALL_BYTES (16U << 20)
#define WL_IN_MAX_BUFS 1024
/*
 * Buffers that the device has at least, and those with unread messages. The
 * more it always has, the fewer VFDs may go unread before it sends to them
 * for ever: it lets each keep as many as are left.
 */
#define WL_IN_RESERVE 1
#define WL_IN_MAX_HELD 4096
/* VFDs that were announced and not delivered (yet). */
#define WL_ANNOUNCED_MAX 2048
/* Most VFDs of one received message. */
#define WL_RECV_MAX_VFDS 128
/* Segments of one request. */
#define WL_MAX_SEGS 128

struct dma_fence;
struct wl_pages;
struct wl_vfd;
struct wl_req;

struct wl_device {
	struct kref ref;
	struct virtio_device *vdev; /* not after remove */
	struct miscdevice misc; /* misc.name is in `name` */
	char name[16];
	int index;
	struct inode *inode; /* what VFDs' memory is mapped through */
	unsigned long long features; /* negotiated; this session's */

	/* region 0; len 0: there is none. mem only fixes the cache mode. */
	phys_addr_t shm_addr;
	u64 shm_len;
	void *shm_mem;

	struct rw_semaphore map_lock; /* writing: memory goes away */

	struct mutex lock; /* all that follows */
	struct idr vfds; /* this session's, of both id spaces */
	struct list_head announced; /* wl_vfd.link */
	unsigned int n_announced;

	spinlock_t out_lock; /* all that follows */
	bool up; /* requests can be submitted */
	u32 session;
	struct virtqueue *out_vq;
	unsigned int out_segs; /* most segments of a request */
	unsigned int n_in_flight;
	unsigned int n_wanted; /* of them, those that are not quiet */
	bool hurry; /* all answers are needed, until there is none to come */
	unsigned int out_reserve; /* descriptors that are not for SENDs */
	struct list_head urgent; /* wl_req.link: NEW and CLOSE that wait */
	struct list_head pending; /* wl_req.link: other requests */
	struct list_head done; /* wl_req.link: for done_work */
	struct work_struct done_work;
	struct delayed_work look_work; /* for what no interrupt says */

	struct mutex in_lock; /* all that follows */
	struct virtqueue *in_vq; /* NULL between sessions */
	unsigned int n_posted; /* buffers in the ring */
	atomic_t n_held; /* kept by messages */
	struct work_struct in_work;
	atomic_t in_bytes; /* copied, unread */

	struct delayed_work reset_work;
	bool started; /* probe, remove, sleep, reset */
	/* while it sleeps with its session: the transport's operations, and
	 * those that stand in for them */
	const struct virtio_config_ops *config;
	struct virtio_config_ops quiet;
	unsigned int n_resets; /* without a rest in between */
	unsigned long last_reset; /* jiffies */
};

/* A buffer of the in ring. */
struct wl_buf {
	u32 session;
	void *data; /* VIRTIO_WL_IN_BUFFER_SIZE bytes */
};

/* A received message, or what is left of it. */
struct wl_msg {
	struct list_head link; /* wl_vfd.msgs */
	u8 *data; /* in buf, or in copy */
	size_t len;
	struct wl_buf *buf; /* held until read, or NULL */
	void *copy; /* or NULL */
	size_t charge; /* what the copy counts for */
	unsigned int n_vfds;
	unsigned int next_vfd;
	struct wl_vfd *vfds[]; /* owned */
};

enum wl_req_state {
	WL_REQ_NEW, /* its submitter's alone */
	WL_REQ_WAITED, /* somebody waits for the answer */
	WL_REQ_ALONE, /* nobody does: done_work ends it */
	WL_REQ_DONE,
};

/* What a SEND lists. */
struct wl_item {
	struct file *file; /* a VFD's, or what must live until the answer */
	struct wl_vfd *vfd; /* LOCAL: what the file keeps */
	u32 kind; /* VIRTIO_WL_FOREIGN_* */
	u64 value; /* its number */
};

/* Longest request without data, and response. */
#define WL_HEAD_MAX                                   \
	(sizeof(struct virtio_wl_ctrl_vfd_sendrecv) + \
	 VIRTWL_SEND_MAX_ALLOCS * sizeof(struct virtio_wl_foreign_entry_v2))

struct wl_req {
	struct list_head link;
	struct wl_device *wd;
	struct wl_vfd *vfd; /* a reference */
	atomic_t state; /* enum wl_req_state */
	struct completion answered;
	int err; /* when DONE: 0 or -errno */
	bool quiet; /* nobody needs its answer soon */
	u32 type;

	/* SEND: what goes with it */
	size_t n_bytes;
	struct wl_vfd **vfds; /* references, and pinned until DONE */
	unsigned int n_vfds;
	struct file **kept; /* what is listed and no VFD */
	unsigned int n_kept;
	struct scatterlist *segs;
	unsigned int n_segs;

	struct virtio_wl_ctrl_vfd_new_dmabuf answer; /* a copy, when DONE */
	size_t head_len;
	size_t resp_len;
	/* The device sees these two; nobody else writes while it does. */
	u8 head[WL_HEAD_MAX] __aligned(ARCH_KMALLOC_MINALIGN);
	struct virtio_wl_ctrl_vfd_new_dmabuf resp
		__aligned(ARCH_KMALLOC_MINALIGN);
};

struct wl_vfd {
	struct kref ref;
	struct wl_device *wd; /* a reference */
	u32 id;
	u32 kind; /* VIRTIO_WL_CMD_VFD_*: what made it */
	u32 session;
	bool in_table; /* wd->lock */
	struct list_head link; /* wd->announced, while it is there */
	bool orphan; /* for wl_vfds_die */

	/* set before it can be seen */
	phys_addr_t mem; /* 0: not mappable */
	u32 size;
	u32 flags; /* VIRTIO_WL_VFD_* */

	struct mutex read_lock; /* one reader at a time */
	wait_queue_head_t wait;
	spinlock_t lock; /* all that follows */
	struct list_head msgs; /* wl_msg.link */
	size_t n_in_bytes;
	bool hup; /* nothing comes any more */
	bool dead; /* its session is over */
	int in_err; /* why a message was lost */
	int out_err; /* of a SEND that nobody waited for */
	unsigned int n_pins; /* SENDs under way that list it */
	unsigned int n_out; /* SENDs under way to it */
	size_t n_out_bytes;
	bool has_file; /* has or had one */
	struct dma_fence *fence; /* what owns it; no reference */
	struct wl_pages *pages; /* pinned for it, or NULL */
	bool closing; /* the owner let go */
	bool close_sent;
	struct delayed_work linger;
	struct wl_req *close; /* made with it: closing cannot fail */
};

/* Of this session. */
static inline bool wl_has_feature(const struct wl_device *wd, unsigned int bit)
{
	return READ_ONCE(wd->features) & BIT_ULL(bit);
}

/* device.c */
extern struct workqueue_struct *wl_wq;
void wl_device_get(struct wl_device *wd);
void wl_device_put(struct wl_device *wd);

/* session.c */
int wl_start(struct wl_device *wd);
void wl_stop(struct wl_device *wd);

/* sleep.c */
void wl_reset_work(struct work_struct *work);
#ifdef CONFIG_PM_SLEEP
int wl_freeze(struct virtio_device *vdev);
int wl_restore(struct virtio_device *vdev);
#endif

/* out.c */
struct wl_req *wl_req_alloc(struct wl_vfd *vfd, u32 type, size_t head_len,
			    size_t resp_len);
int wl_req_add_data(struct wl_req *req, const char __user *data, size_t len);
void wl_req_free(struct wl_req *req);
void wl_submit(struct wl_req *req, enum wl_req_state how);
int wl_wait(struct wl_req *req);
int wl_out_start(struct wl_device *wd, struct virtqueue *vq);
void wl_out_stop(struct wl_device *wd);
void wl_out_drain(struct wl_device *wd);
void wl_out_init(struct wl_device *wd);
void wl_out_done(struct virtqueue *vq);
void wl_out_look(struct wl_device *wd);
void wl_out_hurry(struct wl_device *wd);
void wl_out_wake(struct wl_device *wd);

/* in.c */
void wl_in_init(struct wl_device *wd);
int wl_in_start(struct wl_device *wd, struct virtqueue *vq);
void wl_in_stop(struct wl_device *wd);
void wl_in_done(struct virtqueue *vq);
void wl_in_wake(struct wl_device *wd);

/* msg.c */
struct wl_buf *wl_buf_alloc(u32 session);
void wl_buf_free(struct wl_buf *buf);
int wl_buf_add(struct wl_device *wd, struct wl_buf *buf); /* with in_lock */
void wl_buf_post(struct wl_device *wd, struct wl_buf *buf, bool kick);
void wl_msg_free(struct wl_device *wd, struct wl_msg *msg);

/* vfd.c */
struct wl_vfd *wl_vfd_create(struct wl_device *wd, u32 kind, u32 host_id);
struct wl_vfd *wl_vfd_find(struct wl_device *wd, u32 id);
void wl_vfd_put(struct wl_vfd *vfd);
void wl_vfd_get(struct wl_vfd *vfd);
void wl_vfd_forget(struct wl_vfd *vfd);
void wl_vfd_close(struct wl_vfd *vfd);
void wl_vfd_refused(struct wl_vfd *vfd, int err);
void wl_vfd_sent(struct wl_vfd *vfd, size_t bytes, int err);
void wl_vfd_pin(struct wl_vfd *vfd);
void wl_vfd_unpin(struct wl_vfd *vfd);
int wl_vfd_deliver(struct wl_vfd *vfd, struct wl_msg *msg);
void wl_vfd_hang_up(struct wl_vfd *vfd, int err);
void wl_vfds_die(struct wl_device *wd);

/* Of one session of one device. */
static inline bool wl_vfds_are_siblings(const struct wl_vfd *a,
					const struct wl_vfd *b)
{
	return a->wd == b->wd && a->session == b->session;
}

/* file.c */
struct file *wl_file_create(struct wl_vfd *vfd, unsigned int mode);
void wl_file_abandon(struct file *file);
struct wl_vfd *wl_vfd_of_file(struct file *file);
ssize_t wl_send(struct file *file, struct wl_item *items, unsigned int n_items,
		const char __user *data, size_t len);
ssize_t wl_recv(struct file *file, char __user *data, size_t room, s32 *fds,
		struct file **files, unsigned int *n_files);

/* fence.c */
bool wl_vfd_is_fence(const struct wl_vfd *vfd);
struct file *wl_fence_file_create(struct wl_vfd *vfd);
void wl_fence_signal(struct wl_vfd *vfd, int err);
struct wl_vfd *wl_vfd_of_fence(struct dma_fence *fence);

/* gpu.c */
struct dma_buf;
int wl_gpu_number(struct dma_buf *buf, u64 *id);

/* foreign.c */
int wl_foreign_take(struct wl_vfd *to, int fd, struct wl_item *item);
void *wl_foreign_put(struct wl_device *wd, void *at,
		     const struct wl_item *items, unsigned int n);

/* ioctl.c */
long wl_device_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
long wl_vfd_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

/* pages.c */
struct wl_pages *wl_pages_create(unsigned long address, unsigned long n);
int wl_pages_add_runs(struct wl_req *req, const struct wl_pages *pages);
void wl_pages_drop(struct wl_pages *pages);
void wl_pages_put(struct wl_pages *pages);
bool wl_pages_are_intact(const struct wl_pages *pages);
void wl_pages_module_exit(void);

/* map.c */
int wl_map_module_init(void);
void wl_map_module_exit(void);
struct inode *wl_map_inode_create(void);
int wl_map_find_region(struct wl_device *wd);
void wl_map_lose_region(struct wl_device *wd);
int wl_map_check(struct wl_device *wd, u64 pfn, u32 size, phys_addr_t *mem);
void wl_map_zap(struct wl_device *wd);
int wl_vfd_mmap(struct file *file, struct vm_area_struct *vma);

#endif
