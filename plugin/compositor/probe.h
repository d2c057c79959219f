/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a host's compositor offers: its globals, the formats and modifiers of
 * the dmabufs that it takes, the GPU that it runs on, explicit
 * synchronisation. A plain Wayland client that shows nothing and stays
 * connected, so that it hears of changes. It waits for nothing: its owner
 * polls the descriptor. Device thread.
 */
#ifndef VWL_COMPOSITOR_PROBE_H
#define VWL_COMPOSITOR_PROBE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"
#include "base/watched.h"

struct vwl_closer;
struct vwl_probe;

enum vwl_explicit_sync {
    VWL_SYNC_V1 = 1 << 0,      /* zwp_linux_explicit_synchronization_v1 */
    VWL_SYNC_SYNCOBJ = 1 << 1, /* wp_linux_drm_syncobj_manager_v1 */
};

/* Takes *fd, a connected socket. -errno. The closer is borrowed for good. */
int vwl_probe_create(int *fd, struct vwl_log *log, struct vwl_closer *closer,
                     struct vwl_probe **out);
void vwl_probe_destroy(struct vwl_probe *probe); /* NULL is fine */

/* To be watched for reading, and for writing while it wants that; then
 * dispatch. */
struct vwl_watched *vwl_probe_socket(struct vwl_probe *probe);
bool vwl_probe_wants_write(const struct vwl_probe *probe);
/* *changed: what follows says something else than before. -errno: the
 * connection is over. */
int vwl_probe_dispatch(struct vwl_probe *probe, bool *changed);

/* It has answered; before that all that follows is empty. */
bool vwl_probe_is_known(const struct vwl_probe *probe);
unsigned int vwl_probe_dmabuf_version(const struct vwl_probe *probe);
unsigned int vwl_probe_n_formats(const struct vwl_probe *probe);
dev_t vwl_probe_main_device(const struct vwl_probe *probe); /* 0: unknown */
unsigned int vwl_probe_explicit_sync(const struct vwl_probe *probe);
/* Whether it takes linear buffers of that format. */
bool vwl_probe_takes(const struct vwl_probe *probe, uint32_t fourcc);

/* Lines of text for a person; g_free. */
char *vwl_probe_describe(const struct vwl_probe *probe);

#endif
