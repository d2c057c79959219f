/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/kinds/memory.h"

#include <errno.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/page.h"
#include "wl/answer.h"
#include "wl/kinds/kinds.h"
#include "wl/memory/anchor.h"
#include "wl/peer/copy.h"
#include "wl/state.h"

/* A driver without USE_SHMEM is told guest addresses: how long an allocation
 * waits for somebody to know where the region sits. */
#define BASE_RETRY_MS 50
#define BASE_TOTAL_MS 500

void vwl_memory_init(struct vwl_vfd *vfd)
{
    struct vwl_memory *memory = vwl_memory_of(vfd);

    memory->copy_fd = -1;
    vwl_list_init(&memory->waiter);
}

void vwl_memory_free(struct vwl_vfd *vfd)
{
    struct vwl_memory *memory = vwl_memory_of(vfd);

    /* what came from a peer was never ours to count */
    if (memory->sent && memory->charged_bytes &&
        !(vfd->id & VIRTIO_WL_VFD_HOST_ID_BIT)) {
        vwl_held_note(&vfd->core->held, &vfd->core->maps, vfd->send_fd,
                      memory->charged_bytes);
    }
    vwl_list_remove(&memory->waiter);
    vwl_fd_clear(&memory->copy_fd);
    vwl_map_destroy(memory->map);
    memory->map = NULL;
    vfd->core->shm_bytes -= memory->charged_bytes;
    memory->charged_bytes = 0;
}

/* A peer's descriptor of a small file is no less than a VFD. */
static bool memory_fits(const struct vwl_core *core, uint64_t bytes)
{
    return bytes <= vwl_core_shm_left(core) &&
           vwl_held_count(&core->held) < core->config.max_vfds;
}

/* Looks only where it matters. */
static bool memory_has_room(struct vwl_core *core, uint64_t bytes)
{
    uint64_t unknown = core->held.unknown_bytes;

    return memory_fits(core, bytes + unknown) ||
           (vwl_held_look(&core->held, &core->maps)
                ? memory_fits(core, bytes)
                : memory_fits(core, bytes + unknown));
}

int vwl_memory_charge(struct vwl_memory *memory, uint64_t bytes)
{
    struct vwl_core *core = memory->vfd.core;

    if (!memory_has_room(core, bytes)) {
        log_guest_bug(core->log,
                      "%s 0x%" PRIx32 ": the limit of %" PRIu64
                      " bytes of shared memory is reached; host peers hold"
                      " %" PRIu64 " bytes in %u files that the guest closed",
                      memory->vfd.ops->name, memory->vfd.id,
                      core->config.max_shm_bytes, core->held.bytes,
                      vwl_held_count(&core->held));
        return -ENOSPC;
    }
    core->shm_bytes += bytes;
    memory->charged_bytes += bytes;
    return 0;
}

/* ---- becoming usable ---------------------------------------------------- */

/* It is mapped and its address known (0), or it is not to be. */
static void memory_end(struct vwl_memory *memory, int err)
{
    void (*settled)(void *owner) = memory->settled;
    struct vwl_vfd *vfd = &memory->vfd;

    memory->settled = NULL;
    vwl_list_remove(&memory->waiter);
    vwl_timer_cancel(&vfd->core->timers, &vfd->timer);
    if (vfd->creating) {
        vwl_vfd_creation_end(vfd, err);
        return;
    }
    if (err < 0) {
        vwl_vfd_change_kind(vfd, &vwl_opaque_ops);
    }
    if (settled) {
        settled(memory->owner);
    }
}

static int memory_find_base(const struct vwl_memory *memory)
{
    uint64_t pfn;

    return vwl_answer_pfn(memory->vfd.core, vwl_map_offset(memory->map), &pfn);
}

static void log_no_base(const struct vwl_vfd *vfd)
{
    log_host_bug(vfd->core->log,
                 "%s 0x%" PRIx32 ": the front-end did not report"
                 " the address of region 0",
                 vfd->ops->name, vfd->id);
}

static void memory_on_base_retry(struct vwl_timer *timer)
{
    struct vwl_vfd *vfd = vwl_list_entry(timer, struct vwl_vfd, timer);
    struct vwl_memory *memory = vwl_memory_of(vfd);
    int err = memory_find_base(memory);

    if (err == -EAGAIN && vwl_clock_us() < memory->deadline_us) {
        vwl_timer_set(&vfd->core->timers, timer, BASE_RETRY_MS);
        return;
    }
    if (err < 0) {
        vfd->core->base_is_missing = true;
        log_no_base(vfd);
    }
    memory_end(memory, err);
}

void vwl_memory_base_changed(struct vwl_core *core)
{
    core->base_is_missing = false;
    while (!vwl_list_is_empty(&core->base_waiters)) {
        struct vwl_memory *memory = vwl_list_entry(core->base_waiters.next,
                                                   struct vwl_memory, waiter);

        if (memory_find_base(memory) < 0) {
            return;
        }
        memory_end(memory, 0);
    }
}

static int memory_wait_for_base(struct vwl_memory *memory)
{
    struct vwl_vfd *vfd = &memory->vfd;
    struct vwl_core *core = vfd->core;

    if (core->base_is_missing) {
        log_no_base(vfd);
        return -ENXIO;
    }
    vwl_list_insert(&core->base_waiters, &memory->waiter);
    vwl_timer_init(&vfd->timer, memory_on_base_retry);
    memory->deadline_us = vwl_clock_us() + BASE_TOTAL_MS * UINT64_C(1000);
    vwl_timer_set(&core->timers, &vfd->timer, BASE_RETRY_MS);
    return -EINPROGRESS;
}

/* What a map attempt came to: 0 = usable, -EINPROGRESS = later, else not. */
static int memory_map_result(struct vwl_memory *memory, int err)
{
    if (err < 0) {
        memory->map = NULL;
        if (memory->direct) {
            memory->direct = false;
            log_note(memory->vfd.core->log,
                     "shm 0x%" PRIx32 ": a writable file of %" PRIu64
                     " bytes is copied, since the front-end does not map it "
                     "as it is: what its peer writes later is not seen",
                     memory->vfd.id, memory->vfd.size_bytes);
            return vwl_memory_map_copy(memory, false);
        }
        return err;
    }
    err = memory_find_base(memory);
    return err == -EAGAIN ? memory_wait_for_base(memory) : err;
}

static void memory_on_mapped(void *owner, int err)
{
    struct vwl_memory *memory = owner;

    err = memory_map_result(memory, err);
    if (err != -EINPROGRESS) {
        memory_end(memory, err);
    }
}

int vwl_memory_map(struct vwl_memory *memory, int fd, uint64_t len)
{
    struct vwl_core *core = memory->vfd.core;
    int err;

    if (!vwl_core_has(core, VIRTIO_WL_F_USE_SHMEM)) {
        vwl_anchor_map(core);
    }
    err = vwl_map_create(core, fd, len, memory_on_mapped, memory, &memory->map);
    return err == -EINPROGRESS ? err : memory_map_result(memory, err);
}

int vwl_memory_map_copy(struct vwl_memory *memory, bool cached_only)
{
    struct vwl_vfd *vfd = &memory->vfd;
    uint64_t len = vwl_page_up(vfd->size_bytes);
    int err = vwl_memory_charge(memory, len);

    if (err == 0) {
        err = vwl_copy_private(vfd->send_fd, vfd->size_bytes, cached_only,
                               &memory->copy_fd);
    }
    return err < 0 ? err : vwl_memory_map(memory, memory->copy_fd, len);
}

/* ---- of vwl_vfd_ops ----------------------------------------------------- */

void vwl_memory_answer(const struct vwl_vfd *vfd, struct vwl_vfd_words *words)
{
    const struct vwl_memory *memory = vwl_memory_of_const(vfd);

    words->flags = memory->answered_flags;
    vwl_answer_pfn(vfd->core, vwl_map_offset(memory->map), &words->pfn);
}

void vwl_memory_announce(const struct vwl_vfd *vfd, struct vwl_vfd_words *words)
{
    const struct vwl_memory *memory = vwl_memory_of_const(vfd);

    words->flags = 0;
    if (!memory->map) {
        return;
    }
    if (!vwl_core_has(vfd->core, VIRTIO_WL_F_TRANS_FLAGS)) {
        words->flags = VIRTIO_WL_VFD_LEGACY_WRITE | VIRTIO_WL_VFD_LEGACY_MAP;
    }
    vwl_answer_pfn(vfd->core, vwl_map_offset(memory->map), &words->pfn);
}

int vwl_memory_fd_to_send(const struct vwl_vfd *vfd)
{
    return vfd->send_fd;
}

void vwl_memory_sent(struct vwl_vfd *vfd)
{
    vwl_memory_of(vfd)->sent = true;
}

void vwl_memory_describe(const struct vwl_vfd *vfd, struct vwl_image *image)
{
    const struct vwl_memory *memory = vwl_memory_of_const(vfd);

    image->answered_flags = memory->answered_flags;
    if (vfd->send_fd < 0) {
        return;
    }
    image->bits |= VWL_IMAGE_FILE;
    if (memory->map) {
        image->bits |= VWL_IMAGE_MAPPED;
        image->offset = vwl_map_offset(memory->map);
    }
}

int vwl_memory_file(const struct vwl_vfd *vfd)
{
    const struct vwl_memory *memory = vwl_memory_of_const(vfd);

    return vfd->send_fd >= 0 && memory->copy_fd >= 0 ? memory->copy_fd
                                                     : vfd->send_fd;
}
