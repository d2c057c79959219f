/* SPDX-License-Identifier: BSD-3-Clause */
#include "launch.h"

#include <string.h>
#include <unistd.h>

#include "folders.h"
#include "line.h"

static void set_text(char **to, const char *text)
{
    g_free(*to);
    *to = g_strdup(text ? text : "");
}

static void set_line(char ***to, char **line)
{
    g_strfreev(*to);
    *to = line;
}

void vwl_launch_describe(struct vwl_running *running,
                         const struct vwl_prepared *prepared,
                         const char *runtime)
{
    const struct vwl_host *host = &prepared->host;

    set_line(&running->daemon,
             vwl_line_daemon(prepared->machine, host, runtime));
    set_line(&running->qemu, vwl_line_qemu(prepared->machine, host, runtime));
    set_text(&running->version, host->version);
    set_text(&running->accelerator, host->kvm ? "KVM" : "TCG");
    set_text(&running->warning, host->why_no_kvm);
    running->memory = host->memory;
}

static char *log_of(const char *name, const char *what)
{
    char *logs = vwl_folder_state(name),
         *file = g_strconcat(what, ".log", NULL);
    char *path = g_build_filename(logs, file, NULL);

    g_free(file);
    g_free(logs);
    return path;
}

static struct vwl_process *launch(const char *name, char *const *line,
                                  const char *what, GError **error)
{
    char *runtime = vwl_folder_runtime(name);
    char *file = g_strconcat(what, ".pid", NULL);
    char *pid = g_build_filename(runtime, file, NULL);
    char *log = log_of(name, what);
    char *unit = g_strdup_printf("vwl-%s-%s", name, what);
    struct vwl_process *process = vwl_process_start(line, pid, log, unit,
                                                    error);

    g_free(unit);
    g_free(log);
    g_free(pid);
    g_free(file);
    g_free(runtime);
    return process;
}

struct vwl_process *vwl_launch_daemon(const char *name,
                                      const struct vwl_running *running,
                                      GError **error)
{
    char *runtime = vwl_folder_runtime(name);
    char *socket = g_build_filename(runtime, VWL_SOCKET_DEVICE, NULL);

    unlink(socket);
    g_free(socket);
    g_free(runtime);
    return launch(name, running->daemon, "device", error);
}

struct vwl_process *vwl_launch_qemu(const char *name,
                                    const struct vwl_running *running,
                                    bool loads, GError **error)
{
    GPtrArray *line = g_ptr_array_new();
    struct vwl_process *process;

    for (size_t i = 0; running->qemu[i]; i++) {
        g_ptr_array_add(line, running->qemu[i]);
    }
    if (loads) {
        g_ptr_array_add(line, (char *)"-incoming");
        g_ptr_array_add(line, (char *)"defer");
    }
    g_ptr_array_add(line, NULL);
    process = launch(name, (char **)line->pdata, "qemu", error);
    g_ptr_array_unref(line);
    return process;
}

static char *last_line(const char *name)
{
    char *path = log_of(name, "qemu"), *text = NULL, *line = NULL;

    if (g_file_get_contents(path, &text, NULL, NULL)) {
        char *start = strrchr(g_strchomp(text), '\n');

        line = g_utf8_make_valid(start ? start + 1 : text, -1);
    }
    g_free(text);
    g_free(path);
    return line ? line : g_strdup("");
}

char *vwl_launch_say_why(const char *name, bool loads)
{
    char *line = last_line(name);
    char *text = g_strdup_printf(
        loads ? "QEMU cannot go on with what was saved: %s; run: vwl run "
                "--discard-saved %s, which starts it anew"
              : "QEMU has ended: %s; see: vwl logs %s",
        line, name);

    g_free(line);
    return text;
}
