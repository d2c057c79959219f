/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to wl/: what one core holds. Everything points up to it; nothing is
 * global.
 */
#ifndef VWL_WL_STATE_H
#define VWL_WL_STATE_H

#include <glib.h>
#include <inttypes.h>

#include "base/list.h"
#include "wl/core.h"
#include "wl/inbox/messages.h"
#include "wl/inbox/ready.h"
#include "wl/inbox/share.h"
#include "wl/kinds/channels.h"
#include "wl/kinds/ctx_ask.h"
#include "wl/memory/held.h"
#include "wl/memory/map.h"
#include "wl/outbox/foreign.h"
#include "wl/peer/peer.h"
#include "wl/timer.h"

struct vwl_core {
    struct vwl_core_config config; /* sockets are our copy */
    const struct vwl_core_ops *ops;
    void *opaque;
    struct vwl_log *log;

    uint64_t features;
    bool has_shm;
    unsigned int in_flight_limit; /* all together */
    unsigned int in_flight_most;  /* if one of them has too many */
    unsigned int ring_entries;    /* descriptors of the out queue */

    struct vwl_watched in, out; /* epoll sets of what watch.h says */
    struct vwl_bounce bounce;
    uint8_t *scratch; /* of those that read much through a filter; NULL */
    struct vwl_timers timers;
    struct vwl_closer *closer;
    struct vwl_closer *syncer; /* of dmabufs: what closes holds up none */
    struct vwl_foreigns foreigns;
    struct vwl_asks asks;
    struct vwl_channels channels;
    int64_t objects_bytes; /* of what filters know of objects */
    GHashTable *refused;   /* rows of policies' tables that the log has named */

    GHashTable *vfds; /* id: struct vwl_vfd */
    /* of vwl_vfd.all: the same, so that a reset needs no memory */
    struct vwl_list contexts, others;
    uint32_t next_host_id;
    unsigned int n_vfds;     /* lingering ones too */
    unsigned int peak_vfds;  /* since memory was last given back */
    unsigned int n_contexts; /* lingering ones too */
    unsigned int n_dmabufs;
    unsigned int n_pages;      /* VFDs of the guest's own pages */
    uint64_t pages_bytes;      /* in these */
    unsigned int n_wide;       /* pipes that have more than the usual memory */
    struct vwl_list waiting;   /* of vwl_vfd.waiting: requests wait there */
    struct vwl_list lingering; /* of vwl_vfd.lingering, oldest first */
    unsigned int n_lingering;
    unsigned int n_creating;      /* VFDs whose NEW is not answered yet */
    struct vwl_request *released; /* waited for one of those: to be done now */
    unsigned int in_flight;       /* requests that wait */
    uint64_t waiting_entries; /* descriptors of those that wait for a peer */
    struct vwl_timer crowd;   /* set while they fill the queue */
    uint64_t next_number;     /* of a request that waits */
    uint64_t outbox_bytes;    /* in all outboxes */

    struct vwl_messages messages;
    struct vwl_ready ready;
    struct vwl_share share;
    struct vwl_list queue_paused; /* of vwl_vfd.paused: too much is queued */
    struct vwl_list still; /* of vwl_vfd.paused: the guest stands still */

    struct vwl_maps maps;
    struct vwl_list base_waiters;   /* of vwl_memory.waiter */
    struct vwl_list buffer_waiters; /* of vwl_memory.waiter, too */
    bool base_is_missing; /* one wait timed out: none waits until a change */
    uint64_t shm_bytes;   /* of VFDs */
    struct vwl_held held; /* closed VFDs' */
    int anchor_fd;

    struct vwl_stats counters;
};

static inline bool vwl_core_has(const struct vwl_core *core, int feature)
{
    return core->features >> feature & 1;
}

/* What max_shm_bytes leaves; a snapshot may have brought more. */
static inline uint64_t vwl_core_shm_left(const struct vwl_core *core)
{
    return core->config.max_shm_bytes -
           MIN(core->shm_bytes + core->held.bytes, core->config.max_shm_bytes);
}

#endif
