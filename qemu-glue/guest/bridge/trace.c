/* SPDX-License-Identifier: BSD-3-Clause */
#include "trace.h"

#include <stdio.h>

/* Programs say this, and terminals may obey. */
static void print_text(const char *text)
{
    char *begin = g_strndup(text, 200);
    char *escaped = g_strescape(begin, NULL);

    fprintf(stderr, "\"%s\"", escaped);
    g_free(escaped);
    g_free(begin);
}

static void print_arg(const struct vwl_wire_arg *arg, const char *data)
{
    switch (arg->type) {
    case 'i':
        fprintf(stderr, "%d", (int32_t)arg->value);
        break;
    case 'u':
        fprintf(stderr, "%u", arg->value);
        break;
    case 'f':
        fprintf(stderr, "%.3f", (int32_t)arg->value / 256.0);
        break;
    case 's':
        if (arg->value == 0) {
            fputs("nil", stderr);
        } else {
            print_text(data + arg->at);
        }
        break;
    case 'a':
        fprintf(stderr, "array[%u]", arg->value);
        break;
    case 'h':
        fputs("fd", stderr);
        break;
    default:
        fprintf(stderr, "%s%s#%u", arg->type == 'n' ? "new " : "",
                arg->iface != NULL ? arg->iface->name : "", arg->value);
    }
}

void vwl_trace_message(const struct vwl_client *client, const char *arrow,
                       const struct vwl_object *object,
                       const struct wl_message *proto,
                       const struct vwl_wire_message *msg, const void *data)
{
    gint64 now = g_get_monotonic_time();

    fprintf(stderr, "%7u.%03u [%u] %s %s#%u.%s(",
            (unsigned int)(now / 1000000 % 10000000),
            (unsigned int)(now / 1000 % 1000), client->number, arrow,
            object->iface->name, msg->object, proto->name);
    for (unsigned int i = 0; i < msg->n_args; i++) {
        if (i != 0) {
            fputs(", ", stderr);
        }
        print_arg(&msg->args[i], data);
    }
    fputs(")\n", stderr);
}
