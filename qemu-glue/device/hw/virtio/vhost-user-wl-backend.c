/*
 * Vhost-user virtio-wl device: the connection to the back-end
 *
 * Start, stop and reset of the back-end, its loss and its return, and what the
 * guest gets meanwhile.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/iov.h"
#include "qemu/main-loop.h"
#include "chardev/char.h"
#include "chardev/char-socket.h"
#include "hw/virtio/vhost-user-wl.h"
#include "hw/virtio/virtio-bus.h"

/* Numbers of the vhost-user specification that its code keeps to itself. */
#define PROTOCOL_F_CONFIG 9
#define PROTOCOL_F_INFLIGHT_SHMFD 12
#define PROTOCOL_F_RESET_DEVICE 13

#define WL_RESP_ERR 0x1100

/* clang-format off */
const int vhost_user_wl_feature_bits[] = {
    VIRTIO_WL_F_TRANS_FLAGS,
    VIRTIO_WL_F_SEND_FENCES,
    VIRTIO_WL_F_USE_SHMEM,
    VIRTIO_WL_F_GUEST_PAGES,
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
/* clang-format on */

bool vhost_user_wl_has_daemon(VHostUserWL *s)
{
    return s->conf.socket != NULL;
}

/*
 * Without a back-end
 */

void vhost_user_wl_ask_for_reset(VHostUserWL *s)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(s);

    if (vdev->status & VIRTIO_CONFIG_S_DRIVER_OK) {
        vdev->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
        virtio_notify_config(vdev);
    }
}

void vhost_user_wl_answer_errors(VHostUserWL *s)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(s);
    VirtQueue *vq = s->vqs[WL_VQ_OUT];
    const uint32_t answer[2] = { cpu_to_le32(WL_RESP_ERR), 0 };
    unsigned int left = s->conf.queue_size;
    VirtQueueElement *elem;
    bool any = false;

    if (!(vdev->status & VIRTIO_CONFIG_S_DRIVER_OK) || !vdev->vm_running) {
        return;
    }
    while (left && (elem = virtqueue_pop(vq, sizeof(*elem)))) {
        virtqueue_push(vq, elem,
                       iov_from_buf(elem->in_sg, elem->in_num, 0, answer,
                                    sizeof(answer)));
        g_free(elem);
        any = true;
        left--;
    }
    if (any) {
        virtio_notify(vdev, vq);
    }
    if (!left) {
        qemu_bh_schedule(s->answer_bh);
    }
}

void vhost_user_wl_answer_bh(void *opaque)
{
    VHostUserWL *s = opaque;

    if (!s->connected || s->lost) {
        vhost_user_wl_answer_errors(s);
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

static uint16_t wl_load16(VirtIODevice *vdev, hwaddr at)
{
    return address_space_lduw_le(vdev->dma_as, at, MEMTXATTRS_UNSPECIFIED,
                                 NULL);
}

static void wl_store16(VirtIODevice *vdev, hwaddr at, uint16_t value)
{
    address_space_stw_le(vdev->dma_as, at, value, MEMTXATTRS_UNSPECIFIED, NULL);
}

static void wl_store32(VirtIODevice *vdev, hwaddr at, uint32_t value)
{
    address_space_stl_le(vdev->dma_as, at, value, MEMTXATTRS_UNSPECIFIED, NULL);
}

static void wl_give_back_inflight(VHostUserWL *s)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(s);
    unsigned size = virtio_queue_get_num(vdev, WL_VQ_OUT);
    hwaddr used = virtio_queue_get_used_addr(vdev, WL_VQ_OUT);
    size_t stride = ROUND_UP(sizeof(WLInflightQueue) +
                                 s->conf.queue_size * sizeof(WLInflightDesc),
                             64);
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

    idx = wl_load16(vdev, used + 2);
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

            wl_store32(vdev, slot, head);
            wl_store32(vdev, slot + 4, 0);
            q->desc[head].inflight = 0;
            n++;
        }
    }
    if (n) {
        /* the entries before their index */
        smp_wmb();
        wl_store16(vdev, used + 2, idx + n);
        virtio_queue_update_used_idx(vdev, WL_VQ_OUT);
        virtio_queue_set_last_avail_idx(vdev, WL_VQ_OUT, idx + n);
        virtio_notify(vdev, s->vqs[WL_VQ_OUT]);
    }
}

/*
 * Start and stop
 */

bool vhost_user_wl_should_start(VHostUserWL *s, uint8_t status)
{
    return !s->lost && virtio_device_should_start(VIRTIO_DEVICE(s), status);
}

static int wl_start_vhost(VHostUserWL *s)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(s);
    struct vhost_dev *hdev = &s->vhost_dev;
    int ret;

    /* A driver may acknowledge less than the one before it. */
    hdev->acked_features = 0;
    vhost_ack_features(hdev, vhost_user_wl_feature_bits, vdev->guest_features);

    /* What a lost daemon had in hand; a plugin is not lost alone. */
    if (vhost_user_wl_has_daemon(s) &&
        virtio_has_feature(hdev->protocol_features,
                           PROTOCOL_F_INFLIGHT_SHMFD)) {
        ret = vhost_dev_prepare_inflight(hdev, vdev);
        if (ret < 0) {
            return ret;
        }
        if (!s->inflight->addr) {
            ret = vhost_dev_get_inflight(hdev, s->conf.queue_size, s->inflight);
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

int vhost_user_wl_start(VHostUserWL *s)
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

void vhost_user_wl_stop(VHostUserWL *s)
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
void vhost_user_wl_reset_backend(VHostUserWL *s)
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

    vhost_user_wl_ask_for_reset(s);
    return 0;
}

static const VhostDevConfigOps wl_config_ops = {
    .vhost_dev_config_notifier = wl_config_changed,
};

int vhost_user_wl_connect(VHostUserWL *s, Error **errp)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(s);
    struct vhost_dev *hdev = &s->vhost_dev;
    bool config_change = vhost_user_wl_plugin_offers(s->plugin,
                                                     PROTOCOL_F_CONFIG);
    int ret;

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

    if (vhost_user_wl_should_start(s, vdev->status)) {
        ret = vhost_user_wl_start(s);
        if (ret < 0) {
            error_setg_errno(errp, -ret,
                             "%s: cannot go on with a new "
                             "back-end",
                             s->name);
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
    vhost_user_wl_stop(s);
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
    vhost_user_wl_ask_for_reset(s);
    vhost_user_wl_answer_errors(s);
}

void vhost_user_wl_close_bh(void *opaque)
{
    VHostUserWL *s = opaque;

    if (!s->closing && !qatomic_read(&s->broken)) {
        return;
    }
    wl_disconnect(s);
    vhost_user_wl_plugin_disconnect(s);
    if (vhost_user_wl_has_daemon(s)) {
        vhost_user_wl_plugin_await(s->plugin, s->ready_bh);
    }
}

static void wl_event(void *opaque, QEMUChrEvent event)
{
    VHostUserWL *s = opaque;

    /*
     * It may come in the middle of a message of ours, and the common code
     * needs its state until that returned.
     */
    if (event == CHR_EVENT_CLOSED && s->connected && !s->closing) {
        s->closing = true;
        s->vhost_dev.started = false;
        qemu_bh_schedule(s->close_bh);
    }
}

/*
 * A chardev, as the common code wants one, for our end of a socket pair.  It is
 * nobody's but this device's: without options, a name or a monitor's command.
 */
static Chardev *wl_chardev_new(int fd, Error **errp)
{
    Chardev *chr = CHARDEV(object_new(TYPE_CHARDEV_SOCKET));

    chr->label = g_strdup("vhost-user-wl");
    if (qemu_chr_add_client(chr, fd) < 0) {
        error_setg(errp, "vhost-user-wl: cannot use a socket");
        object_unref(OBJECT(chr));
        return NULL;
    }
    return chr;
}

bool vhost_user_wl_plugin_connect(VHostUserWL *s, Error **errp)
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
        object_unref(OBJECT(chr));
        vhost_user_wl_plugin_stop(s->plugin);
        return false;
    }
    return true;
}

void vhost_user_wl_plugin_disconnect(VHostUserWL *s)
{
    vhost_user_wl_plugin_stop(s->plugin);
    qemu_chr_fe_deinit(&s->chardev, true);
}

void vhost_user_wl_set_handlers(VHostUserWL *s)
{
    qemu_chr_fe_set_handlers_full(&s->chardev, NULL, NULL, wl_event, NULL, s,
                                  NULL, true, false);
}

void vhost_user_wl_plugin_revive(VHostUserWL *s)
{
    Error *err = NULL;

    if (s->connected || s->broken) {
        return;
    }
    vhost_user_wl_plugin_disconnect(s);
    if (!vhost_user_wl_plugin_connect(s, &err) ||
        vhost_user_wl_connect(s, &err) < 0) {
        error_report_err(err);
        return;
    }
    s->reconnects++;
    vhost_user_wl_set_handlers(s);
}

void vhost_user_wl_ready_bh(void *opaque)
{
    VHostUserWL *s = opaque;

    vhost_user_wl_plugin_revive(s);
    if (!s->connected) {
        vhost_user_wl_plugin_disconnect(s);
        vhost_user_wl_plugin_await(s->plugin, s->ready_bh);
    }
}
