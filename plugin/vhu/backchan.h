/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The back-end channel: our thirteen requests to the front-end and its
 * replies, in both dialects. Never waits: whoever asks gets its answer by a
 * callback. While held (all rings stopped: vhost-user specification,
 * "Suspended device state") requests queue up and go out on release.
 *
 * Requests are answered in order, so the pending ones are a queue. A request
 * to which no answer will come (REPLY_ACK not negotiated, standard dialect) is
 * done as soon as it is sent. Device thread.
 */
#ifndef VWL_VHU_BACKCHAN_H
#define VWL_VHU_BACKCHAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "base/watched.h"
#include "vhost-user-wl/vhost_user.h"

struct vwl_backchan;

/* The most requests at a time: more than a device has VFDs, so that closing
 * all of them at once loses no UNMAP. A caller above it tries again when one
 * of its requests is done. */
#define VWL_BACKCHAN_MAX_PENDING 32768
/* The most of them that wait unsent with a descriptor. */
#define VWL_BACKCHAN_MAX_WAITING_FDS 512

enum vwl_shm_dialect {
    VWL_SHM_NONE,     /* the front-end maps nothing */
    VWL_SHM_STANDARD, /* protocol feature 22 */
    VWL_SHM_PRIVATE,  /* protocol feature 31 */
};

/* err: 0, or -errno; -EIO for a refusal without a number; -ECONNRESET when
 * the channel went first. Called from vwl_backchan_dispatch, _set_fd and
 * _hold, never from the request itself, and not after destroy. May be NULL. */
typedef void (*vwl_backchan_done)(void *opaque, uint64_t cookie, int err);

struct vwl_backchan *vwl_backchan_create(struct vwl_log *log);
void vwl_backchan_destroy(struct vwl_backchan *chan); /* NULL is fine; pending
                                                         requests are dropped
                                                         without a call */

/* Takes *fd, a stream socket: a new channel, whose table of mappings is empty.
 * Requests pending on the one before end with -ECONNRESET. */
void vwl_backchan_set_fd(struct vwl_backchan *chan, int *fd);
/* To be watched; there may be none. */
struct vwl_watched *vwl_backchan_socket(struct vwl_backchan *chan);
bool vwl_backchan_wants_write(const struct vwl_backchan *chan);
/* The kernel is out of memory: stop polling and call dispatch again after a
 * delay. */
bool vwl_backchan_is_starved(const struct vwl_backchan *chan);
/* What was negotiated. */
void vwl_backchan_configure(struct vwl_backchan *chan,
                            enum vwl_shm_dialect dialect, bool reply_ack);
enum vwl_shm_dialect vwl_backchan_dialect(const struct vwl_backchan *chan);
/* Suspends (true) or releases the sending of requests. */
void vwl_backchan_hold(struct vwl_backchan *chan, bool hold);
/* Reads replies and flushes; 0, or -ECONNRESET after which the channel has
 * no descriptor any more and every pending request has ended. */
int vwl_backchan_dispatch(struct vwl_backchan *chan);
unsigned int vwl_backchan_pending(const struct vwl_backchan *chan);
/* Forgets pending requests of one callback's opaque without calling it (its
 * owner goes away); replies to them are read and dropped. */
void vwl_backchan_forget(struct vwl_backchan *chan, void *opaque);

/* The requests. -EINPROGRESS: sent or queued, done will be called once. With 0
 * (sent, and no reply is due) and any other -errno it is not called: -ENOTCONN
 * no channel, -EOPNOTSUPP not negotiated, -ENOBUFS too many pending, -EINVAL
 * numbers that cannot be right. Descriptors are borrowed. Lengths and offsets
 * in bytes, page-aligned. */
int vwl_backchan_shmem_map(struct vwl_backchan *chan, uint8_t shmid, int fd,
                           uint64_t fd_offset, uint64_t shm_offset,
                           uint64_t len, bool writable, vwl_backchan_done done,
                           void *opaque, uint64_t cookie);
int vwl_backchan_shmem_unmap(struct vwl_backchan *chan, uint8_t shmid,
                             uint64_t shm_offset, uint64_t len,
                             vwl_backchan_done done, void *opaque,
                             uint64_t cookie);
int vwl_backchan_iotlb(struct vwl_backchan *chan,
                       const struct vhost_user_iotlb *msg,
                       vwl_backchan_done done, void *opaque, uint64_t cookie);
int vwl_backchan_config_change(struct vwl_backchan *chan,
                               vwl_backchan_done done, void *opaque,
                               uint64_t cookie);
/* index at most 255; calls that overtake each other become one. 0 or -errno;
 * nobody is told when it is done. */
int vwl_backchan_vring_call(struct vwl_backchan *chan, uint32_t index);
int vwl_backchan_vring_err(struct vwl_backchan *chan, uint32_t index);
/* For devices that need them; this one does not. */
int vwl_backchan_vring_host_notifier(struct vwl_backchan *chan,
                                     const struct vhost_user_vring_area *area,
                                     int fd, vwl_backchan_done done,
                                     void *opaque, uint64_t cookie);
int vwl_backchan_gpu_map(struct vwl_backchan *chan,
                         const struct vhost_user_gpu_map *map, int fd,
                         vwl_backchan_done done, void *opaque, uint64_t cookie);
int vwl_backchan_external_map(struct vwl_backchan *chan,
                              const struct vhost_user_external_map *map,
                              vwl_backchan_done done, void *opaque,
                              uint64_t cookie);
/* request: VHOST_USER_BACKEND_FS_MAP, _UNMAP, _SYNC or _IO; fd for MAP and IO,
 * else -1. */
int vwl_backchan_fs(struct vwl_backchan *chan, uint32_t request,
                    const struct vhost_user_fs_backend *msg, int fd,
                    vwl_backchan_done done, void *opaque, uint64_t cookie);

#endif
