/* SPDX-License-Identifier: BSD-3-Clause */
#include "agents.h"

#include "line.h"

struct vwl_agents {
    struct vwl_link *session, *root;
};

static void on_root_ready(void *data, const char *software)
{
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

struct vwl_agents *vwl_agents_create(const char *runtime, const char *name,
                                     const struct vwl_link_ops *ops, void *data,
                                     GError **error)
{
    struct vwl_agents *agents = g_new0(struct vwl_agents, 1);
    char *session = g_build_filename(runtime, VWL_SOCKET_CHANNEL, NULL);
    char *root = g_build_filename(runtime, VWL_SOCKET_ROOT, NULL);

    agents->session = vwl_link_create(session, name, ops, data, error);
    if (agents->session) {
        agents->root = vwl_link_create(root, name, &root_ops, NULL, error);
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

struct vwl_link *vwl_agents_link(struct vwl_agents *agents, bool root)
{
    return root ? agents->root : agents->session;
}
