/* SPDX-License-Identifier: BSD-3-Clause */
#include "policy/ids.h"

#include <glib.h>

#include "wayland/interfaces.h"

static const struct wl_interface *const kinds[VWL_N_OBJECT_KINDS] = {
    [VWL_OBJECT_DISPLAY] = &wl_display_interface,
    [VWL_OBJECT_REGISTRY] = &wl_registry_interface,
    [VWL_OBJECT_SURFACE] = &wl_surface_interface,
    [VWL_OBJECT_BUFFER] = &wl_buffer_interface,
    [VWL_OBJECT_SHM] = &wl_shm_interface,
    [VWL_OBJECT_POOL] = &wl_shm_pool_interface,
    [VWL_OBJECT_PARAMS] = &zwp_linux_buffer_params_v1_interface,
    [VWL_OBJECT_DEVICE] = &wl_data_device_interface,
    [VWL_OBJECT_SOURCE] = &wl_data_source_interface,
    [VWL_OBJECT_OFFER] = &wl_data_offer_interface,
    [VWL_OBJECT_PRIMARY_DEVICE] = &zwp_primary_selection_device_v1_interface,
    [VWL_OBJECT_PRIMARY_SOURCE] = &zwp_primary_selection_source_v1_interface,
    [VWL_OBJECT_PRIMARY_OFFER] = &zwp_primary_selection_offer_v1_interface,
    [VWL_OBJECT_XDG_SURFACE] = &xdg_surface_interface,
    [VWL_OBJECT_TOPLEVEL] = &xdg_toplevel_interface,
    [VWL_OBJECT_TOKEN] = &xdg_activation_token_v1_interface,
};

static uint8_t kind_of(const struct wl_interface *iface)
{
    for (uint8_t i = 1; i < VWL_N_OBJECT_KINDS; i++) {
        if (kinds[i] == iface) {
            return i;
        }
    }
    return VWL_OBJECT_PLAIN;
}

static bool charge_slots(struct vwl_ids *ids, int64_t n)
{
    return !ids->charge ||
           ids->charge(ids->opaque, n * (int64_t)sizeof(struct vwl_id));
}

static bool grow(struct vwl_ids *ids, struct vwl_id **slots, uint32_t *cap)
{
    uint32_t wanted = MIN(MAX(*cap * 2, 32), ids->max);
    struct vwl_id *grown;

    if (!charge_slots(ids, wanted - *cap)) {
        return false;
    }
    grown = g_try_renew(struct vwl_id, *slots, wanted);
    if (!grown) {
        charge_slots(ids, -(int64_t)(wanted - *cap));
        return false;
    }
    *slots = grown;
    *cap = wanted;
    return true;
}

/* The slot, of which all before it have been in use; NULL: too many. */
static struct vwl_id *slot_at(struct vwl_ids *ids, struct vwl_id **slots,
                              uint32_t *n, uint32_t *cap, uint32_t index)
{
    if (index > *n || index >= ids->max) {
        return NULL;
    }
    if (index == *n) {
        if (*n == *cap && !grow(ids, slots, cap)) {
            return NULL;
        }
        (*slots)[index].iface = NULL;
        ++*n;
    }
    return &(*slots)[index];
}

static void fill(struct vwl_ids *ids, struct vwl_id *slot,
                 const struct wl_interface *iface, uint32_t version)
{
    *slot = (struct vwl_id){
        .iface = iface,
        .version = version,
        .kind = kind_of(iface),
    };
    ids->live[slot->kind]++;
}

void vwl_ids_init(struct vwl_ids *ids, uint32_t max, vwl_ids_charge charge,
                  void *opaque)
{
    *ids = (struct vwl_ids){ .max = max, .charge = charge, .opaque = opaque };
    slot_at(ids, &ids->client, &ids->n_client, &ids->cap_client, 0);
    vwl_ids_add_client(ids, 1, &wl_display_interface, 1);
}

void vwl_ids_finish(struct vwl_ids *ids)
{
    charge_slots(ids, -((int64_t)ids->cap_client + ids->cap_server));
    g_free(ids->client);
    g_free(ids->server);
}

struct vwl_id *vwl_ids_find(const struct vwl_ids *ids, uint32_t id)
{
    struct vwl_id *slot = NULL;

    if (id < ids->n_client) {
        slot = &ids->client[id];
    } else if (id >= VWL_FIRST_SERVER_ID &&
               id - VWL_FIRST_SERVER_ID < ids->n_server) {
        slot = &ids->server[id - VWL_FIRST_SERVER_ID];
    }
    return slot && slot->iface ? slot : NULL;
}

struct vwl_id *vwl_ids_add_client(struct vwl_ids *ids, uint32_t id,
                                  const struct wl_interface *iface,
                                  uint32_t version)
{
    struct vwl_id *slot = id ? slot_at(ids, &ids->client, &ids->n_client,
                                       &ids->cap_client, id)
                             : NULL;

    if (!slot || slot->iface) {
        return NULL;
    }
    fill(ids, slot, iface, version);
    return slot;
}

struct vwl_id *vwl_ids_add_server(struct vwl_ids *ids, uint32_t id,
                                  const struct wl_interface *iface,
                                  uint32_t version)
{
    struct vwl_id *slot = NULL;

    if (id >= VWL_FIRST_SERVER_ID) {
        slot = slot_at(ids, &ids->server, &ids->n_server, &ids->cap_server,
                       id - VWL_FIRST_SERVER_ID);
    }
    if (slot) {
        vwl_ids_end(ids, id);
        fill(ids, slot, iface, version);
    }
    return slot;
}

void vwl_ids_remove(struct vwl_ids *ids, uint32_t id)
{
    struct vwl_id *slot = id < VWL_FIRST_SERVER_ID ? vwl_ids_find(ids, id)
                                                   : NULL;

    if (slot) {
        ids->live[slot->kind]--;
        slot->iface = NULL;
    }
}

void vwl_ids_end(struct vwl_ids *ids, uint32_t id)
{
    struct vwl_id *slot = id >= VWL_FIRST_SERVER_ID ? vwl_ids_find(ids, id)
                                                    : NULL;

    if (slot && !slot->ended) {
        ids->live[slot->kind]--;
        slot->ended = true;
    }
}
