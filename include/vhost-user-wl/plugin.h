/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The virtio-wl device plugin: the whole contract between a host (a VMM, a
 * daemon, a desktop application) and libvhost-user-wl.so. Needs C11 or C++
 * and <stddef.h>, <stdint.h> alone; docs/abi.md explains each call.
 *
 * Growth      A struct that starts with `size` may grow at its end. Whoever
 *             ALLOCATES it sets size to its own sizeof; the other side reads
 *             or writes no further and takes what is missing as zero, which
 *             always means "as before". Nothing is ever removed, reordered or
 *             #ifdef'd. Structs without a size are final.
 * Threads     [any]: every thread. [owner]: one thread at a time, any of
 *             them. [device]: the plugin's own thread, or the one that
 *             iterates the host's context or calls device_dispatch.
 *             Host callbacks must not call back into the plugin and must not
 *             wait for a thread that does.
 * Errors      int: 0 or -errno. The reason goes to host->log first.
 * Ownership   Arguments are borrowed for the call. "Takes *fd": on success
 *             the descriptor is the callee's and *fd becomes -1; on failure
 *             it is still the caller's.
 * Process     The plugin has no effect on its process: no signal handlers, no
 *             environment, no default main context; it never exits or aborts
 *             for what a guest, a compositor or a front-end does.
 */
#ifndef VHOST_USER_WL_PLUGIN_H
#define VHOST_USER_WL_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Grows only when an older reader must refuse. */
#define VWL_PLUGIN_ABI 1u

/* The name to give to dlsym. */
#define VWL_PLUGIN_ENTRY "vwl_plugin_get"

struct _GMainContext; /* GLib's GMainContext */

enum vwl_log_level {
    VWL_LOG_ERROR = 0,
    VWL_LOG_WARN = 1,
    VWL_LOG_INFO = 2,
    VWL_LOG_DEBUG = 3,
};

/* Whether the compositor is told that a connection is a guest's, by
 * wp_security_context_v1. */
enum vwl_security_context {
    VWL_SECURITY_CONTEXT_OFF = 0,
    VWL_SECURITY_CONTEXT_AUTO = 1,    /* where the compositor has that */
    VWL_SECURITY_CONTEXT_REQUIRE = 2, /* elsewhere guests cannot connect */
};

struct vwl_device; /* opaque */

/* A host socket that guests may open. Final. */
struct vwl_socket {
    const char *name; /* "" is what the unnamed context opens; else at most 32
                         bytes, as VFD_NEW_CTX_NAMED names it */
    const char *path; /* of a listening AF_UNIX stream socket; it need not
                         exist yet */
};

/* What becomes of the stream between a guest and a host socket. */
enum vwl_policy_kind {
    VWL_POLICY_WAYLAND = 0, /* Wayland, filtered by what the host allows */
    VWL_POLICY_NONE = 1,    /* any bytes, passed on unread */
    VWL_POLICY_PULSE = 2,   /* PulseAudio's native protocol: playback */
};

/* Flags of a policy. */
enum vwl_policy_flags {
    VWL_POLICY_MAY_RECORD = 1, /* PULSE: from real sources, too */
};

/* Which way the content of a transfer may go. */
enum vwl_transfer_way {
    VWL_TRANSFER_BOTH = 0,
    VWL_TRANSFER_TO_GUEST = 1,
    VWL_TRANSFER_FROM_GUEST = 2,
    VWL_TRANSFER_OFF = 3,
    VWL_TRANSFER_ASK = 4, /* the host is asked each time: transfer_request */
};

/* What content is transferred by. */
enum vwl_transfer_kind {
    VWL_KIND_CLIPBOARD = 0,
    VWL_KIND_PRIMARY = 1, /* the middle button's */
    VWL_KIND_DRAG = 2,
};

/* The policy of a host socket; docs/security.md lists the interfaces. Lists
 * have commas between their names. */
struct vwl_socket_policy {
    size_t size;
    uint32_t kind;      /* enum vwl_policy_kind */
    uint32_t clipboard; /* enum vwl_transfer_way: Wayland's selection, ... */
    uint32_t primary;   /* ... the middle button's ... */
    uint32_t drag;      /* ... and drag and drop */
    const char *allow;  /* interfaces that are off by default; may be NULL */
    const char *deny;   /* interfaces that are on by default; may be NULL */
    /* Before each title, and each application id, of a guest's windows; a
     * window without one gets it, too. NULL: as the guest says. */
    const char *title_prefix;
    const char *app_id_prefix;
    /* A key file (docs/security.md) with the same things. What is said above
     * counts more; lists are joined. Read by device_new. NULL: none. */
    const char *file;
    /* Limits of one connection; 0 = the default. Exceeding one ends it. */
    uint32_t max_message_bytes; /* 4096; up to 65532 */
    uint32_t max_objects;       /* 262144 */
    uint32_t max_registries;    /* 1024; clients cannot destroy them */
    uint32_t max_surfaces;      /* 4096 */
    uint32_t max_buffers;       /* 8192 */
    uint32_t max_pools;         /* 4096 */
    uint32_t max_buffer_side;   /* 16384 pixels */
    uint32_t flags;             /* enum vwl_policy_flags */
};

struct vwl_config {
    size_t size;

    const struct vwl_socket *sockets; /* copied by device_new; may be NULL */
    size_t n_sockets;

    /* Length of shared-memory region 0 in bytes: a power of two, at least a
     * page, at most 1 << 43. 0 = 4 GiB. */
    uint64_t shm_window;

    /* Limits; 0 = the default. Exceeding one is answered OUT_OF_MEMORY. */
    uint32_t max_vfds;         /* 16384; every kind together */
    uint32_t max_contexts;     /* 1024; connections to host sockets */
    uint32_t max_in_flight;    /* requests that wait for a peer; half a queue */
    uint32_t reserved;         /* 0 */
    uint64_t max_shm_bytes;    /* of guest-made shared memory and of private
                               copies; as much as shm_window */
    uint64_t max_queued_bytes; /* towards the guest, held back until it posts
                                  buffers; 16 MiB */

    /* Masks of virtio feature bits and vhost-user protocol feature bits that
     * are not offered although the device has them, and of protocol bits that
     * are offered although they are off by default
     * (CONFIGURE_MEM_SLOTS, 15: QEMU 11.1 aborts when it is offered). */
    uint64_t features_off;
    uint64_t protocol_features_off;
    uint64_t protocol_features_on;

    /* What makes dmabufs for guests: "off"; "auto": whatever there is on this
     * host, and then only what the compositor takes; or a list with commas or
     * semicolons (a backslash takes one as part of a path) of "gbm[=PATH]" (a
     * GPU's render node; if built with it), "dumb[=PATH]" (DRM dumb buffers of
     * a primary node), "udmabuf", "heap" (the dma-heap "system"). Devices are
     * opened by device_new, and by nothing later. NULL = "off". */
    const char *dmabufs;

    /* After a request the device goes on looking at the rings for so many
     * microseconds at most before it sleeps: what comes meanwhile needs no
     * kick and no wake-up, and the processor is busy. It looks for shorter
     * times after it found nothing, and never while nothing comes. At most
     * 10000; 0 = it sleeps at once. */
    uint32_t poll_us;
    /* 1: drivers may give pages of their memory to host peers as they are,
     * without a copy, where this host can: it has /dev/udmabuf, which is opened
     * by device_new, and guest memory is a memfd. 0: they may not. */
    uint32_t guest_pages;

    /* The VM, as the host calls it; never what its guest says. The app id of
     * its security context is org.vhost_user_wl.vm. and this name, with '_'
     * for all but ASCII letters, digits, '-', '_' and '.'. Copied by
     * device_new. NULL: "unnamed". */
    const char *name;

    /* enum vwl_security_context, for connections to Wayland sockets (unnamed
     * ones, and those whose file is called wayland-*) that the plugin makes;
     * a host with socket_connect sees to its own. A socket is made for it for
     * a moment, in XDG_RUNTIME_DIR or /tmp. */
    uint32_t security_context;
    uint32_t reserved_3; /* 0 */

    /* The policy of each socket: n_sockets pointers, of which one may be NULL
     * (VWL_POLICY_WAYLAND, all else 0); copied by device_new. NULL: the bytes
     * of all sockets pass unread, as before. */
    const struct vwl_socket_policy *const *socket_policies;
};

/* A virtio-gpu resource as dmabufs. Allocated by the plugin, filled by the
 * host; on success the descriptors are the plugin's. */
struct vwl_resource {
    size_t size;
    uint32_t width, height; /* pixels */
    uint32_t drm_format;    /* fourcc */
    uint32_t n_planes;      /* 1..4 */
    uint64_t modifier;
    struct {
        int fd;
        uint32_t offset, stride; /* bytes */
    } plane[4];
};

/* What the plugin asks of its host. Every function may be NULL. Must outlive
 * the device. */
struct vwl_host {
    size_t size;
    void *opaque; /* first argument of every call below */

    /* [any] One line without newline; never holds payload bytes. */
    void (*log)(void *opaque, enum vwl_log_level level, const char *line);

    /* [device] Map [fd_offset, fd_offset + len) of fd (borrowed) at
     * shm_offset of region 0; page-aligned, never over another mapping,
     * always within fd's size. The file cannot shrink while it is mapped.
     * Must not block.
     * NULL (then shm_unmap is ignored): mapping is asked for by vhost-user
     * back-end requests. */
    int (*shm_map)(void *opaque, int fd, uint64_t fd_offset,
                   uint64_t shm_offset, uint64_t len, int writable);

    /* [device] Undo exactly one shm_map. A guest that still touches the range
     * must find harmless memory there. */
    int (*shm_unmap)(void *opaque, uint64_t shm_offset, uint64_t len);

    /* [device] Guest-physical address of region 0 now; asked at every use,
     * since a guest may move its PCI BAR. -EAGAIN: not placed. NULL: learnt
     * from the memory table, where the front-end lists mapped pieces. Needed
     * for drivers without VIRTIO_WL_F_USE_SHMEM alone. */
    int (*shm_base)(void *opaque, uint64_t *gpa);

    /* [device] Export a virtio-gpu resource of this device's own guest. Its
     * first plane's descriptor is what the guest sends. Must not block.
     * NULL: resources are refused. */
    int (*resource_export)(void *opaque, uint32_t id, struct vwl_resource *out);

    /* [device] A sync_file for a virtio-gpu fence; *fd is the plugin's. 0 is
     * one that is signalled. Must not block.
     * NULL: fences are refused. */
    int (*fence_export)(void *opaque, uint64_t seqno, int *fd);

    /* [device] The front-end is gone and everything of its guest is closed.
     * device_start may be called again after device_stop. */
    void (*disconnected)(void *opaque);

    /* [device] The device is beyond use; only device_free is useful now. Once
     * in a device's life. */
    void (*broken)(void *opaque, int err, const char *why);

    /* [device] Connect to the host socket cfg->sockets[index], for a host
     * whose process may not open paths itself. Must not block: *fd becomes the
     * plugin's end of an AF_UNIX SOCK_SEQPACKET pair, on which somebody sends
     * one message, an int32_t: 0 with the connected stream socket as
     * SCM_RIGHTS, or -errno alone (-EAGAIN: its backlog is full). The end of
     * file instead is a refusal. The plugin waits for it no longer than for a
     * full backlog, about a second. -errno; -EAGAIN: it asks again.
     * NULL: the plugin looks the path up and connects. */
    int (*socket_connect)(void *opaque, size_t index, int *fd);

    /* [device] What device_save or device_load began has ended: 0 or -errno,
     * the reason is in the log. Not called after device_stop. */
    void (*state_done)(void *opaque, int err);

    /* [device] As resource_export and fence_export, for a host that has to ask
     * somebody: *fd becomes the plugin's end of an AF_UNIX SOCK_SEQPACKET
     * pair, on which somebody sends one message, an int32_t: 0 with one
     * descriptor as SCM_RIGHTS, or -errno alone. The end of file instead is a
     * refusal. Only the guest's send that named it waits, five seconds at
     * most. kind is VIRTIO_WL_FOREIGN_VIRTGPU, with a resource's id, or
     * _VIRTGPU_FENCE or _VIRTGPU_SIGNALED_FENCE, with a fence's number.
     * -errno; -EOPNOTSUPP: the two above are tried. NULL: the same. */
    int (*foreign_request)(void *opaque, uint32_t kind, uint64_t id, int *fd);

    /* [device] Whether content may be handed over now, in that direction
     * (VWL_TRANSFER_TO_GUEST or _FROM_GUEST), by a client behind
     * cfg->sockets[index] whose policy says VWL_TRANSFER_ASK. kind is an enum
     * vwl_transfer_kind. Must not block: *fd becomes the plugin's end of an
     * AF_UNIX SOCK_SEQPACKET pair, on which somebody sends one message, an
     * int32_t: 0 is yes; all else, and the end of file, is no. Only that
     * transfer waits, thirty seconds at most; the end of file at the host's
     * end says that it does not wait any more. There are up to sixteen at
     * once. -errno: no. NULL: device_new refuses VWL_TRANSFER_ASK. */
    int (*transfer_request)(void *opaque, size_t index, uint32_t kind,
                            uint32_t way, int *fd);

    /* [device] As socket_connect, for another question on a pair that it made
     * and whose last question was answered by 0: fd is the plugin's end, and
     * stays the plugin's. Whoever holds the other end keeps it until the end
     * of file. Must not block. -errno: the plugin closes it and calls
     * socket_connect. NULL: a pair is for one question. */
    int (*socket_connect_again)(void *opaque, size_t index, int fd);

    /* [device] For a host that can connect to some of its sockets at once: *fd
     * becomes the plugin's, a stream socket that is connected to
     * cfg->sockets[index]. Must not block. -errno, NULL: socket_connect. */
    int (*socket_open)(void *opaque, size_t index, int *fd);
};

/* Allocated by the host, filled by device_stats. Gauges are of now, counters
 * of the device's life. */
struct vwl_stats {
    size_t size;
    /* gauges */
    uint64_t vfds;         /* open VFDs of every kind */
    uint64_t contexts;     /* connections to host sockets */
    uint64_t shm_bytes;    /* guest-made shared memory and private copies */
    uint64_t shm_mappings; /* pieces mapped into region 0 */
    uint64_t in_flight;    /* requests that wait */
    uint64_t queued_bytes; /* towards the guest */
    /* counters */
    uint64_t requests;       /* of the out queue */
    uint64_t refused;        /* those answered with an error */
    uint64_t messages;       /* delivered to the guest */
    uint64_t sent_bytes;     /* guest to host, data of SEND */
    uint64_t received_bytes; /* host to guest, data of RECV */
    uint64_t hangups;        /* VFD_HUP messages */
    uint64_t resets;         /* device resets */
    uint64_t sessions;       /* front-ends served */
    /* gauges */
    uint64_t dmabufs; /* that guests have, made here or received */
    /* of the host's compositor; 0 until somebody asked it (device_probe, or a
     * guest that wants dmabufs, with "auto") */
    uint64_t host_dmabuf_version; /* of zwp_linux_dmabuf_v1; 0: it has none */
    uint64_t host_dmabuf_formats; /* pairs of format and modifier */
    uint64_t host_main_device;    /* dev_t of its GPU; 0: not told */
    uint64_t host_explicit_sync;  /* 1: zwp_linux_explicit_synchronization_v1;
                                     2: wp_linux_drm_syncobj_manager_v1 */
    uint64_t guest_pages;       /* files of guests' own pages that they have */
    uint64_t guest_pages_bytes; /* in these */
};

/* Filled by the plugin; static, never freed. */
struct vwl_plugin {
    size_t size;
    uint32_t abi;        /* VWL_PLUGIN_ABI that it was built with */
    uint32_t reserved;   /* 0 */
    const char *version; /* of the release, for humans */

    /* [owner] A device that is not started. Copies *cfg (NULL: all defaults)
     * and *host (NULL: none). Starts no thread, opens no socket.
     * -EINVAL: the configuration is wrong (the log says how). Other: a device
     * that cfg->dmabufs names cannot be opened. */
    int (*device_new)(const struct vwl_config *cfg, const struct vwl_host *host,
                      struct vwl_device **out);

    /* [owner] Serves a front-end. Takes *fd, a connected vhost-user stream
     * socket. With a context, sources are attached to it and nothing else is
     * done; with NULL the device runs a thread of its own, in which every
     * signal is blocked.
     * -EBUSY: running already. */
    int (*device_start)(struct vwl_device *dev, struct _GMainContext *context,
                        int *fd);

    /* [owner] Stops serving and closes all that the guest had open. No host
     * callback runs after it. Works from the context's own thread, from
     * another one, and when nobody iterates the context any more. Harmless on
     * a stopped device. The device can be started again. */
    void (*device_stop)(struct vwl_device *dev);

    /* [owner] Stops if running, then frees. NULL is fine. */
    void (*device_free)(struct vwl_device *dev);

    /* [owner] Suspend (on != 0): rings stop, guest memory and front-end are
     * left alone (its requests are still answered), data of host peers stays
     * with them. Resume with on = 0. */
    int (*device_suspend)(struct vwl_device *dev, int on);

    /* [any] Fills *stats up to its size. */
    int (*device_stats)(struct vwl_device *dev, struct vwl_stats *stats);

    /* [any] Offers of the device, before or after start: virtio feature bits
     * and vhost-user protocol feature bits. Either may be NULL. */
    void (*device_features)(struct vwl_device *dev, uint64_t *features,
                            uint64_t *protocol_features);

    /* [owner] Write all that the guest has open to *fd, or open it again from
     * there. Takes *fd: a pipe, socket or file that is the device's alone (it
     * becomes non-blocking, and is closed at the end). Only while the device
     * is suspended or its rings are stopped; nothing waits, and
     * host->state_done tells how it ended. One at a time: another one ends
     * the first. A stream that is refused changes nothing.
     * -EBUSY: the guest runs. -ENOTCONN: not started. */
    int (*device_save)(struct vwl_device *dev, int *fd);
    int (*device_load)(struct vwl_device *dev, int *fd);

    /* [any] What the host's compositor (the unnamed socket) offers, as lines
     * of text for a person: fills text up to size with a NUL, and returns how
     * long all of it is. Asks when nobody did; -EAGAIN: no answer yet, call
     * again. -ENOENT: no such socket is configured. -ENOTCONN: not started.
     * Other: it cannot be had now. */
    int (*device_probe)(struct vwl_device *dev, char *text, size_t size);

    /* [owner] Another way (enum vwl_transfer_way) for transfers of a kind (enum
     * vwl_transfer_kind) behind cfg->sockets[index], from now on and for
     * connections that are there, too; those that wait for an answer still
     * get it. Before or after start.
     * -EINVAL: there is no such socket, kind or way, or nobody to ask.
     * -EOPNOTSUPP: the socket's policy is not VWL_POLICY_WAYLAND. */
    int (*device_set_transfer)(struct vwl_device *dev, size_t index,
                               uint32_t kind, uint32_t way);

    /* [any] The windows of the guest's programs behind sockets of
     * VWL_POLICY_WAYLAND, as lines: application id, tab, title, as the guest
     * says them (clean UTF-8, at most 128 bytes each; either may be empty), at
     * most 256 of a connection. Fills text up to size with a NUL, and returns
     * how long all of it is. -ENOTCONN: not started. */
    int (*device_windows)(struct vwl_device *dev, char *text, size_t size);

    /* [owner] As device_start, for a host with a loop of its own that is not
     * GLib's: nothing runs but within device_dispatch, which is [device]. */
    int (*device_attach)(struct vwl_device *dev, int *fd);

    /* [owner] To be polled for reading, by poll, epoll or anything else:
     * device_dispatch has something to do. It is the device's, and goes with
     * device_stop. -ENOTCONN: not attached. */
    int (*device_fd)(struct vwl_device *dev);

    /* [owner] Does what there is to do: a bounded piece of it if timeout_ms is
     * 0. Else it waits, so long at most or for ever (-1), goes on with what
     * comes, and returns as soon as `other` (-1: none) can be read, which may
     * be an epoll descriptor with all that the host waits for. 1: `other` can
     * be read; 0: it cannot, or was not looked at. -ENOTCONN: not attached, or
     * not any more; -EDEADLK: from a callback; other: `other` cannot be waited
     * for. */
    int (*device_dispatch)(struct vwl_device *dev, int other, int timeout_ms);

    /* [any] The descriptor itself of a pipe that a host peer sent and the guest
     * writes: for a host whose guest is a program of this machine, which may
     * have it as if it had been sent to it (O_NONBLOCK is its peer's, too).
     * What is written there the device neither sees nor counts. vfd: its
     * number in the guest; the descriptor returned is the caller's, and the
     * VFD stays open. -ENOENT: there is no such VFD; -EOPNOTSUPP: it is
     * something else, or something that the guest wrote is on its way;
     * -ENOTCONN: not started; other: there are no descriptors. */
    int (*device_pipe)(struct vwl_device *dev, uint32_t vfd);
};

/* [any] The one exported symbol. Never NULL; `size` and `abi` never move. A
 * host that cannot serve that abi refuses, naming both numbers. */
const struct vwl_plugin *vwl_plugin_get(void);

typedef const struct vwl_plugin *(*vwl_plugin_get_fn)(void);

#ifdef __cplusplus
}
#endif

#endif
