/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <gio/gunixfdlist.h>
#include <glib-unix.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "fail.h"
#include "pump.h"
#include "say.h"
#include "service.h"
#include "start.h"
#include "target.h"
#include "terminal.h"

#define STATUS_OURS 125
#define DRAIN_MS 1000 /* for what a child of the program still holds */
#define SECOND_INTERRUPT_US (2 * G_USEC_PER_SEC)

static gboolean want_tty, no_tty, as_root, start_first;
static char *folder;
static char **environment;

static const GOptionEntry entries[] = {
    { "tty", 't', 0, G_OPTION_ARG_NONE, &want_tty,
      "Give it a terminal (where there is one here)", NULL },
    { "no-tty", 'T', 0, G_OPTION_ARG_NONE, &no_tty, "Give it none", NULL },
    { "env", 'e', 0, G_OPTION_ARG_STRING_ARRAY, &environment,
      "Set a variable of its environment (repeatable)", "NAME=VALUE" },
    { "workdir", 'w', 0, G_OPTION_ARG_STRING, &folder,
      "Run it in this folder of the machine (the user's home)", "FOLDER" },
    { "root", 0, 0, G_OPTION_ARG_NONE, &as_root, "Run it as root", NULL },
    { "start", 0, 0, G_OPTION_ARG_NONE, &start_first,
      "Start the machine first, if it is off", NULL },
    G_OPTION_ENTRY_NULL,
};

/* The one program of this process. */
static struct exec {
    VwlBusMachine *machine;
    GMainLoop *loop;
    guint job;
    bool tty, is_over;
    unsigned int status;
    char *text;
    struct vwl_pump *in, *out, *err;
    unsigned int open; /* of out and err */
    unsigned int n_draining;
    gint64 interrupted; /* when, last */
} self;

/* ---- the end ------------------------------------------------------------ */

static void on_in_ended(void *data)
{
}

static void on_out_ended(void *data)
{
    self.open--;
    if (self.is_over && self.open == 0) {
        g_main_loop_quit(self.loop);
    }
}

static gboolean on_drained(gpointer data)
{
    g_main_loop_quit(self.loop);
    return G_SOURCE_REMOVE;
}

static void finish(unsigned int status, const char *text)
{
    if (self.is_over) {
        return;
    }
    self.is_over = true;
    self.status = status;
    self.text = g_strdup(text);
    if (self.open == 0) {
        g_main_loop_quit(self.loop);
    } else {
        g_timeout_add(DRAIN_MS, on_drained, NULL);
    }
}

static void on_exited(VwlBusMachine *machine, guint job, guint status,
                      const char *text, gpointer data)
{
    if (job == self.job) {
        finish(status, text);
    }
}

static void on_owner(GObject *machine, GParamSpec *spec, gpointer data)
{
    finish(STATUS_OURS, "the service has ended; run it again");
}

/* ---- signals ------------------------------------------------------------ */

static void pass(unsigned int number)
{
    vwl_bus_machine_call_signal(self.machine, self.job, number, NULL, NULL,
                                NULL);
}

static gboolean on_interrupt(gpointer data)
{
    gint64 now = g_get_monotonic_time();

    if (self.interrupted && now - self.interrupted < SECOND_INTERRUPT_US) {
        finish(STATUS_OURS, "left alone; it may still run in the machine");
        g_main_loop_quit(self.loop);
    }
    self.interrupted = now;
    pass(SIGINT);
    return G_SOURCE_CONTINUE;
}

static gboolean on_terminate(gpointer data)
{
    pass(SIGTERM);
    return G_SOURCE_CONTINUE;
}

static gboolean on_hang_up(gpointer data)
{
    pass(SIGHUP);
    return G_SOURCE_CONTINUE;
}

static gboolean on_resized(gpointer data)
{
    unsigned int rows, columns;

    vwl_terminal_size(&rows, &columns);
    vwl_bus_machine_call_resize(self.machine, self.job, rows, columns, NULL,
                                NULL, NULL);
    return G_SOURCE_CONTINUE;
}

static void watch_signals(void)
{
    g_unix_signal_add(SIGINT, on_interrupt, NULL);
    g_unix_signal_add(SIGTERM, on_terminate, NULL);
    g_unix_signal_add(SIGHUP, on_hang_up, NULL);
    if (self.tty) {
        g_unix_signal_add(SIGWINCH, on_resized, NULL);
    }
    signal(SIGPIPE, SIG_IGN); /* a reader of ours that has gone */
}

/* ---- the call ----------------------------------------------------------- */

static GVariant *options(void)
{
    GVariantDict dict;
    unsigned int rows, columns;

    g_variant_dict_init(&dict, NULL);
    g_variant_dict_insert(&dict, "root", "b", as_root);
    g_variant_dict_insert(&dict, "tty", "b", self.tty);
    if (self.tty) {
        vwl_terminal_size(&rows, &columns);
        g_variant_dict_insert(&dict, "rows", "u", rows);
        g_variant_dict_insert(&dict, "columns", "u", columns);
    }
    if (folder) {
        g_variant_dict_insert(&dict, "folder", "s", folder);
    }
    if (environment) {
        g_variant_dict_insert(&dict, "environment", "^as", environment);
    }
    return g_variant_dict_end(&dict);
}

static bool make_pipes(int pipes[3][2], GError **error)
{
    for (size_t i = 0; i < 3; i++) {
        if (!g_unix_open_pipe(pipes[i], FD_CLOEXEC, error)) {
            return false;
        }
    }
    return true;
}

static bool call(char **argv, GError **error)
{
    int pipes[3][2];
    int theirs[3];
    GUnixFDList *list;
    bool ok;

    if (!make_pipes(pipes, error)) {
        return false;
    }
    theirs[0] = pipes[0][0];
    theirs[1] = pipes[1][1];
    theirs[2] = pipes[2][1];
    list = g_unix_fd_list_new_from_array(theirs, 3); /* takes them */
    ok = vwl_bus_machine_call_exec_sync(self.machine, (const char *const *)argv,
                                        options(), g_variant_new_handle(0),
                                        g_variant_new_handle(1),
                                        g_variant_new_handle(2), list,
                                        &self.job, NULL, NULL, error);
    g_object_unref(list);
    if (ok) {
        self.open = 2;
        self.in = vwl_pump_create(STDIN_FILENO, pipes[0][1], true, on_in_ended,
                                  NULL);
        self.out = vwl_pump_create(pipes[1][0], STDOUT_FILENO, false,
                                   on_out_ended, NULL);
        self.err = vwl_pump_create(pipes[2][0], STDERR_FILENO, false,
                                   on_out_ended, NULL);
    }
    return ok;
}

static int complain(GError *error)
{
    vwl_complain(error);
    return STATUS_OURS;
}

static int follow(const char *name)
{
    self.loop = g_main_loop_new(NULL, FALSE);
    watch_signals();
    if (self.tty) {
        vwl_terminal_begin();
    }
    g_main_loop_run(self.loop);
    vwl_terminal_end();
    vwl_pump_destroy(self.in);
    vwl_pump_destroy(self.out);
    vwl_pump_destroy(self.err);
    g_main_loop_unref(self.loop);
    if (self.text[0]) {
        g_printerr("vwl: %s: %s\n", name, self.text);
    }
    return (int)MIN(self.status, 255);
}

static int run_in(const char *name, char **argv)
{
    GError *error = NULL;

    self.machine = vwl_service_machine(name, &error);
    if (!self.machine) {
        return complain(error);
    }
    if (start_first && !vwl_start(self.machine, NULL, false, 300, &error)) {
        return complain(error);
    }
    self.tty = want_tty || (!no_tty && vwl_terminal_is_there());
    g_signal_connect(self.machine, "exited", G_CALLBACK(on_exited), NULL);
    g_signal_connect(self.machine, "notify::g-name-owner", G_CALLBACK(on_owner),
                     NULL);
    if (!call(argv, &error)) {
        return complain(error);
    }
    return follow(name);
}

static int run(int argc, char **argv)
{
    GError *error = NULL;
    int first = 2, status;
    char *name;

    if (argc > first && strcmp(argv[first], "--") == 0) {
        first++;
    }
    if (argc <= first) {
        vwl_refuse("exec: say a machine and a program; for example: vwl exec "
                   "test foot");
        return STATUS_OURS;
    }
    name = vwl_target_name(argv[1], &error);
    if (!name) {
        return complain(error);
    }
    status = run_in(name, argv + first);
    g_free(name);
    return status;
}

const struct vwl_command vwl_command_exec = {
    .name = "exec",
    .arguments = "NAME PROGRAM [ARGUMENT...]",
    .summary = "Run a program in a machine, with its exit status and streams",
    .entries = entries,
    .is_prefix = true,
    .run = run,
};
