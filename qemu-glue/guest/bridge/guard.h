/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory of files that others may cut off while it is read: the kernel says
 * so by SIGBUS. The process gets a handler for it at the first use, which
 * leaves alone what it does not know: a signal of another thread, at another
 * address or sent by somebody does what it did before.
 */
#ifndef VWL_BRIDGE_GUARD_H
#define VWL_BRIDGE_GUARD_H

#include <stdbool.h>
#include <stddef.h>

/* Calls read_it, which may be left in the middle, for good: it allocates
 * nothing and takes no lock. false: it was, since some of these bytes could
 * not be had. Not one inside another. */
bool vwl_guard(const void *bytes, size_t len, void (*read_it)(void *opaque),
               void *opaque);

#endif
