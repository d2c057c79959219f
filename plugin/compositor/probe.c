/* SPDX-License-Identifier: BSD-3-Clause */
#include "compositor/probe.h"

#include <drm_fourcc.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <wayland-client.h>
#include <xf86drm.h>

#include "base/fd.h"
#include "linux-dmabuf-client.h"

/* What a compositor can make us remember. */
#define MAX_GLOBALS 1024
#define MAX_FORMATS 4096
#define MAX_TABLE_BYTES (65536u * 16)
#define DMABUF_VERSION 4u

struct global {
    uint32_t name, version;
    char *interface;
};

struct pair {
    uint32_t fourcc;
    uint64_t modifier;
};

/* An entry of the compositor's table. */
struct table_entry {
    uint32_t fourcc, pad;
    uint64_t modifier;
};

struct vwl_probe {
    struct vwl_log *log;
    struct wl_display *display;
    struct wl_registry *registry;
    struct wl_callback *sync;
    struct zwp_linux_dmabuf_v1 *dmabuf;
    struct zwp_linux_dmabuf_feedback_v1 *feedback;
    GArray *globals; /* of struct global */
    GArray *formats; /* of struct pair */
    GArray *table;   /* of struct table_entry, the last one that came */
    GArray *coming;  /* of struct pair, of a feedback that is not done */
    dev_t main_device, coming_device;
    unsigned int rounds; /* of sync that are over */
    uint32_t dmabuf_name, dmabuf_version;
    bool wants_write, changed;
};

/* ---- formats ------------------------------------------------------------ */

static void add_pair(GArray *pairs, uint32_t fourcc, uint64_t modifier)
{
    struct pair pair = { fourcc, modifier };

    for (guint i = 0; i < pairs->len; i++) {
        const struct pair *one = &g_array_index(pairs, struct pair, i);

        if (one->fourcc == fourcc && one->modifier == modifier) {
            return;
        }
    }
    if (pairs->len < MAX_FORMATS) {
        g_array_append_val(pairs, pair);
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

    if (size > MAX_TABLE_BYTES || size % sizeof(struct table_entry) != 0) {
        return -EINVAL;
    }
    if (fcntl(fd, F_GET_SEALS) < 0 || fstat(fd, &st) < 0 ||
        st.st_size < (off_t)size) {
        return -EBADF;
    }
    g_array_set_size(table, size / sizeof(struct table_entry));
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
    close(fd);
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
            const struct table_entry *entry = &g_array_index(probe->table,
                                                             struct table_entry,
                                                             index[i]);

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

/* ---- globals ------------------------------------------------------------ */

static void forget_dmabuf(struct vwl_probe *probe)
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

static void bind_dmabuf(struct vwl_probe *probe, uint32_t name,
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

static void on_global(void *data, struct wl_registry *registry, uint32_t name,
                      const char *interface, uint32_t version)
{
    struct vwl_probe *probe = data;
    struct global global = { name, version, NULL };

    if (probe->globals->len < MAX_GLOBALS) {
        global.interface = g_strdup(interface);
        g_array_append_val(probe->globals, global);
        probe->changed = true;
    }
    if (!probe->dmabuf &&
        strcmp(interface, zwp_linux_dmabuf_v1_interface.name) == 0) {
        bind_dmabuf(probe, name, version);
    }
}

static void on_global_remove(void *data, struct wl_registry *registry,
                             uint32_t name)
{
    struct vwl_probe *probe = data;

    for (guint i = 0; i < probe->globals->len; i++) {
        if (g_array_index(probe->globals, struct global, i).name == name) {
            g_array_remove_index(probe->globals, i);
            probe->changed = true;
            break;
        }
    }
    if (probe->dmabuf && probe->dmabuf_name == name) {
        forget_dmabuf(probe);
    }
}

static const struct wl_registry_listener registry_listener = {
    .global = on_global,
    .global_remove = on_global_remove,
};

/* Once for the globals, once more for what was bound then. */
static void on_sync(void *data, struct wl_callback *sync, uint32_t serial);

static const struct wl_callback_listener sync_listener = { .done = on_sync };

static bool ask_sync(struct vwl_probe *probe)
{
    probe->sync = wl_display_sync(probe->display);
    if (probe->sync) {
        wl_callback_add_listener(probe->sync, &sync_listener, probe);
    }
    return probe->sync;
}

static void on_sync(void *data, struct wl_callback *sync, uint32_t serial)
{
    struct vwl_probe *probe = data;

    wl_callback_destroy(probe->sync);
    probe->sync = NULL;
    if (++probe->rounds < 2) {
        ask_sync(probe);
    } else {
        probe->changed = true;
    }
}

/* ---- life --------------------------------------------------------------- */

static void clear_global(gpointer data)
{
    g_free(((struct global *)data)->interface);
}

static int flush(struct vwl_probe *probe)
{
    int n = wl_display_flush(probe->display);

    probe->wants_write = n < 0 && errno == EAGAIN;
    return n < 0 && !probe->wants_write ? -errno : 0;
}

int vwl_probe_create(int *fd, struct vwl_log *log, struct vwl_probe **out)
{
    struct vwl_probe *probe;
    struct wl_display *display = wl_display_connect_to_fd(*fd);

    if (!display) {
        return -ENOMEM;
    }
    *fd = -1;
    probe = g_new0(struct vwl_probe, 1);
    probe->log = log;
    probe->display = display;
    probe->globals = g_array_new(FALSE, FALSE, sizeof(struct global));
    g_array_set_clear_func(probe->globals, clear_global);
    probe->formats = g_array_new(FALSE, FALSE, sizeof(struct pair));
    probe->coming = g_array_new(FALSE, FALSE, sizeof(struct pair));
    probe->table = g_array_new(FALSE, TRUE, sizeof(struct table_entry));
    probe->registry = wl_display_get_registry(display);
    if (!probe->registry || !ask_sync(probe)) {
        vwl_probe_destroy(probe);
        return -ENOMEM;
    }
    wl_registry_add_listener(probe->registry, &registry_listener, probe);
    if (flush(probe) < 0) {
        vwl_probe_destroy(probe);
        return -EPIPE;
    }
    *out = probe;
    return 0;
}

void vwl_probe_destroy(struct vwl_probe *probe)
{
    if (!probe) {
        return;
    }
    forget_dmabuf(probe);
    if (probe->sync) {
        wl_callback_destroy(probe->sync);
    }
    if (probe->registry) {
        wl_registry_destroy(probe->registry);
    }
    wl_display_disconnect(probe->display);
    g_array_unref(probe->globals);
    g_array_unref(probe->formats);
    g_array_unref(probe->coming);
    g_array_unref(probe->table);
    g_free(probe);
}

int vwl_probe_fd(const struct vwl_probe *probe)
{
    return wl_display_get_fd(probe->display);
}

bool vwl_probe_wants_write(const struct vwl_probe *probe)
{
    return probe->wants_write;
}

static int last_error(const struct vwl_probe *probe)
{
    int err = wl_display_get_error(probe->display);

    return err > 0 ? -err : -EPIPE;
}

int vwl_probe_dispatch(struct vwl_probe *probe, bool *changed)
{
    while (wl_display_prepare_read(probe->display) < 0) {
        if (wl_display_dispatch_pending(probe->display) < 0) {
            return last_error(probe);
        }
    }
    if (wl_display_read_events(probe->display) < 0 ||
        wl_display_dispatch_pending(probe->display) < 0 || flush(probe) < 0) {
        return last_error(probe);
    }
    *changed = probe->changed && vwl_probe_is_known(probe);
    if (*changed) {
        probe->changed = false;
    }
    return 0;
}

/* ---- what was learnt ---------------------------------------------------- */

bool vwl_probe_is_known(const struct vwl_probe *probe)
{
    return probe->rounds >= 2;
}

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
        const char *name = g_array_index(probe->globals, struct global, i)
                               .interface;

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
        const struct pair *one = &g_array_index(probe->formats, struct pair, i);

        if (one->fourcc == fourcc &&
            (one->modifier == DRM_FORMAT_MOD_LINEAR ||
             one->modifier == DRM_FORMAT_MOD_INVALID)) {
            return true;
        }
    }
    return false;
}

static void describe_format(GString *text, const struct pair *pair)
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
        describe_format(text, &g_array_index(probe->formats, struct pair, i));
    }
    for (guint i = 0; i < probe->globals->len; i++) {
        const struct global *one = &g_array_index(probe->globals, struct global,
                                                  i);
        char name[128];

        g_string_append_printf(text, "global %s %" PRIu32 "\n",
                               vwl_log_escape(one->interface,
                                              strlen(one->interface), name,
                                              sizeof name),
                               one->version);
    }
    return g_string_free(text, FALSE);
}
