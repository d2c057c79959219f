/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "policy/filter_priv.h"

enum {
    XDG_SURFACE_GET_TOPLEVEL = 1,
    XDG_TOPLEVEL_DESTROY = 0,
    XDG_TOPLEVEL_SET_TITLE = 2,
    XDG_TOPLEVEL_SET_APP_ID = 3,
    TOKEN_SET_APP_ID = 1,
};

/* ---- new objects -------------------------------------------------------- */

static uint32_t most_of(const struct vwl_rules *rules, uint8_t kind)
{
    switch (kind) {
    case VWL_OBJECT_REGISTRY:
        return rules->max_registries;
    case VWL_OBJECT_SURFACE:
        return rules->max_surfaces;
    case VWL_OBJECT_BUFFER:
        return rules->max_buffers;
    case VWL_OBJECT_POOL:
        return rules->max_pools;
    default:
        return UINT32_MAX;
    }
}

static enum verdict add_object(struct vwl_filter *filter, uint32_t id,
                               const struct wl_interface *iface,
                               uint32_t version)
{
    const struct vwl_id *added;

    added = vwl_ids_add_client(&filter->ids, id, iface, version);
    if (!added) {
        return filter_refuse_id(filter, DISPLAY_ID, iface->name, id);
    }
    if (filter->ids.live[added->kind] > most_of(filter->rules, added->kind)) {
        return filter_refuse(filter, DISPLAY_ID, ERROR_NO_MEMORY,
                             "more than %u objects %s",
                             most_of(filter->rules, added->kind), iface->name);
    }
    return VERDICT_PASS;
}

static enum verdict add_objects(struct vwl_filter *filter,
                                const struct vwl_wire_message *message,
                                uint32_t version)
{
    enum verdict verdict = VERDICT_PASS;

    for (unsigned int i = 0; i < message->n_args && verdict == VERDICT_PASS;
         i++) {
        const struct vwl_wire_arg *arg = &message->args[i];

        if (arg->type == 'n' && arg->iface) {
            verdict = add_object(filter, arg->value, arg->iface, version);
        }
    }
    return verdict;
}

/* ---- windows ------------------------------------------------------------ */

static enum verdict judge_toplevel(struct vwl_filter *filter,
                                   const uint8_t *data,
                                   const struct vwl_wire_message *message)
{
    const struct vwl_rules *rules = filter->rules;
    const struct vwl_wire_arg *arg = &message->args[0];

    if (message->opcode == XDG_TOPLEVEL_DESTROY) {
        windows_forget(filter, message->object);
    } else if (message->opcode == XDG_TOPLEVEL_SET_TITLE ||
               message->opcode == XDG_TOPLEVEL_SET_APP_ID) {
        windows_text(filter, message->object,
                     message->opcode == XDG_TOPLEVEL_SET_TITLE,
                     (const char *)data + arg->at,
                     arg->value ? arg->value - 1 : 0);
    }
    if (message->opcode == XDG_TOPLEVEL_SET_TITLE) {
        return marks_text(filter, data, message, rules->title_prefix);
    }
    if (message->opcode == XDG_TOPLEVEL_SET_APP_ID) {
        return marks_text(filter, data, message, rules->app_id_prefix);
    }
    return VERDICT_PASS;
}

static enum verdict judge_xdg_surface(struct vwl_filter *filter,
                                      const uint8_t *data,
                                      const struct vwl_wire_message *message)
{
    if (message->opcode == XDG_SURFACE_GET_TOPLEVEL) {
        windows_add(filter, message->args[0].value);
    }
    if (message->opcode != XDG_SURFACE_GET_TOPLEVEL ||
        (!filter->rules->title_prefix && !filter->rules->app_id_prefix)) {
        return VERDICT_PASS;
    }
    filter_emit(filter, VWL_TO_HOST, data, message->size, 0);
    marks_window(filter, message->args[0].value);
    return VERDICT_DONE;
}

/* ---- all ---------------------------------------------------------------- */

static enum verdict judge(struct vwl_filter *filter, uint8_t kind,
                          const uint8_t *data,
                          const struct vwl_wire_message *message)
{
    uint16_t opcode = message->opcode;

    switch (kind) {
    case VWL_OBJECT_REGISTRY:
        return announced_bind(filter, data, message);
    case VWL_OBJECT_SHM:
    case VWL_OBJECT_POOL:
        return pools_request(filter, message, kind);
    case VWL_OBJECT_PARAMS:
        return pools_params_request(filter, message);
    case VWL_OBJECT_XDG_SURFACE:
        return judge_xdg_surface(filter, data, message);
    case VWL_OBJECT_TOPLEVEL:
        return judge_toplevel(filter, data, message);
    case VWL_OBJECT_TOKEN:
        return opcode == TOKEN_SET_APP_ID
                   ? marks_text(filter, data, message,
                                filter->rules->app_id_prefix)
                   : VERDICT_PASS;
    default:
        return transfer_request(filter, data, message, kind);
    }
}

/* Which message it is; NULL: it is over. */
static const struct wl_message *find_proto(struct vwl_filter *filter,
                                           const struct vwl_id *object,
                                           uint32_t id, uint16_t opcode)
{
    const struct wl_message *proto;

    if (!object || object->ended) {
        filter_refuse(filter, DISPLAY_ID, ERROR_INVALID_OBJECT,
                      "there is no object %u", id);
        return NULL;
    }
    proto = opcode < object->iface->method_count
                ? &object->iface->methods[opcode]
                : NULL;
    if (!proto || vwl_wire_since(proto) > object->version) {
        filter_refuse(filter, id, ERROR_INVALID_METHOD,
                      "%s of version %u has no request %u", object->iface->name,
                      object->version, opcode);
        return NULL;
    }
    return proto;
}

int filter_request(struct vwl_filter *filter, const uint8_t *data, size_t size)
{
    const struct wl_interface *iface;
    const struct wl_message *proto;
    const struct vwl_id *object;
    struct vwl_wire_message message;
    enum verdict verdict;
    uint32_t id, version;
    uint16_t opcode;
    uint8_t kind;

    vwl_wire_header(data, &id, &opcode);
    object = vwl_ids_find(&filter->ids, id);
    proto = find_proto(filter, object, id, opcode);
    if (!proto) {
        return filter->over;
    }
    kind = object->kind;
    version = object->version;
    iface = object->iface;
    if (vwl_wire_walk(proto, data, size, &message) < 0 ||
        message.n_fds > filter->stream[VWL_TO_HOST].fds->len) {
        filter_refuse(filter, id, ERROR_INVALID_METHOD,
                      "%s.%s: its arguments are not as they must be",
                      iface->name, proto->name);
        return filter->over;
    }
    verdict = add_objects(filter, &message, version);
    if (verdict == VERDICT_PASS && kind != VWL_OBJECT_PLAIN) {
        verdict = judge(filter, kind, data, &message);
    }
    if (id >= VWL_FIRST_SERVER_ID && vwl_table_ends(iface, opcode)) {
        vwl_ids_end(&filter->ids, id);
    }
    if (verdict == VERDICT_PASS) {
        filter_emit(filter, VWL_TO_HOST, data, size, message.n_fds);
    } else if (verdict == VERDICT_DROP) {
        filter_drop_fds(filter, VWL_TO_HOST, message.n_fds);
    }
    return filter->over;
}
