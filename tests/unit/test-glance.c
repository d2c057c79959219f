/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a dispatch looks at without its descriptor before it ends: found there,
 * never lost when nobody looks any more, and in nobody's way.
 */
#include <fcntl.h>
#include <glib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "source_rig.h"

/* What the one source with a glance asked, and was asked. */
static struct {
    unsigned int there; /* entries that no descriptor tells of */
    unsigned int late;  /* those that come when nobody looks any more */
    unsigned int asked, looked, ended;
    unsigned int most; /* runs, after which there is nothing more */
} seen;

static bool on_look(void *opaque)
{
    seen.looked++;
    return seen.there > 0;
}

static bool on_end(void *opaque)
{
    seen.ended++;
    seen.there += seen.late;
    seen.late = 0;
    return seen.there > 0;
}

static const struct vwl_glance glance = { .look = on_look, .end = on_end };

/* As a ring's function does: without its descriptor, or with it if something is
 * there. */
static void go_on(struct part *part)
{
    if (vwl_source_glances(part->source)) {
        seen.asked++;
    } else if (seen.there > 0) {
        ring(part->watched.fd);
    }
}

static void take_one(struct part *part)
{
    if (seen.there > 0) {
        seen.there--;
    }
    go_on(part);
}

/* More is there at once, up to a number. */
static void take_and_make(struct part *part)
{
    seen.there = part->runs < seen.most;
    go_on(part);
}

static struct part *glancer_new(struct bed *bed, void (*then)(struct part *))
{
    struct part *part = part_new(bed, 'g', eventfd(0, EFD_CLOEXEC));

    memset(&seen, 0, sizeof seen);
    vwl_source_set_glance(part->source, &glance);
    part->then = then;
    vwl_source_watch_edges(part->source, &part->watched);
    return part;
}

/* Without a word of the descriptor; and once, before the turn is over, it is to
 * speak again. */
static void test_found(void)
{
    struct bed bed;
    struct part *part;

    bed_init(&bed);
    part = glancer_new(&bed, take_and_make);
    seen.most = 5;
    ring(part->watched.fd);
    g_assert_true(bed_turn(&bed));
    g_assert_cmpuint(part->runs, ==, 5);
    g_assert_cmpuint(seen.asked, >, 0);
    g_assert_cmpuint(seen.ended, ==, 1);
    g_assert_false(bed_turn(&bed));
    bed_finish(&bed);
}

/* What came between the last look and the end. */
static void test_late(void)
{
    struct bed bed;
    struct part *part;

    bed_init(&bed);
    part = glancer_new(&bed, take_one);
    seen.late = 1;
    ring(part->watched.fd);
    g_assert_true(bed_turn(&bed));
    g_assert_cmpuint(part->runs, ==, 1);
    g_assert_cmpuint(seen.looked, >, 0);
    g_assert_cmpuint(seen.ended, ==, 1);
    g_assert_true(bed_turn(&bed));
    g_assert_cmpuint(part->runs, ==, 2);
    g_assert_cmpuint(seen.there, ==, 0);
    bed_finish(&bed);
}

/* Each time that it does without, it is told of the end; where nothing ever
 * comes, that is seldom. */
static void test_seldom(void)
{
    struct bed bed;
    struct part *part;

    bed_init(&bed);
    part = glancer_new(&bed, take_one);
    for (unsigned int i = 0; i < 2000; i++) {
        ring(part->watched.fd);
        g_assert_true(bed_turn(&bed));
        g_assert_cmpuint(seen.ended, ==, seen.asked);
    }
    g_assert_cmpuint(part->runs, ==, 2000);
    g_assert_cmpuint(seen.asked, >, 0);
    g_assert_cmpuint(seen.asked, <, 40);
    bed_finish(&bed);
}

/* Nobody looks when it is woken from outside a dispatch. */
static void test_outside(void)
{
    struct bed bed;
    struct part *part;

    bed_init(&bed);
    part = glancer_new(&bed, NULL);
    g_assert_false(vwl_source_glances(part->source));
    bed_finish(&bed);
}

/* The one that goes takes its glance with it. */
static void destroy_self(struct part *part)
{
    g_assert_true(vwl_source_glances(part->source));
    seen.there = 1;
    vwl_source_destroy(&part->source);
}

static void test_gone(void)
{
    struct bed bed;
    struct part *part;

    bed_init(&bed);
    part_new(&bed, 'o', -1);
    part = glancer_new(&bed, destroy_self);
    ring(part->watched.fd);
    g_assert_true(bed_turn(&bed));
    g_assert_cmpuint(part->runs, ==, 1);
    g_assert_cmpuint(seen.looked + seen.ended, ==, 0);
    bed_finish(&bed);
}

/* ---- where nothing but the device runs ---------------------------------- */

static struct part *bell;

/* There is always more, and somebody else becomes ready meanwhile. */
static void take_and_ring(struct part *part)
{
    seen.there = 1;
    go_on(part);
    if (part->runs == 100) {
        ring(part->other->watched.fd);
    }
    g_assert_cmpuint(part->runs, <, 200);
}

static void test_others(void)
{
    struct bed bed;
    struct part *part, *other;
    int stop = eventfd(0, EFD_CLOEXEC);

    bed_open(&bed, NULL);
    bed.fds_before--;
    part = glancer_new(&bed, take_and_ring);
    other = part->other = part_new(&bed, 'o', eventfd(0, EFD_CLOEXEC));
    bell = part_new(&bed, 's', fcntl(stop, F_DUPFD_CLOEXEC, 0));
    other->other = bell;
    other->then = ring_other;
    vwl_source_watch_edges(other->source, &other->watched);
    ring(part->watched.fd);
    vwl_gate_unlock(bed.gate);
    g_assert_cmpint(vwl_gate_wait(bed.gate, stop, -1), ==, 1);
    vwl_gate_lock(bed.gate);
    g_assert_cmpuint(part->runs, >=, 100);
    g_assert_cmpuint(other->runs, ==, 1);
    g_assert_cmpuint(seen.ended, >, 0); /* when the host has its turn */
    close(stop);
    bed_finish(&bed);
}

/* Much for others: the processor is offered to them, and all is found. */
static void take_and_offer(struct part *part)
{
    take_and_make(part);
    vwl_gate_offer(part->bed->gate);
    if (part->runs == seen.most) {
        ring(part->other->watched.fd);
    }
}

static void test_offers(void)
{
    struct bed bed;
    struct part *part;
    int stop = eventfd(0, EFD_CLOEXEC);

    bed_open(&bed, NULL);
    bed.fds_before--;
    part = glancer_new(&bed, take_and_offer);
    part->other = part_new(&bed, 's', fcntl(stop, F_DUPFD_CLOEXEC, 0));
    seen.most = 1000;
    ring(part->watched.fd);
    vwl_gate_unlock(bed.gate);
    g_assert_cmpint(vwl_gate_wait(bed.gate, stop, -1), ==, 1);
    vwl_gate_lock(bed.gate);
    g_assert_cmpuint(part->runs, ==, 1000);
    close(stop);
    bed_finish(&bed);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/glance/found", test_found);
    g_test_add_func("/glance/late", test_late);
    g_test_add_func("/glance/seldom", test_seldom);
    g_test_add_func("/glance/outside", test_outside);
    g_test_add_func("/glance/gone", test_gone);
    g_test_add_func("/glance/others", test_others);
    g_test_add_func("/glance/offers", test_offers);
    return g_test_run();
}
