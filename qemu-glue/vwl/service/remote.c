/* SPDX-License-Identifier: BSD-3-Clause */
#include "remote.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel/text.h"
#include "socket.h"

#define RETRY_MS 200
#define MOST_LINE 1024
#define MOST_WINDOWS 512
#define MOST_FIGURES 32
#define TEXT_CHARS 128
#define MOST_LOOKS 16

struct look {
    vwl_seen_fn seen;
    void *data;
};

struct vwl_remote {
    char *path, *name;
    const struct vwl_remote_ops *ops;
    void *data;
    int fd;
    unsigned int retry, watch; /* GSources */
    bool is_told;              /* the log, of a daemon that speaks nonsense */
    GByteArray *rest;          /* of a line */
    GQueue looks;              /* struct look, in the order of answers */
    GPtrArray *figures, *windows; /* GVariant *, of the answer that comes */
};

static void connect_later(struct vwl_remote *remote);

static void answer_look(struct vwl_remote *remote, GVariant *figures,
                        GVariant *windows)
{
    struct look *look = g_queue_pop_head(&remote->looks);

    if (look) {
        look->seen(look->data, figures, windows);
        g_free(look);
    }
}

static void forget_answer(struct vwl_remote *remote)
{
    g_ptr_array_set_size(remote->figures, 0);
    g_ptr_array_set_size(remote->windows, 0);
}

static void hang_up(struct vwl_remote *remote)
{
    g_clear_handle_id(&remote->watch, g_source_remove);
    if (remote->fd >= 0) {
        close(remote->fd);
        remote->fd = -1;
    }
    g_byte_array_set_size(remote->rest, 0);
    forget_answer(remote);
    while (!g_queue_is_empty(&remote->looks)) {
        answer_look(remote, NULL, NULL);
    }
}

/* ---- what goes out ------------------------------------------------------ */

/* A daemon that does not read a few lines is hung up on by the reader. */
static bool say(struct vwl_remote *remote, const char *format, ...)
    G_GNUC_PRINTF(2, 3);

static bool say(struct vwl_remote *remote, const char *format, ...)
{
    va_list args;
    char *line;
    ssize_t n;
    size_t length;

    if (!remote || remote->fd < 0) {
        return false;
    }
    va_start(args, format);
    line = g_strdup_vprintf(format, args);
    va_end(args);
    length = strlen(line);
    n = send(remote->fd, line, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    g_free(line);
    if (n != (ssize_t)length) {
        shutdown(remote->fd, SHUT_RDWR);
        return false;
    }
    return true;
}

bool vwl_remote_set(struct vwl_remote *remote, const char *kind,
                    const char *way)
{
    return say(remote, "%s %s\n", kind, way);
}

void vwl_remote_answer(struct vwl_remote *remote, unsigned int number,
                       bool allow)
{
    say(remote, "answer %u %s\n", number, allow ? "yes" : "no");
}

void vwl_remote_look(struct vwl_remote *remote, vwl_seen_fn seen, void *data)
{
    struct look *look;

    if (!remote || g_queue_get_length(&remote->looks) >= MOST_LOOKS ||
        !say(remote, "look\n")) {
        seen(data, NULL, NULL);
        return;
    }
    look = g_new(struct look, 1);
    *look = (struct look){ seen, data };
    g_queue_push_tail(&remote->looks, look);
}

/* ---- what comes in ------------------------------------------------------ */

static bool take_figures(struct vwl_remote *remote, const char *text)
{
    char **words = g_strsplit(text, " ", MOST_FIGURES);
    bool ok = true;

    for (size_t i = 0; ok && words[i]; i++) {
        char *equals = strchr(words[i], '=');
        guint64 value;

        ok = equals && equals > words[i] &&
             g_ascii_string_to_unsigned(equals + 1, 10, 0, G_MAXUINT64, &value,
                                        NULL);
        if (ok) {
            *equals = '\0';
            ok = strspn(words[i], "abcdefghijklmnopqrstuvwxyz-") ==
                     strlen(words[i]) &&
                 remote->figures->len < MOST_FIGURES;
        }
        if (ok) {
            g_ptr_array_add(remote->figures,
                            g_variant_ref_sink(
                                g_variant_new("{st}", words[i], value)));
        }
    }
    g_strfreev(words);
    return ok;
}

static bool take_window(struct vwl_remote *remote, const char *text)
{
    const char *tab = strchr(text, '\t');
    char *raw, *id, *title;

    if (!tab) {
        return false;
    }
    if (remote->windows->len < MOST_WINDOWS) {
        raw = g_strndup(text, (size_t)(tab - text));
        id = vwl_text(raw, TEXT_CHARS);
        title = vwl_text(tab + 1, TEXT_CHARS);
        g_ptr_array_add(remote->windows,
                        g_variant_ref_sink(g_variant_new("(ss)", id, title)));
        g_free(title);
        g_free(id);
        g_free(raw);
    }
    return true;
}

static GVariant *array_of(const char *type, GPtrArray *children)
{
    return g_variant_ref_sink(g_variant_new_array(G_VARIANT_TYPE(type),
                                                  (GVariant **)children->pdata,
                                                  children->len));
}

static bool take_end(struct vwl_remote *remote)
{
    GVariant *figures = array_of("{st}", remote->figures);
    GVariant *windows = array_of("(ss)", remote->windows);
    bool wanted = !g_queue_is_empty(&remote->looks);

    forget_answer(remote);
    answer_look(remote, figures, windows);
    g_variant_unref(windows);
    g_variant_unref(figures);
    return wanted;
}

static bool is_of(const char *word, const char *first, const char *second,
                  const char *third)
{
    return strcmp(word, first) == 0 || strcmp(word, second) == 0 ||
           strcmp(word, third) == 0;
}

static bool take_question(struct vwl_remote *remote, const char *line)
{
    char **words = g_strsplit(line, " ", 5);
    guint n = g_strv_length(words);
    guint64 number;
    bool ok = n >= 2 && g_ascii_string_to_unsigned(words[1], 10, 0, G_MAXUINT,
                                                   &number, NULL);

    if (ok && n == 4 && strcmp(words[0], "ask") == 0 &&
        is_of(words[2], "clipboard", "primary", "drag") &&
        is_of(words[3], "to-guest", "from-guest", "")) {
        remote->ops->ask(remote->data, (unsigned int)number, words[2],
                         words[3]);
    } else if (ok && n == 2 && strcmp(words[0], "over") == 0) {
        remote->ops->over(remote->data, (unsigned int)number);
    } else {
        ok = false;
    }
    g_strfreev(words);
    return ok;
}

static bool take_line(struct vwl_remote *remote, const char *line)
{
    if (g_str_has_prefix(line, "figures ")) {
        return take_figures(remote, line + strlen("figures "));
    }
    if (g_str_has_prefix(line, "window ")) {
        return take_window(remote, line + strlen("window "));
    }
    return strcmp(line, "end") == 0 ? take_end(remote)
                                    : take_question(remote, line);
}

static bool take_lines(struct vwl_remote *remote)
{
    GByteArray *rest = remote->rest;
    bool ok = true;
    guint8 *end;

    while (ok && rest->len > 0 && (end = memchr(rest->data, '\n', rest->len))) {
        guint length = (guint)(end - rest->data);

        *end = '\0';
        ok = length <= MOST_LINE && take_line(remote, (char *)rest->data);
        g_byte_array_remove_range(rest, 0, length + 1);
    }
    return ok && rest->len <= MOST_LINE;
}

static gboolean on_readable(int fd, GIOCondition condition, gpointer data)
{
    struct vwl_remote *remote = data;
    guint8 buffer[4096];
    ssize_t n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    bool ok = n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));

    if (n > 0) {
        g_byte_array_append(remote->rest, buffer, (guint)n);
        ok = take_lines(remote);
        if (!ok && !remote->is_told) {
            remote->is_told = true;
            g_message("%s: its device says what it may not say, and is "
                      "hung up on",
                      remote->name);
        }
    }
    if (!ok) {
        remote->watch = 0;
        hang_up(remote);
        remote->ops->gone(remote->data);
        connect_later(remote);
    }
    return ok;
}

/* ---- begin -------------------------------------------------------------- */

static gboolean on_retry(gpointer data)
{
    struct vwl_remote *remote = data;
    int fd = vwl_socket_connect(remote->path);

    if (fd < 0) {
        return G_SOURCE_CONTINUE;
    }
    remote->fd = fd;
    remote->retry = 0;
    remote->watch = g_unix_fd_add(fd, G_IO_IN, on_readable, remote);
    remote->ops->ready(remote->data);
    return G_SOURCE_REMOVE;
}

static void connect_later(struct vwl_remote *remote)
{
    remote->retry = g_timeout_add(RETRY_MS, on_retry, remote);
}

static void unref_variant(gpointer variant)
{
    g_variant_unref(variant);
}

struct vwl_remote *vwl_remote_create(const char *path, const char *name,
                                     const struct vwl_remote_ops *ops,
                                     void *data)
{
    struct vwl_remote *remote = g_new0(struct vwl_remote, 1);

    remote->path = g_strdup(path);
    remote->name = g_strdup(name);
    remote->ops = ops;
    remote->data = data;
    remote->fd = -1;
    remote->rest = g_byte_array_new();
    remote->figures = g_ptr_array_new_with_free_func(unref_variant);
    remote->windows = g_ptr_array_new_with_free_func(unref_variant);
    g_queue_init(&remote->looks);
    connect_later(remote);
    return remote;
}

void vwl_remote_destroy(struct vwl_remote *remote)
{
    if (!remote) {
        return;
    }
    hang_up(remote);
    g_clear_handle_id(&remote->retry, g_source_remove);
    g_ptr_array_unref(remote->windows);
    g_ptr_array_unref(remote->figures);
    g_byte_array_unref(remote->rest);
    g_free(remote->name);
    g_free(remote->path);
    g_free(remote);
}
