/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sources for tests: what each watches, how often it ran and in which order.
 */
#ifndef TESTS_UNIT_SOURCE_RIG_H
#define TESTS_UNIT_SOURCE_RIG_H

#include <glib.h>

#include "loop/source.h"

#define SOURCES 40

struct bed {
    unsigned int fds_before;
    GMainContext *context;
    struct vwl_gate *gate;
    struct part *parts[SOURCES];
    GString *order;
};

/* A source and what it watches. */
struct part {
    struct bed *bed;
    char name;
    struct vwl_source *source;
    struct vwl_watched watched;
    unsigned int runs;
    GIOCondition last;
    bool reads; /* a byte of it at each run */
    void (*then)(struct part *part);
    struct part *other;
};

/* context NULL: none. The gate is locked from here to bed_finish. */
void bed_open(struct bed *bed, GMainContext *context);
/* The same with a context of its own. */
void bed_init(struct bed *bed);
/* One turn of its context; false: there was nothing to do. */
bool bed_turn(struct bed *bed);
/* Takes fd, -1 for none; the bed frees it. */
struct part *part_new(struct bed *bed, char name, int fd);
/* Fails if descriptors are left. */
void bed_finish(struct bed *bed);
/* One more on an eventfd. */
void ring(int fd);
/* A part's `then`: it rings the bell of its other. */
void ring_other(struct part *part);

#endif
