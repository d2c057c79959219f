/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keeps a probe at the host's compositor (the unnamed socket): connects when
 * somebody first asks, as the core does or by way of the host, stays
 * connected, and connects anew when asked after the compositor went. Runs with
 * the gate locked.
 */
#ifndef VWL_LOOP_SCOUT_H
#define VWL_LOOP_SCOUT_H

#include <stdbool.h>

#include "base/log.h"
#include "compositor/probe.h"
#include "loop/source.h"
#include "wl/core.h"

struct vwl_scout;

/* config, host and closer outlive it. on_changed is called when vwl_scout_ask
 * would answer something else, never from within it. */
struct vwl_scout *vwl_scout_create(const struct vwl_core_config *config,
                                   const struct vwl_host *host,
                                   struct vwl_log *log, struct vwl_gate *gate,
                                   struct vwl_closer *closer,
                                   void (*on_changed)(void *opaque),
                                   void *opaque);
void vwl_scout_destroy(struct vwl_scout *scout); /* NULL is fine */

/* 0: *probe is what is known; -EINPROGRESS: on_changed follows; -ENOENT: no
 * socket is configured; other -errno: the compositor cannot be had now. */
int vwl_scout_ask(struct vwl_scout *scout, const struct vwl_probe **probe);
/* The same, but asks nobody. */
int vwl_scout_look(const struct vwl_scout *scout,
                   const struct vwl_probe **probe);

#endif
