/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtqueue in a guest's memory that the input writes: by a driver that
 * knows both ring formats, and by pokes anywhere between any two steps.
 * Whatever stands there, pieces of chains lie in the memory table, and a ring
 * that is broken says so.
 */
#include <errno.h>
#include <glib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "guest/vq.h"

#define MAX_OPS 400
#define CHAINS 64

/* Two regions that follow each other for the guest, not for the front-end. */
#define RAM_BYTES 0x6000u
#define A_BYTES 0x4000u
#define GPA UINT64_C(0x10000)
#define UVA_A UINT64_C(0x7f0000000000)
#define UVA_B UINT64_C(0x7f1000000000)
#define LOG_BYTES 64

/* Ring parts in region A; what is above is for buffers. */
#define DESC_AT 0x0000u
#define DRIVER_AT 0x1000u
#define DEVICE_AT 0x1800u
#define TABLE_AT 0x2100u

struct world {
    struct fuzz_input in;
    int ram_fd, log_fd;
    uint8_t *ram;
    struct vwl_mem *mem, *both, *only_a;
    struct vwl_iotlb *iotlb;
    struct vwl_dirty *dirty;
    struct vwl_vq *vq;
    struct vwl_vq_setup setup;
    bool tracks;
    uint8_t *region; /* in flight; on the heap, which knows where it ends */
    size_t region_bytes;
    bool settled;       /* nobody wrote there since a start looked at it */
    unsigned int slots; /* of chains that came again since then */
    struct vwl_chain *chains[CHAINS];
    unsigned int n_chains;
    /* the driver */
    uint16_t idx;
    bool wrap;
};

/* ---- the driver ------------------------------------------------------- */

static uint64_t take_address(struct world *world)
{
    unsigned int how = take8(&world->in);
    uint64_t page = GPA + (how >> 3 & 7) * 0x800u + 0x2000;

    switch (how & 7) {
    case 0:
        return GPA + A_BYTES - (how >> 3); /* reaches into region B */
    case 1:
        return GPA + RAM_BYTES - (how >> 3);
    case 2:
        return GPA + TABLE_AT + (how >> 3) * 16u;
    case 3:
        return how == 0xfb ? take64(&world->in) : GPA + take16(&world->in);
    default:
        return page;
    }
}

static uint32_t take_len(struct world *world)
{
    static const uint32_t lens[] = {
        0, 1, 16, 64, 512, 4096, 0x3000, UINT32_MAX,
    };
    unsigned int how = take8(&world->in);

    return how < 200   ? lens[how & 7]
           : how < 250 ? (how & 31) * 16u
                       : take32(&world->in);
}

static void put_desc(struct world *world, uint8_t *at, uint16_t flags,
                     uint16_t id, bool packed)
{
    put64(at, take_address(world));
    put32(at + 8, take_len(world));
    put16(at + (packed ? 14 : 12), flags);
    put16(at + (packed ? 12 : 14), id);
}

static uint16_t packed_flags(struct world *world, uint16_t flags)
{
    return (uint16_t)(flags | (world->wrap ? 1u << 7 : 1u << 15));
}

/* One chain of n buffers; those from first_in on are writable. */
static void offer(struct world *world)
{
    unsigned int how = take8(&world->in);
    unsigned int n = 1 + (how & 3), first_in = how >> 2 & 3;
    uint16_t size = (uint16_t)world->setup.size;
    uint16_t indirect = (how & 0xe0) == 0xe0 ? 4 : 0;
    bool packed = world->setup.packed;
    uint16_t head = packed ? world->idx : (uint16_t)(take8(&world->in) % size);
    uint16_t head_flags = packed_flags(world, 0);

    for (unsigned int i = 0; i < n; i++) {
        uint16_t slot = (uint16_t)((head + i) % size);
        uint16_t flags = (uint16_t)((i + 1 < n ? 1 : 0) |
                                    (i >= first_in ? 2 : 0) |
                                    (i + 1 == n ? indirect : 0));

        if (packed) {
            flags = packed_flags(world, flags);
            if (i == 0) {
                head_flags = flags;
                flags ^= 1u << 7 | 1u << 15; /* not yet */
            }
            world->idx++;
            if (world->idx == size) {
                world->idx = 0;
                world->wrap = !world->wrap;
            }
        }
        put_desc(world, world->ram + DESC_AT + slot * 16u, flags,
                 packed ? take8(&world->in) : (uint16_t)((slot + 1) % size),
                 packed);
    }
    if (packed) {
        put16(world->ram + DESC_AT + head * 16u + 14, head_flags);
    } else {
        put16(world->ram + DRIVER_AT + 4 + world->idx % size * 2u, head);
        world->idx++;
        put16(world->ram + DRIVER_AT + 2, world->idx);
    }
}

/* An indirect table, as descriptors may point at. */
static void write_table(struct world *world)
{
    unsigned int how = take8(&world->in);
    unsigned int n = how & 7;

    for (unsigned int i = 0; i < n; i++) {
        put_desc(world, world->ram + TABLE_AT + (how >> 3) * 16u + i * 16,
                 take8(&world->in) & 7, (uint16_t)(i + 1), world->setup.packed);
    }
}

static void poke_ring(struct world *world)
{
    static const uint32_t starts[] = { DESC_AT, DRIVER_AT, DEVICE_AT, 0 };
    unsigned int where = take8(&world->in);

    put16(world->ram + starts[where & 3] + (where >> 2) * 2u,
          take16(&world->in));
}

static void poke(struct world *world)
{
    uint32_t at = take16(&world->in) % RAM_BYTES;

    take_bytes(&world->in, world->ram + at, RAM_BYTES - at);
}

/* ---- the device ------------------------------------------------------- */

static void check_pieces(struct world *world, struct vwl_chain *chain)
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

static void check_broken(struct world *world, int rc)
{
    if (rc == -EAGAIN) {
        fuzz_check(world->setup.iotlb != NULL);
    } else if (rc < 0) {
        fuzz_check(vwl_vq_is_broken(world->vq));
    }
}

static void do_pop(struct world *world)
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

static struct vwl_chain *drop_chain(struct world *world, unsigned int i)
{
    struct vwl_chain *chain = world->chains[i];

    world->n_chains--;
    memmove(&world->chains[i], &world->chains[i + 1],
            (world->n_chains - i) * sizeof world->chains[0]);
    return chain;
}

static void do_push(struct world *world)
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

static void do_publish(struct world *world)
{
    int rc = vwl_vq_publish(world->vq);

    fuzz_check(rc <= 1);
    check_broken(world, rc);
}

static void on_visit(void *opaque, uint64_t address)
{
    ++*(unsigned int *)opaque;
}

static void do_look(struct world *world)
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
static void make_region(struct world *world)
{
    size_t unit = world->setup.packed ? 32 : 16;

    g_clear_pointer(&world->region, g_free);
    if (world->setup.size <= VWL_VQ_MAX_SIZE) {
        world->region_bytes = unit + unit * world->setup.size;
        world->region = g_malloc0(world->region_bytes);
    }
}

static void start(struct world *world, bool keep)
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

static void do_restart(struct world *world)
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

static void do_unpop(struct world *world)
{
    struct vwl_chain *chain;

    if (world->n_chains) {
        chain = drop_chain(world, world->n_chains - 1);
        world->settled = false; /* it comes once more */
        vwl_vq_unpop(world->vq, &chain);
        fuzz_check(!chain);
    }
}

static void translate_all(struct world *world)
{
    bool by_uva = world->setup.desc >= UVA_A;

    vwl_iotlb_update(world->iotlb, GPA, A_BYTES, UVA_A, 3);
    vwl_iotlb_update(world->iotlb, GPA + A_BYTES, RAM_BYTES - A_BYTES, UVA_B,
                     3);
    if (by_uva) {
        vwl_iotlb_update(world->iotlb, UVA_A, A_BYTES, UVA_A, 3);
    }
}

static void do_iotlb(struct world *world)
{
    unsigned int how = take8(&world->in);
    uint64_t iova = GPA + (how >> 3) * 0x400u;
    uint64_t size = 1 + take_len(world);
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

static void do_memory(struct world *world)
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

static void do_chain(struct world *world)
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

static void do_rare(struct world *world)
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

/* ---- the in-flight region --------------------------------------------- */

/* Around every bound that an index or a count has. */
static uint16_t take_edge(struct world *world)
{
    unsigned int how = take8(&world->in);
    uint16_t size = (uint16_t)world->setup.size;
    const uint16_t edges[] = {
        0,      1,      size,   (uint16_t)(size - 1), (uint16_t)(size + 1),
        0x7fff, 0x8000, 0xffff,
    };

    return how < 160   ? edges[how & 7]
           : how < 255 ? (uint16_t)(how % size)
                       : take16(&world->in);
}

static void write_header(struct world *world, unsigned int field)
{
    uint8_t *at = world->region + 8;

    if (field < 2) {
        put16(at, field); /* version: fresh, and used */
    } else if (!world->setup.packed) {
        put16(at + 2 * (1 + field % 3), take_edge(world));
    } else if (field < 7) {
        put16(at + 2 * (field - 1), take_edge(world));
    } else {
        put16(at + 12, take16(&world->in) & 0x0101); /* wrap counters */
    }
}

/* A chain of one slot in flight, as an earlier device would leave it. */
static void write_in_flight(struct world *world, uint8_t *at, uint16_t index)
{
    at[0] = 1;
    put64(at + 8, take8(&world->in));
    if (world->setup.packed) {
        put16(at + 4, index);
        put16(at + 6, 1);
        put16(at + 16, take8(&world->in));
        put16(at + 18, take8(&world->in) & 7);
        put32(at + 20, take_len(world));
        put64(at + 24, take_address(world));
    }
}

static void write_entry(struct world *world, unsigned int field)
{
    unsigned int which = take8(&world->in);
    uint32_t size = world->setup.size;
    uint16_t index = (uint16_t)(which % (which < 160 ? MIN(size, 4) : size));
    bool packed = world->setup.packed;
    uint8_t *at = world->region +
                  (packed ? 32 + index * 32u : 16 + index * 16u);

    switch (field) {
    case 0:
    case 1:
        write_in_flight(world, at, index);
        break;
    case 2:
        at[0] = take8(&world->in) & 3;
        break;
    case 3:
    case 4:
        put16(at + (packed ? 2 : 6), take_edge(world)); /* next */
        break;
    case 5:
        put64(at + 8, take64(&world->in)); /* counter */
        break;
    default:
        if (packed) {
            put16(at + (field == 6 ? 4 : 6), take_edge(world)); /* last, num */
        }
        break;
    }
}

/* Killed between any two steps, or not; another process goes on. */
static void take_over(struct world *world)
{
    while (world->n_chains > 0) {
        struct vwl_chain *chain = drop_chain(world, 0);

        vwl_chain_discard(&chain);
    }
    vwl_vq_destroy(world->vq);
    world->vq = vwl_vq_create();
    start(world, false);
}

/* Whatever the front-end made of it, it is looked at by a start. */
static void do_region(struct world *world)
{
    unsigned int how = take8(&world->in);

    if (!world->region || world->setup.size == 0) {
        return;
    }
    world->settled = false;
    for (unsigned int i = 0; i < (how >> 2 & 7); i++) {
        unsigned int which = take8(&world->in);

        if (which & 8) {
            write_header(world, which & 7);
        } else {
            write_entry(world, which & 7);
        }
    }
    if (how & 1) {
        put16(world->region + 8, how >> 5 & 3 ? 1 : 0);
        put16(world->region + 10, (uint16_t)world->setup.size);
    }
    if (how & 2) {
        take_over(world);
    }
}

/* ---- one run ---------------------------------------------------------- */

static void add_region(struct world *world, struct vwl_mem **mem,
                       const struct vwl_mem_region *region)
{
    struct vwl_mem *more;

    fuzz_check(vwl_mem_add(*mem, region, world->ram_fd, &more) == 0);
    vwl_mem_unref(*mem);
    *mem = more;
}

static void make_memory(struct world *world)
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

static void make_setup(struct world *world)
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

static void finish(struct world *world)
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
    static void (*const steps[])(struct world *) = {
        offer,      offer,   write_table, poke_ring, poke,
        do_pop,     do_pop,  do_pop,      do_push,   do_push,
        do_publish, do_look, do_restart,  do_chain,  do_iotlb,
        do_memory,  do_rare, do_unpop,    do_region, do_region,
    };
    struct world world = { .in = { data, size } };

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
