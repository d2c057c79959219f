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

/* No message is half sent for longer. */
#define VHOST_USER_WL_STALL_MS 10000

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

    /* The thread's, while it serves. */
    int end[N_ENDS];
    bool wants_addresses; /* the guest's driver */
    int64_t due;          /* when an answer is late; 0: none is awaited */
    WLMessage msg;        /* that is being passed on */
    WLMessage table;      /* the last one, with descriptors; or size 0 */
};

/* Any thread. */
void vhost_user_wl_relay_log(struct vwl_device *r, enum vwl_log_level level,
                             const char *format, ...) G_GNUC_PRINTF(3, 4);
/*
 * Connects, asks, and leaves r->daemon; *size: of region 0, or 0.  Any thread,
 * while no other uses the relay.
 */
int vhost_user_wl_relay_connect(struct vwl_device *r, uint64_t *size);
/* Starts the relay's thread, of which there is none. */
void vhost_user_wl_relay_begin(struct vwl_device *r, void *(*run)(void *));

#endif
