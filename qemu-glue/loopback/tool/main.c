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
#include "device.h"
#include "exports.h"
#include "serve.h"

struct tool {
    struct vwl_serve serve;
    char **upstream, *daemon_socket, *plugin, *dmabufs;
    int poll_us;
    gboolean copy_pools, verbose, version;
};

static bool parse(struct tool *tool, int argc, char **argv, GError **error)
{
    const GOptionEntry entries[] = {
        { "wayland-sock", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &tool->upstream,
          "The host compositor's socket; the device runs in this process. "
          "With a name, another of the host's; may be repeated",
          "PATH[,name=NAME]" },
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
          "Copy what clients draw, as a virtual machine's bridge must and as "
          "before a daemon, instead of handing their memory over",
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
    if (ok && !tool->version &&
        (argc > 1 || tool->serve.listen == NULL ||
         (tool->upstream != NULL) == (tool->daemon_socket != NULL))) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "give --listen=PATH and either --wayland-sock=PATH or "
                    "--daemon-socket=PATH");
        return false;
    }
    if (ok && tool->daemon_socket != NULL &&
        (tool->dmabufs != NULL || tool->poll_us != 0)) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "give --dmabuf and --poll-us to the daemon");
        return false;
    }
    if (ok && tool->poll_us < 0) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "--poll-us=%d: out of range", tool->poll_us);
        return false;
    }
    return ok;
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
        const struct device_wishes wishes = {
            .plugin = tool->plugin,
            .upstream = tool->upstream,
            .dmabufs = tool->dmabufs,
            .poll_us = (uint32_t)tool->poll_us,
            .exports = exports,
            .verbose = tool->verbose,
        };

        device = device_open(&wishes, &fd, error);
        if (device == NULL) {
            vwl_exports_free(exports);
            return false;
        }
        transport = vwl_transport_connected(&fd);
        if (transport != NULL) {
            vwl_transport_use_exports(transport, exports);
            /* A daemon could not say whose files the numbers are. */
            tool->serve.share_pools = !tool->copy_pools;
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
        .serve = { .program = "virtio-wl-loopback", .fd = -1 },
    };
    GError *error = NULL;
    int status = 0;

    setlocale(LC_ALL, "");
    signal(SIGPIPE, SIG_IGN);
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
    return status;
}
