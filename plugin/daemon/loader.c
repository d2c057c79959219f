/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader.h"

#include <dlfcn.h>
#include <string.h>

/* What this daemon calls without asking whether it is there. */
#define LEAST_SIZE \
    (G_STRUCT_OFFSET(struct vwl_plugin, device_features) + sizeof(void *))

const struct vwl_plugin *vwl_loader_load(const char *path, GError **error)
{
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct vwl_plugin *plugin;
    vwl_plugin_get_fn get;

    if (!module) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                    "cannot load the plugin: %s", dlerror());
        return NULL;
    }
    *(void **)&get = dlsym(module, VWL_PLUGIN_ENTRY);
    if (!get) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                    "%s is not a vhost-user-wl plugin: it has no symbol %s",
                    path, VWL_PLUGIN_ENTRY);
        return NULL;
    }
    plugin = get();
    if (plugin->abi != VWL_PLUGIN_ABI || plugin->size < LEAST_SIZE) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                    "%s has ABI %u (size %zu), this daemon needs ABI %u "
                    "(size %zu)",
                    path, plugin->abi, plugin->size, VWL_PLUGIN_ABI,
                    sizeof(struct vwl_plugin));
        return NULL;
    }
    return plugin;
}

const struct vwl_resources_calls *vwl_loader_load_resources(const char *path,
                                                            GError **error)
{
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct vwl_resources_calls *calls;
    vwl_resources_get_fn get;

    if (!module) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                    "--resource-bridge: cannot load its module: %s", dlerror());
        return NULL;
    }
    *(void **)&get = dlsym(module, VWL_RESOURCES_ENTRY);
    calls = get ? get() : NULL;
    if (!calls || strcmp(calls->version, VWL_VERSION) != 0) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                    "--resource-bridge: %s is not this version's module (%s)",
                    path, VWL_VERSION);
        return NULL;
    }
    return calls;
}
