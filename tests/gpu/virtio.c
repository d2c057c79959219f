/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtio.h"

#include <inttypes.h>
#include <string.h>

#include "bytes.h"

#define WAIT_US (60 * G_USEC_PER_SEC)

#define COMMON(v, width, at, value)                                   \
    qtest_ask((v)->m, "write" width " 0x%" PRIx64 " 0x%" PRIx64 "\n", \
              (v)->common + (at), (uint64_t)(value))

uint32_t virtio_config_read(struct virtio *v, unsigned int at)
{
    qtest_ask(v->m, "outl 0xcf8 0x%x\n", 0x80000000u | v->slot << 11 | at);
    return (uint32_t)qtest_ask(v->m, "inl 0xcfc\n");
}

void virtio_config_write(struct virtio *v, unsigned int at, uint32_t value)
{
    qtest_ask(v->m, "outl 0xcf8 0x%x\n", 0x80000000u | v->slot << 11 | at);
    qtest_ask(v->m, "outl 0xcfc 0x%x\n", value);
}

static void place_bars(struct virtio *v)
{
    for (unsigned int bar = 0; bar < 6; bar++) {
        unsigned int at = 0x10 + 4 * bar;
        uint32_t old = virtio_config_read(v, at), mask;

        virtio_config_write(v, at, UINT32_MAX);
        mask = virtio_config_read(v, at);
        if (!mask || old & 1) {
            continue;
        }
        mask = ~(mask & ~0xfu) + 1;
        v->m->next_bar = (v->m->next_bar + mask - 1) & ~(mask - 1);
        virtio_config_write(v, at, v->m->next_bar);
        v->m->next_bar += mask;
        if (old & 4) {
            virtio_config_write(v, at + 4, 0);
            bar++;
        }
    }
    virtio_config_write(v, 4, 6); /* memory, bus master */
}

static void find_registers(struct virtio *v)
{
    unsigned int at = virtio_config_read(v, 0x34) & 0xff;

    while (at) {
        uint32_t head = virtio_config_read(v, at);
        unsigned int bar = virtio_config_read(v, at + 4) & 0xff;
        uint64_t where = bar > 5
                             ? 0
                             : (virtio_config_read(v, 0x10 + 4 * bar) & ~0xfu) +
                                   (uint64_t)virtio_config_read(v, at + 8);

        if ((head & 0xff) == 9 && head >> 24 == 1) {
            v->common = where;
        } else if ((head & 0xff) == 9 && head >> 24 == 2) {
            v->notify = where;
            v->multiplier = virtio_config_read(v, at + 16);
        }
        at = head >> 8 & 0xff;
    }
    g_assert_true(v->common && v->notify);
}

static void make_queue(struct virtio *v, uint16_t index, struct queue *queue)
{
    uint32_t at = machine_take_pages(v->m, 8);
    uint16_t off;

    COMMON(v, "w", 0x16, index);
    queue->size = (uint16_t)qtest_ask(v->m, "readw 0x%" PRIx64 "\n",
                                      v->common + 0x18);
    g_assert_cmpuint(queue->size, <=, 1024);
    queue->desc = at;
    queue->avail = at + 5 * PAGE;
    queue->used = at + 4 * PAGE;
    g_assert_cmpuint(queue->size * 16u, <=, 4 * PAGE);
    if (queue->size > 256) {
        queue->size = 256;
        COMMON(v, "w", 0x18, 256);
    }
    COMMON(v, "q", 0x20, queue->desc);
    COMMON(v, "q", 0x28, queue->avail);
    COMMON(v, "q", 0x30, queue->used);
    off = (uint16_t)qtest_ask(v->m, "readw 0x%" PRIx64 "\n", v->common + 0x1e);
    queue->notify = v->notify + (uint64_t)off * v->multiplier;
    COMMON(v, "w", 0x1c, 1);
}

void virtio_init(struct virtio *v, struct machine *m, unsigned int slot,
                 uint32_t features, uint16_t n_queues, uint16_t requests)
{
    *v = (struct virtio){ .m = m, .slot = slot };
    place_bars(v);
    find_registers(v);
    COMMON(v, "b", 0x14, 0);
    COMMON(v, "b", 0x14, 3);
    COMMON(v, "l", 8, 0);
    COMMON(v, "l", 12, features);
    COMMON(v, "l", 8, 1);
    COMMON(v, "l", 12, 1); /* VERSION_1 */
    COMMON(v, "b", 0x14, 11);
    for (uint16_t i = 0; i < n_queues; i++) {
        struct queue queue = { 0 };

        make_queue(v, i, &queue);
        if (i == requests) {
            v->queue = queue;
        }
    }
    COMMON(v, "b", 0x14, 15);
}

uint32_t virtio_command(struct virtio *v, const void *request, uint32_t len)
{
    struct queue *q = &v->queue;
    struct machine *m = v->m;
    uint32_t out = machine_take_pages(m, 1 + len / PAGE),
             in = machine_take_pages(m, 1);
    volatile uint16_t *used = (volatile uint16_t *)(m->ram + q->used + 2);
    gint64 end = g_get_monotonic_time() + WAIT_US;
    uint16_t head = (uint16_t)(q->next * 2 % q->size);
    uint8_t *desc = m->ram + q->desc + head * 16;

    memcpy(m->ram + out, request, len);
    memset(m->ram + in, 0, PAGE);
    put64(desc, out);
    put32(desc + 8, len);
    put16(desc + 12, 1);
    put16(desc + 14, (uint16_t)(head + 1));
    put64(desc + 16, in);
    put32(desc + 24, 64);
    put16(desc + 28, 2);
    put16(desc + 30, 0);
    put16(m->ram + q->avail + 4 + 2 * (q->next % q->size), head);
    q->next++;
    __sync_synchronize();
    put16(m->ram + q->avail + 2, q->next);
    __sync_synchronize();
    qtest_ask(m, "writew 0x%" PRIx64 " 0x0\n", q->notify);
    q->seen++;
    while (*used != q->seen) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
    __sync_synchronize();
    m->answer = m->ram + in;
    return get32(m->answer);
}
