/* SPDX-License-Identifier: BSD-3-Clause */
#include "device.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/socket_list.h"
#include "exports.h"
#include "vhost-user-wl/plugin.h"

struct device {
    const struct vwl_plugin *plugin;
    struct vwl_device *device;
    struct vwl_host host;
    struct vwl_exports *exports;
    bool verbose;
};

static void on_log(void *opaque, enum vwl_log_level level, const char *line)
{
    const struct device *device = opaque;

    if (level < VWL_LOG_INFO || device->verbose) {
        fprintf(stderr, "virtio-wl-loopback: device: %s\n", line);
    }
}

/* Only the descriptor goes on: what the guest says of its layout is in its own
 * messages. */
static int on_resource(void *opaque, uint32_t id, struct vwl_resource *out)
{
    const struct device *device = opaque;
    int fd = vwl_exports_get(device->exports, id);

    if (fd < 0) {
        return fd;
    }
    out->n_planes = 1;
    out->plane[0].fd = fd;
    return 0;
}

static int on_fence(void *opaque, uint64_t seqno, int *fd)
{
    const struct device *device = opaque;
    int r = vwl_exports_get(device->exports, seqno);

    if (r < 0) {
        return r;
    }
    *fd = r;
    return 0;
}

static bool fail(GError **error, const char *what, const char *why)
{
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s: %s", what, why);
    return false;
}

/* In a build tree, the plugin that was built with this program. */
static char *default_plugin(void)
{
    char *self = g_file_read_link("/proc/self/exe", NULL);
    const char *path = VWL_PLUGIN_PATH;

    if (self != NULL) {
        char *folder = g_path_get_dirname(self);
        char *built = g_build_filename(folder, "..", "..", "..", "plugin",
                                       "libvhost-user-wl.so", NULL);

        g_free(folder);
        g_free(self);
        if (g_file_test(built, G_FILE_TEST_IS_REGULAR)) {
            return built;
        }
        g_free(built);
    }
    return g_strdup(path);
}

static bool load(struct device *device, const char *path, GError **error)
{
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    vwl_plugin_get_fn get;

    if (module == NULL) {
        return fail(error, "cannot load the plugin", dlerror());
    }
    *(void **)&get = dlsym(module, VWL_PLUGIN_ENTRY);
    if (get == NULL) {
        return fail(error, path, "not a vhost-user-wl plugin");
    }
    device->plugin = get();
    if (device->plugin->abi != VWL_PLUGIN_ABI) {
        return fail(error, path, "another ABI than this program's");
    }
    if (device->plugin->size < G_STRUCT_OFFSET(struct vwl_plugin, device_pipe) +
                                   sizeof device->plugin->device_pipe) {
        return fail(error, path, "older than this program");
    }
    return true;
}

/* One for each socket. */
static const struct vwl_socket_policy **policies_of(
    const struct device_wishes *wishes)
{
    guint n = wishes->sockets->sockets->len;
    const struct vwl_socket_policy **policies;

    policies = g_new(const struct vwl_socket_policy *, n);
    for (guint i = 0; i < n; i++) {
        policies[i] = vwl_socket_list_policy(wishes->sockets, i,
                                             wishes->policy);
    }
    return policies;
}

static bool start(struct device *device, const struct device_wishes *wishes,
                  int *fd, GError **error)
{
    const GArray *sockets = wishes->sockets->sockets;
    const struct vwl_socket_policy **policies = policies_of(wishes);
    struct vwl_config config = {
        .size = sizeof config,
        .sockets = (const struct vwl_socket *)(void *)sockets->data,
        .n_sockets = sockets->len,
        .dmabufs = wishes->dmabufs,
        .poll_us = wishes->poll_us,
        .socket_policies = policies,
    };
    int pair[2], r;

    device->host = (struct vwl_host){
        .size = sizeof device->host,
        .opaque = device,
        .log = on_log,
        .resource_export = on_resource,
        .fence_export = on_fence,
    };
    r = device->plugin->device_new(&config, &device->host, &device->device);
    g_free(policies);
    if (r < 0) {
        return fail(error, "cannot make a device", g_strerror(-r));
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return fail(error, "socketpair", "no descriptors");
    }
    r = wishes->own_thread
            ? device->plugin->device_start(device->device, NULL, &pair[1])
            : device->plugin->device_attach(device->device, &pair[1]);
    if (r < 0) {
        close(pair[0]);
        close(pair[1]);
        return fail(error, "cannot start the device", g_strerror(-r));
    }
    *fd = pair[0];
    return true;
}

struct device *device_open(const struct device_wishes *wishes, int *fd,
                           GError **error)
{
    struct device *device = g_new0(struct device, 1);
    char *path = wishes->plugin != NULL ? g_strdup(wishes->plugin)
                                        : default_plugin();

    device->verbose = wishes->verbose;
    device->exports = wishes->exports;
    if (!load(device, path, error) || !start(device, wishes, fd, error)) {
        device_close(device);
        device = NULL;
    }
    g_free(path);
    return device;
}

static void on_due(void *opaque)
{
    const struct device *device = opaque;

    device->plugin->device_dispatch(device->device, -1, 0);
}

struct vwl_inside device_inside(struct device *device)
{
    return (struct vwl_inside){
        .fd = device->plugin->device_fd(device->device),
        .run = on_due,
        .opaque = device,
    };
}

int device_pipe(void *opaque, uint32_t vfd)
{
    const struct device *device = opaque;

    return device->plugin->device_pipe(device->device, vfd);
}

void device_close(struct device *device)
{
    if (device == NULL) {
        return;
    }
    if (device->device != NULL) {
        device->plugin->device_stop(device->device);
        device->plugin->device_free(device->device);
    }
    g_free(device);
}
