/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sources of a device where no context waits for them: a thread does, or a
 * host with a loop of its own.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "source_rig.h"

static gpointer wait_on(gpointer gate)
{
    int ret;

    while ((ret = vwl_gate_wait(gate, -1, -1)) == 0) {
        ;
    }
    return GINT_TO_POINTER(ret);
}

/* Until the part ran that often; the gate is locked. */
static void wait_for_runs(struct part *part, unsigned int runs)
{
    int64_t end_us = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;

    while (part->runs < runs) {
        vwl_gate_unlock(part->bed->gate);
        g_usleep(200);
        vwl_gate_lock(part->bed->gate);
        g_assert_cmpint(g_get_monotonic_time(), <, end_us);
    }
    g_assert_cmpuint(part->runs, ==, runs);
}

/* A thread sleeps in the set, and this one changes what is there. */
static void test_thread(void)
{
    struct bed bed;
    struct part *a, *b;
    GThread *thread;

    bed_open(&bed, NULL);
    thread = g_thread_new("waits", wait_on, bed.gate);
    a = part_new(&bed, 'a', eventfd(0, EFD_CLOEXEC));
    b = part_new(&bed, 'b', -1);
    for (unsigned int i = 0; i < 50; i++) {
        vwl_source_watch_edges(a->source, &a->watched);
        ring(a->watched.fd);
        wait_for_runs(a, 3 * i + 1);
        vwl_source_wake(a->source);
        wait_for_runs(a, 3 * i + 2);
        vwl_source_wake_in(b->source, 3600 * 1000);
        vwl_source_wake_in(a->source, 1);
        wait_for_runs(a, 3 * i + 3);
        vwl_watched_set(&a->watched, eventfd(0, EFD_CLOEXEC));
    }
    g_assert_cmpuint(b->runs, ==, 0);
    vwl_gate_close(bed.gate);
    vwl_gate_unlock(bed.gate);
    g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(thread)), ==, -ESHUTDOWN);
    vwl_gate_lock(bed.gate);
    bed_finish(&bed);
}

/* A flood has a lock that others get, too, and one that waits for another
 * descriptor comes back for it. */
static void test_flooded_thread(void)
{
    struct bed bed;
    struct part *part;
    GThread *thread;
    int bell = eventfd(0, EFD_CLOEXEC);

    bed_open(&bed, NULL);
    part = part_new(&bed, 'a', eventfd(0, EFD_CLOEXEC));
    part->then = ring_other;
    part->other = part;
    vwl_source_watch_edges(part->source, &part->watched);
    ring(part->watched.fd);
    ring(bell);
    vwl_gate_unlock(bed.gate);
    for (unsigned int i = 1; i < 10; i++) {
        g_assert_cmpint(vwl_gate_wait(bed.gate, bell, -1), ==, 1);
    }
    g_assert_cmpint(vwl_gate_wait(bed.gate, -1, 0), ==, 0);
    g_assert_cmpint(vwl_gate_wait(bed.gate, -1, 2), ==, 0);
    g_assert_cmpuint(part->runs, >, 0);
    thread = g_thread_new("waits", wait_on, bed.gate);
    for (unsigned int i = 0; i < 1000; i++) {
        vwl_gate_lock(bed.gate);
        vwl_gate_unlock(bed.gate);
    }
    vwl_gate_lock(bed.gate);
    g_assert_cmpint(vwl_gate_wait(bed.gate, -1, 0), ==, -EDEADLK);
    vwl_gate_close(bed.gate);
    vwl_gate_unlock(bed.gate);
    g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(thread)), ==, -ESHUTDOWN);
    close(bell);
    vwl_gate_lock(bed.gate);
    bed.fds_before--;
    bed_finish(&bed);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/wait/thread", test_thread);
    g_test_add_func("/wait/flooded-thread", test_flooded_thread);
    return g_test_run();
}
