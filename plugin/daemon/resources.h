/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: the resource bridge of crosvm, as its client: a Unix socket on which
 * buffers and fences of the guest's virtio-gpu are had by number
 * (docs/protocol.md). One JSON value is a packet, descriptors ride along.
 * Questions are answered in their order; nothing here waits for an answer, and
 * a bridge that is gone, or sends without a question, is used no more.
 *
 * Thread: the main one, on the default context. A build without json-glib has
 * no such thing.
 */
#ifndef VWL_DAEMON_RESOURCES_H
#define VWL_DAEMON_RESOURCES_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct vwl_resources;

/* Connects. NULL with *error, which is for the user. */
struct vwl_resources *vwl_resources_create(const char *path, GError **error);
void vwl_resources_destroy(struct vwl_resources *resources); /* NULL is fine */

/* As vwl_host's foreign_request. */
int vwl_resources_request(struct vwl_resources *resources, uint32_t kind,
                          uint64_t id, int *fd);

#endif
