/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhu/session_private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

/* Guest memory and pieces of region 0 together. */
#define MAX_REGIONS 4096

static struct vwl_mem *new_table(const struct vwl_session *session)
{
    struct vwl_mem *mem = vwl_mem_new();

    if (session->config.keep_files) {
        vwl_mem_keep_files(mem);
    }
    return mem;
}

void vwl_session_memory_init(struct vwl_session *session)
{
    session->mem = new_table(session);
    session->regions = g_array_new(FALSE, FALSE,
                                   sizeof(struct vwl_session_region));
    session->iotlb = vwl_iotlb_create();
    session->misses = g_array_new(FALSE, FALSE,
                                  sizeof(struct vwl_session_miss));
}

void vwl_session_memory_finish(struct vwl_session *session)
{
    g_array_unref(session->misses);
    vwl_iotlb_destroy(session->iotlb);
    g_array_unref(session->regions);
    vwl_mem_unref(session->mem);
}

void vwl_session_memory_clear(struct vwl_session *session)
{
    vwl_mem_unref(session->mem);
    session->mem = new_table(session);
    g_array_set_size(session->regions, 0);
}

static bool is_same(const struct vwl_session_region *a,
                    const struct vwl_session_region *b)
{
    return a->dev == b->dev && a->ino == b->ino &&
           memcmp(&a->region, &b->region, sizeof a->region) == 0;
}

static bool contains(const GArray *regions,
                     const struct vwl_session_region *one)
{
    for (guint i = 0; i < regions->len; i++) {
        if (is_same(&g_array_index(regions, struct vwl_session_region, i),
                    one)) {
            return true;
        }
    }
    return false;
}

/* Where region 0 begins, when the piece says so. */
static void note_base(struct vwl_session *session,
                      const struct vwl_session_region *piece,
                      uint64_t shm_offset)
{
    uint64_t offset = shm_offset + piece->region.mmap_offset;

    if (offset >= shm_offset && piece->region.gpa >= offset) {
        session->ops->shm_base(session->opaque, piece->region.gpa - offset);
    }
}

static int refuse_region(struct vwl_session_answer *answer, int err,
                         const struct vwl_mem_region *region)
{
    return vwl_session_answer_refuse(
        answer, err, "0x%" PRIx64 " bytes at guest address 0x%" PRIx64 ": %s",
        region->size, region->gpa,
        err == -EINVAL   ? "longer than its file, or past the last address"
        : err == -EEXIST ? "another region is there"
                         : g_strerror(-err));
}

static int describe(struct vwl_session *session,
                    const struct vhost_user_memory_region *wire, int fd,
                    struct vwl_session_region *out, uint64_t *shm_offset)
{
    struct vwl_session_region region = {
        .region = {
            .gpa = wire->guest_phys_addr,
            .size = wire->memory_size,
            .uva = wire->userspace_addr,
            .mmap_offset = wire->mmap_offset,
        },
    };
    struct stat st;

    if (fstat(fd, &st) < 0) {
        return -errno;
    }
    region.dev = st.st_dev;
    region.ino = st.st_ino;
    region.own = session->ops->own_file(session->opaque, st.st_dev, st.st_ino,
                                        shm_offset);
    *out = region;
    return 0;
}

/* Replaces *mem by what step made of it. */
static int advance(struct vwl_mem **mem, int err, struct vwl_mem *next)
{
    if (err == 0) {
        vwl_mem_unref(*mem);
        *mem = next;
    }
    return err;
}

/* A table with the regions of `wanted`, sharing what it can with ours. */
static int build_table(struct vwl_session *session, const GArray *wanted,
                       const int *fds, struct vwl_session_answer *answer,
                       struct vwl_mem **out)
{
    struct vwl_mem *mem = vwl_mem_ref(session->mem);
    const struct vwl_session_region *last = NULL;
    struct vwl_mem *next = NULL;
    int err = 0;

    for (guint i = 0; i < session->regions->len && err == 0; i++) {
        struct vwl_session_region *old = &g_array_index(
            session->regions, struct vwl_session_region, i);

        if (!old->own && !contains(wanted, old)) {
            err = vwl_mem_remove(mem, &old->region, &next);
            err = advance(&mem, err, next);
            last = old;
        }
    }
    for (guint i = 0; i < wanted->len && err == 0; i++) {
        struct vwl_session_region *new = &g_array_index(
            (GArray *)wanted, struct vwl_session_region, i);

        if (!new->own && !contains(session->regions, new)) {
            err = vwl_mem_add(mem, &new->region, fds[i], &next);
            err = advance(&mem, err, next);
            last = new;
        }
    }
    if (err < 0) {
        vwl_mem_unref(mem);
        return refuse_region(answer, err, &last->region);
    }
    *out = mem;
    return 0;
}

static void install(struct vwl_session *session, struct vwl_mem *mem)
{
    vwl_mem_unref(session->mem);
    session->mem = mem;
    vwl_session_memory_apply(session);
}

/* The regions that a message lists; where those of our own begin in region 0
 * stands in offsets. */
static int read_regions(struct vwl_session *session,
                        const struct vwl_vhu_msg *msg,
                        struct vwl_session_answer *answer, GArray *regions,
                        uint64_t *offsets)
{
    for (unsigned int i = 0; i < msg->n_fds; i++) {
        struct vhost_user_memory_region wire;
        struct vwl_session_region region;
        int err;

        memcpy(&wire,
               msg->payload + sizeof(struct vhost_user_memory) +
                   i * sizeof wire,
               sizeof wire);
        err = describe(session, &wire, msg->fds[i], &region, &offsets[i]);
        if (err < 0) {
            return vwl_session_answer_errno(answer, err, "a region's file");
        }
        if (!region.own && contains(regions, &region)) {
            return refuse_region(answer, -EEXIST, &region.region);
        }
        g_array_append_val(regions, region);
    }
    return 0;
}

int vwl_session_set_mem_table(struct vwl_session *session,
                              struct vwl_vhu_msg *msg,
                              struct vwl_session_answer *answer)
{
    uint64_t offsets[VWL_VHU_MAX_FDS] = { 0 };
    struct vhost_user_memory header;
    struct vwl_mem *mem = NULL;
    GArray *wanted;
    int err;

    memcpy(&header, msg->payload, sizeof header);
    if (header.nregions != msg->n_fds ||
        msg->size !=
            sizeof header +
                header.nregions * sizeof(struct vhost_user_memory_region)) {
        return vwl_session_answer_refuse(answer, -EINVAL,
                                         "%" PRIu32 " regions with %u "
                                         "descriptors in %" PRIu32 " bytes",
                                         header.nregions, msg->n_fds,
                                         msg->size);
    }
    wanted = g_array_new(FALSE, FALSE, sizeof(struct vwl_session_region));
    err = read_regions(session, msg, answer, wanted, offsets);
    if (err == 0) {
        err = build_table(session, wanted, msg->fds, answer, &mem);
    }
    if (err < 0) {
        g_array_unref(wanted);
        return err;
    }
    g_array_unref(session->regions);
    session->regions = wanted;
    for (guint i = 0; i < wanted->len; i++) {
        struct vwl_session_region *region = &g_array_index(
            wanted, struct vwl_session_region, i);

        if (region->own) {
            note_base(session, region, offsets[i]);
        }
    }
    install(session, mem);
    return 0;
}

static bool offers_slots(const struct vwl_session *session)
{
    return vwl_session_offers_protocol(
        session, VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS);
}

static int refuse_slots(struct vwl_session_answer *answer)
{
    return vwl_session_answer_refuse(answer, -EOPNOTSUPP,
                                     "CONFIGURE_MEM_SLOTS was not offered");
}

int vwl_session_get_mem_slots(struct vwl_session *session,
                              struct vwl_vhu_msg *msg,
                              struct vwl_session_answer *answer)
{
    vwl_session_answer_u64(answer, offers_slots(session) ? MEM_SLOTS : 0);
    return 0;
}

int vwl_session_add_region(struct vwl_session *session, struct vwl_vhu_msg *msg,
                           struct vwl_session_answer *answer)
{
    struct vhost_user_single_memory_region wire;
    struct vwl_session_region region;
    struct vwl_mem *mem = NULL;
    uint64_t shm_offset = 0;
    int err;

    if (!offers_slots(session)) {
        return refuse_slots(answer);
    }
    if (session->regions->len >= MAX_REGIONS) {
        return vwl_session_answer_refuse(answer, -ENOSPC,
                                         "%u regions are "
                                         "there already",
                                         MAX_REGIONS);
    }
    memcpy(&wire, msg->payload, sizeof wire);
    err = describe(session, &wire.region, msg->fds[0], &region, &shm_offset);
    if (err < 0) {
        return vwl_session_answer_errno(answer, err, "the region's file");
    }
    if (region.own) {
        g_array_append_val(session->regions, region);
        note_base(session, &region, shm_offset);
        return 0;
    }
    err = vwl_mem_add(session->mem, &region.region, msg->fds[0], &mem);
    if (err < 0) {
        return refuse_region(answer, err, &region.region);
    }
    g_array_append_val(session->regions, region);
    install(session, mem);
    return 0;
}

int vwl_session_remove_region(struct vwl_session *session,
                              struct vwl_vhu_msg *msg,
                              struct vwl_session_answer *answer)
{
    struct vhost_user_single_memory_region wire;
    struct vwl_mem *mem = NULL;

    if (!offers_slots(session)) {
        return refuse_slots(answer);
    }
    memcpy(&wire, msg->payload, sizeof wire);
    for (guint i = 0; i < session->regions->len; i++) {
        struct vwl_session_region region = g_array_index(
            session->regions, struct vwl_session_region, i);
        int err;

        if (region.region.gpa != wire.region.guest_phys_addr ||
            region.region.uva != wire.region.userspace_addr ||
            region.region.size != wire.region.memory_size) {
            continue;
        }
        if (region.own) {
            g_array_remove_index(session->regions, i);
            return 0;
        }
        err = vwl_mem_remove(session->mem, &region.region, &mem);
        if (err < 0) {
            return refuse_region(answer, err, &region.region);
        }
        g_array_remove_index(session->regions, i);
        install(session, mem);
        return 0;
    }
    return vwl_session_answer_refuse(answer, -ENOENT,
                                     "no region of 0x%" PRIx64
                                     " bytes at guest address 0x%" PRIx64,
                                     (uint64_t)wire.region.memory_size,
                                     (uint64_t)wire.region.guest_phys_addr);
}

void vwl_session_memory_apply(struct vwl_session *session)
{
    for (unsigned int i = 0; i < VIRTIO_WL_QUEUE_COUNT; i++) {
        struct vwl_session_ring *ring = &session->rings[i];
        int err;

        if (!vwl_vq_is_started(ring->vq) || ring->broken) {
            continue;
        }
        err = vwl_vq_refresh(ring->vq, session->mem);
        if (err == -EAGAIN) {
            vwl_session_ask_miss(session, i);
        } else if (err < 0) {
            vwl_session_ring_fault(session, i, vwl_vq_why(ring->vq));
        }
    }
    vwl_session_rings_update(session);
    session->ops->memory_changed(session->opaque);
}
