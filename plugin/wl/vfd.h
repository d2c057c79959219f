/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Virtual file descriptors: the id space, what every kind has in common, and
 * what is watched for it. Two id ranges: the guest's (bit 30 clear) and ours,
 * which count up. A VFD lives as long as somebody has a reason: the guest
 * knows its id, or data that was answered for is still on its way.
 */
#ifndef VWL_WL_VFD_H
#define VWL_WL_VFD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/list.h"
#include "vhost-user-wl/virtio_wl.h"
#include "wl/outbox/outbox.h"
#include "wl/peer/peer.h"
#include "wl/timer.h"

struct vwl_core;
struct vwl_fd_info;
struct vwl_group;
struct vwl_map;
struct vwl_request;
struct vwl_vfd;

enum vwl_vfd_ref {
    VWL_REF_GUEST = 1 << 0,  /* has an id in the table */
    VWL_REF_LINGER = 1 << 1, /* closed, but its outbox is not empty */
};

enum vwl_pause {
    VWL_PAUSE_GROUP = 1 << 0, /* a message of it waits for its mappings */
    VWL_PAUSE_SHARE = 1 << 1, /* its reader keeps too many buffers */
    VWL_PAUSE_QUEUE = 1 << 2, /* too much is held back for the guest */
};

/* A snapshot has these numbers. */
enum vwl_vfd_kind {
    VWL_VFD_CTX = 1,
    VWL_VFD_PIPE = 2,
    VWL_VFD_SOCKET = 3,
    VWL_VFD_SHM = 4,
    VWL_VFD_OPAQUE = 5,
    VWL_VFD_FENCE = 6,
    VWL_VFD_DMABUF = 7, /* a snapshot has it as memory */
};

struct vwl_vfd_ops {
    enum vwl_vfd_kind kind;
    const char *name;
    int send_refusal; /* -errno of a SEND to it; 0: it takes data */
    bool takes_fds;   /* a SEND to it may carry VFDs */
    /* Reads one message, straight into the buffer if it can: its length; 0:
     * nothing now, or it was queued. NULL: nothing to read. */
    ssize_t (*receive)(struct vwl_vfd *vfd, const struct iovec *buffer,
                       unsigned int n_buffer);
    /* The descriptor that stands for it in a SEND, borrowed; -1: none. */
    int (*fd_to_send)(const struct vwl_vfd *vfd);
    /* It was sent. May be NULL. */
    void (*sent)(struct vwl_vfd *vfd);
    /* What it watches itself in out_epoll has an event. May be NULL: its host
     * peer takes data again. */
    void (*on_ready)(struct vwl_vfd *vfd);
    /* Waits of its creation that are not those of a request. May be NULL. */
    void (*finish)(struct vwl_vfd *vfd);
    /* What it has of its kind alone. May be NULL. */
    void (*free)(struct vwl_vfd *vfd);
};

struct vwl_vfd {
    struct vwl_core *core;
    const struct vwl_vfd_ops *ops;
    uint32_t id;
    uint32_t flags;    /* VIRTIO_WL_VFD_WRITE, _READ, _FENCE: what it can do */
    unsigned int refs; /* mask of enum vwl_vfd_ref */
    bool is_known;     /* the guest may name it */
    bool is_context;

    /* its host peer */
    int fd;                /* -1: none */
    enum vwl_peer_how how; /* to move bytes through fd */
    int send_fd;           /* memory, or the other end of a pipe; -1: none */
    bool enrolled;         /* may be watched */
    bool in_ended;         /* nothing more is read */
    bool send_broken;      /* nothing more is sent */
    bool hup_queued;
    bool in_watched;
    uint32_t out_watched;   /* 0, or epoll events | EPOLLERR */
    unsigned int pause;     /* mask of enum vwl_pause */
    int ready_slot;         /* in vwl_ready.vfds; -1 */
    bool answers;           /* it spoke next after it was sent something */
    struct vwl_list paused; /* in a list of those that wait to be read */

    /* towards the guest */
    struct vwl_list messages; /* of vwl_message.of_vfd */
    struct vwl_list lends;    /* of vwl_lend.of_vfd */
    unsigned int n_lent;
    struct vwl_group *group; /* a ctx: that it waits for; else: it is in */

    /* towards the peer */
    struct vwl_outbox outbox;
    struct vwl_request *first_wait, *last_wait;
    unsigned int n_waiting;
    struct vwl_list waiting;   /* in vwl_core.waiting */
    struct vwl_list lingering; /* in vwl_core.lingering */

    /* while it is being made */
    struct vwl_request *creating; /* NULL when there is none, or answered */
    struct vwl_timer timer;
    uint64_t deadline_us;
    unsigned int retry_ms;
    const char *path; /* a context's socket, of the core's configuration */
    int answer_fd;    /* the host was asked to connect it; -1 */

    /* shared memory */
    struct vwl_map *map; /* NULL: nothing is mapped */
    int copy_fd;         /* what is mapped, if not send_fd; -1 */
    void (*settled)(struct vwl_vfd *vfd); /* its memory is there, or not; NULL:
                                             nobody waits */
    bool direct;                 /* the received file itself is mapped */
    uint64_t size_bytes;         /* as the guest is told */
    uint64_t charged_bytes;      /* against max_shm_bytes */
    uint32_t answered_flags;     /* of its VFD_NEW, guest-made memory */
    struct vwl_list base_waiter; /* in vwl_core.base_waiters, or in
                                    buffer_waiters */
    struct vwl_dmabuf *dmabuf;   /* what else a dmabuf is; NULL */
};

extern const struct vwl_vfd_ops vwl_vfd_shm_ops;
extern const struct vwl_vfd_ops vwl_vfd_dmabuf_ops;
extern const struct vwl_vfd_ops vwl_vfd_pipe_ops;
extern const struct vwl_vfd_ops vwl_vfd_socket_ops;
extern const struct vwl_vfd_ops vwl_vfd_opaque_ops;
extern const struct vwl_vfd_ops vwl_vfd_fence_ops;
extern const struct vwl_vfd_ops vwl_ctx_ops;

/* Memory of either kind. */
static inline bool vwl_vfd_is_memory(const struct vwl_vfd *vfd)
{
    return vfd->ops->kind == VWL_VFD_SHM || vfd->ops->kind == VWL_VFD_DMABUF;
}

/* 0, or why a guest's id cannot be taken: -EINVAL. */
int vwl_vfd_check_id(struct vwl_core *core, uint32_t id);

/* With the guest's reference. -ENOSPC: too many. */
int vwl_vfd_create(struct vwl_core *core, const struct vwl_vfd_ops *ops,
                   uint32_t id, struct vwl_vfd **out);
/* The same with an id of ours, unknown to the guest so far. */
int vwl_vfd_create_host(struct vwl_core *core, const struct vwl_vfd_ops *ops,
                        struct vwl_vfd **out);

/* What the guest may name; NULL: nothing. */
struct vwl_vfd *vwl_vfd_find(struct vwl_core *core, uint32_t id);

/* The same, and what it has asked for but not been answered. */
struct vwl_vfd *vwl_vfd_find_to_close(struct vwl_core *core, uint32_t id);

/* Drops the guest's reference: its waiting requests end with ERR, its queued
 * messages go. at_once: what is in its outbox goes, too. */
void vwl_vfd_close(struct vwl_vfd *vfd, bool at_once);
/* Drops the other one. */
void vwl_vfd_end_linger(struct vwl_vfd *vfd);

/* Registers what is to be watched; call after every change of it. */
void vwl_vfd_watch(struct vwl_vfd *vfd);
void vwl_vfd_pause(struct vwl_vfd *vfd, enum vwl_pause reason);
void vwl_vfd_resume(struct vwl_vfd *vfd, enum vwl_pause reason);
/* The VFDs of a list of vwl_vfd.paused, which is empty afterwards. */
void vwl_vfd_resume_all(struct vwl_list *paused, enum vwl_pause reason);
/* Messages were taken out: those that were paused for them go on, if there is
 * room enough. */
void vwl_vfd_resume_queued(struct vwl_core *core);

/* Sends to its peer, as vwl_outbox_send, and does what follows from it. 0,
 * -EINPROGRESS, or why not. */
int vwl_vfd_send(struct vwl_vfd *vfd, struct vwl_request *request, size_t skip,
                 const int *fds, unsigned int n_fds, uint32_t asked);
/* Its peer can take something, or is gone. May free it. */
void vwl_vfd_feed(struct vwl_vfd *vfd);
/* A request waits for its turn, with its waits_on. -EINPROGRESS; -EPIPE: there
 * is no room for it, and the VFD was hung up. */
int vwl_vfd_wait(struct vwl_vfd *vfd, struct vwl_request *request);

/* Its peer takes no more: waiting requests end with ERR. May free it. */
void vwl_vfd_break(struct vwl_vfd *vfd);
/* No more data comes from it: VFD_HUP, once. */
void vwl_vfd_in_end(struct vwl_vfd *vfd);
/* It is cut off: waiting requests end with ERR, VFD_HUP, its peer sees the
 * end. */
void vwl_vfd_hang_up(struct vwl_vfd *vfd);

/* A request waits for it to be made. -EBUSY: too many requests wait. */
int vwl_vfd_creation_wait(struct vwl_vfd *vfd, struct vwl_request *request);
/* It is made (0), or it is not (-errno) and is gone after this. */
void vwl_vfd_creation_end(struct vwl_vfd *vfd, int err);

/* kinds */
int vwl_shm_create(struct vwl_core *core, struct vwl_request *request,
                   uint32_t id, uint32_t flags, uint32_t size);
/* Counts against the limit. -ENOSPC. */
int vwl_shm_charge(struct vwl_vfd *vfd, uint64_t bytes);
/* Maps len bytes of fd, borrowed until then: 0 = they can be used,
 * -EINPROGRESS = later; then its creation ends, or its group is told. */
int vwl_shm_map(struct vwl_vfd *vfd, int fd, uint64_t len);
int vwl_pipe_create(struct vwl_core *core, struct vwl_request *request,
                    uint32_t id, uint32_t flags);
int vwl_ctx_create(struct vwl_core *core, struct vwl_request *request,
                   uint32_t id, const char *path);
/* Its answer_fd is readable. */
void vwl_ctx_answered(struct vwl_vfd *vfd);
ssize_t vwl_stream_receive(struct vwl_vfd *vfd, const struct iovec *buffer,
                           unsigned int n_buffer);
/* Memory that a host peer sent, in send_fd: as vwl_shm_map. */
int vwl_shm_receive(struct vwl_vfd *vfd, const struct vwl_fd_info *info,
                    uint64_t *copied);
/* Without memory it still has an id, so that its message can arrive. */
void vwl_shm_become_opaque(struct vwl_vfd *vfd);
/* len bytes with descriptors that a context's peer sent, which are taken: they
 * become VFDs, and when all are mapped the message goes to the guest. -errno:
 * it cannot. */
int vwl_group_receive(struct vwl_vfd *ctx, int *fds, unsigned int n_fds,
                      const struct iovec *iov, unsigned int n_iov, size_t len);
void vwl_group_destroy(struct vwl_group *group);
void vwl_shm_base_changed(struct vwl_core *core);

#endif
