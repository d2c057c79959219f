/* SPDX-License-Identifier: BSD-3-Clause */
#include "notifier.h"

#define NAME "org.freedesktop.Notifications"
#define PATH "/org/freedesktop/Notifications"

static const char xml[] =
    "<node><interface name='" NAME "'>"
    "<method name='Notify'><arg type='s' direction='in'/>"
    "<arg type='u' direction='in'/><arg type='s' direction='in'/>"
    "<arg type='s' direction='in'/><arg type='s' direction='in'/>"
    "<arg type='as' direction='in'/><arg type='a{sv}' direction='in'/>"
    "<arg type='i' direction='in'/><arg type='u' direction='out'/></method>"
    "<method name='CloseNotification'><arg type='u' direction='in'/></method>"
    "<signal name='NotificationClosed'><arg type='u'/><arg type='u'/></signal>"
    "</interface></node>";

static void (*tell)(const char *line);
static guint32 last;

static void on_call(GDBusConnection *bus, const char *sender, const char *path,
                    const char *interface, const char *method, GVariant *args,
                    GDBusMethodInvocation *call, gpointer data)
{
    const char *app, *icon, *title, *body;
    g_autoptr(GVariant) hints = NULL;
    g_autofree char *line = NULL;
    guint32 replaces, number;
    guint8 urgency = 99;

    if (g_str_equal(method, "CloseNotification")) {
        g_variant_get(args, "(u)", &number);
        line = g_strdup_printf("close %u", number);
        tell(line);
        g_dbus_method_invocation_return_value(call, NULL);
        return;
    }
    g_variant_get(args, "(&su&s&s&sas@a{sv}i)", &app, &replaces, &icon, &title,
                  &body, NULL, &hints, NULL);
    g_variant_lookup(hints, "urgency", "y", &urgency);
    number = replaces ? replaces : ++last;
    line = g_strdup_printf("%u %s|%s|%s|%s|%u", number, app, icon, title, body,
                           urgency);
    tell(line);
    g_dbus_method_invocation_return_value(call, g_variant_new("(u)", number));
}

GDBusConnection *notifier_connect(void)
{
    GError *error = NULL;
    GDBusConnection *bus = g_dbus_connection_new_for_address_sync(
        g_getenv("DBUS_SESSION_BUS_ADDRESS"),
        G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
            G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
        NULL, NULL, &error);

    g_assert_no_error(error);
    return bus;
}

GDBusConnection *notifier_start(void (*heard)(const char *line))
{
    static const GDBusInterfaceVTable calls = { .method_call = on_call };
    GDBusNodeInfo *info = g_dbus_node_info_new_for_xml(xml, NULL);
    GDBusConnection *bus = notifier_connect();

    tell = heard;
    g_dbus_connection_register_object(bus, PATH, info->interfaces[0], &calls,
                                      NULL, NULL, NULL);
    g_variant_unref(g_dbus_connection_call_sync(
        bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
        "org.freedesktop.DBus", "RequestName", g_variant_new("(su)", NAME, 0),
        NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL));
    g_dbus_node_info_unref(info);
    return bus;
}

void notifier_stop(GDBusConnection *bus)
{
    g_dbus_connection_close_sync(bus, NULL, NULL);
    g_object_unref(bus);
}

void notifier_forget(void)
{
    last = 0;
}

void notifier_close(GDBusConnection *bus, guint32 number)
{
    g_dbus_connection_emit_signal(bus, NULL, PATH, NAME, "NotificationClosed",
                                  g_variant_new("(uu)", number, 2), NULL);
}
