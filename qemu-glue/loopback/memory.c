/* SPDX-License-Identifier: BSD-3-Clause */
/* Guest memory of the front-end double: whole pages, the next that fit; with
 * `warm` the first that fit. */
#include "frontend.h"

#include <string.h>

#define PAGE 4096u
#define IOVA_SHIFT (UINT64_C(1) << 36)

static bool is_free(const struct vwl_fe *fe, size_t first, size_t n)
{
    return memchr(fe->pages + first, 1, n) == NULL;
}

static size_t find(struct vwl_fe *fe, size_t from, size_t to, size_t n)
{
    for (size_t i = from; i + n <= to; i++) {
        if (fe->pages[i] == 0 && is_free(fe, i, n)) {
            return i;
        }
    }
    return SIZE_MAX;
}

uint64_t vwl_fe_alloc(struct vwl_fe *fe, size_t len)
{
    size_t total = fe->ram_size / PAGE, n = (len + PAGE - 1) / PAGE;
    size_t at;

    if (n == 0 || n > total) {
        return UINT64_MAX;
    }
    at = find(fe, fe->page_hint, total, n);
    if (at == SIZE_MAX) {
        at = find(fe, 0, total, n);
    }
    if (at == SIZE_MAX) {
        return UINT64_MAX;
    }
    memset(fe->pages + at, 1, n);
    if (!fe->options.warm) {
        memset(fe->ram + at * PAGE, 0, n * PAGE);
    }
    if (!fe->options.warm || at == fe->page_hint) {
        fe->page_hint = at + n;
    }
    fe->ram_used += n * PAGE;
    return fe->options.ram_gpa + (uint64_t)at * PAGE;
}

void vwl_fe_free(struct vwl_fe *fe, uint64_t gpa, size_t len)
{
    size_t at = (size_t)(gpa - fe->options.ram_gpa) / PAGE;
    size_t n = (len + PAGE - 1) / PAGE;

    memset(fe->pages + at, 0, n);
    if (fe->options.warm) {
        fe->page_hint = MIN(fe->page_hint, at);
    }
    fe->ram_used -= n * PAGE;
}

void *vwl_fe_at(struct vwl_fe *fe, uint64_t gpa)
{
    return fe->ram + (gpa - fe->options.ram_gpa);
}

uint64_t vwl_fe_bus_address(struct vwl_fe *fe, uint64_t gpa)
{
    return vwl_fe_has(fe, VIRTIO_F_ACCESS_PLATFORM) ? gpa + IOVA_SHIFT : gpa;
}
