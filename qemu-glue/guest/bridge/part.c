/* SPDX-License-Identifier: BSD-3-Clause */
#include "part.h"

#include "client.h"

struct part {
    const struct vwl_part *kind;
    void *data;
};

static struct part *part_at(const struct vwl_client *client, guint i)
{
    return &g_array_index(client->parts, struct part, i);
}

GArray *vwl_parts_new(void)
{
    return g_array_new(FALSE, FALSE, sizeof(struct part));
}

void *vwl_part_of(struct vwl_client *client, const struct vwl_part *kind)
{
    struct part part = { kind, NULL };

    for (guint i = 0; i < client->parts->len; i++) {
        if (part_at(client, i)->kind == kind) {
            return part_at(client, i)->data;
        }
    }
    part.data = g_malloc0(kind->size);
    if (kind->begin != NULL) {
        kind->begin(part.data);
    }
    g_array_append_val(client->parts, part);
    return part.data;
}

void vwl_parts_serve(struct vwl_client *client)
{
    for (guint i = 0; i < client->parts->len; i++) {
        const struct part *part = part_at(client, i);

        if (part->kind->serve != NULL) {
            part->kind->serve(client, part->data);
        }
    }
}

void vwl_parts_finish(struct vwl_client *client)
{
    for (guint i = 0; i < client->parts->len; i++) {
        const struct part *part = part_at(client, i);

        if (part->kind->finish != NULL) {
            part->kind->finish(client, part->data);
        }
        g_free(part->data);
    }
    g_array_unref(client->parts);
}
