/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What goes through descriptors: clipboard and drag data, either way, and
 * memory that the host hands over. A transfer outlives its client, as it would
 * without a bridge.
 */
#ifndef VWL_BRIDGE_TRANSFER_H
#define VWL_BRIDGE_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>

struct vwl_client;
struct vwl_transfer;

/* fd, the client's end of a pipe, becomes a VFD to be sent, or -errno. Takes
 * it if it returns a VFD. */
int vwl_transfer_from_client(struct vwl_client *client, int *fd);
/* What goes in its place when that is refused: a VFD that the caller closes as
 * soon as it was sent, so that the host sees the end of the transfer, as the
 * client does when fd is closed. -errno: nothing can be sent. */
int vwl_transfer_shut(struct vwl_client *client, int fd);
/* A VFD from the host becomes a descriptor for the client, or -errno. Takes it
 * if it returns one. */
int vwl_transfer_from_host(struct vwl_client *client, int *vfd);
/* A memory VFD's first size bytes, as a file of the client's own, or -errno.
 * The VFD stays the caller's. */
int vwl_transfer_copy_memory(struct vwl_client *client, int *vfd, size_t size);

/* For the bridge: moves what can be moved; whether it can be freed. */
void vwl_transfer_serve(struct vwl_transfer *transfer);
bool vwl_transfer_is_over(const struct vwl_transfer *transfer);
void vwl_transfer_forget_client(struct vwl_transfer *transfer,
                                const struct vwl_client *client);
void vwl_transfer_free(struct vwl_transfer *transfer);

#endif
