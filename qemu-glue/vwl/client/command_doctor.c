/* SPDX-License-Identifier: BSD-3-Clause */
#include <json-glib/json-glib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel/text.h"
#include "command.h"
#include "fail.h"
#include "folders.h"
#include "given.h"
#include "host.h"
#include "say.h"
#include "service.h"
#include "target.h"

#define LOW_MIB 3072
#define MOST_LINES 64  /* taken of a guest */
#define MOST_SHOWN 200 /* characters of one */

enum level {
    FINE,
    WARNING, /* it works, less well, or a part of it does not */
    BAD,
};

struct finding {
    enum level level;
    char *text;   /* what was found */
    char *advice; /* what to do; NULL if it is fine */
};

/* The machine that is looked at, too, or NULL. */
static struct vwl_machine *machine;

/* What the checks before have found. */
static char *qemu, *version;

/* What is printed at the end. */
static JsonBuilder *builder;
static unsigned int n_bad, n_warnings;

static void fine(struct finding *finding, char *text)
{
    *finding = (struct finding){ FINE, text, NULL };
}

/* From "WHAT; NEXT STEP". */
static void found(struct finding *finding, enum level level, GError *error)
{
    char *text = vwl_fail_text(error), *next = strstr(text, "; ");

    finding->level = level;
    finding->advice = next ? g_strdup(next + 2) : NULL;
    if (next) {
        *next = '\0';
    }
    finding->text = text;
    g_error_free(error);
}

/* ---- checks ------------------------------------------------------------- */

static void check_qemu(struct finding *finding)
{
    GError *error = NULL;

    qemu = vwl_host_qemu(machine ? machine->qemu : NULL, &error);
    version = qemu ? vwl_host_qemu_version(qemu, &error) : NULL;
    if (version) {
        fine(finding, g_strdup_printf("%s, %s", version, qemu));
    } else {
        found(finding, BAD, error);
    }
}

static void check_glue(struct finding *finding)
{
    GError *error = NULL;
    char *glue;

    if (!version) {
        vwl_fail(&error, VWL_FAIL_FAILED,
                 "not looked for without QEMU; see above");
        found(finding, WARNING, error);
        return;
    }
    glue = machine && machine->glue ? vwl_machine_path(machine, machine->glue)
                                    : vwl_host_glue(version, &error);
    if (glue) {
        fine(finding, glue);
    } else {
        found(finding, BAD, error);
    }
}

static void check_daemon(struct finding *finding)
{
    GError *error = NULL;
    char *daemon = vwl_host_daemon(machine ? machine->daemon : NULL, &error);

    if (daemon) {
        fine(finding, daemon);
    } else {
        found(finding, BAD, error);
    }
}

static void check_kvm(struct finding *finding)
{
    GError *error = NULL;

    if (!qemu) {
        vwl_fail(&error, VWL_FAIL_FAILED, "not tried without QEMU; see above");
    } else if (vwl_host_kvm(qemu, &error)) {
        fine(finding, g_strdup("/dev/kvm"));
        return;
    }
    found(finding, WARNING, error);
}

static void check_display(struct finding *finding)
{
    GError *error = NULL;
    char *display = vwl_host_display(machine ? machine->display : NULL, &error);

    if (display) {
        fine(finding, display);
    } else {
        found(finding, BAD, error);
    }
}

static void check_sound(struct finding *finding)
{
    GError *error = NULL;
    char *sound = vwl_host_sound();

    if (sound) {
        fine(finding, sound);
    } else {
        vwl_fail(&error, VWL_FAIL_FAILED,
                 "no server, so machines are silent; run: systemctl --user "
                 "start pipewire-pulse");
        found(finding, WARNING, error);
    }
}

static void check_service(struct finding *finding)
{
    GError *error = NULL;
    char *text = vwl_service_version(&error);

    if (!text) {
        found(finding, BAD, error);
    } else if (strcmp(text, VWL_VERSION) != 0) {
        vwl_fail(&error, VWL_FAIL_FAILED,
                 "it is %s and this is %s; run: systemctl --user restart vwl "
                 "(machines go on)",
                 text, VWL_VERSION);
        found(finding, WARNING, error);
        g_free(text);
    } else {
        fine(finding, text);
    }
}

static bool is_listed(GDBusConnection *bus, const char *method)
{
    GVariant *names = g_dbus_connection_call_sync(
        bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
        "org.freedesktop.DBus", method, NULL, G_VARIANT_TYPE("(as)"),
        G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL);
    bool is = false;

    if (names) {
        const char **list;

        g_variant_get(names, "(^a&s)", &list);
        is = g_strv_contains(list, "org.freedesktop.Notifications") ||
             g_strv_contains(list, "org.gtk.Notifications");
        g_free(list);
        g_variant_unref(names);
    }
    return is;
}

/* By notifications, with buttons. */
static void check_questions(struct finding *finding)
{
    GDBusConnection *bus = g_bus_get_sync(G_BUS_TYPE_SESSION, NULL, NULL);
    GError *error = NULL;

    if (bus && (is_listed(bus, "ListNames") ||
                is_listed(bus, "ListActivatableNames"))) {
        fine(finding, g_strdup("by the desktop's notifications"));
    } else {
        vwl_fail(&error, VWL_FAIL_FAILED,
                 "nobody shows notifications, so links, and all else of policy "
                 "ask, are refused; run: sudo apt install mako-notifier, or "
                 "for a machine: vwl policy NAME links=allow");
        found(finding, WARNING, error);
    }
    g_clear_object(&bus);
}

static bool has_line(const char *path, const char *name)
{
    char *text = NULL, *head = g_strconcat(name, ":", NULL);
    bool has = false;

    if (g_file_get_contents(path, &text, NULL, NULL)) {
        char **lines = g_strsplit(text, "\n", -1);

        for (size_t i = 0; lines[i] && !has; i++) {
            has = g_str_has_prefix(lines[i], head);
        }
        g_strfreev(lines);
    }
    g_free(head);
    g_free(text);
    return has;
}

static bool has_program(const char *name)
{
    char *path = g_find_program_in_path(name);

    g_free(path);
    return path != NULL;
}

static void check_share(struct finding *finding)
{
    GError *error = NULL;
    char *virtiofsd = vwl_host_virtiofsd(&error);

    if (virtiofsd) {
        fine(finding, virtiofsd);
    } else {
        found(finding, WARNING, error);
    }
}

/* For `vwl create`. */
static void check_create(struct finding *finding)
{
    const char *user = g_get_user_name();
    GError *error = NULL;

    if (!has_program("mmdebstrap")) {
        vwl_fail(&error, VWL_FAIL_FAILED,
                 "no mmdebstrap, so there are no new machines; run: sudo apt "
                 "install mmdebstrap uidmap");
    } else if (getuid() != 0 && !has_program("newuidmap")) {
        vwl_fail(&error, VWL_FAIL_FAILED,
                 "no newuidmap, so there are no new machines; run: sudo apt "
                 "install uidmap");
    } else if (getuid() != 0 && (!has_line("/etc/subuid", user) ||
                                 !has_line("/etc/subgid", user))) {
        vwl_fail(&error, VWL_FAIL_FAILED,
                 "no sub-ids for you in /etc/subuid; run: sudo usermod "
                 "--add-subuids 100000-165535 --add-subgids 100000-165535 %s",
                 user);
    } else {
        fine(finding, g_strdup("mmdebstrap, and the rights that it needs"));
        return;
    }
    found(finding, WARNING, error);
}

/* Where the folder is, or would be. */
static void check_room(struct finding *finding)
{
    char *folder = vwl_folder_data(NULL);
    struct statvfs fs;
    double gib;

    while (statvfs(folder, &fs) != 0 && strcmp(folder, "/") != 0) {
        char *above = g_path_get_dirname(folder);

        g_free(folder);
        folder = above;
    }
    gib = (double)fs.f_bavail * (double)fs.f_frsize / (1 << 30);
    fine(finding, g_strdup_printf("%.1f GiB free in %s", gib, folder));
    if (gib * 1024 < LOW_MIB) {
        finding->level = WARNING;
        finding->advice = g_strdup("make room before a machine needs it");
    }
    g_free(folder);
}

static const struct check {
    const char *name;
    void (*check)(struct finding *finding);
} checks[] = {
    { "QEMU", check_qemu },           { "glue", check_glue },
    { "device", check_daemon },       { "KVM", check_kvm },
    { "desktop", check_display },     { "sound", check_sound },
    { "share", check_share },         { "service", check_service },
    { "questions", check_questions }, { "create", check_create },
    { "disk", check_room },
};

/* ---- what is printed ---------------------------------------------------- */

static const char *const levels[] = { "ok", "warn", "FAIL" };

static void print_line(const char *name, const struct finding *finding)
{
    g_print("%-5s %s: %s\n", levels[finding->level], name, finding->text);
    if (finding->advice) {
        g_print("      -> %s\n", finding->advice);
    }
}

static void add_json(const char *name, const struct finding *finding)
{
    const char *const fields[][2] = {
        { "check", name },
        { "result", levels[finding->level] },
        { "found", finding->text },
        { "advice", finding->advice ? finding->advice : "" },
    };

    json_builder_begin_object(builder);
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        json_builder_set_member_name(builder, fields[i][0]);
        json_builder_add_string_value(builder, fields[i][1]);
    }
    json_builder_end_object(builder);
}

/* Takes the finding's strings. */
static void report(const char *name, struct finding *finding)
{
    n_bad += finding->level == BAD;
    n_warnings += finding->level == WARNING;
    if (vwl_want_json) {
        add_json(name, finding);
    } else if (!vwl_want_quiet || finding->level != FINE) {
        print_line(name, finding);
    }
    g_free(finding->text);
    g_free(finding->advice);
}

/* ---- the machine -------------------------------------------------------- */

/* Lines of vwl-guest's: "LEVEL  WHAT: FOUND", and "      -> ADVICE" below. */
static bool take_line(const char *line, struct finding *finding, char **what)
{
    const char *rest = line + strcspn(line, " "), *colon;

    for (size_t i = 0; i < G_N_ELEMENTS(levels); i++) {
        if (strncmp(line, levels[i], (size_t)(rest - line)) == 0 &&
            rest > line && (colon = strstr(rest, ": "))) {
            char *name = g_strndup(rest, (gsize)(colon - rest));

            *what = g_strdup_printf("%s's %s", machine->name, g_strstrip(name));
            *finding = (struct finding){ (enum level)i,
                                         vwl_text(colon + 2, MOST_SHOWN),
                                         NULL };
            g_free(name);
            return true;
        }
    }
    return false;
}

static void report_lines(char *const *lines)
{
    static const char arrow[] = "      -> ";

    for (size_t i = 0; lines[i] && i < MOST_LINES; i++) {
        struct finding finding;
        char *what;

        if (!take_line(lines[i], &finding, &what)) {
            continue;
        }
        if (lines[i + 1] && g_str_has_prefix(lines[i + 1], arrow)) {
            finding.advice = vwl_text(lines[i + 1] + sizeof arrow - 1,
                                      MOST_SHOWN);
        }
        report(what, &finding);
        g_free(what);
    }
}

/* As the user would ask it. */
static void ask_guest(void)
{
    const char *argv[] = { "/proc/self/exe", "exec",   "-T", machine->name,
                           "vwl-guest",      "doctor", NULL };
    char *said = NULL, *complaint = NULL, **lines;
    struct finding finding = { WARNING, NULL, NULL };
    int status = 0;
    GError *error = NULL;
    bool ran = g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL,
                            NULL, &said, &complaint, &status, &error);

    if (ran && WIFEXITED(status) && WEXITSTATUS(status) <= 1) {
        lines = g_strsplit(said, "\n", -1);
        report_lines(lines);
        g_strfreev(lines);
    } else {
        if (!error) {
            g_strstrip(complaint);
            vwl_fail(&error, VWL_FAIL_FAILED, "%s",
                     g_str_has_prefix(complaint, "vwl: ") ? complaint + 5
                                                          : complaint);
        }
        found(&finding, WARNING, error);
        report(machine->name, &finding);
    }
    g_free(complaint);
    g_free(said);
}

/* ---- the command -------------------------------------------------------- */

static void check_all(void)
{
    builder = json_builder_new();
    json_builder_begin_array(builder);
    for (size_t i = 0; i < G_N_ELEMENTS(checks); i++) {
        struct finding finding = { FINE, NULL, NULL };

        checks[i].check(&finding);
        report(checks[i].name, &finding);
    }
    if (machine) {
        ask_guest();
    }
    json_builder_end_array(builder);
    if (vwl_want_json) {
        vwl_print_json(builder);
    } else if (n_bad + n_warnings == 0) {
        vwl_say("Everything is fine.");
    }
    g_object_unref(builder);
}

static int run(int argc, char **argv)
{
    GError *error = NULL;

    if (argc > 2) {
        return vwl_refuse("doctor: one machine at a time; see: vwl doctor "
                          "--help");
    }
    machine = argc == 2 ? vwl_target_machine(argv[1], NULL, &error) : NULL;
    if (error) {
        return vwl_complain(error);
    }
    check_all();
    vwl_machine_free(machine);
    return n_bad > 0 ? VWL_STATUS_FAILED : VWL_STATUS_OK;
}

const struct vwl_command vwl_command_doctor = {
    .name = "doctor",
    .arguments = "[NAME]",
    .summary = "Look whether this host, and a machine, have all that they need",
    .run = run,
};
