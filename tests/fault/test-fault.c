/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test-fault KIND MOST: one story, again and again. First nothing fails; then
 * what may fail without being noticed fails every other time; then each call
 * fails once, at its first MOST times, with each error that it may have, and
 * from there on for ever. After each the device works again, and nothing is
 * left. KIND: messages (the front-end maps, split rings) or calls (the host
 * maps, packed rings).
 *
 * Much of a story waits (for a connection that is tried again, for a mute
 * front-end), so some processes share the calls: each fails one at a time, in
 * a device of its own.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inject.h"
#include "world.h"

#define FOR_EVER 1000000u
/* For what is tried until it succeeds: long enough to see it run in circles,
 * which is far more often than some times in a millisecond. */
#define LONG_MS 250
#define MOST_TRIES 1000
#define PROCESSES 4

/* What the processes share. */
struct shared {
    guint next; /* call that nobody has taken */
    guint n_tests;
};

static const struct vwl_plugin *plugin;
static bool host_map;
static struct shared *shared;

static unsigned int count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned int n = 0;

    while (dir && readdir(dir)) {
        n++;
    }
    closedir(dir);
    return n;
}

/* Mappings of memory files: of the guest, or of ours. */
static unsigned int count_maps(void)
{
    FILE *file = fopen("/proc/self/maps", "re");
    char line[512];
    unsigned int n = 0;

    while (file && fgets(line, sizeof line, file)) {
        n += strstr(line, "/memfd:") != NULL;
    }
    fclose(file);
    return n;
}

/* What takes its time to close is closed by a thread. */
static void check_fds(struct world *world, unsigned int before)
{
    for (unsigned int i = 0; count_fds() != before; i++) {
        must(world, i < 10000, "descriptors are left");
        g_usleep(1000);
    }
}

/* Once with the plan, and once more without. */
static unsigned int run(const struct inject_plan *plan, bool strict,
                        unsigned int *calls)
{
    struct world world = {
        .plugin = plugin,
        .host_map = host_map,
        .strict = strict,
        .late = plan->call == CALL_EPOLL_CTL && plan->times == FOR_EVER,
    };
    unsigned int fds = count_fds(), maps = count_maps(), hits, ms;
    int64_t begun = g_get_monotonic_time();

    if (g_getenv("VWL_RIG_LOG")) {
        printf("# plan: %s %u %u %u %d %d\n",
               plan->call == CALL_COUNT ? "-" : inject_name(plan->call),
               plan->first, plan->every, plan->times, plan->error, strict);
        fflush(stdout);
    }
    world.plan = plan->call == CALL_COUNT
                     ? g_strdup("no fault")
                     : g_strdup_printf("%s, call %u, every %u, %u times: %s",
                                       inject_name(plan->call), plan->first,
                                       plan->every, plan->times,
                                       plan->error ? g_strerror(plan->error)
                                                   : "short");
    world_init(&world);
    inject_arm(plan);
    world_play(&world);
    inject_disarm();
    hits = inject_hits();
    for (unsigned int i = 0; calls && i < CALL_COUNT; i++) {
        calls[i] = inject_calls(i);
    }
    ms = (unsigned int)((g_get_monotonic_time() - begun) / 1000);
    /* what fails for ever is not tried for ever, or not that often */
    must(&world, hits < MOST_TRIES + 4 * ms, "it runs in circles");
    must(&world,
         !plan->for_ms || (world.started && !world.fe->gone &&
                           !g_atomic_int_get(&world.disconnected)),
         "the front-end is lost");
    world_stop(&world);
    world.strict = true;
    world_play(&world);
    world_finish(&world);
    check_fds(&world, fds);
    must(&world, count_maps() == maps, "mappings are left");
    if (g_getenv("VWL_RIG_LOG")) {
        printf("# %u hits, %d ms\n", hits,
               (int)((g_get_monotonic_time() - begun) / 1000));
    }
    g_free(world.plan);
    return hits;
}

/* Without a number: processes do not agree about the order. */
static void tap(const char *name, const char *what, unsigned int n)
{
    __atomic_add_fetch(&shared->n_tests, 1, __ATOMIC_SEQ_CST);
    printf("ok - %s: %s, %u times\n", name, what, n);
}

/* What one must not notice: every other call is interrupted, or short. */
static void run_passing(enum inject_call call)
{
    struct inject_plan plan = { call, 1, 2, FOR_EVER, 0 };
    unsigned int n = 0;

    for (unsigned int i = 0; (plan.error = inject_error(call, i)) != 0; i++) {
        if (inject_is_passing(call, plan.error)) {
            n += run(&plan, true, NULL);
        }
    }
    if (inject_can_be_short(call)) {
        plan.error = 0;
        n += run(&plan, true, NULL);
    }
    if (n > 0) {
        tap(inject_name(call), "not noticed", n);
    }
}

static void run_failing(enum inject_call call, unsigned int calls,
                        unsigned int most)
{
    struct inject_plan plan = { call, 1, 1, 1, 0 };
    unsigned int n = 0;

    for (unsigned int i = 0; (plan.error = inject_error(call, i)) != 0; i++) {
        plan.times = 1;
        plan.for_ms = 0;
        for (plan.first = 1; plan.first <= MIN(calls, most); plan.first++) {
            n += run(&plan, false, NULL);
        }
        plan.first = 1;
        plan.times = FOR_EVER;
        if (plan.error == EINTR || plan.error == EAGAIN) {
            continue; /* not now, for ever: then it is tried for ever */
        }
        if ((call == CALL_SENDMSG || call == CALL_RECVMSG) &&
            (plan.error == ENOBUFS || plan.error == ENOMEM)) {
            plan.for_ms = LONG_MS; /* the front-end waits as long */
        }
        for (plan.first = 1; plan.first <= calls;
             plan.first = plan.first * 3 + 1) {
            n += run(&plan, false, NULL);
        }
    }
    if (n == 0) {
        printf("Bail out! %s never failed\n", inject_name(call));
        exit(1);
    }
    tap(inject_name(call), "survived", n);
}

/* One plan: CALL FIRST EVERY TIMES ERROR STRICT [MS], by numbers and name. */
static int run_one(char **argv)
{
    struct inject_plan plan = { CALL_COUNT, 1, 1, 1, 0 };

    for (unsigned int i = 0; i < CALL_COUNT; i++) {
        if (strcmp(argv[0], inject_name(i)) == 0) {
            plan.call = i;
        }
    }
    plan.first = (unsigned int)atoi(argv[1]);
    plan.every = (unsigned int)atoi(argv[2]);
    plan.times = (unsigned int)atoi(argv[3]);
    plan.error = atoi(argv[4]);
    plan.for_ms = argv[6] ? (unsigned int)atoi(argv[6]) : 0;
    printf("1..1\n");
    tap(argv[0], "survived", run(&plan, atoi(argv[5]) != 0, NULL));
    return 0;
}

static bool load_plugin(void)
{
    void *module = dlopen(g_getenv("VWL_PLUGIN"), RTLD_NOW | RTLD_LOCAL);
    vwl_plugin_get_fn get;

    if (!module || !inject_init("libvhost-user-wl.so")) {
        return false;
    }
    *(void **)&get = dlsym(module, VWL_PLUGIN_ENTRY);
    plugin = get();
    return true;
}

/* One process: the calls that no other has taken. */
static int run_calls(unsigned int most)
{
    const struct inject_plan none = { CALL_COUNT, 1, 1, 1, 0 };
    unsigned int calls[CALL_COUNT], i;

    if (!load_plugin()) {
        printf("Bail out! there is no plugin\n");
        return 2;
    }
    run(&none, true, NULL);
    run(&none, true, calls);
    while ((i = __atomic_fetch_add(&shared->next, 1, __ATOMIC_SEQ_CST)) <
           CALL_COUNT) {
        printf("# %s: %u calls\n", inject_name(i), calls[i]);
        if (calls[i] > 0 && inject_error(i, 0)) {
            run_passing(i);
            run_failing(i, calls[i], most);
        }
    }
    return 0;
}

/* They begin before there is a thread. */
static bool run_processes(unsigned int most)
{
    pid_t pids[PROCESSES];
    bool good = true;
    int status;

    for (unsigned int i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            exit(run_calls(most));
        }
    }
    for (unsigned int i = 0; i < PROCESSES; i++) {
        good = pids[i] > 0 && waitpid(pids[i], &status, 0) == pids[i] &&
               status == 0 && good;
    }
    return good;
}

int main(int argc, char **argv)
{
    const struct inject_plan none = { CALL_COUNT, 1, 1, 1, 0 };

    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (argc < 3 || shared == MAP_FAILED) {
        printf("Bail out! usage: test-fault messages|calls MOST\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0); /* lines of several processes */
    host_map = strcmp(argv[1], "calls") == 0;
    if (argc >= 9) {
        if (!load_plugin()) {
            printf("Bail out! there is no plugin\n");
            return 2;
        }
        run(&none, true, NULL);
        return run_one(argv + 3);
    }
    if (!run_processes((unsigned int)atoi(argv[2]))) {
        printf("Bail out! a process ended early\n");
        return 1;
    }
    tap("nothing", "all of it works", 2 * PROCESSES);
    printf("1..%u\n", shared->n_tests);
    return 0;
}
