/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: a machine as it runs: its two processes, QEMU's monitor, the serial
 * port's log and the channels to its agents.
 *
 *      OFF, FAILED --start--> STARTING --HELLO--> RUNNING <--> SAVING
 *       ^     ^                  |                   |           |
 *       |     '--QEMU ended------+-------------------+-----------+
 *       '--the guest powered off,+------ stop -------+--> STOPPING <-- saved
 *          or STOPPING and ended
 *
 * One that was saved (saved.h) is STARTING again until its agent, who has lost
 * his connection, has made a new one.
 *
 * The processes outlive the service: a box that is made for a machine whose
 * processes live takes them over, as STARTING until its agent comes again. A
 * daemon that ends while QEMU lives is started again, and the guest told by
 * QEMU that its windows have gone.
 *
 * Thread: the main context's.
 */
#ifndef VWL_SERVICE_BOX_H
#define VWL_SERVICE_BOX_H

#include <gio/gio.h>
#include <stdbool.h>

#include "link.h"

enum vwl_box_state {
    VWL_BOX_OFF,
    VWL_BOX_STARTING,
    VWL_BOX_RUNNING,
    VWL_BOX_SAVING,
    VWL_BOX_STOPPING,
    VWL_BOX_FAILED,
};

/* What there is to see; read only. Strings are never NULL. */
struct vwl_box_view {
    enum vwl_box_state state;
    const char *error, *warning, *agent, *accelerator;
    gint64 since;
    unsigned int memory; /* MiB */
};

struct vwl_box_ops {
    void (*changed)(void *data);
    void (*frame)(void *data, const struct vwl_frame *frame);
};

struct vwl_box;

/* Called once; error is NULL if it was done. */
typedef void (*vwl_box_done_fn)(void *data, const GError *error);

struct vwl_box *vwl_box_create(const char *name, const struct vwl_box_ops *ops,
                               void *data);
/* Lets go of the processes, which live on. Not while a start is under way. */
void vwl_box_destroy(struct vwl_box *box);

const char *vwl_box_name(const struct vwl_box *box);
void vwl_box_look(const struct vwl_box *box, struct vwl_box_view *view);
bool vwl_box_is_alive(const struct vwl_box *box); /* there are processes */

/* "WHAT; NEXT STEP" if the guest stands still, and nobody in it would answer;
 * else NULL. */
const char *vwl_box_waits(const struct vwl_box *box);

/* Paths of sockets; NULL: found in the environment. */
void vwl_box_start(struct vwl_box *box, const char *display, const char *sound,
                   vwl_box_done_fn done, void *data);
void vwl_box_stop(struct vwl_box *box, bool force, vwl_box_done_fn done,
                  void *data);

/* Done when it is saved and off; else it runs on. */
void vwl_box_save(struct vwl_box *box, vwl_box_done_fn done, void *data);

/* What the session's agent is told in HELLO, from its next one on: VWL_MAY_
 * bits. */
void vwl_box_set_may(struct vwl_box *box, unsigned int may);

/* Of the session's agent, or of root's; NULL while there are no processes. */
struct vwl_link *vwl_box_link(struct vwl_box *box, bool root);

#endif
