/* SPDX-License-Identifier: BSD-3-Clause */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fail.h"

#define MOST_LOG (1 << 20) /* bytes, when it is started */

struct vwl_process {
    int fd; /* a pidfd */
    char *pid_file;
    gint64 since;
    unsigned int watch;
    vwl_process_ended_fn ended;
    void *data;
};

static int open_pid(GPid pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* When it was started, in ticks since the boot: field 22, and its name, which
 * stands in brackets, can hold anything. */
static char *start_time(GPid pid)
{
    char *path = g_strdup_printf("/proc/%d/stat", (int)pid), *text = NULL;
    char *start = NULL, *rest, **fields;

    if (g_file_get_contents(path, &text, NULL, NULL) &&
        (rest = strrchr(text, ')'))) {
        fields = g_strsplit(rest + 1, " ", -1);
        if (g_strv_length(fields) > 20) {
            start = g_strdup(fields[20]);
        }
        g_strfreev(fields);
    }
    g_free(text);
    g_free(path);
    return start;
}

static struct vwl_process *new_process(int fd, const char *pid_file)
{
    struct vwl_process *process = g_new0(struct vwl_process, 1);
    struct stat st;

    process->fd = fd;
    process->pid_file = g_strdup(pid_file);
    process->since = stat(pid_file, &st) == 0 ? st.st_mtime : 0;
    return process;
}

/* ---- start -------------------------------------------------------------- */

static void on_child(gpointer data)
{
    setsid();
}

static int open_log(const char *path)
{
    struct stat st;

    if (stat(path, &st) == 0 && st.st_size > MOST_LOG) {
        char *old = g_strconcat(path, ".old", NULL);

        g_rename(path, old);
        g_free(old);
    }
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* Nobody waits for the answer: without systemd there is no scope. */
static void put_into_scope(GPid pid, const char *unit)
{
    GDBusConnection *bus = g_bus_get_sync(G_BUS_TYPE_SESSION, NULL, NULL);
    char *name = g_strconcat(unit, ".scope", NULL);
    GVariantBuilder properties;
    guint32 number = (guint32)pid;

    if (bus) {
        g_variant_builder_init(&properties, G_VARIANT_TYPE("a(sv)"));
        g_variant_builder_add(&properties, "(sv)", "PIDs",
                              g_variant_new_fixed_array(G_VARIANT_TYPE_UINT32,
                                                        &number, 1,
                                                        sizeof number));
        g_variant_builder_add(&properties, "(sv)", "CollectMode",
                              g_variant_new_string("inactive-or-failed"));
        g_dbus_connection_call(bus, "org.freedesktop.systemd1",
                               "/org/freedesktop/systemd1",
                               "org.freedesktop.systemd1.Manager",
                               "StartTransientUnit",
                               g_variant_new("(ssa(sv)a(sa(sv)))", name, "fail",
                                             &properties, NULL),
                               NULL, G_DBUS_CALL_FLAGS_NO_AUTO_START, -1, NULL,
                               NULL, NULL);
        g_object_unref(bus);
    }
    g_free(name);
}

static bool keep_pid(GPid pid, const char *pid_file, GError **error)
{
    char *start = start_time(pid);
    char *text = g_strdup_printf("%d %s\n", (int)pid, start ? start : "?");
    bool ok = g_file_set_contents(pid_file, text, -1, error);

    g_free(text);
    g_free(start);
    return ok;
}

struct vwl_process *vwl_process_start(char *const *argv, const char *pid_file,
                                      const char *log, const char *unit,
                                      GError **error)
{
    int out = open_log(log), fd;
    GPid pid = 0;
    bool ok;

    if (out < 0) {
        vwl_fail(error, VWL_FAIL_FAILED,
                 "%s cannot be written: %s; make room, or look whose it is",
                 log, g_strerror(errno));
        return NULL;
    }
    ok = g_spawn_async_with_fds(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT,
                                on_child, NULL, &pid, -1, out, out, error);
    close(out);
    if (!ok) {
        return NULL;
    }
    fd = open_pid(pid);
    if (fd < 0) {
        vwl_fail(error, VWL_FAIL_FAILED, "%s ended at once; see: vwl logs",
                 argv[0]);
        return NULL;
    }
    if (!keep_pid(pid, pid_file, error)) {
        kill(pid, SIGKILL);
        close(fd);
        return NULL;
    }
    put_into_scope(pid, unit);
    return new_process(fd, pid_file);
}

/* ---- find --------------------------------------------------------------- */

static bool lives(int fd)
{
    struct pollfd one = { .fd = fd, .events = POLLIN };

    return poll(&one, 1, 0) == 0;
}

struct vwl_process *vwl_process_find(const char *pid_file)
{
    char *text = NULL, start[32] = "", *now = NULL;
    int pid = 0, fd = -1;

    if (g_file_get_contents(pid_file, &text, NULL, NULL) &&
        sscanf(text, "%d %31s", &pid, start) == 2 && pid > 1) {
        fd = open_pid(pid);
        now = fd >= 0 ? start_time(pid) : NULL;
    }
    g_free(text);
    if (fd >= 0 && (g_strcmp0(now, start) != 0 || !lives(fd))) {
        close(fd);
        fd = -1;
    }
    g_free(now);
    return fd >= 0 ? new_process(fd, pid_file) : NULL;
}

/* ---- life --------------------------------------------------------------- */

static gboolean on_ended(int fd, GIOCondition condition, gpointer data)
{
    struct vwl_process *process = data;

    process->watch = 0;
    g_unlink(process->pid_file);
    process->ended(process->data);
    return G_SOURCE_REMOVE;
}

void vwl_process_watch(struct vwl_process *process, vwl_process_ended_fn ended,
                       void *data)
{
    process->ended = ended;
    process->data = data;
    process->watch = g_unix_fd_add(process->fd, G_IO_IN, on_ended, process);
}

void vwl_process_signal(struct vwl_process *process, int number)
{
    syscall(SYS_pidfd_send_signal, process->fd, number, NULL, 0);
}

gint64 vwl_process_since(const struct vwl_process *process)
{
    return process->since;
}

void vwl_process_forget(struct vwl_process *process)
{
    if (!process) {
        return;
    }
    g_clear_handle_id(&process->watch, g_source_remove);
    close(process->fd);
    g_free(process->pid_file);
    g_free(process);
}
