/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhu_front.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

void vhu_front_init(struct vhu_front *front)
{
    memset(front, 0, sizeof *front);
    front->sock = front->back = front->inflight_fd = -1;
    front->ram_fd = fuzz_memfd(RAM_BYTES);
    front->ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
                      front->ram_fd, 0);
    fuzz_check(front->ram != MAP_FAILED);
    for (unsigned int i = 0; i < 2; i++) {
        front->ring[i].kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        front->ring[i].call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        front->ring[i].size = 8;
    }
    front->rx = g_byte_array_new();
    front->back_rx = g_byte_array_new();
    front->asked = g_array_new(FALSE, FALSE, sizeof(uint32_t));
}

void vhu_hang_up(struct vhu_front *front)
{
    fuzz_close(&front->sock);
    fuzz_close(&front->back);
    front->torn = false;
    g_byte_array_set_size(front->rx, 0);
    g_byte_array_set_size(front->back_rx, 0);
    g_array_set_size(front->asked, 0);
}

void vhu_front_finish(struct vhu_front *front)
{
    vhu_hang_up(front);
    for (unsigned int i = 0; i < 2; i++) {
        fuzz_close(&front->ring[i].kick);
        fuzz_close(&front->ring[i].call);
    }
    fuzz_close(&front->inflight_fd);
    munmap(front->ram, RAM_BYTES);
    fuzz_close(&front->ram_fd);
    g_byte_array_unref(front->rx);
    g_byte_array_unref(front->back_rx);
    g_array_unref(front->asked);
}

void vhu_say_fds(struct vhu_front *front, uint32_t request, uint32_t flags,
                 const void *payload, uint32_t size, const int *fds,
                 unsigned int n_fds)
{
    uint8_t bytes[12 + 4096];

    if (front->sock < 0) {
        return;
    }
    put32(bytes, request);
    put32(bytes + 4, flags);
    put32(bytes + 8, size);
    if (size) {
        memcpy(bytes + 12, payload, size);
    }
    if (fuzz_send(front->sock, bytes, 12 + size, fds, n_fds) !=
        (ssize_t)(12 + size)) {
        front->torn = true;
    }
}

void vhu_say(struct vhu_front *front, uint32_t request, const void *payload,
             uint32_t size)
{
    vhu_say_fds(front, request, NEED_REPLY, payload, size, NULL, 0);
}

void vhu_say_u64(struct vhu_front *front, uint32_t request, uint64_t value,
                 int fd)
{
    vhu_say_fds(front, request, NEED_REPLY, &value, 8, &fd, fd >= 0);
}

void vhu_say_state(struct vhu_front *front, uint32_t request, uint32_t index,
                   uint32_t num)
{
    uint32_t state[2] = { index, num };

    vhu_say(front, request, state, sizeof state);
}

/* Takes out what was received whole; false: nothing more. */
static bool parse(GByteArray *rx, uint8_t head[12], uint8_t *payload)
{
    uint32_t size;

    if (rx->len < 12) {
        return false;
    }
    size = get32(rx->data + 8);
    fuzz_check(size <= 4096);
    if (rx->len < 12 + size) {
        return false;
    }
    memcpy(head, rx->data, 12);
    memcpy(payload, rx->data + 12, size);
    g_byte_array_remove_range(rx, 0, 12 + size);
    return true;
}

/* Reads what the device says on a channel; descriptors go, but one. True: it
 * has ended. */
static bool receive(int sock, GByteArray *rx, int *keep)
{
    uint8_t bytes[8192];
    int fds[FUZZ_MAX_FDS];
    unsigned int n_fds;
    ssize_t n;

    while ((n = fuzz_receive(sock, bytes, sizeof bytes, fds, &n_fds)) > 0) {
        g_byte_array_append(rx, bytes, (guint)n);
        for (unsigned int i = 0; i < n_fds; i++) {
            if (keep) {
                fuzz_close(keep);
                *keep = fds[i];
            } else {
                close(fds[i]);
            }
        }
    }
    return n == 0 || errno != EAGAIN;
}

void vhu_read_answers(struct vhu_front *front)
{
    uint8_t head[12], payload[4096] = { 0 };
    int fd = -1;

    if (front->sock < 0) {
        return;
    }
    receive(front->sock, front->rx, &fd);
    while (parse(front->rx, head, payload)) {
        fuzz_check(get32(head + 4) == REPLY);
        front->answer[0] = get32(head);
        front->answer[1] = get32(head + 8);
        memcpy(&front->value, payload, sizeof front->value);
        if (get32(head) == VHOST_USER_GET_INFLIGHT_FD && fd >= 0) {
            fuzz_close(&front->inflight_fd);
            front->inflight_fd = fd;
            memcpy(front->inflight, payload, 24);
            fd = -1;
        }
    }
    fuzz_close(&fd);
}

void vhu_answer(struct vhu_front *front, uint64_t value)
{
    uint8_t bytes[20];

    if (front->asked->len == 0 || front->back < 0) {
        return;
    }
    put32(bytes, g_array_index(front->asked, uint32_t, 0));
    put32(bytes + 4, REPLY);
    put32(bytes + 8, 8);
    put64(bytes + 12, value);
    g_array_remove_index(front->asked, 0);
    fuzz_send(front->back, bytes, sizeof bytes, NULL, 0);
}

void vhu_read_requests(struct vhu_front *front)
{
    uint8_t head[12], payload[4096];

    if (front->back < 0) {
        return;
    }
    front->ended |= receive(front->back, front->back_rx, NULL);
    while (parse(front->back_rx, head, payload)) {
        uint32_t number = get32(head);

        fuzz_check((get32(head + 4) & ~VHOST_USER_NEED_REPLY_MASK) == PLAIN);
        if (get32(head + 4) & VHOST_USER_NEED_REPLY_MASK ||
            number >= VHOST_USER_BACKEND_PRIVATE_SHMEM_MAP) {
            g_array_append_val(front->asked, number);
        }
    }
    while (front->answers && front->asked->len > 0) {
        vhu_answer(front, 0);
    }
}

void vhu_ring_reset(struct vhu_front *front, unsigned int index, uint16_t idx)
{
    front->ring[index].idx = idx;
    front->ring[index].wrap = true;
}

void vhu_offer(struct vhu_front *front, unsigned int index, const uint64_t *gpa,
               const uint32_t *len, unsigned int n)
{
    struct vhu_ring *ring = &front->ring[index];
    uint8_t *base = front->ram + RING_AT(index);
    uint16_t size = ring->size;
    uint16_t head = front->packed ? ring->idx
                                  : (uint16_t)(ring->idx * n % size);

    for (unsigned int i = 0; i < n; i++) {
        uint16_t slot = (uint16_t)((head + i) % size);
        uint8_t *desc = base + slot * 16u;
        uint16_t flags = i + 1 < n ? 1 : 2;

        put64(desc, gpa[i]);
        put32(desc + 8, len[i]);
        if (!front->packed) {
            put16(desc + 12, flags);
            put16(desc + 14, (uint16_t)((slot + 1) % size));
            continue;
        }
        put16(desc + 12, head);
        put16(desc + 14, (uint16_t)(flags | (ring->wrap ? 1u << 7 : 1u << 15)));
        ring->idx++;
        if (ring->idx == size) {
            ring->idx = 0;
            ring->wrap = !ring->wrap;
        }
    }
    if (!front->packed) {
        put16(base + DRIVER_AT + 4 + ring->idx % size * 2u, head);
        ring->idx++;
        put16(base + DRIVER_AT + 2, ring->idx);
    }
}
