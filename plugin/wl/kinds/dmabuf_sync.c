/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/kinds/dmabuf_sync.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/dma-buf.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/closer.h"
#include "base/fd.h"

struct vwl_dmabuf_sync {
    int refs; /* the VFD's and the thread's */
    uint32_t flags;
    int fd; /* the thread's */
    GMutex lock;
    int event_fd; /* -1: nobody waits any more */
    int err;
};

static void sync_unref(struct vwl_dmabuf_sync *sync)
{
    if (g_atomic_int_dec_and_test(&sync->refs)) {
        g_mutex_clear(&sync->lock);
        g_free(sync);
    }
}

int vwl_dmabuf_sync_now(int fd, uint32_t flags)
{
    struct dma_buf_sync sync = { .flags = flags };
    int ret;

    do {
        ret = ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync);
    } while (ret < 0 && errno == EINTR);
    return ret < 0 ? -errno : 0;
}

static void sync_run(void *data)
{
    struct vwl_dmabuf_sync *sync = data;
    int err = vwl_dmabuf_sync_now(sync->fd, sync->flags);

    vwl_fd_clear(&sync->fd);
    g_mutex_lock(&sync->lock);
    sync->err = err;
    if (sync->event_fd >= 0) {
        eventfd_write(sync->event_fd, 1); /* cannot fail: it was 0 */
    }
    g_mutex_unlock(&sync->lock);
    sync_unref(sync);
}

int vwl_dmabuf_sync_begin(struct vwl_closer *closer, int fd, uint32_t flags,
                          struct vwl_dmabuf_sync **out)
{
    vwl_autofd int copy = -1, event_fd = -1;
    struct vwl_dmabuf_sync *sync;

    if (vwl_closer_waiting(closer) >= VWL_CLOSER_FULL) {
        return -EBUSY;
    }
    copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0 || vwl_fd_admit(copy) < 0) {
        return -EMFILE;
    }
    event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event_fd < 0 || vwl_fd_admit(event_fd) < 0) {
        return -EMFILE;
    }
    sync = g_new0(struct vwl_dmabuf_sync, 1);
    sync->refs = 2;
    sync->flags = flags;
    sync->fd = vwl_fd_steal(&copy);
    sync->event_fd = vwl_fd_steal(&event_fd);
    sync->err = -EINPROGRESS;
    g_mutex_init(&sync->lock);
    vwl_closer_call(closer, sync_run, sync);
    *out = sync;
    return 0;
}

int vwl_dmabuf_sync_fd(const struct vwl_dmabuf_sync *sync)
{
    return sync->event_fd;
}

int vwl_dmabuf_sync_end(struct vwl_dmabuf_sync *sync)
{
    int err;

    g_mutex_lock(&sync->lock);
    err = sync->err;
    vwl_fd_clear(&sync->event_fd);
    g_mutex_unlock(&sync->lock);
    sync_unref(sync);
    return err;
}
