/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Clipboard, primary selection, drag and drop, by direction. What counts is
 * the moment at which content would move: `receive` of an offer towards the
 * guest, `send` of a source towards the host. A guest that may not hand
 * anything over does not take the selection away from the host's programs
 * either: its source is told that it was cancelled.
 *
 * A transfer that waits for the host's word is kept here with its descriptor;
 * the connection goes on meanwhile, and the order of such a message among
 * others matters to nobody while its object lives.
 */
#include "policy/filter_priv.h"

enum {
    DEVICE_START_DRAG = 0,
    DEVICE_SET_SELECTION = 1,
    DEVICE_ENTER = 1,
    DEVICE_SELECTION = 5,
    OFFER_ACCEPT = 0,
    OFFER_RECEIVE = 1,
    OFFER_DESTROY = 2,
    SOURCE_DESTROY = 1,
    SOURCE_SEND = 1,
    SOURCE_CANCELLED = 2,
    PRIMARY_DEVICE_SET_SELECTION = 0,
    PRIMARY_OFFER_RECEIVE = 0,
    PRIMARY_OFFER_DESTROY = 1,
    PRIMARY_SOURCE_DESTROY = 1,
    PRIMARY_SOURCE_SEND = 0,
    PRIMARY_SOURCE_CANCELLED = 1,
};

/* Of one connection; one more is refused. */
#define MAX_PENDING 16u

/* In the order of strictness. */
enum answer {
    ANSWER_YES,
    ANSWER_ASK,
    ANSWER_NO,
};

static enum answer answer_of(const struct vwl_rules *rules,
                             enum vwl_transfer_kind kind, enum vwl_way content)
{
    switch (rules->transfer[kind]) {
    case VWL_TRANSFER_BOTH:
        return ANSWER_YES;
    case VWL_TRANSFER_TO_GUEST:
        return content == VWL_TO_GUEST ? ANSWER_YES : ANSWER_NO;
    case VWL_TRANSFER_FROM_GUEST:
        return content == VWL_TO_HOST ? ANSWER_YES : ANSWER_NO;
    case VWL_TRANSFER_ASK:
        return ANSWER_ASK;
    default:
        return ANSWER_NO;
    }
}

/* ---- those that wait ---------------------------------------------------- */

static void close_fd(struct vwl_filter *filter, int fd)
{
    filter->ops->close_fd(filter->opaque, fd);
}

static void pending_drop(struct vwl_filter *filter, guint index)
{
    struct pending *pending = &g_array_index(filter->pending, struct pending,
                                             index);

    close_fd(filter, pending->fd);
    if (filter->ops->unask) {
        filter->ops->unask(filter->opaque, pending->ticket);
    }
    g_bytes_unref(pending->message);
    g_array_remove_index(filter->pending, index);
}

void transfer_forget(struct vwl_filter *filter, uint32_t object)
{
    guint i = filter->pending ? filter->pending->len : 0;

    while (i-- > 0) {
        if (g_array_index(filter->pending, struct pending, i).object ==
            object) {
            pending_drop(filter, i);
        }
    }
}

void transfer_finish(struct vwl_filter *filter)
{
    while (filter->pending && filter->pending->len) {
        pending_drop(filter, filter->pending->len - 1);
    }
    g_clear_pointer(&filter->pending, g_array_unref);
}

static enum verdict wait_for(struct vwl_filter *filter, enum vwl_way way,
                             enum vwl_transfer_kind kind, const uint8_t *data,
                             const struct vwl_wire_message *message)
{
    struct pending pending = { .object = message->object, .way = way };
    enum vwl_way content = way == VWL_TO_HOST ? VWL_TO_GUEST : VWL_TO_HOST;

    if (!filter->pending) {
        filter->pending = g_array_new(FALSE, FALSE, sizeof pending);
    }
    if (!filter->ops->ask || filter->pending->len == MAX_PENDING ||
        filter->ops->ask(filter->opaque, kind, content, filter->next_ticket) !=
            0) {
        return VERDICT_DROP;
    }
    pending.ticket = filter->next_ticket++;
    pending.fd = filter_take_fd(filter, way);
    pending.message = g_bytes_new(data, message->size);
    g_array_append_val(filter->pending, pending);
    return VERDICT_DONE;
}

void vwl_filter_answer(struct vwl_filter *filter, uint32_t ticket, bool allow)
{
    for (guint i = 0; filter->pending && i < filter->pending->len; i++) {
        struct pending *pending = &g_array_index(filter->pending,
                                                 struct pending, i);
        gsize len;
        const void *data;

        if (pending->ticket != ticket) {
            continue;
        }
        if (!allow) {
            pending_drop(filter, i);
            return;
        }
        data = g_bytes_get_data(pending->message, &len);
        filter_emit_fd(filter, pending->way, data, len, pending->fd);
        g_bytes_unref(pending->message);
        g_array_remove_index(filter->pending, i);
        return;
    }
}

/* ---- what is moved ------------------------------------------------------ */

/* By what the object was used for; one of which nothing is known yet, or too
 * much, is held to the strictest. */
static enum verdict move_content(struct vwl_filter *filter, enum vwl_way way,
                                 unsigned int kinds, const uint8_t *data,
                                 const struct vwl_wire_message *message)
{
    enum vwl_way content = way == VWL_TO_HOST ? VWL_TO_GUEST : VWL_TO_HOST;
    enum vwl_transfer_kind strictest = VWL_KIND_CLIPBOARD;
    enum answer answer = ANSWER_YES;

    for (unsigned int kind = 0; kind < VWL_N_TRANSFER_KINDS; kind++) {
        enum answer one = answer_of(filter->rules, kind, content);

        if ((kinds >> kind & 1) && one > answer) {
            answer = one;
            strictest = (enum vwl_transfer_kind)kind;
        }
    }
    return answer == ANSWER_YES ? VERDICT_PASS
           : answer == ANSWER_NO
               ? VERDICT_DROP
               : wait_for(filter, way, strictest, data, message);
}

static unsigned int kinds_of(const struct vwl_filter *filter, uint32_t id)
{
    const struct vwl_id *object = vwl_ids_find(&filter->ids, id);
    unsigned int kinds = 0;

    if (object->marks & VWL_MARK_SELECTION) {
        kinds |= 1u << VWL_KIND_CLIPBOARD;
    }
    if (object->marks & VWL_MARK_DRAG) {
        kinds |= 1u << VWL_KIND_DRAG;
    }
    return kinds ? kinds : 1u << VWL_KIND_CLIPBOARD | 1u << VWL_KIND_DRAG;
}

static void mark(struct vwl_filter *filter, uint32_t id, uint8_t kind,
                 enum vwl_mark mark)
{
    struct vwl_id *object = vwl_ids_find(&filter->ids, id);

    if (object && object->kind == kind) {
        object->marks |= (uint8_t)mark;
    }
}

/* The guest offers a source. Without one it takes nothing from anybody when
 * it drags, and clears what it may not have set when it selects. */
static enum verdict offer_source(struct vwl_filter *filter, uint32_t source,
                                 enum vwl_transfer_kind kind, uint8_t source_is,
                                 uint16_t cancelled)
{
    const struct vwl_id *object = vwl_ids_find(&filter->ids, source);

    if (answer_of(filter->rules, kind, VWL_TO_HOST) != ANSWER_NO) {
        mark(filter, source, source_is,
             kind == VWL_KIND_DRAG ? VWL_MARK_DRAG : VWL_MARK_SELECTION);
        return VERDICT_PASS;
    }
    if (kind == VWL_KIND_DRAG && source == 0) {
        return VERDICT_PASS;
    }
    if (object && object->kind == source_is) {
        filter_emit_empty(filter, VWL_TO_GUEST, source, cancelled);
    }
    return VERDICT_DROP;
}

/* A drag from the host that may not end here is never accepted. */
static enum verdict answer_offer(struct vwl_filter *filter,
                                 const struct vwl_wire_message *message)
{
    if (answer_of(filter->rules, VWL_KIND_DRAG, VWL_TO_GUEST) != ANSWER_NO ||
        !(vwl_ids_find(&filter->ids, message->object)->marks & VWL_MARK_DRAG)) {
        return VERDICT_PASS;
    }
    return message->opcode == OFFER_ACCEPT && message->args[1].value == 0
               ? VERDICT_PASS
               : VERDICT_DROP;
}

static enum verdict forget(struct vwl_filter *filter, uint32_t object)
{
    transfer_forget(filter, object);
    return VERDICT_PASS;
}

static enum verdict device_request(struct vwl_filter *filter,
                                   const struct vwl_wire_message *message)
{
    if (message->opcode != DEVICE_START_DRAG &&
        message->opcode != DEVICE_SET_SELECTION) {
        return VERDICT_PASS;
    }
    return offer_source(filter, message->args[0].value,
                        message->opcode == DEVICE_START_DRAG
                            ? VWL_KIND_DRAG
                            : VWL_KIND_CLIPBOARD,
                        VWL_OBJECT_SOURCE, SOURCE_CANCELLED);
}

static enum verdict offer_request(struct vwl_filter *filter,
                                  const uint8_t *data,
                                  const struct vwl_wire_message *message)
{
    switch (message->opcode) {
    case OFFER_RECEIVE:
        return move_content(filter, VWL_TO_HOST,
                            kinds_of(filter, message->object), data, message);
    case OFFER_DESTROY:
        return forget(filter, message->object);
    default:
        return answer_offer(filter, message);
    }
}

enum verdict transfer_request(struct vwl_filter *filter, const uint8_t *data,
                              const struct vwl_wire_message *message,
                              uint8_t kind)
{
    uint16_t opcode = message->opcode;

    switch (kind) {
    case VWL_OBJECT_DEVICE:
        return device_request(filter, message);
    case VWL_OBJECT_OFFER:
        return offer_request(filter, data, message);
    case VWL_OBJECT_SOURCE:
        return opcode == SOURCE_DESTROY ? forget(filter, message->object)
                                        : VERDICT_PASS;
    case VWL_OBJECT_PRIMARY_DEVICE:
        return opcode == PRIMARY_DEVICE_SET_SELECTION
                   ? offer_source(filter, message->args[0].value,
                                  VWL_KIND_PRIMARY, VWL_OBJECT_PRIMARY_SOURCE,
                                  PRIMARY_SOURCE_CANCELLED)
                   : VERDICT_PASS;
    case VWL_OBJECT_PRIMARY_OFFER:
        return opcode == PRIMARY_OFFER_RECEIVE
                   ? move_content(filter, VWL_TO_HOST, 1u << VWL_KIND_PRIMARY,
                                  data, message)
                   : forget(filter, message->object);
    case VWL_OBJECT_PRIMARY_SOURCE:
        return opcode == PRIMARY_SOURCE_DESTROY
                   ? forget(filter, message->object)
                   : VERDICT_PASS;
    default:
        return VERDICT_PASS;
    }
}

enum verdict transfer_event(struct vwl_filter *filter, const uint8_t *data,
                            const struct vwl_wire_message *message,
                            uint8_t kind)
{
    uint16_t opcode = message->opcode;

    if (kind == VWL_OBJECT_DEVICE && opcode == DEVICE_ENTER) {
        mark(filter, message->args[4].value, VWL_OBJECT_OFFER, VWL_MARK_DRAG);
    } else if (kind == VWL_OBJECT_DEVICE && opcode == DEVICE_SELECTION) {
        mark(filter, message->args[0].value, VWL_OBJECT_OFFER,
             VWL_MARK_SELECTION);
    } else if (kind == VWL_OBJECT_SOURCE && opcode == SOURCE_SEND) {
        return move_content(filter, VWL_TO_GUEST,
                            kinds_of(filter, message->object), data, message);
    } else if (kind == VWL_OBJECT_PRIMARY_SOURCE &&
               opcode == PRIMARY_SOURCE_SEND) {
        return move_content(filter, VWL_TO_GUEST, 1u << VWL_KIND_PRIMARY, data,
                            message);
    }
    return VERDICT_PASS;
}
