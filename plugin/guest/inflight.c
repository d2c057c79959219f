/* SPDX-License-Identifier: BSD-3-Clause */
#include "guest/inflight.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/page.h"
#include "guest/vq.h"

#define MAX_QUEUES 8u

struct vwl_inflight {
    bool packed;
    uint16_t queues;
    uint16_t queue_size;
    void *map;
    size_t map_len;
    unsigned char *base;
};

size_t vwl_inflight_queue_bytes(bool packed, uint16_t queue_size)
{
    size_t unit = packed ? 32 : 16; /* of the header and of an entry */

    return (unit + unit * queue_size + 63) / 64 * 64;
}

static bool counts_ok(uint16_t queues, uint16_t queue_size)
{
    return queues > 0 && queues <= MAX_QUEUES && queue_size > 0 &&
           queue_size <= VWL_VQ_MAX_SIZE;
}

int vwl_inflight_open(bool packed, int fd, uint64_t offset, uint64_t size,
                      uint16_t queues, uint16_t queue_size,
                      struct vwl_inflight **out)
{
    uint64_t lead = offset % vwl_page_host_bytes();
    struct vwl_inflight *inflight;
    struct stat st;
    uint64_t need;
    void *map;

    if (!counts_ok(queues, queue_size)) {
        return -EINVAL;
    }
    need = queues * (uint64_t)vwl_inflight_queue_bytes(packed, queue_size);
    vwl_fd_seal_length(fd); /* before its length is asked for */
    if (fstat(fd, &st) < 0) {
        return -errno;
    }
    /* 8 because the counters are stored as a whole */
    if (!S_ISREG(st.st_mode) || st.st_size < 0 || size < need || offset % 8 ||
        offset > (uint64_t)st.st_size || size > (uint64_t)st.st_size - offset) {
        return -EINVAL;
    }
    map = mmap(NULL, need + lead, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
               (off_t)(offset - lead));
    if (map == MAP_FAILED) {
        return -errno;
    }
    inflight = g_new0(struct vwl_inflight, 1);
    inflight->packed = packed;
    inflight->queues = queues;
    inflight->queue_size = queue_size;
    inflight->map = map;
    inflight->map_len = need + lead;
    inflight->base = (unsigned char *)map + lead;
    *out = inflight;
    return 0;
}

int vwl_inflight_create(bool packed, uint16_t queues, uint16_t queue_size,
                        struct vwl_inflight **out, int *fd, uint64_t *size)
{
    uint64_t bytes;
    int memfd, rc;

    if (!counts_ok(queues, queue_size)) {
        return -EINVAL;
    }
    bytes = queues * (uint64_t)vwl_inflight_queue_bytes(packed, queue_size);
    memfd = memfd_create("vhost-user-wl in flight",
                         MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memfd < 0) {
        return -errno;
    }
    rc = ftruncate(memfd, (off_t)bytes) < 0 ||
                 fcntl(memfd, F_ADD_SEALS,
                       F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0
             ? -errno
             : 0;
    if (rc == 0) {
        rc = vwl_inflight_open(packed, memfd, 0, bytes, queues, queue_size,
                               out);
    }
    if (rc < 0) {
        close(memfd);
        return rc;
    }
    *fd = memfd;
    *size = bytes;
    return 0;
}

void vwl_inflight_destroy(struct vwl_inflight *inflight)
{
    if (inflight) {
        munmap(inflight->map, inflight->map_len);
        g_free(inflight);
    }
}

bool vwl_inflight_is_packed(const struct vwl_inflight *inflight)
{
    return inflight->packed;
}

void *vwl_inflight_queue(struct vwl_inflight *inflight, uint16_t queue,
                         uint16_t queue_size)
{
    if (queue >= inflight->queues || queue_size != inflight->queue_size) {
        return NULL;
    }
    return inflight->base +
           queue * vwl_inflight_queue_bytes(inflight->packed, queue_size);
}
