/* SPDX-License-Identifier: BSD-3-Clause */
#include "guard.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fail.h"
#include "folders.h"
#include "line.h"
#include "remote.h"

static const char *const kinds[] = { "clipboard", "primary", "drag" };

struct vwl_guard {
    VwlBusMachine *skeleton;
    struct vwl_questions *questions;
    char *name;
    char *ways[G_N_ELEMENTS(kinds)];
    struct vwl_remote *remote; /* NULL: it does not run */
};

static void tell(struct vwl_guard *guard)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        vwl_remote_set(guard->remote, kinds[i], guard->ways[i]);
    }
}

/* ---- the device --------------------------------------------------------- */

static void on_answered(void *data, unsigned int number, bool allow)
{
    struct vwl_guard *guard = data;

    vwl_remote_answer(guard->remote, number, allow);
}

static void on_ready(void *data)
{
    tell(data);
}

static void on_ask(void *data, unsigned int number, const char *kind,
                   const char *way)
{
    struct vwl_guard *guard = data;
    bool to_guest = strcmp(way, "to-guest") == 0;
    const char *what = strcmp(kind, "drag") == 0      ? "what is dragged"
                       : strcmp(kind, "primary") == 0 ? "the selected text"
                                                      : "the clipboard";
    char *title = g_strdup_printf("Paste %s %s?", to_guest ? "into" : "from",
                                  guard->name);
    char *detail = to_guest ? g_strdup_printf("A program in %s wants %s of "
                                              "this desktop.",
                                              guard->name, what)
                            : g_strdup_printf("A program of this desktop wants "
                                              "%s of %s.",
                                              what, guard->name);

    vwl_questions_ask(guard->questions, kind, title, detail, on_answered, guard,
                      number);
    g_free(detail);
    g_free(title);
}

static void on_over(void *data, unsigned int number)
{
    struct vwl_guard *guard = data;

    vwl_questions_drop(guard->questions, on_answered, guard, number);
}

static void on_gone(void *data)
{
    struct vwl_guard *guard = data;

    vwl_questions_drop_all(guard->questions, on_answered, guard);
}

static const struct vwl_remote_ops remote_ops = {
    .ready = on_ready,
    .ask = on_ask,
    .over = on_over,
    .gone = on_gone,
};

/* ---- Look --------------------------------------------------------------- */

/* QEMU's own figures: memory in bytes, processor time in milliseconds. */
static void add_process(const char *name, GVariantBuilder *figures)
{
    char *folder = vwl_folder_runtime(name);
    char *file = g_build_filename(folder, "qemu.pid", NULL), *text = NULL;
    char *path, *rest;
    unsigned long long user, kernel, pages;
    int pid;

    if (g_file_get_contents(file, &text, NULL, NULL) &&
        sscanf(text, "%d", &pid) == 1) {
        path = g_strdup_printf("/proc/%d/stat", pid);
        g_clear_pointer(&text, g_free);
        if (g_file_get_contents(path, &text, NULL, NULL) &&
            (rest = strrchr(text, ')')) &&
            sscanf(rest,
                   ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu "
                   "%*d %*d %*d %*d %*d %*d %*u %*u %llu",
                   &user, &kernel, &pages) == 3) {
            g_variant_builder_add(figures, "{st}", "memory-bytes",
                                  (guint64)pages *
                                      (guint64)sysconf(_SC_PAGESIZE));
            g_variant_builder_add(figures, "{st}", "processor-ms",
                                  (guint64)(user + kernel) * 1000 /
                                      (guint64)sysconf(_SC_CLK_TCK));
        }
        g_free(path);
    }
    g_free(text);
    g_free(file);
    g_free(folder);
}

struct looking {
    VwlBusMachine *skeleton;
    GDBusMethodInvocation *call;
};

static void on_seen(void *data, GVariant *figures, GVariant *windows)
{
    struct looking *looking = data;
    GVariantBuilder all;
    GVariantIter iter;
    GVariant *one;

    g_variant_builder_init(&all, G_VARIANT_TYPE("a{st}"));
    add_process(vwl_bus_machine_get_name(looking->skeleton), &all);
    if (figures) {
        g_variant_iter_init(&iter, figures);
        while ((one = g_variant_iter_next_value(&iter))) {
            g_variant_builder_add_value(&all, one);
            g_variant_unref(one);
        }
    }
    vwl_bus_machine_complete_look(
        looking->skeleton, looking->call, g_variant_builder_end(&all),
        windows ? windows
                : g_variant_new_array(G_VARIANT_TYPE("(ss)"), NULL, 0));
    g_object_unref(looking->skeleton);
    g_free(looking);
}

static gboolean on_look(VwlBusMachine *skeleton, GDBusMethodInvocation *call,
                        gpointer data)
{
    struct vwl_guard *guard = data;
    struct looking *looking;

    if (!guard->remote) {
        g_dbus_method_invocation_return_error(call, VWL_FAIL,
                                              VWL_FAIL_NOT_RUNNING,
                                              "%s is stopped; run: vwl run %s",
                                              guard->name, guard->name);
        return TRUE;
    }
    looking = g_new(struct looking, 1);
    *looking = (struct looking){ g_object_ref(skeleton), call };
    vwl_remote_look(guard->remote, on_seen, looking);
    return TRUE;
}

/* ---- life --------------------------------------------------------------- */

void vwl_guard_configure(struct vwl_guard *guard,
                         const struct vwl_machine *machine)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        char *way = vwl_machine_get(machine, kinds[i]);

        g_free(guard->ways[i]);
        guard->ways[i] = way[0] ? g_strdup(way) : g_strdup("both");
        g_free(way);
    }
    tell(guard);
}

void vwl_guard_attend(struct vwl_guard *guard, bool is_alive)
{
    char *folder, *path;

    if (!is_alive) {
        g_clear_pointer(&guard->remote, vwl_remote_destroy);
        on_gone(guard);
    } else if (!guard->remote) {
        folder = vwl_folder_runtime(guard->name);
        path = g_build_filename(folder, VWL_SOCKET_CONTROL, NULL);
        guard->remote = vwl_remote_create(path, guard->name, &remote_ops,
                                          guard);
        g_free(path);
        g_free(folder);
    }
}

struct vwl_guard *vwl_guard_create(VwlBusMachine *skeleton, struct vwl_box *box,
                                   struct vwl_questions *questions)
{
    struct vwl_guard *guard = g_new0(struct vwl_guard, 1);

    guard->skeleton = skeleton;
    guard->questions = questions;
    guard->name = g_strdup(vwl_box_name(box));
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        guard->ways[i] = g_strdup("both");
    }
    g_signal_connect(skeleton, "handle-look", G_CALLBACK(on_look), guard);
    return guard;
}

void vwl_guard_destroy(struct vwl_guard *guard)
{
    g_signal_handlers_disconnect_by_data(guard->skeleton, guard);
    vwl_guard_attend(guard, false);
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_free(guard->ways[i]);
    }
    g_free(guard->name);
    g_free(guard);
}
