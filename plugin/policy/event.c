/* SPDX-License-Identifier: BSD-3-Clause */
#include "policy/filter_priv.h"

enum {
    WL_DISPLAY_DELETE_ID = 1,
};

static enum verdict add_objects(struct vwl_filter *filter,
                                const struct vwl_wire_message *message,
                                uint32_t version)
{
    for (unsigned int i = 0; i < message->n_args; i++) {
        const struct vwl_wire_arg *arg = &message->args[i];

        if (arg->type != 'n') {
            continue;
        }
        transfer_forget(filter, arg->value);
        if (!arg->iface || !vwl_ids_add_server(&filter->ids, arg->value,
                                               arg->iface, version)) {
            return filter_break(filter, "an object with the id %u", arg->value);
        }
    }
    return VERDICT_PASS;
}

static enum verdict judge(struct vwl_filter *filter, uint8_t kind,
                          const uint8_t *data,
                          const struct vwl_wire_message *message)
{
    switch (kind) {
    case VWL_OBJECT_DISPLAY:
        if (message->opcode == WL_DISPLAY_DELETE_ID) {
            transfer_forget(filter, message->args[0].value);
            pools_forget(filter, message->args[0].value);
            pools_params_done(filter, message->args[0].value);
            vwl_ids_remove(&filter->ids, message->args[0].value);
        }
        return VERDICT_PASS;
    case VWL_OBJECT_REGISTRY:
        return announced_event(filter, data, message);
    case VWL_OBJECT_PARAMS: /* created, or failed */
        pools_params_done(filter, message->object);
        return VERDICT_PASS;
    default:
        return transfer_event(filter, data, message, kind);
    }
}

int filter_event(struct vwl_filter *filter, const uint8_t *data, size_t size)
{
    const struct wl_message *proto;
    const struct vwl_id *object;
    struct vwl_wire_message message;
    enum verdict verdict;
    uint32_t id, version;
    uint16_t opcode;
    uint8_t kind;

    vwl_wire_header(data, &id, &opcode);
    object = vwl_ids_find(&filter->ids, id);
    if (!object) {
        return 0; /* its client would take it for one to a dead object, too */
    }
    if (opcode >= object->iface->event_count) {
        filter_break(filter, "%s has no event %u", object->iface->name, opcode);
        return filter->over;
    }
    proto = &object->iface->events[opcode];
    kind = object->kind;
    version = object->version;
    if (vwl_wire_walk(proto, data, size, &message) < 0 ||
        message.n_fds > filter->stream[VWL_TO_GUEST].fds->len) {
        filter_break(filter, "%s.%s: its arguments are not as they must be",
                     object->iface->name, proto->name);
        return filter->over;
    }
    verdict = add_objects(filter, &message, version);
    if (verdict == VERDICT_PASS && kind != VWL_OBJECT_PLAIN) {
        verdict = judge(filter, kind, data, &message);
    }
    if (verdict == VERDICT_PASS) {
        filter_emit(filter, VWL_TO_GUEST, data, size, message.n_fds);
    } else if (verdict == VERDICT_DROP) {
        filter_drop_fds(filter, VWL_TO_GUEST, message.n_fds);
    }
    return filter->over;
}
