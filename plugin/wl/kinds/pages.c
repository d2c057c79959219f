/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest's own pages as a file for host peers: nothing is copied, and
 * nothing is mapped into region 0, since the guest has them already.
 *
 * Pages that such a file holds stay the host's memory even if the VMM takes
 * them away from the guest and gives it others in their place. So they count as
 * memory that the guest asked for, for as long as a peer has the file.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/iov.h"
#include "base/page.h"
#include "wl/answer.h"
#include "wl/kinds/kinds.h"
#include "wl/kinds/memory.h"
#include "wl/request.h"
#include "wl/state.h"

#define HEAD_BYTES sizeof(struct virtio_wl_ctrl_vfd_new_pages)

static void pages_init(struct vwl_vfd *vfd)
{
    vwl_memory_init(vfd);
    vfd->core->n_pages++;
}

static void pages_free(struct vwl_vfd *vfd)
{
    vfd->core->n_pages--;
    vfd->core->pages_bytes -= vwl_memory_of(vfd)->charged_bytes;
    vwl_memory_free(vfd);
}

static void pages_answer(const struct vwl_vfd *vfd, struct vwl_vfd_words *words)
{
}

/* After a restore it can be closed, and its contexts have hung up. */
const struct vwl_vfd_ops vwl_pages_ops = {
    .name = "pages",
    .bytes = sizeof(struct vwl_memory),
    .send_refusal = -VWL_EBADTYPE,
    .init = pages_init,
    .free = pages_free,
    .answer = pages_answer,
    .fd_to_send = vwl_memory_fd_to_send,
    .sent = vwl_memory_sent,
    .saved = {
        .kind = VWL_IMAGE_OPAQUE,
    },
};

/* ---- what is asked for --------------------------------------------------- */

static int refuse(struct vwl_core *core, uint32_t id, int err, const char *why)
{
    log_guest_bug(core->log, "pages 0x%" PRIx32 ": cannot be made: %s", id,
                  why);
    return err;
}

static void run_decode(uint64_t word, struct vwl_run *run)
{
    run->gpa = vwl_page_down(word);
    run->bytes = (word - run->gpa + 1) * VWL_PAGE_BYTES;
}

static int run_compare(const void *a, const void *b)
{
    const struct vwl_run *one = a, *other = b;

    return (one->gpa > other->gpa) - (one->gpa < other->gpa);
}

/* Whether no page is there twice. There is room for as many behind them. */
static bool runs_are_distinct(struct vwl_run *runs, unsigned int n)
{
    struct vwl_run *sorted = runs + n;

    memcpy(sorted, runs, n * sizeof *runs);
    qsort(sorted, n, sizeof *sorted, run_compare);
    for (unsigned int i = 1; i < n; i++) {
        if (sorted[i].gpa - sorted[i - 1].gpa < sorted[i - 1].bytes) {
            return false;
        }
    }
    return true;
}

/* Gathers them once; *bytes is what they hold. */
static int runs_read(struct vwl_core *core, const struct vwl_request *request,
                     struct vwl_run *runs, unsigned int n, uint64_t *bytes)
{
    uint32_t id = vwl_request_id(request);
    uint8_t words[64 * sizeof(uint64_t)];

    *bytes = 0;
    for (unsigned int i = 0; i < n; i++) {
        size_t at = i * sizeof(uint64_t);

        if (at % sizeof words == 0) {
            vwl_iov_read(request->payload, request->n_payload, HEAD_BYTES + at,
                         words, MIN(n * sizeof(uint64_t) - at, sizeof words));
        }
        run_decode(vwl_le_get64(words + at % sizeof words), &runs[i]);
        if (runs[i].bytes > UINT64_MAX - runs[i].gpa) {
            return refuse(core, id, -EINVAL, "a run ends past all addresses");
        }
        *bytes += runs[i].bytes;
    }
    if (*bytes > VIRTIO_WL_PAGES_MAX_BYTES) {
        return refuse(core, id, -ENOSPC, "its runs are too long");
    }
    return runs_are_distinct(runs, n)
               ? 0
               : refuse(core, id, -EINVAL, "a page is there twice");
}

/* ---- making ------------------------------------------------------------- */

static int pages_make(struct vwl_memory *memory, const struct vwl_run *runs,
                      unsigned int n)
{
    struct vwl_vfd *vfd = &memory->vfd;
    struct vwl_core *core = vfd->core;
    int err = vwl_memory_charge(memory, vfd->size_bytes);

    if (err < 0) {
        return err;
    }
    core->pages_bytes += memory->charged_bytes;
    err = core->ops->pages(core->opaque, runs, n, &vfd->send_fd);
    if (err == -EFAULT) {
        return refuse(core, vfd->id, err, "a run is no memory of the guest");
    }
    if (err < 0 && err != -EOPNOTSUPP) {
        log_host_bug(core->log,
                     "pages 0x%" PRIx32 ": no file of %" PRIu64
                     " bytes in %u runs: %s",
                     vfd->id, vfd->size_bytes, n, g_strerror(-err));
    }
    return err == -EOPNOTSUPP ? -VWL_EBADCMD : err;
}

static int pages_create(struct vwl_core *core, struct vwl_request *request,
                        struct vwl_run *runs, unsigned int n)
{
    struct vwl_vfd *vfd;
    uint64_t bytes;
    int err = runs_read(core, request, runs, n, &bytes);

    if (err == 0) {
        err = vwl_vfd_create(core, &vwl_pages_ops, vwl_request_id(request),
                             &vfd);
    }
    if (err < 0) {
        return err;
    }
    vfd->size_bytes = bytes;
    return vwl_vfd_created(vfd, request,
                           pages_make(vwl_memory_of(vfd), runs, n));
}

int vwl_pages_create(struct vwl_core *core, struct vwl_request *request,
                     uint32_t id)
{
    uint32_t n = VWL_REQUEST32(request, virtio_wl_ctrl_vfd_new_pages,
                               run_count);
    struct vwl_run *runs;
    int err;

    if (n == 0) {
        return refuse(core, id, -EINVAL, "it has no runs");
    }
    if (n > VIRTIO_WL_PAGES_MAX_RUNS) {
        return refuse(core, id, -ENOSPC, "it has too many runs");
    }
    if (request->total_bytes < HEAD_BYTES + n * sizeof(uint64_t)) {
        return refuse(core, id, -EINVAL, "it is too short for its runs");
    }
    runs = g_try_new(struct vwl_run, 2 * n);
    if (!runs) {
        return -ENOMEM;
    }
    err = pages_create(core, request, runs, n);
    g_free(runs);
    return err;
}
