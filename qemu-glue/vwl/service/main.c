/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The service that has the user's machines: on the session bus, started by it
 * when somebody asks, and gone a while after the last machine was. A machine's
 * processes are its own: when this ends, they go on, and the next one takes
 * them over.
 */
#include <gio/gio.h>
#include <glib-unix.h>
#include <signal.h>

#include "bus/names.h"
#include "export.h"
#include "fail.h"
#include "folders.h"
#include "vwl-bus.h"

#define IDLE_MS 30000

static GApplication *app;
static GDBusObjectManagerServer *manager;
static GHashTable *exports;    /* name -> struct vwl_export */
static GHashTable *attendants; /* bus name -> its watch */
static GFileMonitor *monitor;  /* of the folder of all machines */

/* ---- machines ----------------------------------------------------------- */

static void on_alive(void *data, struct vwl_export *export, bool is_alive)
{
    if (is_alive) {
        g_application_hold(app);
    } else {
        g_application_release(app);
    }
}

static gboolean on_forget(gpointer name)
{
    g_hash_table_remove(exports, name);
    return G_SOURCE_REMOVE;
}

static void on_deleted(void *data, struct vwl_export *export)
{
    g_idle_add_full(G_PRIORITY_DEFAULT, on_forget,
                    g_strdup(vwl_export_name(export)), g_free);
}

static const struct vwl_export_ops ops = {
    .alive = on_alive,
    .deleted = on_deleted,
};

static void add(const char *name)
{
    struct vwl_export *export = g_hash_table_lookup(exports, name);

    if (export) {
        vwl_export_refresh(export);
    } else {
        export = vwl_export_create(manager, name, &ops, NULL);
        g_hash_table_insert(exports, g_strdup(name), export);
    }
}

static void add_all(void)
{
    char **names = vwl_folder_names();

    for (size_t i = 0; names[i]; i++) {
        if (!g_hash_table_contains(exports, names[i])) {
            add(names[i]);
        }
    }
    g_strfreev(names);
}

static void on_folder(GFileMonitor *folder, GFile *file, GFile *other,
                      GFileMonitorEvent event, gpointer data)
{
    if (event == G_FILE_MONITOR_EVENT_CREATED ||
        event == G_FILE_MONITOR_EVENT_MOVED_IN ||
        event == G_FILE_MONITOR_EVENT_RENAMED) {
        add_all();
    }
}

/* One that `vwl create` has made appears without being asked for. */
static void watch_folder(void)
{
    char *path = vwl_folder_data(NULL);
    GFile *folder = g_file_new_for_path(path);

    vwl_folder_make(path, NULL);
    monitor = g_file_monitor_directory(folder, G_FILE_MONITOR_WATCH_MOVES, NULL,
                                       NULL);
    if (monitor) {
        g_signal_connect(monitor, "changed", G_CALLBACK(on_folder), NULL);
    }
    g_object_unref(folder);
    g_free(path);
}

/* ---- the manager -------------------------------------------------------- */

static gboolean on_find(VwlBusManager *skeleton, GDBusMethodInvocation *call,
                        const char *name, gpointer data)
{
    GError *error = NULL;
    char *path;

    /* Whoever asks goes on to ask: the time without use begins anew. */
    g_application_hold(app);
    g_application_release(app);
    if (!vwl_name_check(name, &error)) {
        g_dbus_method_invocation_take_error(call, error);
    } else if (!vwl_folder_has(name)) {
        g_dbus_method_invocation_return_error(
            call, VWL_FAIL, VWL_FAIL_NOT_FOUND,
            "there is no machine '%s'; see: vwl list, or run: vwl create %s",
            name, name);
    } else {
        add(name);
        path = vwl_bus_machine_path(name);
        vwl_bus_manager_complete_find(skeleton, call, path);
        g_free(path);
    }
    return TRUE;
}

/* ---- who attends -------------------------------------------------------- */

static void on_attendant_gone(GDBusConnection *bus, const char *name,
                              gpointer data)
{
    if (g_hash_table_remove(attendants, name)) {
        g_application_release(app);
    }
}

static void unwatch(gpointer watch)
{
    g_bus_unwatch_name(GPOINTER_TO_UINT(watch));
}

static gboolean on_attend(VwlBusManager *skeleton, GDBusMethodInvocation *call,
                          gpointer data)
{
    const char *who = g_dbus_method_invocation_get_sender(call);
    unsigned int watch;

    if (!g_hash_table_contains(attendants, who)) {
        g_application_hold(app);
        watch = g_bus_watch_name_on_connection(
            g_dbus_method_invocation_get_connection(call), who,
            G_BUS_NAME_WATCHER_FLAGS_NONE, NULL, on_attendant_gone, NULL, NULL);
        g_hash_table_insert(attendants, g_strdup(who), GUINT_TO_POINTER(watch));
    }
    vwl_bus_manager_complete_attend(skeleton, call);
    return TRUE;
}

static void put_manager_on_bus(void)
{
    VwlBusObjectSkeleton *object = vwl_bus_object_skeleton_new(VWL_BUS_PATH
                                                               "/Manager");
    VwlBusManager *skeleton = vwl_bus_manager_skeleton_new();

    vwl_bus_manager_set_version(skeleton, VWL_VERSION);
    g_signal_connect(skeleton, "handle-find", G_CALLBACK(on_find), NULL);
    g_signal_connect(skeleton, "handle-attend", G_CALLBACK(on_attend), NULL);
    vwl_bus_object_skeleton_set_manager(object, skeleton);
    g_dbus_object_manager_server_export(manager,
                                        G_DBUS_OBJECT_SKELETON(object));
    g_object_unref(skeleton);
    g_object_unref(object);
}

/* The buttons of a notification. */
static void on_answer(GSimpleAction *action, GVariant *target, gpointer data)
{
    struct vwl_export *export;
    const char *name;
    guint32 serial;
    gboolean allow;

    g_variant_get(target, "(&sub)", &name, &serial, &allow);
    export = g_hash_table_lookup(exports, name);
    if (export) {
        vwl_export_answer(export, serial, allow);
    }
}

static const GActionEntry actions[] = {
    { .name = "answer", .activate = on_answer, .parameter_type = "(sub)" },
};

/* ---- the application ---------------------------------------------------- */

typedef GApplication VwlService;
typedef GApplicationClass VwlServiceClass;

static GType vwl_service_get_type(void);
G_DEFINE_TYPE(VwlService, vwl_service, G_TYPE_APPLICATION)

/* Before the name is there: who calls for it finds everything. */
static gboolean vwl_service_register(GApplication *application,
                                     GDBusConnection *bus, const char *path,
                                     GError **error)
{
    if (!G_APPLICATION_CLASS(vwl_service_parent_class)
             ->dbus_register(application, bus, path, error)) {
        return FALSE;
    }
    manager = g_dbus_object_manager_server_new(VWL_BUS_PATH);
    put_manager_on_bus();
    watch_folder();
    add_all();
    g_dbus_object_manager_server_set_connection(manager, bus);
    return TRUE;
}

static void vwl_service_unregister(GApplication *application,
                                   GDBusConnection *bus, const char *path)
{
    g_clear_object(&monitor);
    g_hash_table_remove_all(attendants);
    g_hash_table_remove_all(exports);
    g_clear_object(&manager);
    G_APPLICATION_CLASS(vwl_service_parent_class)
        ->dbus_unregister(application, bus, path);
}

static void vwl_service_activate(GApplication *application)
{
}

static void vwl_service_class_init(VwlServiceClass *class)
{
    class->dbus_register = vwl_service_register;
    class->dbus_unregister = vwl_service_unregister;
    class->activate = vwl_service_activate;
}

static void vwl_service_init(VwlService *service)
{
}

static gboolean on_quit(gpointer data)
{
    g_application_quit(app);
    return G_SOURCE_REMOVE;
}

int main(int argc, char **argv)
{
    int status;

    vwl_fail_quark();
    g_set_application_name("Virtual Machines"); /* that asks */
    exports = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                    (GDestroyNotify)vwl_export_destroy);
    attendants = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                       unwatch);
    app = g_object_new(vwl_service_get_type(), "application-id", VWL_BUS_NAME,
                       "flags", G_APPLICATION_IS_SERVICE, "inactivity-timeout",
                       IDLE_MS, NULL);
    g_action_map_add_action_entries(G_ACTION_MAP(app), actions,
                                    G_N_ELEMENTS(actions), NULL);
    g_unix_signal_add(SIGTERM, on_quit, NULL);
    g_unix_signal_add(SIGINT, on_quit, NULL);
    status = g_application_run(app, argc, argv);
    g_object_unref(app);
    g_hash_table_unref(attendants);
    g_hash_table_unref(exports);
    return status;
}
