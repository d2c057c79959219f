/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The layouts of version 1 of the device ABI, written out once more: a plugin
 * or a host that was compiled before must find every member where it was. It
 * compiles, or the ABI was broken. Never change a line of this.
 */
#include "abi-v1.h"

#include "vhost-user-wl/plugin.h"

struct v1_socket {
    const char *name, *path;
};

struct v1_config {
    size_t size;
    const struct v1_socket *sockets;
    size_t n_sockets;
    uint64_t shm_window;
    uint32_t max_vfds, max_contexts, max_in_flight, reserved;
    uint64_t max_shm_bytes, max_queued_bytes;
    uint64_t features_off, protocol_features_off, protocol_features_on;
};

struct v1_config_dmabufs { /* and what was added to it */
    struct v1_config before;
    const char *dmabufs;
};

struct v1_resource {
    size_t size;
    uint32_t width, height, drm_format, n_planes;
    uint64_t modifier;
    struct {
        int fd;
        uint32_t offset, stride;
    } plane[4];
};

struct v1_host {
    size_t size;
    void *opaque;
    void (*log)(void *, enum vwl_log_level, const char *);
    int (*shm_map)(void *, int, uint64_t, uint64_t, uint64_t, int);
    int (*shm_unmap)(void *, uint64_t, uint64_t);
    int (*shm_base)(void *, uint64_t *);
    int (*resource_export)(void *, uint32_t, struct v1_resource *);
    int (*fence_export)(void *, uint64_t, int *);
    void (*disconnected)(void *);
    void (*broken)(void *, int, const char *);
};

struct v1_host_connect { /* and what was added to it */
    struct v1_host before;
    int (*socket_connect)(void *, size_t, int *);
};

struct v1_host_state {
    struct v1_host_connect before;
    void (*state_done)(void *, int);
};

struct v1_host_foreign {
    struct v1_host_state before;
    int (*foreign_request)(void *, uint32_t, uint64_t, int *);
};

struct v1_stats {
    size_t size;
    uint64_t vfds, contexts, shm_bytes, shm_mappings, in_flight, queued_bytes;
    uint64_t requests, refused, messages, sent_bytes, received_bytes, hangups;
    uint64_t resets, sessions;
};

struct v1_plugin {
    size_t size;
    uint32_t abi, reserved;
    const char *version;
    int (*device_new)(const struct v1_config *, const struct v1_host *,
                      struct vwl_device **);
    int (*device_start)(struct vwl_device *, struct _GMainContext *, int *);
    void (*device_stop)(struct vwl_device *);
    void (*device_free)(struct vwl_device *);
    int (*device_suspend)(struct vwl_device *, int);
    int (*device_stats)(struct vwl_device *, struct v1_stats *);
    void (*device_features)(struct vwl_device *, uint64_t *, uint64_t *);
};

struct v1_plugin_state { /* and what was added to it */
    struct v1_plugin before;
    int (*device_save)(struct vwl_device *, int *);
    int (*device_load)(struct vwl_device *, int *);
};

struct v1_plugin_probe {
    struct v1_plugin_state before;
    int (*device_probe)(struct vwl_device *, char *, size_t);
};

struct v1_plugin_windows {
    struct v1_plugin_probe before;
    int (*device_set_transfer)(struct vwl_device *, size_t, uint32_t, uint32_t);
    int (*device_windows)(struct vwl_device *, char *, size_t);
};

struct v1_plugin_dispatch {
    struct v1_plugin_windows before;
    int (*device_attach)(struct vwl_device *, int *);
    int (*device_fd)(struct vwl_device *);
    int (*device_dispatch)(struct vwl_device *, int, int);
};

struct v1_plugin_pipe {
    struct v1_plugin_dispatch before;
    int (*device_pipe)(struct vwl_device *, uint32_t);
};

struct v1_stats_dmabufs {
    struct v1_stats before;
    uint64_t dmabufs, host_dmabuf_version, host_dmabuf_formats;
    uint64_t host_main_device, host_explicit_sync;
};

#define SAME(s, f)                                           \
    _Static_assert(offsetof(struct v1_##s, f) ==             \
                           offsetof(struct vwl_##s, f) &&    \
                       sizeof(((struct v1_##s *)0)->f) ==    \
                           sizeof(((struct vwl_##s *)0)->f), \
                   #s "." #f " moved")
#define GREW(s) \
    _Static_assert(sizeof(struct v1_##s) <= sizeof(struct vwl_##s), #s)
SAME(socket, name);
SAME(socket, path);
_Static_assert(sizeof(struct v1_socket) == sizeof(struct vwl_socket), "final");
SAME(config, size);
SAME(config, sockets);
SAME(config, n_sockets);
SAME(config, shm_window);
SAME(config, max_vfds);
SAME(config, max_contexts);
SAME(config, max_in_flight);
SAME(config, max_shm_bytes);
SAME(config, max_queued_bytes);
SAME(config, features_off);
SAME(config, protocol_features_off);
SAME(config, protocol_features_on);
GREW(config);
struct v1_config_poll {
    struct v1_config_dmabufs before;
    uint32_t poll_us, reserved_2;
};
struct v1_config_context {
    struct v1_config_poll before;
    const char *name;
    uint32_t security_context, reserved_3;
};
_Static_assert(offsetof(struct v1_config_context, name) ==
                       offsetof(struct vwl_config, name) &&
                   offsetof(struct v1_config_context, security_context) ==
                       offsetof(struct vwl_config, security_context),
               "moved");
_Static_assert(offsetof(struct v1_config_poll, poll_us) ==
                   offsetof(struct vwl_config, poll_us),
               "moved");
_Static_assert(offsetof(struct v1_config_dmabufs, dmabufs) ==
                   offsetof(struct vwl_config, dmabufs),
               "moved");
SAME(resource, size);
SAME(resource, width);
SAME(resource, height);
SAME(resource, drm_format);
SAME(resource, n_planes);
SAME(resource, modifier);
SAME(resource, plane);
GREW(resource);
SAME(host, size);
SAME(host, opaque);
SAME(host, log);
SAME(host, shm_map);
SAME(host, shm_unmap);
SAME(host, shm_base);
SAME(host, resource_export);
SAME(host, fence_export);
SAME(host, disconnected);
SAME(host, broken);
GREW(host);
_Static_assert(offsetof(struct v1_host_connect, socket_connect) ==
                   offsetof(struct vwl_host, socket_connect),
               "moved");
SAME(stats, size);
SAME(stats, vfds);
SAME(stats, contexts);
SAME(stats, shm_bytes);
SAME(stats, shm_mappings);
SAME(stats, in_flight);
SAME(stats, queued_bytes);
SAME(stats, requests);
SAME(stats, refused);
SAME(stats, messages);
SAME(stats, sent_bytes);
SAME(stats, received_bytes);
SAME(stats, hangups);
SAME(stats, resets);
SAME(stats, sessions);
GREW(stats);
SAME(plugin, size);
SAME(plugin, abi);
SAME(plugin, version);
SAME(plugin, device_new);
SAME(plugin, device_start);
SAME(plugin, device_stop);
SAME(plugin, device_free);
SAME(plugin, device_suspend);
SAME(plugin, device_stats);
SAME(plugin, device_features);
GREW(plugin);
_Static_assert(offsetof(struct v1_host_state, state_done) ==
                   offsetof(struct vwl_host, state_done),
               "moved");
_Static_assert(offsetof(struct v1_host_foreign, foreign_request) ==
                   offsetof(struct vwl_host, foreign_request),
               "moved");
struct v1_host_transfer {
    struct v1_host_foreign before;
    int (*transfer_request)(void *, size_t, uint32_t, uint32_t, int *);
};
_Static_assert(offsetof(struct v1_host_transfer, transfer_request) ==
                   offsetof(struct vwl_host, transfer_request),
               "moved");
struct v1_host_again {
    struct v1_host_transfer before;
    int (*socket_connect_again)(void *, size_t, int);
};
struct v1_host_open {
    struct v1_host_again before;
    int (*socket_open)(void *, size_t, int *);
};

_Static_assert(offsetof(struct v1_host_open, socket_open) ==
                   offsetof(struct vwl_host, socket_open),
               "moved");
_Static_assert(offsetof(struct v1_host_again, socket_connect_again) ==
                   offsetof(struct vwl_host, socket_connect_again),
               "moved");
struct v1_config_policies {
    struct v1_config_context before;
    const void *socket_policies;
};
_Static_assert(offsetof(struct v1_config_policies, socket_policies) ==
                   offsetof(struct vwl_config, socket_policies),
               "moved");
struct v1_socket_policy {
    size_t size;
    uint32_t kind, clipboard, primary, drag;
    const char *allow, *deny, *title_prefix, *app_id_prefix, *file;
    uint32_t max_message_bytes, max_objects, max_registries, max_surfaces;
    uint32_t max_buffers, max_pools, max_buffer_side, reserved;
};
SAME(socket_policy, size);
SAME(socket_policy, kind);
SAME(socket_policy, clipboard);
SAME(socket_policy, primary);
SAME(socket_policy, drag);
SAME(socket_policy, allow);
SAME(socket_policy, deny);
SAME(socket_policy, title_prefix);
SAME(socket_policy, app_id_prefix);
SAME(socket_policy, file);
SAME(socket_policy, max_message_bytes);
SAME(socket_policy, max_objects);
SAME(socket_policy, max_registries);
SAME(socket_policy, max_surfaces);
SAME(socket_policy, max_buffers);
SAME(socket_policy, max_pools);
SAME(socket_policy, max_buffer_side);
GREW(socket_policy);
_Static_assert(offsetof(struct v1_plugin_state, device_save) ==
                       offsetof(struct vwl_plugin, device_save) &&
                   offsetof(struct v1_plugin_state, device_load) ==
                       offsetof(struct vwl_plugin, device_load),
               "moved");

_Static_assert(offsetof(struct v1_plugin_probe, device_probe) ==
                   offsetof(struct vwl_plugin, device_probe),
               "moved");
_Static_assert(offsetof(struct v1_plugin_windows, device_set_transfer) ==
                       offsetof(struct vwl_plugin, device_set_transfer) &&
                   offsetof(struct v1_plugin_windows, device_windows) ==
                       offsetof(struct vwl_plugin, device_windows),
               "moved");
_Static_assert(offsetof(struct v1_plugin_dispatch, device_attach) ==
                       offsetof(struct vwl_plugin, device_attach) &&
                   offsetof(struct v1_plugin_dispatch, device_fd) ==
                       offsetof(struct vwl_plugin, device_fd) &&
                   offsetof(struct v1_plugin_dispatch, device_dispatch) ==
                       offsetof(struct vwl_plugin, device_dispatch),
               "what hosts without GLib have moved");
_Static_assert(offsetof(struct v1_plugin_pipe, device_pipe) ==
                   offsetof(struct vwl_plugin, device_pipe),
               "moved");
_Static_assert(offsetof(struct v1_stats_dmabufs, dmabufs) ==
                       offsetof(struct vwl_stats, dmabufs) &&
                   offsetof(struct v1_stats_dmabufs, host_explicit_sync) ==
                       offsetof(struct vwl_stats, host_explicit_sync),
               "moved");

const size_t abi_v1_plugin_bytes = sizeof(struct v1_plugin_state);
