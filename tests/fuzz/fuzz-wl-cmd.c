/* SPDX-License-Identifier: BSD-3-Clause */
/* Whole sessions of a guest, its host peers and a front-end against the core;
 * wl_world.h says what is promised. */
#include "wl_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world world;

    fuzz_begin();
    world_init(&world, data, size);
    for (unsigned int i = 0; i < WORLD_MAX_OPS && world.in.left > 0; i++) {
        world_step(&world);
    }
    world_finish(&world);
    fuzz_end();
    return 0;
}
