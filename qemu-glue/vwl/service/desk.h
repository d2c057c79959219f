/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: a machine on the host's desktop: its programs in the launcher, its
 * links and notifications (desktop/desktop.h), and what of that is on the bus.
 */
#ifndef VWL_SERVICE_DESK_H
#define VWL_SERVICE_DESK_H

#include "box.h"
#include "machine.h"
#include "questions.h"
#include "vwl-bus.h"

struct vwl_desk;

/* Connects to the skeleton's signals; all outlive it, but for the box in
 * vwl_desk_destroy. */
struct vwl_desk *vwl_desk_create(VwlBusMachine *skeleton, struct vwl_box *box,
                                 struct vwl_questions *questions);
void vwl_desk_destroy(struct vwl_desk *desk);

void vwl_desk_configure(struct vwl_desk *desk,
                        const struct vwl_machine *machine);

/* Its agent is there now, or has gone. */
void vwl_desk_attend(struct vwl_desk *desk, bool is_there);
void vwl_desk_frame(struct vwl_desk *desk, const struct vwl_frame *frame);

/* Removes what a machine has left on the desktop. */
void vwl_desk_forget(const char *name);

#endif
