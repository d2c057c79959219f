/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "jobs.h"
#include "pump.h"

/* Pumps live on while a program's children hold its output. */
#define MAX_PUMPS (8 * VWL_MAX_JOBS)
#define CANNOT_RUN 126u
#define NOT_FOUND 127u

struct vwl_jobs {
    vwl_jobs_answer_fn answer;
    void *opaque;
    GHashTable *running; /* number: struct job */
};

struct job {
    struct vwl_jobs *jobs; /* NULL: nobody wants to know */
    uint16_t number;
    GPid pid;
    int terminal; /* its master, or -1 */
};

struct vwl_jobs *vwl_jobs_create(vwl_jobs_answer_fn answer, void *opaque)
{
    struct vwl_jobs *jobs = g_new0(struct vwl_jobs, 1);

    jobs->answer = answer;
    jobs->opaque = opaque;
    jobs->running = g_hash_table_new(NULL, NULL);
    return jobs;
}

void vwl_jobs_hang_up(struct vwl_jobs *jobs)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, jobs->running);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        struct job *job = value;

        kill(-job->pid, SIGHUP);
        job->jobs = NULL;
        g_hash_table_iter_remove(&iter);
    }
}

void vwl_jobs_destroy(struct vwl_jobs *jobs)
{
    if (jobs) {
        vwl_jobs_hang_up(jobs);
        g_hash_table_unref(jobs->running);
        g_free(jobs);
    }
}

/* ---- its end ------------------------------------------------------------ */

static void on_ended(GPid pid, gint status, gpointer data)
{
    struct job *job = data;
    unsigned int code = WIFSIGNALED(status) ? 128u + WTERMSIG(status)
                                            : WEXITSTATUS(status);

    if (job->jobs) {
        g_hash_table_remove(job->jobs->running, GUINT_TO_POINTER(job->number));
        job->jobs->answer(job->jobs->opaque, job->number, code, "");
    }
    if (job->terminal >= 0) {
        close(job->terminal);
    }
    g_spawn_close_pid(pid);
    g_free(job);
}

static struct job *find(struct vwl_jobs *jobs, uint16_t number)
{
    return g_hash_table_lookup(jobs->running, GUINT_TO_POINTER(number));
}

void vwl_jobs_signal(struct vwl_jobs *jobs, uint16_t number, int signal)
{
    struct job *job = find(jobs, number);

    if (job) {
        kill(-job->pid, signal);
    }
}

static void set_size(int terminal, uint16_t rows, uint16_t columns)
{
    const struct winsize size = { .ws_row = rows, .ws_col = columns };

    ioctl(terminal, TIOCSWINSZ, &size);
}

void vwl_jobs_resize(struct vwl_jobs *jobs, uint16_t number, uint16_t rows,
                     uint16_t columns)
{
    struct job *job = find(jobs, number);

    if (job && job->terminal >= 0) {
        set_size(job->terminal, rows, columns);
    }
}

/* ---- its beginning ------------------------------------------------------ */

/* What the program gets, and what is left to us (-1: nothing). */
struct ends {
    int theirs[VWL_EXEC_FDS];
    int ours[VWL_EXEC_FDS];
    int terminal;
};

static void ends_close(struct ends *ends)
{
    for (unsigned int i = 0; i < VWL_EXEC_FDS; i++) {
        if (ends->theirs[i] >= 0) {
            close(ends->theirs[i]);
        }
        if (ends->ours[i] >= 0) {
            close(ends->ours[i]);
        }
    }
    if (ends->terminal >= 0) {
        close(ends->terminal);
    }
}

static bool make_pipes(struct ends *ends)
{
    for (unsigned int i = 0; i < VWL_EXEC_FDS; i++) {
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0) {
            return false;
        }
        ends->theirs[i] = fds[i != 0];
        ends->ours[i] = fds[i == 0];
    }
    return true;
}

static int dup_of(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static bool make_terminal(struct ends *ends, const struct vwl_exec *exec)
{
    char path[64];

    ends->terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (ends->terminal < 0 || grantpt(ends->terminal) < 0 ||
        unlockpt(ends->terminal) < 0 ||
        ptsname_r(ends->terminal, path, sizeof path) != 0) {
        return false;
    }
    set_size(ends->terminal, exec->rows, exec->columns);
    ends->theirs[0] = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    for (unsigned int i = 1; i < VWL_EXEC_FDS; i++) {
        ends->theirs[i] = dup_of(ends->theirs[0]);
    }
    ends->ours[0] = dup_of(ends->terminal);
    ends->ours[1] = dup_of(ends->terminal);
    return ends->theirs[2] >= 0 && ends->ours[0] >= 0 && ends->ours[1] >= 0;
}

/* In the child, before exec. */
static void begin_session(gpointer data)
{
    const struct vwl_exec *exec = data;

    setsid();
    if (exec->tty) {
        ioctl(STDIN_FILENO, TIOCSCTTY, 0);
    }
}

static char **strings_of(const char *const *list, size_t n)
{
    char **strings = g_new0(char *, n + 1);

    for (size_t i = 0; i < n; i++) {
        strings[i] = g_strdup(list[i]);
    }
    return strings;
}

static char **environment_of(const struct vwl_exec *exec)
{
    char **env = g_get_environ();

    for (size_t i = 0; i < exec->n_env; i++) {
        const char *value = strchr(exec->env[i], '=');
        g_autofree char *name = g_strndup(exec->env[i],
                                          (gsize)(value - exec->env[i]));

        env = g_environ_setenv(env, name, value + 1, TRUE);
    }
    return env;
}

static bool spawn(const struct vwl_exec *exec, const struct ends *ends,
                  GPid *pid, GError **error)
{
    g_auto(GStrv) argv = strings_of(exec->argv, exec->argc);
    g_auto(GStrv) env = environment_of(exec);
    const char *folder = exec->folder[0] ? exec->folder : g_get_home_dir();

    return g_spawn_async_with_fds(folder, argv, env,
                                  G_SPAWN_DO_NOT_REAP_CHILD |
                                      G_SPAWN_SEARCH_PATH_FROM_ENVP,
                                  begin_session, (gpointer)exec, pid,
                                  ends->theirs[0], ends->theirs[1],
                                  ends->theirs[2], error);
}

static void start_pumps(struct ends *ends, struct vwl_frame *frame,
                        const struct vwl_exec *exec)
{
    int *fds = frame->fds;

    vwl_pump_start(fds[0], ends->ours[0], exec->tty ? "\x04" : NULL, NULL,
                   NULL);
    vwl_pump_start(ends->ours[1], fds[1], NULL, NULL, NULL);
    if (ends->ours[2] >= 0) {
        vwl_pump_start(ends->ours[2], fds[2], NULL, NULL, NULL);
        fds[2] = -1;
    }
    fds[0] = fds[1] = -1; /* a terminal has no third: the wire closes it */
    for (unsigned int i = 0; i < VWL_EXEC_FDS; i++) {
        ends->ours[i] = -1;
    }
}

static void refuse(struct vwl_jobs *jobs, uint16_t number, const GError *error)
{
    bool missing = g_error_matches(error, G_SPAWN_ERROR, G_SPAWN_ERROR_NOENT);

    jobs->answer(jobs->opaque, number, missing ? NOT_FOUND : CANNOT_RUN,
                 error->message);
}

static void start(struct vwl_jobs *jobs, struct vwl_frame *frame,
                  const struct vwl_exec *exec)
{
    struct ends ends = { { -1, -1, -1 }, { -1, -1, -1 }, -1 };
    g_autoptr(GError) error = NULL;
    struct job *job;
    GPid pid;

    if (!(exec->tty ? make_terminal(&ends, exec) : make_pipes(&ends))) {
        jobs->answer(jobs->opaque, frame->job, CANNOT_RUN, g_strerror(errno));
    } else if (!spawn(exec, &ends, &pid, &error)) {
        refuse(jobs, frame->job, error);
    } else {
        job = g_new0(struct job, 1);
        job->jobs = jobs;
        job->number = frame->job;
        job->pid = pid;
        job->terminal = ends.terminal;
        ends.terminal = -1;
        g_hash_table_insert(jobs->running, GUINT_TO_POINTER(frame->job), job);
        start_pumps(&ends, frame, exec);
        g_child_watch_add(pid, on_ended, job);
    }
    ends_close(&ends);
}

void vwl_jobs_exec(struct vwl_jobs *jobs, struct vwl_frame *frame)
{
    struct vwl_exec exec;
    const char *why = NULL;

    vwl_frame_exec(frame, &exec);
    if (exec.user[0] && !g_str_equal(exec.user, g_get_user_name())) {
        why = "this agent runs programs of its own user alone";
    } else if (find(jobs, frame->job)) {
        why = "a job of that number is under way";
    } else if (g_hash_table_size(jobs->running) >= VWL_MAX_JOBS ||
               vwl_pump_count() >= MAX_PUMPS) {
        why = "too many programs are under way";
    }
    if (why) {
        jobs->answer(jobs->opaque, frame->job, CANNOT_RUN, why);
    } else {
        start(jobs, frame, &exec);
    }
}
