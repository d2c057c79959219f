/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dmabufs: what the allocators can make and the compositor takes.
 */
#include <errno.h>

#include "compositor/format.h"
#include "loop/pump_priv.h"

static bool takes_any(const struct vwl_probe *probe)
{
    unsigned int n;
    const struct vwl_format *list = vwl_format_list(&n);

    for (unsigned int i = 0; i < n; i++) {
        if (vwl_probe_takes(probe, list[i].fourcc)) {
            return true;
        }
    }
    return false;
}

int vwl_pump_buffer_offer(void *opaque)
{
    struct vwl_pump *pump = opaque;
    const struct vwl_probe *probe;
    int err;

    if (!vwl_allocators_any(pump->allocators) || !pump->scout) {
        return -EOPNOTSUPP;
    }
    if (!vwl_allocators_are_auto(pump->allocators)) {
        return 0;
    }
    err = vwl_scout_ask(pump->scout, &probe);
    if (err == 0) {
        return takes_any(probe) ? 0 : -EOPNOTSUPP;
    }
    /* no compositor is configured: whoever it is for will know */
    return err == -EINPROGRESS ? err : err == -ENOENT ? 0 : -EOPNOTSUPP;
}

int vwl_pump_buffer_alloc(void *opaque, const struct vwl_buffer_wish *wish,
                          struct vwl_buffer *out)
{
    struct vwl_pump *pump = opaque;
    const struct vwl_probe *probe;
    dev_t device = 0;

    if (vwl_scout_look(pump->scout, &probe) == 0) {
        device = vwl_probe_main_device(probe);
        if (vwl_allocators_are_auto(pump->allocators) &&
            !vwl_probe_takes(probe, wish->format)) {
            return -EINVAL;
        }
    }
    return vwl_allocators_alloc(pump->allocators, device, wish, out);
}

static void name_allocators(const struct vwl_pump *pump, GString *text)
{
    const char *name;

    g_string_append(text, "allocators");
    for (unsigned int i = 0; (name = vwl_allocators_name(pump->allocators, i));
         i++) {
        g_string_append_printf(text, " %s", name);
    }
    g_string_append(text, "\n");
}

int vwl_pump_probe(struct vwl_pump *pump, char **text)
{
    const struct vwl_probe *probe;
    int err = pump->scout ? vwl_scout_ask(pump->scout, &probe) : -ENOTCONN;
    GString *lines;
    char *host;

    if (err < 0) {
        return err == -EINPROGRESS ? -EAGAIN : err;
    }
    lines = g_string_new(NULL);
    host = vwl_probe_describe(probe);
    name_allocators(pump, lines);
    g_string_append(lines, host);
    g_free(host);
    *text = g_string_free(lines, FALSE);
    return 0;
}

void vwl_pump_probe_stats(const struct vwl_pump *pump, struct vwl_stats *stats)
{
    const struct vwl_probe *probe;

    if (!pump->scout || vwl_scout_look(pump->scout, &probe) < 0) {
        return;
    }
    stats->host_dmabuf_version = vwl_probe_dmabuf_version(probe);
    stats->host_dmabuf_formats = vwl_probe_n_formats(probe);
    stats->host_main_device = vwl_probe_main_device(probe);
    stats->host_explicit_sync = vwl_probe_explicit_sync(probe);
}
