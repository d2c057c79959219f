/* SPDX-License-Identifier: BSD-3-Clause */
#include "command.h"
#include "say.h"
#include "start.h"
#include "target.h"

static gboolean serial, qemu, device;
static int lines = 200;

static const GOptionEntry entries[] = {
    { "serial", 0, 0, G_OPTION_ARG_NONE, &serial,
      "Only what the guest said on its serial port: its kernel's messages",
      NULL },
    { "qemu", 0, 0, G_OPTION_ARG_NONE, &qemu, "Only what QEMU said", NULL },
    { "device", 0, 0, G_OPTION_ARG_NONE, &device,
      "Only what the device said, which shows the windows", NULL },
    { "lines", 'n', 0, G_OPTION_ARG_INT, &lines,
      "So many lines of each at most (200)", "N" },
    G_OPTION_ENTRY_NULL,
};

static void print(const char *name, const char *log)
{
    char *file = g_strconcat(log, ".log", NULL);
    char *text = vwl_last_lines(name, file, (unsigned int)lines);
    char **each = g_strsplit(text, "\n", -1);

    for (size_t i = 0; each[i] && each[i + 1]; i++) {
        g_print("%s: %s\n", log, each[i]);
    }
    g_strfreev(each);
    g_free(text);
    g_free(file);
}

static int run(int argc, char **argv)
{
    GError *error = NULL;
    bool all = !serial && !qemu && !device;
    char *name;

    if (argc > 2 || lines < 1) {
        return vwl_refuse("logs: one machine, and at least one line; see: vwl "
                          "logs --help");
    }
    name = vwl_target_name(argc == 2 ? argv[1] : NULL, &error);
    if (!name) {
        return vwl_complain(error);
    }
    if (all || serial) {
        print(name, "serial");
    }
    if (all || qemu) {
        print(name, "qemu");
    }
    if (all || device) {
        print(name, "device");
    }
    g_free(name);
    return VWL_STATUS_OK;
}

const struct vwl_command vwl_command_logs = {
    .name = "logs",
    .arguments = "[NAME]",
    .summary = "Show what a machine and its parts have said",
    .entries = entries,
    .run = run,
};
