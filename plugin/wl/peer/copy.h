/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Copies of files that cannot be mapped for the guest as they are.
 */
#ifndef VWL_WL_PEER_COPY_H
#define VWL_WL_PEER_COPY_H

#include <stdbool.h>
#include <stdint.h>

/* A private, page-rounded, zero-padded, sealed copy of the first size_bytes.
 * cached_only: -EAGAIN or -EOPNOTSUPP where reading could block. */
int vwl_copy_private(int fd, uint64_t size_bytes, bool cached_only, int *copy);

#endif
