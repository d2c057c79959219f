/* SPDX-License-Identifier: BSD-3-Clause */
#include "ring.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#define DESC_NEXT 1u
#define DESC_WRITE 2u
#define DESC_INDIRECT 4u
#define PACKED_AVAIL 0x80u
#define PACKED_USED 0x8000u
#define END 0xffffu

struct desc { /* of a split ring and of indirect tables */
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};

struct slot { /* of a packed ring */
    uint64_t addr;
    uint32_t len;
    uint16_t id, flags;
};

static uint16_t get16(const uint8_t *at)
{
    return le16toh(
        __atomic_load_n((const uint16_t *)(const void *)at, __ATOMIC_ACQUIRE));
}

static void put16(uint8_t *at, uint16_t value)
{
    __atomic_store_n((uint16_t *)(void *)at, htole16(value), __ATOMIC_RELEASE);
}

void vwl_ring_area_sizes(bool packed, uint16_t size, size_t *desc,
                         size_t *driver, size_t *device)
{
    *desc = (size_t)size * 16;
    *driver = packed ? 4 : 4 + 2 * (size_t)size + 2;
    *device = packed ? 4 : 4 + 8 * (size_t)size + 2;
}

void vwl_ring_init(struct vwl_ring *ring, bool packed, bool event_idx,
                   uint16_t size, void *desc, void *driver, void *device)
{
    *ring = (struct vwl_ring){
        .packed = packed,
        .event_idx = event_idx,
        .size = size,
        .desc = desc,
        .driver = driver,
        .device = device,
        .free = size,
        .avail_wrap = true,
        .used_wrap = true,
    };
    ring->chains = g_new0(struct vwl_ring_chain, size);
    for (unsigned int i = 0; i < size; i++) {
        uint16_t next = i + 1 < size ? (uint16_t)(i + 1) : END;

        ring->chains[i].next = next;
        if (!packed) {
            ((struct desc *)desc)[i].next = htole16(next);
        }
    }
    if (packed && event_idx) {
        put16(ring->driver, 1u << 15);
        put16(ring->driver + 2, 2);
    }
}

void vwl_ring_finish(struct vwl_ring *ring)
{
    g_free(ring->chains);
    ring->chains = NULL;
}

static void fill_split_table(struct desc *table,
                             const struct vwl_ring_piece *pieces,
                             unsigned int n)
{
    for (unsigned int i = 0; i < n; i++) {
        bool more = i + 1 < n;
        uint16_t flags = pieces[i].write ? DESC_WRITE : 0;

        flags |= more ? DESC_NEXT : 0;
        table[i] = (struct desc){
            htole64(pieces[i].addr),
            htole32(pieces[i].len),
            htole16(flags),
            htole16(more ? (uint16_t)(i + 1) : 0),
        };
    }
}

static void fill_packed_table(struct slot *table,
                              const struct vwl_ring_piece *pieces,
                              unsigned int n)
{
    for (unsigned int i = 0; i < n; i++) {
        table[i] = (struct slot){
            htole64(pieces[i].addr),
            htole32(pieces[i].len),
            0,
            htole16(pieces[i].write ? DESC_WRITE : 0),
        };
    }
}

static void add_split(struct vwl_ring *ring,
                      const struct vwl_ring_piece *pieces, unsigned int n,
                      bool indirect, void *token)
{
    struct desc *table = (struct desc *)(void *)ring->desc;
    uint16_t head = ring->free_head, at = head, last = head;

    for (unsigned int i = 0; i < n; i++) {
        uint16_t flags = pieces[i].write ? DESC_WRITE : 0;

        flags |= i + 1 < n ? DESC_NEXT : 0;
        flags |= indirect ? DESC_INDIRECT : 0;
        table[at].addr = htole64(pieces[i].addr);
        table[at].len = htole32(pieces[i].len);
        table[at].flags = htole16(flags);
        table[at].next = htole16(ring->chains[at].next);
        last = at;
        at = ring->chains[at].next;
    }
    ring->free_head = ring->chains[last].next;
    ring->chains[head].token = token;
    ring->chains[head].slots = (uint16_t)n;
    put16(ring->driver + 4 + 2 * (ring->avail % ring->size), head);
    ring->avail++;
    put16(ring->driver + 2, ring->avail);
    ring->added++;
}

static void add_packed(struct vwl_ring *ring,
                       const struct vwl_ring_piece *pieces, unsigned int n,
                       bool indirect, void *token)
{
    struct slot *slots = (struct slot *)(void *)ring->desc;
    uint16_t id = ring->free_head, head = ring->avail, head_flags = 0;

    ring->free_head = ring->chains[id].next;
    ring->chains[id].token = token;
    ring->chains[id].slots = (uint16_t)n;
    for (unsigned int i = 0; i < n; i++) {
        struct slot *slot = &slots[ring->avail];
        uint16_t flags = ring->avail_wrap ? PACKED_AVAIL : PACKED_USED;

        flags |= pieces[i].write ? DESC_WRITE : 0;
        flags |= i + 1 < n ? DESC_NEXT : 0;
        flags |= indirect ? DESC_INDIRECT : 0;
        slot->addr = htole64(pieces[i].addr);
        slot->len = htole32(pieces[i].len);
        slot->id = htole16(id);
        if (i == 0) {
            head_flags = flags;
        } else {
            slot->flags = htole16(flags);
        }
        if (++ring->avail == ring->size) {
            ring->avail = 0;
            ring->avail_wrap = !ring->avail_wrap;
        }
    }
    put16((uint8_t *)&slots[head].flags, head_flags);
    ring->added = (uint16_t)(ring->added + n);
}

int vwl_ring_add(struct vwl_ring *ring, const struct vwl_ring_piece *pieces,
                 unsigned int n, void *table, uint64_t table_addr, void *token)
{
    struct vwl_ring_piece one = { table_addr, n * 16, false };
    bool indirect = table != NULL;

    if (indirect) {
        if (ring->packed) {
            fill_packed_table(table, pieces, n);
        } else {
            fill_split_table(table, pieces, n);
        }
        pieces = &one;
        n = 1;
    }
    if (n == 0 || n > ring->free) {
        return -ENOSPC;
    }
    ring->free = (uint16_t)(ring->free - n);
    if (ring->packed) {
        add_packed(ring, pieces, n, indirect, token);
    } else {
        add_split(ring, pieces, n, indirect, token);
    }
    return 0;
}

static bool passed(uint16_t event, uint16_t now, uint16_t added)
{
    return (uint16_t)(now - event - 1) < added;
}

bool vwl_ring_kick_due(struct vwl_ring *ring)
{
    uint16_t added = ring->added;
    uint16_t flags, event;

    if (added == 0) {
        return false;
    }
    ring->added = 0;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!ring->packed) {
        if (!ring->event_idx) {
            return (get16(ring->device) & 1) == 0;
        }
        event = get16(ring->device + 4 + 8 * (size_t)ring->size);
        return passed(event, ring->avail, added);
    }
    flags = get16(ring->device + 2);
    if (flags != 2) {
        return flags == 0;
    }
    event = get16(ring->device);
    if ((event >> 15) != ring->avail_wrap) {
        event = (uint16_t)((event & 0x7fff) - ring->size);
    } else {
        event &= 0x7fff;
    }
    return passed(event, ring->avail, added);
}

static void *release(struct vwl_ring *ring, uint32_t id)
{
    struct vwl_ring_chain *chain = &ring->chains[id];
    void *token = chain->token;
    uint16_t last = (uint16_t)id;

    if (!ring->packed) {
        for (unsigned int i = 1; i < chain->slots; i++) {
            last = ring->chains[last].next;
        }
    }
    ring->chains[last].next = ring->free_head;
    ring->free_head = (uint16_t)id;
    ring->free = (uint16_t)(ring->free + chain->slots);
    chain->token = NULL;
    return token;
}

bool vwl_ring_has_used(const struct vwl_ring *ring)
{
    const struct slot *slot = &((struct slot *)(void *)ring->desc)[ring->used];
    uint16_t flags;

    if (!ring->packed) {
        return get16(ring->device + 2) != ring->used;
    }
    flags = get16((const uint8_t *)&slot->flags);
    return !(flags & PACKED_AVAIL) == !ring->used_wrap &&
           !(flags & PACKED_USED) == !ring->used_wrap;
}

static void *take_split(struct vwl_ring *ring, uint32_t *len, bool *bad)
{
    const uint8_t *entry;
    uint32_t id;

    if (ring->event_idx) {
        /* one that was taken already is never called for */
        put16(ring->driver + 4 + 2 * (size_t)ring->size,
              (uint16_t)(ring->used - ring->no_calls));
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    }
    if (!vwl_ring_has_used(ring)) {
        return NULL;
    }
    entry = ring->device + 4 + 8 * (ring->used % ring->size);
    memcpy(&id, entry, 4);
    memcpy(len, entry + 4, 4);
    id = le32toh(id);
    *len = le32toh(*len);
    ring->used++;
    if (id >= ring->size || ring->chains[id].token == NULL) {
        *bad = true;
        return NULL;
    }
    return release(ring, id);
}

static void *take_packed(struct vwl_ring *ring, uint32_t *len, bool *bad)
{
    struct slot *slot = &((struct slot *)(void *)ring->desc)[ring->used];
    uint16_t id, slots;

    if (ring->event_idx && !ring->no_calls) {
        put16(ring->driver,
              (uint16_t)(ring->used | (ring->used_wrap ? 1u << 15 : 0)));
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    }
    if (!vwl_ring_has_used(ring)) {
        return NULL;
    }
    id = le16toh(slot->id);
    *len = le32toh(slot->len);
    if (id >= ring->size || ring->chains[id].token == NULL) {
        *bad = true;
        return NULL;
    }
    slots = ring->chains[id].slots;
    ring->used = (uint16_t)(ring->used + slots);
    if (ring->used >= ring->size) {
        ring->used = (uint16_t)(ring->used - ring->size);
        ring->used_wrap = !ring->used_wrap;
    }
    return release(ring, id);
}

void *vwl_ring_take(struct vwl_ring *ring, uint32_t *len, bool *bad)
{
    bool ignored = false;

    bad = bad != NULL ? bad : &ignored;
    *bad = false;
    return ring->packed ? take_packed(ring, len, bad)
                        : take_split(ring, len, bad);
}

void vwl_ring_set_calls(struct vwl_ring *ring, bool on)
{
    ring->no_calls = !on;
    if (ring->packed) {
        put16(ring->driver + 2, !on ? 1 : ring->event_idx ? 2 : 0);
    } else if (ring->event_idx) {
        put16(ring->driver + 4 + 2 * (size_t)ring->size,
              (uint16_t)(ring->used - ring->no_calls));
    } else {
        put16(ring->driver, on ? 0 : 1);
    }
}

void *vwl_ring_forget(struct vwl_ring *ring)
{
    for (unsigned int i = 0; i < ring->size; i++) {
        void *token = ring->chains[i].token;

        if (token != NULL) {
            ring->chains[i].token = NULL;
            return token;
        }
    }
    return NULL;
}
