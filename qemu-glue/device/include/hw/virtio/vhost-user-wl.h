/*
 * Vhost-user virtio-wl device
 *
 * Carries the Wayland connections of a guest's programs to compositors of
 * the host.  The device itself is a vhost-user back-end: a plugin in this
 * process (vhost-user-wl-plugin.c), or a daemon behind a relay that looks like
 * one (vhost-user-wl-relay.c).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_VIRTIO_VHOST_USER_WL_H
#define HW_VIRTIO_VHOST_USER_WL_H

#include "chardev/char-fe.h"
#include "hw/virtio/vhost.h"
#include "hw/virtio/vhost-user.h"
#include "hw/virtio/virtio.h"
#include "qom/object.h"
#include "qemu/thread.h"
#include "hw/virtio/vhost-user-wl-compat.h"
#include "vhost-user-wl/plugin.h"

#define TYPE_VHOST_USER_WL "vhost-user-wl-device"
OBJECT_DECLARE_SIMPLE_TYPE(VHostUserWL, VHOST_USER_WL)

#define VIRTIO_ID_WL 63
#define VIRTIO_WL_F_TRANS_FLAGS 1
#define VIRTIO_WL_F_SEND_FENCES 2
#define VIRTIO_WL_F_USE_SHMEM 3
#define VIRTIO_WL_F_GUEST_PAGES 16
#define VIRTIO_WL_FOREIGN_VIRTGPU 1

#define VHOST_USER_WL_NVQS 2
enum { WL_VQ_IN, WL_VQ_OUT };

/*
 * Shared-memory region 0: host files mapped into a reserved range which is
 * the BAR's memory.  Mapping is one mmap over that range and takes no lock
 * that a vCPU could hold.  Holes are never empty: a small scratch file is
 * mapped into them over and over, so that a guest which touches them reads
 * and writes harmless memory that costs the host no more than that file.
 *
 * The functions may be called from any thread.
 */
typedef struct VHostUserWLWindow {
    MemoryRegion mr;
    uint8_t *base;
    uint64_t size;
    int scratch_fd;
    uint64_t scratch_size;
    QemuMutex lock;
    GTree *maps;        /* of WLMap, keyed by place; under lock */
    uint64_t mapped;    /* bytes; under lock */
    uint64_t announced; /* mem_region's choice; UINT64_MAX: none */
} VHostUserWLWindow;

VHostUserWLWindow *vhost_user_wl_window_new(Object *owner, uint64_t size,
                                            Error **errp);
void vhost_user_wl_window_free(VHostUserWLWindow *w);
/*
 * fd is borrowed; keep: a copy of it is held while mapped, for
 * vhost_user_wl_window_piece().
 */
int vhost_user_wl_window_map(VHostUserWLWindow *w, int fd, uint64_t fd_offset,
                             uint64_t offset, uint64_t len, bool writable,
                             bool keep);
int vhost_user_wl_window_unmap(VHostUserWLWindow *w, uint64_t offset,
                               uint64_t len);
/* Unmaps everything. */
void vhost_user_wl_window_reset(VHostUserWLWindow *w);
/*
 * One mapped piece, the same one as long as it lives; false: there is none.
 * *fd is valid until the piece is unmapped.
 */
bool vhost_user_wl_window_piece(VHostUserWLWindow *w, uint64_t *offset,
                                uint64_t *len, uint64_t *fd_offset, int *fd);
/* True: there are pieces, and none was chosen yet. */
bool vhost_user_wl_window_is_unannounced(VHostUserWLWindow *w);
void vhost_user_wl_window_usage(VHostUserWLWindow *w, uint64_t *pieces,
                                uint64_t *bytes);

/* The back-end: a plugin in this process, or the relay to a daemon. */
typedef struct VHostUserWLPlugin VHostUserWLPlugin;

typedef struct VHostUserWLPluginOps {
    /* Any thread; false: the BAR has no address now. */
    bool (*shm_base)(void *opaque, uint64_t *gpa);
    /* Any thread, no lock of QEMU held: the device is beyond use. */
    void (*broken)(void *opaque);
} VHostUserWLPluginOps;

typedef struct VHostUserWLConf {
    char *socket; /* of a daemon; NULL: a plugin */
    char *plugin;
    char *wayland_sock;
    char *allow, *deny, *policy_file;
    char *title_prefix, *app_id_prefix;
    char *clipboard, *primary, *drag;
    char *vm_name;
    char *security_context;
    char *dmabuf;
    char *migration; /* "refuse" or "lose-windows", as NULL is */
    IOThread *iothread;
    DeviceState *gpu;
    uint64_t shm_size;
    uint64_t max_shm_bytes;
    uint64_t max_queued_bytes;
    uint32_t max_vfds;
    uint32_t max_contexts;
    uint32_t max_in_flight;
    uint32_t poll_us;
    uint16_t virtio_id;
    uint16_t queue_size;
} VHostUserWLConf;

/* The host's sockets and their policy, as the plugin takes them. */
typedef struct VHostUserWLPolicy {
    GArray *sockets;  /* struct vwl_socket */
    GArray *policies; /* const struct vwl_socket_policy * of each */
    struct vwl_socket_policy policy;
    uint32_t security_context;
} VHostUserWLPolicy;

/* conf must stay, and so must *p: it points into itself. */
bool vhost_user_wl_policy_init(VHostUserWLPolicy *p,
                               const VHostUserWLConf *conf, Error **errp);
/* Also of one whose init failed. */
void vhost_user_wl_policy_finish(VHostUserWLPolicy *p);
/* Whether any of its properties is set. */
bool vhost_user_wl_policy_is_said(const VHostUserWLConf *conf);

/* name: for messages.  window may be NULL. */
VHostUserWLPlugin *vhost_user_wl_plugin_new(const VHostUserWLConf *conf,
                                            const char *name,
                                            VHostUserWLWindow *window,
                                            const VHostUserWLPluginOps *ops,
                                            void *opaque, Error **errp);
/*
 * A daemon, which decides how large the window is: *size, or 0 for none.
 * patience_ms: to wait for it to appear.
 */
VHostUserWLPlugin *vhost_user_wl_plugin_new_daemon(
    const VHostUserWLConf *conf, const char *name,
    const VHostUserWLPluginOps *ops, void *opaque, unsigned patience_ms,
    uint64_t *size, Error **errp);
void vhost_user_wl_plugin_set_window(VHostUserWLPlugin *p,
                                     VHostUserWLWindow *window);
/* A daemon that is gone: ready is scheduled when there is one again. */
void vhost_user_wl_plugin_await(VHostUserWLPlugin *p, QEMUBH *ready);
/* Starts the device on one end of a socket pair; returns the other, or -1. */
int vhost_user_wl_plugin_start(VHostUserWLPlugin *p, Error **errp);
void vhost_user_wl_plugin_stop(VHostUserWLPlugin *p);
void vhost_user_wl_plugin_free(VHostUserWLPlugin *p);
int vhost_user_wl_plugin_stats(VHostUserWLPlugin *p, struct vwl_stats *stats);
bool vhost_user_wl_plugin_offers(VHostUserWLPlugin *p, unsigned protocol_bit);

/* The relay to a daemon (vhost-user-wl-relay.c): its socket is sockets[0]. */
extern const struct vwl_plugin vhost_user_wl_relay;
bool vhost_user_wl_relay_open(struct vwl_device *r, unsigned patience_ms,
                              uint64_t *size, Error **errp);
void vhost_user_wl_relay_set_window(struct vwl_device *r,
                                    VHostUserWLWindow *window);
void vhost_user_wl_relay_await(struct vwl_device *r, QEMUBH *ready);

/*
 * The guest's RAM (vhost-user-wl-ram.c): all of it is shared with the back-end,
 * or what is not is reported when it comes.  Main thread.
 */
bool vhost_user_wl_ram_watch(VHostUserWL *s, Error **errp);
void vhost_user_wl_ram_unwatch(VHostUserWL *s);

/* Buffers of the machine's virtio-gpu (vhost-user-wl-gpu.c). */
/* What dev is, or has within it. */
Object *vhost_user_wl_gpu_find(DeviceState *dev, Error **errp);
/* Any thread: as vwl_host's foreign_request and fence_export. */
int vhost_user_wl_gpu_resource(Object *gpu, uint32_t id, int *fd);
int vhost_user_wl_gpu_fence(uint64_t seqno, int *fd);

struct VHostUserWL {
    VirtIODevice parent_obj;

    VHostUserWLConf conf;
    WLChar chardev;

    /*
     * Set before realize by a transport that can show shared memory to the
     * guest: the owner of the region, and where it is (NULL: nowhere).
     */
    Object *window_owner;
    bool (*window_base)(Object *owner, uint64_t *gpa);
    /* Made by realize, freed by the transport when nothing refers to it. */
    VHostUserWLWindow *window;

    VHostUserWLPlugin *plugin;
    VhostUserState vhost_user;
    struct vhost_dev vhost_dev;
    struct vhost_virtqueue vhost_vqs[VHOST_USER_WL_NVQS];
    struct vhost_inflight *inflight;
    VirtQueue *vqs[VHOST_USER_WL_NVQS];
    QEMUBH *close_bh;
    QEMUBH *ready_bh;
    QEMUBH *lost_bh;
    QEMUBH *answer_bh;
    VMChangeStateEntry *vmstate;
    Error *migration_blocker;
    char *name;

    MemoryListener ram_listener;
    GHashTable *unshared_ram; /* its backends' ids */
    bool ram_checked;         /* what comes now is plugged later */

    bool connected; /* vhost_dev is initialised */
    bool closing;   /* the connection is gone, close_bh will tell */
    bool started;   /* rings are the back-end's */
    bool used;      /* started since the last device reset */
    bool broken;    /* the plugin gave up for good */
    bool lost;      /* loaded, and not reset since: no rings for the back-end */
    uint64_t reconnects;
};

/*
 * Between the device and its connection (vhost-user-wl-backend.c).  Main
 * thread.
 */
extern const int vhost_user_wl_feature_bits[];

/* The back-end is a daemon, not a plugin. */
bool vhost_user_wl_has_daemon(VHostUserWL *s);
/* Starts the plugin or relay, and QEMU's end of its connection. */
bool vhost_user_wl_plugin_connect(VHostUserWL *s, Error **errp);
void vhost_user_wl_plugin_disconnect(VHostUserWL *s);
/* A back-end that hung up is started anew. */
void vhost_user_wl_plugin_revive(VHostUserWL *s);
/* On a connected chardev; starts the rings if the driver is ready. */
int vhost_user_wl_connect(VHostUserWL *s, Error **errp);
void vhost_user_wl_set_handlers(VHostUserWL *s);
int vhost_user_wl_start(VHostUserWL *s);
void vhost_user_wl_stop(VHostUserWL *s);
/* The guest's state is over: tell the back-end, unmap all. */
void vhost_user_wl_reset_backend(VHostUserWL *s);
/* The rings are to be the back-end's, once the driver's status is that. */
bool vhost_user_wl_should_start(VHostUserWL *s, uint8_t status);
/*
 * Without a back-end: every request fails, and the driver is to reset.  A
 * queue's length of requests at a time, as a guest may add more meanwhile; the
 * rest is left to answer_bh.
 */
void vhost_user_wl_answer_errors(VHostUserWL *s);
void vhost_user_wl_answer_bh(void *opaque);
void vhost_user_wl_ask_for_reset(VHostUserWL *s);
/* The connection is lost. */
void vhost_user_wl_close_bh(void *opaque);
/* There is a daemon again. */
void vhost_user_wl_ready_bh(void *opaque);

/*
 * Saving and loading (vhost-user-wl-migration.c).  Main thread.
 */
extern const VMStateDescription vhost_user_wl_vmstate;

/* Checks conf.migration, and refuses every migration if it says so. */
bool vhost_user_wl_migration_init(VHostUserWL *s, Error **errp);
void vhost_user_wl_migration_finish(VHostUserWL *s);
/* The device's state was loaded: what the guest had open is lost. */
int vhost_user_wl_post_load(VirtIODevice *vdev);
/* The machine runs. */
void vhost_user_wl_lost_bh(void *opaque);

#endif
