/*
 * Vhost-user virtio-wl device: PCI
 *
 * BAR 1 holds MSI-X, BAR 4 the registers, as for any virtio device; BAR 2 is
 * shared-memory region 0.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/virtio/vhost-user-wl.h"
#include "hw/virtio/virtio-pci.h"
#include "standard-headers/linux/virtio_ids.h"
#include "standard-headers/linux/virtio_pci.h"

#define SHM_BAR 2
#define SHM_CAP_TYPE 8 /* VIRTIO_PCI_CAP_SHARED_MEMORY_CFG */

#define TYPE_VHOST_USER_WL_PCI "vhost-user-wl-pci-base"
OBJECT_DECLARE_SIMPLE_TYPE(VHostUserWLPCI, VHOST_USER_WL_PCI)

struct VHostUserWLPCI {
    VirtIOPCIProxy parent_obj;
    VHostUserWL vdev;
};

/* Any thread. */
static bool wl_pci_window_base(Object *owner, uint64_t *gpa)
{
    pcibus_t base = pci_get_bar_addr(PCI_DEVICE(owner), SHM_BAR);

    if (base == PCI_BAR_UNMAPPED) {
        return false;
    }
    *gpa = base;
    return true;
}

/* struct virtio_pci_cap64 of the virtio specification, for region 0. */
static bool wl_pci_add_shm_cap(PCIDevice *dev, uint64_t length, Error **errp)
{
    uint8_t cap[24] = {
        [2] = sizeof(cap), /* cap_len */
        [3] = SHM_CAP_TYPE,
        [4] = SHM_BAR,
        [5] = 0, /* id */
        /* 8: offset, low half */
        /* 16: offset, high half */
    };
    int at;

    pci_set_long(cap + 12, length);
    pci_set_long(cap + 20, length >> 32);
    at = pci_add_capability(dev, PCI_CAP_ID_VNDR, 0, sizeof(cap), errp);
    if (at < 0) {
        return false;
    }
    /* The two bytes before are the list's. */
    memcpy(dev->config + at + PCI_CAP_FLAGS, cap + PCI_CAP_FLAGS,
           sizeof(cap) - PCI_CAP_FLAGS);
    return true;
}

static void wl_pci_realize(VirtIOPCIProxy *vpci_dev, Error **errp)
{
    VHostUserWLPCI *dev = VHOST_USER_WL_PCI(vpci_dev);
    PCIDevice *pci_dev = PCI_DEVICE(vpci_dev);

    if (vpci_dev->flags & VIRTIO_PCI_FLAG_MODERN_PIO_NOTIFY) {
        error_setg(errp, "vhost-user-wl-pci has no BAR left for "
                         "modern-pio-notify");
        return;
    }
    if (vpci_dev->nvectors == DEV_NVECTORS_UNSPECIFIED) {
        vpci_dev->nvectors = VHOST_USER_WL_NVQS + 1;
    }

    dev->vdev.window_owner = OBJECT(vpci_dev);
    dev->vdev.window_base = wl_pci_window_base;
    if (!qdev_realize(DEVICE(&dev->vdev), BUS(&vpci_dev->bus), errp)) {
        /* No guest has seen it, and the object may live on for long. */
        if (dev->vdev.window) {
            object_unparent(OBJECT(&dev->vdev.window->mr));
            vhost_user_wl_window_free(dev->vdev.window);
            dev->vdev.window = NULL;
        }
        return;
    }
    /*
     * The guest's id stands in the configuration space now.  QEMU's "info
     * virtio-status" aborts for an id whose feature bits it has no names of,
     * and this is one where it has none to look for.
     */
    VIRTIO_DEVICE(&dev->vdev)->device_id = VIRTIO_ID_GPIO;
    if (!dev->vdev.window ||
        !wl_pci_add_shm_cap(pci_dev, dev->vdev.window->size, errp)) {
        return;
    }
    pci_register_bar(pci_dev, SHM_BAR,
                     PCI_BASE_ADDRESS_SPACE_MEMORY |
                         PCI_BASE_ADDRESS_MEM_PREFETCH |
                         PCI_BASE_ADDRESS_MEM_TYPE_64,
                     &dev->vdev.window->mr);
}

static WLProperty wl_pci_properties[] = {
    DEFINE_PROP_BIT("ioeventfd", VirtIOPCIProxy, flags,
                    VIRTIO_PCI_FLAG_USE_IOEVENTFD_BIT, true),
    DEFINE_PROP_UINT32("vectors", VirtIOPCIProxy, nvectors,
                       DEV_NVECTORS_UNSPECIFIED),
    WL_PROP_END
};

static void wl_pci_class_init(ObjectClass *klass, WLClassData *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    VirtioPCIClass *k = VIRTIO_PCI_CLASS(klass);
    PCIDeviceClass *pcidev_k = PCI_DEVICE_CLASS(klass);

    device_class_set_props(dc, wl_pci_properties);
    k->realize = wl_pci_realize;
    set_bit(DEVICE_CATEGORY_DISPLAY, dc->categories);
    dc->desc = "Wayland connections of the guest to host compositors";
    pcidev_k->vendor_id = PCI_VENDOR_ID_REDHAT_QUMRANET;
    pcidev_k->device_id = 0; /* virtio-pci sets it by the virtio id */
    pcidev_k->revision = 0x00;
    pcidev_k->class_id = PCI_CLASS_DISPLAY_OTHER;
}

static void wl_pci_instance_init(Object *obj)
{
    VHostUserWLPCI *dev = VHOST_USER_WL_PCI(obj);

    virtio_instance_init_common(obj, &dev->vdev, sizeof(dev->vdev),
                                TYPE_VHOST_USER_WL);
    /* Newer releases pass this on like the settable properties. */
    if (!object_property_find(obj, "stats")) {
        object_property_add_alias(obj, "stats", OBJECT(&dev->vdev), "stats");
    }
}

/* The last user of the BAR's memory held a reference: now there is none. */
static void wl_pci_instance_finalize(Object *obj)
{
    VHostUserWLPCI *dev = VHOST_USER_WL_PCI(obj);

    vhost_user_wl_window_free(dev->vdev.window);
}

static const VirtioPCIDeviceTypeInfo wl_pci_info = {
    .base_name = TYPE_VHOST_USER_WL_PCI,
    .non_transitional_name = "vhost-user-wl-pci",
    .instance_size = sizeof(VHostUserWLPCI),
    .instance_init = wl_pci_instance_init,
    .instance_finalize = wl_pci_instance_finalize,
    .class_init = wl_pci_class_init,
};

static void wl_pci_register_types(void)
{
    virtio_pci_types_register(&wl_pci_info);
}

type_init(wl_pci_register_types)
