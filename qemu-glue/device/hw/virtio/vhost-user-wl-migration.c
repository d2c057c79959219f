/*
 * Vhost-user virtio-wl device: saving and loading a virtual machine
 *
 * What the guest has open leads to programs of the host, and no file can hold
 * that.  So the state of the virtio device is saved, and nothing behind it: a
 * loaded device has no rings that work, says that it needs a reset, and answers
 * requests with errors until the driver has reset it.  To the guest that is
 * what a lost back-end is.
 *
 * While a machine runs and its memory is being saved, the back-end logs the
 * pages that it writes to (VHOST_F_LOG_ALL), in the common vhost code.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "hw/virtio/vhost-user-wl.h"
#include "migration/vmstate.h"

#define LOSE_WINDOWS "lose-windows"
#define REFUSE "refuse"

const VMStateDescription vhost_user_wl_vmstate = {
    .name = "vhost-user-wl",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]){ VMSTATE_VIRTIO_DEVICE,
                                      VMSTATE_END_OF_LIST() },
};

bool vhost_user_wl_migration_init(VHostUserWL *s, Error **errp)
{
    const char *way = s->conf.migration ? s->conf.migration : LOSE_WINDOWS;

    if (strcmp(way, LOSE_WINDOWS) == 0) {
        return true;
    }
    if (strcmp(way, REFUSE) != 0) {
        error_setg(errp,
                   "migration must be " REFUSE " or " LOSE_WINDOWS ", not '%s'",
                   way);
        return false;
    }
    error_setg(&s->migration_blocker,
               "vhost-user-wl: the connections of the guest's programs to the "
               "host's compositor cannot be moved, and the device was told "
               "migration=" REFUSE);
    return wl_migrate_add_blocker(&s->migration_blocker, errp) == 0;
}

void vhost_user_wl_migration_finish(VHostUserWL *s)
{
    wl_migrate_del_blocker(&s->migration_blocker);
}

int vhost_user_wl_post_load(VirtIODevice *vdev)
{
    VHostUserWL *s = VHOST_USER_WL(vdev);

    /* Whatever a guest had here before. */
    vhost_user_wl_reset_backend(s);
    /* Without a running driver there was nothing to lose. */
    s->lost = vdev->status & VIRTIO_CONFIG_S_DRIVER_OK;
    return 0;
}

/* The interrupt has to wait until the interrupt controllers are loaded. */
void vhost_user_wl_lost_bh(void *opaque)
{
    VHostUserWL *s = opaque;

    if (s->lost) {
        vhost_user_wl_ask_for_reset(s);
        vhost_user_wl_answer_errors(s);
    }
}
