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
#include <sys/un.h>
#include <unistd.h>

#include "bridge.h"

#define ACTIVATED_FD 3
#define MAX_NAME 32 /* virtio-wl's */

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

static bool listen_or_fail(const char *path, int *fd, GError **error)
{
    int r = listen_at(path);

    if (r < 0) {
        char *what = g_strdup_printf("cannot listen at %s", path);

        fail(error, what, g_strerror(-r));
        g_free(what);
        return false;
    }
    *fd = r;
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
 * nobody else makes. */
static bool open_named(struct vwl_serve *serve, GError **error)
{
    for (unsigned int i = 0;
         serve->sockets != NULL && serve->sockets[i] != NULL; i++) {
        const char *path;
        char *folder;
        int fd = -1;

        if (!complete_named(&serve->sockets[i])) {
            return fail(error, serve->sockets[i],
                        "--socket is NAME:PATH, NAME up to 32 bytes");
        }
        path = strchr(serve->sockets[i], ':') + 1;
        folder = g_path_get_dirname(path);
        g_mkdir_with_parents(folder, 0700);
        g_free(folder);
        if (!listen_or_fail(path, &fd, error)) {
            return false;
        }
        g_array_append_val(serve->named, fd);
    }
    return true;
}

bool vwl_serve_open(struct vwl_serve *serve, GError **error)
{
    int r = activated(error);

    serve->named = g_array_new(FALSE, FALSE, sizeof(int));

    if (r < 0) {
        return false;
    }
    if (r == 1) {
        serve->fd = ACTIVATED_FD;
        serve->activated = true;
        return open_named(serve, error);
    }
    /* whoever finds the first socket finds them all */
    return default_path(serve, error) && open_named(serve, error) &&
           listen_or_fail(serve->listen, &serve->fd, error);
}

static void on_gone(void *opaque)
{
    struct vwl_serve *serve = opaque;

    fprintf(stderr, "%s: the device is gone\n", serve->program);
    serve->gone = true;
    g_main_loop_quit(serve->loop);
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

bool vwl_serve_run(struct vwl_serve *serve, struct vwl_transport *transport)
{
    const struct vwl_bridge_options options = {
        .title_prefix = serve->title_prefix,
        .app_id_prefix = serve->app_id_prefix,
        .trace = serve->trace,
        .share_pools = serve->share_pools,
        .gone = on_gone,
        .opaque = serve,
    };
    struct vwl_bridge *bridge;
    guint term, interrupt;

    raise_descriptor_limit();
    bridge = vwl_bridge_new(transport, &options);
    serve->loop = g_main_loop_new(NULL, FALSE);
    term = g_unix_signal_add(SIGTERM, on_signal, serve->loop);
    interrupt = g_unix_signal_add(SIGINT, on_signal, serve->loop);
    vwl_bridge_listen(bridge, serve->fd, NULL);
    for (guint i = 0; i < serve->named->len; i++) {
        char *name = g_strndup(serve->sockets[i],
                               strcspn(serve->sockets[i], ":"));

        vwl_bridge_listen(bridge, g_array_index(serve->named, int, i), name);
        g_free(name);
    }
    g_main_loop_run(serve->loop);
    vwl_bridge_free(bridge);
    g_source_remove(term);
    g_source_remove(interrupt);
    g_main_loop_unref(serve->loop);
    return !serve->gone;
}

void vwl_serve_finish(struct vwl_serve *serve)
{
    if (serve->fd >= 0) {
        if (!serve->activated) {
            unlink(serve->listen);
        }
        close(serve->fd);
    }
    for (guint i = 0; serve->named != NULL && i < serve->named->len; i++) {
        unlink(strchr(serve->sockets[i], ':') + 1);
        close(g_array_index(serve->named, int, i));
    }
    if (serve->named != NULL) {
        g_array_unref(serve->named);
    }
    g_strfreev(serve->sockets);
    g_free(serve->listen);
    g_free(serve->title_prefix);
    g_free(serve->app_id_prefix);
}
