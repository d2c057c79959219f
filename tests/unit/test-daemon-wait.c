/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon's main loop while the device waits for both: sources of the
 * default context run, whatever the device can do and whether there is one. The
 * plugin is a double.
 */
#include "daemon/wait.h"

#include <errno.h>
#include <glib-unix.h>
#include <glib.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct double_plugin {
    struct vwl_plugin plugin;
    int fd;  /* the device's; -1: it is not attached */
    int err; /* of its dispatch */
    unsigned int dispatches, runs;
    bool changes_sources; /* by a callback */
    bool started, attached;
} it;

static unsigned int idles;

static gboolean on_idle(gpointer data)
{
    idles++;
    return G_SOURCE_REMOVE;
}

static int start(struct vwl_device *device, GMainContext *context, int *fd)
{
    it.started = true;
    return 0;
}

static int attach(struct vwl_device *device, int *fd)
{
    it.attached = true;
    return 0;
}

static int device_fd(struct vwl_device *device)
{
    return it.fd < 0 ? -ENOTCONN : it.fd;
}

static void run_device(void)
{
    uint64_t n;

    g_assert_cmpint(read(it.fd, &n, sizeof n), ==, sizeof n);
    it.runs++;
    if (it.changes_sources) {
        it.changes_sources = false;
        g_idle_add(on_idle, NULL);
        vwl_wait_note();
    }
}

static int dispatch(struct vwl_device *device, int other, int timeout_ms)
{
    it.dispatches++;
    if (it.err < 0 && other >= 0) {
        return it.err;
    }
    for (;;) {
        struct pollfd fds[] = { { it.fd, POLLIN, 0 }, { other, POLLIN, 0 } };
        int n = poll(fds, 2, timeout_ms);

        g_assert_cmpint(n, >=, 0);
        if (fds[0].revents) {
            run_device();
        }
        if (fds[1].revents || n == 0 || timeout_ms == 0) {
            return fds[1].revents ? 1 : 0;
        }
    }
}

static void begin(size_t size)
{
    int fd = -1;

    idles = 0;
    it = (struct double_plugin){
        .plugin = { .size = size,
                    .device_start = start,
                    .device_attach = attach,
                    .device_fd = device_fd,
                    .device_dispatch = dispatch },
        .fd = eventfd(0, EFD_CLOEXEC),
    };
    g_assert_cmpint(vwl_wait_start(&it.plugin, NULL, &fd), ==, 0);
}

static void end(void)
{
    close(it.fd);
    it.fd = -1;
    g_main_context_set_poll_func(NULL, NULL);
}

static void ring(int fd)
{
    const uint64_t one = 1;

    g_assert_cmpint(write(fd, &one, sizeof one), ==, sizeof one);
}

static gboolean on_bell(gint fd, GIOCondition condition, gpointer data)
{
    unsigned int *bells = data;
    uint64_t n;

    g_assert_cmpint(read(fd, &n, sizeof n), ==, sizeof n);
    ++*bells;
    ring(it.fd);
    return G_SOURCE_CONTINUE;
}

/* Descriptors, timers and the device have their turns. */
static void turns(void)
{
    unsigned int bells = 0;
    int bell = eventfd(0, EFD_CLOEXEC);
    guint watch = g_unix_fd_add(bell, G_IO_IN, on_bell, &bells);

    for (unsigned int i = 1; i <= 5; i++) {
        ring(bell);
        while (bells < i) {
            g_main_context_iteration(NULL, TRUE);
        }
        g_timeout_add(1, on_idle, NULL);
        while (idles < i || it.runs < i) {
            g_main_context_iteration(NULL, TRUE);
        }
        g_assert_cmpuint(it.runs, ==, i);
    }
    it.changes_sources = true;
    ring(it.fd);
    while (idles < 6) {
        g_main_context_iteration(NULL, TRUE);
    }
    g_source_remove(watch);
    close(bell);
}

static void test_turns(void)
{
    begin(sizeof it.plugin);
    g_assert_true(it.attached);
    turns();
    g_assert_cmpuint(it.dispatches, >, 0);
    end();
}

/* It cannot wait for them: GLib does. */
static void test_cannot(void)
{
    begin(sizeof it.plugin);
    it.err = -ENOMEM;
    turns();
    end();
}

/* A device that was stopped, and a front-end that comes later. */
static void test_stopped(void)
{
    int fd;

    begin(sizeof it.plugin);
    fd = it.fd;
    it.fd = -1;
    it.dispatches = 0;
    g_timeout_add(1, on_idle, NULL);
    while (idles == 0) {
        g_main_context_iteration(NULL, TRUE);
    }
    g_assert_cmpuint(it.dispatches, ==, 0);
    idles = 0;
    it.fd = fd;
    turns();
    end();
}

static void test_old_plugin(void)
{
    begin(G_STRUCT_OFFSET(struct vwl_plugin, device_attach));
    g_assert_true(it.started);
    g_assert_false(it.attached);
    end();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/daemon-wait/turns", test_turns);
    g_test_add_func("/daemon-wait/cannot", test_cannot);
    g_test_add_func("/daemon-wait/stopped", test_stopped);
    g_test_add_func("/daemon-wait/old-plugin", test_old_plugin);
    return g_test_run();
}
