/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio-wl-bridge: the Wayland compositor, as far as a guest's programs can
 * tell. It serves them at a socket and speaks to the host's compositor through
 * /dev/wl0.
 */
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>

#include "../transport.h"
#include "serve.h"

struct options {
    struct vwl_serve serve;
    char *device;
    gboolean threads, version;
};

static bool parse(struct options *options, int argc, char **argv,
                  GError **error)
{
    const GOptionEntry entries[] = {
        { "device", 0, 0, G_OPTION_ARG_FILENAME, &options->device,
          "The driver's device (default: /dev/wl0)", "PATH" },
        { "waiting-driver", 0, 0, G_OPTION_ARG_NONE, &options->threads,
          "Send in threads, as drivers other than ours need it "
          "(otherwise found out)",
          NULL },
        { "version", 0, 0, G_OPTION_ARG_NONE, &options->version,
          "Print the version", NULL },
        { NULL, 0, 0, 0, NULL, NULL, NULL },
    };
    GOptionContext *context = g_option_context_new(
        "- the host's compositor for a guest's programs");
    bool ok;

    vwl_serve_add_options(&options->serve, context);
    g_option_context_add_main_entries(context, entries, NULL);
    ok = g_option_context_parse(context, &argc, &argv, error);
    g_option_context_free(context);
    if (ok && argc > 1) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "unknown argument %s (see --help)", argv[1]);
        return false;
    }
    return ok;
}

static bool run(struct options *options, GError **error)
{
    const char *path = options->device != NULL ? options->device : "/dev/wl0";
    struct vwl_transport *transport = vwl_transport_wl0(path);
    bool ok;

    if (transport == NULL) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                    "cannot open %s: %s", path, g_strerror(errno));
        return false;
    }
    if (options->threads) {
        vwl_transport_wl0_use_threads(transport);
    }
    ok = vwl_serve_open(&options->serve, error) &&
         vwl_serve_run(&options->serve, transport);
    vwl_transport_destroy(transport);
    return ok;
}

int main(int argc, char **argv)
{
    struct options options = {
        .serve = { .program = "virtio-wl-bridge", .wayland = VWL_LISTEN_NONE },
    };
    GError *error = NULL;
    int status = 0;

    setlocale(LC_ALL, "");
    signal(SIGPIPE, SIG_IGN);
    vwl_serve_raise_limit();
    if (!parse(&options, argc, argv, &error)) {
        status = 2;
    } else if (options.version) {
        printf("virtio-wl-bridge %s\n", VWL_VERSION);
    } else if (!run(&options, &error)) {
        status = 1;
    }
    if (error != NULL) {
        fprintf(stderr, "virtio-wl-bridge: %s\n", error->message);
        g_error_free(error);
    }
    vwl_serve_finish(&options.serve);
    g_free(options.device);
    return status;
}
