/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver in a thread of its own against the device, each asleep on an
 * eventfd whenever the other did not ask to be woken: a notification that gets
 * lost between the two is a hang, and a torn hand-over a wrong number.
 */
#include <glib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bytes.h"
#include "ring.h"

#define SIZE 8u
#define ROUNDS 30000u
#define USED_EVENT (DRIVER + 4 + 2 * SIZE)
#define AVAIL_EVENT (DEVICE + 4 + 8 * SIZE)

struct race {
    struct guest g;
    bool event_idx;
    int kick, call;
};

static uint16_t load(const unsigned char *at)
{
    return __atomic_load_n((const uint16_t *)at, __ATOMIC_SEQ_CST);
}

static void store(unsigned char *at, uint16_t value)
{
    __atomic_store_n((uint16_t *)at, value, __ATOMIC_SEQ_CST);
}

static void signal_fd(int fd)
{
    uint64_t one = 1;

    g_assert_cmpint(write(fd, &one, 8), ==, 8);
}

static void wait_fd(int fd)
{
    uint64_t value;

    g_assert_cmpint(read(fd, &value, 8), ==, 8);
}

/* virtio 1.2, 2.7.10: does moving from old to new pass event? */
static bool passes(uint16_t event, uint16_t new_index, uint16_t old)
{
    return (uint16_t)(new_index - event - 1) < (uint16_t)(new_index - old);
}

static gpointer split_driver(gpointer data)
{
    struct race *race = data;
    unsigned char *ram = race->g.ram;
    uint16_t avail = 0, used = 0;
    uint32_t given = 0;

    for (uint32_t back = 0; back < ROUNDS;) {
        uint16_t old = avail;

        while (given < ROUNDS && given - back < SIZE) {
            uint16_t i = avail % SIZE; /* the device completes in order */

            put32(ram + DATA + 8 * i, given++);
            put16(ram + DRIVER + 4 + 2 * i, i);
            store(ram + DRIVER + 2, ++avail);
        }
        if (avail != old &&
            (race->event_idx ? passes(load(ram + AVAIL_EVENT), avail, old)
                             : !(load(ram + DEVICE) & 1))) {
            signal_fd(race->kick);
        }
        store(ram + USED_EVENT, used);
        if (load(ram + DEVICE + 2) == used) {
            wait_fd(race->call);
        }
        while (load(ram + DEVICE + 2) != used) {
            uint16_t i = used % SIZE;

            g_assert_cmpuint(get32(ram + DEVICE + 4 + 8 * i), ==, i);
            g_assert_cmpuint(get32(ram + DATA + 8 * i + 4), ==, ~back);
            used++;
            back++;
        }
    }
    return NULL;
}

static gpointer packed_driver(gpointer data)
{
    struct race *race = data;
    unsigned char *ram = race->g.ram;
    uint32_t given = 0;

    for (uint32_t back = 0; back < ROUNDS;) {
        uint32_t old = given;
        uint16_t flags;

        while (given < ROUNDS && given - back < SIZE) {
            uint32_t i = given % SIZE;
            unsigned char *at = ram + DESC + 16 * i;

            put32(ram + DATA + 8 * i, given);
            put64(at, GPA + DATA + 8 * i);
            put32(at + 8, 8);
            put16(at + 12, (uint16_t)i);
            store(at + 14, WRITE | ROUND(given / SIZE % 2 == 0));
            given++;
        }
        flags = load(ram + DEVICE + 2);
        if (given != old && flags != 1) {
            uint16_t where = load(ram + DEVICE), at = where & 0x7fff;

            if (where >> 15 != (given / SIZE % 2 == 0)) {
                at = (uint16_t)(at - SIZE);
            }
            if (flags == 0 ||
                passes(at, given % SIZE,
                       (uint16_t)(given % SIZE - (given - old)))) {
                signal_fd(race->kick);
            }
        }
        if (race->event_idx) {
            store(ram + DRIVER,
                  (uint16_t)(back % SIZE | (back / SIZE % 2 == 0) << 15));
            store(ram + DRIVER + 2, 2);
        }
        for (bool first = true; back < given; first = false) {
            uint32_t i = back % SIZE;
            uint16_t want = back / SIZE % 2 == 0 ? 0x8082 : 0x0002;

            if (load(ram + DESC + 16 * i + 14) != want) {
                if (!first) {
                    break;
                }
                wait_fd(race->call);
                continue;
            }
            g_assert_cmpuint(get16(ram + DESC + 16 * i + 12), ==, i);
            g_assert_cmpuint(get32(ram + DATA + 8 * i + 4), ==, ~back);
            back++;
        }
    }
    return NULL;
}

static void device(struct race *race)
{
    struct guest *g = &race->g;

    for (uint32_t done = 0; done < ROUNDS;) {
        struct vwl_chain *chain = NULL;
        unsigned int batch = 0;

        while (batch < 3 && vwl_vq_pop(g->vq, &chain) == 1) {
            uint32_t value = get32(chain->in[0].base);

            g_assert_cmpuint(value, ==, done);
            value = ~value;
            g_assert_cmpuint(vwl_chain_write(chain, 4, &value, 4), ==, 4);
            vwl_vq_push(g->vq, &chain, 8);
            batch++;
            done++;
        }
        if (vwl_vq_publish(g->vq) == 1) {
            signal_fd(race->call);
        }
        g_assert_false(vwl_vq_is_broken(g->vq));
        if (batch == 0 && !vwl_vq_want_kick(g->vq, true)) {
            wait_fd(race->kick);
            vwl_vq_want_kick(g->vq, false);
        }
    }
}

static void test_race(gconstpointer data)
{
    unsigned int which = GPOINTER_TO_UINT(data);
    bool packed = which & 1;
    struct race race = { .event_idx = which & 2 };
    struct guest *g = &race.g;
    GThread *thread;

    guest_init(g, packed, SIZE);
    race.kick = eventfd(0, EFD_CLOEXEC);
    race.call = eventfd(0, EFD_CLOEXEC);
    g->setup.event_idx = race.event_idx;
    for (uint16_t i = 0; !packed && i < SIZE; i++) {
        desc(g, i, GPA + DATA + 8 * i, 8, WRITE, 0);
    }
    guest_start(g);
    thread = g_thread_new("driver", packed ? packed_driver : split_driver,
                          &race);
    device(&race);
    g_thread_join(thread);
    close(race.kick);
    close(race.call);
    guest_finish(g);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/vq-race/split", GUINT_TO_POINTER(0), test_race);
    g_test_add_data_func("/vq-race/packed", GUINT_TO_POINTER(1), test_race);
    g_test_add_data_func("/vq-race/split-event", GUINT_TO_POINTER(2),
                         test_race);
    g_test_add_data_func("/vq-race/packed-event", GUINT_TO_POINTER(3),
                         test_race);
    return g_test_run();
}
