/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio-wl-loopback: the whole device without a VM. Programs of this machine
 * connect to --listen; everything they say goes through the guest's bridge, a
 * guest driver in user space, the rings, the device (in this process, or a
 * daemon's) and to the host's compositor.
 */
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "../../guest/transport.h"
#include "../transport_daemon.h"
#include "daemon/socket_list.h"
#include "device.h"
#include "exports.h"
#include "serve.h"

struct tool {
    struct vwl_serve serve;
    char **upstream, *daemon_socket, *plugin, *dmabufs;
    char *allow, *deny, *policy_file;
    int poll_us;
    gboolean copy_pools, verbose, version;
};

static bool refuse(GError **error, const char *text)
{
    g_set_error_literal(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, text);
    return false;
}

static bool check(const struct tool *tool, int argc, GError **error)
{
    bool for_device = tool->dmabufs != NULL || tool->poll_us != 0 ||
                      tool->allow != NULL || tool->deny != NULL ||
                      tool->policy_file != NULL;

    if (argc > 1 || tool->serve.listen == NULL ||
        (tool->upstream != NULL) == (tool->daemon_socket != NULL)) {
        return refuse(error,
                      "give --listen=PATH and either --wayland-sock=PATH or "
                      "--daemon-socket=PATH");
    }
    if (tool->daemon_socket != NULL && for_device) {
        return refuse(error, "give --dmabuf, --poll-us, --allow, --deny and "
                             "--policy-file to the daemon");
    }
    if (tool->poll_us < 0) {
        return refuse(error, "--poll-us: out of range");
    }
    return true;
}

static bool parse(struct tool *tool, int argc, char **argv, GError **error)
{
    const GOptionEntry entries[] = {
        { "wayland-sock", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &tool->upstream,
          "The host compositor's socket; the device runs in this process. "
          "With a name, another of the host's; may be repeated",
          "PATH[,name=NAME][,policy=wayland|pulse|none][,record][;...]" },
        { "allow", 0, 0, G_OPTION_ARG_STRING, &tool->allow,
          "Wayland interfaces that guests may use although they are off by "
          "default",
          "INTERFACE[,...]" },
        { "deny", 0, 0, G_OPTION_ARG_STRING, &tool->deny,
          "Wayland interfaces that guests may not use although they are on by "
          "default",
          "INTERFACE[,...]" },
        { "policy-file", 0, 0, G_OPTION_ARG_FILENAME, &tool->policy_file,
          "A key file with the Wayland policy, as the daemon's", "PATH" },
        { "daemon-socket", 0, 0, G_OPTION_ARG_FILENAME, &tool->daemon_socket,
          "A vhost-user-wl daemon's socket; it knows the compositor", "PATH" },
        { "plugin", 0, 0, G_OPTION_ARG_FILENAME, &tool->plugin,
          "The device plugin", "FILE" },
        { "dmabuf", 0, 0, G_OPTION_ARG_STRING, &tool->dmabufs,
          "What makes dmabufs for guests: auto, off, or a list of gbm[=PATH], "
          "dumb[=PATH], udmabuf, heap (off)",
          "WORDS" },
        { "poll-us", 0, 0, G_OPTION_ARG_INT, &tool->poll_us,
          "Look at the rings for so long before sleeping (0)", "MICROSECONDS" },
        { "copy-pools", 0, 0, G_OPTION_ARG_NONE, &tool->copy_pools,
          "Copy what clients draw and others paste, as a virtual machine's "
          "bridge must and as before a daemon, instead of handing memory and "
          "pipes over",
          NULL },
        { "verbose", 0, 0, G_OPTION_ARG_NONE, &tool->verbose,
          "Print what the device says", NULL },
        { "version", 0, 0, G_OPTION_ARG_NONE, &tool->version,
          "Print the version", NULL },
        { NULL, 0, 0, 0, NULL, NULL, NULL },
    };
    GOptionContext *context = g_option_context_new("- virtio-wl without a VM");
    bool ok;

    vwl_serve_add_options(&tool->serve, context);
    g_option_context_add_main_entries(context, entries, NULL);
    ok = g_option_context_parse(context, &argc, &argv, error);
    g_option_context_free(context);
    return ok && (tool->version || check(tool, argc, error));
}

/* The device in this process; *fd is a connection to it. NULL with *error. */
static struct device *open_device(const struct tool *tool,
                                  struct vwl_exports *exports, int *fd,
                                  GError **error)
{
    const struct vwl_socket_policy policy = {
        .size = sizeof policy,
        .allow = tool->allow,
        .deny = tool->deny,
        .file = tool->policy_file,
    };
    struct vwl_socket_list sockets;
    const struct device_wishes wishes = {
        .plugin = tool->plugin,
        .sockets = &sockets,
        .policy = &policy,
        .dmabufs = tool->dmabufs,
        .poll_us = (uint32_t)tool->poll_us,
        /* who looks at the rings for a while needs a processor of its own */
        .own_thread = tool->poll_us != 0,
        .exports = exports,
        .verbose = tool->verbose,
    };
    struct device *device = NULL;
    bool ok = true;

    vwl_socket_list_init(&sockets);
    for (char **at = tool->upstream; *at != NULL && ok; at++) {
        ok = vwl_socket_list_add(&sockets, *at, error);
    }
    if (ok) {
        device = device_open(&wishes, fd, error);
    }
    vwl_socket_list_finish(&sockets);
    return device;
}

static struct vwl_transport *connect_inside(const struct tool *tool,
                                            struct device *device, int *fd)
{
    struct vwl_inside inside;

    if (tool->poll_us != 0) {
        return vwl_transport_connected(fd, NULL);
    }
    inside = device_inside(device);
    return vwl_transport_connected(fd, &inside);
}

static bool run(struct tool *tool, GError **error)
{
    struct vwl_exports *exports = vwl_exports_new();
    struct vwl_transport *transport = NULL;
    struct device *device = NULL;
    bool ok = false;
    int fd = -1;

    if (tool->daemon_socket != NULL) {
        transport = vwl_transport_daemon(tool->daemon_socket);
    } else {
        device = open_device(tool, exports, &fd, error);
        if (device == NULL) {
            vwl_exports_free(exports);
            return false;
        }
        transport = connect_inside(tool, device, &fd);
        if (transport != NULL) {
            vwl_transport_use_exports(transport, exports);
            /* A daemon could not say whose files the numbers are. */
            if (!tool->copy_pools) {
                tool->serve.share_pools = true;
                vwl_transport_use_pipes(transport, device_pipe, device);
            }
        }
    }
    if (transport == NULL) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                    "cannot reach the device: %s", g_strerror(errno));
    } else {
        ok = vwl_serve_open(&tool->serve, error) &&
             vwl_serve_run(&tool->serve, transport);
    }
    vwl_transport_destroy(transport);
    if (fd >= 0) {
        close(fd);
    }
    device_close(device);
    vwl_exports_free(exports);
    return ok;
}

int main(int argc, char **argv)
{
    struct tool tool = {
        .serve = { .program = "virtio-wl-loopback",
                   .wayland = VWL_LISTEN_NONE },
    };
    GError *error = NULL;
    int status = 0;

    setlocale(LC_ALL, "");
    signal(SIGPIPE, SIG_IGN);
    vwl_serve_raise_limit();
    if (!parse(&tool, argc, argv, &error)) {
        status = 2;
    } else if (tool.version) {
        printf("virtio-wl-loopback %s\n", VWL_VERSION);
    } else if (!run(&tool, &error)) {
        status = 1;
    }
    if (error != NULL) {
        fprintf(stderr, "virtio-wl-loopback: %s\n", error->message);
        g_error_free(error);
    }
    vwl_serve_finish(&tool.serve);
    g_strfreev(tool.upstream);
    g_free(tool.daemon_socket);
    g_free(tool.plugin);
    g_free(tool.dmabufs);
    g_free(tool.allow);
    g_free(tool.deny);
    g_free(tool.policy_file);
    return status;
}
