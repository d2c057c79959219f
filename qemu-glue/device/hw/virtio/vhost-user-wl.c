/*
 * Vhost-user virtio-wl device
 *
 * The front-end: rings, features and life cycle go through the common
 * vhost-user code, for the plugin in this process just as for a daemon.
 * Particular to this device:
 *
 *  - it says on the wire when the guest is reset, crashes or shuts down, so
 *    that the guest's windows vanish from the host's desktop at once;
 *  - without a back-end it answers the guest's requests itself, with errors,
 *    and asks the guest to reset the device.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "qemu/error-report.h"
#include "qemu/iov.h"
#include "qemu/main-loop.h"
#include "qemu/option.h"
#include "qemu/config-file.h"
#include "qemu/units.h"
#include "chardev/char.h"
#include "hw/boards.h"
#include "hw/qdev-properties.h"
#include "hw/qdev-properties-system.h"
#include "hw/virtio/vhost-user-wl.h"
#include "hw/virtio/virtio-access.h"
#include "hw/virtio/virtio-bus.h"
#include "monitor/monitor.h"
#include "standard-headers/linux/virtio_ids.h"

/* Numbers of the vhost-user specification that its code keeps to itself. */
#define PROTOCOL_F_CONFIG 9
#define PROTOCOL_F_INFLIGHT_SHMFD 12
#define PROTOCOL_F_RESET_DEVICE 13

#define WL_RESP_ERR 0x1100

enum { WL_VQ_IN, WL_VQ_OUT };

static const int wl_feature_bits[] = {
    VIRTIO_WL_F_TRANS_FLAGS,
    VIRTIO_WL_F_SEND_FENCES,
    VIRTIO_WL_F_USE_SHMEM,
    VIRTIO_F_NOTIFY_ON_EMPTY,
    VIRTIO_RING_F_INDIRECT_DESC,
    VIRTIO_RING_F_EVENT_IDX,
    VIRTIO_F_VERSION_1,
    VIRTIO_F_IOMMU_PLATFORM,
    VIRTIO_F_RING_PACKED,
    VIRTIO_F_IN_ORDER,
    VIRTIO_F_RING_RESET,
#ifdef VIRTIO_F_NOTIFICATION_DATA
    VIRTIO_F_NOTIFICATION_DATA,
#endif
    VHOST_INVALID_FEATURE_BIT
};

static bool wl_in_process(VHostUserWL *s)
{
    return s->plugin != NULL;
}

/*
 * Without a back-end
 */

static void wl_ask_for_reset(VHostUserWL *s)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(s);

    if (vdev->status & VIRTIO_CONFIG_S_DRIVER_OK) {
        vdev->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
        virtio_notify_config(vdev);
    }
}

static void wl_answer_errors(VHostUserWL *s)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(s);
    VirtQueue *vq = s->vqs[WL_VQ_OUT];
    const uint32_t answer[2] = { cpu_to_le32(WL_RESP_ERR), 0 };
    VirtQueueElement *elem;
    bool any = false;

    if (!(vdev->status & VIRTIO_CONFIG_S_DRIVER_OK) || !vdev->vm_running) {
        return;
    }
    while ((elem = virtqueue_pop(vq, sizeof(*elem)))) {
        virtqueue_push(vq, elem, iov_from_buf(elem->in_sg, elem->in_num, 0,
                                              answer, sizeof(answer)));
        g_free(elem);
        any = true;
    }
    if (any) {
        virtio_notify(vdev, vq);
    }
}

/*
 * Requests that the lost back-end had taken and not answered, as the in-flight
 * buffer names them, are given back with nothing written: to the driver that
 * is an error, too.  (The vhost-user specification's split ring layout.)
 */
typedef struct WLInflightDesc {
    uint8_t inflight;
    uint8_t padding[5];
    uint16_t next;
    uint64_t counter;
} WLInflightDesc;

typedef struct WLInflightQueue {
    uint64_t features;
    uint16_t version;
    uint16_t desc_num;
    uint16_t last_batch_head;
    uint16_t used_idx;
    WLInflightDesc desc[];
} WLInflightQueue;

static void wl_give_back_inflight(VHostUserWL *s)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(s);
    unsigned size = virtio_queue_get_num(vdev, WL_VQ_OUT);
    hwaddr used = virtio_queue_get_used_addr(vdev, WL_VQ_OUT);
    size_t stride = ROUND_UP(sizeof(WLInflightQueue) +
                             s->conf.queue_size * sizeof(WLInflightDesc), 64);
    WLInflightQueue *q;
    uint16_t idx, head;
    unsigned n = 0;

    if (!s->inflight->addr || !used ||
        virtio_vdev_has_feature(vdev, VIRTIO_F_RING_PACKED) ||
        s->inflight->queue_size != s->conf.queue_size ||
        s->inflight->size < stride * VHOST_USER_WL_NVQS) {
        return;
    }
    q = (void *)((char *)s->inflight->addr + stride * WL_VQ_OUT);
    if (q->version != 1 || q->desc_num < size) {
        return;
    }

    idx = virtio_lduw_phys(vdev, used + 2);
    /* Published, but killed before the marks could be taken away. */
    head = q->last_batch_head;
    for (uint16_t i = q->used_idx; i != idx && n < size && head < size; i++) {
        q->desc[head].inflight = 0;
        head = q->desc[head].next;
        n++;
    }

    n = 0;
    for (head = 0; head < size; head++) {
        if (q->desc[head].inflight) {
            hwaddr slot = used + 4 + 8 * ((uint16_t)(idx + n) % size);

            virtio_stl_phys(vdev, slot, head);
            virtio_stl_phys(vdev, slot + 4, 0);
            q->desc[head].inflight = 0;
            n++;
        }
    }
    if (n) {
        smp_wmb();
        virtio_stw_phys(vdev, used + 2, idx + n);
        virtio_queue_update_used_idx(vdev, WL_VQ_OUT);
        virtio_queue_set_last_avail_idx(vdev, WL_VQ_OUT, idx + n);
        virtio_notify(vdev, s->vqs[WL_VQ_OUT]);
    }
}

/*
 * Start and stop
 */

static int wl_start_vhost(VHostUserWL *s)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(s);
    struct vhost_dev *hdev = &s->vhost_dev;
    int ret;

    /* A driver may acknowledge less than the one before it. */
    hdev->acked_features = 0;
    vhost_ack_features(hdev, wl_feature_bits, vdev->guest_features);

    /* What a lost daemon had in hand; a plugin is not lost alone. */
    if (!wl_in_process(s) &&
        virtio_has_feature(hdev->protocol_features,
                           PROTOCOL_F_INFLIGHT_SHMFD)) {
        ret = vhost_dev_prepare_inflight(hdev, vdev);
        if (ret < 0) {
            return ret;
        }
        if (!s->inflight->addr) {
            ret = vhost_dev_get_inflight(hdev, s->conf.queue_size,
                                         s->inflight);
            if (ret < 0) {
                return ret;
            }
        }
        ret = vhost_dev_set_inflight(hdev, s->inflight);
        if (ret < 0) {
            return ret;
        }
    }
    return vhost_dev_start(hdev, vdev, true);
}

static int wl_start(VHostUserWL *s)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(s);
    BusState *qbus = qdev_get_parent_bus(DEVICE(vdev));
    VirtioBusClass *k = VIRTIO_BUS_GET_CLASS(qbus);
    struct vhost_dev *hdev = &s->vhost_dev;
    int ret;

    if (!k->set_guest_notifiers) {
        error_report("%s: the bus has no guest notifiers", s->name);
        return -ENOSYS;
    }
    ret = vhost_dev_enable_notifiers(hdev, vdev);
    if (ret < 0) {
        error_report("%s: cannot enable host notifiers: %s", s->name,
                     strerror(-ret));
        return ret;
    }
    ret = k->set_guest_notifiers(qbus->parent, hdev->nvqs, true);
    if (ret < 0) {
        error_report("%s: cannot bind guest notifiers: %s", s->name,
                     strerror(-ret));
        goto fail_notifiers;
    }
    ret = wl_start_vhost(s);
    if (ret < 0) {
        error_report("%s: the back-end does not start: %s", s->name,
                     strerror(-ret));
        goto fail_guest_notifiers;
    }

    s->started = true;
    s->used = true;
    for (int i = 0; i < hdev->nvqs; i++) {
        vhost_virtqueue_mask(hdev, vdev, i, false);
    }
    return 0;

fail_guest_notifiers:
    k->set_guest_notifiers(qbus->parent, hdev->nvqs, false);
fail_notifiers:
    vhost_dev_disable_notifiers(hdev, vdev);
    return ret;
}

static void wl_stop(VHostUserWL *s)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(s);
    BusState *qbus = qdev_get_parent_bus(DEVICE(vdev));
    VirtioBusClass *k = VIRTIO_BUS_GET_CLASS(qbus);
    int ret;

    if (!s->started) {
        return;
    }
    s->started = false;

    vhost_dev_stop(&s->vhost_dev, vdev, true);
    ret = k->set_guest_notifiers(qbus->parent, s->vhost_dev.nvqs, false);
    if (ret < 0) {
        error_report("%s: cannot unbind guest notifiers: %s", s->name,
                     strerror(-ret));
    }
    vhost_dev_disable_notifiers(&s->vhost_dev, vdev);
}

/*
 * The guest's state is over.  A stop alone looks the same on the wire as a
 * pause, after which the guest goes on with all that it has open.
 */
static void wl_reset_backend(VHostUserWL *s)
{
    uint64_t features;

    vhost_dev_free_inflight(s->inflight);
    if (!s->used) {
        return;
    }
    s->used = false;

    if (s->connected && !s->closing) {
        struct vhost_dev *hdev = &s->vhost_dev;

        if (virtio_has_feature(hdev->protocol_features,
                               PROTOCOL_F_RESET_DEVICE)) {
            hdev->vhost_ops->vhost_reset_device(hdev);
            /* Its answer says that the reset is done. */
            hdev->vhost_ops->vhost_get_features(hdev, &features);
        }
    }
    if (s->window) {
        vhost_user_wl_window_reset(s->window);
    }
}

/*
 * Connection
 */

/* There is no configuration to change: the device is in need of a reset. */
static int wl_config_changed(struct vhost_dev *hdev)
{
    VHostUserWL *s = container_of(hdev, VHostUserWL, vhost_dev);

    wl_ask_for_reset(s);
    return 0;
}

static const VhostDevConfigOps wl_config_ops = {
    .vhost_dev_config_notifier = wl_config_changed,
};

static int wl_connect(VHostUserWL *s, Error **errp)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(s);
    struct vhost_dev *hdev = &s->vhost_dev;
    bool config_change = s->conf.config_change;
    int ret;

    if (wl_in_process(s)) {
        config_change = vhost_user_wl_plugin_offers(s->plugin,
                                                    PROTOCOL_F_CONFIG);
    }

    memset(s->vhost_vqs, 0, sizeof(s->vhost_vqs));
    hdev->vqs = s->vhost_vqs;
    hdev->nvqs = VHOST_USER_WL_NVQS;
    hdev->vq_index = 0;
    /*
     * Not the last index: the common code would send SET_STATUS 0, which is
     * a device reset, at every pause.
     */
    hdev->vq_index_end = 0;
    s->vhost_user.supports_config = config_change;
    vhost_dev_set_config_notifier(hdev, config_change ? &wl_config_ops : NULL);

    ret = vhost_dev_init(hdev, &s->vhost_user, VHOST_BACKEND_TYPE_USER, 0,
                         errp);
    if (ret < 0) {
        return ret;
    }
    s->connected = true;
    s->closing = false;

    if (virtio_device_should_start(vdev, vdev->status)) {
        ret = wl_start(s);
        if (ret < 0) {
            error_setg_errno(errp, -ret, "%s: cannot go on with a new "
                             "back-end", s->name);
            vhost_dev_cleanup(hdev);
            s->connected = false;
            return ret;
        }
    }
    return 0;
}

static void wl_disconnect(VHostUserWL *s)
{
    bool started = s->started;

    if (!s->connected) {
        return;
    }
    /* In this order: no request may reach the lost back-end again. */
    wl_stop(s);
    s->connected = false;
    s->closing = false;
    vhost_dev_cleanup(&s->vhost_dev);
    if (s->window) {
        vhost_user_wl_window_reset(s->window);
    }
    if (started) {
        warn_report("%s: the back-end is gone", s->name);
        wl_give_back_inflight(s);
    }
    vhost_dev_free_inflight(s->inflight);
    wl_ask_for_reset(s);
    wl_answer_errors(s);
}

static void wl_close_bh(void *opaque)
{
    VHostUserWL *s = opaque;

    if (!s->closing && !qatomic_read(&s->broken)) {
        return;
    }
    wl_disconnect(s);
    /* Ours to close if it was not the peer: a chardev may then try again. */
    if (!wl_in_process(s) && s->chardev.chr && s->chardev.chr->be_open) {
        qemu_chr_fe_disconnect(&s->chardev);
    }
}

static void wl_event(void *opaque, QEMUChrEvent event)
{
    VHostUserWL *s = opaque;
    Error *err = NULL;

    switch (event) {
    case CHR_EVENT_OPENED:
        if (s->connected) {
            if (!s->closing) {
                break;
            }
            wl_disconnect(s);
        }
        if (wl_connect(s, &err) < 0) {
            error_report_err(err);
            qemu_chr_fe_disconnect(&s->chardev);
            break;
        }
        s->reconnects++;
        break;
    case CHR_EVENT_CLOSED:
        /*
         * It may come in the middle of a message of ours, and the common code
         * needs its state until that returned.
         */
        if (s->connected && !s->closing) {
            s->closing = true;
            s->vhost_dev.started = false;
            qemu_bh_schedule(s->close_bh);
        }
        break;
    default:
        break;
    }
}

/* A chardev for our end of the plugin's socket pair. */
static Chardev *wl_chardev_new(int fd, Error **errp)
{
    static unsigned serial;
    g_autofree char *id = g_strdup_printf("vhost-user-wl-plugin%u", serial++);
    g_autofree char *number = g_strdup_printf("%d", fd);
    QemuOpts *opts = qemu_opts_create(qemu_find_opts("chardev"), id, 1, errp);
    Coroutine *self = qemu_coroutine_self();
    Monitor *monitor;
    Chardev *chr;

    if (!opts) {
        return NULL;
    }
    qemu_opt_set(opts, "backend", "socket", &error_abort);
    qemu_opt_set(opts, "fd", number, &error_abort);
    /* A number is a descriptor only where no monitor asks. */
    monitor = monitor_set_cur(self, NULL);
    chr = qemu_chr_new_from_opts(opts, NULL, errp);
    monitor_set_cur(self, monitor);
    qemu_opts_del(opts);
    return chr;
}

static bool wl_plugin_connect(VHostUserWL *s, Error **errp)
{
    Chardev *chr;
    int fd = vhost_user_wl_plugin_start(s->plugin, errp);

    if (fd < 0) {
        return false;
    }
    chr = wl_chardev_new(fd, errp);
    if (!chr) {
        close(fd);
        vhost_user_wl_plugin_stop(s->plugin);
        return false;
    }
    if (!qemu_chr_fe_init(&s->chardev, chr, errp)) {
        object_unparent(OBJECT(chr));
        vhost_user_wl_plugin_stop(s->plugin);
        return false;
    }
    return true;
}

static void wl_plugin_disconnect(VHostUserWL *s)
{
    vhost_user_wl_plugin_stop(s->plugin);
    qemu_chr_fe_deinit(&s->chardev, true);
}

static void wl_set_handlers(VHostUserWL *s)
{
    qemu_chr_fe_set_handlers_full(&s->chardev, NULL, NULL, wl_event, NULL, s,
                                  NULL, true, false);
}

/* A plugin that hung up gets a new start when the guest resets its device. */
static void wl_plugin_revive(VHostUserWL *s)
{
    Error *err = NULL;

    if (s->connected || s->broken) {
        return;
    }
    wl_plugin_disconnect(s);
    if (!wl_plugin_connect(s, &err)) {
        error_report_err(err);
        return;
    }
    if (wl_connect(s, &err) < 0) {
        error_report_err(err);
        return;
    }
    s->reconnects++;
    wl_set_handlers(s);
}

/*
 * Virtio device
 */

static void wl_set_status(VirtIODevice *vdev, uint8_t status)
{
    VHostUserWL *s = VHOST_USER_WL(vdev);
    bool start = virtio_device_should_start(vdev, status);

    if (start == s->started) {
        return;
    }
    if (!start) {
        wl_stop(s);
    } else if (s->connected && !s->closing && wl_start(s) < 0) {
        /* To the guest as if it were gone; it may try again. */
        s->closing = true;
        qemu_bh_schedule(s->close_bh);
    }
}

static void wl_reset(VirtIODevice *vdev)
{
    VHostUserWL *s = VHOST_USER_WL(vdev);

    wl_reset_backend(s);
    if (wl_in_process(s)) {
        wl_plugin_revive(s);
    }
}

static void wl_handle_output(VirtIODevice *vdev, VirtQueue *vq)
{
    VHostUserWL *s = VHOST_USER_WL(vdev);

    /* Otherwise the back-end finds it when it is started. */
    if (!s->connected && vq == s->vqs[WL_VQ_OUT]) {
        wl_answer_errors(s);
    }
}

static uint64_t wl_get_features(VirtIODevice *vdev, uint64_t features,
                                Error **errp)
{
    VHostUserWL *s = VHOST_USER_WL(vdev);

    virtio_add_feature(&features, VIRTIO_WL_F_TRANS_FLAGS);
    virtio_add_feature(&features, VIRTIO_WL_F_SEND_FENCES);
    if (s->window) {
        virtio_add_feature(&features, VIRTIO_WL_F_USE_SHMEM);
    }
    return vhost_get_features(&s->vhost_dev, wl_feature_bits, features);
}

static void wl_guest_notifier_mask(VirtIODevice *vdev, int idx, bool mask)
{
    VHostUserWL *s = VHOST_USER_WL(vdev);

    if (idx < 0 || idx >= VHOST_USER_WL_NVQS || !s->connected || s->closing) {
        return;
    }
    vhost_virtqueue_mask(&s->vhost_dev, vdev, idx, mask);
}

static bool wl_guest_notifier_pending(VirtIODevice *vdev, int idx)
{
    VHostUserWL *s = VHOST_USER_WL(vdev);

    if (idx < 0 || idx >= VHOST_USER_WL_NVQS || !s->connected) {
        return false;
    }
    return vhost_virtqueue_pending(&s->vhost_dev, idx);
}

static struct vhost_dev *wl_get_vhost(VirtIODevice *vdev)
{
    return &VHOST_USER_WL(vdev)->vhost_dev;
}

static void wl_vm_state_changed(void *opaque, bool running, RunState state)
{
    VHostUserWL *s = opaque;

    switch (state) {
    case RUN_STATE_SHUTDOWN:
    case RUN_STATE_GUEST_PANICKED:
    case RUN_STATE_INTERNAL_ERROR:
        wl_stop(s);
        wl_reset_backend(s);
        break;
    default:
        break;
    }
}

static bool wl_shm_base(void *opaque, uint64_t *gpa)
{
    VHostUserWL *s = opaque;

    return s->window_base(s->window_owner, gpa);
}

static void wl_plugin_broken(void *opaque)
{
    VHostUserWL *s = opaque;

    qatomic_set(&s->broken, true);
    qemu_bh_schedule(s->close_bh);
}

static const VHostUserWLPluginOps wl_plugin_ops = {
    .shm_base = wl_shm_base,
    .broken = wl_plugin_broken,
};

static bool wl_ram_ok(MemoryRegion *mr)
{
    return !mr || !mr->ram_block ||
           (memory_region_get_fd(mr) >= 0 && qemu_ram_is_shared(mr->ram_block));
}

/* The back-end maps the guest's RAM. */
static bool wl_check_ram(Error **errp)
{
    MachineState *machine = MACHINE(qdev_get_machine());
    bool ok = wl_ram_ok(machine->ram);

    for (int i = 0; machine->numa_state &&
         i < machine->numa_state->num_nodes; i++) {
        HostMemoryBackend *node = machine->numa_state->nodes[i].node_memdev;

        ok = ok && (!node || wl_ram_ok(host_memory_backend_get_memory(node)));
    }
    if (!ok) {
        error_setg(errp, "vhost-user-wl: guest RAM is not shared with the "
                   "back-end");
        error_append_hint(errp, "Add: -object memory-backend-memfd,id=mem,"
                          "size=%" PRIu64 "M,share=on -machine "
                          "memory-backend=mem\n",
                          (uint64_t)machine->ram_size / MiB);
    }
    return ok;
}

/*
 * Shared memory by messages, for a daemon
 */

static int wl_shmem_map(void *opaque, uint8_t shmid, int fd,
                        uint64_t fd_offset, uint64_t offset, uint64_t len,
                        bool writable)
{
    VHostUserWL *s = opaque;
    bool announce = !virtio_vdev_has_feature(VIRTIO_DEVICE(s),
                                             VIRTIO_WL_F_USE_SHMEM);
    int ret;

    if (!s->window || shmid != 0) {
        return -EINVAL;
    }
    ret = vhost_user_wl_window_map(s->window, fd, fd_offset, offset, len,
                                   writable, announce);
    if (ret == 0 && announce && s->window->announced == UINT64_MAX) {
        qemu_bh_schedule(s->table_bh);
    }
    return ret;
}

static int wl_shmem_unmap(void *opaque, uint8_t shmid, uint64_t offset,
                          uint64_t len)
{
    VHostUserWL *s = opaque;

    if (!s->window || shmid != 0) {
        return -EINVAL;
    }
    return vhost_user_wl_window_unmap(s->window, offset, len);
}

/*
 * A driver without USE_SHMEM wants guest addresses.  The back-end learns where
 * the region is from the memory table, in which one mapped piece stands.
 */
static bool wl_shmem_piece(void *opaque, VhostUserShmemPiece *piece)
{
    VHostUserWL *s = opaque;
    uint64_t base, offset;

    if (!s->window || !wl_shm_base(s, &base) ||
        virtio_vdev_has_feature(VIRTIO_DEVICE(s), VIRTIO_WL_F_USE_SHMEM) ||
        !vhost_user_wl_window_piece(s->window, &offset, &piece->len,
                                    &piece->fd_offset, &piece->fd)) {
        return false;
    }
    piece->gpa = base + offset;
    piece->host = (uintptr_t)s->window->base + offset;
    return true;
}

static const VhostUserShmemOps wl_shmem_ops = {
    .map = wl_shmem_map,
    .unmap = wl_shmem_unmap,
    .piece = wl_shmem_piece,
};

static void wl_table_bh(void *opaque)
{
    VHostUserWL *s = opaque;
    struct vhost_dev *hdev = &s->vhost_dev;

    if (s->started && !s->closing &&
        hdev->vhost_ops->vhost_set_mem_table(hdev, hdev->mem) < 0) {
        error_report("%s: the back-end refuses the memory table", s->name);
    }
}

/*
 * Realize
 */

static bool wl_make_window(VHostUserWL *s, uint64_t size, Error **errp)
{
    if (s->window_owner && !s->window) {
        s->window = vhost_user_wl_window_new(s->window_owner, size, errp);
        return s->window != NULL;
    }
    return true;
}

static bool wl_realize_plugin(VHostUserWL *s, Error **errp)
{
    if (!wl_make_window(s, s->conf.shm_size, errp)) {
        return false;
    }
    s->plugin = vhost_user_wl_plugin_new(&s->conf, s->name, s->window,
                                         &wl_plugin_ops, s, errp);
    if (!s->plugin) {
        return false;
    }
    if (!wl_plugin_connect(s, errp)) {
        goto fail_plugin;
    }
    if (!vhost_user_init(&s->vhost_user, &s->chardev, errp)) {
        goto fail_chardev;
    }
    if (wl_connect(s, errp) < 0) {
        goto fail_state;
    }
    return true;

fail_state:
    vhost_user_cleanup(&s->vhost_user);
fail_chardev:
    wl_plugin_disconnect(s);
fail_plugin:
    vhost_user_wl_plugin_free(s->plugin);
    s->plugin = NULL;
    return false;
}

static bool wl_realize_daemon(VHostUserWL *s, Error **errp)
{
    uint64_t size;

    if (s->conf.plugin || s->conf.wayland_sock || s->conf.iothread) {
        error_setg(errp, "vhost-user-wl: plugin, wayland-sock and iothread "
                   "have no meaning together with chardev");
        error_append_hint(errp, "The daemon has options for its sockets and "
                          "limits.\n");
        return false;
    }
    /* A start may wait for the daemon; a machine that runs must not. */
    if (DEVICE(s)->hotplugged && !s->chardev.chr->be_open) {
        error_setg(errp, "vhost-user-wl: no daemon is connected to chardev "
                   "'%s'", s->chardev.chr->label);
        return false;
    }
    if (!vhost_user_init(&s->vhost_user, &s->chardev, errp)) {
        return false;
    }
    if (s->window_owner) {
        s->vhost_user.shmem_ops = &wl_shmem_ops;
        s->vhost_user.shmem_opaque = s;
    }
    if (qemu_chr_fe_wait_connected(&s->chardev, errp) < 0 ||
        wl_connect(s, errp) < 0) {
        goto fail;
    }
    if (s->window_owner) {
        if (!vhost_user_shmem_size(&s->vhost_dev, 0, &size, errp)) {
            goto fail_connected;
        }
        if (size && !wl_make_window(s, size, errp)) {
            goto fail_connected;
        }
        if (!size) {
            warn_report("%s: the back-end has no shared-memory region",
                        s->name);
        }
    }
    return true;

fail_connected:
    vhost_dev_cleanup(&s->vhost_dev);
    s->connected = false;
fail:
    s->vhost_user.shmem_ops = NULL;
    vhost_user_cleanup(&s->vhost_user);
    return false;
}

static char *wl_name(DeviceState *dev)
{
    DeviceState *proxy = qdev_get_parent_bus(dev)->parent;

    return g_strdup_printf("vhost-user-wl%s%s",
                           proxy && proxy->id ? " " : "",
                           proxy && proxy->id ? proxy->id : "");
}

static void wl_device_realize(DeviceState *dev, Error **errp)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(dev);
    VHostUserWL *s = VHOST_USER_WL(dev);
    bool ok;

    if (!is_power_of_2(s->conf.queue_size) || s->conf.queue_size < 4 ||
        s->conf.queue_size > VIRTQUEUE_MAX_SIZE) {
        error_setg(errp, "queue-size must be a power of two between 4 and %d",
                   VIRTQUEUE_MAX_SIZE);
        return;
    }
    if (s->conf.virtio_id < 1 || s->conf.virtio_id > VIRTIO_ID_WL) {
        error_setg(errp, "virtio-id must be between 1 and %d", VIRTIO_ID_WL);
        return;
    }
    if (!wl_check_ram(errp)) {
        return;
    }

    error_setg(&s->migration_blocker, "vhost-user-wl: the connections of the "
               "guest's programs to the host's compositor cannot be moved");
    if (wl_migrate_add_blocker(&s->migration_blocker, errp) < 0) {
        return;
    }

    g_free(s->name);
    s->name = wl_name(dev);
    if (!s->inflight) {
        s->inflight = g_new0(struct vhost_inflight, 1);
    }

    /*
     * The common code knows names of ids up to some number alone: take one
     * that it knows, then be what we are before the bus looks.
     */
    virtio_init(vdev, VIRTIO_ID_GPU, 0);
    vdev->device_id = s->conf.virtio_id;
    vdev->name = "vhost-user-wl";
    for (int i = 0; i < VHOST_USER_WL_NVQS; i++) {
        s->vqs[i] = virtio_add_queue(vdev, s->conf.queue_size,
                                     wl_handle_output);
    }
    s->close_bh = qemu_bh_new(wl_close_bh, s);
    s->table_bh = qemu_bh_new(wl_table_bh, s);

    ok = s->chardev.chr ? wl_realize_daemon(s, errp)
                        : wl_realize_plugin(s, errp);
    if (ok) {
        wl_set_handlers(s);
        /* After the stop of the rings, which has no such priority. */
        s->vmstate = qemu_add_vm_change_state_handler_prio(
            wl_vm_state_changed, s, -1);
        return;
    }

    qemu_bh_delete(s->close_bh);
    qemu_bh_delete(s->table_bh);
    for (int i = 0; i < VHOST_USER_WL_NVQS; i++) {
        virtio_delete_queue(s->vqs[i]);
    }
    virtio_cleanup(vdev);
    wl_migrate_del_blocker(&s->migration_blocker);
}

static void wl_device_unrealize(DeviceState *dev)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(dev);
    VHostUserWL *s = VHOST_USER_WL(dev);

    qemu_del_vm_change_state_handler(s->vmstate);
    wl_stop(s);
    wl_reset_backend(s);
    qemu_chr_fe_set_handlers(&s->chardev, NULL, NULL, NULL, NULL, NULL, NULL,
                             false);
    if (s->connected) {
        vhost_dev_cleanup(&s->vhost_dev);
        s->connected = false;
    }
    if (wl_in_process(s)) {
        wl_plugin_disconnect(s);
        vhost_user_wl_plugin_free(s->plugin);
        s->plugin = NULL;
    }
    s->vhost_user.shmem_ops = NULL;
    vhost_user_cleanup(&s->vhost_user);
    if (s->window) {
        vhost_user_wl_window_reset(s->window);
    }
    qemu_bh_delete(s->close_bh);
    qemu_bh_delete(s->table_bh);
    for (int i = 0; i < VHOST_USER_WL_NVQS; i++) {
        virtio_delete_queue(s->vqs[i]);
    }
    virtio_cleanup(vdev);
    wl_migrate_del_blocker(&s->migration_blocker);
}

static void wl_instance_finalize(Object *obj)
{
    VHostUserWL *s = VHOST_USER_WL(obj);

    g_free(s->name);
    g_free(s->inflight);
}

static void wl_visit_u64(Visitor *v, const char *name, uint64_t value,
                         Error **errp)
{
    visit_type_uint64(v, name, &value, errp);
}

static void wl_get_stats(Object *obj, Visitor *v, const char *name,
                         void *opaque, Error **errp)
{
    VHostUserWL *s = VHOST_USER_WL(obj);
    struct vwl_stats st = { .size = sizeof(st) };
    uint64_t pieces = 0, bytes = 0;

    if (s->window) {
        vhost_user_wl_window_usage(s->window, &pieces, &bytes);
    }
    if (!visit_start_struct(v, name, NULL, 0, errp)) {
        return;
    }
    wl_visit_u64(v, "connected", s->connected, &error_abort);
    wl_visit_u64(v, "started", s->started, &error_abort);
    wl_visit_u64(v, "reconnects", s->reconnects, &error_abort);
    wl_visit_u64(v, "window-bytes", s->window ? s->window->size : 0,
                 &error_abort);
    wl_visit_u64(v, "mapped-pieces", pieces, &error_abort);
    wl_visit_u64(v, "mapped-bytes", bytes, &error_abort);
    /* A daemon's figures are its own. */
    if (s->plugin && vhost_user_wl_plugin_stats(s->plugin, &st) == 0) {
        wl_visit_u64(v, "vfds", st.vfds, &error_abort);
        wl_visit_u64(v, "contexts", st.contexts, &error_abort);
        wl_visit_u64(v, "shm-bytes", st.shm_bytes, &error_abort);
        wl_visit_u64(v, "shm-mappings", st.shm_mappings, &error_abort);
        wl_visit_u64(v, "in-flight", st.in_flight, &error_abort);
        wl_visit_u64(v, "queued-bytes", st.queued_bytes, &error_abort);
        wl_visit_u64(v, "requests", st.requests, &error_abort);
        wl_visit_u64(v, "refused", st.refused, &error_abort);
        wl_visit_u64(v, "messages", st.messages, &error_abort);
        wl_visit_u64(v, "sent-bytes", st.sent_bytes, &error_abort);
        wl_visit_u64(v, "received-bytes", st.received_bytes, &error_abort);
        wl_visit_u64(v, "hangups", st.hangups, &error_abort);
        wl_visit_u64(v, "resets", st.resets, &error_abort);
        wl_visit_u64(v, "sessions", st.sessions, &error_abort);
    }
    visit_check_struct(v, errp);
    visit_end_struct(v, NULL);
}

static WLProperty wl_properties[] = {
    DEFINE_PROP_CHR("chardev", VHostUserWL, chardev),
    DEFINE_PROP_STRING("plugin", VHostUserWL, conf.plugin),
    DEFINE_PROP_STRING("wayland-sock", VHostUserWL, conf.wayland_sock),
    DEFINE_PROP_LINK("iothread", VHostUserWL, conf.iothread, TYPE_IOTHREAD,
                     IOThread *),
    DEFINE_PROP_SIZE("shm-size", VHostUserWL, conf.shm_size, 4 * GiB),
    DEFINE_PROP_UINT32("max-vfds", VHostUserWL, conf.max_vfds, 0),
    DEFINE_PROP_UINT32("max-contexts", VHostUserWL, conf.max_contexts, 0),
    DEFINE_PROP_UINT32("max-in-flight", VHostUserWL, conf.max_in_flight, 0),
    DEFINE_PROP_SIZE("max-shm-bytes", VHostUserWL, conf.max_shm_bytes, 0),
    DEFINE_PROP_SIZE("max-queued-bytes", VHostUserWL, conf.max_queued_bytes,
                     0),
    DEFINE_PROP_UINT16("virtio-id", VHostUserWL, conf.virtio_id,
                       VIRTIO_ID_WL),
    DEFINE_PROP_UINT16("queue-size", VHostUserWL, conf.queue_size, 256),
    DEFINE_PROP_BOOL("x-config-change", VHostUserWL, conf.config_change, true),
    WL_PROP_END
};

static void wl_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    VirtioDeviceClass *vdc = VIRTIO_DEVICE_CLASS(klass);

    device_class_set_props(dc, wl_properties);
    dc->desc = "Wayland connections of the guest to host compositors";
    set_bit(DEVICE_CATEGORY_DISPLAY, dc->categories);
    vdc->realize = wl_device_realize;
    vdc->unrealize = wl_device_unrealize;
    vdc->get_features = wl_get_features;
    vdc->set_status = wl_set_status;
    vdc->reset = wl_reset;
    vdc->guest_notifier_mask = wl_guest_notifier_mask;
    vdc->guest_notifier_pending = wl_guest_notifier_pending;
    vdc->get_vhost = wl_get_vhost;
    vdc->toggle_device_iotlb = vhost_toggle_device_iotlb;

    object_class_property_add(klass, "stats", "struct", wl_get_stats, NULL,
                              NULL, NULL);
    object_class_property_set_description(klass, "stats",
                                          "Figures of the device now");
}

static const TypeInfo wl_info = {
    .name = TYPE_VHOST_USER_WL,
    .parent = TYPE_VIRTIO_DEVICE,
    .instance_size = sizeof(VHostUserWL),
    .instance_finalize = wl_instance_finalize,
    .class_init = wl_class_init,
};

static void wl_register_types(void)
{
    type_register_static(&wl_info);
}

type_init(wl_register_types)
