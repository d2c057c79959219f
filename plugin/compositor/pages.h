/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One descriptor out of parts of other files, without a copy: the kernel's
 * udmabuf. Those files must be memfds that are sealed against shrinking and not
 * against writing; what is made keeps their pages, whatever becomes of the
 * files.
 *
 * Opened once, so that a process can give up the right to open anything.
 */
#ifndef VWL_COMPOSITOR_PAGES_H
#define VWL_COMPOSITOR_PAGES_H

#include "base/extent.h"

struct vwl_pages;

/* Also tries whether it works; -errno. */
int vwl_pages_open(struct vwl_pages **out);
void vwl_pages_close(struct vwl_pages *pages); /* NULL is fine */

/* Each extent in whole pages. -EINVAL: more than the kernel takes (it may say
 * less at any time), or a file that is no such memfd; other -errno. */
int vwl_pages_make(const struct vwl_pages *pages,
                   const struct vwl_extent *extents, unsigned int n, int *fd);

#endif
