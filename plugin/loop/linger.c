/* SPDX-License-Identifier: BSD-3-Clause */
#include <sched.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/look.h"
#include "loop/source_priv.h"

/* How often the set is looked into in place of sleep, and breaths between: some
 * twenty-five microseconds, in which a guest that polls has answered. */
#define LOOKS 16
#define BREATHS 40
/* Before the first of these looks; and how often in a row something may be
 * found in them, as others may be in the set. */
#define FIRST_BREATHS 10
#define GLANCES_MAX 8
/* After so many times it is tried again where it never paid. One that did not
 * costs what several save, and is forgotten after so many that did. */
#define MOST_SKIPS 511
#define HITS_MANY 8
/* How often it pays before it is asked whether it did (odd, since two sources
 * may take turns); where it did not, so many times in a row, it is tried again
 * after so many. */
#define PAID_ASK 17
#define PREEMPTED_MAX 2
#define SHARED_SKIPS 4095
/* A processor that others keep for so long is not offered to them again for so
 * many times. */
#define LONGEST_YIELD_US 200
#define BUSY_SKIPS 4095

/* False: others need the processor for something long. */
static bool offer(struct vwl_linger *linger)
{
    uint64_t before_us = vwl_clock_us();

    sched_yield();
    if (vwl_clock_us() - before_us <= LONGEST_YIELD_US) {
        return true;
    }
    linger->busy_skips = BUSY_SKIPS;
    return false;
}

/* True: the glancer is to run. */
static bool breathe(struct vwl_gate *gate, unsigned int breaths)
{
    struct vwl_linger *linger = &gate->linger;
    struct vwl_source *glancer = linger->glancing ? linger->glancer : NULL;

    for (unsigned int i = 0; i < breaths; i++) {
        if (glancer && linger->glance->look(glancer->opaque)) {
            linger->glanced = gate->woken = glancer->woken = true;
            linger->glances++;
            return true;
        }
        vwl_breathe();
    }
    return false;
}

/* How many, before the set is looked into for the first time. */
static unsigned int first_breaths(const struct vwl_linger *linger)
{
    return linger->glancing && linger->glances < GLANCES_MAX ? FIRST_BREATHS
                                                             : 0;
}

static int look_for_a_while(struct vwl_gate *gate, struct epoll_event *events)
{
    struct vwl_linger *linger = &gate->linger;
    int n = 0;

    for (unsigned int i = 0; i < LOOKS && n <= 0; i++) {
        if (g_atomic_int_get(&gate->wanting) > 0 ||
            (linger->offers && !offer(linger)) ||
            breathe(gate, i > 0 ? BREATHS : first_breaths(linger))) {
            break;
        }
        linger->glances = 0;
        n = vwl_look(gate->set, events, EVENTS);
    }
    return n;
}

static long times_preempted(void)
{
    struct rusage usage = { 0 };

    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nivcsw;
}

void vwl_gate_count(struct vwl_gate *gate)
{
    if (gate->linger.counting) {
        gate->linger.preempted = times_preempted();
    }
}

/* It paid. Where whoever says something takes this processor away for that, it
 * would have come as soon to one who sleeps: now and then this is counted, from
 * the begin of what ran last. True: so it was. */
static bool is_shared(struct vwl_linger *linger, struct vwl_source *last)
{
    if (linger->counting) {
        linger->counting = false;
        last->preempted = times_preempted() > linger->preempted
                              ? last->preempted + 1
                              : 0;
        return last->preempted >= PREEMPTED_MAX;
    }
    linger->counting = !linger->offers && ++linger->paid % PAID_ASK == 0;
    return false;
}

static int look_and_learn(struct vwl_gate *gate, struct vwl_source *last,
                          struct epoll_event *events)
{
    int n = look_for_a_while(gate, events);

    if (n <= 0 && !gate->linger.glanced) {
        last->hits = 0;
        last->misses = MIN(last->misses * 2 + 1, MOST_SKIPS);
        last->skips = last->misses;
    } else if (is_shared(&gate->linger, last)) {
        last->skips = SHARED_SKIPS;
    } else if (++last->hits >= HITS_MANY) {
        last->misses = 0;
    }
    return n;
}

int vwl_gate_linger(struct vwl_gate *gate, struct epoll_event *events)
{
    struct vwl_source *last = gate->last;
    int n = 0;

    gate->linger.glanced = false;
    if (!last || gate->woken || gate_is_over(gate)) {
        return 0;
    }
    if (last->skips > 0) {
        last->skips--;
    } else {
        n = look_and_learn(gate, last, events);
    }
    gate->linger.offers = false;
    return n;
}

void vwl_gate_offer(struct vwl_gate *gate)
{
    struct vwl_linger *linger = &gate->linger;

    linger->offers = linger->waits && linger->busy_skips == 0;
    if (!linger->offers) {
        gate->last = NULL;
    }
    if (linger->busy_skips > 0) {
        linger->busy_skips--;
    }
}

void vwl_source_set_glance(struct vwl_source *source,
                           const struct vwl_glance *glance)
{
    source->gate->linger.glancer = source;
    source->gate->linger.glance = glance;
}

bool vwl_source_glances(struct vwl_source *source)
{
    struct vwl_gate *gate = source->gate;

    gate->linger.glancing = gate->running && !gate->polls && gate->last &&
                            gate->last->skips == 0 && !gate_is_over(gate);
    return gate->linger.glancing;
}

void vwl_gate_stop_glancing(struct vwl_gate *gate)
{
    struct vwl_linger *linger = &gate->linger;

    if (linger->glancing && linger->glancer && !gate_is_over(gate) &&
        linger->glance->end(linger->glancer->opaque)) {
        gate->woken = linger->glancer->woken = true;
    }
    linger->glancing = linger->glanced = false;
}
