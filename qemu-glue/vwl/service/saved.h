/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: the files of a machine that was saved, in its data folder: `saved`,
 * QEMU's own stream, and `saved.conf`, the QEMU and the line that it fits.
 *
 * As long as `saved` is there, the guest has not run since: it is removed
 * before the guest goes on, as its disk would no longer be that of the stream.
 */
#ifndef VWL_SERVICE_SAVED_H
#define VWL_SERVICE_SAVED_H

#include <glib.h>
#include <stdbool.h>

/* Of the stream; to_be: while it is written. */
char *vwl_saved_path(const char *name, bool to_be);

bool vwl_saved_is_there(const char *name);

/* What was written is whole, by a QEMU of that version and line. */
bool vwl_saved_keep(const char *name, const char *version, char *const *line,
                    GError **error);

/* What was written is not wanted; says in *error what QEMU said, why, or that
 * there is no room. */
void vwl_saved_give_up(const char *name, const char *why, GError **error);

/* Whether a QEMU of that version and line can go on with it. */
bool vwl_saved_fits(const char *name, const char *version, char *const *line,
                    GError **error);

bool vwl_saved_remove(const char *name, GError **error);

#endif
