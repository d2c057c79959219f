/* SPDX-License-Identifier: BSD-3-Clause */
#include <drm_fourcc.h>
#include <inttypes.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "compositor/probe_priv.h"

unsigned int vwl_probe_dmabuf_version(const struct vwl_probe *probe)
{
    return probe->dmabuf_version;
}

unsigned int vwl_probe_n_formats(const struct vwl_probe *probe)
{
    return probe->formats->len;
}

dev_t vwl_probe_main_device(const struct vwl_probe *probe)
{
    return probe->main_device;
}

unsigned int vwl_probe_explicit_sync(const struct vwl_probe *probe)
{
    unsigned int mask = 0;

    for (guint i = 0; i < probe->globals->len; i++) {
        const char *name =
            g_array_index(probe->globals, struct vwl_probe_global, i).interface;

        mask |= strcmp(name, "zwp_linux_explicit_synchronization_v1") == 0
                    ? VWL_SYNC_V1
                    : 0;
        mask |= strcmp(name, "wp_linux_drm_syncobj_manager_v1") == 0
                    ? VWL_SYNC_SYNCOBJ
                    : 0;
    }
    return mask;
}

bool vwl_probe_takes(const struct vwl_probe *probe, uint32_t fourcc)
{
    for (guint i = 0; i < probe->formats->len; i++) {
        const struct vwl_probe_format *one = &g_array_index(
            probe->formats, struct vwl_probe_format, i);

        if (one->fourcc == fourcc &&
            (one->modifier == DRM_FORMAT_MOD_LINEAR ||
             one->modifier == DRM_FORMAT_MOD_INVALID)) {
            return true;
        }
    }
    return false;
}

static void describe_format(GString *text, const struct vwl_probe_format *pair)
{
    char fourcc[5] = { 0 };

    for (unsigned int i = 0; i < 4; i++) {
        char c = (char)(pair->fourcc >> 8 * i);

        fourcc[i] = g_ascii_isprint(c) ? c : '?';
    }
    g_string_append_printf(text, "format %s modifier 0x%016" PRIx64 "%s\n",
                           fourcc, pair->modifier,
                           pair->modifier == DRM_FORMAT_MOD_LINEAR ? " (linear)"
                           : pair->modifier == DRM_FORMAT_MOD_INVALID
                               ? " (implicit)"
                               : "");
}

char *vwl_probe_describe(const struct vwl_probe *probe)
{
    GString *text = g_string_new(NULL);

    g_string_append_printf(text,
                           "linux-dmabuf version %" PRIu32 ", %u pairs "
                           "of format and modifier\n",
                           probe->dmabuf_version, probe->formats->len);
    if (probe->main_device) {
        g_string_append_printf(text, "main device %u:%u\n",
                               major(probe->main_device),
                               minor(probe->main_device));
    }
    for (guint i = 0; i < probe->formats->len; i++) {
        describe_format(text, &g_array_index(probe->formats,
                                             struct vwl_probe_format, i));
    }
    for (guint i = 0; i < probe->globals->len; i++) {
        const struct vwl_probe_global *one = &g_array_index(
            probe->globals, struct vwl_probe_global, i);
        char name[128];

        g_string_append_printf(text, "global %s %" PRIu32 "\n",
                               vwl_log_escape(one->interface,
                                              strlen(one->interface), name,
                                              sizeof name),
                               one->version);
    }
    return g_string_free(text, FALSE);
}
