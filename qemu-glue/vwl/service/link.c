/* SPDX-License-Identifier: BSD-3-Clause */
#include "link.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel/parser.h"
#include "channel/text.h"
#include "fail.h"
#include "outbox.h"
#include "socket.h"

#define READ_BYTES 65536
#define SOFTWARE_CHARS 64

enum state {
    WAITING,
    GREETED,
    READY,
};

struct job {
    unsigned int number;
    vwl_link_ended_fn ended;
    void *data;
};

struct vwl_link {
    char *path, *name;
    const struct vwl_link_ops *ops;
    void *data;
    enum state state;
    unsigned int may; /* enum vwl_may */
    int listener, fd;
    unsigned int accepts, reads, hello; /* GSources */
    struct vwl_outbox *outbox;          /* of the connection */
    struct vwl_parser *parser;
    GHashTable *jobs; /* number -> struct job */
    unsigned int last_job;
};

static void end_jobs(struct vwl_link *link)
{
    GHashTable *jobs = link->jobs;
    GHashTableIter iter;
    gpointer job;

    link->jobs = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    g_hash_table_iter_init(&iter, jobs);
    while (g_hash_table_iter_next(&iter, NULL, &job)) {
        struct job *one = job;

        one->ended(one->data, VWL_STATUS_OURS, "the machine's agent has gone");
    }
    g_hash_table_unref(jobs);
}

static void hang_up(struct vwl_link *link)
{
    bool was_ready = link->state == READY;

    link->state = WAITING;
    g_clear_handle_id(&link->reads, g_source_remove);
    g_clear_handle_id(&link->hello, g_source_remove);
    g_clear_pointer(&link->outbox, vwl_outbox_destroy);
    g_clear_pointer(&link->parser, vwl_parser_destroy);
    if (link->fd >= 0) {
        close(link->fd);
        link->fd = -1;
    }
    end_jobs(link);
    if (was_ready) {
        link->ops->gone(link->data);
    }
}

static bool put(struct vwl_link *link, GByteArray *bytes, const int *fds,
                size_t n_fds)
{
    bool ok = bytes->len > 0 && link->outbox &&
              vwl_outbox_put(link->outbox, bytes->data, bytes->len, fds, n_fds);

    g_byte_array_unref(bytes);
    return ok;
}

/* ---- what comes --------------------------------------------------------- */

static void take_hello(struct vwl_link *link, const struct vwl_frame *frame)
{
    char *software = vwl_text(frame->strings[VWL_HELLO_SOFTWARE],
                              SOFTWARE_CHARS);

    g_clear_handle_id(&link->hello, g_source_remove);
    link->state = READY;
    link->ops->ready(link->data, software);
    g_free(software);
}

static void take_answer(struct vwl_link *link, const struct vwl_frame *frame)
{
    gpointer key = GUINT_TO_POINTER(frame->job), value;
    char *text;

    if (!g_hash_table_steal_extended(link->jobs, key, NULL, &value)) {
        return; /* it came while the job ended here */
    }
    text = vwl_text(frame->strings[VWL_ANSWER_TEXT], VWL_MAX_ANSWER_CHARS);
    ((struct job *)value)
        ->ended(((struct job *)value)->data,
                vwl_frame_number(frame, VWL_ANSWER_STATUS), text);
    g_free(text);
    g_free(value);
}

static void take(struct vwl_link *link, const struct vwl_frame *frame)
{
    switch (frame->type) {
    case VWL_FRAME_HELLO:
        take_hello(link, frame);
        break;
    case VWL_FRAME_ANSWER:
        take_answer(link, frame);
        break;
    default:
        link->ops->frame(link->data, frame);
    }
}

static bool read_some(struct vwl_link *link)
{
    guint8 *buffer = g_malloc(READ_BYTES);
    ssize_t n = recv(link->fd, buffer, READ_BYTES, 0);
    struct vwl_frame frame;
    int status = 0;

    if (n > 0) {
        vwl_parser_feed(link->parser, buffer, (size_t)n, NULL, 0);
        while (link->parser &&
               (status = vwl_parser_next(link->parser, &frame)) > 0) {
            take(link, &frame);
        }
        if (status < 0) {
            g_message("%s: its agent broke a rule: %s", link->name,
                      vwl_parser_why(link->parser));
        }
    }
    g_free(buffer);
    return (n > 0 && status == 0) ||
           (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static gboolean on_readable(int fd, GIOCondition condition, gpointer data)
{
    struct vwl_link *link = data;

    if (read_some(link)) {
        return G_SOURCE_CONTINUE;
    }
    link->reads = 0;
    hang_up(link);
    return G_SOURCE_REMOVE;
}

/* ---- connections -------------------------------------------------------- */

static void on_broken(void *data)
{
    hang_up(data);
}

static gboolean on_no_hello(gpointer data)
{
    struct vwl_link *link = data;

    link->hello = 0;
    g_message("%s: something opened the agent's channel and does not speak",
              link->name);
    hang_up(link);
    return G_SOURCE_REMOVE;
}

static char *languages(void)
{
    GString *list = g_string_new(NULL);
    const char *const *names = g_get_language_names();

    for (size_t i = 0; names[i] && list->len + strlen(names[i]) < 200; i++) {
        g_string_append_printf(list, "%s%s", list->len ? ":" : "", names[i]);
    }
    return g_string_free(list, FALSE);
}

static void greet(struct vwl_link *link)
{
    GByteArray *bytes = g_byte_array_new();
    char *may = g_strdup_printf("%u", link->may), *spoken = languages();

    vwl_frame_put(bytes, VWL_SIDE_HOST, VWL_FRAME_HELLO, 0, VWL_CHANNEL_VERSION,
                  "vwl " VWL_VERSION, spoken, may, NULL);
    put(link, bytes, NULL, 0);
    g_free(spoken);
    g_free(may);
}

static gboolean on_connection(int listener, GIOCondition condition,
                              gpointer data)
{
    struct vwl_link *link = data;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0) {
        return G_SOURCE_CONTINUE;
    }
    if (link->state != WAITING) {
        close(fd);
        return G_SOURCE_CONTINUE;
    }
    link->state = GREETED;
    link->fd = fd;
    link->parser = vwl_parser_create(VWL_SIDE_GUEST);
    link->outbox = vwl_outbox_create(fd, on_broken, link);
    link->reads = g_unix_fd_add(fd, G_IO_IN, on_readable, link);
    link->hello = g_timeout_add(VWL_HELLO_MS, on_no_hello, link);
    greet(link);
    return G_SOURCE_CONTINUE;
}

struct vwl_link *vwl_link_create(const char *path, const char *name,
                                 const struct vwl_link_ops *ops, void *data,
                                 GError **error)
{
    int listener = vwl_socket_listen(path);
    struct vwl_link *link;

    if (listener < 0) {
        vwl_fail(error, VWL_FAIL_FAILED,
                 "%s cannot be listened at: %s; is XDG_RUNTIME_DIR right?",
                 path, g_strerror(-listener));
        return NULL;
    }
    link = g_new0(struct vwl_link, 1);
    link->path = g_strdup(path);
    link->name = g_strdup(name);
    link->ops = ops;
    link->data = data;
    link->fd = -1;
    link->listener = listener;
    link->jobs = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    link->accepts = g_unix_fd_add(listener, G_IO_IN, on_connection, link);
    return link;
}

void vwl_link_destroy(struct vwl_link *link)
{
    if (!link) {
        return;
    }
    hang_up(link);
    g_source_remove(link->accepts);
    close(link->listener);
    unlink(link->path);
    g_hash_table_unref(link->jobs);
    g_free(link->name);
    g_free(link->path);
    g_free(link);
}

bool vwl_link_is_ready(const struct vwl_link *link)
{
    return link && link->state == READY;
}

void vwl_link_set_may(struct vwl_link *link, unsigned int may)
{
    link->may = may;
}

/* ---- jobs --------------------------------------------------------------- */

static unsigned int free_number(struct vwl_link *link)
{
    do {
        link->last_job = link->last_job % 0xffff + 1;
    } while (
        g_hash_table_contains(link->jobs, GUINT_TO_POINTER(link->last_job)));
    return link->last_job;
}

static bool can_begin(struct vwl_link *link, GError **error)
{
    if (!vwl_link_is_ready(link)) {
        return vwl_fail(error, VWL_FAIL_NO_AGENT,
                        "the machine has no agent (yet); see: vwl logs, or "
                        "install vhost-user-wl-guest in it");
    }
    if (g_hash_table_size(link->jobs) >= VWL_MAX_JOBS) {
        return vwl_fail(error, VWL_FAIL_REFUSED,
                        "%u programs were started so and still run; end one "
                        "of them",
                        VWL_MAX_JOBS);
    }
    return true;
}

static unsigned int begin(struct vwl_link *link, unsigned int number,
                          GByteArray *bytes, const int *fds, size_t n_fds,
                          vwl_link_ended_fn ended, void *data, GError **error)
{
    struct job *job;

    if (bytes->len == 0) {
        g_byte_array_unref(bytes);
        vwl_fail(error, VWL_FAIL_USAGE,
                 "that is too long for the machine's agent, or not UTF-8; "
                 "give it less");
        return 0;
    }
    if (!put(link, bytes, fds, n_fds)) {
        vwl_fail(error, VWL_FAIL_NO_AGENT,
                 "the machine's agent does not take it; try again");
        return 0;
    }
    job = g_new(struct job, 1);
    *job = (struct job){ number, ended, data };
    g_hash_table_insert(link->jobs, GUINT_TO_POINTER(number), job);
    return number;
}

unsigned int vwl_link_exec(struct vwl_link *link, const struct vwl_exec *exec,
                           const int fds[VWL_EXEC_FDS], vwl_link_ended_fn ended,
                           void *data, GError **error)
{
    GByteArray *bytes;
    unsigned int number;

    if (!can_begin(link, error)) {
        return 0;
    }
    number = free_number(link);
    bytes = g_byte_array_new();
    vwl_frame_put_exec(bytes, (uint16_t)number, exec);
    return begin(link, number, bytes, fds, VWL_EXEC_FDS, ended, data, error);
}

unsigned int vwl_link_launch(struct vwl_link *link, const char *id,
                             const char *token, vwl_link_ended_fn ended,
                             void *data, GError **error)
{
    GByteArray *bytes;
    unsigned int number;

    if (!can_begin(link, error)) {
        return 0;
    }
    number = free_number(link);
    bytes = g_byte_array_new();
    vwl_frame_put(bytes, VWL_SIDE_HOST, VWL_FRAME_LAUNCH, (uint16_t)number, id,
                  token, NULL);
    return begin(link, number, bytes, NULL, 0, ended, data, error);
}

static bool has_job(struct vwl_link *link, unsigned int job)
{
    return vwl_link_is_ready(link) &&
           g_hash_table_contains(link->jobs, GUINT_TO_POINTER(job));
}

bool vwl_link_signal(struct vwl_link *link, unsigned int job,
                     unsigned int number)
{
    GByteArray *bytes;
    char *text;

    if (!has_job(link, job)) {
        return false;
    }
    bytes = g_byte_array_new();
    text = g_strdup_printf("%u", number);
    vwl_frame_put(bytes, VWL_SIDE_HOST, VWL_FRAME_SIGNAL, (uint16_t)job, text,
                  NULL);
    g_free(text);
    return put(link, bytes, NULL, 0);
}

bool vwl_link_resize(struct vwl_link *link, unsigned int job, unsigned int rows,
                     unsigned int columns)
{
    GByteArray *bytes;
    char *first, *second;

    if (!has_job(link, job)) {
        return false;
    }
    bytes = g_byte_array_new();
    first = g_strdup_printf("%u", rows);
    second = g_strdup_printf("%u", columns);
    vwl_frame_put(bytes, VWL_SIDE_HOST, VWL_FRAME_RESIZE, (uint16_t)job, first,
                  second, NULL);
    g_free(second);
    g_free(first);
    return put(link, bytes, NULL, 0);
}

bool vwl_link_send(struct vwl_link *link, const void *data, size_t length)
{
    return vwl_link_is_ready(link) &&
           vwl_outbox_put(link->outbox, data, length, NULL, 0);
}
