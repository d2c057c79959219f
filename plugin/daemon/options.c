/* SPDX-License-Identifier: BSD-3-Clause */
#include "options.h"

#include <fcntl.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "vhost-user-wl/vhost_user.h"

static bool usage(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

static bool usage(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_propagate_error(error, g_error_new_valist(G_OPTION_ERROR,
                                                G_OPTION_ERROR_BAD_VALUE,
                                                format, args));
    va_end(args);
    return false;
}

static void add_socket(struct options *options, const char *name, char *path)
{
    struct vwl_socket socket = { g_strdup(name), path };

    g_ptr_array_add(options->strings, (char *)socket.name);
    g_ptr_array_add(options->strings, path);
    g_array_append_val(options->sockets, socket);
}

/* PATH[,name=NAME] */
static bool parse_socket(struct options *options, const char *text,
                         GError **error)
{
    const char *comma = strstr(text, ",name=");
    const char *name = comma ? comma + strlen(",name=") : "";
    char *path = comma ? g_strndup(text, (gsize)(comma - text))
                       : g_strdup(text);

    if (!*path || (!comma && strchr(text, ','))) {
        g_free(path);
        return usage(error, "--wayland-sock=%s: it must be PATH[,name=NAME]",
                     text);
    }
    for (guint i = 0; i < options->sockets->len; i++) {
        if (strcmp(g_array_index(options->sockets, struct vwl_socket, i).name,
                   name) == 0) {
            g_free(path);
            return usage(error,
                         "--wayland-sock=%s: a socket of that name "
                         "was given before",
                         text);
        }
    }
    add_socket(options, name, path);
    return true;
}

/* What libwayland would connect to. */
static bool default_socket(struct options *options, GError **error)
{
    const char *display = g_getenv("WAYLAND_DISPLAY");
    const char *runtime = g_getenv("XDG_RUNTIME_DIR");

    if (!display || !*display) {
        return usage(error, "no host socket: give --wayland-sock=PATH or set "
                            "WAYLAND_DISPLAY");
    }
    if (display[0] == '/') {
        add_socket(options, "", g_strdup(display));
        return true;
    }
    if (!runtime || runtime[0] != '/') {
        return usage(error,
                     "WAYLAND_DISPLAY is '%s', but XDG_RUNTIME_DIR is "
                     "not set to an absolute path",
                     display);
    }
    add_socket(options, "", g_build_filename(runtime, display, NULL));
    return true;
}

static char *default_plugin(void)
{
    char *self = g_file_read_link("/proc/self/exe", NULL);
    char *path = NULL;

    /* In a build tree the plugin that was built with this daemon stands one
     * folder up. */
    if (self) {
        char *folder = g_path_get_dirname(self);

        path = g_build_filename(folder, "..", "libvhost-user-wl.so", NULL);
        g_free(folder);
        g_free(self);
    }
    if (!path || !g_file_test(path, G_FILE_TEST_IS_REGULAR)) {
        g_free(path);
        path = g_strdup(VWL_PLUGIN_PATH);
    }
    return path;
}

struct raw {
    char *socket_path, *plugin, *sandbox, *dmabufs, *resources;
    char **wayland_socks;
    int fd;
    gint64 max_vfds, max_contexts, max_in_flight, max_shm, max_queued, window;
    gint64 poll_us;
    gboolean exit_on_disconnect, verbose, capabilities, version, mem_slots;
    gboolean probe;
};

static bool set_limit(uint32_t *out, const char *name, gint64 value,
                      GError **error)
{
    if (value < 0 || value > UINT32_MAX) {
        return usage(error, "--%s=%" G_GINT64_FORMAT ": out of range", name,
                     value);
    }
    *out = (uint32_t)value;
    return true;
}

static bool set_bytes(uint64_t *out, const char *name, gint64 value,
                      GError **error)
{
    if (value < 0) {
        return usage(error, "--%s=%" G_GINT64_FORMAT ": out of range", name,
                     value);
    }
    *out = (uint64_t)value;
    return true;
}

static bool check(struct options *options, const struct raw *raw,
                  GError **error)
{
    struct vwl_config *config = &options->config;

    options->probe = raw->probe;
    if (!raw->socket_path == (raw->fd < 0) && !raw->probe) {
        return usage(error, raw->fd < 0
                                ? "give --socket-path=PATH or --fd=N"
                                : "--socket-path and --fd exclude each other");
    }
    if (raw->socket_path &&
        strlen(raw->socket_path) >= sizeof((struct sockaddr_un *)0)->sun_path) {
        return usage(error, "--socket-path: '%s' is too long for a socket",
                     raw->socket_path);
    }
    if (raw->fd >= 0 && fcntl(raw->fd, F_GETFD) < 0) {
        return usage(error, "--fd=%d: no such descriptor is open", raw->fd);
    }
    for (char **w = raw->wayland_socks; w && *w; w++) {
        if (!parse_socket(options, *w, error)) {
            return false;
        }
    }
    if (options->sockets->len == 0 && !default_socket(options, error)) {
        return false;
    }
    config->sockets = (const struct vwl_socket *)(void *)options->sockets->data;
    config->n_sockets = options->sockets->len;
    if (raw->mem_slots) {
        config->protocol_features_on |=
            UINT64_C(1) << VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS;
    }
    if (raw->sandbox && strcmp(raw->sandbox, "on") != 0 &&
        strcmp(raw->sandbox, "off") != 0) {
        return usage(error, "--sandbox=%s: it must be 'on' or 'off'",
                     raw->sandbox);
    }
    options->sandbox = !raw->sandbox || strcmp(raw->sandbox, "on") == 0;
    return set_limit(&config->max_vfds, "max-vfds", raw->max_vfds, error) &&
           set_limit(&config->max_contexts, "max-contexts", raw->max_contexts,
                     error) &&
           set_limit(&config->max_in_flight, "max-in-flight",
                     raw->max_in_flight, error) &&
           set_limit(&config->poll_us, "poll-us", raw->poll_us, error) &&
           set_bytes(&config->max_shm_bytes, "max-shm-bytes", raw->max_shm,
                     error) &&
           set_bytes(&config->max_queued_bytes, "max-queued-bytes",
                     raw->max_queued, error) &&
           set_bytes(&config->shm_window, "shm-window", raw->window, error);
}

static bool parse(int *argc, char ***argv, struct raw *raw, GError **error)
{
    const GOptionEntry entries[] = {
        { "socket-path", 0, 0, G_OPTION_ARG_FILENAME, &raw->socket_path,
          "Listen on this Unix socket", "PATH" },
        { "fd", 0, 0, G_OPTION_ARG_INT, &raw->fd,
          "Use this descriptor: a listening or a connected socket", "N" },
        { "wayland-sock", 0, 0, G_OPTION_ARG_FILENAME_ARRAY,
          &raw->wayland_socks,
          "A host socket that guests may open "
          "(repeatable; default: $WAYLAND_DISPLAY)",
          "PATH[,name=NAME]" },
        { "plugin", 0, 0, G_OPTION_ARG_FILENAME, &raw->plugin,
          "Load this plugin instead of the installed one", "PATH" },
        { "exit-on-disconnect", 0, 0, G_OPTION_ARG_NONE,
          &raw->exit_on_disconnect, "Serve one front-end, then end", NULL },
        { "max-vfds", 0, 0, G_OPTION_ARG_INT64, &raw->max_vfds,
          "Most virtual file descriptors (16384)", "N" },
        { "max-contexts", 0, 0, G_OPTION_ARG_INT64, &raw->max_contexts,
          "Most connections to host sockets (1024)", "N" },
        { "max-in-flight", 0, 0, G_OPTION_ARG_INT64, &raw->max_in_flight,
          "Most requests that wait for a peer (half a queue)", "N" },
        { "poll-us", 0, 0, G_OPTION_ARG_INT64, &raw->poll_us,
          "Look at the rings for so long before sleeping (0)", "MICROSECONDS" },
        { "max-shm-bytes", 0, 0, G_OPTION_ARG_INT64, &raw->max_shm,
          "Most shared memory, private copies included (the window)", "BYTES" },
        { "max-queued-bytes", 0, 0, G_OPTION_ARG_INT64, &raw->max_queued,
          "Most data held back for the guest (16 MiB)", "BYTES" },
        { "shm-window", 0, 0, G_OPTION_ARG_INT64, &raw->window,
          "Length of the shared-memory region, a power of two (4 GiB)",
          "BYTES" },
        { "resource-bridge", 0, 0, G_OPTION_ARG_FILENAME, &raw->resources,
          "Socket of crosvm's resource bridge: buffers and fences of this "
          "guest's virtio-gpu",
          "PATH" },
        { "dmabuf", 0, 0, G_OPTION_ARG_STRING, &raw->dmabufs,
          "What makes dmabufs for guests: auto, off, or a list of gbm[=PATH], "
          "dumb[=PATH], udmabuf, heap (auto)",
          "WORDS" },
        { "mem-slots", 0, 0, G_OPTION_ARG_NONE, &raw->mem_slots,
          "Offer memory slots (not for QEMU: it aborts)", NULL },
        { "sandbox", 0, 0, G_OPTION_ARG_STRING, &raw->sandbox,
          "'off' keeps all rights of the user, to debug (on)", "on|off" },
        { "probe", 0, 0, G_OPTION_ARG_NONE, &raw->probe,
          "Print what the compositor offers and end", NULL },
        { "verbose", 'v', 0, G_OPTION_ARG_NONE, &raw->verbose,
          "Log debugging lines, too", NULL },
        { "print-capabilities", 0, 0, G_OPTION_ARG_NONE, &raw->capabilities,
          "Print the back-end's capabilities as JSON and end", NULL },
        { "version", 0, 0, G_OPTION_ARG_NONE, &raw->version,
          "Print the version and end", NULL },
        { NULL },
    };
    GOptionContext *context = g_option_context_new(NULL);
    bool ok;

    g_option_context_set_summary(
        context,
        "A vhost-user device that connects a virtual machine's Wayland "
        "clients to this host.");
    g_option_context_add_main_entries(context, entries, NULL);
    ok = g_option_context_parse(context, argc, argv, error);
    g_option_context_free(context);
    if (ok && *argc > 1) {
        ok = usage(error, "'%s' is no option", (*argv)[1]);
    }
    return ok;
}

bool options_parse(int argc, char **argv, struct options *out, GError **error)
{
    struct raw raw = { .fd = -1 };
    bool ok;

    memset(out, 0, sizeof *out);
    out->fd = -1;
    out->config.size = sizeof out->config;
    out->sockets = g_array_new(FALSE, FALSE, sizeof(struct vwl_socket));
    out->strings = g_ptr_array_new_with_free_func(g_free);
    ok = parse(&argc, &argv, &raw, error);
    if (ok) {
        out->print_capabilities = raw.capabilities;
        out->print_version = raw.version;
        if (!raw.capabilities && !raw.version) {
            ok = check(out, &raw, error);
        }
    }
    out->socket_path = raw.socket_path;
    out->fd = raw.fd;
    out->dmabufs = raw.dmabufs ? raw.dmabufs : g_strdup("auto");
    out->resources = raw.resources;
    out->config.dmabufs = out->dmabufs;
    out->plugin = raw.plugin ? raw.plugin : default_plugin();
    out->exit_on_disconnect = raw.exit_on_disconnect;
    out->verbose = raw.verbose;
    g_strfreev(raw.wayland_socks);
    g_free(raw.sandbox);
    return ok;
}

void options_finish(struct options *options)
{
    g_free(options->socket_path);
    g_free(options->plugin);
    g_free(options->resources);
    g_free(options->dmabufs);
    g_array_unref(options->sockets);
    g_ptr_array_unref(options->strings);
}
