/* SPDX-License-Identifier: BSD-3-Clause */
#include "maker.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel/text.h"
#include "fail.h"
#include "given.h"

#define MOST_LINE 4096 /* bytes kept of one */
#define MOST_SHOWN 160 /* characters */

struct maker {
    GMainLoop *loop;
    GPid pid;
    int in, log;
    bool is_over, was_interrupted;
    int status;        /* as of waitpid */
    GString *line;     /* that has begun */
    char *last, *step; /* never NULL */
    gint64 began;      /* the step */
};

/* ---- progress ----------------------------------------------------------- */

static bool is_shown(void)
{
    return isatty(STDERR_FILENO) && !vwl_want_quiet &&
           g_strcmp0(g_getenv("TERM"), "dumb") != 0;
}

static gboolean on_second(gpointer data)
{
    struct maker *maker = data;
    gint64 seconds = (g_get_monotonic_time() - maker->began) / G_USEC_PER_SEC;

    if (is_shown() && maker->step[0] && seconds >= 60) {
        g_printerr("\r%s (%d min %d s)\033[K", maker->step, (int)(seconds / 60),
                   (int)(seconds % 60));
    } else if (is_shown() && maker->step[0]) {
        g_printerr("\r%s (%d s)\033[K", maker->step, (int)seconds);
    }
    return G_SOURCE_CONTINUE;
}

static void begin_step(struct maker *maker, int number, int of,
                       const char *text)
{
    if (is_shown() && maker->step[0]) {
        g_printerr("\r%s\033[K\n", maker->step);
    }
    g_free(maker->step);
    maker->step = g_strdup_printf("[%d/%d] %s", number, of, text);
    maker->began = g_get_monotonic_time();
    if (is_shown()) {
        on_second(maker);
    } else if (!vwl_want_quiet) {
        g_printerr("%s\n", maker->step);
    }
}

/* ---- what it says ------------------------------------------------------- */

static void take_line(struct maker *maker)
{
    char *line = vwl_text(maker->line->str, MOST_SHOWN);
    int number, of, at = 0;

    if (sscanf(line, "%d %d %n", &number, &of, &at) == 2 && at > 0 &&
        line[at]) {
        begin_step(maker, number, of, line + at);
    } else if (line[0]) {
        g_free(maker->last);
        maker->last = g_strdup(line);
    }
    g_string_truncate(maker->line, 0);
    g_free(line);
}

static gboolean on_said(int fd, GIOCondition condition, gpointer data)
{
    struct maker *maker = data;
    char buffer[4096];
    ssize_t n = read(fd, buffer, sizeof buffer);

    if (n <= 0) {
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
            return G_SOURCE_CONTINUE;
        }
        take_line(maker);
        return G_SOURCE_REMOVE;
    }
    if (maker->log >= 0 && write(maker->log, buffer, (size_t)n) < 0) {
        close(maker->log); /* it goes on without a log */
        maker->log = -1;
    }
    for (ssize_t i = 0; i < n; i++) {
        if (buffer[i] == '\n' || buffer[i] == '\r') {
            take_line(maker);
        } else if (maker->line->len < MOST_LINE) {
            g_string_append_c(maker->line, buffer[i]);
        }
    }
    return G_SOURCE_CONTINUE;
}

/* ---- life --------------------------------------------------------------- */

static void on_ended(GPid pid, int status, gpointer data)
{
    struct maker *maker = data;

    maker->status = status;
    maker->is_over = true;
    g_main_loop_quit(maker->loop);
}

/* The first time it may clean up. */
static gboolean on_interrupt(gpointer data)
{
    struct maker *maker = data;

    kill(-maker->pid, maker->was_interrupted ? SIGKILL : SIGTERM);
    maker->was_interrupted = true;
    return G_SOURCE_CONTINUE;
}

static void on_child(gpointer data)
{
    setpgid(0, 0);
}

static void follow(struct maker *maker)
{
    unsigned int sources[] = {
        g_unix_signal_add(SIGINT, on_interrupt, maker),
        g_unix_signal_add(SIGTERM, on_interrupt, maker),
        g_unix_signal_add(SIGHUP, on_interrupt, maker),
        g_timeout_add_seconds(1, on_second, maker),
    };

    g_unix_fd_add(maker->in, G_IO_IN | G_IO_HUP, on_said, maker);
    g_child_watch_add(maker->pid, on_ended, maker);
    g_main_loop_run(maker->loop);
    while (g_main_context_iteration(NULL, FALSE)) {
        /* what was said last */
    }
    for (size_t i = 0; i < G_N_ELEMENTS(sources); i++) {
        g_source_remove(sources[i]);
    }
    if (is_shown() && maker->step[0]) {
        g_printerr("\r\033[K");
    }
}

static bool judge(const struct maker *maker, const char *log, GError **error)
{
    if (maker->was_interrupted) {
        return vwl_fail(error, VWL_FAIL_FAILED,
                        "interrupted; nothing is left of it");
    }
    if (WIFEXITED(maker->status) && WEXITSTATUS(maker->status) == 0) {
        return true;
    }
    return vwl_fail(error, VWL_FAIL_FAILED, "%s; all it said is in %s",
                    maker->last[0] ? maker->last : "it failed", log);
}

bool vwl_maker_run(char *const *argv, const char *log, GError **error)
{
    struct maker maker = { .log = -1 };
    bool ok = g_spawn_async_with_pipes(NULL, (char **)argv, NULL,
                                       G_SPAWN_DO_NOT_REAP_CHILD |
                                           G_SPAWN_STDOUT_TO_DEV_NULL,
                                       on_child, NULL, &maker.pid, NULL, NULL,
                                       &maker.in, error);

    if (!ok) {
        return false;
    }
    setpgid(maker.pid, maker.pid); /* whoever of both comes first */
    maker.log = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    maker.line = g_string_new(NULL);
    maker.last = g_strdup("");
    maker.step = g_strdup("");
    maker.loop = g_main_loop_new(NULL, FALSE);
    follow(&maker);
    ok = judge(&maker, log, error);
    g_main_loop_unref(maker.loop);
    g_free(maker.step);
    g_free(maker.last);
    g_string_free(maker.line, TRUE);
    if (maker.log >= 0) {
        close(maker.log);
    }
    close(maker.in);
    return ok;
}
