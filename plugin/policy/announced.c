/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Registries: what the compositor announces, what of it the guest hears, and
 * what it may bind. Names belong to the display, so all registries of a
 * connection share them. A global that was removed stays known: a bind may be
 * on its way, and the compositor decides on it.
 */
#include <string.h>

#include "policy/filter_priv.h"

/* Far more than any desktop has, those that are gone included. */
#define MAX_ANNOUNCED 4096u

enum {
    WL_REGISTRY_GLOBAL = 0,
    WL_REGISTRY_GLOBAL_REMOVE = 1,
};

/* Globals are asked for in the order in which they came, mostly. */
static struct announced *find(struct vwl_filter *filter, uint32_t name)
{
    GArray *array = filter->announced;

    for (guint i = 0; i < array->len; i++) {
        guint index = (filter->announced_hint + i) % array->len;
        struct announced *known = &g_array_index(array, struct announced,
                                                 index);

        if (known->name == name) {
            filter->announced_hint = index + 1;
            return known;
        }
    }
    return NULL;
}

/* NULL: there are too many. */
static struct announced *add(struct vwl_filter *filter)
{
    GArray *array = filter->announced;

    if (array->len < MAX_ANNOUNCED) {
        g_array_set_size(array, array->len + 1);
    } else {
        guint i = 0;

        while (i < array->len &&
               !g_array_index(array, struct announced, i).gone) {
            i++;
        }
        if (i == array->len) {
            return NULL;
        }
        g_array_remove_index(array, i);
        g_array_set_size(array, array->len + 1);
    }
    filter->announced_hint = 0;
    return &g_array_index(array, struct announced, array->len - 1);
}

/* A string with no NUL but at its end. */
static const char *text_of(const uint8_t *data, const struct vwl_wire_arg *arg)
{
    const char *text = (const char *)data + arg->at;

    return strlen(text) + 1 == arg->value ? text : NULL;
}

static enum verdict on_global(struct vwl_filter *filter, const uint8_t *data,
                              const struct vwl_wire_message *message)
{
    const char *iface = text_of(data, &message->args[1]);
    const struct vwl_table_row *global = iface ? vwl_table_find(iface) : NULL;
    struct announced *known = find(filter, message->args[0].value);
    GByteArray *out = filter->stream[VWL_TO_GUEST].out;
    guint at = out->len;

    known = known ? known : add(filter);
    if (!known) {
        return filter_break(filter, "more than %u globals", MAX_ANNOUNCED);
    }
    *known = (struct announced){
        .name = message->args[0].value,
        .global = global,
    };
    if (!vwl_rules_allow(filter->rules, global)) {
        return VERDICT_DROP;
    }
    known->version = MIN(message->args[2].value, vwl_table_version(global));
    filter_emit(filter, VWL_TO_GUEST, data, message->size, 0);
    vwl_wire_put(out->data + at, message->args[2].at, known->version);
    return VERDICT_DONE;
}

enum verdict announced_event(struct vwl_filter *filter, const uint8_t *data,
                             const struct vwl_wire_message *message)
{
    struct announced *known;

    switch (message->opcode) {
    case WL_REGISTRY_GLOBAL:
        return on_global(filter, data, message);
    case WL_REGISTRY_GLOBAL_REMOVE:
        known = find(filter, message->args[0].value);
        if (known) {
            known->gone = true;
        }
        return known && known->version ? VERDICT_PASS : VERDICT_DROP;
    default:
        return VERDICT_PASS;
    }
}

static enum verdict refuse(struct vwl_filter *filter,
                           const struct vwl_wire_message *message,
                           const struct announced *known)
{
    const struct vwl_table_row *global = known ? known->global : NULL;
    uint32_t name = message->args[0].value;

    if (!known || known->version) {
        return filter_refuse(filter, message->object, ERROR_INVALID_OBJECT,
                             "invalid global %u", name);
    }
    filter->refused = global;
    if (!global) {
        return filter_refuse(filter, message->object, ERROR_INVALID_OBJECT,
                             "global %u is refused: its interface is not known "
                             "here",
                             name);
    }
    return filter_refuse(filter, message->object, ERROR_INVALID_OBJECT,
                         "%s is refused: %s", global->name, global->why);
}

enum verdict announced_bind(struct vwl_filter *filter, const uint8_t *data,
                            const struct vwl_wire_message *message)
{
    const struct announced *known = find(filter, message->args[0].value);
    const char *iface = text_of(data, &message->args[1]);
    uint32_t version = message->args[2].value;
    uint32_t id = message->args[3].value;

    if (!known || !known->version || !iface ||
        strcmp(iface, known->global->name) != 0 || version == 0 ||
        version > known->version) {
        return refuse(filter, message, known);
    }
    if (!vwl_ids_add_client(&filter->ids, id, known->global->iface, version)) {
        return filter_refuse_id(filter, message->object, known->global->name,
                                id);
    }
    return VERDICT_PASS;
}
