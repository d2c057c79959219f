/* SPDX-License-Identifier: BSD-3-Clause */
#include "export.h"

#include "box.h"
#include "bus/names.h"
#include "desk.h"
#include "fail.h"
#include "folders.h"
#include "guard.h"
#include "jobs.h"
#include "machine.h"
#include "saved.h"
#include "vwl-bus.h"

struct vwl_export {
    char *name;
    GDBusObjectManagerServer *manager;
    VwlBusMachine *skeleton;
    struct vwl_box *box;
    struct vwl_jobs *jobs;
    struct vwl_questions *questions;
    struct vwl_desk *desk;
    struct vwl_guard *guard;
    bool was_alive, had_agent;
    const struct vwl_export_ops *ops;
    void *data;
};

static const char *const states[] = {
    [VWL_BOX_OFF] = "off",           [VWL_BOX_STARTING] = "starting",
    [VWL_BOX_RUNNING] = "running",   [VWL_BOX_SAVING] = "saving",
    [VWL_BOX_STOPPING] = "stopping", [VWL_BOX_FAILED] = "failed",
};

static void show(struct vwl_export *export)
{
    struct vwl_box_view view;
    bool is_alive = vwl_box_is_alive(export->box);

    vwl_box_look(export->box, &view);
    vwl_bus_machine_set_error(export->skeleton, view.error);
    vwl_bus_machine_set_warning(export->skeleton, view.warning);
    vwl_bus_machine_set_agent(export->skeleton, view.agent);
    vwl_bus_machine_set_accelerator(export->skeleton, view.accelerator);
    vwl_bus_machine_set_since(export->skeleton, view.since);
    vwl_bus_machine_set_memory(export->skeleton, view.memory);
    vwl_bus_machine_set_saved(export->skeleton,
                              vwl_saved_is_there(export->name));
    vwl_bus_machine_set_state(export->skeleton, states[view.state]);
    /* Before the answer to the call that changed it. */
    g_dbus_interface_skeleton_flush(
        G_DBUS_INTERFACE_SKELETON(export->skeleton));
    if ((view.agent[0] != '\0') != export->had_agent) {
        export->had_agent = view.agent[0] != '\0';
        vwl_desk_attend(export->desk, export->had_agent);
    }
    if (is_alive != export->was_alive) {
        export->was_alive = is_alive;
        vwl_guard_attend(export->guard, is_alive);
        export->ops->alive(export->data, export, is_alive);
    }
}

static void on_changed(void *data)
{
    struct vwl_export *export = data;

    if (export->box) {
        show(export);
    }
}

static void on_frame(void *data, const struct vwl_frame *frame)
{
    struct vwl_export *export = data;

    vwl_desk_frame(export->desk, frame);
}

static const struct vwl_box_ops box_ops = {
    .changed = on_changed,
    .frame = on_frame,
};

/* ---- methods ------------------------------------------------------------ */

/* A call of the bus's that is answered later. */
static void on_done(void *data, const GError *error)
{
    GDBusMethodInvocation *call = data;

    if (error) {
        g_dbus_method_invocation_return_gerror(call, error);
    } else {
        g_dbus_method_invocation_return_value(call, NULL);
    }
}

static gboolean on_start(VwlBusMachine *skeleton, GDBusMethodInvocation *call,
                         GVariant *options, gpointer data)
{
    struct vwl_export *export = data;
    const char *display = NULL, *sound = NULL;
    gboolean discard = FALSE;
    GError *error = NULL;

    g_variant_lookup(options, "discard-saved", "b", &discard);
    if (discard && !vwl_box_is_alive(export->box) &&
        !vwl_saved_remove(export->name, &error)) {
        g_dbus_method_invocation_take_error(call, error);
        return TRUE;
    }
    g_variant_lookup(options, "display", "&s", &display);
    g_variant_lookup(options, "sound", "&s", &sound);
    vwl_box_start(export->box, display, sound, on_done, call);
    show(export);
    return TRUE;
}

static gboolean on_stop(VwlBusMachine *skeleton, GDBusMethodInvocation *call,
                        GVariant *options, gpointer data)
{
    struct vwl_export *export = data;
    gboolean force = FALSE, save = FALSE;

    g_variant_lookup(options, "force", "b", &force);
    g_variant_lookup(options, "save", "b", &save);
    if (save) {
        vwl_box_save(export->box, on_done, call);
    } else {
        vwl_box_stop(export->box, force, on_done, call);
    }
    return TRUE;
}

static bool remove_folders(const char *name, GError **error)
{
    char *data = vwl_folder_data(name), *state = vwl_folder_state(name);
    bool ok = vwl_folder_remove(data, error) && vwl_folder_remove(state, error);

    g_free(state);
    g_free(data);
    return ok;
}

static gboolean on_delete(VwlBusMachine *skeleton, GDBusMethodInvocation *call,
                          gpointer data)
{
    struct vwl_export *export = data;
    GError *error = NULL;

    if (vwl_box_is_alive(export->box)) {
        vwl_fail(&error, VWL_FAIL_REFUSED, "%s runs; run: vwl stop %s",
                 export->name, export->name);
    } else {
        remove_folders(export->name, &error);
    }
    if (error) {
        g_dbus_method_invocation_take_error(call, error);
    } else {
        vwl_desk_forget(export->name);
        vwl_bus_machine_complete_delete(skeleton, call);
        export->ops->deleted(export->data, export);
    }
    return TRUE;
}

static bool configure(struct vwl_machine *machine, GVariant *settings,
                      bool *need_restart, GError **error)
{
    GVariantIter iter;
    const char *name, *text;
    bool ok = true;

    *need_restart = false;
    g_variant_iter_init(&iter, settings);
    while (ok && g_variant_iter_next(&iter, "{&s&s}", &name, &text)) {
        ok = vwl_machine_set(machine, name, text, error);
        *need_restart |= ok && !vwl_setting_find(name, NULL)->at_once;
    }
    return ok && vwl_machine_save(machine, error);
}

static gboolean on_configure(VwlBusMachine *skeleton,
                             GDBusMethodInvocation *call, GVariant *settings,
                             gpointer data)
{
    struct vwl_export *export = data;
    char *folder = vwl_folder_data(export->name);
    GError *error = NULL;
    struct vwl_machine *machine = vwl_machine_load(folder, &error);
    bool need_restart = false;

    if (machine && configure(machine, settings, &need_restart, &error)) {
        vwl_export_refresh(export);
        vwl_bus_machine_complete_configure(skeleton, call,
                                           need_restart &&
                                               vwl_box_is_alive(export->box));
    } else {
        g_dbus_method_invocation_take_error(call, error);
    }
    vwl_machine_free(machine);
    g_free(folder);
    return TRUE;
}

/* ---- life --------------------------------------------------------------- */

static void show_settings(struct vwl_export *export,
                          const struct vwl_machine *machine)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a{ss}"));
    for (const struct vwl_setting *s = vwl_settings(); s->name; s++) {
        char *text = vwl_machine_get(machine, s->name);

        g_variant_builder_add(&builder, "{ss}", s->name,
                              text[0] ? text : s->initial);
        g_free(text);
    }
    vwl_bus_machine_set_settings(export->skeleton,
                                 g_variant_builder_end(&builder));
    g_dbus_interface_skeleton_flush(
        G_DBUS_INTERFACE_SKELETON(export->skeleton));
}

void vwl_export_refresh(struct vwl_export *export)
{
    char *folder = vwl_folder_data(export->name);
    struct vwl_machine *machine = vwl_machine_load(folder, NULL);

    vwl_bus_machine_set_system(export->skeleton, machine && machine->system
                                                     ? machine->system
                                                     : "");
    if (machine) {
        vwl_desk_configure(export->desk, machine);
        vwl_guard_configure(export->guard, machine);
        show_settings(export, machine);
    }
    vwl_machine_free(machine);
    g_free(folder);
}

static void put_on_bus(struct vwl_export *export)
{
    char *path = vwl_bus_machine_path(export->name);
    VwlBusObjectSkeleton *object = vwl_bus_object_skeleton_new(path);

    vwl_bus_object_skeleton_set_machine(object, export->skeleton);
    g_dbus_object_manager_server_export(export->manager,
                                        G_DBUS_OBJECT_SKELETON(object));
    g_object_unref(object);
    g_free(path);
}

struct vwl_export *vwl_export_create(GDBusObjectManagerServer *manager,
                                     const char *name,
                                     const struct vwl_export_ops *ops,
                                     void *data)
{
    struct vwl_export *export = g_new0(struct vwl_export, 1);

    export->name = g_strdup(name);
    export->manager = manager;
    export->ops = ops;
    export->data = data;
    export->skeleton = vwl_bus_machine_skeleton_new();
    vwl_bus_machine_set_name(export->skeleton, name);
    export->box = vwl_box_create(name, &box_ops, export);
    export->jobs = vwl_jobs_create(export->skeleton, export->box);
    export->questions = vwl_questions_create(export->skeleton, name);
    export->desk = vwl_desk_create(export->skeleton, export->box,
                                   export->questions);
    export->guard = vwl_guard_create(export->skeleton, export->box,
                                     export->questions);
    g_signal_connect(export->skeleton, "handle-start", G_CALLBACK(on_start),
                     export);
    g_signal_connect(export->skeleton, "handle-stop", G_CALLBACK(on_stop),
                     export);
    g_signal_connect(export->skeleton, "handle-delete", G_CALLBACK(on_delete),
                     export);
    g_signal_connect(export->skeleton, "handle-configure",
                     G_CALLBACK(on_configure), export);
    show(export);
    vwl_export_refresh(export);
    put_on_bus(export);
    return export;
}

void vwl_export_destroy(struct vwl_export *export)
{
    char *path = vwl_bus_machine_path(export->name);

    g_dbus_object_manager_server_unexport(export->manager, path);
    vwl_box_destroy(g_steal_pointer(&export->box));
    vwl_guard_destroy(export->guard);
    vwl_desk_destroy(export->desk);
    vwl_questions_destroy(export->questions);
    vwl_jobs_destroy(export->jobs);
    g_signal_handlers_disconnect_by_data(export->skeleton, export);
    g_object_unref(export->skeleton);
    g_free(export->name);
    g_free(path);
    g_free(export);
}

const char *vwl_export_name(const struct vwl_export *export)
{
    return export->name;
}

void vwl_export_answer(struct vwl_export *export, unsigned int serial,
                       bool allow)
{
    vwl_questions_answer(export->questions, serial, allow);
}
