/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The pump introduces the two columns to each other: it takes chains from the
 * session's virtqueues and has the core execute them, and asks the core for
 * messages while the guest has buffers for them. It owns both, and their
 * sources on one context. It interprets no byte of either protocol.
 *
 * Every function runs with the gate locked.
 */
#ifndef VWL_LOOP_PUMP_H
#define VWL_LOOP_PUMP_H

#include <glib.h>

#include "base/log.h"
#include "compositor/allocator.h"
#include "compositor/pages.h"
#include "loop/source.h"
#include "vhost-user-wl/plugin.h"
#include "vhu/session.h"
#include "wl/core.h"

struct vwl_pump;

struct vwl_pump_config {
    struct vwl_core_config core;
    struct vwl_session_config session;
    uint32_t max_in_flight;            /* 0: half of the out queue */
    uint32_t poll_us;                  /* as vwl_config's */
    struct vwl_allocators *allocators; /* outlive the pump */
    struct vwl_pages *pages;           /* so does it; NULL: there are none */
    enum vwl_security_context security_context;
    const char *name;            /* of the VM; may be NULL */
    const struct vwl_host *host; /* complete (missing slots are NULL);
                                    outlives the pump */
};

/* Offers guests to give their pages away, if the host can take them and see
 * what peers keep; else the log says why not. config->pages is to be closed. */
void vwl_pump_offer_pages(struct vwl_pump_config *config, struct vwl_log *log);

/* Takes *fd, the front-end's socket; its sources are the gate's. -errno. */
int vwl_pump_create(const struct vwl_pump_config *config, struct vwl_log *log,
                    struct vwl_gate *gate, int *fd, struct vwl_pump **out);

/* Closes everything; no callback comes from it. */
void vwl_pump_destroy(struct vwl_pump *pump);

void vwl_pump_suspend(struct vwl_pump *pump, bool on);

/* Saves to *fd or loads from it, which is taken; host->state_done tells how it
 * ended if by_host. -EBUSY: rings run. */
int vwl_pump_state_start(struct vwl_pump *pump, bool save, bool by_host,
                         int *fd);

/* What the compositor offers, as lines of text (g_free). -EAGAIN: it was asked;
 * other -errno: it cannot be had. */
int vwl_pump_probe(struct vwl_pump *pump, char **text);

/* Appends the guest's windows, as vwl_filter_windows does. */
void vwl_pump_windows(const struct vwl_pump *pump, GString *lines);
/* As vwl_core_pipe; -ENOTCONN: the front-end is gone. */
int vwl_pump_pipe(struct vwl_pump *pump, uint32_t vfd);

/* Adds to the counters of *stats and sets its gauges. */
void vwl_pump_stats(const struct vwl_pump *pump, struct vwl_stats *stats);

#endif
