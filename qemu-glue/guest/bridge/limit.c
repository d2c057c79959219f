/* SPDX-License-Identifier: BSD-3-Clause */
#include "limit.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"

/* Of the process's descriptors: for what many programs need now and then, and
 * for a device in the same process, which keeps some, too. */
#define RESERVE 256u

static const struct {
    const char *option;
    int normal, highest;
    const char *what, *help;
} limits[VWL_LIMITS] = {
    [VWL_LIMIT_CLIENTS] = { "max-clients", 4096, 65536,
                            "connections; the next ones wait",
                            "Connections of programs at a time" },
    [VWL_LIMIT_PIPES] = { "max-pipes", 1024, 65536,
                          "pipes of one program; further pastes are empty",
                          "Pipes of a program, for pastes and drags" },
    [VWL_LIMIT_POOLS] = { "max-pools", 16384, 1 << 20,
                          "memory pools of one program; it was ended",
                          "Memory pools of a program" },
    [VWL_LIMIT_MEMORY] = { "max-memory", 3072, 1 << 20,
                           "MiB of buffers of one program; it was ended",
                           "MiB of the host's memory for the buffers of a "
                           "program" },
    [VWL_LIMIT_OBJECTS] = { "max-objects", 262144, 1 << 22,
                            "objects of one program; it was ended",
                            "Wayland objects of a program" },
    [VWL_LIMIT_PLANES] = { "max-planes", 4096, 65536,
                           "dma-bufs of one program that no buffer was made "
                           "of; it was ended",
                           "Dma-bufs of a program before buffers are made of "
                           "them" },
    [VWL_LIMIT_DESCRIPTORS] = { "max-descriptors", 512, 65536,
                                "descriptors of one program without their "
                                "messages; it was ended",
                                "Descriptors of a program before their "
                                "messages" },
};

void vwl_limits_add_options(struct vwl_limits *own, GOptionContext *context)
{
    GOptionEntry entries[VWL_LIMITS + 1] = { 0 };

    for (unsigned int i = 0; i < VWL_LIMITS; i++) {
        entries[i] = (GOptionEntry){
            .long_name = limits[i].option,
            .arg = G_OPTION_ARG_INT,
            .arg_data = &own->max[i],
            .description = limits[i].help,
            .arg_description = "N",
        };
    }
    g_option_context_add_main_entries(context, entries, NULL);
}

const char *vwl_limits_complete(struct vwl_limits *own)
{
    for (unsigned int i = 0; i < VWL_LIMITS; i++) {
        if (own->max[i] == 0) {
            own->max[i] = limits[i].normal;
        }
        if (own->max[i] < 0 || own->max[i] > limits[i].highest) {
            return limits[i].option;
        }
    }
    return NULL;
}

unsigned int vwl_limit_of(const struct vwl_client *client, enum vwl_limit limit)
{
    return (unsigned int)client->bridge->options.limits.max[limit];
}

static int process_of(const struct vwl_client *client)
{
    struct ucred peer = { 0 };
    socklen_t len = sizeof peer;

    if (client != NULL) {
        getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
    }
    return peer.pid;
}

void vwl_limit_reached(struct vwl_bridge *bridge,
                       const struct vwl_client *client, enum vwl_limit limit)
{
    const char *program = bridge->options.program;
    int process = process_of(client);
    char by[32] = "";

    if (bridge->limits_said[limit]) {
        return;
    }
    bridge->limits_said[limit] = true;
    program = program != NULL ? program : "bridge";
    if (process > 0) {
        g_snprintf(by, sizeof by, " (process %d)", process);
    }
    if (limit == VWL_LIMIT_PROCESS) {
        fprintf(stderr,
                "%s: nearly all %u descriptors of this process are used: who "
                "holds most of them gets no more%s, new programs wait "
                "(ulimit -n, LimitNOFILE=)\n",
                program, bridge->fds_max, by);
    } else {
        fprintf(stderr, "%s: the limit is reached: %d %s%s (--%s)\n", program,
                bridge->options.limits.max[limit], limits[limit].what, by,
                limits[limit].option);
    }
}

/* ---- the process's descriptors ---- */

void vwl_limit_look_at_process(struct vwl_bridge *bridge)
{
    struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

    getrlimit(RLIMIT_NOFILE, &limit);
    bridge->fds_max = (unsigned int)MIN(limit.rlim_cur, (rlim_t)INT_MAX);
    bridge->fds_low = bridge->fds_max - MIN(RESERVE, bridge->fds_max / 2);
}

/* The lowest free number is what the next descriptor has. */
bool vwl_limit_has_room(struct vwl_bridge *bridge, int any)
{
    int fd = fcntl(any, F_DUPFD_CLOEXEC, 0);
    bool room = fd >= 0 && (unsigned int)fd < bridge->fds_low;

    if (fd >= 0) {
        close(fd);
    }
    if (!room) {
        vwl_limit_reached(bridge, NULL, VWL_LIMIT_PROCESS);
    }
    return room;
}

bool vwl_limit_may_hold(struct vwl_client *client, int fd)
{
    struct vwl_bridge *bridge = client->bridge;
    unsigned int share = bridge->fds_low / MAX(bridge->clients->len, 1);

    if ((unsigned int)fd < bridge->fds_low ||
        client->n_fds + client->from_client.fds->len <= share) {
        return true;
    }
    vwl_limit_reached(bridge, client, VWL_LIMIT_PROCESS);
    return false;
}
