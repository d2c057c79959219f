/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sources of a device by themselves: what is in the kernel's set is always
 * what somebody watches, nothing is reported twice or lost, and whoever else is
 * on the context has turns.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "source_rig.h"

static void settle(struct bed *bed)
{
    for (unsigned int i = 0; bed_turn(bed); i++) {
        g_assert_cmpuint(i, <, 100);
    }
}

/* A socket, and its peer in *peer. */
static int open_pair(int *peer)
{
    int sv[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), ==,
                    0);
    *peer = sv[1];
    return sv[0];
}

/* ---- closing ------------------------------------------------------------ */

/* Somebody else has the same file, and it is ready for ever. */
static void test_closed(void)
{
    struct bed bed;
    int fd = eventfd(1, EFD_CLOEXEC), held = dup(fd), again;
    struct part *part;

    bed_init(&bed);
    bed.fds_before -= 2;
    part = part_new(&bed, 'a', fd);
    vwl_source_watch(part->source, &part->watched, G_IO_IN);
    g_assert_true(bed_turn(&bed));
    g_assert_cmpuint(part->runs, >, 0);
    part->runs = 0;
    vwl_watched_clear(&part->watched);
    settle(&bed);
    /* the same file under the same number: it is another one */
    again = dup(held);
    g_assert_cmpint(again, ==, fd);
    vwl_watched_set(&part->watched, again);
    settle(&bed);
    g_assert_cmpuint(part->runs, ==, 0);
    vwl_source_watch(part->source, &part->watched, G_IO_IN);
    g_assert_true(bed_turn(&bed));
    g_assert_cmpuint(part->runs, >, 0);
    close(held);
    bed_finish(&bed);
}

/* A number that is used again at once, for another file. */
static void test_replaced(void)
{
    struct bed bed;
    int fd = eventfd(0, EFD_CLOEXEC);
    struct part *part;

    bed_init(&bed);
    bed.fds_before--;
    part = part_new(&bed, 'a', fd);
    vwl_source_watch(part->source, &part->watched, G_IO_IN);
    vwl_watched_clear(&part->watched);
    vwl_watched_set(&part->watched, eventfd(0, EFD_CLOEXEC));
    g_assert_cmpint(part->watched.fd, ==, fd);
    vwl_source_watch(part->source, &part->watched, G_IO_IN);
    settle(&bed);
    g_assert_cmpuint(part->runs, ==, 0);
    ring(fd);
    g_assert_true(bed_turn(&bed));
    g_assert_cmpuint(part->runs, >, 0);
    bed_finish(&bed);
}

static void replace_other(struct part *part)
{
    struct part *other = part->other;

    part->then = NULL;
    vwl_watched_clear(&other->watched);
    vwl_watched_set(&other->watched, eventfd(0, EFD_CLOEXEC));
    vwl_source_watch_edges(other->source, &other->watched);
}

static void destroy_other(struct part *part)
{
    part->then = NULL;
    vwl_source_destroy(&part->other->source);
}

/* What was ready together with one that changed it is not what it was. */
static void test_batch(void)
{
    void (*const thens[])(struct part *) = { replace_other, destroy_other };

    for (unsigned int i = 0; i < G_N_ELEMENTS(thens); i++) {
        struct bed bed;
        struct part *a, *b;

        bed_init(&bed);
        a = part_new(&bed, 'a', eventfd(0, EFD_CLOEXEC));
        b = part_new(&bed, 'b', eventfd(0, EFD_CLOEXEC));
        a->then = thens[i];
        a->other = b;
        vwl_source_watch_edges(b->source, &b->watched);
        vwl_source_watch_edges(a->source, &a->watched);
        ring(b->watched.fd);
        ring(a->watched.fd);
        settle(&bed);
        g_assert_cmpstr(bed.order->str, ==, "a");
        bed_finish(&bed);
    }
}

/* ---- edges -------------------------------------------------------------- */

static void test_edges(void)
{
    struct bed bed;
    struct part *part;

    bed_init(&bed);
    part = part_new(&bed, 'a', eventfd(3, EFD_CLOEXEC));
    for (unsigned int i = 1; i < 5; i++) {
        /* what came before it was watched counts */
        g_assert_cmpint(vwl_source_watch_edges(part->source, &part->watched),
                        ==, 0);
        settle(&bed);
        g_assert_cmpuint(part->runs, ==, 2 * i - 1);
        vwl_source_watch_edges(part->source, &part->watched);
        settle(&bed);
        g_assert_cmpuint(part->runs, ==, 2 * i - 1);
        ring(part->watched.fd);
        ring(part->watched.fd);
        settle(&bed);
        g_assert_cmpuint(part->runs, ==, 2 * i);
        vwl_source_watch_edges(part->source, NULL);
        ring(part->watched.fd);
        settle(&bed);
        g_assert_cmpuint(part->runs, ==, 2 * i);
    }
    bed_finish(&bed);
}

/* A front-end may give the same eventfd for two rings. */
static void test_same_file(void)
{
    struct bed bed;
    int fd = eventfd(0, EFD_CLOEXEC);
    struct part *a, *b;

    bed_init(&bed);
    bed.fds_before--;
    a = part_new(&bed, 'a', fd);
    b = part_new(&bed, 'b', dup(fd));
    vwl_source_watch_edges(a->source, &a->watched);
    vwl_source_watch_edges(b->source, &b->watched);
    for (unsigned int i = 1; i < 4; i++) {
        ring(fd);
        settle(&bed);
        g_assert_cmpuint(a->runs, ==, i);
        g_assert_cmpuint(b->runs, ==, i);
    }
    vwl_watched_clear(&a->watched);
    ring(b->watched.fd);
    settle(&bed);
    g_assert_cmpuint(a->runs, ==, 3);
    g_assert_cmpuint(b->runs, ==, 4);
    bed_finish(&bed);
}

/* The kernel's set takes no regular file. */
static void test_file(void)
{
    struct bed bed;
    struct part *part;

    bed_init(&bed);
    part = part_new(&bed, 'a', open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    g_assert_cmpint(vwl_source_watch_edges(part->source, &part->watched), ==,
                    -EPERM);
    settle(&bed);
    g_assert_cmpuint(part->runs, ==, 0);
    part->reads = true;
    vwl_source_watch(part->source, &part->watched, G_IO_IN);
    for (unsigned int i = 1; i < 10; i++) {
        g_assert_true(bed_turn(&bed));
        g_assert_cmpuint(part->runs, ==, i);
        g_assert_cmpuint(part->last, ==, G_IO_IN);
    }
    vwl_source_watch(part->source, &part->watched, 0);
    settle(&bed);
    vwl_source_watch(part->source, &part->watched, G_IO_IN);
    g_assert_true(bed_turn(&bed));
    vwl_watched_clear(&part->watched);
    part->reads = false;
    settle(&bed);
    bed_finish(&bed);
}

/* ---- levels ------------------------------------------------------------- */

/* What is ready and not wanted costs nothing, even one that hung up. */
static void test_paused(void)
{
    struct bed bed;
    struct part *part;
    int peer;

    bed_init(&bed);
    part = part_new(&bed, 'a', open_pair(&peer));
    part->reads = true;
    vwl_source_watch(part->source, &part->watched, G_IO_IN);
    g_assert_cmpint(write(peer, "abc", 3), ==, 3);
    g_assert_true(bed_turn(&bed));
    g_assert_cmpuint(part->runs, >, 0);
    settle(&bed);
    g_assert_cmpuint(part->runs, ==, 3);
    vwl_source_watch(part->source, &part->watched, 0);
    g_assert_cmpint(write(peer, "d", 1), ==, 1);
    settle(&bed);
    close(peer);
    settle(&bed);
    g_assert_false(g_main_context_pending(bed.context));
    g_assert_cmpuint(part->runs, ==, 3);
    part->reads = false;
    vwl_source_watch(part->source, &part->watched, G_IO_IN | G_IO_OUT);
    g_assert_true(bed_turn(&bed));
    g_assert_cmpuint(part->last & G_IO_HUP, !=, 0);
    bed_finish(&bed);
}

/* Less is wanted than what it was asked for: only that is told. */
static void test_narrowed(void)
{
    struct bed bed;
    struct part *part;
    int peer;

    bed_init(&bed);
    part = part_new(&bed, 'a', open_pair(&peer));
    vwl_source_watch(part->source, &part->watched, G_IO_IN | G_IO_OUT);
    g_assert_true(bed_turn(&bed));
    g_assert_cmpuint(part->last, ==, G_IO_OUT);
    part->runs = 0;
    part->reads = true;
    vwl_source_watch(part->source, &part->watched, G_IO_IN);
    settle(&bed);
    g_assert_cmpuint(part->runs, ==, 0);
    g_assert_cmpint(write(peer, "a", 1), ==, 1);
    settle(&bed);
    g_assert_cmpuint(part->runs, ==, 1);
    g_assert_cmpuint(part->last, ==, G_IO_IN);
    close(peer);
    bed_finish(&bed);
}

/* ---- turns -------------------------------------------------------------- */

/* More than one look takes: all have a turn, the oldest first. */
static void test_order(void)
{
    struct bed bed;

    bed_init(&bed);
    for (unsigned int i = 0; i < SOURCES; i++) {
        part_new(&bed, (char)('0' + i), eventfd(0, EFD_CLOEXEC));
    }
    for (unsigned int i = SOURCES; i-- > 0;) {
        vwl_source_watch_edges(bed.parts[i]->source, &bed.parts[i]->watched);
    }
    for (unsigned int i = 10; i-- > 0;) {
        ring(bed.parts[i]->watched.fd);
    }
    g_assert_true(bed_turn(&bed));
    g_assert_cmpstr(bed.order->str, ==, "0123456789");
    for (unsigned int i = SOURCES; i-- > 0;) {
        ring(bed.parts[i]->watched.fd);
    }
    settle(&bed);
    for (unsigned int i = 0; i < SOURCES; i++) {
        g_assert_cmpuint(bed.parts[i]->runs, ==, i < 10 ? 2 : 1);
    }
    bed_finish(&bed);
}

/* What comes during a dispatch needs no turn of the context. */
static void test_looks_again(void)
{
    struct bed bed;
    struct part *a, *b;

    bed_init(&bed);
    a = part_new(&bed, 'a', eventfd(0, EFD_CLOEXEC));
    b = part_new(&bed, 'b', eventfd(0, EFD_CLOEXEC));
    a->then = ring_other;
    a->other = b;
    vwl_source_watch_edges(a->source, &a->watched);
    vwl_source_watch_edges(b->source, &b->watched);
    ring(a->watched.fd);
    g_assert_true(bed_turn(&bed));
    g_assert_cmpstr(bed.order->str, ==, "ab");
    g_assert_false(bed_turn(&bed));
    bed_finish(&bed);
}

/* Whether that pays is known of what ran last, not of all. */
static void test_looks_where_it_pays(void)
{
    struct bed bed;
    struct part *a, *b;

    bed_init(&bed);
    a = part_new(&bed, 'a', eventfd(0, EFD_CLOEXEC));
    b = part_new(&bed, 'b', eventfd(0, EFD_CLOEXEC));
    a->then = ring_other;
    a->other = b;
    vwl_source_watch_edges(a->source, &a->watched);
    vwl_source_watch_edges(b->source, &b->watched);
    for (unsigned int i = 0; i < 200; i++) {
        g_string_truncate(bed.order, 0);
        ring(a->watched.fd);
        g_assert_true(bed_turn(&bed));
        g_assert_cmpstr(bed.order->str, ==, "ab");
        g_assert_false(bed_turn(&bed));
    }
    /* nothing came after these, and in the end it is not looked for */
    a->then = NULL;
    for (unsigned int i = 0; i < 10; i++) {
        ring(a->watched.fd);
        settle(&bed);
    }
    a->then = ring_other;
    g_string_truncate(bed.order, 0);
    ring(a->watched.fd);
    g_assert_true(bed_turn(&bed));
    g_assert_cmpstr(bed.order->str, ==, "a");
    settle(&bed);
    g_assert_cmpstr(bed.order->str, ==, "ab");
    bed_finish(&bed);
}

static gboolean count(gpointer data)
{
    ++*(unsigned int *)data;
    return G_SOURCE_CONTINUE;
}

static unsigned int *add_idle(struct bed *bed, int priority, GSource **source)
{
    unsigned int *n = g_new0(unsigned int, 1);

    *source = g_idle_source_new();
    g_source_set_priority(*source, priority);
    g_source_set_callback(*source, count, n, g_free);
    g_source_attach(*source, bed->context);
    return n;
}

/* One that never ends: it rings its own bell. */
static void test_flood(void)
{
    struct bed bed;
    struct part *part;
    GSource *same, *after;
    unsigned int *n_same, *n_after;

    bed_init(&bed);
    part = part_new(&bed, 'a', eventfd(0, EFD_CLOEXEC));
    part->then = ring_other;
    part->other = part;
    vwl_source_watch_edges(part->source, &part->watched);
    ring(part->watched.fd);
    n_same = add_idle(&bed, G_PRIORITY_DEFAULT, &same);
    for (unsigned int i = 1; i < 100; i++) {
        g_assert_true(bed_turn(&bed));
        g_assert_cmpuint(*n_same, ==, i);
        g_assert_cmpuint(part->runs, >=, i);
        g_assert_cmpuint(part->runs, <, 20 * (i + 1));
    }
    g_source_destroy(same);
    g_source_unref(same);
    /* in the end it has nothing to do, and those that wait for that go on */
    n_after = add_idle(&bed, G_PRIORITY_DEFAULT_IDLE, &after);
    part->then = NULL;
    for (unsigned int i = 0; *n_after == 0; i++) {
        g_assert_cmpuint(i, <, 20);
        bed_turn(&bed);
    }
    g_source_destroy(after);
    g_source_unref(after);
    bed_finish(&bed);
}

static void wake_again(struct part *part)
{
    if (part->runs < 5) {
        vwl_source_wake(part->source);
    }
}

static void test_wakes(void)
{
    struct bed bed;
    struct part *a, *b;

    bed_init(&bed);
    a = part_new(&bed, 'a', -1);
    b = part_new(&bed, 'b', -1);
    a->then = wake_again;
    vwl_source_wake(a->source);
    vwl_source_wake(b->source);
    settle(&bed);
    g_assert_cmpstr(bed.order->str, ==, "abaaaa");
    g_assert_cmpuint(a->last, ==, 0);
    vwl_source_wake_in(b->source, 1);
    vwl_source_wake_in(a->source, 3600 * 1000);
    vwl_source_wake_in(b->source, 3600 * 1000);
    while (b->runs < 2) {
        vwl_gate_unlock(bed.gate);
        g_main_context_iteration(bed.context, TRUE);
        vwl_gate_lock(bed.gate);
    }
    g_assert_cmpuint(a->runs, ==, 5);
    vwl_source_wake_in(b->source, 1);
    vwl_source_destroy(&b->source);
    settle(&bed);
    bed_finish(&bed);
}

/* ---- what fails --------------------------------------------------------- */

/* No descriptor is left for the set. */
static void test_no_descriptor(void)
{
    struct vwl_gate *gate = NULL;
    struct rlimit limit, none;
    int lowest = dup(STDIN_FILENO);

    close(lowest);
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    none = limit;
    none.rlim_cur = (rlim_t)lowest;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
    g_assert_cmpint(vwl_gate_create(NULL, &gate), ==, -EMFILE);
    g_assert_null(gate);
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/source/closed", test_closed);
    g_test_add_func("/source/replaced", test_replaced);
    g_test_add_func("/source/batch", test_batch);
    g_test_add_func("/source/edges", test_edges);
    g_test_add_func("/source/same-file", test_same_file);
    g_test_add_func("/source/file", test_file);
    g_test_add_func("/source/paused", test_paused);
    g_test_add_func("/source/narrowed", test_narrowed);
    g_test_add_func("/source/order", test_order);
    g_test_add_func("/source/looks-again", test_looks_again);
    g_test_add_func("/source/looks-where-it-pays", test_looks_where_it_pays);
    g_test_add_func("/source/flood", test_flood);
    g_test_add_func("/source/wakes", test_wakes);
    g_test_add_func("/source/no-descriptor", test_no_descriptor);
    return g_test_run();
}
