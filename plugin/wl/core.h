/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The virtio-wl device itself: bytes and descriptors in, bytes and descriptors
 * out. It knows virtual file descriptors (VFDs), host sockets and the
 * shared-memory window; it knows no virtqueue, no guest address, no vhost-user
 * message and no main loop. docs/protocol.md is its specification.
 *
 * Two epoll descriptors stand for everything that it waits for: one for what
 * host peers send (poll it only while the guest has room for messages), one
 * for what they can take, and for timers (poll it always). Nothing blocks, and
 * nothing grows beyond the limits. Single-threaded: device thread.
 */
#ifndef VWL_WL_CORE_H
#define VWL_WL_CORE_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/buffer.h"
#include "base/log.h"
#include "base/watched.h"
#include "vhost-user-wl/plugin.h"
#include "vhost-user-wl/virtio_wl.h"

/* What a request is gathered into: the longest header with its ids. */
#define VWL_HEAD_BYTES (16 + VIRTWL_SEND_MAX_ALLOCS * 16)
#define VWL_RESPONSE_BYTES 64

struct vwl_closer;
struct vwl_core;
struct vwl_locks;
struct vwl_rules;
struct vwl_parcel;

/* A request of the guest. Allocated by the caller, who must keep it (and the
 * guest memory under `payload`) until it is complete or dropped. */
struct vwl_request {
    /* filled by the caller */
    uint8_t head[VWL_HEAD_BYTES]; /* copy of the first bytes */
    size_t head_bytes;            /* min(total_bytes, VWL_HEAD_BYTES) */
    size_t total_bytes;           /* readable bytes of the request */
    const struct iovec *payload;  /* the whole readable part, head included;
                                     may change under our hands: passed on,
                                     never interpreted */
    unsigned int n_payload;
    size_t response_room; /* writable bytes of the request */
    unsigned int entries; /* of the out queue's descriptors that it keeps */
    void *user;           /* the caller's */
    /* filled by the core */
    uint8_t response[VWL_RESPONSE_BYTES];
    size_t response_bytes;
    /* private to wl/ */
    struct vwl_parcel *waits_on; /* NULL: for the peer alone */
    size_t progress;
    struct vwl_request *next;
    uint64_t number;
};

struct vwl_core_config {
    const struct vwl_socket *sockets; /* borrowed for the core's life */
    size_t n_sockets;
    /* What each socket's contexts are held to; NULL, or a NULL: their bytes
     * pass unread. Borrowed for the core's life. */
    const struct vwl_rules *const *rules;
    /* Closes what peers sent. Borrowed for the core's life; NULL: it makes one
     * of its own. */
    struct vwl_closer *closer;
    /* Tells whether peers still hold what the guest closed. Borrowed for the
     * core's life; NULL: nothing does. */
    struct vwl_locks *locks;
    bool asks_again;     /* socket_connect_again may be used */
    uint64_t shm_window; /* bytes; all limits are resolved, none is 0 */
    uint32_t max_vfds;
    uint32_t max_contexts;
    uint64_t max_shm_bytes;
    uint64_t max_queued_bytes;
};

/* A buffer of the guest in one piece that takes the longest VFD_RECV. */
struct vwl_whole_buffer {
    uint8_t *base;
    uint64_t token; /* as of vwl_core_next_message */
};

/* A run of the guest's memory, in whole pages. */
struct vwl_run {
    uint64_t gpa, bytes;
};

/* So many more than the one that is asked for. */
#define VWL_MORE_MAX 31u

/* What the core needs from around it. None may call back into the core, except
 * that shm_map may end in vwl_core_map_done later. */
struct vwl_core_ops {
    /* A request that had been -EINPROGRESS is complete: answer it. May be
     * called from any function below. The core is done with it. */
    void (*complete)(void *opaque, struct vwl_request *request);
    /* Maps into region 0: 0 = mapped now; -EINPROGRESS = vwl_core_map_done
     * follows with the cookie; other -errno = refused. fd is borrowed. */
    int (*shm_map)(void *opaque, uint64_t cookie, int fd, uint64_t fd_offset,
                   uint64_t shm_offset, uint64_t len, bool writable);
    /* 0 = unmapped now; -EINPROGRESS = vwl_core_unmap_done follows; other: the
     * range is never used again until a reset. */
    int (*shm_unmap)(void *opaque, uint64_t cookie, uint64_t shm_offset,
                     uint64_t len);
    /* Guest address of region 0: 0, or -EAGAIN. */
    int (*shm_base)(void *opaque, uint64_t *gpa);
    /* vwl_core_next_message may have something although nothing is readable:
     * look when the guest has room. */
    void (*message_ready)(void *opaque);
    /* In vwl_core_next_message alone: the guest's buffers behind that one, for
     * a peer that fills several at once. At most max (of VWL_MORE_MAX), and
     * only while they are whole ones: how many. NULL: none. */
    unsigned int (*more_buffers)(void *opaque, unsigned int max,
                                 struct vwl_whole_buffer *buffers);
    /* After that, if there were any: the first n of them have messages, too,
     * the last one of last_bytes and the others of the longest; the rest is
     * not used. */
    void (*more_filled)(void *opaque, unsigned int n, size_t last_bytes);
    /* As vwl_host's; -errno or NULL: socket_connect. */
    int (*socket_open)(void *opaque, size_t index, int *fd);
    /* As vwl_host's; -EOPNOTSUPP or NULL: the core connects by path. */
    int (*socket_connect)(void *opaque, size_t index, int *fd);
    /* As vwl_host's; not NULL if the configuration says asks_again. */
    int (*socket_connect_again)(void *opaque, size_t index, int fd);
    /* Whether guests can have dmabufs: 0; -EOPNOTSUPP or NULL: they cannot;
     * -EINPROGRESS: vwl_core_buffers_changed will tell to ask again. */
    int (*buffer_offer)(void *opaque);
    /* Makes one. On success both descriptors are the core's. Never waits. */
    int (*buffer_alloc)(void *opaque, const struct vwl_buffer_wish *wish,
                        struct vwl_buffer *out);
    /* What the guest's GPU calls by that number (kind: VIRTIO_WL_FOREIGN_*): 0
     * with a descriptor that is the core's; -EINPROGRESS with a socket on
     * which it comes, as vwl_host says; other -errno or NULL: refused. */
    int (*foreign)(void *opaque, uint32_t kind, uint64_t value, int *fd);
    /* One file out of these runs, which is the core's: 0; -EFAULT: a run is no
     * memory of the guest; -EOPNOTSUPP or NULL: there are none; other -errno.
     * Never waits. */
    int (*pages)(void *opaque, const struct vwl_run *runs, unsigned int n,
                 int *fd);
    /* As vwl_host's transfer_request; NULL: all are refused. */
    int (*transfer)(void *opaque, size_t index, uint32_t kind, uint32_t way,
                    int *fd);
};

/* -errno when descriptors cannot be had. */
int vwl_core_create(const struct vwl_core_config *config,
                    const struct vwl_core_ops *ops, void *opaque,
                    struct vwl_log *log, struct vwl_core **out);
void vwl_core_destroy(struct vwl_core *core); /* NULL is fine; as reset */

/* What the driver negotiated: VIRTIO_WL_F_* as a mask of 1 << bit; has_shm:
 * somebody can map into region 0. Set while nothing is open. */
void vwl_core_set_features(struct vwl_core *core, uint64_t features,
                           bool has_shm);
/* How many requests may wait at all; how many if one VFD alone has more than a
 * quarter of that, which nobody else needs; the out queue's descriptors. */
void vwl_core_set_in_flight_limit(struct vwl_core *core, unsigned int limit,
                                  unsigned int most, unsigned int entries);

/* Device reset: everything the guest had is closed at once; requests that wait
 * are dropped without completion. unmap: mappings are still there and are
 * undone by shm_unmap (in-process hosts); else they are remembered as stale,
 * and cleared away only if a later map is refused for them (a front-end may or
 * may not have dropped them: qemu and crosvm differ). */
void vwl_core_reset(struct vwl_core *core, bool unmap);

/* Ends every waiting request with ERR, and hangs its VFD up: for memory that
 * goes away under them. filter may be NULL: all. */
void vwl_core_fail_requests(struct vwl_core *core,
                            bool (*filter)(void *opaque,
                                           const struct vwl_request *),
                            void *opaque);

/* Carries out a request: 0 = complete, the response is filled in;
 * -EINPROGRESS = ops->complete follows (or the request is dropped by reset).
 * No other value. A response that does not fit response_room is undone and
 * answered as far as it fits. */
int vwl_core_execute(struct vwl_core *core, struct vwl_request *request);

/* To be watched for reading: host peers have something for the guest. */
struct vwl_watched *vwl_core_in(struct vwl_core *core);
int vwl_core_in_fd(const struct vwl_core *core);
/* To be watched for reading: host peers can take something, or a timer is due.
 * Then call vwl_core_dispatch_out. */
struct vwl_watched *vwl_core_out(struct vwl_core *core);
int vwl_core_out_fd(const struct vwl_core *core);
void vwl_core_dispatch_out(struct vwl_core *core);

/* Fills the buffer with the next message for the guest. Returns its exact
 * length; 0: there is none (the buffer is unused, though bytes in it may have
 * been overwritten); -ENOBUFS: there is one but the buffer is too small for
 * it. token identifies the guest's buffer: a VFD_RECV keeps it until the guest
 * gives it back (vwl_core_buffer_returned). */
ssize_t vwl_core_next_message(struct vwl_core *core, const struct iovec *buffer,
                              unsigned int n_buffer, uint64_t token);

/* While the guest stands still, when in_fd is readable: keeps what compositors
 * say, up to max_queued_bytes. _end: before the guest goes on. */
void vwl_core_hoard(struct vwl_core *core);
void vwl_core_hoard_end(struct vwl_core *core);

/* After a message: whether it is worth asking for another one at once. False:
 * polling in_fd will tell just as well, and costs less. */
bool vwl_core_has_more(const struct vwl_core *core);

/* Whether somebody waits for buffers to come back although some are free: then
 * the guest should kick when it posts one. */
bool vwl_core_wants_buffers(const struct vwl_core *core);

/* The guest posted this buffer (again), and how many are posted and unused
 * now. A reader that keeps its buffers gets no more than its share. */
void vwl_core_buffer_returned(struct vwl_core *core, uint64_t token);
void vwl_core_buffers_free(struct vwl_core *core, unsigned int n_free,
                           unsigned int ring_size);

/* -ECONNRESET: nobody will answer. Memory of a snapshot then waits for the next
 * vwl_core_remake. */
void vwl_core_map_done(struct vwl_core *core, uint64_t cookie, int err);
void vwl_core_unmap_done(struct vwl_core *core, uint64_t cookie, int err);

/* The guest address of region 0 became known or changed. */
void vwl_core_base_changed(struct vwl_core *core);

/* buffer_offer may say something else now. */
void vwl_core_buffers_changed(struct vwl_core *core);

/* Is this a file that is mapped into region 0, or is being mapped, and where?
 * UINT64_MAX: at more than one place. */
bool vwl_core_owns_file(const struct vwl_core *core, uint64_t st_dev,
                        uint64_t st_ino, uint64_t *shm_offset);

/* Memory of a snapshot is not mapped before somebody runs the guest: asks for
 * it. Until vwl_core_is_restoring says no, the guest must wait. */
void vwl_core_remake(struct vwl_core *core);
bool vwl_core_is_restoring(const struct vwl_core *core);

/* Appends the windows of all contexts to it, as vwl_filter_windows does. */
void vwl_core_windows(const struct vwl_core *core, GString *lines);
/* A host peer's pipe that the guest writes, and that nothing of the guest's is
 * on its way to: a descriptor of the caller's. -ENOENT: there is no such VFD;
 * -EOPNOTSUPP: it is something else; other: there are no descriptors. */
int vwl_core_pipe(struct vwl_core *core, uint32_t id);

/* Fills the gauges and counters that the core knows. */
void vwl_core_stats(const struct vwl_core *core, struct vwl_stats *stats);

#endif
