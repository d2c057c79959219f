/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench.h"

#include <dirent.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct series {
    char *name;
    GArray *samples; /* double */
    GString *notes;  /* JSON members */
};

struct bench_figure {
    const char *group, *name, *unit, *base;
    bool more;
    GPtrArray *series;
};

double bench_now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double bench_quantile(double *values, size_t n, double q)
{
    qsort(values, n, sizeof *values, compare);
    return values[MIN((size_t)((double)n * q), n - 1)];
}

unsigned int bench_times(unsigned int n)
{
    return g_getenv("VWL_BENCH_QUICK") ? (n + 24) / 25 : n;
}

void bench_must(bool good, const char *what)
{
    if (!good) {
        g_printerr("bench: %s failed: %s\n", what, g_strerror(errno));
        exit(1);
    }
}

void bench_pin(pid_t pid, int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (cpu < 0 || i == cpu) {
            CPU_SET(i, &set);
        }
    }
    sched_setaffinity(pid, sizeof set, &set);
}

/* Calls with each number that names an entry of a folder. */
static void each_number(const char *path, void (*call)(pid_t pid, void *data),
                        void *data)
{
    struct dirent *entry;
    DIR *dir = opendir(path);

    while (dir && (entry = readdir(dir))) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

        if (pid > 0) {
            call(pid, data);
        }
    }
    if (dir) {
        closedir(dir);
    }
}

struct pinning {
    pid_t of; /* a group, or the thread that is left out */
    int cpu;
};

static void pin_thread(pid_t tid, void *data)
{
    const struct pinning *pinning = data;

    if (tid != pinning->of) {
        bench_pin(tid, pinning->cpu);
    }
}

void bench_pin_threads(pid_t pid, pid_t but, int cpu)
{
    struct pinning pinning = { but, cpu };
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    each_number(path, pin_thread, &pinning);
}

static void pin_member(pid_t pid, void *data)
{
    const struct pinning *pinning = data;

    if (getpgid(pid) == pinning->of) {
        bench_pin_threads(pid, 0, pinning->cpu);
    }
}

void bench_pin_group(pid_t group, int cpu)
{
    struct pinning pinning = { group, cpu };

    each_number("/proc", pin_member, &pinning);
}

double bench_cpu_us(pid_t pid)
{
    struct timespec t;
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) < 0) {
        return 0;
    }
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

struct sum {
    pid_t group;
    double us;
};

static void add_member(pid_t pid, void *data)
{
    struct sum *sum = data;

    if (getpgid(pid) == sum->group) {
        sum->us += bench_cpu_us(pid);
    }
}

double bench_group_cpu_us(pid_t group)
{
    struct sum sum = { group, 0 };

    each_number("/proc", add_member, &sum);
    return sum.us;
}

double bench_switches(pid_t pid)
{
    char *path = g_strdup_printf("/proc/%d/status", (int)pid), *text = NULL;
    double sum = 0;

    if (g_file_get_contents(path, &text, NULL, NULL)) {
        const char *at = strstr(text, "voluntary_ctxt_switches:");

        sum = at ? g_ascii_strtod(strchr(at, ':') + 1, NULL) : 0;
    }
    g_free(text);
    g_free(path);
    return sum;
}

pid_t bench_spawn(const char *const *argv, const char *const *environ_add)
{
    pid_t pid = fork();

    bench_must(pid >= 0, "fork");
    if (pid == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (; environ_add && *environ_add; environ_add++) {
            putenv((char *)(uintptr_t)*environ_add);
        }
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    setpgid(pid, pid);
    return pid;
}

void bench_kill_group(pid_t group)
{
    if (group > 0) {
        kill(-group, SIGKILL);
        waitpid(group, NULL, 0);
    }
}

void bench_remove_folder(const char *path)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        char *file = g_build_filename(path, name, NULL);

        g_unlink(file);
        g_free(file);
    }
    if (dir) {
        g_dir_close(dir);
    }
    g_rmdir(path);
}

/* ---- the relay -------------------------------------------------------- */

static void set_path(struct sockaddr_un *address, const char *path)
{
    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    g_strlcpy(address->sun_path, path, sizeof address->sun_path);
}

int bench_listen(const char *path)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    set_path(&address, path);
    bench_must(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
                   listen(fd, 128) == 0,
               path);
    return fd;
}

int bench_connect(const char *path)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    set_path(&address, path);
    bench_must(connect(fd, (struct sockaddr *)&address, sizeof address) == 0,
               path);
    return fd;
}

static bool pass(int from, int to)
{
    union {
        char bytes[CMSG_SPACE(28 * sizeof(int))];
        struct cmsghdr align;
    } control;
    char data[65536];
    struct iovec iov = { data, sizeof data };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = &control,
                          .msg_controllen = sizeof control };
    ssize_t n = recvmsg(from, &msg, MSG_CMSG_CLOEXEC);
    struct cmsghdr *cmsg;
    bool good;

    if (n <= 0) {
        return false;
    }
    iov.iov_len = (size_t)n;
    cmsg = CMSG_FIRSTHDR(&msg);
    good = sendmsg(to, &msg, MSG_NOSIGNAL) == n;
    if (cmsg) {
        const int *fds = (const int *)(const void *)CMSG_DATA(cmsg);

        for (size_t i = 0; i < (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof *fds;
             i++) {
            close(fds[i]);
        }
    }
    return good;
}

void bench_relay(int listener, const char *upstream)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        int a = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        int b = bench_connect(upstream);
        struct pollfd p[2] = { { a, POLLIN, 0 }, { b, POLLIN, 0 } };
        bool good = true;

        while (good && poll(p, 2, -1) > 0) {
            good = (!p[0].revents || pass(a, b)) &&
                   (!p[1].revents || pass(b, a));
        }
        close(a);
        close(b);
    }
}

/* ---- figures ---------------------------------------------------------- */

struct bench_figure *bench_figure(const char *group, const char *name,
                                  const char *unit, bool more, const char *base)
{
    struct bench_figure *figure = g_new0(struct bench_figure, 1);

    *figure = (struct bench_figure){ group, name, unit,
                                     base,  more, g_ptr_array_new() };
    return figure;
}

static struct series *series_of(struct bench_figure *figure, const char *name)
{
    struct series *series;

    for (guint i = 0; i < figure->series->len; i++) {
        series = figure->series->pdata[i];
        if (strcmp(series->name, name) == 0) {
            return series;
        }
    }
    series = g_new0(struct series, 1);
    series->name = g_strdup(name);
    series->samples = g_array_new(FALSE, FALSE, sizeof(double));
    series->notes = g_string_new(NULL);
    g_ptr_array_add(figure->series, series);
    return series;
}

void bench_sample(struct bench_figure *figure, const char *series, double value)
{
    g_array_append_val(series_of(figure, series)->samples, value);
}

void bench_note(struct bench_figure *figure, const char *series,
                const char *what, double value)
{
    g_string_append_printf(series_of(figure, series)->notes, ", \"%s\": %.3f",
                           what, value);
}

static void write_json(const struct bench_figure *figure)
{
    const char *path = g_getenv("VWL_BENCH_JSON");
    FILE *file = path ? fopen(path, "ae") : NULL;

    if (!file) {
        return;
    }
    fprintf(file,
            "{\"group\": \"%s\", \"name\": \"%s\", \"unit\": \"%s\", "
            "\"more\": %s, \"base\": \"%s\", \"series\": [",
            figure->group, figure->name, figure->unit,
            figure->more ? "true" : "false", figure->base);
    for (guint i = 0; i < figure->series->len; i++) {
        const struct series *series = figure->series->pdata[i];

        fprintf(file, "%s{\"name\": \"%s\"%s, \"samples\": [", i ? ", " : "",
                series->name, series->notes->str);
        for (guint j = 0; j < series->samples->len; j++) {
            fprintf(file, "%s%.4f", j ? ", " : "",
                    g_array_index(series->samples, double, j));
        }
        fprintf(file, "]}");
    }
    fprintf(file, "]}\n");
    fclose(file);
}

static double middle(const struct series *series)
{
    double *copy = g_memdup2(series->samples->data,
                             series->samples->len * sizeof *copy);
    double m = series->samples->len
                   ? bench_quantile(copy, series->samples->len, 0.5)
                   : 0;

    g_free(copy);
    return m;
}

void bench_done(struct bench_figure *figure)
{
    double base = middle(series_of(figure, figure->base));

    write_json(figure);
    printf("%-9s %-34s", figure->group, figure->name);
    for (guint i = 0; i < figure->series->len; i++) {
        struct series *series = figure->series->pdata[i];

        printf("  %s %.4g", series->name, middle(series));
        if (strcmp(series->name, figure->base) != 0) {
            printf(" (%.2fx)", middle(series) / base);
        }
        g_string_free(series->notes, TRUE);
        g_array_unref(series->samples);
        g_free(series->name);
        g_free(series);
    }
    printf("  [%s]\n", figure->unit);
    g_ptr_array_unref(figure->series);
    g_free(figure);
}
