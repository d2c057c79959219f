/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdarg.h>

#include "policy/pulse/pulse.h"

void pulse_fault(struct pulse *pulse, const char *format, ...)
{
    struct vwl_filter *filter = pulse->filter;
    va_list args;

    va_start(args, format);
    g_vsnprintf(filter->why, sizeof filter->why, format, args);
    va_end(args);
    filter_end(filter, -EPROTO);
}

void pulse_send(struct pulse *pulse, enum vwl_way way, const uint8_t *data,
                size_t len)
{
    struct pulse_flow *flow = &pulse->flow[way];
    uint8_t head[PULSE_HEAD_BYTES] = { 0 };

    pulse_put(head, (uint32_t)len);
    pulse_put(head + 4, PULSE_COMMANDS);
    if (flow->left == 0 || !flow->passes) {
        filter_emit(pulse->filter, way, head, sizeof head, 0);
        filter_emit(pulse->filter, way, data, len, 0);
        return;
    }
    g_byte_array_append(flow->later, head, sizeof head);
    g_byte_array_append(flow->later, data, (guint)len);
    if (flow->later->len > PULSE_MAX_LATER_BYTES + PULSE_MAX_REQUEST_BYTES) {
        pulse_fault(pulse, "more commands than can wait for the end of audio");
    }
}

void pulse_refuse(struct pulse *pulse, const struct pulse_command *command,
                  uint32_t tag)
{
    static const struct pulse_command unknown = {
        .name = "a command",
        .why = "nobody knows what it does",
    };
    struct vwl_filter *filter = pulse->filter;
    const struct pulse_command *what = command ? command : &unknown;
    GByteArray *error;
    char text[192];

    if (filter->ops->refused) {
        g_snprintf(text, sizeof text, "sound: %s is refused: %s", what->name,
                   what->why);
        filter->ops->refused(filter->opaque, what, text);
    }
    if (tag == PULSE_NO_TAG) {
        return;
    }
    error = g_byte_array_new();
    pulse_put_word(error, PULSE_ERROR);
    pulse_put_word(error, tag);
    pulse_put_word(error, PULSE_ERR_ACCESS);
    pulse_send(pulse, VWL_TO_GUEST, error->data, error->len);
    g_byte_array_unref(error);
}
