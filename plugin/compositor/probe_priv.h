/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between the probe's files alone: probe.c talks to the compositor,
 * probe_dmabuf.c collects what its linux-dmabuf says, probe_view.c answers from
 * that.
 */
#ifndef VWL_COMPOSITOR_PROBE_PRIV_H
#define VWL_COMPOSITOR_PROBE_PRIV_H

#include <glib.h>

#include "compositor/probe.h"

struct vwl_probe_global {
    uint32_t name, version;
    char *interface;
};

struct vwl_probe_format {
    uint32_t fourcc;
    uint64_t modifier;
};

/* An entry of the compositor's table. */
struct vwl_probe_entry {
    uint32_t fourcc, pad;
    uint64_t modifier;
};

struct vwl_probe {
    struct vwl_log *log;
    struct vwl_closer *closer;
    struct wl_display *display;
    struct vwl_watched socket; /* the display's */
    struct wl_registry *registry;
    struct wl_callback *sync;
    struct zwp_linux_dmabuf_v1 *dmabuf;
    struct zwp_linux_dmabuf_feedback_v1 *feedback;
    GArray *globals; /* of struct vwl_probe_global */
    GArray *formats; /* of struct vwl_probe_format */
    GArray *table;   /* of struct vwl_probe_entry, the last one that came */
    GArray *
        coming; /* of struct vwl_probe_format, of a feedback that is not done */
    dev_t main_device, coming_device;
    unsigned int rounds; /* of sync that are over */
    uint32_t dmabuf_name, dmabuf_version;
    bool wants_write, changed;
};

/* ---- probe_dmabuf.c ---- */

void vwl_probe_bind_dmabuf(struct vwl_probe *probe, uint32_t name,
                           uint32_t version);
void vwl_probe_forget_dmabuf(struct vwl_probe *probe);

#endif
