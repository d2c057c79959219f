/* SPDX-License-Identifier: BSD-3-Clause */
/* A modern virtio device on PCI, as a driver sees it (virtio 1.2, 4.1). */
#ifndef TESTS_GPU_VIRTIO_H
#define TESTS_GPU_VIRTIO_H

#include "machine.h"

struct queue {
    uint64_t notify;
    uint32_t desc, avail, used; /* addresses in guest memory */
    uint16_t size, next, seen;
};

struct virtio {
    struct machine *m;
    unsigned int slot;
    uint64_t common, notify; /* addresses of its registers */
    uint32_t multiplier;
    struct queue queue; /* of requests */
};

/* Sets the device in that slot up as far as DRIVER_OK, with these of its first
 * 32 features and VERSION_1; `requests` is the queue that stays. */
void virtio_init(struct virtio *v, struct machine *m, unsigned int slot,
                 uint32_t features, uint16_t n_queues, uint16_t requests);

/* A register of the PCI configuration space. */
uint32_t virtio_config_read(struct virtio *v, unsigned int at);
void virtio_config_write(struct virtio *v, unsigned int at, uint32_t value);

/* Asks, waits, and says the type of the answer, which m->answer points at. */
uint32_t virtio_command(struct virtio *v, const void *request, uint32_t len);

#endif
