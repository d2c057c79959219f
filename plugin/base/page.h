/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pages: the protocol's, which have 4096 bytes everywhere, and this host's,
 * which mmap asks for.
 */
#ifndef VWL_BASE_PAGE_H
#define VWL_BASE_PAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#define VWL_PAGE_BYTES 4096u

/* The next multiple of a page; 0, when there is none below 2^64. */
static inline uint64_t vwl_page_up(uint64_t bytes)
{
    return (bytes + VWL_PAGE_BYTES - 1) & ~(uint64_t)(VWL_PAGE_BYTES - 1);
}

static inline uint64_t vwl_page_down(uint64_t bytes)
{
    return bytes & ~(uint64_t)(VWL_PAGE_BYTES - 1);
}

static inline bool vwl_page_is_aligned(uint64_t bytes)
{
    return bytes % VWL_PAGE_BYTES == 0;
}

static inline uint64_t vwl_page_host_bytes(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

#endif
