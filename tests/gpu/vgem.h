/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A buffer of vgem, whose driver attaches fences to it and signals them when it
 * is told to. Calls fail the program when they fail.
 */
#ifndef TESTS_GPU_VGEM_H
#define TESTS_GPU_VGEM_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct vgem {
    int card;
    uint32_t handle, fence;
    int fd; /* its dma-buf */
};

void vgem_init(struct vgem *vgem);
void vgem_finish(struct vgem *vgem);

/* A sync_file for a fence that is not signalled (vgem gives it 10 s), and is
 * the one to be signalled next. */
int vgem_attach(struct vgem *vgem);
/* false: its time was up already. */
bool vgem_signal(struct vgem *vgem);

/* The kernel's own word: 0 = not signalled yet, 1 = signalled, negative: with
 * an error; G_MININT: it is no fence. */
int fence_status(int fd);

#endif
