/*
 * Vhost-user virtio-wl device: what differs between QEMU releases
 *
 * One file of device source serves QEMU 7.2 and 10.0; this header is the
 * only place that looks at the version.  A device posted upstream needs none
 * of it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_VIRTIO_VHOST_USER_WL_COMPAT_H
#define HW_VIRTIO_VHOST_USER_WL_COMPAT_H

#include "migration/blocker.h"

#if QEMU_VERSION_MAJOR >= 10
#include "system/iothread.h"
#include "system/numa.h"
#include "system/runstate.h"
#include "exec/memory.h"
#include "exec/ramblock.h"
#define WLProperty const Property
#define WL_PROP_END
#else
#include "sysemu/hostmem.h"
#include "sysemu/iothread.h"
#include "sysemu/numa.h"
#include "sysemu/runstate.h"
#include "exec/memory.h"
#include "exec/ramblock.h"
#define WLProperty Property
#define WL_PROP_END DEFINE_PROP_END_OF_LIST(),
#endif

/* Takes the reason on success; frees it and resets it on failure. */
static inline int wl_migrate_add_blocker(Error **reason, Error **errp)
{
#if QEMU_VERSION_MAJOR > 8 || \
    (QEMU_VERSION_MAJOR == 8 && QEMU_VERSION_MINOR >= 2)
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
#if QEMU_VERSION_MAJOR > 8 || \
    (QEMU_VERSION_MAJOR == 8 && QEMU_VERSION_MINOR >= 2)
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
