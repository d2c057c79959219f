/* SPDX-License-Identifier: BSD-3-Clause */
#include "host.h"

#include <errno.h>
#include <gio/gio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fail.h"

#define GUEST_MEMORY_MOST 4096 /* MiB, unless more is asked for */
#define GUEST_CPUS_MOST 4
#define KVM_TRIAL_SECONDS 10

/* ---- programs ----------------------------------------------------------- */

char *vwl_host_qemu(const char *wanted, GError **error)
{
    const char *name = wanted ? wanted : "qemu-system-x86_64";
    char *path = g_find_program_in_path(name);

    if (!path && wanted) {
        vwl_fail(error, VWL_FAIL_NOT_FOUND,
                 "there is no program '%s'; name another QEMU by --qemu=",
                 wanted);
    } else if (!path) {
        vwl_fail(error, VWL_FAIL_NOT_FOUND,
                 "there is no QEMU; run: sudo apt install qemu-system-x86");
    }
    return path;
}

char *vwl_host_qemu_version(const char *qemu, GError **error)
{
    const char *argv[] = { qemu, "--version", NULL };
    static const char head[] = "QEMU emulator version ";
    char *text = NULL, *version = NULL;

    if (g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_STDERR_TO_DEV_NULL,
                     NULL, NULL, &text, NULL, NULL, NULL) &&
        g_str_has_prefix(text, head)) {
        const char *from = text + sizeof head - 1;

        version = g_strndup(from, strspn(from, "0123456789."));
    }
    g_free(text);
    if (!version || !version[0]) {
        g_free(version);
        vwl_fail(error, VWL_FAIL_FAILED,
                 "%s does not say which QEMU it is; name another one by "
                 "--qemu=",
                 qemu);
        return NULL;
    }
    return version;
}

/* Where packages put it, and where build-glue leaves it: there the newest is
 * taken. */
static char *newest_built(const char *file)
{
    char *cache = g_build_filename(g_get_user_cache_dir(), "vhost-user-wl",
                                   NULL);
    GDir *dir = g_dir_open(cache, 0, NULL);
    const char *name;
    char *best = NULL;
    gint64 best_time = -1;

    while (dir && (name = g_dir_read_name(dir))) {
        char *path = g_build_filename(cache, name, file, NULL);
        struct stat st;

        if (g_str_has_prefix(name, "glue-") && stat(path, &st) == 0 &&
            st.st_mtime > best_time) {
            best_time = st.st_mtime;
            g_free(best);
            best = g_steal_pointer(&path);
        }
        g_free(path);
    }
    if (dir) {
        g_dir_close(dir);
    }
    g_free(cache);
    return best;
}

char *vwl_host_glue(const char *version, GError **error)
{
    static const char *const folders[] = { VWL_LIBDIR "/qemu",
                                           VWL_LIBDIR "/vhost-user-wl",
                                           "/usr/lib/x86_64-linux-gnu/qemu",
                                           "/var/lib/vhost-user-wl" };
    char *file = g_strdup_printf("vhost-user-wl-qemu-%s.so", version);
    char *path = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(folders) && !path; i++) {
        path = g_build_filename(folders[i], file, NULL);
        if (access(path, R_OK) != 0) {
            g_clear_pointer(&path, g_free);
        }
    }
    if (!path) {
        path = newest_built(file);
    }
    if (!path) {
        char *builder = g_find_program_in_path("vhost-user-wl-build-glue");

        vwl_fail(error, VWL_FAIL_NOT_FOUND,
                 "there is no glue for QEMU %s; run: sudo %s", version,
                 builder ? "vhost-user-wl-build-glue --system"
                         : "apt install vhost-user-wl-qemu");
        g_free(builder);
    }
    g_free(file);
    return path;
}

/* Beside this program, or else anywhere. */
char *vwl_host_daemon(const char *wanted, GError **error)
{
    const char *name = wanted ? wanted : "vhost-user-wl";
    char *path = wanted ? NULL : g_strdup(VWL_BINDIR "/vhost-user-wl");

    if (path && access(path, X_OK) == 0) {
        return path;
    }
    g_free(path);
    path = g_find_program_in_path(name);
    if (!path) {
        vwl_fail(error, VWL_FAIL_NOT_FOUND,
                 "there is no program '%s'; run: sudo apt install "
                 "vhost-user-wl",
                 name);
    }
    return path;
}

/* ---- sockets ------------------------------------------------------------ */

static bool is_socket(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

char *vwl_host_display(const char *wanted, GError **error)
{
    const char *name = wanted ? wanted : g_getenv("WAYLAND_DISPLAY");
    char *path;

    if (!name || !name[0]) {
        vwl_fail(error, VWL_FAIL_NOT_FOUND,
                 "there is no Wayland desktop here; run it in a terminal of "
                 "one, or say --display=SOCKET");
        return NULL;
    }
    path = g_canonicalize_filename(name, g_get_user_runtime_dir());
    if (!is_socket(path) || access(path, W_OK) != 0) {
        vwl_fail(error, VWL_FAIL_NOT_FOUND,
                 "there is no compositor at %s; is WAYLAND_DISPLAY right? Or "
                 "say --display=SOCKET",
                 path);
        g_clear_pointer(&path, g_free);
    }
    return path;
}

char *vwl_host_sound(void)
{
    const char *server = g_getenv("PULSE_SERVER");
    char *path;

    if (server && g_str_has_prefix(server, "unix:")) {
        path = g_strdup(server + strlen("unix:"));
    } else {
        path = g_build_filename(g_get_user_runtime_dir(), "pulse", "native",
                                NULL);
    }
    if (!is_socket(path)) {
        g_clear_pointer(&path, g_free);
    }
    return path;
}

/* ---- a shared folder ---------------------------------------------------- */

static bool is_below(const char *path, const char *folder)
{
    size_t length = strlen(folder);

    return strncmp(path, folder, length) == 0 &&
           (path[length] == '/' || path[length] == '\0');
}

/* Not the whole home, by a link or a mistake. */
char *vwl_host_share(const char *folder, GError **error)
{
    char *path = realpath(folder, NULL), *home, *own;

    if (!path || !g_file_test(path, G_FILE_TEST_IS_DIR)) {
        vwl_fail(error, VWL_FAIL_NOT_FOUND,
                 "there is no folder %s to share; make it, or say "
                 "--share= for none",
                 folder);
        free(path);
        return NULL;
    }
    home = realpath(g_get_home_dir(), NULL);
    if (strcmp(path, "/") == 0 || (home && is_below(home, path))) {
        vwl_fail(error, VWL_FAIL_REFUSED,
                 "%s holds all that is yours; share a folder of its own: "
                 "--share=%s/shared",
                 path, g_get_home_dir());
        g_clear_pointer(&path, free);
    } else if (strpbrk(path, ",\\")) {
        vwl_fail(error, VWL_FAIL_REFUSED,
                 "%s has a comma or a backslash in its name, which virtiofsd "
                 "does not take; share one without",
                 path);
        g_clear_pointer(&path, free);
    }
    own = g_strdup(path);
    free(home);
    free(path);
    return own;
}

char *vwl_host_virtiofsd(GError **error)
{
    static const char *const paths[] = { "/usr/lib/qemu/virtiofsd",
                                         "/usr/libexec/virtiofsd" };

    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
        if (access(paths[i], X_OK) == 0) {
            return g_strdup(paths[i]);
        }
    }
    vwl_fail(error, VWL_FAIL_NOT_FOUND,
             "there is no virtiofsd, so no folder can be shared; run: sudo "
             "apt install virtiofsd (Debian 12: qemu-system-common)");
    return NULL;
}

static bool find_share(struct vwl_host *host, const struct vwl_machine *machine,
                       GError **error)
{
    const char *folder = g_getenv("VWL_LIBEXEC"); /* of tests */
    char *path = vwl_machine_path(machine, machine->share);

    if (!path) {
        return true;
    }
    host->share = vwl_host_share(path, error);
    host->virtiofsd = host->share ? vwl_host_virtiofsd(error) : NULL;
    host->sharer = g_build_filename(folder ? folder : VWL_LIBEXEC, "vwl-share",
                                    NULL);
    g_free(path);
    return host->virtiofsd != NULL;
}

/* ---- the kit ------------------------------------------------------------ */

bool vwl_host_can_show(void)
{
    static const char *const modules[] = {
        VWL_LIBDIR "/qemu/ui-gtk.so",
        "/usr/lib/x86_64-linux-gnu/qemu/ui-gtk.so",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(modules); i++) {
        if (access(modules[i], R_OK) == 0) {
            return true;
        }
    }
    return false;
}

static void find_kit(struct vwl_host *host, const struct vwl_machine *machine)
{
    char *path = g_build_filename(machine->folder, VWL_KIT_DISK, NULL);

    if (access(path, R_OK) == 0) {
        host->kit = g_steal_pointer(&path);
        host->screen = vwl_host_can_show();
    }
    g_free(path);
}

/* ---- KVM ---------------------------------------------------------------- */

/* What KVM did in this boot, so that it is tried but once: "ID yes" or
 * "ID no". */
static char *trial_file(void)
{
    return g_build_filename(g_get_user_cache_dir(), "vwl", "kvm", NULL);
}

static char *boot_id(void)
{
    char *id = NULL;

    if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &id, NULL,
                             NULL)) {
        return g_strdup("?");
    }
    return g_strstrip(id);
}

static bool know_trial(bool *works)
{
    char *path = trial_file(), *id = boot_id(), *text = NULL;
    bool known = g_file_get_contents(path, &text, NULL, NULL) &&
                 g_str_has_prefix(text, id);

    if (known) {
        *works = g_str_has_suffix(text, " yes");
    }
    g_free(text);
    g_free(id);
    g_free(path);
    return known;
}

static void keep_trial(bool works)
{
    char *path = trial_file(), *folder = g_path_get_dirname(path);
    char *id = boot_id();
    char *text = g_strdup_printf("%s %s", id, works ? "yes" : "no");

    if (g_mkdir_with_parents(folder, 0700) == 0) {
        g_file_set_contents(path, text, -1, NULL);
    }
    g_free(text);
    g_free(id);
    g_free(folder);
    g_free(path);
}

static gboolean on_trial_over(gpointer process)
{
    g_subprocess_force_exit(process);
    return G_SOURCE_REMOVE;
}

static void on_trial_end(GObject *process, GAsyncResult *result, gpointer loop)
{
    g_subprocess_communicate_utf8_finish(G_SUBPROCESS(process), result, NULL,
                                         NULL, NULL);
    g_main_loop_quit(loop);
}

/* A KVM that is there and starts no machine: seen in nested ones. QEMU may
 * abort then. */
static bool try_kvm(const char *qemu)
{
    GSubprocess *process = g_subprocess_new(
        G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_SILENCE |
            G_SUBPROCESS_FLAGS_STDERR_SILENCE,
        NULL, qemu, "-machine", "q35,accel=kvm", "-cpu", "host", "-nodefaults",
        "-display", "none", "-S", "-monitor", "stdio", NULL);
    GMainContext *context = g_main_context_new();
    GMainLoop *loop = g_main_loop_new(context, FALSE);
    GSource *timer = g_timeout_source_new_seconds(KVM_TRIAL_SECONDS);
    bool works = false;

    if (process) {
        g_main_context_push_thread_default(context);
        g_source_set_callback(timer, on_trial_over, process, NULL);
        g_source_attach(timer, context);
        g_subprocess_communicate_utf8_async(process, "quit\n", NULL,
                                            on_trial_end, loop);
        g_main_loop_run(loop);
        works = g_subprocess_get_successful(process);
        g_main_context_pop_thread_default(context);
        g_object_unref(process);
    }
    g_source_destroy(timer);
    g_source_unref(timer);
    g_main_loop_unref(loop);
    g_main_context_unref(context);
    return works;
}

bool vwl_host_kvm(const char *qemu, GError **error)
{
    bool works = false;
    int err;

    if (access("/dev/kvm", F_OK) != 0) {
        return vwl_fail(error, VWL_FAIL_NOT_FOUND,
                        "there is no /dev/kvm, so machines are slow; switch "
                        "virtualisation on in the computer's setup, or run: "
                        "sudo modprobe -a kvm_intel kvm_amd");
    }
    if (access("/dev/kvm", R_OK | W_OK) != 0) {
        err = errno; /* asking for the user's name changes it */
        return vwl_fail(error, VWL_FAIL_REFUSED,
                        "/dev/kvm: %s, so machines are slow; run: sudo "
                        "adduser %s kvm, and log in anew",
                        g_strerror(err), g_get_user_name());
    }
    if (!know_trial(&works)) {
        works = try_kvm(qemu);
        keep_trial(works);
    }
    return works || vwl_fail(error, VWL_FAIL_FAILED,
                             "QEMU starts no machine with KVM, so machines "
                             "are slow; is this a virtual machine without "
                             "nested ones?");
}

/* ---- all ---------------------------------------------------------------- */

static unsigned int host_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGE_SIZE);

    return pages > 0 && size > 0
               ? (unsigned int)((guint64)pages * (guint64)size >> 20)
               : 0;
}

static bool choose_accel(struct vwl_host *host,
                         const struct vwl_machine *machine, GError **error)
{
    GError *why = NULL;

    if (machine->accel == VWL_ACCEL_TCG) {
        return true;
    }
    host->kvm = vwl_host_kvm(host->qemu, &why);
    if (!host->kvm && machine->accel == VWL_ACCEL_KVM) {
        g_propagate_error(error, why);
        return false;
    }
    if (!host->kvm) {
        host->why_no_kvm = g_strdup(why->message);
        g_error_free(why);
    }
    return true;
}

bool vwl_host_find(struct vwl_host *host, const struct vwl_machine *machine,
                   GError **error)
{
    unsigned int memory = host_memory() / 2;

    *host = (struct vwl_host){
        .cpus = machine->cpus ? machine->cpus
                              : MIN(g_get_num_processors(), GUEST_CPUS_MOST),
        .memory = machine->memory ? machine->memory
                                  : CLAMP(memory, 256, GUEST_MEMORY_MOST),
        .sound = machine->sound != VWL_SOUND_OFF ? vwl_host_sound() : NULL,
    };
    host->qemu = vwl_host_qemu(machine->qemu, error);
    if (!host->qemu) {
        return false;
    }
    host->version = vwl_host_qemu_version(host->qemu,
                                          machine->glue ? NULL : error);
    if (machine->glue) {
        host->glue = vwl_machine_path(machine, machine->glue);
    } else {
        host->glue = host->version ? vwl_host_glue(host->version, error) : NULL;
    }
    if (!host->glue) {
        return false;
    }
    host->daemon = vwl_host_daemon(machine->daemon, error);
    if (!host->daemon) {
        return false;
    }
    host->display = vwl_host_display(machine->display, error);
    find_kit(host, machine);
    return host->display && find_share(host, machine, error) &&
           choose_accel(host, machine, error);
}

void vwl_host_finish(struct vwl_host *host)
{
    g_free(host->qemu);
    g_free(host->version);
    g_free(host->glue);
    g_free(host->daemon);
    g_free(host->display);
    g_free(host->sound);
    g_free(host->share);
    g_free(host->virtiofsd);
    g_free(host->sharer);
    g_free(host->kit);
    g_free(host->why_no_kvm);
}
