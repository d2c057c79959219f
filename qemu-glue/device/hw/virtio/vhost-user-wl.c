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
#include "qemu/main-loop.h"
#include "qemu/units.h"
#include "chardev/char.h"
#include "hw/virtio/vhost-user-wl.h"
#include "hw/virtio/virtio-bus.h"
#include "standard-headers/linux/virtio_ids.h"

/*
 * Virtio device
 */

static void wl_follow_status(VHostUserWL *s, uint8_t status)
{
    bool start = vhost_user_wl_should_start(s, status);

    if (start == s->started) {
        return;
    }
    if (!start) {
        vhost_user_wl_stop(s);
    } else if (s->connected && !s->closing && vhost_user_wl_start(s) < 0) {
        /* To the guest as if it were gone; it may try again. */
        s->closing = true;
        qemu_bh_schedule(s->close_bh);
    }
}

static WLStatusResult wl_set_status(VirtIODevice *vdev, uint8_t status)
{
    wl_follow_status(VHOST_USER_WL(vdev), status);
    return WL_STATUS_DONE;
}

static void wl_reset(VirtIODevice *vdev)
{
    VHostUserWL *s = VHOST_USER_WL(vdev);

    s->lost = false;
    vhost_user_wl_reset_backend(s);
    if (!vhost_user_wl_has_daemon(s)) {
        vhost_user_wl_plugin_revive(s);
    }
}

static void wl_handle_output(VirtIODevice *vdev, VirtQueue *vq)
{
    VHostUserWL *s = VHOST_USER_WL(vdev);

    /* Otherwise the back-end finds it when it is started. */
    if ((!s->connected || s->lost) && vq == s->vqs[WL_VQ_OUT]) {
        vhost_user_wl_answer_errors(s);
    }
}

static uint64_t wl_get_features(VirtIODevice *vdev, uint64_t features,
                                Error **errp)
{
    VHostUserWL *s = VHOST_USER_WL(vdev);

    virtio_add_feature(&features, VIRTIO_WL_F_TRANS_FLAGS);
    virtio_add_feature(&features, VIRTIO_WL_F_SEND_FENCES);
    virtio_add_feature(&features, VIRTIO_WL_F_GUEST_PAGES);
    if (s->window) {
        virtio_add_feature(&features, VIRTIO_WL_F_USE_SHMEM);
    }
    return vhost_get_features(&s->vhost_dev, vhost_user_wl_feature_bits,
                              features);
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

    if (running) {
        qemu_bh_schedule(s->lost_bh);
        return;
    }
    switch (state) {
    case RUN_STATE_SHUTDOWN:
    case RUN_STATE_GUEST_PANICKED:
    case RUN_STATE_INTERNAL_ERROR:
        vhost_user_wl_stop(s);
        vhost_user_wl_reset_backend(s);
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

static bool wl_new_plugin(VHostUserWL *s, Error **errp)
{
    if (!wl_make_window(s, s->conf.shm_size, errp)) {
        return false;
    }
    s->plugin = vhost_user_wl_plugin_new(&s->conf, s->name, s->window,
                                         &wl_plugin_ops, s, errp);
    return s->plugin != NULL;
}

/* A start may wait a little for the daemon; a machine that runs must not. */
#define DAEMON_PATIENCE_MS 10000

static bool wl_new_daemon(VHostUserWL *s, Error **errp)
{
    uint64_t size;

    if (s->conf.plugin || s->conf.iothread || s->conf.gpu || s->conf.dmabuf ||
        s->conf.poll_us || vhost_user_wl_policy_is_said(&s->conf)) {
        error_setg(errp,
                   "vhost-user-wl: plugin, wayland-sock and its policy, "
                   "iothread, gpu, dmabuf, name, security-context and poll-us "
                   "have no meaning together with socket");
        error_append_hint(errp, "The daemon has options for its sockets, their "
                                "policy, buffers and limits.\n");
        return false;
    }
    s->plugin = vhost_user_wl_plugin_new_daemon(
        &s->conf, s->name, &wl_plugin_ops, s,
        DEVICE(s)->hotplugged ? 0 : DAEMON_PATIENCE_MS, &size, errp);
    if (!s->plugin) {
        return false;
    }
    if (!size) {
        warn_report("%s: the daemon has no shared-memory region", s->name);
    } else if (!wl_make_window(s, size, errp)) {
        vhost_user_wl_plugin_free(s->plugin);
        s->plugin = NULL;
        return false;
    } else {
        vhost_user_wl_plugin_set_window(s->plugin, s->window);
    }
    return true;
}

static bool wl_realize_backend(VHostUserWL *s, Error **errp)
{
    if (!(s->conf.socket ? wl_new_daemon(s, errp) : wl_new_plugin(s, errp))) {
        return false;
    }
    if (!vhost_user_wl_plugin_connect(s, errp)) {
        goto fail_plugin;
    }
    if (!vhost_user_init(&s->vhost_user, &s->chardev, errp)) {
        goto fail_chardev;
    }
    if (vhost_user_wl_connect(s, errp) < 0) {
        goto fail_state;
    }
    return true;

fail_state:
    vhost_user_cleanup(&s->vhost_user);
fail_chardev:
    vhost_user_wl_plugin_disconnect(s);
fail_plugin:
    vhost_user_wl_plugin_free(s->plugin);
    s->plugin = NULL;
    return false;
}

static char *wl_name(DeviceState *dev)
{
    DeviceState *proxy = qdev_get_parent_bus(dev)->parent;

    return g_strdup_printf("vhost-user-wl%s%s", proxy && proxy->id ? " " : "",
                           proxy && proxy->id ? proxy->id : "");
}

static void wl_make_bhs(VHostUserWL *s)
{
    s->close_bh = qemu_bh_new(vhost_user_wl_close_bh, s);
    s->ready_bh = qemu_bh_new(vhost_user_wl_ready_bh, s);
    s->lost_bh = qemu_bh_new(vhost_user_wl_lost_bh, s);
    s->answer_bh = qemu_bh_new(vhost_user_wl_answer_bh, s);
}

static void wl_delete_bhs(VHostUserWL *s)
{
    qemu_bh_delete(s->close_bh);
    qemu_bh_delete(s->ready_bh);
    qemu_bh_delete(s->lost_bh);
    qemu_bh_delete(s->answer_bh);
}

static void wl_device_realize(DeviceState *dev, Error **errp)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(dev);
    VHostUserWL *s = VHOST_USER_WL(dev);

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
    if (!vhost_user_wl_migration_init(s, errp)) {
        return;
    }

    g_free(s->name);
    s->name = wl_name(dev);
    if (!vhost_user_wl_ram_watch(s, errp)) {
        vhost_user_wl_migration_finish(s);
        return;
    }
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
    wl_make_bhs(s);

    if (wl_realize_backend(s, errp)) {
        vhost_user_wl_set_handlers(s);
        /* After the stop of the rings, which has no such priority. */
        s->vmstate = qemu_add_vm_change_state_handler_prio(wl_vm_state_changed,
                                                           s, -1);
        return;
    }

    wl_delete_bhs(s);
    for (int i = 0; i < VHOST_USER_WL_NVQS; i++) {
        virtio_delete_queue(s->vqs[i]);
    }
    virtio_cleanup(vdev);
    vhost_user_wl_ram_unwatch(s);
    vhost_user_wl_migration_finish(s);
}

static void wl_device_unrealize(DeviceState *dev)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(dev);
    VHostUserWL *s = VHOST_USER_WL(dev);

    qemu_del_vm_change_state_handler(s->vmstate);
    vhost_user_wl_stop(s);
    vhost_user_wl_reset_backend(s);
    qemu_chr_fe_set_handlers(&s->chardev, NULL, NULL, NULL, NULL, NULL, NULL,
                             false);
    if (s->connected) {
        vhost_dev_cleanup(&s->vhost_dev);
        s->connected = false;
    }
    vhost_user_wl_plugin_disconnect(s);
    vhost_user_wl_plugin_free(s->plugin);
    s->plugin = NULL;
    vhost_user_cleanup(&s->vhost_user);
    if (s->window) {
        vhost_user_wl_window_reset(s->window);
    }
    wl_delete_bhs(s);
    for (int i = 0; i < VHOST_USER_WL_NVQS; i++) {
        virtio_delete_queue(s->vqs[i]);
    }
    virtio_cleanup(vdev);
    vhost_user_wl_ram_unwatch(s);
    vhost_user_wl_migration_finish(s);
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
    if (vhost_user_wl_plugin_stats(s->plugin, &st) == 0) {
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
        wl_visit_u64(v, "dmabufs", st.dmabufs, &error_abort);
        wl_visit_u64(v, "host-dmabuf-version", st.host_dmabuf_version,
                     &error_abort);
        wl_visit_u64(v, "host-dmabuf-formats", st.host_dmabuf_formats,
                     &error_abort);
        wl_visit_u64(v, "host-main-device", st.host_main_device, &error_abort);
        wl_visit_u64(v, "host-explicit-sync", st.host_explicit_sync,
                     &error_abort);
    }
    visit_check_struct(v, errp);
    visit_end_struct(v, NULL);
}

static WLProperty wl_properties[] = {
    DEFINE_PROP_STRING("socket", VHostUserWL, conf.socket),
    DEFINE_PROP_STRING("plugin", VHostUserWL, conf.plugin),
    DEFINE_PROP_STRING("wayland-sock", VHostUserWL, conf.wayland_sock),
    DEFINE_PROP_STRING("allow", VHostUserWL, conf.allow),
    DEFINE_PROP_STRING("deny", VHostUserWL, conf.deny),
    DEFINE_PROP_STRING("policy-file", VHostUserWL, conf.policy_file),
    DEFINE_PROP_STRING("title-prefix", VHostUserWL, conf.title_prefix),
    DEFINE_PROP_STRING("app-id-prefix", VHostUserWL, conf.app_id_prefix),
    DEFINE_PROP_STRING("clipboard", VHostUserWL, conf.clipboard),
    DEFINE_PROP_STRING("primary", VHostUserWL, conf.primary),
    DEFINE_PROP_STRING("drag", VHostUserWL, conf.drag),
    DEFINE_PROP_STRING("name", VHostUserWL, conf.vm_name),
    DEFINE_PROP_STRING("security-context", VHostUserWL, conf.security_context),
    DEFINE_PROP_LINK("iothread", VHostUserWL, conf.iothread, TYPE_IOTHREAD,
                     IOThread *),
    DEFINE_PROP_LINK("gpu", VHostUserWL, conf.gpu, TYPE_DEVICE, DeviceState *),
    DEFINE_PROP_STRING("dmabuf", VHostUserWL, conf.dmabuf),
    DEFINE_PROP_STRING("migration", VHostUserWL, conf.migration),
    DEFINE_PROP_SIZE("shm-size", VHostUserWL, conf.shm_size, 4 * GiB),
    DEFINE_PROP_UINT32("max-vfds", VHostUserWL, conf.max_vfds, 0),
    DEFINE_PROP_UINT32("max-contexts", VHostUserWL, conf.max_contexts, 0),
    DEFINE_PROP_UINT32("max-in-flight", VHostUserWL, conf.max_in_flight, 0),
    DEFINE_PROP_UINT32("poll-us", VHostUserWL, conf.poll_us, 0),
    DEFINE_PROP_SIZE("max-shm-bytes", VHostUserWL, conf.max_shm_bytes, 0),
    DEFINE_PROP_SIZE("max-queued-bytes", VHostUserWL, conf.max_queued_bytes, 0),
    DEFINE_PROP_UINT16("virtio-id", VHostUserWL, conf.virtio_id, VIRTIO_ID_WL),
    DEFINE_PROP_UINT16("queue-size", VHostUserWL, conf.queue_size, 256),
    WL_PROP_END
};

static void wl_class_init(ObjectClass *klass, WLClassData *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    VirtioDeviceClass *vdc = VIRTIO_DEVICE_CLASS(klass);

    device_class_set_props(dc, wl_properties);
    dc->desc = "Wayland connections of the guest to host compositors";
    dc->vmsd = &vhost_user_wl_vmstate;
    set_bit(DEVICE_CATEGORY_DISPLAY, dc->categories);
    vdc->realize = wl_device_realize;
    vdc->unrealize = wl_device_unrealize;
    vdc->get_features = wl_get_features;
    vdc->set_status = wl_set_status;
    vdc->reset = wl_reset;
    vdc->post_load = vhost_user_wl_post_load;
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
