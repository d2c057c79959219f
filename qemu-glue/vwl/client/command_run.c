/* SPDX-License-Identifier: BSD-3-Clause */
#include <gio/gio.h>

#include "command.h"
#include "fail.h"
#include "folders.h"
#include "host.h"
#include "line.h"
#include "say.h"
#include "target.h"

static gboolean print, libvirt;
static char *new_name;

static const GOptionEntry entries[] = {
    { "name", 0, 0, G_OPTION_ARG_STRING, &new_name,
      "What the machine of this disk is called (by its file)", "NAME" },
    { "print", 0, 0, G_OPTION_ARG_NONE, &print,
      "Only print the two command lines: the device's, QEMU's", NULL },
    { "libvirt", 0, 0, G_OPTION_ARG_NONE, &libvirt,
      "Only print a domain for libvirt's session mode", NULL },
    G_OPTION_ENTRY_NULL,
};

/* ---- printing ----------------------------------------------------------- */

static void print_lines(const struct vwl_machine *machine,
                        const struct vwl_host *host, const char *runtime)
{
    char **daemon = vwl_line_daemon(machine, host, runtime);
    char **qemu = vwl_line_qemu(machine, host, runtime);
    char *text;

    text = vwl_line_shell(daemon);
    g_print("%s", text);
    g_free(text);
    if (!libvirt) {
        text = vwl_line_shell(qemu);
        g_print("%s", text);
        g_free(text);
    }
    g_strfreev(qemu);
    g_strfreev(daemon);
}

static void print_domain(const struct vwl_machine *machine,
                         const struct vwl_host *host, const char *runtime)
{
    char *xml = vwl_line_libvirt(machine, host, runtime);
    char **daemon = vwl_line_daemon(machine, host, runtime);
    char *line = vwl_line_shell(daemon);

    g_print("%s", xml);
    vwl_say("Its device is a daemon, which has to run first:\n%s", line);
    g_free(line);
    g_strfreev(daemon);
    g_free(xml);
}

static int print_only(const struct vwl_machine *machine)
{
    char *runtime = vwl_folder_runtime(machine->name);
    struct vwl_host host;
    GError *error = NULL;

    if (vwl_host_find(&host, machine, &error)) {
        if (host.why_no_kvm) {
            vwl_say("vwl: %s", host.why_no_kvm);
        }
        (libvirt ? print_domain : print_lines)(machine, &host, runtime);
    }
    vwl_host_finish(&host);
    g_free(runtime);
    return error ? vwl_complain(error) : VWL_STATUS_OK;
}

/* ---- the command -------------------------------------------------------- */

static int run(int argc, char **argv)
{
    struct vwl_machine *machine;
    GError *error = NULL;
    int status = VWL_STATUS_OK;

    if (argc > 2) {
        return vwl_refuse("run: one machine or disk at a time; see: vwl run "
                          "--help");
    }
    machine = vwl_target_machine(argc == 2 ? argv[1] : NULL, new_name, &error);
    if (!machine) {
        return vwl_complain(error);
    }
    if (print || libvirt) {
        status = print_only(machine);
    } else {
        status = vwl_refuse("run: there is no service yet; say --print");
    }
    vwl_machine_free(machine);
    return status;
}

const struct vwl_command vwl_command_run = {
    .name = "run",
    .arguments = "[NAME|DISK]",
    .summary = "Start a machine, or one with the disk of that file",
    .entries = entries,
    .settings = true,
    .run = run,
};
