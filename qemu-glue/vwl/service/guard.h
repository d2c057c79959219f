/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: the policy of a machine's device while it runs: which way the
 * clipboard and its like go is told to each daemon that begins, and again when
 * it changes; what has to be asked about is asked; and Look of the interface
 * Machine tells windows and figures.
 */
#ifndef VWL_SERVICE_GUARD_H
#define VWL_SERVICE_GUARD_H

#include "box.h"
#include "machine.h"
#include "questions.h"
#include "vwl-bus.h"

struct vwl_guard;

/* Connects to the skeleton's signals; all three outlive it. */
struct vwl_guard *vwl_guard_create(VwlBusMachine *skeleton, struct vwl_box *box,
                                   struct vwl_questions *questions);
void vwl_guard_destroy(struct vwl_guard *guard);

void vwl_guard_configure(struct vwl_guard *guard,
                         const struct vwl_machine *machine);

/* The machine has processes now, or none any more. */
void vwl_guard_attend(struct vwl_guard *guard, bool is_alive);

#endif
