/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtqueue in a guest's memory that the input writes: by a driver that
 * knows both ring formats, and by pokes anywhere between any two steps.
 * Whatever stands there, pieces of chains lie in the memory table, and a ring
 * that is broken says so.
 */
#include <errno.h>
#include <sys/mman.h>

#include "vq_world.h"

#define MAX_OPS 400

/* ---- the device ------------------------------------------------------- */

static void check_pieces(struct vq_world *world, struct vwl_chain *chain)
{
    struct vwl_span span;
    size_t out = 0, in = 0;

    for (unsigned int i = 0; i < chain->n_out; i++) {
        const volatile uint8_t *bytes = chain->out[i].iov_base;

        fuzz_check(chain->out[i].iov_len > 0);
        (void)bytes[0];
        (void)bytes[chain->out[i].iov_len - 1];
        out += chain->out[i].iov_len;
    }
    for (unsigned int i = 0; i < chain->n_in; i++) {
        volatile uint8_t *bytes = chain->in[i].base;

        fuzz_check(chain->in[i].len > 0);
        fuzz_check(vwl_mem_at_gpa(chain->mem, chain->in[i].gpa,
                                  chain->in[i].len, &span));
        fuzz_check(span.base == chain->in[i].base &&
                   span.len == chain->in[i].len);
        bytes[chain->in[i].len - 1] = bytes[0];
        in += chain->in[i].len;
    }
    fuzz_check(out == chain->out_bytes && in == chain->in_bytes);
    fuzz_check(!chain->resubmitted || world->setup.inflight);
}

static void check_broken(struct vq_world *world, int rc)
{
    if (rc == -EAGAIN) {
        fuzz_check(world->setup.iotlb != NULL);
    } else if (rc < 0) {
        fuzz_check(vwl_vq_is_broken(world->vq));
    }
}

static void do_pop(struct vq_world *world)
{
    struct vwl_chain *chain = NULL;
    int rc;

    if (world->n_chains == CHAINS) {
        return;
    }
    rc = vwl_vq_pop(world->vq, &chain);
    fuzz_check(rc <= 1);
    if (rc == 1) {
        fuzz_check(!vwl_vq_is_broken(world->vq));
        check_pieces(world, chain);
        if (world->setup.packed && world->settled && chain->resubmitted) {
            world->slots += chain->slots;
            fuzz_check(world->slots <= world->setup.size);
        }
        world->chains[world->n_chains++] = chain;
    } else {
        fuzz_check(!chain);
        check_broken(world, rc);
    }
}

static struct vwl_chain *drop_chain(struct vq_world *world, unsigned int i)
{
    struct vwl_chain *chain = world->chains[i];

    world->n_chains--;
    memmove(&world->chains[i], &world->chains[i + 1],
            (world->n_chains - i) * sizeof world->chains[0]);
    return chain;
}

static void do_push(struct vq_world *world)
{
    unsigned int how = take8(&world->in);
    struct vwl_chain *chain;

    if (world->n_chains == 0) {
        return;
    }
    chain = drop_chain(world, how >> 1 & 1 ? 0 : (how >> 2) % world->n_chains);
    if (how & 1) {
        static const uint8_t data[300];

        vwl_chain_write(chain, how >> 4, data, sizeof data);
        vwl_vq_push(world->vq, &chain, how * 16u);
    } else {
        vwl_vq_push(world->vq, &chain, UINT32_MAX);
    }
    fuzz_check(!chain);
}

static void do_publish(struct vq_world *world)
{
    int rc = vwl_vq_publish(world->vq);

    fuzz_check(rc <= 1);
    check_broken(world, rc);
}

static void on_visit(void *opaque, uint64_t address)
{
    ++*(unsigned int *)opaque;
}

static void do_look(struct vq_world *world)
{
    unsigned int visited = 0, n;

    switch (pick(&world->in, 4)) {
    case 0:
        vwl_vq_want_kick(world->vq, true);
        break;
    case 1:
        vwl_vq_want_kick(world->vq, false);
        break;
    case 2:
        n = vwl_vq_scan(world->vq, on_visit, &visited);
        fuzz_check(visited <= n); /* heads beyond the ring are not shown */
        break;
    default:
        vwl_vq_waiting(world->vq);
        break;
    }
}

/* Not rounded up, as a real one is: no entry reaches into the rest. */
static void make_region(struct vq_world *world)
{
    size_t unit = world->setup.packed ? 32 : 16;

    g_clear_pointer(&world->region, g_free);
    if (world->setup.size <= VWL_VQ_MAX_SIZE) {
        world->region_bytes = unit + unit * world->setup.size;
        world->region = g_malloc0(world->region_bytes);
    }
}

static void start(struct vq_world *world, bool keep)
{
    int rc;

    world->setup.inflight = world->region;
    world->settled = true;
    world->slots = 0;
    rc = vwl_vq_start(world->vq, &world->setup, world->chains,
                      keep ? world->n_chains : 0);
    fuzz_check(rc <= 0 && vwl_vq_is_started(world->vq) == (rc == 0));
    fuzz_check(rc != -EAGAIN || world->setup.iotlb);
}

static void do_restart(struct vq_world *world)
{
    unsigned int how = take8(&world->in);
    bool was_started = vwl_vq_is_started(world->vq);
    uint32_t base = vwl_vq_stop(world->vq);

    fuzz_check(!vwl_vq_is_started(world->vq));
    if (was_started) {
        fuzz_check(world->setup.packed
                       ? (base & 0x7fff) < world->setup.size &&
                             (base >> 16 & 0x7fff) < world->setup.size
                       : base <= 0xffff);
    }
    world->setup.base = how >> 1 & 1          ? base
                        : how >> 2 & 1        ? take32(&world->in)
                        : world->setup.packed ? VWL_VQ_PACKED_FRESH_BASE
                                              : 0;
    if (how >> 3 & 1) {
        world->setup.event_idx = !world->setup.event_idx;
    }
    if (how >> 6 == 3) {
        world->setup.size = 1u << pick(&world->in, 9);
        world->setup.base = 0;
    }
    if ((how >> 4 & 1 || how >> 6 == 3) && world->tracks) {
        make_region(world);
    }
    if (how >> 5 & 1) {
        world->setup.iotlb = world->setup.iotlb ? NULL : world->iotlb;
    }
    start(world, how & 1);
}

static void do_unpop(struct vq_world *world)
{
    struct vwl_chain *chain;

    if (world->n_chains) {
        chain = drop_chain(world, world->n_chains - 1);
        world->settled = false; /* it comes once more */
        vwl_vq_unpop(world->vq, &chain);
        fuzz_check(!chain);
    }
}

static void translate_all(struct vq_world *world)
{
    bool by_uva = world->setup.desc >= UVA_A;

    vwl_iotlb_update(world->iotlb, GPA, A_BYTES, UVA_A, 3);
    vwl_iotlb_update(world->iotlb, GPA + A_BYTES, RAM_BYTES - A_BYTES, UVA_B,
                     3);
    if (by_uva) {
        vwl_iotlb_update(world->iotlb, UVA_A, A_BYTES, UVA_A, 3);
    }
}

static void do_iotlb(struct vq_world *world)
{
    unsigned int how = take8(&world->in);
    uint64_t iova = GPA + (how >> 3) * 0x400u;
    uint64_t size = 1 + vq_take_len(world);
    uint64_t miss;
    unsigned int access;

    switch (how & 7) {
    case 0:
    case 1:
        vwl_iotlb_invalidate(world->iotlb, iova, size);
        break;
    case 2:
        vwl_iotlb_clear(world->iotlb);
        break;
    case 3:
        vwl_iotlb_update(world->iotlb, iova, size, UVA_A + take16(&world->in),
                         pick(&world->in, 5));
        break;
    case 4:
        vwl_vq_miss(world->vq, &miss, &access);
        vwl_iotlb_update(world->iotlb, miss & ~UINT64_C(0xfff), 0x1000,
                         UVA_A + ((miss - GPA) & 0x3000), access);
        break;
    default:
        translate_all(world);
        break;
    }
    vwl_vq_refresh(world->vq, NULL);
}

static void do_memory(struct vq_world *world)
{
    unsigned int how = take8(&world->in);
    int rc;

    vwl_mem_unref(world->mem);
    world->mem = vwl_mem_ref(how & 1 ? world->only_a : world->both);
    world->setup.mem = world->mem;
    rc = vwl_vq_refresh(world->vq, world->mem);
    if (vwl_vq_is_started(world->vq)) {
        check_broken(world, rc);
    }
}

static void do_chain(struct vq_world *world)
{
    unsigned int how = take8(&world->in);
    struct vwl_chain *chain;
    uint8_t bytes[600];
    unsigned int i;

    if (world->n_chains == 0) {
        return;
    }
    i = (how >> 2) % world->n_chains;
    chain = world->chains[i];
    fuzz_check(vwl_chain_read_head(chain, bytes, sizeof bytes) ==
               MIN(chain->out_bytes, sizeof bytes));
    switch (how & 3) {
    case 0:
        drop_chain(world, i);
        vwl_chain_discard(&chain);
        break;
    case 1:
        vwl_chain_uses(chain, GPA + take16(&world->in), take32(&world->in));
        vwl_chain_token(chain);
        break;
    default:
        fuzz_check(vwl_chain_write(chain, how, bytes, sizeof bytes) <=
                   chain->in_bytes);
        break;
    }
}

static void do_rare(struct vq_world *world)
{
    unsigned int how = take8(&world->in);
    size_t at;

    switch (how & 7) {
    case 0:
        vwl_dirty_enable(world->dirty, how >> 3 & 1);
        vwl_dirty_flush(world->dirty);
        break;
    case 1:
        vwl_dirty_set_base(world->dirty, world->log_fd, how >> 3 & 1,
                           take8(&world->in));
        break;
    case 2:
        vwl_vq_set_log(world->vq, how >> 3 & 1,
                       GPA + take32(&world->in) * UINT64_C(64));
        break;
    case 3:
        if ((how >> 3) == 31) {
            vwl_vq_break(world->vq);
        }
        break;
    default:
        world->settled = false;
        if (world->region) {
            at = take16(&world->in) % world->region_bytes;
            take_bytes(&world->in, world->region + at,
                       world->region_bytes - at);
        }
        break;
    }
}

/* Killed between any two steps, or not; another process goes on. */
void vq_take_over(struct vq_world *world)
{
    while (world->n_chains > 0) {
        struct vwl_chain *chain = drop_chain(world, 0);

        vwl_chain_discard(&chain);
    }
    vwl_vq_destroy(world->vq);
    world->vq = vwl_vq_create();
    start(world, false);
}

/* ---- one run ---------------------------------------------------------- */

static void add_region(struct vq_world *world, struct vwl_mem **mem,
                       const struct vwl_mem_region *region)
{
    struct vwl_mem *more;

    fuzz_check(vwl_mem_add(*mem, region, world->ram_fd, &more) == 0);
    vwl_mem_unref(*mem);
    *mem = more;
}

static void make_memory(struct vq_world *world)
{
    struct vwl_mem_region a = { GPA, A_BYTES, UVA_A, 0 };
    struct vwl_mem_region b = {
        GPA + A_BYTES,
        RAM_BYTES - A_BYTES,
        UVA_B,
        A_BYTES,
    };

    world->ram_fd = fuzz_memfd(RAM_BYTES);
    world->log_fd = fuzz_memfd(LOG_BYTES);
    world->ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
                      world->ram_fd, 0);
    fuzz_check(world->ram != MAP_FAILED);
    world->only_a = vwl_mem_new();
    add_region(world, &world->only_a, &a);
    world->both = vwl_mem_ref(world->only_a);
    add_region(world, &world->both, &b);
    world->mem = vwl_mem_ref(world->both);
}

static void make_setup(struct vq_world *world)
{
    static const uint32_t sizes[] = { 8, 1, 2, 4, 16, 64, 256, 5 };
    unsigned int how = take8(&world->in);
    unsigned int more = take8(&world->in);
    uint64_t at = how >> 3 & 1 ? GPA : UVA_A;
    struct vwl_vq_setup *setup = &world->setup;

    setup->packed = how & 1;
    setup->event_idx = how >> 1 & 1;
    setup->indirect = how >> 2 & 1;
    setup->iotlb = how >> 3 & 1 ? world->iotlb : NULL;
    setup->size = sizes[how >> 5];
    setup->desc = at + DESC_AT;
    setup->driver = at + DRIVER_AT;
    setup->device = at + DEVICE_AT;
    setup->log_used = more >> 1 & 1;
    setup->log_gpa = GPA + DEVICE_AT;
    setup->mem = world->mem;
    setup->dirty = more & 1 ? world->dirty : NULL;
    setup->base = setup->packed ? VWL_VQ_PACKED_FRESH_BASE : 0;
    world->tracks = how >> 4 & 1;
    world->wrap = true;
    if (more >> 2 & 1) {
        setup->device += take16(&world->in);
    }
    if (more >> 3 & 1) {
        setup->size = take16(&world->in);
    }
    if (more >> 4 & 1) {
        setup->driver = take64(&world->in);
    }
    if (world->tracks) {
        make_region(world);
    }
    translate_all(world);
}

static void finish(struct vq_world *world)
{
    while (world->n_chains > 0) {
        struct vwl_chain *chain = drop_chain(world, 0);

        vwl_chain_discard(&chain);
    }
    vwl_vq_destroy(world->vq);
    g_free(world->region);
    vwl_iotlb_destroy(world->iotlb);
    vwl_dirty_destroy(world->dirty);
    vwl_mem_unref(world->mem);
    vwl_mem_unref(world->both);
    vwl_mem_unref(world->only_a);
    munmap(world->ram, RAM_BYTES);
    fuzz_close(&world->ram_fd);
    fuzz_close(&world->log_fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const steps[])(struct vq_world *) = {
        vq_offer,   vq_offer, vq_write_table, vq_poke_ring, vq_poke,
        do_pop,     do_pop,   do_pop,         do_push,      do_push,
        do_publish, do_look,  do_restart,     do_chain,     do_iotlb,
        do_memory,  do_rare,  do_unpop,       vq_do_region, vq_do_region,
    };
    struct vq_world world = { .in = { data, size } };

    fuzz_begin();
    make_memory(&world);
    world.vq = vwl_vq_create();
    world.iotlb = vwl_iotlb_create();
    world.dirty = vwl_dirty_create();
    make_setup(&world);
    start(&world, false);
    if (!vwl_vq_is_started(world.vq) && world.setup.size == 0) {
        world.setup.size = 8;
    }
    /* the driver writes where the rings would be */
    world.setup.size = MIN(world.setup.size, 256);
    if (world.tracks && !vwl_vq_is_started(world.vq)) {
        make_region(&world);
    }
    for (unsigned int i = 0; i < MAX_OPS && world.in.left > 0; i++) {
        steps[pick(&world.in, G_N_ELEMENTS(steps))](&world);
    }
    finish(&world);
    fuzz_end();
    return 0;
}
