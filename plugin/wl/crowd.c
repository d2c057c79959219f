/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/crowd.h"

#include "wl/outbox/wait.h"
#include "wl/state.h"
#include "wl/vfd.h"

/* How often it looks while the queue is nearly full. */
#define LOOK_MS 100

void vwl_crowd_look(struct vwl_core *core)
{
    struct vwl_vfd *vfd;

    while ((vfd = vwl_wait_find_intruder(core))) {
        log_compositor_bug(core->log,
                           "%s 0x%" PRIx32 ": its peer does not read, %u"
                           " requests wait for that, and others need their"
                           " room; it is closed",
                           vfd->ops->name, vfd->id, vfd->n_waiting);
        vwl_vfd_hang_up(vfd);
    }
    if (vwl_wait_fills_ring(core) && vwl_list_is_empty(&core->crowd.link)) {
        vwl_timer_set(&core->timers, &core->crowd, LOOK_MS);
    }
}

void vwl_crowd_on_timer(struct vwl_timer *timer)
{
    vwl_crowd_look(vwl_list_entry(timer, struct vwl_core, crowd));
}
