/* SPDX-License-Identifier: BSD-3-Clause */
#include "wait.h"

#include <glib.h>
#include <sys/epoll.h>
#include <unistd.h>

/* GLib's function has no room for data. */
static const struct vwl_plugin *the_plugin;
static struct vwl_device *the_device;

/* For one turn: what is closed or comes in the next one is not in it. */
static int make_set(const GPollFD *fds, guint n)
{
    int set = epoll_create1(EPOLL_CLOEXEC);

    for (guint i = 0; i < n && set >= 0; i++) {
        struct epoll_event event = { .events = fds[i].events };

        if (fds[i].events &&
            epoll_ctl(set, EPOLL_CTL_ADD, fds[i].fd, &event) < 0) {
            close(set);
            set = -1;
        }
    }
    return set;
}

/* Where there is no such set: the device is one of many. */
static gint poll_together(GPollFD *fds, guint n, gint timeout)
{
    GPollFD *all = g_new(GPollFD, n + 1);
    gint ready;

    for (guint i = 0; i < n; i++) {
        all[i] = fds[i];
    }
    all[n] = (GPollFD){ .fd = the_plugin->device_fd(the_device),
                        .events = G_IO_IN };
    ready = g_poll(all, n + 1, timeout);
    for (guint i = 0; i < n; i++) {
        fds[i].revents = all[i].revents;
    }
    if (ready > 0 && all[n].revents) {
        ready--;
        the_plugin->device_dispatch(the_device, -1, 0);
    }
    g_free(all);
    return ready;
}

static gint wait_for_all(GPollFD *fds, guint n, gint timeout)
{
    int set, err;

    if (the_plugin->device_fd(the_device) < 0) {
        return g_poll(fds, n, timeout);
    }
    set = make_set(fds, n);
    if (set < 0) {
        return poll_together(fds, n, timeout);
    }
    err = the_plugin->device_dispatch(the_device, set, timeout);
    close(set);
    return err < 0 ? poll_together(fds, n, timeout) : g_poll(fds, n, 0);
}

int vwl_wait_start(const struct vwl_plugin *plugin, struct vwl_device *device,
                   int *fd)
{
    const size_t needed = G_STRUCT_OFFSET(struct vwl_plugin, device_dispatch) +
                          sizeof plugin->device_dispatch;

    if (plugin->size < needed || !plugin->device_dispatch) {
        return plugin->device_start(device, g_main_context_default(), fd);
    }
    the_plugin = plugin;
    the_device = device;
    g_main_context_set_poll_func(NULL, wait_for_all);
    return plugin->device_attach(device, fd);
}

void vwl_wait_note(void)
{
    g_main_context_wakeup(NULL);
}
