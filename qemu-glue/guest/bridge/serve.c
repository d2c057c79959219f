/* SPDX-License-Identifier: BSD-3-Clause */
#include "serve.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bridge.h"

#define ACTIVATED_FD 3
#define MAX_NAME 32 /* virtio-wl's */

void vwl_serve_raise_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

void vwl_serve_add_options(struct vwl_serve *serve, GOptionContext *context)
{
    const GOptionEntry entries[] = {
        { "listen", 0, 0, G_OPTION_ARG_FILENAME, &serve->listen,
          "The socket that programs connect to "
          "(default: $XDG_RUNTIME_DIR/wayland-0)",
          "PATH" },
        { "title-prefix", 0, 0, G_OPTION_ARG_STRING, &serve->title_prefix,
          "Put before every window's title", "TEXT" },
        { "app-id-prefix", 0, 0, G_OPTION_ARG_STRING, &serve->app_id_prefix,
          "Put before every window's app id", "TEXT" },
        { "socket", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &serve->sockets,
          "Offer the host's socket NAME at PATH (from XDG_RUNTIME_DIR on); "
          "may be repeated",
          "NAME:PATH" },
        { "trace", 0, 0, G_OPTION_ARG_NONE, &serve->trace,
          "Print every message", NULL },
        { NULL, 0, 0, 0, NULL, NULL, NULL },
    };

    g_option_context_add_main_entries(context, entries, NULL);
    vwl_limits_add_options(&serve->limits, context);
}

static bool fail(GError **error, const char *what, const char *why)
{
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s: %s", what, why);
    return false;
}

/* As sd_listen_fds(3) says. 1: there is one; 0: none. */
static int activated(GError **error)
{
    const char *pid = g_getenv("LISTEN_PID"), *n = g_getenv("LISTEN_FDS");
    int listening = 0;
    socklen_t len = sizeof listening;

    if (pid == NULL || n == NULL || atol(pid) != getpid()) {
        return 0;
    }
    if (strcmp(n, "1") != 0 ||
        getsockopt(ACTIVATED_FD, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) <
            0 ||
        !listening || fcntl(ACTIVATED_FD, F_SETFD, FD_CLOEXEC) < 0 ||
        fcntl(ACTIVATED_FD, F_SETFL, O_NONBLOCK) < 0) {
        fail(error, "LISTEN_FDS", "not one listening socket");
        return -1;
    }
    return 1;
}

static struct vwl_listen *named_at(struct vwl_serve *serve, guint i)
{
    return &g_array_index(serve->named, struct vwl_listen, i);
}

static bool default_path(struct vwl_serve *serve, GError **error)
{
    const char *folder = g_getenv("XDG_RUNTIME_DIR");

    if (serve->listen != NULL) {
        return true;
    }
    if (folder == NULL || folder[0] != '/') {
        return fail(error, "no --listen=PATH", "and no XDG_RUNTIME_DIR");
    }
    serve->listen = g_build_filename(folder, "wayland-0", NULL);
    return true;
}

/* NAME:PATH with an absolute path. false: it is something else. */
static bool complete_named(char **text)
{
    const char *colon = strchr(*text, ':');
    const char *folder = g_getenv("XDG_RUNTIME_DIR");
    char *whole;

    if (colon == NULL || colon == *text || colon - *text > MAX_NAME ||
        colon[1] == '\0' || (colon[1] != '/' && folder == NULL)) {
        return false;
    }
    if (colon[1] != '/') {
        whole = g_strdup_printf("%.*s:%s/%s", (int)(colon - *text), *text,
                                folder, colon + 1);
        g_free(*text);
        *text = whole;
    }
    return true;
}

/* Sound's clients look for pulse/native in XDG_RUNTIME_DIR, a folder that
 * nobody else makes. If somebody serves them already, that is no reason for
 * windows to be gone. */
static bool open_named(struct vwl_serve *serve, GError **error)
{
    for (unsigned int i = 0;
         serve->sockets != NULL && serve->sockets[i] != NULL; i++) {
        const char *path;
        char *folder;
        struct vwl_listen listen = VWL_LISTEN_NONE;
        GError *why = NULL;

        if (!complete_named(&serve->sockets[i])) {
            return fail(error, serve->sockets[i],
                        "--socket is NAME:PATH, NAME up to 32 bytes");
        }
        path = strchr(serve->sockets[i], ':') + 1;
        folder = g_path_get_dirname(path);
        g_mkdir_with_parents(folder, 0700);
        g_free(folder);
        if (!vwl_listen_open(&listen, path, false, &why)) {
            if (!g_error_matches(why, G_FILE_ERROR, G_FILE_ERROR_EXIST)) {
                g_propagate_error(error, why);
                return false;
            }
            fprintf(stderr, "%s: %s; serving all but this\n", serve->program,
                    why->message);
            g_error_free(why);
        }
        g_array_append_val(serve->named, listen);
    }
    return true;
}

static gboolean on_signal(gpointer data)
{
    g_main_loop_quit(data);
    return G_SOURCE_CONTINUE;
}

/* Before the first socket: see serve.h. */
static void begin(struct vwl_serve *serve)
{
    serve->loop = g_main_loop_new(NULL, FALSE);
    serve->term = g_unix_signal_add(SIGTERM, on_signal, serve->loop);
    serve->interrupt = g_unix_signal_add(SIGINT, on_signal, serve->loop);
    serve->named = g_array_new(FALSE, FALSE, sizeof(struct vwl_listen));
}

bool vwl_serve_open(struct vwl_serve *serve, GError **error)
{
    const char *wrong = vwl_limits_complete(&serve->limits);
    int r = wrong == NULL ? activated(error) : -1;

    if (wrong != NULL) {
        fail(error, wrong, "not a limit that can be kept");
    }
    if (r < 0) {
        return false;
    }
    begin(serve);
    if (r == 1) {
        if (!vwl_listen_adopt(&serve->wayland, ACTIVATED_FD)) {
            fprintf(stderr,
                    "%s: another compositor has the lock of this socket, and "
                    "may have taken its place\n",
                    serve->program);
        }
        return open_named(serve, error);
    }
    /* whoever finds the first socket finds them all */
    return default_path(serve, error) && open_named(serve, error) &&
           vwl_listen_open(&serve->wayland, serve->listen, true, error);
}

static void on_gone(void *opaque)
{
    struct vwl_serve *serve = opaque;

    fprintf(stderr, "%s: the device is gone\n", serve->program);
    serve->gone = true;
    g_main_loop_quit(serve->loop);
}

bool vwl_serve_run(struct vwl_serve *serve, struct vwl_transport *transport)
{
    const struct vwl_bridge_options options = {
        .program = serve->program,
        .limits = serve->limits,
        .title_prefix = serve->title_prefix,
        .app_id_prefix = serve->app_id_prefix,
        .trace = serve->trace,
        .share_pools = serve->share_pools,
        .gone = on_gone,
        .opaque = serve,
    };
    struct vwl_bridge *bridge;

    bridge = vwl_bridge_new(transport, &options);
    vwl_bridge_listen(bridge, serve->wayland.fd, NULL);
    for (guint i = 0; i < serve->named->len; i++) {
        char *name = g_strndup(serve->sockets[i],
                               strcspn(serve->sockets[i], ":"));

        if (named_at(serve, i)->fd >= 0) {
            vwl_bridge_listen(bridge, named_at(serve, i)->fd, name);
        }
        g_free(name);
    }
    g_main_loop_run(serve->loop);
    vwl_bridge_free(bridge);
    return !serve->gone;
}

void vwl_serve_finish(struct vwl_serve *serve)
{
    vwl_listen_close(&serve->wayland);
    for (guint i = 0; serve->named != NULL && i < serve->named->len; i++) {
        vwl_listen_close(named_at(serve, i));
    }
    if (serve->named != NULL) {
        g_array_unref(serve->named);
    }
    if (serve->loop != NULL) {
        g_source_remove(serve->term);
        g_source_remove(serve->interrupt);
        g_main_loop_unref(serve->loop);
    }
    g_strfreev(serve->sockets);
    g_free(serve->listen);
    g_free(serve->title_prefix);
    g_free(serve->app_id_prefix);
}
