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
    list->flags = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    list->strings = g_ptr_array_new_with_free_func(g_free);
}

void vwl_socket_list_finish(struct vwl_socket_list *list)
{
    g_array_unref(list->sockets);
    g_array_unref(list->kinds);
    g_array_unref(list->flags);
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
                uint32_t kind, uint32_t flags, GError **error)
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
    g_array_append_val(list->flags, flags);
    return true;
}

/* What was said of a socket. */
struct said {
    int kind; /* -1: nothing */
    uint32_t flags;
};

static bool take_policy(struct said *said, const char *word)
{
    static const char *const words[] = {
        [VWL_POLICY_WAYLAND] = "policy=wayland",
        [VWL_POLICY_NONE] = "policy=none",
        [VWL_POLICY_PULSE] = "policy=pulse",
    };

    if (strcmp(word, "record") == 0 && !said->flags) {
        said->flags = VWL_POLICY_MAY_RECORD;
        return true;
    }
    for (int i = 0; said->kind < 0 && i < (int)G_N_ELEMENTS(words); i++) {
        said->kind = strcmp(word, words[i]) == 0 ? i : -1;
        if (said->kind >= 0) {
            return true;
        }
    }
    return false;
}

/* One word after the path; each of them may be there once. */
static bool take_property(struct vwl_socket *socket, struct said *said,
                          const char *word, GError **error)
{
    if (g_str_has_prefix(word, "name=") && !*socket->name) {
        socket->name = word + strlen("name=");
        return *socket->name ||
               refuse(error, "the name after '%s' is empty", socket->path);
    }
    return take_policy(said, word) ||
           refuse(error,
                  "'%s' after '%s': it must be one name=NAME, one policy= "
                  "with wayland, pulse or none, or one record; a comma within "
                  "a path is written \\,",
                  word, socket->path);
}

/* What is said; else a Wayland display is held to the policy. What a host gives
 * away by anything else, it must have meant. */
static bool find_kind(const struct vwl_socket *socket, const struct said *said,
                      uint32_t *kind, GError **error)
{
    char *file = g_path_get_basename(socket->path);
    bool wayland = !*socket->name || g_str_has_prefix(file, "wayland-");

    g_free(file);
    *kind = said->kind < 0 ? VWL_POLICY_WAYLAND : (uint32_t)said->kind;
    if (said->flags && *kind != VWL_POLICY_PULSE) {
        return refuse(error, "record after '%s' goes with policy=pulse",
                      socket->path);
    }
    return said->kind >= 0 || wayland ||
           refuse(error,
                  "'%s' has a name, and is not called wayland-*: say "
                  "policy=wayland if it is a compositor's, policy=pulse if it "
                  "is PulseAudio's, or policy=none, and guests may do all that "
                  "its clients may",
                  socket->path);
}

static bool take_socket(struct vwl_socket_list *list, const char **at,
                        GError **error)
{
    struct vwl_socket socket = { .name = "", .path = take_word(list, at) };
    struct said said = { .kind = -1 };
    uint32_t kind;

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
    return find_kind(&socket, &said, &kind, error) &&
           add(list, &socket, kind, said.flags, error);
}

const struct vwl_socket_policy *vwl_socket_list_policy(
    const struct vwl_socket_list *list, unsigned int place,
    const struct vwl_socket_policy *wayland)
{
    static const struct vwl_socket_policy none = {
        .size = sizeof none,
        .kind = VWL_POLICY_NONE,
    };
    static const struct vwl_socket_policy play = {
        .size = sizeof play,
        .kind = VWL_POLICY_PULSE,
    };
    static const struct vwl_socket_policy record = {
        .size = sizeof record,
        .kind = VWL_POLICY_PULSE,
        .flags = VWL_POLICY_MAY_RECORD,
    };

    switch (g_array_index(list->kinds, uint32_t, place)) {
    case VWL_POLICY_NONE:
        return &none;
    case VWL_POLICY_PULSE:
        return g_array_index(list->flags, uint32_t, place) ? &record : &play;
    default:
        return wayland;
    }
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
    return add(list, &socket, VWL_POLICY_WAYLAND, 0, error);
}
