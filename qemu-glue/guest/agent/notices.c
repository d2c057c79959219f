/* SPDX-License-Identifier: BSD-3-Clause */
#include <gio/gio.h>
#include <string.h>

#include "channel/text.h"
#include "notices.h"

#define NAME "org.freedesktop.Notifications"
#define PATH "/org/freedesktop/Notifications"

/* Why a notification is closed, as the specification has it. */
enum { BY_USER = 2, BY_CALL = 3 };

static const char xml[] =
    "<node><interface name='" NAME "'>"
    "<method name='GetCapabilities'><arg type='as' direction='out'/></method>"
    "<method name='GetServerInformation'><arg type='s' direction='out'/>"
    "<arg type='s' direction='out'/><arg type='s' direction='out'/>"
    "<arg type='s' direction='out'/></method>"
    "<method name='Notify'><arg type='s' direction='in'/>"
    "<arg type='u' direction='in'/><arg type='s' direction='in'/>"
    "<arg type='s' direction='in'/><arg type='s' direction='in'/>"
    "<arg type='as' direction='in'/><arg type='a{sv}' direction='in'/>"
    "<arg type='i' direction='in'/><arg type='u' direction='out'/></method>"
    "<method name='CloseNotification'><arg type='u' direction='in'/></method>"
    "<signal name='NotificationClosed'><arg type='u'/><arg type='u'/></signal>"
    "<signal name='ActionInvoked'><arg type='u'/><arg type='s'/></signal>"
    "</interface></node>";

struct vwl_notices {
    struct vwl_wire *wire;
    GDBusNodeInfo *info;
    GDBusConnection *bus; /* NULL until there is one */
    guint owner, object;
    bool allowed;
    uint32_t last;
};

static void send_close(struct vwl_notices *notices, uint32_t id)
{
    g_autofree char *number = g_strdup_printf("%u", id);

    if (vwl_wire_is_greeted(notices->wire)) {
        vwl_frame_put(vwl_wire_out(notices->wire), VWL_SIDE_GUEST,
                      VWL_FRAME_CLOSE, 0, number, NULL);
        vwl_wire_flush(notices->wire);
    }
}

static void emit_closed(struct vwl_notices *notices, uint32_t id,
                        uint32_t reason)
{
    if (notices->bus) {
        g_dbus_connection_emit_signal(notices->bus, NULL, PATH, NAME,
                                      "NotificationClosed",
                                      g_variant_new("(uu)", id, reason), NULL);
    }
}

void vwl_notices_closed(struct vwl_notices *notices, uint32_t id)
{
    emit_closed(notices, id, BY_USER);
}

void vwl_notices_allow(struct vwl_notices *notices, bool allowed)
{
    notices->allowed = allowed;
}

/* False: nobody will see it. */
static bool send_notice(struct vwl_notices *notices, uint32_t id,
                        GVariant *args)
{
    g_autofree char *number = g_strdup_printf("%u", id);
    g_autofree char *title = NULL, *body = NULL;
    g_autoptr(GVariant) hints = NULL;
    const char *raw_title, *raw_body;
    char level[2] = "1";
    guint8 urgency = 1;
    bool sent;

    g_variant_get(args, "(&su&s&s&sas@a{sv}i)", NULL, NULL, NULL, &raw_title,
                  &raw_body, NULL, &hints, NULL);
    g_variant_lookup(hints, "urgency", "y", &urgency);
    level[0] = (char)('0' + MIN(urgency, 2));
    /* the host cleans them again */
    title = vwl_text(raw_title, VWL_MAX_TITLE_CHARS);
    body = vwl_text(raw_body, VWL_MAX_BODY_CHARS);
    if (!notices->allowed || !vwl_wire_is_greeted(notices->wire) ||
        vwl_wire_is_full(notices->wire)) {
        return false;
    }
    sent = vwl_frame_put(vwl_wire_out(notices->wire), VWL_SIDE_GUEST,
                         VWL_FRAME_NOTIFY, 0, number, title, body, level, NULL);
    vwl_wire_flush(notices->wire);
    return sent;
}

static void on_notify(struct vwl_notices *notices, GVariant *args,
                      GDBusMethodInvocation *call)
{
    uint32_t id;

    g_variant_get_child(args, 1, "u", &id);
    if (id == 0) {
        id = ++notices->last ? notices->last : ++notices->last;
    }
    if (send_notice(notices, id, args)) {
        g_dbus_method_invocation_return_value(call, g_variant_new("(u)", id));
    } else {
        g_dbus_method_invocation_return_dbus_error(
            call, "org.freedesktop.DBus.Error.Failed",
            "The host shows no notifications of this machine");
    }
}

static void on_call(GDBusConnection *bus, const char *sender, const char *path,
                    const char *interface, const char *method, GVariant *args,
                    GDBusMethodInvocation *call, gpointer data)
{
    static const char *const can[] = { "body", NULL };
    struct vwl_notices *notices = data;
    uint32_t id;

    if (g_str_equal(method, "Notify")) {
        on_notify(notices, args, call);
    } else if (g_str_equal(method, "CloseNotification")) {
        g_variant_get(args, "(u)", &id);
        send_close(notices, id);
        emit_closed(notices, id, BY_CALL);
        g_dbus_method_invocation_return_value(call, NULL);
    } else if (g_str_equal(method, "GetCapabilities")) {
        g_dbus_method_invocation_return_value(call,
                                              g_variant_new("(^as)", can));
    } else {
        g_dbus_method_invocation_return_value(
            call, g_variant_new("(ssss)", "vwl-guest", "vhost-user-wl",
                                VWL_VERSION, "1.2"));
    }
}

static const GDBusInterfaceVTable calls = { .method_call = on_call };

static void on_bus(GDBusConnection *bus, const char *name, gpointer data)
{
    struct vwl_notices *notices = data;

    notices->bus = g_object_ref(bus);
    notices->object = g_dbus_connection_register_object(
        bus, PATH, notices->info->interfaces[0], &calls, notices, NULL, NULL);
}

struct vwl_notices *vwl_notices_create(struct vwl_wire *wire)
{
    struct vwl_notices *notices = g_new0(struct vwl_notices, 1);

    notices->wire = wire;
    notices->info = g_dbus_node_info_new_for_xml(xml, NULL);
    notices->owner = g_bus_own_name(G_BUS_TYPE_SESSION, NAME,
                                    G_BUS_NAME_OWNER_FLAGS_NONE, on_bus, NULL,
                                    NULL, notices, NULL);
    return notices;
}

void vwl_notices_destroy(struct vwl_notices *notices)
{
    if (!notices) {
        return;
    }
    g_bus_unown_name(notices->owner);
    if (notices->bus) {
        g_dbus_connection_unregister_object(notices->bus, notices->object);
        g_object_unref(notices->bus);
    }
    g_dbus_node_info_unref(notices->info);
    g_free(notices);
}
