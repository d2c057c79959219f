/*
 * Vhost-user virtio-wl device: what differs between QEMU releases
 *
 * One source of the device serves QEMU 7.2 to 11.1; this header is the only
 * place that looks at the version.  A device posted upstream needs none of it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_VIRTIO_VHOST_USER_WL_COMPAT_H
#define HW_VIRTIO_VHOST_USER_WL_COMPAT_H

#include "qapi/error.h"
#include "chardev/char-fe.h"
#include "migration/blocker.h"

#define WL_QEMU_IS(major, minor)     \
    (QEMU_VERSION_MAJOR > (major) || \
     (QEMU_VERSION_MAJOR == (major) && QEMU_VERSION_MINOR >= (minor)))

/* Headers that moved; some did between two releases that were not compiled. */
#if __has_include("hw/core/boards.h")
#include "hw/core/boards.h"
#include "hw/core/qdev-properties-system.h"
#include "hw/core/qdev-properties.h"
#else
#include "hw/boards.h"
#include "hw/qdev-properties-system.h"
#include "hw/qdev-properties.h"
#endif
#if WL_QEMU_IS(10, 0)
#include "system/hostmem.h"
#include "system/iothread.h"
#include "system/numa.h"
#include "system/runstate.h"
#else
#include "sysemu/hostmem.h"
#include "sysemu/iothread.h"
#include "sysemu/numa.h"
#include "sysemu/runstate.h"
#endif
#if __has_include("system/memory.h")
#include "system/address-spaces.h"
#include "system/memory.h"
#include "system/ramblock.h"
#else
#include "exec/address-spaces.h"
#include "exec/memory.h"
#include "exec/ramblock.h"
#endif

#if WL_QEMU_IS(10, 0)
#define WLProperty const Property
#define WL_PROP_END
#else
#define WLProperty Property
#define WL_PROP_END DEFINE_PROP_END_OF_LIST(),
#endif

/* What class_init() gets, and what set_status() returns. */
#if WL_QEMU_IS(10, 1)
typedef const void WLClassData;
typedef int WLStatusResult;
#define WL_STATUS_DONE 0
#else
typedef void WLClassData;
typedef void WLStatusResult;
#define WL_STATUS_DONE
#endif

#if WL_QEMU_IS(10, 2)
typedef CharFrontend WLChar;
#else
typedef CharBackend WLChar;
#endif

/* Takes the reason on success; frees it and resets it on failure. */
static inline int wl_migrate_add_blocker(Error **reason, Error **errp)
{
#if WL_QEMU_IS(8, 2)
    return migrate_add_blocker(reason, errp);
#else
    int ret = migrate_add_blocker(*reason, errp);

    if (ret < 0) {
        error_free(*reason);
        *reason = NULL;
    }
    return ret;
#endif
}

static inline void wl_migrate_del_blocker(Error **reason)
{
#if WL_QEMU_IS(8, 2)
    migrate_del_blocker(reason);
#else
    if (*reason) {
        migrate_del_blocker(*reason);
        error_free(*reason);
        *reason = NULL;
    }
#endif
}

#endif
