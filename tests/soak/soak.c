/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * soak MINUTES daemon|plugin [SEED]: two guests on two devices, each with 20
 * contexts of mixed traffic, and random kills of compositors, clients and
 * front-ends. daemon: two processes that share their compositors; plugin: two
 * devices in this process. Says every now and then where it stands, and ends
 * with a report.
 */
#include "soak.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GUESTS 2
#define PEERS 4
/* What a device keeps to ask its host for connections, at most. */
#define CHANNELS_KEPT 8

struct sample {
    unsigned long kib[GUESTS];
    unsigned int fds[GUESTS];
};

static struct {
    bool daemon;
    char *dir; /* of the shared sockets */
    struct peer shared[PEERS];
    struct guest guest[GUESTS];
    GArray *samples;
    GRand *random;
    /* a compositor that is down, whose, and until when */
    struct peer *down;
    char *down_path;
    int64_t down_until_us;
} soak;

/* ---- what it takes ---------------------------------------------------- */

static unsigned long anon_kib(GPid pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status", (int)pid);
    g_autofree char *text = NULL;
    const char *at;

    if (!g_file_get_contents(path, &text, NULL, NULL)) {
        soak_fail("process %d is gone", (int)pid);
    }
    at = strstr(text, "RssAnon:");
    return at ? strtoul(at + 8, NULL, 10) : 0;
}

static void sample(int64_t started_us)
{
    struct sample sample;

    for (unsigned int i = 0; i < GUESTS; i++) {
        GPid pid = soak.daemon ? soak.guest[i].rig->pid : getpid();

        sample.kib[i] = anon_kib(pid);
        sample.fds[i] = rig_count_fds(soak.daemon ? pid : 0);
    }
    g_array_append_val(soak.samples, sample);
    printf("# %4d s: memory %lu and %lu KiB, descriptors %u and %u, "
           "parcels %u and %u, MiB %u and %u\n",
           (int)((g_get_monotonic_time() - started_us) / 1000000),
           sample.kib[0], sample.kib[1], sample.fds[0], sample.fds[1],
           soak.guest[0].tally.parcels, soak.guest[1].tally.parcels,
           (unsigned int)(soak.guest[0].tally.out_bytes >> 20),
           (unsigned int)(soak.guest[1].tally.out_bytes >> 20));
    fflush(stdout);
}

/* ---- kills ------------------------------------------------------------ */

static void compositor_back(void)
{
    if (soak.down) {
        peer_init(soak.down, soak.down_path, 64);
        g_clear_pointer(&soak.down_path, g_free);
        soak.down = NULL;
    }
}

static void kill_compositor(struct guest *guest)
{
    unsigned int which = g_rand_int_range(soak.random, 0, PEERS);

    if (soak.down) {
        return;
    }
    soak.down = &guest->peers[which];
    soak.down_path = g_strdup(soak.down->path);
    soak.down_until_us = g_get_monotonic_time() +
                         g_rand_int_range(soak.random, 100, 1500) *
                             INT64_C(1000);
    peer_finish(soak.down);
    soak.down->listener = -1;
    guest->tally.compositor_kills++;
    for (unsigned int i = 0; i < GUESTS; i++) {
        struct guest *each = &soak.guest[i];

        for (unsigned int j = 0;
             each->peers == guest->peers && j < SOAK_CONTEXTS; j++) {
            if (each->channels[j].peer == which) {
                soak_channel_host_kill(&each->channels[j]);
            }
        }
    }
}

static void forget(struct guest *guest, struct stream *stream)
{
    vwl_drv_request_free(guest->rig->drv, stream->request);
    stream->request = NULL;
    memset(stream->memory, 0, sizeof stream->memory);
}

static bool is_at_rest(struct guest *guest)
{
    struct vwl_stats stats;
    unsigned int fds;

    rig_settle(guest->rig);
    if (!soak.daemon) {
        stats = rig_stats(guest->rig);
        return stats.vfds == 0 && stats.shm_bytes == 0 &&
               stats.queued_bytes == 0;
    }
    fds = rig_count_fds(guest->rig->pid);
    if (guest->fds_at_rest == 0) {
        guest->fds_at_rest = fds;
    }
    return fds <= guest->fds_at_rest + CHANNELS_KEPT;
}

/* Whatever the guest had is gone, and what holds it at the host sees it. */
static void check_rest(struct guest *guest)
{
    int64_t end = g_get_monotonic_time() + INT64_C(60) * 1000000;

    while (!is_at_rest(guest)) {
        soak_check(g_get_monotonic_time() < end, guest, "something was left");
    }
}

static void turn_pipes(struct guest *guest)
{
    for (guint i = guest->pipes->len; i-- > 0;) {
        if (soak_pipe_turn(guest->pipes->pdata[i])) {
            g_ptr_array_remove_index_fast(guest->pipes, i);
        }
    }
}

static void kill_front_end(struct guest *guest)
{
    int64_t end = g_get_monotonic_time() + INT64_C(60) * 1000000;

    guest->tally.front_end_kills++;
    for (unsigned int i = 0; i < SOAK_CONTEXTS; i++) {
        forget(guest, &guest->channels[i].out);
    }
    for (guint i = 0; i < guest->pipes->len; i++) {
        struct stream *pipe = guest->pipes->pdata[i];

        forget(guest, pipe);
        pipe->cut = true;
        pipe->id = 0;
    }
    rig_disconnect(guest->rig);
    for (unsigned int i = 0; i < SOAK_CONTEXTS; i++) {
        soak_channel_gone(&guest->channels[i]);
    }
    while (guest->pipes->len > 0) {
        turn_pipes(guest);
        soak_check(g_get_monotonic_time() < end, guest,
                   "a pipe outlived its front-end");
    }
    rig_reconnect(guest->rig);
    check_rest(guest);
}

static void pause_guest(struct guest *guest)
{
    guest->tally.pauses++;
    soak_check(vwl_fe_stop(guest->rig->fe) == 0, guest, "cannot be paused");
    soak_check(vwl_fe_start(guest->rig->fe) == 0, guest, "cannot go on");
}

/* ---- one run ---------------------------------------------------------- */

static void make_guest(unsigned int index)
{
    struct guest *guest = &soak.guest[index];
    g_autoptr(GPtrArray) args = g_ptr_array_new_with_free_func(g_free);
    struct rig_options options = {
        .device = soak.daemon ? RIG_DAEMON : RIG_THREAD,
        .n_peers = soak.daemon ? 0 : PEERS,
        .host_map = !soak.daemon && index == 0,
        .drv.hold_buffers = index == 1,
        .fe = {
            .packed = index == 1,
            .dialect = index == 1 ? VWL_FE_PRIVATE : VWL_FE_STANDARD,
            .timeout_ms = 60000,
        },
    };

    for (unsigned int i = 0; soak.daemon && i < PEERS; i++) {
        g_ptr_array_add(
            args, g_strdup_printf("--wayland-sock=%s,name=soak%u,policy=none",
                                  soak.shared[i].path, i));
    }
    g_ptr_array_add(args, NULL);
    options.daemon_args = (const char *const *)args->pdata;
    guest->number = index + 1;
    guest->rig = rig_new(&options);
    guest->rig->options.daemon_args = NULL;
    guest->shared = soak.daemon;
    guest->peers = soak.daemon ? soak.shared : guest->rig->peers;
    guest->n_peers = PEERS;
    guest->pipes = g_ptr_array_new();
    guest->random = g_rand_new_with_seed(g_rand_int(soak.random));
    for (unsigned int i = 0; i < SOAK_CONTEXTS; i++) {
        soak_channel_init(guest, &guest->channels[i]);
    }
    check_rest(guest);
}

static void turn(struct guest *guest, bool ending)
{
    for (unsigned int i = 0; i < SOAK_CONTEXTS; i++) {
        struct channel *channel = &guest->channels[i];

        if (ending && channel->state == CHANNEL_OPEN) {
            channel->state = CHANNEL_DRAIN;
            channel->in.ended = true;
            channel->until_us = g_get_monotonic_time() + INT64_C(120) * 1000000;
        }
        if (!ending || channel->state != CHANNEL_NONE) {
            soak_channel_turn(channel);
        }
    }
    turn_pipes(guest);
    soak_check(vwl_fe_turn(guest->rig->fe, 1) >= 0, guest,
               "the device has hung up");
    vwl_drv_collect(guest->rig->drv);
}

static void maybe_kill(void)
{
    unsigned int what = g_rand_int_range(soak.random, 0, 3000);
    struct guest *guest = &soak.guest[g_rand_int_range(soak.random, 0, GUESTS)];

    if (what < 6) {
        kill_compositor(guest);
    } else if (what < 8) {
        kill_front_end(guest);
    } else if (what < 14) {
        pause_guest(guest);
    }
    if (soak.down && g_get_monotonic_time() > soak.down_until_us) {
        compositor_back();
    }
}

static bool is_done(const struct guest *guest)
{
    for (unsigned int i = 0; i < SOAK_CONTEXTS; i++) {
        if (guest->channels[i].state != CHANNEL_NONE) {
            return false;
        }
    }
    return guest->pipes->len == 0;
}

static void run(double minutes)
{
    int64_t started = g_get_monotonic_time(), now = started, next = now;
    int64_t every = (int64_t)(MAX(minutes * 60 / 40, 2) * 1000000);

    while (now < started + (int64_t)(minutes * 60e6)) {
        for (unsigned int i = 0; i < GUESTS; i++) {
            turn(&soak.guest[i], false);
        }
        maybe_kill();
        now = g_get_monotonic_time();
        if (now >= next) {
            sample(started);
            next += every;
        }
    }
    compositor_back();
    while (!is_done(&soak.guest[0]) || !is_done(&soak.guest[1])) {
        for (unsigned int i = 0; i < GUESTS; i++) {
            turn(&soak.guest[i], true);
        }
        soak_check(g_get_monotonic_time() < now + INT64_C(300) * 1000000,
                   &soak.guest[0], "it does not end");
    }
    for (unsigned int i = 0; i < GUESTS; i++) {
        check_rest(&soak.guest[i]);
    }
}

/* ---- the report ------------------------------------------------------- */

/* What is on its way comes and goes; the lowest is what is kept. */
static unsigned long lowest_kib(unsigned int guest, guint from, guint to)
{
    unsigned long lowest = 0;

    for (guint i = from; i < to; i++) {
        unsigned long kib = g_array_index(soak.samples, struct sample, i)
                                .kib[guest];

        lowest = i == from ? kib : MIN(lowest, kib);
    }
    return lowest;
}

static bool report_memory(unsigned int guest)
{
    guint n = soak.samples->len;
    unsigned long before = lowest_kib(guest, n / 3, 2 * n / 3);
    unsigned long after = lowest_kib(guest, 2 * n / 3, n);
    const char *sanitized = g_getenv("VWL_SANITIZED");
    bool flat = after <= before + before / 10 + 1024;

    printf("# guest %u: at least %lu KiB of memory in the second third, "
           "%lu KiB in the last\n",
           guest + 1, before, after);
    if (sanitized && *sanitized) {
        printf("ok %u - memory of guest %u # SKIP a sanitizer keeps what is "
               "freed\n",
               2 + guest, guest + 1);
        return true;
    }
    printf("%s %u - memory of guest %u is flat\n", flat ? "ok" : "not ok",
           2 + guest, guest + 1);
    return flat;
}

static void report_tally(const struct guest *guest)
{
    const struct tally *t = &guest->tally;

    printf("# guest %u: %" G_GUINT64_FORMAT
           " bytes to the host, %" G_GUINT64_FORMAT
           " to the guest, %" G_GUINT64_FORMAT
           " through pipes, %" G_GUINT64_FORMAT " in memory; %u descriptors\n",
           guest->number, t->out_bytes, t->in_bytes, t->pipe_bytes,
           t->memory_bytes, t->parcels);
    printf("# guest %u: %u connections drained, %u clients and %u peers "
           "killed, %u compositors, %u front-ends; %u pauses; %u connections "
           "refused\n",
           guest->number, t->drained, t->guest_kills, t->host_kills,
           t->compositor_kills, t->front_end_kills, t->pauses, t->refused);
}

static bool report(void)
{
    bool good = true;

    for (unsigned int i = 0; i < GUESTS; i++) {
        report_tally(&soak.guest[i]);
        good &= soak.guest[i].tally.drained > 0 &&
                soak.guest[i].tally.parcels > 0;
    }
    printf("%s 1 - every byte came, and to whom it was sent\n",
           good ? "ok" : "not ok");
    for (unsigned int i = 0; i < GUESTS; i++) {
        good &= report_memory(i);
    }
    return good;
}

static void begin(void)
{
    soak.samples = g_array_new(FALSE, FALSE, sizeof(struct sample));
    if (soak.daemon) {
        soak.dir = g_dir_make_tmp("vwl-soak-XXXXXX", NULL);
        for (unsigned int i = 0; i < PEERS; i++) {
            g_autofree char *path = g_strdup_printf("%s/soak%u", soak.dir, i);

            peer_init(&soak.shared[i], path, 64);
        }
    }
    for (unsigned int i = 0; i < GUESTS; i++) {
        make_guest(i);
    }
}

static void end(void)
{
    for (unsigned int i = GUESTS; i-- > 0;) {
        rig_free(soak.guest[i].rig);
        g_ptr_array_unref(soak.guest[i].pipes);
        g_rand_free(soak.guest[i].random);
    }
    for (unsigned int i = 0; soak.daemon && i < PEERS; i++) {
        peer_finish(&soak.shared[i]);
    }
    if (soak.dir) {
        g_rmdir(soak.dir);
        g_free(soak.dir);
    }
    g_array_unref(soak.samples);
    g_rand_free(soak.random);
}

int main(int argc, char **argv)
{
    guint32 seed = argc > 3 ? (guint32)strtoul(argv[3], NULL, 0)
                            : g_random_int();
    bool good;

    if (argc < 3) {
        fprintf(stderr, "usage: soak MINUTES daemon|plugin [SEED]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    soak.daemon = strcmp(argv[2], "daemon") == 0;
    soak.random = g_rand_new_with_seed(seed);
    printf("1..4\n# %s, seed %u\n", argv[2], seed);
    begin();
    run(g_ascii_strtod(argv[1], NULL));
    good = report();
    end();
    printf("ok 4 - descriptors are as they were\n");
    return !good;
}
