/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>

#include "guest/vq_priv.h"

int vwl_vq_fail(struct vwl_vq *vq, int err, const char *why, ...)
{
    va_list args;

    va_start(args, why);
    g_vsnprintf(vq->why, sizeof vq->why, why, args);
    va_end(args);
    return err;
}

const char *vwl_vq_why(const struct vwl_vq *vq)
{
    return vq->why[0] ? vq->why : "its front-end or driver made an error";
}
