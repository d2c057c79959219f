/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "command.h"
#include "fail.h"
#include "folders.h"
#include "given.h"
#include "kit.h"
#include "machine.h"
#include "maker.h"
#include "say.h"

#define NEEDED_MIB 3072
#define APPEND "root=/dev/vda rw console=ttyS0"
#define FIRST_USER_ID 1000

static char *suite, *packages, *mirror, *kit, *size;

static const GOptionEntry entries[] = {
    { "suite", 0, 0, G_OPTION_ARG_STRING, &suite,
      "Which Debian (this system's, if it is one of them)", "bookworm|trixie" },
    { "packages", 0, 0, G_OPTION_ARG_STRING, &packages,
      "More of Debian's packages for it", "NAME,..." },
    { "size", 0, 0, G_OPTION_ARG_STRING, &size,
      "Of its disk, which takes only what is used of it (32G)", "SIZE" },
    { "mirror", 0, 0, G_OPTION_ARG_STRING, &mirror,
      "Where Debian comes from (what apt here uses)", "URI" },
    { "kit", 0, 0, G_OPTION_ARG_FILENAME, &kit,
      "The package vhost-user-wl-guest to install in it", "FILE" },
    G_OPTION_ENTRY_NULL,
};

/* ---- what it is made of ------------------------------------------------- */

/* The host's name for whoever runs this, where a Debian takes it. */
static const char *user_name(void)
{
    const char *name = g_get_user_name();
    size_t length = strlen(name);

    if (getuid() < FIRST_USER_ID || length > 31 ||
        (!g_ascii_islower(name[0]) && name[0] != '_') ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != length ||
        strcmp(name, "nobody") == 0 || strcmp(name, "admin") == 0) {
        return "user";
    }
    return name;
}

static bool has_room(const char *folder, GError **error)
{
    struct statvfs fs;
    guint64 mib;

    if (statvfs(folder, &fs) != 0) {
        return true;
    }
    mib = (guint64)fs.f_bavail * fs.f_frsize >> 20;
    return mib >= NEEDED_MIB ||
           vwl_fail(error, VWL_FAIL_FAILED,
                    "%.1f GiB free in %s, %d needed; make room, or set "
                    "XDG_DATA_HOME to a folder elsewhere",
                    (double)mib / 1024, folder, NEEDED_MIB / 1024);
}

static char **make_line(const char *name, const char *folder, GError **error)
{
    GPtrArray *line = g_ptr_array_new_with_free_func(g_free);
    char *package = vwl_kit_find(kit, error);
    uid_t uid = getuid() >= FIRST_USER_ID ? getuid() : FIRST_USER_ID;
    const struct {
        const char *option, *value;
    } optional[] = { { "suite", suite },
                     { "packages", packages },
                     { "mirror", mirror },
                     { "size", size } };

    if (!package) {
        g_ptr_array_unref(line);
        return NULL;
    }
    g_ptr_array_add(line, vwl_share_file("make-machine"));
    g_ptr_array_add(line, g_strconcat("--output=", folder, NULL));
    g_ptr_array_add(line, g_strconcat("--kit=", package, NULL));
    g_ptr_array_add(line, g_strconcat("--hostname=", name, NULL));
    g_ptr_array_add(line, g_strconcat("--user=", user_name(), NULL));
    g_ptr_array_add(line, g_strdup_printf("--uid=%u", (unsigned int)uid));
    for (size_t i = 0; i < G_N_ELEMENTS(optional); i++) {
        if (optional[i].value) {
            g_ptr_array_add(line, g_strdup_printf("--%s=%s", optional[i].option,
                                                  optional[i].value));
        }
    }
    g_free(package);
    g_ptr_array_add(line, NULL);
    return (char **)g_ptr_array_free(line, FALSE);
}

/* ---- the machine -------------------------------------------------------- */

static bool describe(const char *name, const char *folder, GError **error)
{
    struct vwl_machine *machine = vwl_machine_new(name, folder);
    char *const *given = vwl_given_settings();
    char *host = g_get_os_info(G_OS_INFO_KEY_VERSION_CODENAME);
    char *system = g_strconcat("Debian ",
                               suite  ? suite
                               : host ? host
                                      : "",
                               NULL);
    bool ok;

    machine->disk = g_strdup("disk");
    machine->kernel = g_strdup("vmlinuz");
    machine->initrd = g_strdup("initrd");
    machine->append = g_strdup(APPEND);
    machine->system = g_strdup(system);
    machine->user = g_strdup(user_name());
    for (size_t i = 0; given[i]; i += 2) {
        vwl_machine_set(machine, given[i], given[i + 1], NULL);
    }
    ok = vwl_machine_save(machine, error);
    g_free(system);
    g_free(host);
    vwl_machine_free(machine);
    return ok;
}

/* It has its name when it is whole. */
static bool make(const char *name, const char *folder, GError **error)
{
    char *logs = vwl_folder_state(name), *data = vwl_folder_data(name);
    char *log = g_build_filename(logs, "create.log", NULL);
    char **line = make_line(name, folder, error);
    bool ok = line && vwl_folder_make(logs, error) && has_room(folder, error) &&
              vwl_maker_run(line, log, error) && describe(name, folder, error);

    if (ok && g_rename(folder, data) != 0) {
        ok = vwl_fail(error, VWL_FAIL_FAILED, "%s: %s; look what is there",
                      data, g_strerror(errno));
    }
    g_strfreev(line);
    g_free(log);
    g_free(data);
    g_free(logs);
    return ok;
}

static bool create(const char *name, GError **error)
{
    char *all = vwl_folder_data(NULL);
    char *folder = g_build_filename(all, ".new-XXXXXX", NULL);
    bool ok = false;

    if (vwl_folder_make(all, error)) {
        if (!g_mkdtemp(folder)) {
            vwl_fail(error, VWL_FAIL_FAILED,
                     "%s cannot be written: %s; look whose it is", all,
                     g_strerror(errno));
        } else {
            ok = make(name, folder, error);
            if (!ok) {
                vwl_folder_remove(folder, NULL);
            }
        }
    }
    g_free(folder);
    g_free(all);
    return ok;
}

static int run(int argc, char **argv)
{
    GError *error = NULL;

    if (argc != 2) {
        return vwl_refuse("create: how is it to be called? For example: vwl "
                          "create test");
    }
    if (!vwl_name_check(argv[1], &error)) {
        return vwl_complain(error);
    }
    if (vwl_folder_has(argv[1])) {
        vwl_fail(&error, VWL_FAIL_EXISTS,
                 "\"%s\" exists already; see: vwl list, or run: vwl delete %s",
                 argv[1], argv[1]);
    } else if (create(argv[1], &error)) {
        vwl_say("%s is ready. Run: vwl run %s", argv[1], argv[1]);
    }
    return error ? vwl_complain(error) : VWL_STATUS_OK;
}

const struct vwl_command vwl_command_create = {
    .name = "create",
    .arguments = "NAME",
    .summary = "Make a machine with a Debian whose programs open windows here",
    .entries = entries,
    .settings = true,
    .run = run,
};
