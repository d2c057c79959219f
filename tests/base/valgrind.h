/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether valgrind runs this program. It has a limit of descriptors of its own,
 * which the kernel does not know, and one thread at a time.
 */
#ifndef TESTS_BASE_VALGRIND_H
#define TESTS_BASE_VALGRIND_H

#include <glib.h>
#include <stdbool.h>
#include <string.h>

static inline bool is_on_valgrind(void)
{
    const char *preload = g_getenv("LD_PRELOAD");

    return preload && strstr(preload, "vgpreload");
}

#endif
