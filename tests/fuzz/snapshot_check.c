/* SPDX-License-Identifier: BSD-3-Clause */
/* What a state must be to be accepted. */
#include "snapshot_stream.h"

static bool overlap(const uint8_t *a, const uint8_t *b)
{
    uint64_t a_end = get64(a + 32) + ((get64(a + 24) + 4095) & ~UINT64_C(4095));
    uint64_t b_end = get64(b + 32) + ((get64(b + 24) + 4095) & ~UINT64_C(4095));

    return get64(a + 32) < b_end && get64(b + 32) < a_end;
}

static const uint8_t *find_vfd(const GByteArray *stream,
                               const struct layout *layout, uint32_t id)
{
    for (uint32_t i = 0; i < layout->n_vfds; i++) {
        if (get32(stream->data + layout->vfd[i]) == id) {
            return stream->data + layout->vfd[i];
        }
    }
    return NULL;
}

static void check_vfds(const GByteArray *stream, const struct layout *layout)
{
    uint64_t anchor = get64(stream->data + HEADER + 16);
    uint8_t page[VFD] = { 0 };

    put64(page + 24, 4096);
    put64(page + 32, anchor);
    for (uint32_t i = 0; i < layout->n_vfds; i++) {
        const uint8_t *vfd = stream->data + layout->vfd[i];
        bool is_mapped = get32(vfd + 8) & MAPPED;

        fuzz_check(get32(vfd + 8) & KNOWN || get32(vfd) >> 30 & 1);
        fuzz_check(!is_mapped || get64(vfd + 32) < FRONT_WINDOW);
        fuzz_check(!is_mapped || anchor == UINT64_MAX || !overlap(vfd, page));
        for (uint32_t j = 0; j < i; j++) {
            const uint8_t *other = stream->data + layout->vfd[j];

            fuzz_check(get32(vfd) != get32(other));
            fuzz_check(!is_mapped || !(get32(other + 8) & MAPPED) ||
                       !overlap(vfd, other));
        }
    }
}

/* Who is not known is told once, and listed after that, by who told it. Nobody
 * is listed twice. */
static void check_messages(const GByteArray *stream,
                           const struct layout *layout)
{
    GHashTable *told = g_hash_table_new(NULL, NULL);
    GHashTable *listed = g_hash_table_new(NULL, NULL);

    for (uint32_t i = 0; i < layout->n_messages; i++) {
        const uint8_t *message = stream->data + layout->message[i];
        uint32_t n = get32(message + 8);

        fuzz_check(find_vfd(stream, layout, get32(message + 4)) != NULL);
        if (get32(message) == M_NEW) {
            const uint8_t *vfd = find_vfd(stream, layout, n);

            fuzz_check(vfd && !(get32(vfd + 8) & KNOWN));
            fuzz_check(
                g_hash_table_insert(told, GUINT_TO_POINTER(n),
                                    GUINT_TO_POINTER(get32(message + 4) + 1)));
            continue;
        }
        fuzz_check((get32(message) == M_RECV) == (get32(message + 12) > 0));
        for (uint32_t j = 0; j < n; j++) {
            uint32_t id = get32(message + MESSAGE + 4 * j);
            const uint8_t *vfd = find_vfd(stream, layout, id);

            fuzz_check(!vfd || get32(vfd + 8) & KNOWN ||
                       g_hash_table_lookup(told, GUINT_TO_POINTER(id)) ==
                           GUINT_TO_POINTER(get32(message + 4) + 1));
            fuzz_check(!vfd || g_hash_table_add(listed, GUINT_TO_POINTER(id)));
        }
    }
    for (uint32_t i = 0; i < layout->n_vfds; i++) {
        const uint8_t *vfd = stream->data + layout->vfd[i];

        fuzz_check(get32(vfd + 8) & KNOWN ||
                   g_hash_table_contains(told, GUINT_TO_POINTER(get32(vfd))));
    }
    g_hash_table_unref(listed);
    g_hash_table_unref(told);
}

void stream_check(const GByteArray *stream)
{
    struct layout layout;

    stream_read(stream, &layout);
    check_vfds(stream, &layout);
    check_messages(stream, &layout);
}

void stream_check_limits(const GByteArray *stream,
                         const struct vwl_core_config *limits)
{
    struct layout layout;
    uint64_t memory = 0;
    uint32_t contexts = 0;

    stream_read(stream, &layout);
    for (uint32_t i = 0; i < layout.n_vfds; i++) {
        const uint8_t *vfd = stream->data + layout.vfd[i];

        contexts += get32(vfd + 4) == CTX;
        /* what it received may come on top */
        if (get32(vfd + 8) & FILE_FOLLOWS && !(get32(vfd) >> 30 & 1)) {
            memory += (get64(vfd + 24) + 4095) & ~UINT64_C(4095);
        }
    }
    fuzz_check(layout.n_vfds <= limits->max_vfds);
    fuzz_check(contexts <= limits->max_contexts);
    fuzz_check(memory <= limits->max_shm_bytes);
}
