/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device ABI as an outsider meets it: hosts that are older or newer than
 * the plugin, start and stop from every thread.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vhost-user-wl/plugin.h"

#include "abi-v1.h"

static const struct vwl_plugin *plugin;

static unsigned int count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned int n = 0;

    while (readdir(dir)) {
        n++;
    }
    closedir(dir);
    return n;
}

static struct vwl_device *new_device(const struct vwl_host *host)
{
    struct vwl_socket sock = { "", "/nonexistent/wayland-0" };
    struct vwl_config config = { .size = sizeof config,
                                 .sockets = &sock,
                                 .n_sockets = 1 };
    struct vwl_device *device = NULL;

    g_assert_cmpint(plugin->device_new(&config, host, &device), ==, 0);
    g_assert_nonnull(device);
    return device;
}

static void pair(int sv[2])
{
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), ==,
                    0);
}

/* GET_FEATURES and its answer, literally; bit 30 and bits 1 to 3 are there. */
static void ask_features(int fd, GMainContext *context)
{
    static const uint8_t request[12] = { 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0 };
    static const uint8_t header[12] = { 1, 0, 0, 0, 5, 0, 0, 0, 8, 0, 0, 0 };
    uint8_t reply[20];
    uint64_t features;
    size_t got = 0;
    gint64 end = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;

    g_assert_cmpint(send(fd, request, sizeof request, 0), ==, 12);
    while (got < sizeof reply) {
        ssize_t n = recv(fd, reply + got, sizeof reply - got, MSG_DONTWAIT);

        g_assert_true(n > 0 || (n < 0 && errno == EAGAIN));
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        if (n > 0) {
            got += (size_t)n;
        } else if (context) {
            g_main_context_iteration(context, FALSE);
        } else {
            g_usleep(500);
        }
    }
    g_assert_cmpmem(reply, 12, header, 12);
    memcpy(&features, reply + 12, 8);
    /* not bit 3: who asks has not said that it can map */
    g_assert_cmphex(features & 0x4000000e, ==, 0x40000006);
}

static void test_table(void)
{
    g_assert_cmpuint(plugin->size, >=, abi_v1_plugin_bytes);
    g_assert_cmpuint(plugin->abi, ==, 1);
    g_assert_nonnull(plugin->version);
}

struct logged {
    unsigned int lines;
    char last[256];
};

static void keep_log(void *opaque, enum vwl_log_level level, const char *line)
{
    struct logged *logged = opaque;

    logged->lines++;
    g_strlcpy(logged->last, line, sizeof logged->last);
    g_assert_null(strchr(line, '\n'));
}

static void test_refuses(void)
{
    struct logged logged = { 0 };
    struct vwl_host host = { .size = sizeof host,
                             .opaque = &logged,
                             .log = keep_log };
    struct vwl_socket good = { "", "/a" };
    struct vwl_socket twice[2] = { { "x", "/a" }, { "x", "/b" } };
    struct vwl_socket no_path = { "x", "" };
    struct vwl_socket long_name = { "123456789012345678901234567890123", "/a" };
    struct vwl_socket not_utf8 = { "\xff", "/a" };
    char long_path[200];
    struct vwl_socket too_long = { "", long_path };
    struct vwl_config cases[] = {
        { .size = 4 },
        { .size = sizeof cases[0], .shm_window = 12288 },
        { .size = sizeof cases[0], .shm_window = 2048 },
        { .size = sizeof cases[0], .shm_window = UINT64_C(1) << 44 },
        { .size = sizeof cases[0], .sockets = twice, .n_sockets = 2 },
        { .size = sizeof cases[0], .sockets = &no_path, .n_sockets = 1 },
        { .size = sizeof cases[0], .sockets = &long_name, .n_sockets = 1 },
        { .size = sizeof cases[0], .sockets = &not_utf8, .n_sockets = 1 },
        { .size = sizeof cases[0], .sockets = &too_long, .n_sockets = 1 },
        { .size = sizeof cases[0], .sockets = NULL, .n_sockets = 1 },
        { .size = sizeof cases[0], .poll_us = 10001 },
    };
    struct vwl_config fine = { .size = sizeof fine,
                               .sockets = &good,
                               .n_sockets = 1,
                               .shm_window = 4096 };
    struct vwl_device *device = (struct vwl_device *)&host;

    memset(long_path, 'a', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_cmpint(plugin->device_new(&cases[i], &host, &device), ==,
                        -EINVAL);
        g_assert_true(device == (struct vwl_device *)&host); /* untouched */
    }
    g_assert_cmpuint(logged.lines, >=, 8);
    g_assert_cmpint(plugin->device_new(&fine, &host, &device), ==, 0);
    plugin->device_free(device);
    plugin->device_free(NULL);
}

/* A host that knows only the first fields, and one that knows more. */
static void test_sizes(void)
{
    struct {
        struct vwl_config config;
        char more[64];
    } newer;
    struct {
        struct vwl_stats stats;
        uint64_t more[4];
    } newer_stats;
    struct vwl_config older = { .size = offsetof(struct vwl_config,
                                                 shm_window) };
    struct vwl_host old_host = { .size = offsetof(struct vwl_host, shm_map) };
    struct vwl_stats stats;
    struct vwl_device *device;

    /* garbage behind the older host's size must not be looked at */
    memset((char *)&older + older.size, 0xff, sizeof older - older.size);
    memset((char *)&old_host + old_host.size, 0xff,
           sizeof old_host - old_host.size);
    older.sockets = NULL;
    older.n_sockets = 0;
    g_assert_cmpint(plugin->device_new(&older, &old_host, &device), ==, 0);
    memset(&stats, 0xee, sizeof stats);
    stats.size = offsetof(struct vwl_stats, contexts);
    g_assert_cmpint(plugin->device_stats(device, &stats), ==, 0);
    g_assert_cmpuint(stats.vfds, ==, 0);
    g_assert_cmphex(stats.contexts, ==, 0xeeeeeeeeeeeeeeee);
    plugin->device_free(device);

    memset(&newer, 0, sizeof newer);
    newer.config.size = sizeof newer;
    memset(newer.more, 0xff, sizeof newer.more);
    g_assert_cmpint(plugin->device_new(&newer.config, NULL, &device), ==, 0);
    memset(&newer_stats, 0xee, sizeof newer_stats);
    newer_stats.stats.size = sizeof newer_stats;
    g_assert_cmpint(plugin->device_stats(device, &newer_stats.stats), ==, 0);
    g_assert_cmpuint(newer_stats.stats.size, ==, sizeof newer_stats);
    g_assert_cmpuint(newer_stats.more[3], ==, 0);
    stats.size = 4;
    g_assert_cmpint(plugin->device_stats(device, &stats), ==, -EINVAL);
    plugin->device_free(device);
}

static void test_features(void)
{
    struct vwl_config config = { .size = sizeof config,
                                 .features_off = UINT64_C(1) << 34,
                                 .protocol_features_off = 1 << 12,
                                 .protocol_features_on = 1 << 15 | 1 << 8 };
    struct vwl_device *device;
    uint64_t features, protocol;

    g_assert_cmpint(plugin->device_new(NULL, NULL, &device), ==, 0);
    plugin->device_features(device, &features, &protocol);
    g_assert_cmphex(features, ==, 0x0000000774000000 | 0xe);
    g_assert_cmphex(protocol & 1 << 15, ==, 0);
    g_assert_cmphex(protocol & 1 << 12, !=, 0);
    plugin->device_free(device);

    g_assert_cmpint(plugin->device_new(&config, NULL, &device), ==, 0);
    plugin->device_features(device, &features, NULL);
    g_assert_cmphex(features & UINT64_C(1) << 34, ==, 0);
    plugin->device_features(device, NULL, &protocol);
    g_assert_cmphex(protocol & 1 << 15, !=, 0);
    g_assert_cmphex(protocol & 1 << 12, ==, 0);
    g_assert_cmphex(protocol & 1 << 8, ==, 0); /* never: not implemented */
    plugin->device_free(device);
}

static void on_disconnected(void *opaque)
{
    g_atomic_int_inc((gint *)opaque);
}

static void wait_for(gint *flag, gint value, GMainContext *context)
{
    gint64 end = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;

    while (g_atomic_int_get(flag) != value) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        if (context) {
            g_main_context_iteration(context, FALSE);
        } else {
            g_usleep(500);
        }
    }
}

static void test_own_thread(void)
{
    gint gone = 0;
    struct vwl_host host = { .size = sizeof host,
                             .opaque = &gone,
                             .disconnected = on_disconnected };
    struct vwl_stats stats = { .size = sizeof stats };
    unsigned int before = count_fds();
    struct vwl_device *device = new_device(&host);

    for (int round = 0; round < 20; round++) {
        int sv[2], fd;

        pair(sv);
        fd = sv[1];
        g_assert_cmpint(plugin->device_start(device, NULL, &sv[1]), ==, 0);
        g_assert_cmpint(sv[1], ==, -1);
        g_assert_cmpint(plugin->device_start(device, NULL, &fd), ==, -EBUSY);
        ask_features(sv[0], NULL);
        if (round % 2) {
            close(sv[0]);
            wait_for(&gone, 1, NULL);
            gone = 0;
            plugin->device_stop(device);
        } else {
            plugin->device_stop(device);
            g_assert_cmpint(g_atomic_int_get(&gone), ==, 0);
            /* our end sees that the device is gone */
            g_assert_cmpint(recv(sv[0], &fd, 1, 0), ==, 0);
            close(sv[0]);
        }
        plugin->device_stop(device); /* harmless */
    }
    g_assert_cmpint(plugin->device_stats(device, &stats), ==, 0);
    g_assert_cmpuint(stats.sessions, ==, 20);
    plugin->device_free(device);
    g_assert_cmpuint(count_fds(), ==, before);
}

static gpointer iterate(gpointer data)
{
    g_main_loop_run(data);
    return NULL;
}

static void test_host_context(void)
{
    GMainContext *context = g_main_context_new();
    GMainLoop *loop = g_main_loop_new(context, FALSE);
    gint gone = 0;
    struct vwl_host host = { .size = sizeof host,
                             .opaque = &gone,
                             .disconnected = on_disconnected };
    struct vwl_device *device = new_device(&host);
    GThread *thread;
    int sv[2];

    /* iterated here */
    pair(sv);
    g_assert_cmpint(plugin->device_start(device, context, &sv[1]), ==, 0);
    ask_features(sv[0], context);
    plugin->device_stop(device);
    close(sv[0]);
    while (g_main_context_iteration(context, FALSE)) {
        ;
    }
    g_assert_cmpint(gone, ==, 0);

    /* iterated in another thread while this one stops it, many times */
    thread = g_thread_new("loop", iterate, loop);
    for (int i = 0; i < 200; i++) {
        pair(sv);
        g_assert_cmpint(plugin->device_start(device, context, &sv[1]), ==, 0);
        if (i % 3 == 0) {
            ask_features(sv[0], NULL);
        } else if (i % 3 == 1) {
            g_assert_cmpint(send(sv[0], "\x01\0\0\0\x01\0\0\0\0\0\0\0", 12, 0),
                            ==, 12);
        } else {
            close(sv[0]);
            sv[0] = -1;
        }
        plugin->device_stop(device);
        gone = 0; /* may have come before the stop, never after */
        if (sv[0] >= 0) {
            close(sv[0]);
        }
        g_assert_cmpint(g_atomic_int_get(&gone), ==, 0);
    }
    g_main_loop_quit(loop);
    g_thread_join(thread);

    /* nobody iterates any more */
    pair(sv);
    g_assert_cmpint(plugin->device_start(device, context, &sv[1]), ==, 0);
    close(sv[0]);
    plugin->device_stop(device);
    g_assert_cmpint(gone, ==, 0);
    plugin->device_free(device);
    g_main_loop_unref(loop);
    g_main_context_unref(context);
}

static void test_suspend(void)
{
    struct vwl_device *device = new_device(NULL);
    int sv[2];

    g_assert_cmpint(plugin->device_suspend(device, 1), ==, -ENOTCONN);
    g_assert_cmpint(plugin->device_pipe(device, 1), ==, -ENOTCONN);
    pair(sv);
    g_assert_cmpint(plugin->device_start(device, NULL, &sv[1]), ==, 0);
    g_assert_cmpint(plugin->device_suspend(device, 1), ==, 0);
    ask_features(sv[0], NULL); /* requests are still answered */
    g_assert_cmpint(plugin->device_suspend(device, 0), ==, 0);
    ask_features(sv[0], NULL);
    plugin->device_free(device);
    close(sv[0]);
}

static void test_bad_start(void)
{
    struct vwl_device *device = new_device(NULL);
    int fd = -1;

    g_assert_cmpint(plugin->device_start(device, NULL, &fd), ==, -EBADF);
    g_assert_cmpint(fd, ==, -1);
    plugin->device_free(device);
}

/* The plugin's thread has every signal blocked: a signal that only it could
 * take stays pending for the process. */
static void test_signals(void)
{
    struct vwl_device *device = new_device(NULL);
    sigset_t set, pending;
    int sv[2];

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pair(sv);
    g_assert_cmpint(plugin->device_start(device, NULL, &sv[1]), ==, 0);
    pthread_sigmask(SIG_SETMASK, NULL, &pending);
    g_assert_cmpint(sigismember(&pending, SIGUSR2), ==, 0); /* ours is kept */
    kill(getpid(), SIGUSR1); /* would end the process if a thread took it */
    ask_features(sv[0], NULL);
    sigpending(&pending);
    g_assert_cmpint(sigismember(&pending, SIGUSR1), ==, 1);
    plugin->device_free(device);
    close(sv[0]);
    g_assert_cmpint(sigtimedwait(&set, NULL, &(struct timespec){ 1, 0 }), ==,
                    SIGUSR1);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* Two devices of one process, each with a front-end of its own. */
static void test_two(void)
{
    struct vwl_device *a = new_device(NULL), *b = new_device(NULL);
    struct vwl_stats stats = { .size = sizeof stats };
    int sa[2], sb[2];

    pair(sa);
    pair(sb);
    g_assert_cmpint(plugin->device_start(a, NULL, &sa[1]), ==, 0);
    g_assert_cmpint(plugin->device_start(b, NULL, &sb[1]), ==, 0);
    ask_features(sa[0], NULL);
    plugin->device_free(a);
    ask_features(sb[0], NULL);
    plugin->device_stats(b, &stats);
    g_assert_cmpuint(stats.sessions, ==, 1);
    plugin->device_free(b);
    close(sa[0]);
    close(sb[0]);
}

int main(int argc, char **argv)
{
    const char *path = g_getenv("VWL_PLUGIN");
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    vwl_plugin_get_fn get;

    g_test_init(&argc, &argv, NULL);
    if (!module) {
        g_error("%s", dlerror());
    }
    *(void **)&get = dlsym(module, VWL_PLUGIN_ENTRY);
    plugin = get();
    g_test_add_func("/abi/table", test_table);
    g_test_add_func("/abi/refuses", test_refuses);
    g_test_add_func("/abi/sizes", test_sizes);
    g_test_add_func("/abi/features", test_features);
    g_test_add_func("/abi/own-thread", test_own_thread);
    g_test_add_func("/abi/host-context", test_host_context);
    g_test_add_func("/abi/suspend", test_suspend);
    g_test_add_func("/abi/bad-start", test_bad_start);
    g_test_add_func("/abi/signals", test_signals);
    g_test_add_func("/abi/two", test_two);
    return g_test_run();
}
