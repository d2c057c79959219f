/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device ABI's face: converts sized structs to complete ones and forwards.
 */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "loop/device.h"
#include "vhost-user-wl/plugin.h"

#define EXPORT __attribute__((visibility("default")))

/* The caller's struct as one of ours: what it does not have is zero, what we
 * do not know is not looked at. */
static int complete(void *ours, size_t our_size, const void *theirs)
{
    size_t size;

    memset(ours, 0, our_size);
    if (!theirs) {
        return 0;
    }
    memcpy(&size, theirs, sizeof size);
    if (size < sizeof size) {
        return -EINVAL;
    }
    memcpy(ours, theirs, MIN(size, our_size));
    return 0;
}

static int device_new(const struct vwl_config *cfg, const struct vwl_host *host,
                      struct vwl_device **out)
{
    struct vwl_config config;
    struct vwl_host callbacks;

    if (complete(&callbacks, sizeof callbacks, host) < 0) {
        return -EINVAL; /* nobody to tell */
    }
    if (complete(&config, sizeof config, cfg) < 0 ||
        (config.n_sockets && !config.sockets)) {
        if (callbacks.log) {
            callbacks.log(callbacks.opaque, VWL_LOG_ERROR,
                          "device_new: the configuration has no size, or "
                          "sockets are counted but not given");
        }
        return -EINVAL;
    }
    return vwl_device_create(&config, &callbacks, out);
}

static int device_start(struct vwl_device *dev, struct _GMainContext *context,
                        int *fd)
{
    return vwl_device_start(dev,
                            context ? VWL_DEVICE_IN_CONTEXT
                                    : VWL_DEVICE_IN_THREAD,
                            context, fd);
}

static int device_attach(struct vwl_device *dev, int *fd)
{
    return vwl_device_start(dev, VWL_DEVICE_IN_DISPATCH, NULL, fd);
}

static int device_fd(struct vwl_device *dev)
{
    return vwl_device_fd(dev);
}

static int device_dispatch(struct vwl_device *dev, int other, int timeout_ms)
{
    return vwl_device_dispatch(dev, other, timeout_ms);
}

static void device_stop(struct vwl_device *dev)
{
    vwl_device_stop(dev);
}

static void device_free(struct vwl_device *dev)
{
    if (dev) {
        vwl_device_destroy(dev);
    }
}

static int device_suspend(struct vwl_device *dev, int on)
{
    return vwl_device_suspend(dev, on != 0);
}

static int device_stats(struct vwl_device *dev, struct vwl_stats *stats)
{
    struct vwl_stats ours;
    size_t size = stats->size;

    if (size < sizeof size) {
        return -EINVAL;
    }
    vwl_device_stats(dev, &ours);
    memset(stats, 0, size);
    memcpy(stats, &ours, MIN(size, sizeof ours));
    stats->size = size;
    return 0;
}

static void device_features(struct vwl_device *dev, uint64_t *features,
                            uint64_t *protocol_features)
{
    if (features) {
        *features = vwl_device_features(dev);
    }
    if (protocol_features) {
        *protocol_features = vwl_device_protocol_features(dev);
    }
}

static int device_probe(struct vwl_device *dev, char *text, size_t size)
{
    char *whole;
    int ret = vwl_device_probe(dev, &whole);

    if (ret == 0) {
        ret = (int)g_strlcpy(text, whole, size);
        g_free(whole);
    }
    return ret;
}

static int device_set_transfer(struct vwl_device *dev, size_t index,
                               uint32_t kind, uint32_t way)
{
    return vwl_device_set_transfer(dev, index, kind, way);
}

static int device_windows(struct vwl_device *dev, char *text, size_t size)
{
    char *whole;
    int ret = vwl_device_windows(dev, &whole);

    if (ret == 0) {
        ret = (int)g_strlcpy(text, whole, size);
        g_free(whole);
    }
    return ret;
}

static int device_pipe(struct vwl_device *dev, uint32_t vfd)
{
    return vwl_device_pipe(dev, vfd);
}

static int device_save(struct vwl_device *dev, int *fd)
{
    return vwl_device_state(dev, true, fd);
}

static int device_load(struct vwl_device *dev, int *fd)
{
    return vwl_device_state(dev, false, fd);
}

static const struct vwl_plugin plugin = {
    .size = sizeof(struct vwl_plugin),
    .abi = VWL_PLUGIN_ABI,
    .version = VWL_VERSION,
    .device_new = device_new,
    .device_start = device_start,
    .device_stop = device_stop,
    .device_free = device_free,
    .device_suspend = device_suspend,
    .device_stats = device_stats,
    .device_features = device_features,
    .device_save = device_save,
    .device_load = device_load,
    .device_probe = device_probe,
    .device_set_transfer = device_set_transfer,
    .device_windows = device_windows,
    .device_attach = device_attach,
    .device_fd = device_fd,
    .device_dispatch = device_dispatch,
    .device_pipe = device_pipe,
};

EXPORT const struct vwl_plugin *vwl_plugin_get(void)
{
    return &plugin;
}
