/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel/text.h"
#include "command.h"
#include "folders.h"
#include "say.h"
#include "target.h"

#define LOOK_US 200000
#define MOST_LINE 4096 /* bytes kept of one */

static gboolean serial, qemu, device, follow;
static int lines = 200;

static const GOptionEntry entries[] = {
    { "serial", 0, 0, G_OPTION_ARG_NONE, &serial,
      "Only what the guest said on its serial port: its kernel's messages",
      NULL },
    { "qemu", 0, 0, G_OPTION_ARG_NONE, &qemu, "Only what QEMU said", NULL },
    { "device", 0, 0, G_OPTION_ARG_NONE, &device,
      "Only what the device said, which shows the windows", NULL },
    { "follow", 'f', 0, G_OPTION_ARG_NONE, &follow,
      "Go on with what comes, until Ctrl-C", NULL },
    { "lines", 'n', 0, G_OPTION_ARG_INT, &lines,
      "So many lines of each at most (200)", "N" },
    G_OPTION_ENTRY_NULL,
};

/* One log: what it has so far, of which the last lines are kept, and then
 * what comes. */
struct tail {
    const char *log;
    char *path;
    int fd;        /* -1: there is none (yet) */
    GString *line; /* that has begun */
    GQueue last;   /* char *, until is_live */
    bool is_live;
};

static void emit(struct tail *tail)
{
    char *text = vwl_text(tail->line->str, MOST_LINE);

    g_string_truncate(tail->line, 0);
    if (tail->is_live) {
        g_print("%s: %s\n", tail->log, text);
        g_free(text);
        return;
    }
    g_queue_push_tail(&tail->last, text);
    if (g_queue_get_length(&tail->last) > (guint)lines) {
        g_free(g_queue_pop_head(&tail->last));
    }
}

static void take(struct tail *tail, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] == '\n') {
            emit(tail);
        } else if (tail->line->len < MOST_LINE) {
            g_string_append_c(tail->line, bytes[i]);
        }
    }
}

static void read_on(struct tail *tail)
{
    char bytes[4096];
    ssize_t n;

    while (tail->fd >= 0 && (n = read(tail->fd, bytes, sizeof bytes)) > 0) {
        take(tail, bytes, (size_t)n);
    }
}

static void open_tail(struct tail *tail)
{
    tail->fd = open(tail->path, O_RDONLY | O_CLOEXEC);
}

/* The file has become LOG.old, and another one begun. */
static bool is_old(const struct tail *tail)
{
    struct stat ours, there;

    return tail->fd >= 0 && fstat(tail->fd, &ours) == 0 &&
           stat(tail->path, &there) == 0 && ours.st_ino != there.st_ino;
}

/* It is looked at again and again, as nothing tells of every write. */
static void look(struct tail *tail)
{
    bool old = is_old(tail);

    read_on(tail);
    if (old) {
        close(tail->fd);
    }
    if (old || tail->fd < 0) {
        open_tail(tail);
        read_on(tail);
    }
}

static void begin(struct tail *tail, const char *log, const char *folder)
{
    char *file = g_strconcat(log, ".log", NULL), *text;

    *tail = (struct tail){ .log = log,
                           .path = g_build_filename(folder, file, NULL),
                           .line = g_string_new(NULL),
                           .last = G_QUEUE_INIT };
    open_tail(tail);
    read_on(tail);
    if (!follow && tail->line->len > 0) {
        emit(tail);
    }
    tail->is_live = true;
    while ((text = g_queue_pop_head(&tail->last))) {
        g_print("%s: %s\n", log, text);
        g_free(text);
    }
    g_free(file);
}

static void end(struct tail *tail)
{
    if (tail->fd >= 0) {
        close(tail->fd);
    }
    g_string_free(tail->line, TRUE);
    g_free(tail->path);
}

static void show(const char *name, const bool wanted[])
{
    static const char *const logs[] = { "serial", "qemu", "device" };
    struct tail tails[G_N_ELEMENTS(logs)];
    char *folder = vwl_folder_state(name);
    size_t n = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(logs); i++) {
        if (wanted[i]) {
            begin(&tails[n++], logs[i], folder);
        }
    }
    while (follow) {
        g_usleep(LOOK_US);
        for (size_t i = 0; i < n; i++) {
            look(&tails[i]);
        }
    }
    while (n-- > 0) {
        end(&tails[n]);
    }
    g_free(folder);
}

static int run(int argc, char **argv)
{
    GError *error = NULL;
    bool all = !serial && !qemu && !device;
    char *name;

    if (argc > 2 || lines < 1) {
        return vwl_refuse("logs: one machine, and at least one line; see: vwl "
                          "logs --help");
    }
    name = vwl_target_name(argc == 2 ? argv[1] : NULL, &error);
    if (!name) {
        return vwl_complain(error);
    }
    show(name, (const bool[]){ all || serial, all || qemu, all || device });
    g_free(name);
    return VWL_STATUS_OK;
}

const struct vwl_command vwl_command_logs = {
    .name = "logs",
    .arguments = "[NAME]",
    .summary = "Show what a machine and its parts have said",
    .entries = entries,
    .run = run,
};
