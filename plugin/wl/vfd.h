/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Virtual file descriptors: the id space, what every kind has in common, and
 * what follows for a VFD from what its queues say. Two id ranges: the guest's
 * (bit 30 clear) and ours, which count up. What a kind alone has stands in its
 * file in kinds/.
 */
#ifndef VWL_WL_VFD_H
#define VWL_WL_VFD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/list.h"
#include "vhost-user-wl/virtio_wl.h"
#include "wl/image.h"
#include "wl/outbox/outbox.h"
#include "wl/peer/peer.h"
#include "wl/timer.h"

struct vwl_buffer;
struct vwl_core;
struct vwl_fd_info;
struct vwl_filter;
struct vwl_request;
struct vwl_vfd;

/*
 * What the guest knows of it:
 *
 *     UNTOLD ---- its NEW is answered, or a VFD_NEW delivered ----> KNOWN
 *        |                                                            |
 *        +--------> CLOSED <-- CLOSE, reset, the creation failed -----+
 *
 * Until CLOSED it has an id. A CLOSED one is freed at once, or lingers until
 * its outbox is empty, nobody takes that, or too many linger.
 */
enum vwl_vfd_life {
    VWL_VFD_UNTOLD,
    VWL_VFD_KNOWN,
    VWL_VFD_CLOSED,
};

/*
 * What comes from its host peer:
 *
 *     UNREADY --- made, and its message queued ---> OPEN
 *        |                                            |
 *        +------------> ENDED <-- its VFD is closed --+
 *                         |                           |
 *      a snapshot's peer --> HUNG <-- end, error -----+
 *
 * OPEN: it is read when the guest has room and nothing pauses it. ENDED:
 * nothing more is read. HUNG: neither, and VFD_HUP is queued or was delivered.
 */
enum vwl_vfd_in {
    VWL_IN_UNREADY,
    VWL_IN_OPEN,
    VWL_IN_ENDED,
    VWL_IN_HUNG,
};

enum vwl_pause {
    VWL_PAUSE_GROUP = 1 << 0, /* a message of it waits for its mappings */
    VWL_PAUSE_SHARE = 1 << 1, /* its reader keeps too many buffers */
    VWL_PAUSE_QUEUE = 1 << 2, /* too much is held back for the guest */
    VWL_PAUSE_STILL = 1 << 3, /* the guest stands still */
};

/* What the guest is told of a VFD that is made. */
struct vwl_vfd_words {
    uint32_t flags;
    uint64_t pfn;                    /* "none" unless the kind says more */
    const struct vwl_buffer *layout; /* of a dmabuf; NULL */
};

/* What a snapshot may have of a kind, and how it gets there. */
struct vwl_vfd_saved {
    enum vwl_image_kind kind;
    uint32_t flags; /* that it may have */
    uint32_t bits;  /* that it may have, beside KNOWN and HUNG */
    bool has_data;
    bool hangs_up; /* unless UNSENT: its peer is gone after a restore */
    /* Fills in bits, answered_flags and offset; may be NULL. */
    void (*describe)(const struct vwl_vfd *vfd, struct vwl_image *image);
    /* Puts what lies in it on its way to a reader, and leaves it there; may be
     * NULL. */
    int (*data)(const struct vwl_vfd *vfd, const struct vwl_image_sink *sink);
    /* The file of its memory, borrowed; -1: it is gone. NULL: never has any. */
    int (*file)(const struct vwl_vfd *vfd);
    /* Takes what is its of the image; may be NULL. */
    int (*restore)(struct vwl_vfd *vfd, struct vwl_image *image);
};

struct vwl_vfd_ops {
    const char *name;
    size_t bytes;     /* of the struct that a vwl_vfd is the beginning of */
    int send_refusal; /* -errno of a SEND to it; 0: it takes data */
    /* A connection: VFDs travel through it, its messages announce others, and
     * its peer sees its end even if somebody else holds the socket. */
    bool is_context;
    bool writes_alone; /* WRITE alone: an error is all that tells the end */

    /* Only initialises what it has of its kind; free undoes the rest of its
     * life. Both may be NULL. */
    void (*init)(struct vwl_vfd *vfd);
    void (*free)(struct vwl_vfd *vfd);
    /* It is closed or hung up: waits and watches of its own end. May be
     * NULL. */
    void (*finish)(struct vwl_vfd *vfd);

    /* The answer to its request; NULL: guests make none. */
    void (*answer)(const struct vwl_vfd *vfd, struct vwl_vfd_words *words);
    /* A VFD_NEW to the guest; NULL: its flags, where drivers know them. */
    void (*announce)(const struct vwl_vfd *vfd, struct vwl_vfd_words *words);
    /* A host peer sent this: takes *fd. 0; -EINPROGRESS: its memory is settled
     * later; other -errno: it cannot be had. NULL: peers send none. *copied:
     * bytes that were copied for one message. */
    int (*adopt)(struct vwl_vfd *vfd, int *fd, const struct vwl_fd_info *info,
                 uint64_t *copied);

    /* Reads one message, straight into the buffer if it can: its length; 0:
     * nothing now, or it was queued. NULL: nothing to read. */
    ssize_t (*receive)(struct vwl_vfd *vfd, const struct iovec *buffer,
                       unsigned int n_buffer);
    /* Reads the bytes of several messages: how many; 0: as above. NULL: it has
     * only one at a time. */
    ssize_t (*read)(struct vwl_vfd *vfd, const struct iovec *iov,
                    unsigned int n_iov);
    /* The descriptor that stands for it in a SEND, borrowed; -1: none. */
    int (*fd_to_send)(const struct vwl_vfd *vfd);
    /* Its filter let something pass to the guest, or ended the connection
     * (err). NULL: it never has one. */
    void (*filtered)(struct vwl_vfd *vfd, int err);
    /* It was sent. May be NULL. */
    void (*sent)(struct vwl_vfd *vfd);
    /* The core's out set has these events for it. NULL: vwl_vfd_on_peer. */
    void (*on_ready)(struct vwl_vfd *vfd, uint32_t events);

    struct vwl_vfd_saved saved;
};

struct vwl_vfd {
    struct vwl_core *core;
    const struct vwl_vfd_ops *ops;
    uint32_t id;
    uint32_t flags; /* VIRTIO_WL_VFD_WRITE, _READ, _FENCE: what it can do */
    uint64_t size_bytes; /* as the guest is told; 0 of what has no memory */
    enum vwl_vfd_life life;
    enum vwl_vfd_in in;

    /* its host peer */
    int fd;                /* -1: none */
    enum vwl_peer_how how; /* to move bytes through fd */
    int send_fd;           /* memory, or the other end of a pipe; -1: none */
    bool send_broken;      /* nothing more is sent */
    bool is_wide;          /* counted in vwl_core.n_wide */
    bool in_watched;       /* in the core's in set */
    uint32_t out_watched;  /* in its out set: 0, or epoll events */
    unsigned int pause;    /* mask of enum vwl_pause */
    int ready_slot;        /* in vwl_ready.vfds; -1 */
    bool answers;          /* it spoke next after it was sent something */
    bool had_more;       /* its filter's: the last read was all it asked for */
    uint8_t fills;       /* buffers at once, as far as is known; or 0 */
    struct vwl_list all; /* in vwl_core.contexts, or .others */
    struct vwl_list paused; /* in a list of those that wait to be read */

    /* towards the guest */
    struct vwl_list messages; /* of vwl_message.of_vfd */
    struct vwl_list lends;    /* of vwl_lend.of_vfd */
    unsigned int n_lent;

    /* towards the peer */
    struct vwl_filter *filter; /* NULL: bytes pass unread */
    struct vwl_outbox outbox;
    struct vwl_request *first_wait, *last_wait;
    unsigned int n_waiting;
    uint64_t still_since;      /* its peer took nothing: in others' requests */
    uint64_t still_since_us;   /* and by the clock, if too many wait */
    struct vwl_list waiting;   /* in vwl_core.waiting */
    struct vwl_list lingering; /* in vwl_core.lingering */

    /* NULL when its creation is answered, or nobody asked for it */
    struct vwl_request *creating;
    struct vwl_timer timer; /* of its creation; then of its lingering */
};

/* UNTOLD, with this id. -ENOSPC: too many. */
int vwl_vfd_create(struct vwl_core *core, const struct vwl_vfd_ops *ops,
                   uint32_t id, struct vwl_vfd **out);
/* The same without a limit: for one of many that were counted before. */
int vwl_vfd_make(struct vwl_core *core, const struct vwl_vfd_ops *ops,
                 uint32_t id, struct vwl_vfd **out);
/* The same with an id of ours. */
int vwl_vfd_create_host(struct vwl_core *core, const struct vwl_vfd_ops *ops,
                        struct vwl_vfd **out);
/* Before anything waits for it, its memory turned out not to be usable: it
 * becomes one of a simpler kind, and still has an id. */
void vwl_vfd_change_kind(struct vwl_vfd *vfd, const struct vwl_vfd_ops *ops);

/* What the guest may name; NULL: nothing. */
struct vwl_vfd *vwl_vfd_find(struct vwl_core *core, uint32_t id);
/* Whatever has this id; NULL. */
struct vwl_vfd *vwl_vfd_lookup(const struct vwl_core *core, uint32_t id);

/* The guest names it no more: its waiting requests end with ERR, its queued
 * messages go. at_once: what is in its outbox goes, too. */
void vwl_vfd_close(struct vwl_vfd *vfd, bool at_once);
/* It does not linger any more. */
void vwl_vfd_end_linger(struct vwl_vfd *vfd);

/* From now on it is read: UNREADY no more. */
void vwl_vfd_open(struct vwl_vfd *vfd);
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
/* Its filter may have let something pass to the guest, or has ended the
 * connection (err: -EPROTO). Nothing without a filter. */
void vwl_vfd_look_at_filter(struct vwl_vfd *vfd, int err);
/* Its peer can take something, or is gone. May free it. */
void vwl_vfd_feed(struct vwl_vfd *vfd);
void vwl_vfd_on_peer(struct vwl_vfd *vfd, uint32_t events);
/* A request that names a VFD which is still being made waits until it is. As
 * vwl_vfd_wait; -EBUSY: too many wait. */
int vwl_vfd_park(struct vwl_vfd *vfd, struct vwl_request *request);
/* A request waits for its turn, with its waits_on. -EINPROGRESS; -EPIPE: there
 * is no room for it, and the VFD was hung up. */
int vwl_vfd_wait(struct vwl_vfd *vfd, struct vwl_request *request);

/* No more data comes from it: VFD_HUP, once. */
void vwl_vfd_in_end(struct vwl_vfd *vfd);
/* It is cut off: waiting requests end with ERR, VFD_HUP, its peer sees the
 * end. */
void vwl_vfd_hang_up(struct vwl_vfd *vfd);

/* What every creation ends with. 0: it is answered; -EINPROGRESS: later;
 * other -errno: it is gone. Returns err. */
int vwl_vfd_created(struct vwl_vfd *vfd, struct vwl_request *request, int err);
/* A request waits for it to be made. -EBUSY: too many requests wait. */
int vwl_vfd_creation_wait(struct vwl_vfd *vfd, struct vwl_request *request);
/* What waited is over: it is made (0), or it is not and gone after this. */
void vwl_vfd_creation_end(struct vwl_vfd *vfd, int err);

#endif
