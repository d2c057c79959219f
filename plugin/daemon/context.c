/* SPDX-License-Identifier: BSD-3-Clause */
#include "context.h"

#include <errno.h>
#include <poll.h>
#include <time.h>

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void vwl_context_init(struct vwl_context *context,
                      const struct vwl_context_config *config, const char *path)
{
    *context = (struct vwl_context){ .config = config, .path = path };
    vwl_secctx_init(&context->secctx);
}

static int make(struct vwl_context *context)
{
    int64_t until = now_ms() + VWL_SECCTX_PATIENCE_MS, left;
    int err = -EINPROGRESS;

    while (err == -EINPROGRESS && (left = until - now_ms()) > 0) {
        struct pollfd p = { .fd = context->secctx.display.fd,
                            .events = vwl_secctx_events(&context->secctx) };

        poll(&p, 1, (int)left);
        err = vwl_secctx_run(&context->secctx);
    }
    if (err == -EINPROGRESS) {
        vwl_secctx_finish(&context->secctx);
        err = -ETIMEDOUT;
    }
    return err;
}

static int without(const struct vwl_context *context,
                   enum vwl_context_state *state, int *fd)
{
    *state = VWL_CONTEXT_MISSING;
    return context->config->mode == VWL_SECURITY_CONTEXT_REQUIRE
               ? -EPERM
               : vwl_secctx_connect_plainly(context->path, fd);
}

int vwl_context_connect(struct vwl_context *context, int *fd,
                        enum vwl_context_state *state, int *why)
{
    int err = -ECONNREFUSED;

    *state = VWL_CONTEXT_NONE;
    /* once more where the compositor has forgotten it */
    for (int i = 0; i < 2 && err == -ECONNREFUSED; i++) {
        if (vwl_secctx_is_missing(&context->secctx, context->path)) {
            return without(context, state, fd);
        }
        if (!vwl_secctx_is_made(&context->secctx, context->path)) {
            if (now_ms() < context->pause_until_ms) {
                return -EPERM;
            }
            err = vwl_secctx_start(&context->secctx, context->path,
                                   context->config->folder,
                                   context->config->names);
            if (err < 0) {
                return err;
            }
            err = make(context);
            if (err == -EOPNOTSUPP) {
                return without(context, state, fd);
            }
            if (err < 0) {
                context->pause_until_ms = now_ms() + VWL_SECCTX_PAUSE_MS;
                *state = VWL_CONTEXT_FAILED;
                *why = err;
                return -EPERM;
            }
            *state = VWL_CONTEXT_MADE;
        }
        err = vwl_secctx_connect(&context->secctx, fd);
        if (err == -ECONNREFUSED) {
            vwl_secctx_finish(&context->secctx);
        }
    }
    return err;
}
