/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A double of a desktop's notification server, with buttons. It prints what it
 * is told, a line each:
 *
 *     note NUMBER|TITLE|BODY|LABEL,LABEL
 *     close NUMBER
 *     asked SERIAL|WHAT|DETAIL         a signal Asked of any machine's
 *
 * and presses the button that a line of its input names: NUMBER LABEL.
 */
#include <gio/gio.h>
#include <glib-unix.h>
#include <stdio.h>
#include <string.h>

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
    "<signal name='ActionInvoked'><arg type='u'/><arg type='s'/></signal>"
    "</interface></node>";

static GDBusConnection *bus;
static GHashTable *actions; /* number -> char **: action, label, ... */
static guint32 last;

static void say(const char *format, ...) G_GNUC_PRINTF(1, 2);

static void say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

static void emit(const char *signal, GVariant *args)
{
    g_dbus_connection_emit_signal(bus, NULL, PATH, NAME, signal, args, NULL);
}

static void on_notify(GVariant *args, GDBusMethodInvocation *call)
{
    const char *title, *body;
    GString *labels = g_string_new(NULL);
    guint32 replaces, number;
    char **pairs;

    g_variant_get(args, "(&su&s&s&s^as@a{sv}i)", NULL, &replaces, NULL, &title,
                  &body, &pairs, NULL, NULL);
    number = replaces ? replaces : ++last;
    for (size_t i = 0; pairs[i] && pairs[i + 1]; i += 2) {
        g_string_append_printf(labels, "%s%s", i ? "," : "", pairs[i + 1]);
    }
    g_hash_table_insert(actions, GUINT_TO_POINTER(number), pairs);
    /* GLib cannot take back what it does not know the number of: whoever reads
     * the line may rely on it. */
    g_dbus_method_invocation_return_value(call, g_variant_new("(u)", number));
    g_dbus_connection_flush_sync(bus, NULL, NULL);
    say("note %u|%s|%s|%s", number, title, body, labels->str);
    g_string_free(labels, TRUE);
}

static void on_call(GDBusConnection *connection, const char *sender,
                    const char *path, const char *interface, const char *method,
                    GVariant *args, GDBusMethodInvocation *call, gpointer data)
{
    guint32 number;

    if (strcmp(method, "Notify") == 0) {
        on_notify(args, call);
        return;
    }
    g_variant_get(args, "(u)", &number);
    say("close %u", number);
    g_dbus_method_invocation_return_value(call, NULL);
    emit("NotificationClosed", g_variant_new("(uu)", number, 3u));
}

static void on_asked(GDBusConnection *connection, const char *sender,
                     const char *path, const char *interface, const char *name,
                     GVariant *args, gpointer data)
{
    const char *what, *detail;
    guint32 serial;

    g_variant_get(args, "(u&s&s)", &serial, &what, &detail);
    say("asked %u|%s|%s", serial, what, detail);
}

static void press(const char *line)
{
    char label[64];
    guint32 number;
    char **pairs;

    if (sscanf(line, "%u %63s", &number, label) != 2) {
        return;
    }
    pairs = g_hash_table_lookup(actions, GUINT_TO_POINTER(number));
    for (size_t i = 0; pairs && pairs[i] && pairs[i + 1]; i += 2) {
        if (strcmp(pairs[i + 1], label) == 0) {
            emit("ActionInvoked", g_variant_new("(us)", number, pairs[i]));
            emit("NotificationClosed", g_variant_new("(uu)", number, 2u));
        }
    }
}

static gboolean on_line(int fd, GIOCondition condition, gpointer loop)
{
    char line[256];

    if (!fgets(line, sizeof line, stdin)) {
        g_main_loop_quit(loop);
        return G_SOURCE_REMOVE;
    }
    press(line);
    return G_SOURCE_CONTINUE;
}

static void on_name(GDBusConnection *connection, const char *name,
                    gpointer data)
{
    say("ready");
}

static void free_pairs(gpointer pairs)
{
    g_strfreev(pairs);
}

int main(void)
{
    static const GDBusInterfaceVTable vtable = { .method_call = on_call };
    GDBusNodeInfo *node = g_dbus_node_info_new_for_xml(xml, NULL);
    GMainLoop *loop = g_main_loop_new(NULL, FALSE);

    setvbuf(stdin, NULL, _IONBF, 0);
    actions = g_hash_table_new_full(NULL, NULL, NULL, free_pairs);
    bus = g_bus_get_sync(G_BUS_TYPE_SESSION, NULL, NULL);
    g_dbus_connection_register_object(bus, PATH, node->interfaces[0], &vtable,
                                      NULL, NULL, NULL);
    g_dbus_connection_signal_subscribe(bus, NULL,
                                       "org.vhost_user_wl.Vwl1.Machine",
                                       "Asked", NULL, NULL,
                                       G_DBUS_SIGNAL_FLAGS_NONE, on_asked, NULL,
                                       NULL);
    g_bus_own_name_on_connection(bus, NAME, G_BUS_NAME_OWNER_FLAGS_NONE,
                                 on_name, NULL, NULL, NULL);
    g_unix_fd_add(0, G_IO_IN | G_IO_HUP, on_line, loop);
    g_main_loop_run(loop);
    g_main_loop_unref(loop);
    g_dbus_node_info_unref(node);
    g_hash_table_unref(actions);
    g_object_unref(bus);
    return 0;
}
