/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A part of a file. Shared by the table of guest memory, which knows the files,
 * and by what makes one descriptor of several such parts.
 */
#ifndef VWL_BASE_EXTENT_H
#define VWL_BASE_EXTENT_H

#include <stdint.h>

struct vwl_extent {
    int fd; /* borrowed */
    uint64_t offset, bytes;
};

#endif
