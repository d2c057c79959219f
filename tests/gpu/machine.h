/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A QEMU without a guest, driven by its qtest protocol: a virtio-gpu in slot
 * 4, a virtio-wl device in slot 5, and guest memory that this process maps.
 * VWL_QEMU and VWL_PLUGIN name the files.
 */
#ifndef TESTS_GPU_MACHINE_H
#define TESTS_GPU_MACHINE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define PAGE 4096u
#define RAM_BYTES (256u << 20)
#define BARS 0xd0000000u /* where PCI devices are put */

struct machine {
    char *folder, *path;
    int listener, peer; /* the host program behind the unnamed socket */
    GPid pid;
    int qtest;
    uint8_t *ram;
    uint32_t next_page; /* of ram, to be given out */
    uint32_t next_bar;
    const uint8_t *answer; /* to the last command */
};

/* blob: the GPU has blob resources. dmabuf: the words of the wl device's
 * property, or NULL. */
void machine_init(struct machine *m, bool blob, const char *dmabuf);
/* QEMU lived to the end, and ends when it is told to. */
void machine_finish(struct machine *m);

/* One command of qtest; the number after its OK. */
uint64_t qtest_ask(struct machine *m, const char *format, ...)
    G_GNUC_PRINTF(2, 3);

/* The address of n pages that nobody has yet. */
uint32_t machine_take_pages(struct machine *m, uint32_t n);
/* Open descriptors of QEMU. */
unsigned int machine_count_fds(const struct machine *m);

#endif
