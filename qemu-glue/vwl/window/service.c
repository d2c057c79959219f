/* SPDX-License-Identifier: BSD-3-Clause */
#include "service.h"

#include <stdbool.h>

#include "bus/names.h"

struct vwl_watch {
    const struct vwl_watch_ops *ops;
    void *data;
    GCancellable *cancel;
    bool is_again; /* asked once more, as nobody answered */
    VwlBusManager *manager;
    GDBusObjectManager *objects;
};

static VwlBusMachine *machine_of(GDBusObject *object)
{
    return vwl_bus_object_get_machine(VWL_BUS_OBJECT(object));
}

static void on_added(GDBusObjectManager *objects, GDBusObject *object,
                     struct vwl_watch *watch)
{
    VwlBusMachine *machine = machine_of(object);

    if (machine) {
        watch->ops->added(watch->data, machine);
        g_object_unref(machine);
    }
}

static void on_removed(GDBusObjectManager *objects, GDBusObject *object,
                       struct vwl_watch *watch)
{
    VwlBusMachine *machine = machine_of(object);

    if (machine) {
        watch->ops->removed(watch->data, machine);
        g_object_unref(machine);
    }
}

static void fail(struct vwl_watch *watch, GError *error)
{
    watch->ops->failed(watch->data, error);
    g_error_free(error);
}

/* False for what has been given up meanwhile: the watch may be gone. */
static bool is_wanted(GError *error)
{
    if (!g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
        return true;
    }
    g_error_free(error);
    return false;
}

/* ---- connect: the manager, Attend, the objects -------------------------- */

static void on_owner(GObject *objects, GParamSpec *spec,
                     struct vwl_watch *watch)
{
    char *owner = g_dbus_object_manager_client_get_name_owner(
        G_DBUS_OBJECT_MANAGER_CLIENT(objects));

    if (!owner) {
        vwl_watch_connect(watch);
    }
    g_free(owner);
}

static void on_objects(GObject *source, GAsyncResult *result, gpointer data)
{
    GError *error = NULL;
    GDBusObjectManager *objects =
        vwl_bus_object_manager_client_new_for_bus_finish(result, &error);
    struct vwl_watch *watch = data;
    GList *all;

    if (!objects) {
        if (is_wanted(error)) {
            fail(watch, error);
        }
        return;
    }
    watch->objects = objects;
    g_signal_connect(objects, "object-added", G_CALLBACK(on_added), watch);
    g_signal_connect(objects, "object-removed", G_CALLBACK(on_removed), watch);
    g_signal_connect(objects, "notify::name-owner", G_CALLBACK(on_owner),
                     watch);
    all = g_dbus_object_manager_get_objects(objects);
    for (GList *at = all; at; at = at->next) {
        on_added(objects, at->data, watch);
    }
    g_list_free_full(all, g_object_unref);
    watch->ops->connected(watch->data);
}

static void on_attended(GObject *source, GAsyncResult *result, gpointer data)
{
    struct vwl_watch *watch = data;
    GError *error = NULL;

    if (!vwl_bus_manager_call_attend_finish(VWL_BUS_MANAGER(source), result,
                                            &error)) {
        if (!watch->is_again && vwl_bus_is_gone(error)) {
            watch->is_again = true;
            g_error_free(error);
            vwl_watch_connect(watch);
        } else if (is_wanted(error)) {
            watch->is_again = false;
            fail(watch, error);
        }
        return;
    }
    watch->is_again = false;
    if (watch->objects) {
        watch->ops->connected(watch->data);
    } else {
        vwl_bus_object_manager_client_new_for_bus(
            G_BUS_TYPE_SESSION, G_DBUS_OBJECT_MANAGER_CLIENT_FLAGS_NONE,
            VWL_BUS_NAME, VWL_BUS_PATH, watch->cancel, on_objects, watch);
    }
}

static void on_manager(GObject *source, GAsyncResult *result, gpointer data)
{
    GError *error = NULL;
    VwlBusManager *manager = vwl_bus_manager_proxy_new_for_bus_finish(result,
                                                                      &error);
    struct vwl_watch *watch = data;

    if (!manager) {
        if (is_wanted(error)) {
            fail(watch, error);
        }
        return;
    }
    g_clear_object(&watch->manager);
    watch->manager = manager;
    vwl_bus_manager_call_attend(manager, watch->cancel, on_attended, watch);
}

void vwl_watch_connect(struct vwl_watch *watch)
{
    vwl_bus_manager_proxy_new_for_bus(G_BUS_TYPE_SESSION,
                                      G_DBUS_PROXY_FLAGS_DO_NOT_LOAD_PROPERTIES,
                                      VWL_BUS_NAME, VWL_BUS_PATH "/Manager",
                                      watch->cancel, on_manager, watch);
}

/* ---- life --------------------------------------------------------------- */

struct vwl_watch *vwl_watch_create(const struct vwl_watch_ops *ops, void *data)
{
    struct vwl_watch *watch = g_new0(struct vwl_watch, 1);

    watch->ops = ops;
    watch->data = data;
    watch->cancel = g_cancellable_new();
    return watch;
}

void vwl_watch_destroy(struct vwl_watch *watch)
{
    g_cancellable_cancel(watch->cancel);
    g_object_unref(watch->cancel);
    if (watch->objects) {
        g_signal_handlers_disconnect_by_data(watch->objects, watch);
    }
    g_clear_object(&watch->objects);
    g_clear_object(&watch->manager);
    g_free(watch);
}
