/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front-end and its guest, for the fuzz target of the vhost-user session:
 * what it says, what it reads of the answers, and rings of both formats in 64
 * KiB of memory. Nothing here is careful: the target also lies.
 */
#ifndef VWL_TEST_FUZZ_VHU_FRONT_H
#define VWL_TEST_FUZZ_VHU_FRONT_H

#include <errno.h>
#include <glib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "vhost-user-wl/vhost_user.h"
#include "vhost-user-wl/virtio_wl.h"

#define RAM_BYTES 0x10000u
#define UVA UINT64_C(0x7f0000000000)
#define RING_AT(ring) (0x4000u * (ring))
#define DRIVER_AT 0x1000u
#define DEVICE_AT 0x2000u
#define IN_BUFFERS_AT 0x8000u
#define OUT_BUFFERS_AT 0xc000u

struct front_ring {
    int kick, call; /* eventfds */
    uint16_t size;
    uint16_t idx;
    bool wrap;
};

struct front {
    int sock;           /* -1: closed */
    bool torn;          /* the stream does not stand between two messages */
    bool back_torn;     /* nor does the other one */
    bool ended;         /* the device ended the back-end channel */
    uint32_t answer[2]; /* the last answer's request, and its size */
    uint64_t value;     /* and its first eight bytes */
    int back;           /* our end of the back-end channel, or -1 */
    int ram_fd;
    uint8_t *ram;
    bool packed;
    bool answers; /* every back-end request at once */
    struct front_ring ring[2];
    GByteArray *rx; /* of the socket, not yet parsed */
    GByteArray *back_rx;
    GArray *asked;   /* uint32_t: back-end requests without an answer */
    int inflight_fd; /* from GET_INFLIGHT_FD, or -1 */
    uint8_t inflight[24];
};

static inline void front_init(struct front *front)
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

static inline void front_hang_up(struct front *front)
{
    fuzz_close(&front->sock);
    fuzz_close(&front->back);
    front->torn = false;
    g_byte_array_set_size(front->rx, 0);
    g_byte_array_set_size(front->back_rx, 0);
    g_array_set_size(front->asked, 0);
}

static inline void front_finish(struct front *front)
{
    front_hang_up(front);
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

/* ---- messages --------------------------------------------------------- */

static inline void front_say_fds(struct front *front, uint32_t request,
                                 uint32_t flags, const void *payload,
                                 uint32_t size, const int *fds,
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

static inline void front_say(struct front *front, uint32_t request,
                             const void *payload, uint32_t size)
{
    front_say_fds(front, request, 9, payload, size, NULL, 0);
}

static inline void front_say_u64(struct front *front, uint32_t request,
                                 uint64_t value, int fd)
{
    front_say_fds(front, request, 9, &value, 8, &fd, fd >= 0);
}

static inline void front_say_state(struct front *front, uint32_t request,
                                   uint32_t index, uint32_t num)
{
    uint32_t state[2] = { index, num };

    front_say(front, request, state, sizeof state);
}

/* Takes out what was received whole; false: nothing more. */
static inline bool front_parse(GByteArray *rx, uint8_t head[12],
                               uint8_t *payload)
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
static inline bool front_receive(int sock, GByteArray *rx, int *keep)
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

/* Every answer is well-formed. */
static inline void front_read_answers(struct front *front)
{
    uint8_t head[12], payload[4096] = { 0 };
    int fd = -1;

    if (front->sock < 0) {
        return;
    }
    front_receive(front->sock, front->rx, &fd);
    while (front_parse(front->rx, head, payload)) {
        fuzz_check(get32(head + 4) == 5);
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

static inline void front_answer(struct front *front, uint64_t value)
{
    uint8_t bytes[20];

    if (front->asked->len == 0 || front->back < 0) {
        return;
    }
    put32(bytes, g_array_index(front->asked, uint32_t, 0));
    put32(bytes + 4, 5);
    put32(bytes + 8, 8);
    put64(bytes + 12, value);
    g_array_remove_index(front->asked, 0);
    fuzz_send(front->back, bytes, sizeof bytes, NULL, 0);
}

static inline void front_read_requests(struct front *front)
{
    uint8_t head[12], payload[4096];

    if (front->back < 0) {
        return;
    }
    front->ended |= front_receive(front->back, front->back_rx, NULL);
    while (front_parse(front->back_rx, head, payload)) {
        uint32_t number = get32(head);

        fuzz_check((get32(head + 4) & ~8u) == 1);
        if (get32(head + 4) & 8 || number >= 1000) {
            g_array_append_val(front->asked, number);
        }
    }
    while (front->answers && front->asked->len > 0) {
        front_answer(front, 0);
    }
}

/* ---- the guest's driver ----------------------------------------------- */

static inline void front_ring_reset(struct front *front, unsigned int index,
                                    uint16_t idx)
{
    front->ring[index].idx = idx;
    front->ring[index].wrap = true;
}

/* A chain of n buffers; the last one is writable. */
static inline void front_offer(struct front *front, unsigned int index,
                               const uint64_t *gpa, const uint32_t *len,
                               unsigned int n)
{
    struct front_ring *ring = &front->ring[index];
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

#endif
