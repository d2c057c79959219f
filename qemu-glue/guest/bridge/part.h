/* SPDX-License-Identifier: BSD-3-Clause */
/* What a handler or speaker keeps for each client that needs it, so that the
 * client need not know of any. */
#ifndef VWL_BRIDGE_PART_H
#define VWL_BRIDGE_PART_H

#include <glib.h>

struct vwl_client;

struct vwl_part {
    size_t size; /* zeroed at first */
    /* Each may be NULL. */
    void (*begin)(void *part);
    /* After what came from the host was dealt with. */
    void (*serve)(struct vwl_client *client, void *part);
    /* All objects are gone. */
    void (*finish)(struct vwl_client *client, void *part);
};

/* The client's part of this kind, made if need be. */
void *vwl_part_of(struct vwl_client *client, const struct vwl_part *kind);

/* For the client. */
GArray *vwl_parts_new(void);
void vwl_parts_serve(struct vwl_client *client);
void vwl_parts_finish(struct vwl_client *client);

#endif
