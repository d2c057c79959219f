/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vwl-guest: the guest's side of the command vwl.
 *
 *     vwl-guest agent         serves the host in this session
 *     vwl-guest open LINK     opens a link on the host
 *     vwl-guest doctor        checks this machine
 */
#include <gio/gio.h>
#include <glib-unix.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "channel/bounds.h"
#include "control.h"
#include "doctor.h"

#define USAGE_STATUS 2

struct given {
    char *socket;
    gboolean jobs_only, version;
    char **words;
};

static gboolean on_signal(gpointer loop)
{
    g_main_loop_quit(loop);
    return G_SOURCE_CONTINUE;
}

/* Programs that the host starts find the host's desktop, unless this machine
 * has its own. */
static void find_display(void)
{
    g_autofree char *path = g_build_filename(g_get_user_runtime_dir(),
                                             "wayland-0", NULL);

    if (!g_getenv("WAYLAND_DISPLAY") && !g_getenv("DISPLAY") &&
        access(path, F_OK) == 0) {
        g_setenv("WAYLAND_DISPLAY", "wayland-0", TRUE);
    }
}

static int run_agent(const struct given *given)
{
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    g_autoptr(GError) error = NULL;
    struct vwl_agent *agent;

    signal(SIGPIPE, SIG_IGN);
    find_display();
    agent = vwl_agent_create(given->socket, given->jobs_only, &error);
    if (!agent) {
        fprintf(stderr, "vwl-guest: %s\n", error->message);
        return 1;
    }
    g_unix_signal_add(SIGTERM, on_signal, loop);
    g_unix_signal_add(SIGINT, on_signal, loop);
    g_main_loop_run(loop);
    vwl_agent_destroy(agent);
    return 0;
}

static int run_open(const char *link)
{
    g_autofree char *path = vwl_control_path();
    g_autofree char *line = g_strconcat("open ", link, NULL);
    g_autoptr(GError) error = NULL;
    g_autofree char *answer = NULL;

    if (strlen(link) >= VWL_MAX_OPEN_BYTES || strchr(link, '\n')) {
        fprintf(stderr, "vwl-guest: the link was not opened: it is too long, "
                        "or more than a line\n");
        return 1;
    }
    answer = vwl_control_ask(path, line, &error);
    if (!answer) {
        fprintf(stderr,
                "vwl-guest: no agent in this session (%s); run: "
                "systemctl --user start vwl-guest\n",
                error->message);
        return 1;
    }
    if (!g_str_has_prefix(answer, "ok")) {
        fprintf(stderr, "vwl-guest: the link was not opened: %s\n",
                answer[0] ? answer + 3 : "the agent did not answer");
        return 1;
    }
    return 0;
}

static int run(const struct given *given)
{
    guint n = given->words ? g_strv_length(given->words) : 0;
    const char *command = n > 0 ? given->words[0] : "";

    if (given->version) {
        printf("vwl-guest %s\n", VWL_VERSION);
        return 0;
    }
    if (n == 1 && g_str_equal(command, "agent")) {
        return run_agent(given);
    }
    if (n == 2 && g_str_equal(command, "open")) {
        return run_open(given->words[1]);
    }
    if (n == 1 && g_str_equal(command, "doctor")) {
        return vwl_doctor_run(given->socket);
    }
    fprintf(stderr, "vwl-guest: give agent, open LINK or doctor; see vwl-guest "
                    "--help\n");
    return USAGE_STATUS;
}

int main(int argc, char **argv)
{
    struct given given = { 0 };
    const GOptionEntry entries[] = {
        { "socket", 0, 0, G_OPTION_ARG_FILENAME, &given.socket,
          "Where the bridge offers the host's socket "
          "($XDG_RUNTIME_DIR/vwl-host)",
          "PATH" },
        { "jobs-only", 0, 0, G_OPTION_ARG_NONE, &given.jobs_only,
          "Run commands of the host, and do nothing else (root's agent)",
          NULL },
        { "version", 0, 0, G_OPTION_ARG_NONE, &given.version,
          "Print the version", NULL },
        { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &given.words,
          NULL, "agent | open LINK | doctor" },
        { NULL, 0, 0, 0, NULL, NULL, NULL },
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;
    int status = USAGE_STATUS;

    setlocale(LC_ALL, "");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        fprintf(stderr, "vwl-guest: %s\n", error->message);
    } else {
        if (!given.socket) {
            given.socket = g_build_filename(g_get_user_runtime_dir(),
                                            "vwl-host", NULL);
        }
        status = run(&given);
    }
    g_free(given.socket);
    g_strfreev(given.words);
    return status;
}
