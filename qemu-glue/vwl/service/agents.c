/* SPDX-License-Identifier: BSD-3-Clause */
#include "agents.h"

#include <fcntl.h>
#include <glib-unix.h>
#include <unistd.h>

#include "line.h"

#define SET_CLOCK \
    "date -s @$(cat /sys/class/rtc/rtc0/since_epoch) >/dev/null 2>&1"

struct vwl_agents {
    struct vwl_link *session, *root;
    bool is_clock_late;
};

/* ---- root's ------------------------------------------------------------- */

static void on_clock_set(void *data, unsigned int status, const char *text)
{
    if (status != 0) {
        g_message("a guest's clock could not be set: %u %s", status, text);
    }
}

static void set_clock(struct vwl_link *root)
{
    const char *const argv[] = { "sh", "-c", SET_CLOCK };
    const struct vwl_exec exec = {
        .user = "", .folder = "", .argv = argv, .argc = G_N_ELEMENTS(argv)
    };
    int in[2], out[2];

    if (!g_unix_open_pipe(in, FD_CLOEXEC, NULL)) {
        return;
    }
    if (g_unix_open_pipe(out, FD_CLOEXEC, NULL)) {
        const int fds[VWL_EXEC_FDS] = { in[0], out[1], out[1] };
        GError *error = NULL;

        if (!vwl_link_exec(root, &exec, fds, on_clock_set, NULL, &error)) {
            on_clock_set(NULL, VWL_STATUS_OURS, error->message);
            g_error_free(error);
        }
        close(out[0]);
        close(out[1]);
    }
    close(in[0]);
    close(in[1]);
}

static void on_root_ready(void *data, const char *software)
{
    struct vwl_agents *agents = data;

    if (agents->is_clock_late) {
        agents->is_clock_late = false;
        set_clock(agents->root);
    }
}

static void on_root_gone(void *data)
{
}

static void on_root_frame(void *data, const struct vwl_frame *frame)
{
}

static const struct vwl_link_ops root_ops = {
    .ready = on_root_ready,
    .gone = on_root_gone,
    .frame = on_root_frame,
};

/* ---- both --------------------------------------------------------------- */

struct vwl_agents *vwl_agents_create(const char *runtime, const char *name,
                                     const struct vwl_link_ops *ops, void *data,
                                     GError **error)
{
    struct vwl_agents *agents = g_new0(struct vwl_agents, 1);
    char *session = g_build_filename(runtime, VWL_SOCKET_CHANNEL, NULL);
    char *root = g_build_filename(runtime, VWL_SOCKET_ROOT, NULL);

    agents->session = vwl_link_create(session, name, ops, data, error);
    if (agents->session) {
        agents->root = vwl_link_create(root, name, &root_ops, agents, error);
    }
    g_free(root);
    g_free(session);
    if (!agents->root) {
        g_clear_pointer(&agents, vwl_agents_destroy);
    }
    return agents;
}

void vwl_agents_destroy(struct vwl_agents *agents)
{
    if (agents) {
        vwl_link_destroy(agents->session);
        vwl_link_destroy(agents->root);
        g_free(agents);
    }
}

void vwl_agents_mind_the_clock(struct vwl_agents *agents)
{
    agents->is_clock_late = true;
}

struct vwl_link *vwl_agents_link(struct vwl_agents *agents, bool root)
{
    return root ? agents->root : agents->session;
}
