/* SPDX-License-Identifier: BSD-3-Clause */
#include <gio/gio.h>

#include "command.h"
#include "fail.h"
#include "folders.h"
#include "host.h"
#include "kit.h"
#include "line.h"
#include "say.h"
#include "service.h"
#include "start.h"
#include "target.h"

#define PATIENCE 300      /* seconds, until a guest's agent comes */
#define KIT_PATIENCE 3600 /* until somebody has installed it */
#define NOT_GIVEN G_MININT

static gboolean print, libvirt, install_kit, discard_saved;
static char *new_name, *kit;
static int seconds = NOT_GIVEN;

static const GOptionEntry entries[] = {
    { "name", 0, 0, G_OPTION_ARG_STRING, &new_name,
      "What the machine of this disk is called (by its file)", "NAME" },
    { "print", 0, 0, G_OPTION_ARG_NONE, &print,
      "Only print the two command lines: the device's, QEMU's", NULL },
    { "libvirt", 0, 0, G_OPTION_ARG_NONE, &libvirt,
      "Only print a domain for libvirt's session mode", NULL },
    { "install-kit", 0, 0, G_OPTION_ARG_NONE, &install_kit,
      "Give the machine a disk with the guest's kit, and say what to type "
      "there",
      NULL },
    { "kit", 0, 0, G_OPTION_ARG_FILENAME, &kit,
      "The package vhost-user-wl-guest for it", "FILE" },
    { "discard-saved", 0, 0, G_OPTION_ARG_NONE, &discard_saved,
      "Boot it, though it was saved: what was open then is lost", NULL },
    { "timeout", 0, 0, G_OPTION_ARG_INT, &seconds,
      "Wait so long for its agent; 0: do not wait (300)", "SECONDS" },
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

/* ---- starting ----------------------------------------------------------- */

static bool is_on(VwlBusMachine *machine)
{
    const char *state = vwl_bus_machine_get_state(machine);

    return g_strcmp0(state, "running") == 0;
}

static void report(VwlBusMachine *machine, bool was_on, gint64 began)
{
    const char *name = vwl_bus_machine_get_name(machine);

    if (was_on) {
        vwl_say("%s runs already", name);
    } else if (seconds > 0) {
        vwl_say("%s is up (%s, %.1f s). Run a program: vwl exec %s foot", name,
                vwl_bus_machine_get_accelerator(machine),
                (double)(g_get_monotonic_time() - began) / G_USEC_PER_SEC,
                name);
    }
}

/* What was given is remembered, but where the windows go. */
static bool save(struct vwl_machine *machine, GError **error)
{
    char *display = g_steal_pointer(&machine->display);
    bool ok = vwl_folder_make(machine->folder, error) &&
              vwl_machine_save(machine, error);

    machine->display = display;
    return ok;
}

/* The disk that a guest gets the kit from is there for this one run. */
static bool prepare_kit(const struct vwl_machine *machine, GError **error)
{
    if (!install_kit) {
        vwl_kit_remove_disk(machine->folder);
        return true;
    }
    if (!vwl_kit_make_disk(machine->folder, kit, error)) {
        return false;
    }
    if (!vwl_host_can_show()) {
        vwl_say("vwl: QEMU has no windows here, so the machine has no screen "
                "to log in at; run: sudo apt install qemu-system-gui");
    }
    vwl_say("Log in to the machine, and run there:\n    %s", VWL_KIT_COMMAND);
    return true;
}

static int start(struct vwl_machine *machine)
{
    gint64 began = g_get_monotonic_time();
    GError *error = NULL;
    VwlBusMachine *proxy = NULL;
    bool was_on;

    if (save(machine, &error)) {
        proxy = vwl_service_machine(machine->name, &error);
    }
    if (proxy) {
        was_on = is_on(proxy);
        if ((was_on || prepare_kit(machine, &error)) &&
            vwl_start(proxy, machine->display, discard_saved,
                      (unsigned int)seconds, &error)) {
            report(proxy, was_on, began);
        }
        g_object_unref(proxy);
    }
    return error ? vwl_complain(error) : VWL_STATUS_OK;
}

/* ---- the command -------------------------------------------------------- */

static int run(int argc, char **argv)
{
    struct vwl_machine *machine;
    GError *error = NULL;
    int status = VWL_STATUS_OK;

    if (seconds == NOT_GIVEN) {
        seconds = install_kit ? KIT_PATIENCE : PATIENCE;
    }
    if (install_kit && (print || libvirt)) {
        return vwl_refuse("run: --install-kit starts the machine; see: vwl run "
                          "--help");
    }
    if (argc > 2 || seconds < 0) {
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
        status = start(machine);
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
