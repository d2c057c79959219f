/* SPDX-License-Identifier: BSD-3-Clause */
#include "socket_list.h"

#include <string.h>

static bool refuse(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

static bool refuse(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_propagate_error(error, g_error_new_valist(G_OPTION_ERROR,
                                                G_OPTION_ERROR_BAD_VALUE,
                                                format, args));
    va_end(args);
    return false;
}

void vwl_socket_list_init(struct vwl_socket_list *list)
{
    list->sockets = g_array_new(FALSE, FALSE, sizeof(struct vwl_socket));
    list->kinds = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    list->strings = g_ptr_array_new_with_free_func(g_free);
}

void vwl_socket_list_finish(struct vwl_socket_list *list)
{
    g_array_unref(list->sockets);
    g_array_unref(list->kinds);
    g_ptr_array_unref(list->strings);
}

/* The list's own copy of the text up to a comma or semicolon that is not
 * escaped; *at is then there, or at the end. */
static char *take_word(struct vwl_socket_list *list, const char **at)
{
    GString *word = g_string_new(NULL);
    const char *c = *at;

    for (; *c && *c != ',' && *c != ';'; c++) {
        if (*c == '\\' && c[1] && strchr(",;\\", c[1])) {
            c++;
        }
        g_string_append_c(word, *c);
    }
    *at = c;
    g_ptr_array_add(list->strings, word->str);
    return g_string_free(word, FALSE);
}

static bool add(struct vwl_socket_list *list, const struct vwl_socket *socket,
                uint32_t kind, GError **error)
{
    for (guint i = 0; i < list->sockets->len; i++) {
        const struct vwl_socket *other = &g_array_index(list->sockets,
                                                        struct vwl_socket, i);

        if (strcmp(other->name, socket->name) == 0) {
            return *socket->name
                       ? refuse(error, "a socket named '%s' was given before",
                                socket->name)
                       : refuse(error, "a socket without a name was given "
                                       "before");
        }
    }
    g_array_append_val(list->sockets, *socket);
    g_array_append_val(list->kinds, kind);
    return true;
}

/* One word after the path; each of them may be there once. */
static bool take_property(struct vwl_socket *socket, int *kind,
                          const char *word, GError **error)
{
    if (g_str_has_prefix(word, "name=") && !*socket->name) {
        socket->name = word + strlen("name=");
        return *socket->name ||
               refuse(error, "the name after '%s' is empty", socket->path);
    }
    if (strcmp(word, "policy=wayland") == 0 && *kind < 0) {
        *kind = VWL_POLICY_WAYLAND;
        return true;
    }
    if (strcmp(word, "policy=none") == 0 && *kind < 0) {
        *kind = VWL_POLICY_NONE;
        return true;
    }
    return refuse(error,
                  "'%s' after '%s': it must be one name=NAME, or one policy= "
                  "with wayland or none; a comma within a path is written \\,",
                  word, socket->path);
}

/* What is said; else a Wayland display is held to the policy. What a host gives
 * away by anything else, it must have meant. */
static bool find_kind(const struct vwl_socket *socket, int said, uint32_t *kind,
                      GError **error)
{
    char *file = g_path_get_basename(socket->path);
    bool wayland = !*socket->name || g_str_has_prefix(file, "wayland-");

    g_free(file);
    *kind = said < 0 ? VWL_POLICY_WAYLAND : (uint32_t)said;
    return said >= 0 || wayland ||
           refuse(error,
                  "'%s' has a name, and is not called wayland-*: say "
                  "policy=wayland if it is a compositor's, or policy=none, "
                  "and guests may do all that its clients may",
                  socket->path);
}

static bool take_socket(struct vwl_socket_list *list, const char **at,
                        GError **error)
{
    struct vwl_socket socket = { .name = "", .path = take_word(list, at) };
    uint32_t kind;
    int said = -1;

    if (!*socket.path) {
        return refuse(error, "a path is empty");
    }
    while (**at == ',') {
        const char *word;

        (*at)++;
        word = take_word(list, at);
        if (!take_property(&socket, &said, word, error)) {
            return false;
        }
    }
    return find_kind(&socket, said, &kind, error) &&
           add(list, &socket, kind, error);
}

bool vwl_socket_list_add(struct vwl_socket_list *list, const char *text,
                         GError **error)
{
    const char *at = text;
    bool ok = take_socket(list, &at, error);

    while (ok && *at == ';') {
        at++;
        ok = take_socket(list, &at, error);
    }
    return ok;
}

bool vwl_socket_list_add_default(struct vwl_socket_list *list, GError **error)
{
    const char *display = g_getenv("WAYLAND_DISPLAY");
    const char *runtime = g_getenv("XDG_RUNTIME_DIR");
    struct vwl_socket socket = { .name = "" };
    char *path;

    if (!display || !*display) {
        return refuse(error, "no host socket: give --wayland-sock=PATH or set "
                             "WAYLAND_DISPLAY");
    }
    if (display[0] == '/') {
        path = g_strdup(display);
    } else if (runtime && runtime[0] == '/') {
        path = g_build_filename(runtime, display, NULL);
    } else {
        return refuse(error,
                      "WAYLAND_DISPLAY is '%s', but XDG_RUNTIME_DIR is not set "
                      "to an absolute path",
                      display);
    }
    g_ptr_array_add(list->strings, path);
    socket.path = path;
    return add(list, &socket, VWL_POLICY_WAYLAND, error);
}
