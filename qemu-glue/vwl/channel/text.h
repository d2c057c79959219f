/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Text of a machine, made fit to be shown: every string from outside passes
 * here before it reaches a terminal, a file, a bus or a log.
 */
#ifndef VWL_CHANNEL_TEXT_H
#define VWL_CHANNEL_TEXT_H

#include <stddef.h>

/*
 * A copy (g_free) of at most max characters: UTF-8, white space of any kind
 * and length as one blank, none at the ends. What nobody sees or what changes
 * the rest stands as U+FFFD: controls, invisible and directional characters,
 * private ones, and bytes that are not UTF-8. text may be NULL.
 */
char *vwl_text(const char *text, size_t max);

#endif
