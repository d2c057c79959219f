/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pieces of guest memory as iovec arrays: cutting a range out of them, and
 * copying in and out. Lengths are the caller's; nothing here can fail, it
 * only stops at the end.
 */
#ifndef VWL_BASE_IOV_H
#define VWL_BASE_IOV_H

#include <stddef.h>
#include <sys/uio.h>

size_t vwl_iov_bytes(const struct iovec *iov, unsigned int n);

/* Describes up to max bytes after the first skip in at most cap pieces.
 * Returns the number of pieces; *bytes (may be NULL) is what they hold. */
unsigned int vwl_iov_slice(const struct iovec *iov, unsigned int n, size_t skip,
                           size_t max, struct iovec *out, unsigned int cap,
                           size_t *bytes);

/* Both return how much was copied. */
size_t vwl_iov_read(const struct iovec *iov, unsigned int n, size_t skip,
                    void *to, size_t len);
size_t vwl_iov_write(const struct iovec *iov, unsigned int n, size_t skip,
                     const void *from, size_t len);

#endif
