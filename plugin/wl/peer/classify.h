/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a descriptor from a host peer becomes. It may be anything, and others
 * hold the same open file: its flags and its offset are never touched, and
 * nothing that could wait for a stranger (a FUSE server, say) is done to it.
 */
#ifndef VWL_WL_PEER_CLASSIFY_H
#define VWL_WL_PEER_CLASSIFY_H

#include <stdbool.h>
#include <stdint.h>

enum vwl_fd_class {
    VWL_FD_MEMORY,      /* can be mapped as it is, for writing: sealed now */
    VWL_FD_MEMORY_COPY, /* shared memory that must be copied */
    VWL_FD_FILE_COPY,   /* another regular file: copied if in the cache */
    VWL_FD_DMABUF,      /* a device's buffer, can be mapped for writing */
    VWL_FD_EMPTY,       /* a regular file without content */
    VWL_FD_PIPE,
    VWL_FD_SOCKET,
    VWL_FD_FENCE,  /* a sync_file */
    VWL_FD_OPAQUE, /* all else: the guest gets an id that does nothing */
};

struct vwl_fd_info {
    enum vwl_fd_class class;
    uint32_t flags;      /* VIRTIO_WL_VFD_*: what its access mode allows */
    uint64_t size_bytes; /* of files */
    bool parts; /* of MEMORY_COPY: it can be written, and who writes to the copy
                   or the file is not seen in the other */
};

/* Never fails: what is unknown is opaque. */
void vwl_classify(int fd, struct vwl_fd_info *info);

#endif
