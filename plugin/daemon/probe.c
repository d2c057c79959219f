/* SPDX-License-Identifier: BSD-3-Clause */
#include "probe.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "say.h"

/* Room for what is printed: more than a compositor is remembered for. */
#define TEXT_BYTES (1024 * 1024)

#define LOOK_EVERY_MS 20
#define ALL_OF_IT_US (5 * 1000 * 1000)

static gboolean look(gpointer data)
{
    struct vwl_probe *probe = data;
    char *text = g_malloc(TEXT_BYTES);
    int n = probe->plugin->device_probe(probe->device, text, TEXT_BYTES);

    if (n == -EAGAIN && g_get_monotonic_time() < probe->until_us) {
        g_free(text);
        return G_SOURCE_CONTINUE;
    }
    if (n >= 0) {
        fputs(text, stdout);
        probe->done(probe->opaque, ferror(stdout) || fflush(stdout) != 0);
    } else {
        vwl_say("the compositor does not answer: %s", g_strerror(-n));
        probe->done(probe->opaque, 1);
    }
    g_free(text);
    return G_SOURCE_REMOVE;
}

bool vwl_probe_start(struct vwl_probe *probe, int *fd, GError **error)
{
    int sv[2];

    if (probe->plugin->size <
            G_STRUCT_OFFSET(struct vwl_plugin, device_probe) + sizeof(void *) ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                    "this plugin cannot probe");
        return false;
    }
    probe->fd = sv[1];
    probe->until_us = g_get_monotonic_time() + ALL_OF_IT_US;
    g_timeout_add(LOOK_EVERY_MS, look, probe);
    *fd = sv[0];
    return true;
}
