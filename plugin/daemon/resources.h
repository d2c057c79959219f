/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: the resource bridge of crosvm, as its client: a Unix socket on which
 * buffers and fences of the guest's virtio-gpu are had by number
 * (docs/protocol.md). One JSON value is a packet, descriptors ride along.
 * Questions are answered in their order; nothing here waits for an answer, and
 * a bridge that is gone, or sends without a question, is used no more.
 *
 * It is a module of its own, loaded only where a bridge is asked for: json-glib
 * and the libraries that come with it are a quarter of an idle daemon's memory.
 * A build without json-glib has no such module.
 *
 * Thread: the main one, on the default context.
 */
#ifndef VWL_DAEMON_RESOURCES_H
#define VWL_DAEMON_RESOURCES_H

#include <glib.h>
#include <stdint.h>

struct vwl_resources;

struct vwl_resources_calls {
    const char *version; /* of the build: the daemon's own, or it is not used */
    /* Connects. NULL with *error, which is for the user. */
    struct vwl_resources *(*create)(const char *path, GError **error);
    void (*destroy)(struct vwl_resources *resources);
    /* As vwl_host's foreign_request. */
    int (*request)(struct vwl_resources *resources, uint32_t kind, uint64_t id,
                   int *fd);
};

/* All that the module exports. */
#define VWL_RESOURCES_ENTRY "vwl_resources_get"
typedef const struct vwl_resources_calls *(*vwl_resources_get_fn)(void);
const struct vwl_resources_calls *vwl_resources_get(void);

#endif
