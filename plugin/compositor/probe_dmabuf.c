/* SPDX-License-Identifier: BSD-3-Clause */
#include <drm_fourcc.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/closer.h"
#include "compositor/probe_priv.h"
#include "linux-dmabuf-client.h"

/* What a compositor can make us remember. */
#define MAX_FORMATS 4096
#define MAX_TABLE_BYTES (65536u * 16)
#define DMABUF_VERSION 4u

static int pair_compare(const struct vwl_probe_format *a,
                        const struct vwl_probe_format *b)
{
    if (a->fourcc != b->fourcc) {
        return a->fourcc < b->fourcc ? -1 : 1;
    }
    return a->modifier < b->modifier ? -1 : a->modifier > b->modifier;
}

/* Sorted: a table names 65536 entries, each as often as its sender likes. */
static void add_pair(GArray *pairs, uint32_t fourcc, uint64_t modifier)
{
    struct vwl_probe_format pair = { fourcc, modifier };
    guint low = 0, high = pairs->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;
        int order = pair_compare(&g_array_index(pairs, struct vwl_probe_format,
                                                middle),
                                 &pair);

        if (order == 0) {
            return;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (pairs->len < MAX_FORMATS) {
        g_array_insert_val(pairs, low, pair);
    }
}

static void on_format(void *data, struct zwp_linux_dmabuf_v1 *dmabuf,
                      uint32_t fourcc)
{
    struct vwl_probe *probe = data;

    if (probe->dmabuf_version < 3) { /* later ones tell modifiers, too */
        add_pair(probe->formats, fourcc, DRM_FORMAT_MOD_INVALID);
        probe->changed = true;
    }
}

static void on_modifier(void *data, struct zwp_linux_dmabuf_v1 *dmabuf,
                        uint32_t fourcc, uint32_t high, uint32_t low)
{
    struct vwl_probe *probe = data;

    add_pair(probe->formats, fourcc, (uint64_t)high << 32 | low);
    probe->changed = true;
}

static const struct zwp_linux_dmabuf_v1_listener dmabuf_listener = {
    .format = on_format,
    .modifier = on_modifier,
};

/* Read rather than mapped: a file that shrinks would kill us. Only shared
 * memory can be read without waiting for somebody. */
static int read_table(int fd, uint32_t size, GArray *table)
{
    struct stat st;
    uint32_t done = 0;

    if (size > MAX_TABLE_BYTES || size % sizeof(struct vwl_probe_entry) != 0) {
        return -EINVAL;
    }
    if (fcntl(fd, F_GET_SEALS) < 0 || fstat(fd, &st) < 0 ||
        st.st_size < (off_t)size) {
        return -EBADF;
    }
    g_array_set_size(table, size / sizeof(struct vwl_probe_entry));
    while (done < size) {
        ssize_t n = pread(fd, (uint8_t *)(void *)table->data + done,
                          size - done, done);

        if (n == 0 || (n < 0 && errno != EINTR)) {
            g_array_set_size(table, 0);
            return n == 0 ? -ENODATA : -errno;
        }
        done += n > 0 ? (uint32_t)n : 0;
    }
    return 0;
}

static void on_table(void *data, struct zwp_linux_dmabuf_feedback_v1 *feedback,
                     int fd, uint32_t size)
{
    struct vwl_probe *probe = data;
    int err = read_table(fd, size, probe->table);

    if (err < 0) {
        log_compositor_bug(probe->log,
                           "probe: a format table of %" PRIu32 " bytes: %s",
                           size, g_strerror(-err));
    }
    vwl_closer_close(probe->closer, &fd);
}

static dev_t device_of(const struct wl_array *bytes)
{
    dev_t device = 0;

    if (bytes->size == sizeof device) {
        memcpy(&device, bytes->data, sizeof device);
    }
    return device;
}

static void on_main_device(void *data,
                           struct zwp_linux_dmabuf_feedback_v1 *feedback,
                           struct wl_array *device)
{
    ((struct vwl_probe *)data)->coming_device = device_of(device);
}

static void on_tranche_formats(void *data,
                               struct zwp_linux_dmabuf_feedback_v1 *feedback,
                               struct wl_array *indices)
{
    struct vwl_probe *probe = data;
    const uint16_t *index = indices->data;

    for (size_t i = 0; i < indices->size / sizeof *index; i++) {
        if (index[i] < probe->table->len) {
            const struct vwl_probe_entry *entry = &g_array_index(
                probe->table, struct vwl_probe_entry, index[i]);

            add_pair(probe->coming, entry->fourcc, entry->modifier);
        }
    }
}

static void on_tranche(void *data,
                       struct zwp_linux_dmabuf_feedback_v1 *feedback)
{
}

static void on_tranche_device(void *data,
                              struct zwp_linux_dmabuf_feedback_v1 *feedback,
                              struct wl_array *device)
{
}

static void on_tranche_flags(void *data,
                             struct zwp_linux_dmabuf_feedback_v1 *feedback,
                             uint32_t flags)
{
}

/* All of it replaces what was before. */
static void on_feedback_done(void *data,
                             struct zwp_linux_dmabuf_feedback_v1 *feedback)
{
    struct vwl_probe *probe = data;
    GArray *old = probe->formats;

    probe->formats = probe->coming;
    probe->coming = old;
    g_array_set_size(old, 0);
    probe->main_device = probe->coming_device;
    probe->changed = true;
}

static const struct zwp_linux_dmabuf_feedback_v1_listener feedback_listener = {
    .done = on_feedback_done,
    .format_table = on_table,
    .main_device = on_main_device,
    .tranche_done = on_tranche,
    .tranche_target_device = on_tranche_device,
    .tranche_formats = on_tranche_formats,
    .tranche_flags = on_tranche_flags,
};

void vwl_probe_forget_dmabuf(struct vwl_probe *probe)
{
    if (probe->feedback) {
        zwp_linux_dmabuf_feedback_v1_destroy(probe->feedback);
    }
    if (probe->dmabuf) {
        zwp_linux_dmabuf_v1_destroy(probe->dmabuf);
    }
    probe->feedback = NULL;
    probe->dmabuf = NULL;
    probe->dmabuf_name = probe->dmabuf_version = 0;
    probe->main_device = 0;
    g_array_set_size(probe->formats, 0);
}

void vwl_probe_bind_dmabuf(struct vwl_probe *probe, uint32_t name,
                           uint32_t version)
{
    probe->dmabuf_name = name;
    probe->dmabuf_version = version;
    probe->dmabuf = wl_registry_bind(probe->registry, name,
                                     &zwp_linux_dmabuf_v1_interface,
                                     MIN(version, DMABUF_VERSION));
    if (!probe->dmabuf) {
        return;
    }
    zwp_linux_dmabuf_v1_add_listener(probe->dmabuf, &dmabuf_listener, probe);
    if (version >= 4) {
        probe->feedback = zwp_linux_dmabuf_v1_get_default_feedback(
            probe->dmabuf);
    }
    if (probe->feedback) {
        zwp_linux_dmabuf_feedback_v1_add_listener(probe->feedback,
                                                  &feedback_listener, probe);
    }
}
