/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user-wl: the stand-alone daemon. A host like any other: it loads the
 * plugin, gives it one front-end's socket after the other, and uses nothing
 * but the public ABI. One thread; the device's sources run on the default
 * context.
 */
#include <errno.h>
#include <glib-unix.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connector.h"
#include "control.h"
#include "listener.h"
#include "loader.h"
#include "options.h"
#include "probe.h"
#include "resources.h"
#include "sandbox.h"
#include "say.h"
#include "vhost-user-wl/plugin.h"
#include "wait.h"

struct daemon {
    struct vwl_options options;
    const struct vwl_plugin *plugin;
    struct vwl_host host;
    struct vwl_device *device;
    struct vwl_listener listener;
    struct vwl_connector connector;
    const struct vwl_resources_calls *bridge; /* NULL: none is asked for */
    struct vwl_control control;
    struct vwl_resources *resources;
    struct vwl_probe probe;
    GMainLoop *loop;
    guint watch;   /* of the listener, while no front-end is served */
    guint waiting; /* the same while one is served: others wait there */
    int signals;
    int status;
};

static void listen_again(struct daemon *daemon);

static bool fail(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

static bool fail(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_propagate_error(error,
                      g_error_new_valist(G_FILE_ERROR, G_FILE_ERROR_FAILED,
                                         format, args));
    va_end(args);
    return false;
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

static void quit(void *opaque, int status)
{
    struct daemon *daemon = opaque;

    daemon->status = status;
    g_main_loop_quit(daemon->loop);
}

/* ---- what the device asks ----------------------------------------------- */

static void on_log(void *opaque, enum vwl_log_level level, const char *line)
{
    static const char *const names[] = { "error", "warning", "info", "debug" };
    const struct daemon *daemon = opaque;

    if (level < VWL_LOG_DEBUG || daemon->options.verbose) {
        vwl_say("%s: %s", names[MIN((unsigned int)level, 3u)], line);
    }
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
    vwl_wait_note();
}

static void on_broken(void *opaque, int err, const char *why)
{
    vwl_say("the device is broken: %s: %s", why, g_strerror(-err));
    quit(opaque, 1);
    vwl_wait_note();
}

static int on_socket_connect(void *opaque, size_t index, int *fd)
{
    const struct daemon *daemon = opaque;

    return vwl_connector_connect(&daemon->connector, index, fd);
}

static int on_socket_open(void *opaque, size_t index, int *fd)
{
    const struct daemon *daemon = opaque;

    return vwl_connector_open(&daemon->connector, &daemon->options, index, fd);
}

static int on_socket_connect_again(void *opaque, size_t index, int fd)
{
    return vwl_connector_connect_again(index, fd);
}

static int on_foreign_request(void *opaque, uint32_t kind, uint64_t id, int *fd)
{
    const struct daemon *daemon = opaque;

    vwl_wait_note();
    return daemon->bridge->request(daemon->resources, kind, id, fd);
}

static int on_transfer_request(void *opaque, size_t index, uint32_t kind,
                               uint32_t way, int *fd)
{
    struct daemon *daemon = opaque;

    vwl_wait_note();
    return vwl_control_ask(&daemon->control, kind, way, fd);
}

/* ---- front-ends --------------------------------------------------------- */

static bool serve(struct daemon *daemon, int fd)
{
    int err = vwl_wait_start(daemon->plugin, daemon->device, &fd);

    if (err < 0) {
        vwl_say("cannot serve a front-end: %s", g_strerror(-err));
        if (fd >= 0) {
            close(fd);
        }
    }
    return err == 0;
}

/* Once for each front-end that is served: it stays in the backlog. */
static gboolean on_waiting(gint fd, GIOCondition condition, gpointer data)
{
    struct daemon *daemon = data;

    daemon->waiting = 0;
    vwl_say("a second front-end has connected: %s",
            daemon->options.exit_on_disconnect
                ? "it is not served, this daemon ends with the first one "
                  "(--exit-on-disconnect)"
                : "it waits until the first one has left");
    return G_SOURCE_REMOVE;
}

static gboolean after_pause(gpointer data)
{
    listen_again(data);
    return G_SOURCE_REMOVE;
}

static gboolean on_connection(gint fd, GIOCondition condition, gpointer data)
{
    struct daemon *daemon = data;
    int connection = vwl_listener_accept(&daemon->listener);

    if (connection == -EAGAIN) {
        return G_SOURCE_CONTINUE;
    }
    daemon->watch = 0;
    if (connection < 0) {
        vwl_say("cannot accept a front-end: %s", g_strerror(-connection));
    }
    if (connection < 0 || !serve(daemon, connection)) {
        g_timeout_add(VWL_LISTENER_PAUSE_MS, after_pause, daemon);
    } else {
        daemon->waiting = g_unix_fd_add(daemon->listener.fd, G_IO_IN,
                                        on_waiting, daemon);
    }
    return G_SOURCE_REMOVE;
}

static void listen_again(struct daemon *daemon)
{
    if (daemon->waiting) {
        g_source_remove(daemon->waiting);
        daemon->waiting = 0;
    }
    if (!daemon->watch) {
        daemon->watch = g_unix_fd_add(daemon->listener.fd, G_IO_IN,
                                      on_connection, daemon);
    }
}

static bool open_probe(struct daemon *daemon, GError **error)
{
    int fd;

    daemon->probe = (struct vwl_probe){ .plugin = daemon->plugin,
                                        .device = daemon->device,
                                        .done = quit,
                                        .opaque = daemon };
    return vwl_probe_start(&daemon->probe, &fd, error) &&
           (serve(daemon, fd) || fail(error, "there is no probe"));
}

static bool open_fd(struct daemon *daemon, int fd, GError **error)
{
    int listening = 0;
    socklen_t size = sizeof listening;

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0) {
        return fail(error, "--fd=%d is not a socket", fd);
    }
    if (!listening) {
        return serve(daemon, fd) || fail(error, "--fd=%d cannot be served", fd);
    }
    if (!vwl_listener_adopt(&daemon->listener, fd, error)) {
        return false;
    }
    listen_again(daemon);
    return true;
}

static bool open_front_end(struct daemon *daemon, GError **error)
{
    const struct vwl_options *options = &daemon->options;

    if (options->probe) {
        return open_probe(daemon, error);
    }
    if (!options->socket_path) {
        return open_fd(daemon, options->fd, error);
    }
    if (!vwl_listener_open(&daemon->listener, options->socket_path,
                           &options->access, error)) {
        return false;
    }
    vwl_connector_note_socket(&daemon->connector, &daemon->listener.bound);
    listen_again(daemon);
    return true;
}

/* ---- the process -------------------------------------------------------- */

static gboolean on_signal(gint fd, GIOCondition condition, gpointer data)
{
    quit(data, 0);
    return G_SOURCE_REMOVE;
}

/* As a descriptor: no handler, and no thread of GLib's behind it. They are held
 * back for good, before there is another thread that could take one, and before
 * anybody can see the socket and send one. */
static bool watch_signals(struct daemon *daemon, GError **error)
{
    sigset_t ends;

    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    daemon->signals = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
    if (daemon->signals < 0) {
        return fail(error, "signals cannot be watched: %s", g_strerror(errno));
    }
    g_unix_fd_add(daemon->signals, G_IO_IN, on_signal, daemon);
    return true;
}

/* False: --sandbox=require, and something is not there. */
static bool is_confined(const struct daemon *daemon,
                        const struct vwl_sandbox_report *report,
                        const char *whose, GError **error)
{
    return vwl_sandbox_judge(report, whose) ||
           daemon->options.sandbox != VWL_SANDBOX_REQUIRE ||
           fail(error,
                "--sandbox=require: %s cannot be confined, as said above",
                whose);
}

static gboolean on_note(gint fd, GIOCondition condition, gpointer data)
{
    struct daemon *daemon = data;

    return vwl_connector_log(&daemon->connector, &daemon->options);
}

static bool start_connector(struct daemon *daemon, GError **error)
{
    struct vwl_sandbox_report report;
    int err = vwl_connector_start(&daemon->connector, &daemon->options,
                                  vwl_sandbox_enter_connector, &report);

    if (err < 0) {
        return fail(error, "no process for the connector: %s",
                    g_strerror(-err));
    }
    g_unix_fd_add(daemon->connector.fd, G_IO_IN, on_note, daemon);
    return is_confined(daemon, &report, "the connector", error);
}

static bool confine(struct daemon *daemon, GError **error)
{
    struct vwl_sandbox_report report;

    vwl_sandbox_enter(&daemon->options, daemon->listener.fd,
                      daemon->control.listener.fd, &report);
    daemon->connector.not_for = report.connects;
    return is_confined(daemon, &report, "the daemon", error);
}

static bool make_device(struct daemon *daemon, GError **error)
{
    const struct vwl_options *options = &daemon->options;
    int err;

    daemon->host = (struct vwl_host){
        .size = sizeof daemon->host,
        .opaque = daemon,
        .log = on_log,
        .disconnected = on_disconnected,
        .broken = on_broken,
        .socket_connect = daemon->connector.fd >= 0 ? on_socket_connect : NULL,
        .socket_connect_again = on_socket_connect_again,
        .socket_open = on_socket_open,
        .foreign_request = daemon->resources ? on_foreign_request : NULL,
        .transfer_request = options->control ? on_transfer_request : NULL,
    };
    err = daemon->plugin->device_new(&options->config, &daemon->host,
                                     &daemon->device);
    return err == 0 || fail(error, "the device refuses its configuration: %s",
                            g_strerror(-err));
}

/* Before the sandbox, which lets nothing be loaded. */
static bool connect_resources(struct daemon *daemon, GError **error)
{
    const char *path = daemon->options.resources;

#ifdef VWL_RESOURCES_PATH
    daemon->bridge = vwl_loader_load_resources(VWL_RESOURCES_PATH, error);
    if (daemon->bridge) {
        daemon->resources = daemon->bridge->create(path, error);
    }
    return daemon->resources != NULL;
#else
    return fail(error, "--resource-bridge=%s: this was built without json-glib",
                path);
#endif
}

static bool open_control(struct daemon *daemon, GError **error)
{
    const struct vwl_options *options = &daemon->options;

    return !options->control ||
           vwl_control_open(&daemon->control, options->control, daemon->plugin,
                            daemon->device, options->config.n_sockets, error);
}

static bool run(struct daemon *daemon, GError **error)
{
    const struct vwl_options *options = &daemon->options;

    if (options->sandbox != VWL_SANDBOX_OFF &&
        !start_connector(daemon, error)) {
        return false;
    }
    if (!watch_signals(daemon, error)) {
        return false;
    }
    daemon->plugin = vwl_loader_load(options->plugin ? options->plugin
                                                     : VWL_PLUGIN_PATH,
                                     error);
    if (!daemon->plugin) {
        return false;
    }
    if (options->resources && !connect_resources(daemon, error)) {
        return false;
    }
    if (!make_device(daemon, error) || !open_control(daemon, error) ||
        !open_front_end(daemon, error)) {
        return false;
    }
    if (options->sandbox != VWL_SANDBOX_OFF && !confine(daemon, error)) {
        return false;
    }
    g_main_loop_run(daemon->loop);
    return true;
}

static void clean_up(struct daemon *daemon)
{
    vwl_control_close(&daemon->control);
    if (daemon->device) {
        daemon->plugin->device_free(daemon->device);
    }
    if (daemon->resources) {
        daemon->bridge->destroy(daemon->resources);
    }
    vwl_connector_stop(&daemon->connector);
    vwl_listener_close(&daemon->listener);
    if (daemon->signals >= 0) {
        close(daemon->signals);
    }
    g_main_loop_unref(daemon->loop);
}

int main(int argc, char **argv)
{
    struct daemon daemon = { .listener = { .fd = -1, .reserve = -1 },
                             .connector = { .fd = -1 },
                             .signals = -1 };
    GError *error = NULL;

    setlocale(LC_ALL, "");
    if (!vwl_options_parse(argc, argv, &daemon.options, &error)) {
        vwl_say("%s", error->message);
        daemon.status = 2;
    } else if (daemon.options.print_version) {
        printf("vhost-user-wl %s (plugin ABI %u)\n", VWL_VERSION,
               VWL_PLUGIN_ABI);
    } else if (daemon.options.print_capabilities) {
        printf("{\n  \"type\": \"wl\",\n  \"features\": []\n}\n");
    } else {
        raise_descriptor_limit();
        vwl_control_init(&daemon.control);
        daemon.loop = g_main_loop_new(NULL, FALSE);
        if (!run(&daemon, &error)) {
            vwl_say("%s", error->message);
            daemon.status = 1;
        }
        clean_up(&daemon);
    }
    g_clear_error(&error);
    vwl_options_finish(&daemon.options);
    return daemon.status;
}
