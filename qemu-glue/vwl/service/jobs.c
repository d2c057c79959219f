/* SPDX-License-Identifier: BSD-3-Clause */
#include "jobs.h"

#include <gio/gunixfdlist.h>
#include <signal.h>
#include <sys/stat.h>

#include "fail.h"

struct vwl_jobs {
    VwlBusMachine *skeleton;
    struct vwl_box *box;
    GHashTable *jobs; /* number -> struct job */
    unsigned int last;
};

struct job {
    struct vwl_jobs *jobs;
    unsigned int number, on_link;
    struct vwl_link *link;
    unsigned int watch; /* of the client's name */
};

static void on_ended(void *data, unsigned int status, const char *text)
{
    struct job *job = data;

    g_bus_unwatch_name(job->watch);
    vwl_bus_machine_emit_exited(job->jobs->skeleton, job->number, status, text);
    g_hash_table_remove(job->jobs->jobs, GUINT_TO_POINTER(job->number));
}

static void on_client_gone(GDBusConnection *bus, const char *name,
                           gpointer data)
{
    struct job *job = data;

    vwl_link_signal(job->link, job->on_link, SIGHUP);
}

/* ---- Exec --------------------------------------------------------------- */

/* The options, and what of them has to be freed. */
struct wish {
    struct vwl_exec exec;
    gboolean tty, root;
    guint32 rows, columns;
    char *folder;
    char **env;
};

static bool read_options(GVariant *options, struct wish *wish, GError **error)
{
    GVariantIter iter;
    const char *key;
    GVariant *value;
    bool ok = true;

    g_variant_iter_init(&iter, options);
    while (ok && g_variant_iter_next(&iter, "{&sv}", &key, &value)) {
        char *text = g_strdup_printf("%s:%s", key,
                                     g_variant_get_type_string(value));

        if (g_str_equal(text, "tty:b")) {
            wish->tty = g_variant_get_boolean(value);
        } else if (g_str_equal(text, "root:b")) {
            wish->root = g_variant_get_boolean(value);
        } else if (g_str_equal(text, "rows:u")) {
            wish->rows = g_variant_get_uint32(value);
        } else if (g_str_equal(text, "columns:u")) {
            wish->columns = g_variant_get_uint32(value);
        } else if (g_str_equal(text, "folder:s")) {
            g_free(wish->folder);
            wish->folder = g_variant_dup_string(value, NULL);
        } else if (g_str_equal(text, "environment:as")) {
            g_strfreev(wish->env);
            wish->env = g_variant_dup_strv(value, NULL);
        } else {
            ok = vwl_fail(error, VWL_FAIL_USAGE,
                          "Exec has no option %s; update vhost-user-wl", text);
        }
        g_free(text);
        g_variant_unref(value);
    }
    return ok;
}

static bool take_pipes(GUnixFDList *list, GVariant *const handles[VWL_EXEC_FDS],
                       int fds[VWL_EXEC_FDS], GError **error)
{
    int n_fds = 0;
    const int *all = list ? g_unix_fd_list_peek_fds(list, &n_fds) : NULL;

    for (size_t i = 0; i < VWL_EXEC_FDS; i++) {
        int at = g_variant_get_handle(handles[i]);
        struct stat st;

        if (at < 0 || at >= n_fds || fstat(all[at], &st) != 0 ||
            !S_ISFIFO(st.st_mode)) {
            return vwl_fail(error, VWL_FAIL_USAGE,
                            "Exec takes three pipes; nothing else crosses "
                            "into a machine");
        }
        fds[i] = all[at];
    }
    return true;
}

static unsigned int begin(struct vwl_jobs *jobs, const struct wish *wish,
                          const int fds[VWL_EXEC_FDS], const char *client,
                          GError **error)
{
    struct job *job = g_new0(struct job, 1);
    struct vwl_link *link = vwl_box_link(jobs->box, wish->root);

    job->jobs = jobs;
    job->link = link;
    job->number = ++jobs->last;
    if (!link) {
        vwl_fail(error, VWL_FAIL_NOT_RUNNING, "%s is stopped; run: vwl run %s",
                 vwl_box_name(jobs->box), vwl_box_name(jobs->box));
    } else {
        job->on_link = vwl_link_exec(link, &wish->exec, fds, on_ended, job,
                                     error);
    }
    if (job->on_link == 0) {
        g_free(job);
        return 0;
    }
    g_hash_table_insert(jobs->jobs, GUINT_TO_POINTER(job->number), job);
    job->watch = g_bus_watch_name(G_BUS_TYPE_SESSION, client,
                                  G_BUS_NAME_WATCHER_FLAGS_NONE, NULL,
                                  on_client_gone, job, NULL);
    return job->number;
}

static void fill(struct wish *wish, const char *const *argv)
{
    wish->exec = (struct vwl_exec){
        .tty = wish->tty,
        .rows = wish->tty ? (uint16_t)MIN(wish->rows, 9999) : 0,
        .columns = wish->tty ? (uint16_t)MIN(wish->columns, 9999) : 0,
        .user = "",
        .folder = wish->folder ? wish->folder : "",
        .argv = argv,
        .argc = g_strv_length((char **)argv),
        .env = (const char *const *)wish->env,
        .n_env = wish->env ? g_strv_length(wish->env) : 0,
    };
}

static gboolean on_exec(VwlBusMachine *skeleton, GDBusMethodInvocation *call,
                        GUnixFDList *list, const char *const *argv,
                        GVariant *options, GVariant *input, GVariant *output,
                        GVariant *errors, gpointer data)
{
    struct vwl_jobs *jobs = data;
    GVariant *const handles[] = { input, output, errors };
    struct wish wish = { .tty = FALSE };
    int fds[VWL_EXEC_FDS];
    GError *error = NULL;
    unsigned int number = 0;

    if (!argv[0]) {
        vwl_fail(&error, VWL_FAIL_USAGE, "Exec of nothing; name a program");
    } else if (vwl_box_waits(jobs->box)) {
        vwl_fail(&error, VWL_FAIL_REFUSED, "%s", vwl_box_waits(jobs->box));
    } else if (read_options(options, &wish, &error) &&
               take_pipes(list, handles, fds, &error)) {
        fill(&wish, argv);
        number = begin(jobs, &wish, fds,
                       g_dbus_method_invocation_get_sender(call), &error);
    }
    if (number) {
        vwl_bus_machine_complete_exec(skeleton, call, NULL, number);
    } else {
        g_dbus_method_invocation_take_error(call, error);
    }
    g_free(wish.folder);
    g_strfreev(wish.env);
    return TRUE;
}

/* ---- Signal, Resize ----------------------------------------------------- */

static struct job *find(struct vwl_jobs *jobs, unsigned int number)
{
    return g_hash_table_lookup(jobs->jobs, GUINT_TO_POINTER(number));
}

static void no_job(GDBusMethodInvocation *call)
{
    g_dbus_method_invocation_return_error_literal(
        call, VWL_FAIL, VWL_FAIL_NOT_FOUND,
        "that program has ended; there is nothing to do");
}

static gboolean on_signal(VwlBusMachine *skeleton, GDBusMethodInvocation *call,
                          guint number, guint signal, gpointer data)
{
    struct job *job = find(data, number);

    if (job && vwl_link_signal(job->link, job->on_link, signal)) {
        vwl_bus_machine_complete_signal(skeleton, call);
    } else {
        no_job(call);
    }
    return TRUE;
}

static gboolean on_resize(VwlBusMachine *skeleton, GDBusMethodInvocation *call,
                          guint number, guint rows, guint columns,
                          gpointer data)
{
    struct job *job = find(data, number);

    if (job && vwl_link_resize(job->link, job->on_link, MIN(rows, 9999),
                               MIN(columns, 9999))) {
        vwl_bus_machine_complete_resize(skeleton, call);
    } else {
        no_job(call);
    }
    return TRUE;
}

struct vwl_jobs *vwl_jobs_create(VwlBusMachine *skeleton, struct vwl_box *box)
{
    struct vwl_jobs *jobs = g_new0(struct vwl_jobs, 1);

    jobs->skeleton = skeleton;
    jobs->box = box;
    jobs->jobs = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    g_signal_connect(skeleton, "handle-exec", G_CALLBACK(on_exec), jobs);
    g_signal_connect(skeleton, "handle-signal", G_CALLBACK(on_signal), jobs);
    g_signal_connect(skeleton, "handle-resize", G_CALLBACK(on_resize), jobs);
    return jobs;
}

void vwl_jobs_destroy(struct vwl_jobs *jobs)
{
    g_signal_handlers_disconnect_by_data(jobs->skeleton, jobs);
    g_hash_table_unref(jobs->jobs);
    g_free(jobs);
}
