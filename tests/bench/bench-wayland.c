/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A Wayland client's frames, round trips, connections and clipboard on their
 * way to a compositor stub: straight, through a bare relay, through the whole
 * device by virtio-wl-loopback (in one process with it, or before a daemon),
 * and through the waypipes of $VWL_WAYPIPES. All of them
 * in turns in one run, on one processor (a wake-up across processors would hide
 * everything else); the stub looks at pixels of every frame. Then the same work
 * through two devices of which one reads the stream: what the policy costs.
 * Needs VWL_DAEMON, VWL_PLUGIN and VWL_LOOPBACK.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "wayland.h"

#define ROUNDS 5
#define WAYPIPES 8
#define POLICY_ROUNDS 15 /* few percents are to be seen */
/* Where everything runs, and the client when it is to paint beside that. */
#define CPU 1
#define CLIENT_CPU 0
#define VM_ROUNDS 7

struct route {
    const char *name;
    char *path;
    pid_t groups[2]; /* what works for it; 0: none */
    bool slow;       /* fewer of everything */
};

struct bench {
    char *folder, *stub_path;
    pid_t stub;
    struct route routes[6 + WAYPIPES];
    unsigned int n_routes;
    char **words[WAYPIPES];
    unsigned int n_words;
};

/* Beside an older device, which may not know newer options. */
static bool is_against(void)
{
    return g_getenv("VWL_BENCH_AGAINST") != NULL;
}

static char *in(const struct bench *bench, const char *name)
{
    return g_build_filename(bench->folder, name, NULL);
}

static void wait_path(const char *path)
{
    for (int i = 0; i < 1000 && !g_file_test(path, G_FILE_TEST_EXISTS); i++) {
        g_usleep(10000);
    }
    bench_must(g_file_test(path, G_FILE_TEST_EXISTS), path);
}

static struct route *add(struct bench *bench, const char *name,
                         const char *file)
{
    struct route *route = &bench->routes[bench->n_routes++];

    route->name = name;
    route->path = in(bench, file);
    return route;
}

/* A child of this program in a group of its own. */
static pid_t child(void)
{
    pid_t pid = fork();

    bench_must(pid >= 0, "fork");
    if (pid == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    } else {
        setpgid(pid, pid);
    }
    return pid;
}

static void start_relay(struct bench *bench)
{
    struct route *route = add(bench, "relay", "relay");
    int listener = bench_listen(route->path);

    route->groups[0] = child();
    if (route->groups[0] == 0) {
        bench_relay(listener, bench->stub_path);
    }
    close(listener);
}

static void start_loopback(struct bench *bench, const char *name,
                           const char *policy, const char *option)
{
    struct route *route = add(bench, name, name);
    char *listen = g_strdup_printf("--listen=%s", route->path);
    char *stub = g_strdup_printf("--wayland-sock=%s%s%s", bench->stub_path,
                                 policy ? ",policy=" : "",
                                 policy ? policy : "");
    char *plugin = g_strdup_printf("--plugin=%s", g_getenv("VWL_PLUGIN"));
    const char *argv[] = {
        g_getenv("VWL_LOOPBACK"), listen, stub, plugin, option, NULL
    };

    route->groups[0] = bench_spawn(argv, NULL);
    wait_path(route->path);
    g_free(listen);
    g_free(stub);
    g_free(plugin);
}

static void start_daemon(struct bench *bench)
{
    struct route *route = add(bench, "daemon", "behind-daemon");
    char *socket = in(bench, "vhost");
    char *socket_path = g_strdup_printf("--socket-path=%s", socket);
    char *stub = g_strdup_printf("--wayland-sock=%s", bench->stub_path);
    char *plugin = g_strdup_printf("--plugin=%s", g_getenv("VWL_PLUGIN"));
    char *listen = g_strdup_printf("--listen=%s", route->path);
    char *daemon = g_strdup_printf("--daemon-socket=%s", socket);
    const char *daemon_argv[] = { g_getenv("VWL_DAEMON"),
                                  socket_path,
                                  stub,
                                  plugin,
                                  is_against() ? NULL
                                               : "--security-context=off",
                                  NULL };
    const char *argv[] = { g_getenv("VWL_LOOPBACK"), listen, daemon, NULL };

    route->groups[0] = bench_spawn(daemon_argv, NULL);
    wait_path(socket);
    route->groups[1] = bench_spawn(argv, NULL);
    wait_path(route->path);
    g_free(socket);
    g_free(socket_path);
    g_free(stub);
    g_free(plugin);
    g_free(listen);
    g_free(daemon);
}

/* @line: of $VWL_WAYPIPES, a name, a program and a compression with tabs in
 * between. */
static void start_waypipe(struct bench *bench, const char *line)
{
    char **words = g_strsplit(line, "\t", 3);
    const char *name = words[0], *program = words[1], *compress = words[2];
    char *file = g_strdup_printf("waypipe-%u", bench->n_routes);
    char *through = g_strdup_printf("through-%s", file);
    char *socket = in(bench, file);
    char *display = g_strdup_printf("WAYLAND_DISPLAY=%s", bench->stub_path);
    char *runtime = g_strdup_printf("XDG_RUNTIME_DIR=%s", bench->folder);
    const char *environ_add[] = { display, runtime, NULL };
    struct route *route = add(bench, name, through);

    route->slow = true;
    route->groups[0] = bench_spawn((const char *const[]){ program, "--compress",
                                                          compress, "--socket",
                                                          socket, "client",
                                                          NULL },
                                   environ_add);
    wait_path(socket);
    route->groups[1] = bench_spawn(
        (const char *const[]){ program, "--compress", compress, "--socket",
                               socket, "--display", route->path, "server", "--",
                               "sleep", "100000", NULL },
        environ_add);
    wait_path(route->path);
    bench->words[bench->n_words++] = words; /* the name's */
    g_free(file);
    g_free(through);
    g_free(socket);
    g_free(display);
    g_free(runtime);
}

static void start_waypipes(struct bench *bench)
{
    char **lines = g_strsplit(g_getenv("VWL_WAYPIPES") ?: "", "\n", -1);

    for (char **line = lines; *line; line++) {
        if (**line && bench->n_words < WAYPIPES) {
            start_waypipe(bench, *line);
        }
    }
    g_strfreev(lines);
}

/* ---- figures ---------------------------------------------------------- */

struct work {
    const char *name, *unit;
    bool more;
    double (*run)(const struct route *route, const struct work *work);
    struct bench_frames frames;
    unsigned int times, slow_times;
    size_t bytes;
    bool beside; /* the client has a processor of its own */
};

static unsigned int times_of(const struct route *route, const struct work *work)
{
    return bench_times(route->slow ? work->slow_times : work->times);
}

static double frames(const struct route *route, const struct work *work)
{
    struct bench_client *client = bench_client_open(route->path);
    double us = bench_client_frames(client, &work->frames,
                                    times_of(route, work));

    bench_client_close(client);
    return us;
}

static double round_trips(const struct route *route, const struct work *work)
{
    struct bench_client *client = bench_client_open(route->path);
    unsigned int n = times_of(route, work);
    double *each = g_new(double, n), us;

    for (unsigned int i = 0; i < n; i++) {
        double start = bench_now_us();

        bench_client_round_trip(client);
        each[i] = bench_now_us() - start;
    }
    us = bench_quantile(each, n, 0.5);
    g_free(each);
    bench_client_close(client);
    return us;
}

static double connects(const struct route *route, const struct work *work)
{
    unsigned int n = times_of(route, work);
    double start = bench_now_us();

    for (unsigned int i = 0; i < n; i++) {
        bench_client_close(bench_client_open(route->path));
    }
    return (bench_now_us() - start) / n;
}

static double clipboard(const struct route *route, const struct work *work)
{
    struct bench_client *client = bench_client_open(route->path);
    double speed = bench_client_clipboard(client, work->bytes);

    bench_client_close(client);
    return speed;
}

/* clang-format off */
static const struct work works[] = {
    { "1920x1080, all of it", "us/frame", false, frames,
      { 1920, 1080, FALSE, FALSE }, 150, 15, 0, false },
    { "1920x1080, painted elsewhere", "us/frame", false, frames,
      { 1920, 1080, FALSE, FALSE }, 150, 15, 0, true },
    { "1920x1080, 256x16 changed", "us/frame", false, frames,
      { 1920, 1080, TRUE, FALSE }, 600, 60, 0, false },
    { "1920x1080 unsealed, all of it", "us/frame", false, frames,
      { 1920, 1080, FALSE, TRUE }, 150, 15, 0, false },
    { "1920x1080 unsealed, 256x16 changed", "us/frame", false, frames,
      { 1920, 1080, TRUE, TRUE }, 600, 60, 0, false },
    { "256x256, all of it", "us/frame", false, frames,
      { 256, 256, FALSE, FALSE }, 1000, 200, 0, false },
    { "round trip", "us", false, round_trips, { 0 }, 2000, 500, 0, false },
    { "connect and first round trip", "us", false, connects, { 0 }, 100, 10, 0,
      false },
    { "selection, 60 KiB", "MB/s", true, clipboard, { 0 }, 1, 1, 60u << 10,
      false },
    { "selection, 64 MiB", "MB/s", true, clipboard, { 0 }, 1, 0, 64u << 20,
      false },
};
/* clang-format on */

static double cpu_of(pid_t stub, const struct route *route)
{
    double us = bench_cpu_us(stub);

    for (unsigned int i = 0; i < G_N_ELEMENTS(route->groups); i++) {
        if (route->groups[i]) {
            us += bench_group_cpu_us(route->groups[i]);
        }
    }
    return us;
}

static void measure(struct bench *bench, const struct work *work,
                    const char *group, const char *base, unsigned int rounds)
{
    struct bench_figure *figure = bench_figure(group, work->name, work->unit,
                                               work->more, base);
    double used[G_N_ELEMENTS(bench->routes)] = { 0 };

    if (strcmp(group, "vm") != 0) {
        bench_pin(0, work->beside ? CLIENT_CPU : CPU);
    }
    for (unsigned int i = 0; i < bench_times(rounds); i++) {
        for (unsigned int j = 0; j < bench->n_routes; j++) {
            const struct route *route = &bench->routes[j];
            double before = cpu_of(bench->stub, route);

            if (times_of(route, work) == 0) {
                continue; /* it is known to hang */
            }
            bench_sample(figure, route->name, work->run(route, work));
            used[j] += cpu_of(bench->stub, route) - before;
        }
    }
    for (unsigned int j = 0; j < bench->n_routes; j++) {
        const struct route *route = &bench->routes[j];
        unsigned int n = times_of(route, work) * bench_times(rounds);

        if (route->groups[0] && n > 0) {
            bench_note(figure, route->name, "cpu", used[j] / n);
        }
    }
    bench_done(figure);
}

static void measure_all(struct bench *bench, const char *only)
{
    for (size_t i = 0; i < G_N_ELEMENTS(works); i++) {
        if (strstr(works[i].name, only)) {
            measure(bench, &works[i], "wayland", "native", ROUNDS);
        }
    }
}

/* With the same compositor. Selections are pipes, which nobody reads. */
static void measure_policy(struct bench *bench, const char *only)
{
    for (size_t i = 0; i < G_N_ELEMENTS(works); i++) {
        if (strstr(works[i].name, only) && !works[i].beside &&
            !works[i].frames.unsealed && works[i].run != clipboard) {
            measure(bench, &works[i], "policy", "none", POLICY_ROUNDS);
        }
    }
}

/* On a virtual machine's only processor, which is slow: the same work with a
 * compositor in the machine, and with one outside. */
static void measure_in_vm(struct bench *bench, const char *only)
{
    for (size_t i = 0; i < G_N_ELEMENTS(works); i++) {
        struct work work = works[i];

        work.slow_times = MAX(work.slow_times, 1);
        if (strstr(work.name, only) && !work.beside) {
            measure(bench, &work, "vm", "in the guest", VM_ROUNDS);
        }
    }
}

static void in_vm(struct bench *bench, const char *outside, const char *only)
{
    add(bench, "in the guest", "stub")->slow = true;
    add(bench, "on the host", "host")->slow = true;
    bench_must(symlink(outside, bench->routes[1].path) == 0, outside);
    measure_in_vm(bench, only);
}

static void stop(struct bench *bench)
{
    for (unsigned int i = 0; i < bench->n_routes; i++) {
        bench_kill_group(bench->routes[i].groups[1]);
        bench_kill_group(bench->routes[i].groups[0]);
        g_free(bench->routes[i].path);
    }
    bench->n_routes = 0;
    while (bench->n_words > 0) {
        g_strfreev(bench->words[--bench->n_words]);
    }
}

/* The arguments: words of the works to measure, and `policy` for that part
 * alone. Or `stub PATH`, to be the compositor there, or `vm PATH`, to run in a
 * virtual machine whose bridge is at that path. */
int main(int argc, char **argv)
{
    struct bench bench = { 0 };
    const char *part = argc > 1 ? argv[1] : "";
    bool is_policy = strcmp(part, "policy") == 0;
    bool is_vm = argc > 2 && strcmp(part, "vm") == 0;
    int words = is_policy ? 2 : is_vm ? 3 : 1;
    const char *only = argc > words ? argv[words] : "";

    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 2 && strcmp(part, "stub") == 0) {
        bench_stub(argv[2]);
    }
    if (!is_vm) {
        bench_pin(0, CPU);
    }
    bench.folder = g_dir_make_tmp("vwl-bench-XXXXXX", NULL);
    bench.stub_path = in(&bench, "stub");
    bench.stub = child();
    if (bench.stub == 0) {
        bench_stub(bench.stub_path);
    }
    wait_path(bench.stub_path);
    if (is_vm) {
        in_vm(&bench, argv[2], only);
        stop(&bench);
    } else if (!is_policy) {
        add(&bench, "native", "stub");
        start_relay(&bench);
        start_loopback(&bench, "device", NULL, "--copy-pools");
        start_loopback(&bench, "loopback", NULL, NULL);
        start_daemon(&bench);
        start_waypipes(&bench);
        measure_all(&bench, only);
        stop(&bench);
    }
    if (!is_vm && !is_against()) {
        start_loopback(&bench, "none", "none", "--copy-pools");
        start_loopback(&bench, "wayland", "wayland", "--copy-pools");
        measure_policy(&bench, only);
        stop(&bench);
    }
    bench_kill_group(bench.stub);
    bench_remove_folder(bench.folder);
    return 0;
}
