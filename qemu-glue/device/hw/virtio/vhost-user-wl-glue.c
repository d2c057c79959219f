/*
 * Vhost-user virtio-wl device: in a QEMU that was built without it
 *
 * entry.c has made sure that this is the build of QEMU whose headers this was
 * compiled with.  Here the headers themselves are doubted: what they say of
 * the structs that the device shares with QEMU is compared with what QEMU
 * says, which knows the sizes of all its types and the places of all their
 * properties.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/config-file.h"
#include "qemu/error-report.h"
#include "qemu/module.h"
#include "qemu/option.h"
#include "hw/virtio/vhost-user-rng.h"
#include "hw/virtio/vhost-user-wl.h"
#include "hw/virtio/virtio-pci.h"
#include "monitor/qdev.h"

#define TYPE_PROBE "vhost-user-wl-probe"
#define PROBE_SIZE (sizeof(Object) + 0x5a30)
#define PROBE_CLASS_SIZE (sizeof(ObjectClass) + 0x1d8)
#define TYPE_WORDS 8

static void (*inits[8])(void);
static unsigned n_inits;

/* What type_init() calls before main: in this file, not QEMU's own. */
void register_module_init(void (*fn)(void), module_init_type type)
{
    assert(n_inits < G_N_ELEMENTS(inits));
    inits[n_inits++] = fn;
}

/*
 * QEMU has no function for the size of a type.  Where in its private struct
 * both sizes are is learnt from a type whose sizes are known.
 */
static unsigned size_at, class_size_at;

static bool sizes_find(void)
{
    static const TypeInfo info = {
        .name = TYPE_PROBE,
        .parent = TYPE_OBJECT,
        .instance_size = PROBE_SIZE,
        .class_size = PROBE_CLASS_SIZE,
    };
    const size_t *words;

    type_register_static(&info);
    words = (const void *)object_class_by_name(TYPE_PROBE)->type;
    for (unsigned i = 1; i < TYPE_WORDS; i++) {
        if (words[i] == PROBE_SIZE) {
            size_at = i;
        } else if (words[i] == PROBE_CLASS_SIZE) {
            class_size_at = i;
        }
    }
    return size_at && class_size_at;
}

static bool same(const char *what, const char *of, size_t here, size_t there)
{
    if (here == there) {
        return true;
    }
    error_report("vhost-user-wl: %s of %s is %zu in this QEMU, and %zu in the "
                 "headers that the glue was built with, which were not those "
                 "of QEMU " WL_QEMU_BANNER "; build it again: " WL_REBUILD
                 " --qemu=%s",
                 what, of, there, here, program_invocation_name);
    return false;
}

static bool same_sizes(const char *type, size_t size, size_t class_size)
{
    ObjectClass *klass = object_class_by_name(type);
    const size_t *words;

    /* Not every build has every device. */
    if (!klass) {
        return true;
    }
    words = (const void *)klass->type;
    return same("the size", type, size, words[size_at]) &&
           (!class_size ||
            same("the class's size", type, class_size, words[class_size_at]));
}

static bool same_place(const char *type, const char *name, ptrdiff_t place)
{
    ObjectClass *klass = object_class_by_name(type);
    ObjectProperty *p = klass ? object_class_property_find(klass, name) : NULL;
    const Property *property = p ? p->opaque : NULL;

    return !property || same(name, type, place, property->offset);
}

static bool same_structs(void)
{
    return same_place(TYPE_PCI_DEVICE, "addr", offsetof(PCIDevice, devfn)) &&
           same_place(TYPE_VIRTIO_PCI, "page-per-vq",
                      offsetof(VirtIOPCIProxy, flags)) &&
           same_place(TYPE_VIRTIO_DEVICE, "use-started",
                      offsetof(VirtIODevice, use_started)) &&
           same_place("vhost-user-rng", "chardev", sizeof(VirtIODevice)) &&
           (!sizes_find() ||
            (same_sizes(TYPE_DEVICE, sizeof(DeviceState),
                        sizeof(DeviceClass)) &&
             same_sizes(TYPE_PCI_DEVICE, sizeof(PCIDevice),
                        sizeof(PCIDeviceClass)) &&
             same_sizes(TYPE_VIRTIO_PCI, sizeof(VirtIOPCIProxy),
                        sizeof(VirtioPCIClass)) &&
             same_sizes(TYPE_VIRTIO_DEVICE, sizeof(VirtIODevice),
                        sizeof(VirtioDeviceClass)) &&
             /* A connection, and struct vhost_dev. */
             same_sizes(TYPE_VHOST_USER_RNG, sizeof(VHostUserRNG), 0)));
}

/* QEMU answers "-device vhost-user-wl-pci,help" before it loads anything. */
static void help(void)
{
    QemuOpts *opts = qemu_opts_parse_noisily(qemu_find_opts("device"),
                                             "vhost-user-wl-pci,help", true);

    exit(opts && qdev_device_help(opts) ? 0 : 1);
}

int wl_glue_start(int argc, char **argv);

__attribute__((visibility("default"))) int wl_glue_start(int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "help=on") != 0) {
            error_report("vhost-user-wl: unknown option '%s': there is "
                         "help=on alone",
                         argv[i]);
            exit(1);
        }
    }
    if (!same_structs()) {
        exit(1);
    }
    for (unsigned i = 0; i < n_inits; i++) {
        inits[i]();
    }
    if (argc > 0) {
        help();
    }
    return 0;
}
