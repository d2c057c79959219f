/*
 * Vhost-user virtio-wl device: the relay to a daemon, within
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_VIRTIO_VHOST_USER_WL_RELAY_H
#define HW_VIRTIO_VHOST_USER_WL_RELAY_H

#include "qemu/main-loop.h"
#include "qemu/thread.h"
#include "hw/virtio/vhost-user-wl.h"
#include "hw/virtio/vhost-user-wl-message.h"

/*
 * QEMU's main thread waits for whatever it asks a daemon, so a daemon may only
 * be so slow: that long altogether, of which a fifth of the time that passes
 * is given back.  Beyond it the connection ends, and the next one
 * is not made before half of it is there again.
 */
#define VHOST_USER_WL_PATIENCE_MS 10000
#define VHOST_USER_WL_PATIENCE_BACK 5

/* Sockets of a relay that serves. */
enum { FRONT, PEER, BACK_PEER, BACK_FRONT, N_ENDS };

struct vwl_device {
    const struct vwl_host *host;
    char *path;
    VHostUserWLWindow *window;
    uint64_t window_size; /* as the first daemon has it */
    uint64_t features;    /* protocol features that the daemon offers */
    int daemon;           /* connected, and not served yet; or -1 */

    QemuThread thread;
    bool running; /* there is a thread to join */
    int stop;     /* eventfd */
    QEMUBH *ready;

    /* How slow the daemons were: microseconds, and when they were counted. */
    int64_t waited, counted;

    /* The thread's, while it serves. */
    int end[N_ENDS];
    bool wants_addresses; /* the guest's driver */
    uint64_t acked;       /* protocol features that QEMU took */
    int64_t asked; /* when QEMU began to wait for an answer; 0: it is not */
    WLPatience patience; /* for it */
    WLMessage msg;       /* that is being passed on */
    WLMessage table;     /* the last one, with descriptors; or size 0 */
};

/*
 * Whoever uses the relay: what is left of the patience, in microseconds, after
 * more was used up.
 */
int64_t vhost_user_wl_relay_patience(struct vwl_device *r, int64_t used);
/* Any thread. */
void vhost_user_wl_relay_log(struct vwl_device *r, enum vwl_log_level level,
                             const char *format, ...) G_GNUC_PRINTF(3, 4);
/*
 * Connects, asks, and leaves r->daemon; *size: of region 0, or 0.  Any thread,
 * while no other uses the relay.  Takes as long as the patience at most.
 */
int vhost_user_wl_relay_connect(struct vwl_device *r, uint64_t *size);
/* Starts the relay's thread, of which there is none. */
void vhost_user_wl_relay_begin(struct vwl_device *r, void *(*run)(void *));

#endif
