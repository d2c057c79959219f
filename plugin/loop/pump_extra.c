/* SPDX-License-Identifier: BSD-3-Clause */
#include "loop/pump_priv.h"

#include <string.h>

#include "base/le.h"

/* What the pump adds to the core's state: u64 address of region 0, u32 whether
 * it is known; for each ring u32 whether it ran, u32 its base; u32 number of
 * chains, and these as put_chain says. */
#define EXTRA_BYTES (12 + 8 * VIRTIO_WL_QUEUE_COUNT + 4)
#define CHAIN_BYTES (24 + 12 * VWL_CHAIN_SAVED_PIECES + VWL_RESPONSE_BYTES)

size_t vwl_pump_extra_bytes(struct vwl_pump *pump)
{
    return EXTRA_BYTES +
           g_queue_get_length(&pump->in_flight) * (size_t)CHAIN_BYTES;
}

static void put_chain(uint8_t **at, const struct vwl_record *record)
{
    struct vwl_chain_saved saved;

    vwl_chain_save(record->chain, &saved);
    vwl_le_write16(at, saved.id);
    vwl_le_write16(at, saved.slots);
    vwl_le_write16(at, saved.track);
    vwl_le_write16(at, saved.tracked);
    vwl_le_write64(at, saved.number);
    vwl_le_write32(at, saved.n);
    for (unsigned int i = 0; i < VWL_CHAIN_SAVED_PIECES; i++) {
        vwl_le_write64(at, saved.piece[i].gpa);
        vwl_le_write32(at, saved.piece[i].len);
    }
    vwl_le_write32(at, record->state == VWL_RECORD_DONE
                           ? (uint32_t)record->request.response_bytes
                           : 0);
    memcpy(*at, record->request.response, VWL_RESPONSE_BYTES);
    *at += VWL_RESPONSE_BYTES;
}

void vwl_pump_extra_put(struct vwl_pump *pump, uint8_t *at)
{
    vwl_le_write64(&at, pump->base.gpa);
    vwl_le_write32(&at, pump->base.known);
    for (unsigned int i = 0; i < VIRTIO_WL_QUEUE_COUNT; i++) {
        uint32_t base = 0;
        bool used = vwl_session_ring_base(pump->session, i, &base);

        vwl_le_write32(&at, used);
        vwl_le_write32(&at, base);
    }
    vwl_le_write32(&at, g_queue_get_length(&pump->in_flight));
    for (GList *l = pump->in_flight.head; l; l = l->next) {
        put_chain(&at, l->data);
    }
}

static bool get_chain(const uint8_t **at, struct vwl_chain_saved *saved,
                      uint32_t *response_bytes, const uint8_t **response)
{
    saved->id = vwl_le_read16(at);
    saved->slots = vwl_le_read16(at);
    saved->track = vwl_le_read16(at);
    saved->tracked = vwl_le_read16(at) != 0;
    saved->number = vwl_le_read64(at);
    saved->n = vwl_le_read32(at);
    for (unsigned int i = 0; i < VWL_CHAIN_SAVED_PIECES; i++) {
        saved->piece[i].gpa = vwl_le_read64(at);
        saved->piece[i].len = vwl_le_read32(at);
    }
    *response_bytes = vwl_le_read32(at);
    *response = *at;
    *at += VWL_RESPONSE_BYTES;
    return saved->slots > 0 && saved->slots <= VWL_VQ_MAX_SIZE &&
           saved->id < VWL_VQ_MAX_SIZE && saved->n <= VWL_CHAIN_SAVED_PIECES &&
           *response_bytes <= VWL_RESPONSE_BYTES;
}

bool vwl_pump_extra_check(const uint8_t *at, size_t len)
{
    const uint8_t *number = at + EXTRA_BYTES - 4;
    uint32_t n;

    if (len < EXTRA_BYTES) {
        return false;
    }
    n = vwl_le_read32(&number);
    at += EXTRA_BYTES;
    if (n > VWL_VQ_MAX_SIZE || len != EXTRA_BYTES + n * (size_t)CHAIN_BYTES) {
        return false;
    }
    while (n-- > 0) {
        struct vwl_chain_saved saved;
        const uint8_t *response;
        uint32_t response_bytes;

        if (!get_chain(&at, &saved, &response_bytes, &response)) {
            return false;
        }
    }
    return true;
}

/* Chains of a snapshot are answered after the next start. */
void vwl_pump_extra_apply(struct vwl_pump *pump, const uint8_t *at)
{
    struct vwl_vq *out = vwl_session_vq(pump->session, VIRTIO_WL_QUEUE_OUT);
    uint32_t n;

    pump->base.gpa = vwl_le_read64(&at);
    pump->base.known = vwl_le_read32(&at) != 0;
    for (unsigned int i = 0; i < VIRTIO_WL_QUEUE_COUNT; i++) {
        bool used = vwl_le_read32(&at) != 0;

        vwl_session_ring_restore(pump->session, i, used, vwl_le_read32(&at));
    }
    for (n = vwl_le_read32(&at); n > 0; n--) {
        struct vwl_chain_saved saved;
        const uint8_t *response;
        uint32_t response_bytes;

        get_chain(&at, &saved, &response_bytes, &response);
        vwl_pump_revive(pump, vwl_chain_revive(out, &saved), response,
                        response_bytes);
    }
}
