/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/outbox/parcel.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>

#include "base/closer.h"
#include "base/fd.h"
#include "wl/outbox/foreign.h"

void vwl_parcel_destroy(struct vwl_parcel *parcel)
{
    if (parcel) {
        vwl_foreign_destroy(parcel->foreign);
        vwl_closer_close_all(parcel->closer, parcel->fds, parcel->n);
        g_free(parcel);
    }
}

int vwl_parcel_create(struct vwl_closer *closer, const int *fds, unsigned int n,
                      struct vwl_parcel **out)
{
    struct vwl_parcel *parcel;

    parcel = g_try_malloc0(sizeof *parcel + n * sizeof(int));
    if (!parcel) {
        return -ENOMEM;
    }
    parcel->closer = closer;
    for (; parcel->n < n; parcel->n++) {
        int fd = fcntl(fds[parcel->n], F_DUPFD_CLOEXEC, 0);

        int err = fd < 0 ? -errno : vwl_fd_admit(fd);

        if (err < 0) {
            vwl_fd_clear(&fd);
            vwl_parcel_destroy(parcel);
            return err;
        }
        parcel->fds[parcel->n] = fd;
    }
    *out = parcel;
    return 0;
}

int vwl_parcel_adopt(struct vwl_closer *closer, const int *fds, unsigned int n,
                     struct vwl_parcel **out)
{
    struct vwl_parcel *parcel;

    parcel = g_try_malloc0(sizeof *parcel + n * sizeof(int));
    if (!parcel) {
        return -ENOMEM;
    }
    parcel->closer = closer;
    memcpy(parcel->fds, fds, n * sizeof(int));
    parcel->n = n;
    *out = parcel;
    return 0;
}
