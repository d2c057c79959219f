/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory: a table of regions that the front-end handed over, each
 * mapped once into this process. A table is immutable once made and counted
 * by reference, and so are its mappings: a change makes a new table that
 * shares the mappings of the old, and a chain in flight keeps the table it
 * was translated with. Nothing here blocks, logs or trusts a number: every
 * range is checked against wrap and against the region's end.
 *
 * Not thread-safe; device thread.
 */
#ifndef VWL_GUEST_MEM_H
#define VWL_GUEST_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/extent.h"

struct vwl_mem; /* may hold 0 regions */

#define VWL_MEM_MAX_REGIONS 512

/* One region as SET_MEM_TABLE and ADD_MEM_REG describe it (bytes). */
struct vwl_mem_region {
    uint64_t gpa; /* guest-physical address */
    uint64_t size;
    uint64_t uva; /* the front-end's own address of it */
    uint64_t mmap_offset;
};

/* A piece of guest memory in this process. */
struct vwl_span {
    void *base;
    size_t len;
    uint64_t gpa; /* for the dirty log */
};

struct vwl_mem *vwl_mem_new(void);
/* Of an empty table: those that are made of it keep their regions' files. */
void vwl_mem_keep_files(struct vwl_mem *mem);
struct vwl_mem *vwl_mem_ref(struct vwl_mem *mem);
void vwl_mem_unref(struct vwl_mem *mem); /* NULL is fine */

/* *out = old plus one region, mapped read-write and shared from fd (borrowed).
 * Only what a regular file, memfd or hugetlbfs file can hold is mapped:
 * -EINVAL for a size of 0, wrap of gpa/uva/offset, or a region that is longer
 * than its file; -EEXIST when it overlaps another in gpa or uva; -ENOSPC above
 * VWL_MEM_MAX_REGIONS; -errno of mmap. Descriptor flags are left alone. */
int vwl_mem_add(const struct vwl_mem *old, const struct vwl_mem_region *region,
                int fd, struct vwl_mem **out);

/* *out = old without the region of that gpa, uva and size (the offset is not
 * compared); -ENOENT. */
int vwl_mem_remove(const struct vwl_mem *old,
                   const struct vwl_mem_region *region, struct vwl_mem **out);

unsigned int vwl_mem_count(const struct vwl_mem *mem);

/* The longest piece from gpa (or uva) on, at most max bytes, that lies in one
 * region. False when gpa is in none or max is 0. */
bool vwl_mem_at_gpa(const struct vwl_mem *mem, uint64_t gpa, uint64_t max,
                    struct vwl_span *out);
bool vwl_mem_at_uva(const struct vwl_mem *mem, uint64_t uva, uint64_t max,
                    struct vwl_span *out);

/* The same, as a part of that region's file; the descriptor is borrowed. False
 * in a table without files, too. */
bool vwl_mem_file_at(const struct vwl_mem *mem, uint64_t gpa, uint64_t max,
                     struct vwl_extent *out);

#endif
