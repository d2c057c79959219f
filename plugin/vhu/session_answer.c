/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhu/session_private.h"

#include <stdarg.h>
#include <string.h>

void vwl_session_answer_u64(struct vwl_session_answer *answer, uint64_t value)
{
    memcpy(answer->payload, &value, sizeof value);
    answer->size = sizeof value;
}

void vwl_session_answer_body(struct vwl_session_answer *answer,
                             const void *body, uint32_t bytes)
{
    memcpy(answer->payload, body, bytes);
    answer->size = bytes;
}

int vwl_session_answer_refuse(struct vwl_session_answer *answer, int err,
                              const char *why, ...)
{
    va_list args;

    va_start(args, why);
    g_vsnprintf(answer->why, sizeof answer->why, why, args);
    va_end(args);
    return err;
}

int vwl_session_answer_errno(struct vwl_session_answer *answer, int err,
                             const char *what)
{
    return vwl_session_answer_refuse(answer, err, "%s: %s", what,
                                     g_strerror(-err));
}
