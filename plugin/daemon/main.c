/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user-wl: the stand-alone daemon. A host like any other: it loads the
 * plugin, gives it one front-end's socket after the other, and uses nothing
 * but the public ABI. One thread; the device's sources run on the default
 * context.
 */
#include <dlfcn.h>
#include <errno.h>
#include <glib-unix.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connector.h"
#include "listener.h"
#include "options.h"
#include "resources.h"
#include "sandbox.h"
#include "vhost-user-wl/plugin.h"

/* Room for what --probe prints: more than a compositor is remembered for. */
#define PROBE_TEXT_BYTES (1024 * 1024)

/* A failed accept is tried again after this pause. */
#define ACCEPT_PAUSE_MS 100

struct daemon {
    struct options options;
    const struct vwl_plugin *plugin;
    struct vwl_host host;
    struct vwl_device *device;
    struct listener listener;
    struct connector connector;
    struct resources *resources;
    GMainLoop *loop;
    guint watch; /* of the listener, while no front-end is served */
    int status;
    int probe_end; /* of our own front-end, for --probe */
    gint64 probe_until_us;
};

static void listen_again(struct daemon *daemon);

static void on_log(void *opaque, enum vwl_log_level level, const char *line)
{
    static const char *const names[] = { "error", "warning", "info", "debug" };
    const struct daemon *daemon = opaque;

    if (level < VWL_LOG_DEBUG || daemon->options.verbose) {
        fprintf(stderr, "vhost-user-wl: %s: %s\n",
                names[MIN((unsigned int)level, 3u)], line);
    }
}

static bool load(struct daemon *daemon, GError **error)
{
    const char *path = daemon->options.plugin;
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    vwl_plugin_get_fn get;

    if (!module) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                    "cannot load the plugin: %s", dlerror());
        return false;
    }
    *(void **)&get = dlsym(module, VWL_PLUGIN_ENTRY);
    if (!get) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                    "%s is not a vhost-user-wl plugin: it has no symbol %s",
                    path, VWL_PLUGIN_ENTRY);
        return false;
    }
    daemon->plugin = get();
    if (daemon->plugin->abi != VWL_PLUGIN_ABI ||
        daemon->plugin->size <
            G_STRUCT_OFFSET(struct vwl_plugin, device_features) +
                sizeof(void *)) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                    "%s has ABI %u (size %zu), this daemon needs ABI %u "
                    "(size %zu)",
                    path, daemon->plugin->abi, daemon->plugin->size,
                    VWL_PLUGIN_ABI, sizeof(struct vwl_plugin));
        return false;
    }
    return true;
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
        limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void quit(struct daemon *daemon, int status)
{
    daemon->status = status;
    g_main_loop_quit(daemon->loop);
}

/* Out of the plugin's callback: it must not be called back from there. */
static gboolean after_disconnect(gpointer data)
{
    struct daemon *daemon = data;

    daemon->plugin->device_stop(daemon->device);
    if (daemon->options.exit_on_disconnect || daemon->listener.fd < 0) {
        quit(daemon, 0);
    } else {
        listen_again(daemon);
    }
    return G_SOURCE_REMOVE;
}

static void on_disconnected(void *opaque)
{
    g_idle_add_full(G_PRIORITY_HIGH, after_disconnect, opaque, NULL);
}

static void on_broken(void *opaque, int err, const char *why)
{
    fprintf(stderr, "vhost-user-wl: the device is broken: %s: %s\n", why,
            g_strerror(-err));
    quit(opaque, 1);
}

static int on_socket_connect(void *opaque, size_t index, int *fd)
{
    const struct daemon *daemon = opaque;

    return connector_connect(&daemon->connector, index, fd);
}

static int on_foreign_request(void *opaque, uint32_t kind, uint64_t id, int *fd)
{
    const struct daemon *daemon = opaque;

    return resources_request(daemon->resources, kind, id, fd);
}

static bool serve(struct daemon *daemon, int fd)
{
    int err = daemon->plugin->device_start(daemon->device,
                                           g_main_context_default(), &fd);

    if (err < 0) {
        fprintf(stderr, "vhost-user-wl: cannot serve: %s\n", g_strerror(-err));
        if (fd >= 0) {
            close(fd);
        }
    }
    return err == 0;
}

static gboolean after_pause(gpointer data)
{
    listen_again(data);
    return G_SOURCE_REMOVE;
}

static gboolean on_connection(gint fd, GIOCondition condition, gpointer data)
{
    struct daemon *daemon = data;
    int connection = listener_accept(&daemon->listener);

    if (connection == -EAGAIN) {
        return G_SOURCE_CONTINUE;
    }
    daemon->watch = 0;
    if (connection < 0) {
        fprintf(stderr, "vhost-user-wl: accept: %s\n", g_strerror(-connection));
    }
    if (connection < 0 || !serve(daemon, connection)) {
        g_timeout_add(ACCEPT_PAUSE_MS, after_pause, daemon);
    }
    return G_SOURCE_REMOVE;
}

static void listen_again(struct daemon *daemon)
{
    if (!daemon->watch) {
        daemon->watch = g_unix_fd_add(daemon->listener.fd, G_IO_IN,
                                      on_connection, daemon);
    }
}

static gboolean on_signal(gpointer data)
{
    quit(data, 0);
    return G_SOURCE_CONTINUE;
}

/* ---- --probe ------------------------------------------------------------ */

#define PROBE_POLL_MS 20
#define PROBE_TOTAL_US (5 * 1000 * 1000)

static gboolean look_at_probe(gpointer data)
{
    struct daemon *daemon = data;
    char *text = g_malloc(PROBE_TEXT_BYTES);
    int n = daemon->plugin->device_probe(daemon->device, text,
                                         PROBE_TEXT_BYTES);

    if (n == -EAGAIN && g_get_monotonic_time() < daemon->probe_until_us) {
        g_free(text);
        return G_SOURCE_CONTINUE;
    }
    if (n >= 0) {
        fputs(text, stdout);
        quit(daemon, ferror(stdout) || fflush(stdout) != 0);
    } else {
        fprintf(stderr, "vhost-user-wl: the compositor says nothing: %s\n",
                g_strerror(-n));
        quit(daemon, 1);
    }
    g_free(text);
    return G_SOURCE_REMOVE;
}

/* The device wants a front-end: it gets one that says nothing. */
static bool open_probe(struct daemon *daemon, GError **error)
{
    int sv[2];

    if (daemon->plugin->size <
            G_STRUCT_OFFSET(struct vwl_plugin, device_probe) + sizeof(void *) ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                    "this plugin cannot probe");
        return false;
    }
    daemon->probe_end = sv[1];
    daemon->probe_until_us = g_get_monotonic_time() + PROBE_TOTAL_US;
    g_timeout_add(PROBE_POLL_MS, look_at_probe, daemon);
    return serve(daemon, sv[0]);
}

static bool open_socket(struct daemon *daemon, GError **error)
{
    const struct options *options = &daemon->options;
    int listening = 0;
    socklen_t size = sizeof listening;

    if (options->probe) {
        return open_probe(daemon, error);
    }
    if (options->socket_path) {
        if (!listener_open(&daemon->listener, options->socket_path, error)) {
            return false;
        }
        listen_again(daemon);
        return true;
    }
    if (getsockopt(options->fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) <
        0) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                    "--fd=%d is not a socket", options->fd);
        return false;
    }
    if (listening) {
        if (!listener_adopt(&daemon->listener, options->fd, error)) {
            return false;
        }
        listen_again(daemon);
        return true;
    }
    if (!serve(daemon, options->fd)) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                    "--fd=%d cannot be served", options->fd);
        return false;
    }
    return true;
}

static bool start_connector(struct daemon *daemon, GError **error)
{
    int err = connector_start(&daemon->connector, &daemon->options,
                              sandbox_enter_connector);

    if (err < 0) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                    "no process for the connector: %s", g_strerror(-err));
    }
    return err == 0;
}

static bool run(struct daemon *daemon, GError **error)
{
    sigset_t ends, before;
    int err;

    if ((daemon->options.sandbox && !start_connector(daemon, error)) ||
        !load(daemon, error)) {
        return false;
    }
    if (daemon->options.resources) {
        daemon->resources = resources_create(daemon->options.resources, error);
        if (!daemon->resources) {
            return false;
        }
    }
    daemon->host = (struct vwl_host){
        .size = sizeof daemon->host,
        .opaque = daemon,
        .log = on_log,
        .disconnected = on_disconnected,
        .broken = on_broken,
        .socket_connect = daemon->options.sandbox ? on_socket_connect : NULL,
        .foreign_request = daemon->resources ? on_foreign_request : NULL,
    };
    err = daemon->plugin->device_new(&daemon->options.config, &daemon->host,
                                     &daemon->device);
    if (err < 0) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                    "the device refuses its configuration: %s",
                    g_strerror(-err));
        return false;
    }
    /* Held back before anybody can see the socket and send one: GLib starts a
     * thread for signals, and the sandbox wants to be there before it. */
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, &before);
    if (!open_socket(daemon, error)) {
        return false;
    }
    if (daemon->options.sandbox) {
        sandbox_enter(&daemon->options);
    }
    g_unix_signal_add(SIGTERM, on_signal, daemon);
    g_unix_signal_add(SIGINT, on_signal, daemon);
    sigprocmask(SIG_SETMASK, &before, NULL);
    g_main_loop_run(daemon->loop);
    return true;
}

int main(int argc, char **argv)
{
    struct daemon daemon = { .listener = { .fd = -1, .reserve = -1 },
                             .connector = { .fd = -1 },
                             .probe_end = -1 };
    GError *error = NULL;

    setlocale(LC_ALL, "");
    if (!options_parse(argc, argv, &daemon.options, &error)) {
        fprintf(stderr, "vhost-user-wl: %s\n", error->message);
        g_error_free(error);
        options_finish(&daemon.options);
        return 2;
    }
    if (daemon.options.print_version) {
        printf("vhost-user-wl %s (plugin ABI %u)\n", VWL_VERSION,
               VWL_PLUGIN_ABI);
    } else if (daemon.options.print_capabilities) {
        printf("{\n  \"type\": \"wl\",\n  \"features\": []\n}\n");
    } else {
        raise_descriptor_limit();
        daemon.loop = g_main_loop_new(NULL, FALSE);
        if (!run(&daemon, &error)) {
            fprintf(stderr, "vhost-user-wl: %s\n", error->message);
            g_error_free(error);
            daemon.status = 1;
        }
        if (daemon.device) {
            daemon.plugin->device_free(daemon.device);
        }
        resources_destroy(daemon.resources);
        connector_stop(&daemon.connector, daemon.listener.path != NULL);
        listener_close(&daemon.listener);
        g_main_loop_unref(daemon.loop);
    }
    options_finish(&daemon.options);
    return daemon.status;
}
