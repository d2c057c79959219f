/*
 * Vhost-user virtio-wl device: the back-end as a plugin in this process
 *
 * Or the relay to a daemon, which looks the same.  The only place that opens a
 * shared object.  The plugin gets one end of a
 * socket pair and speaks vhost-user on it, like any back-end; shared memory
 * goes by function calls instead of messages, from the plugin's own thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "block/aio.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/thread.h"
#include "hw/virtio/vhost-user-wl.h"
#include <dlfcn.h>
#include <link.h>

/* Where it is installed: known where this is built. */
#ifndef VHOST_USER_WL_PLUGIN_DIRS
#define VHOST_USER_WL_PLUGIN_DIRS "/usr/local/lib:/usr/lib"
#endif
#define PLUGIN_DIR "vhost-user-wl"
#define PLUGIN_FILE "libvhost-user-wl.so"

/* What this file calls must be in the table. */
#define PLUGIN_SIZE_MIN endof(struct vwl_plugin, device_free)

struct VHostUserWLPlugin {
    const struct vwl_plugin *table;
    struct vwl_device *device;
    struct vwl_host host;
    char *name;
    QemuThread owner;
    VHostUserWLWindow *window;
    const VHostUserWLPluginOps *ops;
    void *opaque;
    IOThread *iothread;
    Object *gpu; /* NULL: resources have no numbers here */
};

typedef struct PluginLine {
    enum vwl_log_level level;
    char *text;
} PluginLine;

/* Next to the file that this code is in, then where it is installed. */
static char *plugin_default_path(void)
{
    g_auto(GStrv) dirs = g_strsplit(VHOST_USER_WL_PLUGIN_DIRS, ":", -1);
    Dl_info self;

    if (dladdr((void *)plugin_default_path, &self) && self.dli_fname) {
        g_autofree char *dir = g_path_get_dirname(self.dli_fname);
        char *path = g_build_filename(dir, PLUGIN_FILE, NULL);

        if (g_file_test(path, G_FILE_TEST_EXISTS)) {
            return path;
        }
        g_free(path);
    }
    for (char **dir = dirs; *dir; dir++) {
        char *path = g_build_filename(*dir, PLUGIN_DIR, PLUGIN_FILE, NULL);

        if (g_file_test(path, G_FILE_TEST_EXISTS)) {
            return path;
        }
        g_free(path);
    }
    return NULL;
}

/*
 * The dynamic linker does not see that a file was cut short within what it
 * loads, and its first use would end QEMU by a signal.  What is no such file at
 * all is left to the linker's words.
 */
static bool plugin_is_whole(const char *path)
{
    g_autoptr(GMappedFile) file = g_mapped_file_new(path, FALSE, NULL);
    gsize size = file ? g_mapped_file_get_length(file) : 0;
    const ElfW(Ehdr) *elf = size ? (void *)g_mapped_file_get_contents(file)
                                 : NULL;
    const ElfW(Phdr) * segment;

    if (size < sizeof(*elf) || memcmp(elf->e_ident, ELFMAG, SELFMAG) != 0) {
        return true;
    }
    if (elf->e_phoff % __alignof__(*segment) != 0 || elf->e_phoff > size ||
        elf->e_phnum > (size - elf->e_phoff) / sizeof(*segment)) {
        return false;
    }
    segment = (void *)((char *)elf + elf->e_phoff);
    for (unsigned i = 0; i < elf->e_phnum; i++, segment++) {
        if (segment->p_offset > size ||
            segment->p_filesz > size - segment->p_offset) {
            return false;
        }
    }
    return true;
}

/* Never unloaded: a plugin's threads may outlive its last device a little. */
QEMU_DISABLE_CFI
static const struct vwl_plugin *plugin_load(const char *given, Error **errp)
{
    g_autofree char *path = given && *given ? g_strdup(given)
                                            : plugin_default_path();
    const struct vwl_plugin *table;
    vwl_plugin_get_fn get;
    void *so;

    if (!path) {
        error_setg(errp, "vhost-user-wl: the plugin (%s) is not installed",
                   PLUGIN_FILE);
        error_append_hint(errp, "Install it, name its file with plugin=PATH, "
                                "or a daemon's socket with socket=PATH.\n");
        return NULL;
    }

    if (!plugin_is_whole(path)) {
        error_setg(errp,
                   "vhost-user-wl: the plugin '%s' is cut short: install "
                   "it again",
                   path);
        return NULL;
    }
    so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!so) {
        error_setg(errp, "vhost-user-wl: cannot load the plugin: %s",
                   dlerror());
        return NULL;
    }
    get = (vwl_plugin_get_fn)dlsym(so, VWL_PLUGIN_ENTRY);
    if (!get) {
        error_setg(errp,
                   "vhost-user-wl: '%s' is no device plugin: it lacks "
                   "the symbol %s",
                   path, VWL_PLUGIN_ENTRY);
        dlclose(so);
        return NULL;
    }

    table = get();
    if (!table || table->abi != VWL_PLUGIN_ABI) {
        error_setg(errp,
                   "vhost-user-wl: the plugin '%s' has device ABI %u, "
                   "this QEMU needs device ABI %u",
                   path, table ? table->abi : 0, VWL_PLUGIN_ABI);
        error_append_hint(errp, "Use a plugin and a QEMU device of the same "
                                "release.\n");
        return NULL;
    }
    if (table->size < PLUGIN_SIZE_MIN) {
        error_setg(errp,
                   "vhost-user-wl: the plugin '%s' has an incomplete "
                   "function table (%zu bytes, at least %zu needed)",
                   path, table->size, PLUGIN_SIZE_MIN);
        return NULL;
    }
    return table;
}

static void log_line(enum vwl_log_level level, const char *text)
{
    switch (level) {
    case VWL_LOG_ERROR:
        error_report("%s", text);
        break;
    case VWL_LOG_WARN:
        warn_report("%s", text);
        break;
    default:
        /* Only on request: QEMU's standard error is for what went wrong. */
        if (g_getenv("VWL_DEBUG")) {
            info_report("%s", text);
        }
        break;
    }
}

static void log_bh(void *opaque)
{
    PluginLine *line = opaque;

    log_line(line->level, line->text);
    g_free(line->text);
    g_free(line);
}

/* Reports name what the main thread is parsing: they are its to make. */
static void host_log(void *opaque, enum vwl_log_level level, const char *text)
{
    VHostUserWLPlugin *p = opaque;
    g_autofree char *full = g_strdup_printf("%s: %s", p->name, text);
    PluginLine *line;

    if (qemu_thread_is_self(&p->owner)) {
        log_line(level, full);
        return;
    }
    line = g_new(PluginLine, 1);
    line->level = level;
    line->text = g_steal_pointer(&full);
    aio_bh_schedule_oneshot(qemu_get_aio_context(), log_bh, line);
}

static int host_shm_map(void *opaque, int fd, uint64_t fd_offset,
                        uint64_t shm_offset, uint64_t len, int writable)
{
    VHostUserWLPlugin *p = opaque;

    return vhost_user_wl_window_map(p->window, fd, fd_offset, shm_offset, len,
                                    writable, false);
}

static int host_shm_unmap(void *opaque, uint64_t shm_offset, uint64_t len)
{
    VHostUserWLPlugin *p = opaque;
    int ret = vhost_user_wl_window_unmap(p->window, shm_offset, len);

    /* A device reset drops all, so the plugin may come late. */
    return ret == -ENOENT ? 0 : ret;
}

static int host_shm_base(void *opaque, uint64_t *gpa)
{
    VHostUserWLPlugin *p = opaque;

    return p->ops->shm_base(p->opaque, gpa) ? 0 : -EAGAIN;
}

static int host_foreign_request(void *opaque, uint32_t kind, uint64_t id,
                                int *fd)
{
    VHostUserWLPlugin *p = opaque;

    return kind == VIRTIO_WL_FOREIGN_VIRTGPU
               ? vhost_user_wl_gpu_resource(p->gpu, id, fd)
               : -EOPNOTSUPP;
}

static int host_fence_export(void *opaque, uint64_t seqno, int *fd)
{
    return vhost_user_wl_gpu_fence(seqno, fd);
}

static void host_broken(void *opaque, int err, const char *why)
{
    VHostUserWLPlugin *p = opaque;

    host_log(p, VWL_LOG_ERROR, why);
    p->ops->broken(p->opaque);
}

static VHostUserWLPlugin *plugin_alloc(const struct vwl_plugin *table,
                                       const char *name,
                                       const VHostUserWLPluginOps *ops,
                                       void *opaque)
{
    VHostUserWLPlugin *p = g_new0(VHostUserWLPlugin, 1);

    p->table = table;
    p->name = g_strdup(name);
    qemu_thread_get_self(&p->owner);
    p->ops = ops;
    p->opaque = opaque;
    p->host = (struct vwl_host){
        .size = sizeof(p->host),
        .opaque = p,
        .log = host_log,
        .shm_base = host_shm_base,
        .broken = host_broken,
    };
    return p;
}

static void plugin_set_window(VHostUserWLPlugin *p, VHostUserWLWindow *window)
{
    p->window = window;
    if (window) {
        p->host.shm_map = host_shm_map;
        p->host.shm_unmap = host_shm_unmap;
    } else {
        p->host.shm_base = NULL;
    }
}

QEMU_DISABLE_CFI
static bool plugin_make_device(VHostUserWLPlugin *p,
                               const VHostUserWLConf *conf, Error **errp)
{
    /* As in wayland-sock: a comma would have to be doubled. */
    g_autofree char *dmabufs = conf->dmabuf
                                   ? g_strdelimit(g_strdup(conf->dmabuf), ";",
                                                  ',')
                                   : NULL;
    VHostUserWLPolicy policy;
    struct vwl_config config = {
        .size = sizeof(config),
        .shm_window = p->window ? p->window->size : 0,
        .max_vfds = conf->max_vfds,
        .max_contexts = conf->max_contexts,
        .max_in_flight = conf->max_in_flight,
        .max_shm_bytes = conf->max_shm_bytes,
        .max_queued_bytes = conf->max_queued_bytes,
        .dmabufs = dmabufs,
        .poll_us = conf->poll_us,
        .name = conf->vm_name,
    };
    int ret;

    if (!vhost_user_wl_policy_init(&policy, conf, errp)) {
        vhost_user_wl_policy_finish(&policy);
        return false;
    }
    config.sockets = (void *)policy.sockets->data;
    config.n_sockets = policy.sockets->len;
    config.socket_policies = (void *)policy.policies->data;
    config.security_context = policy.security_context;
    ret = p->table->device_new(&config, &p->host, &p->device);
    vhost_user_wl_policy_finish(&policy);
    if (ret < 0) {
        error_setg_errno(errp, -ret,
                         "vhost-user-wl: the plugin (version %s) "
                         "refuses the configuration",
                         p->table->version ? p->table->version : "unknown");
        return false;
    }
    return true;
}

VHostUserWLPlugin *vhost_user_wl_plugin_new(const VHostUserWLConf *conf,
                                            const char *name,
                                            VHostUserWLWindow *window,
                                            const VHostUserWLPluginOps *ops,
                                            void *opaque, Error **errp)
{
    const struct vwl_plugin *table;
    VHostUserWLPlugin *p;
    Object *gpu = NULL;

    if (conf->gpu) {
        gpu = vhost_user_wl_gpu_find(conf->gpu, errp);
        if (!gpu) {
            return NULL;
        }
    }
    table = plugin_load(conf->plugin, errp);
    if (!table) {
        return NULL;
    }
    p = plugin_alloc(table, name, ops, opaque);
    p->iothread = conf->iothread;
    object_ref(p->iothread);
    plugin_set_window(p, window);
    if (gpu) {
        p->gpu = object_ref(gpu);
        p->host.foreign_request = host_foreign_request;
        p->host.fence_export = host_fence_export;
    }
    if (!plugin_make_device(p, conf, errp)) {
        vhost_user_wl_plugin_free(p);
        return NULL;
    }
    return p;
}

VHostUserWLPlugin *vhost_user_wl_plugin_new_daemon(
    const VHostUserWLConf *conf, const char *name,
    const VHostUserWLPluginOps *ops, void *opaque, unsigned patience_ms,
    uint64_t *size, Error **errp)
{
    struct vwl_socket socket = { "", conf->socket };
    struct vwl_config config = { .size = sizeof(config),
                                 .sockets = &socket,
                                 .n_sockets = 1 };
    VHostUserWLPlugin *p = plugin_alloc(&vhost_user_wl_relay, name, ops,
                                        opaque);
    int ret = p->table->device_new(&config, &p->host, &p->device);

    if (ret < 0) {
        error_setg_errno(errp, -ret, "vhost-user-wl: cannot make a relay");
    } else if (vhost_user_wl_relay_open(p->device, patience_ms, size, errp)) {
        return p;
    }
    vhost_user_wl_plugin_free(p);
    return NULL;
}

void vhost_user_wl_plugin_set_window(VHostUserWLPlugin *p,
                                     VHostUserWLWindow *window)
{
    p->window = window;
    vhost_user_wl_relay_set_window(p->device, window);
}

void vhost_user_wl_plugin_await(VHostUserWLPlugin *p, QEMUBH *ready)
{
    vhost_user_wl_relay_await(p->device, ready);
}

QEMU_DISABLE_CFI
int vhost_user_wl_plugin_start(VHostUserWLPlugin *p, Error **errp)
{
    GMainContext *context = NULL;
    int sv[2], ret;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0) {
        error_setg_errno(errp, errno,
                         "vhost-user-wl: cannot make a socket "
                         "pair");
        return -1;
    }
    if (p->iothread) {
        context = iothread_get_g_main_context(p->iothread);
    }
    ret = p->table->device_start(p->device, (struct _GMainContext *)context,
                                 &sv[1]);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "vhost-user-wl: the %s does not start",
                         p->table == &vhost_user_wl_relay
                             ? "relay to the daemon"
                             : "plugin");
        close(sv[0]);
        close(sv[1]);
        return -1;
    }
    return sv[0];
}

QEMU_DISABLE_CFI
void vhost_user_wl_plugin_stop(VHostUserWLPlugin *p)
{
    p->table->device_stop(p->device);
}

QEMU_DISABLE_CFI
void vhost_user_wl_plugin_free(VHostUserWLPlugin *p)
{
    if (!p) {
        return;
    }
    if (p->device) {
        p->table->device_free(p->device);
    }
    object_unref(p->iothread);
    object_unref(p->gpu);
    g_free(p->name);
    g_free(p);
}

QEMU_DISABLE_CFI
int vhost_user_wl_plugin_stats(VHostUserWLPlugin *p, struct vwl_stats *stats)
{
    if (p->table->size < endof(struct vwl_plugin, device_stats) ||
        !p->table->device_stats) {
        return -ENOSYS;
    }
    return p->table->device_stats(p->device, stats);
}

QEMU_DISABLE_CFI
bool vhost_user_wl_plugin_offers(VHostUserWLPlugin *p, unsigned protocol_bit)
{
    uint64_t offered = 0;

    if (p->table->size >= endof(struct vwl_plugin, device_features) &&
        p->table->device_features) {
        p->table->device_features(p->device, NULL, &offered);
    }
    return offered & (1ULL << protocol_bit);
}
