/* SPDX-License-Identifier: BSD-3-Clause */
#include "say.h"

#include <stdio.h>

#define LONGEST 4096 /* a path and some words */

void vwl_say(const char *format, ...)
{
    char line[LONGEST];
    va_list args;

    va_start(args, format);
    (void)g_vsnprintf(line, sizeof line, format, args);
    va_end(args);
    /* in one piece: the connector writes there, too */
    fprintf(stderr, "vhost-user-wl: %s\n", line);
}
