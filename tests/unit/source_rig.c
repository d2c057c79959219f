/* SPDX-License-Identifier: BSD-3-Clause */
#include "source_rig.h"

#include <stdint.h>
#include <unistd.h>

#include "fds.h"

static void on_run(void *opaque, GIOCondition condition)
{
    struct part *part = opaque;
    char byte;

    part->runs++;
    part->last = condition;
    g_string_append_c(part->bed->order, part->name);
    if (part->reads) {
        g_assert_cmpint(read(part->watched.fd, &byte, 1), ==, 1);
    }
    if (part->then) {
        part->then(part);
    }
}

void bed_open(struct bed *bed, GMainContext *context)
{
    *bed = (struct bed){ .context = context };
    bed->fds_before = count_fds();
    bed->order = g_string_new(NULL);
    g_assert_cmpint(vwl_gate_create(context, &bed->gate), ==, 0);
    vwl_gate_lock(bed->gate);
}

void bed_init(struct bed *bed)
{
    GMainContext *context = g_main_context_new();

    /* its own descriptors exist then */
    g_main_context_iteration(context, FALSE);
    bed_open(bed, context);
}

bool bed_turn(struct bed *bed)
{
    bool did;

    vwl_gate_unlock(bed->gate);
    did = g_main_context_iteration(bed->context, FALSE);
    vwl_gate_lock(bed->gate);
    return did;
}

struct part *part_new(struct bed *bed, char name, int fd)
{
    struct part *part = g_new0(struct part, 1);
    unsigned int i = 0;

    while (bed->parts[i]) {
        i++;
    }
    bed->parts[i] = part;
    part->bed = bed;
    part->name = name;
    vwl_watched_init(&part->watched);
    vwl_watched_set(&part->watched, fd);
    part->source = vwl_source_create(bed->gate, "part", on_run, part);
    return part;
}

void bed_finish(struct bed *bed)
{
    for (unsigned int i = 0; i < SOURCES; i++) {
        if (bed->parts[i]) {
            vwl_source_destroy(&bed->parts[i]->source);
            vwl_watched_clear(&bed->parts[i]->watched);
            g_free(bed->parts[i]);
        }
    }
    vwl_gate_unlock(bed->gate);
    vwl_gate_unref(bed->gate);
    g_assert_cmpuint(count_fds(), ==, bed->fds_before);
    g_string_free(bed->order, TRUE);
    g_clear_pointer(&bed->context, g_main_context_unref);
}

void ring(int fd)
{
    const uint64_t one = 1;

    g_assert_cmpint(write(fd, &one, sizeof one), ==, sizeof one);
}

void ring_other(struct part *part)
{
    ring(part->other->watched.fd);
}
