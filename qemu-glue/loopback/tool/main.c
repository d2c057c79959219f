/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio-wl-loopback: the whole device without a VM. Programs of this machine
 * connect to --listen; everything they say goes through the guest's bridge, a
 * guest driver in user space, the rings, the device (in this process, or a
 * daemon's) and to the host's compositor.
 */
#include <errno.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../guest/transport.h"
#include "../transport_daemon.h"
#include "bridge.h"
#include "device.h"

struct tool {
    char *upstream, *listen, *daemon_socket, *plugin;
    char *title_prefix, *app_id_prefix;
    gboolean trace, verbose, version;
    GMainLoop *loop;
    int status;
};

static bool parse(struct tool *tool, int argc, char **argv, GError **error)
{
    const GOptionEntry entries[] = {
        { "wayland-sock", 0, 0, G_OPTION_ARG_FILENAME, &tool->upstream,
          "The host compositor's socket; the device runs in this process",
          "PATH" },
        { "daemon-socket", 0, 0, G_OPTION_ARG_FILENAME, &tool->daemon_socket,
          "A vhost-user-wl daemon's socket; it knows the compositor",
          "PATH" },
        { "listen", 0, 0, G_OPTION_ARG_FILENAME, &tool->listen,
          "The socket that programs connect to", "PATH" },
        { "plugin", 0, 0, G_OPTION_ARG_FILENAME, &tool->plugin,
          "The device plugin", "FILE" },
        { "title-prefix", 0, 0, G_OPTION_ARG_STRING, &tool->title_prefix,
          "Put before every window's title", "TEXT" },
        { "app-id-prefix", 0, 0, G_OPTION_ARG_STRING, &tool->app_id_prefix,
          "Put before every window's app id", "TEXT" },
        { "trace", 0, 0, G_OPTION_ARG_NONE, &tool->trace,
          "Print every message", NULL },
        { "verbose", 0, 0, G_OPTION_ARG_NONE, &tool->verbose,
          "Print what the device says", NULL },
        { "version", 0, 0, G_OPTION_ARG_NONE, &tool->version,
          "Print the version", NULL },
        { NULL, 0, 0, 0, NULL, NULL, NULL },
    };
    GOptionContext *context = g_option_context_new("- virtio-wl without a VM");
    bool ok;

    g_option_context_add_main_entries(context, entries, NULL);
    ok = g_option_context_parse(context, &argc, &argv, error);
    g_option_context_free(context);
    if (ok && !tool->version &&
        (argc > 1 || tool->listen == NULL ||
         (tool->upstream != NULL) == (tool->daemon_socket != NULL))) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "give --listen=PATH and either --wayland-sock=PATH or "
                    "--daemon-socket=PATH");
        return false;
    }
    return ok;
}

static bool is_served(const struct sockaddr_un *addr)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool served = fd >= 0 &&
        connect(fd, (const struct sockaddr *)addr, sizeof *addr) == 0;

    if (fd >= 0) {
        close(fd);
    }
    return served;
}

static int listen_at(const char *path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd, r;

    if (strlen(path) >= sizeof addr.sun_path) {
        return -ENAMETOOLONG;
    }
    strcpy(addr.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -errno;
    }
    r = bind(fd, (struct sockaddr *)&addr, sizeof addr);
    if (r < 0 && errno == EADDRINUSE && !is_served(&addr)) {
        unlink(path);
        r = bind(fd, (struct sockaddr *)&addr, sizeof addr);
    }
    if (r < 0 || listen(fd, 128) < 0) {
        r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

static void on_gone(void *opaque)
{
    struct tool *tool = opaque;

    fprintf(stderr, "virtio-wl-loopback: the device is gone\n");
    tool->status = 1;
    g_main_loop_quit(tool->loop);
}

static gboolean on_signal(gpointer data)
{
    g_main_loop_quit(data);
    return G_SOURCE_CONTINUE;
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void serve(struct tool *tool, struct vwl_transport *transport, int fd)
{
    const struct vwl_bridge_options options = {
        .title_prefix = tool->title_prefix,
        .app_id_prefix = tool->app_id_prefix,
        .trace = tool->trace, .gone = on_gone, .opaque = tool,
    };
    struct vwl_bridge *bridge = vwl_bridge_new(transport, &options);

    tool->loop = g_main_loop_new(NULL, FALSE);
    g_unix_signal_add(SIGTERM, on_signal, tool->loop);
    g_unix_signal_add(SIGINT, on_signal, tool->loop);
    vwl_bridge_listen(bridge, fd);
    g_main_loop_run(tool->loop);
    vwl_bridge_free(bridge);
    g_main_loop_unref(tool->loop);
}

static bool run(struct tool *tool, GError **error)
{
    struct vwl_transport *transport = NULL;
    struct device *device = NULL;
    int fd = -1, listener = -1;

    if (tool->daemon_socket != NULL) {
        transport = vwl_transport_daemon(tool->daemon_socket);
    } else {
        device = device_open(tool->plugin, tool->upstream, tool->verbose,
                             &fd, error);
        if (device == NULL) {
            return false;
        }
        transport = vwl_transport_connected(&fd);
    }
    if (transport == NULL) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                    "cannot reach the device: %s", g_strerror(errno));
    } else {
        listener = listen_at(tool->listen);
        if (listener < 0) {
            g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                        "cannot listen at %s: %s", tool->listen,
                        g_strerror(-listener));
        }
    }
    if (listener >= 0) {
        serve(tool, transport, listener);
        unlink(tool->listen);
        close(listener);
    }
    vwl_transport_destroy(transport);
    if (fd >= 0) {
        close(fd);
    }
    device_close(device);
    return listener >= 0;
}

int main(int argc, char **argv)
{
    struct tool tool = {0};
    GError *error = NULL;

    setlocale(LC_ALL, "");
    signal(SIGPIPE, SIG_IGN);
    if (!parse(&tool, argc, argv, &error)) {
        fprintf(stderr, "virtio-wl-loopback: %s\n", error->message);
        g_error_free(error);
        tool.status = 2;
    } else if (tool.version) {
        printf("virtio-wl-loopback %s\n", VWL_VERSION);
    } else {
        raise_descriptor_limit();
        if (!run(&tool, &error)) {
            fprintf(stderr, "virtio-wl-loopback: %s\n", error->message);
            g_error_free(error);
            tool.status = 1;
        }
    }
    g_free(tool.upstream);
    g_free(tool.listen);
    g_free(tool.daemon_socket);
    g_free(tool.plugin);
    g_free(tool.title_prefix);
    g_free(tool.app_id_prefix);
    return tool.status;
}
