/* SPDX-License-Identifier: BSD-3-Clause */
#include "desk.h"

#include <string.h>

#include "desktop/desktop.h"
#include "fail.h"

struct vwl_desk {
    VwlBusMachine *skeleton;
    struct vwl_box *box;
    struct vwl_desktop *desktop;
    char *name;
    struct vwl_questions *questions;
};

/* ---- questions ---------------------------------------------------------- */

static void on_answered(void *data, unsigned int serial, bool allow)
{
    struct vwl_desk *desk = data;

    vwl_desktop_answer(desk->desktop, serial, allow);
}

static void on_ask(void *data, unsigned int serial, const char *what,
                   const char *detail)
{
    struct vwl_desk *desk = data;
    char *title = g_strdup_printf("%s wants to open a link", desk->name);

    vwl_questions_ask(desk->questions, what, title, detail, on_answered, desk,
                      serial);
    g_free(title);
}

/* ---- programs ----------------------------------------------------------- */

static void show_apps(void *data)
{
    struct vwl_desk *desk = data;
    const GPtrArray *apps = vwl_apps_list(vwl_desktop_apps(desk->desktop));
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a(sssb)"));
    for (guint i = 0; apps && i < apps->len; i++) {
        const struct vwl_app *app = apps->pdata[i];
        char *icon = vwl_entry_file_id(desk->name, app->id);

        g_variant_builder_add(&builder, "(sssb)", app->id, app->name, icon,
                              (gboolean)app->shown);
        g_free(icon);
    }
    vwl_bus_machine_set_apps(desk->skeleton, g_variant_builder_end(&builder));
}

static void on_log(void *data, const char *line)
{
    struct vwl_desk *desk = data;

    g_message("%s: %s", desk->name, line);
}

static void on_send(void *data, const void *bytes, size_t length)
{
    struct vwl_desk *desk = data;

    vwl_link_send(vwl_box_link(desk->box, false), bytes, length);
}

static const struct vwl_desktop_ops desktop_ops = {
    .log = on_log,
    .send = on_send,
    .apps_changed = show_apps,
    .ask = on_ask,
};

static bool list(struct vwl_desk *desk)
{
    GByteArray *bytes = g_byte_array_new();
    bool ok = vwl_frame_put(bytes, VWL_SIDE_HOST, VWL_FRAME_LIST, 0, NULL) &&
              vwl_link_send(vwl_box_link(desk->box, false), bytes->data,
                            bytes->len);

    g_byte_array_unref(bytes);
    return ok;
}

/* ---- the bus ------------------------------------------------------------ */

static gboolean on_set_shown(VwlBusMachine *skeleton,
                             GDBusMethodInvocation *call, const char *id,
                             gboolean shown, gpointer data)
{
    struct vwl_desk *desk = data;
    struct vwl_apps *apps = vwl_desktop_apps(desk->desktop);
    GError *error = NULL;

    if (!vwl_apps_find(apps, id)) {
        vwl_fail(&error, VWL_FAIL_NOT_FOUND,
                 "%s has no program '%s'; see: vwl apps %s", desk->name, id,
                 desk->name);
    } else {
        vwl_apps_show(apps, id, shown, &error);
        show_apps(desk);
    }
    if (error) {
        g_dbus_method_invocation_take_error(call, error);
    } else {
        vwl_bus_machine_complete_set_shown(skeleton, call);
    }
    return TRUE;
}

static gboolean on_refresh(VwlBusMachine *skeleton, GDBusMethodInvocation *call,
                           gpointer data)
{
    struct vwl_desk *desk = data;

    if (list(desk)) {
        vwl_bus_machine_complete_refresh(skeleton, call);
    } else {
        g_dbus_method_invocation_return_error(
            call, VWL_FAIL, VWL_FAIL_NO_AGENT,
            "%s has no agent that could tell; run: vwl run %s", desk->name,
            desk->name);
    }
    return TRUE;
}

struct launch {
    GDBusMethodInvocation *call;
};

static void on_launched(void *data, unsigned int status, const char *text)
{
    struct launch *launch = data;

    if (status == 0) {
        g_dbus_method_invocation_return_value(launch->call, NULL);
    } else {
        g_dbus_method_invocation_return_error(
            launch->call, VWL_FAIL, VWL_FAIL_FAILED,
            "it was not started: %s; see: vwl apps --refresh",
            text[0] ? text : "the agent does not say why");
    }
    g_free(launch);
}

static gboolean on_launch(VwlBusMachine *skeleton, GDBusMethodInvocation *call,
                          const char *id, GVariant *platform, gpointer data)
{
    struct vwl_desk *desk = data;
    struct vwl_link *link = vwl_box_link(desk->box, false);
    struct launch *launch = g_new(struct launch, 1);
    const char *token = "";
    GError *error = NULL;
    bool ok = false;

    launch->call = call;
    g_variant_lookup(platform, "activation-token", "&s", &token);
    if (!link) {
        vwl_fail(&error, VWL_FAIL_NOT_RUNNING, "%s is stopped; run: vwl run %s",
                 desk->name, desk->name);
    } else if (vwl_box_waits(desk->box)) {
        vwl_fail(&error, VWL_FAIL_REFUSED, "%s", vwl_box_waits(desk->box));
    } else {
        ok = vwl_link_launch(link, id, token, on_launched, launch, &error) != 0;
    }
    if (!ok) {
        g_dbus_method_invocation_take_error(call, error);
        g_free(launch);
    }
    return TRUE;
}

/* ---- life --------------------------------------------------------------- */

void vwl_desk_configure(struct vwl_desk *desk,
                        const struct vwl_machine *machine)
{
    static const enum vwl_wish links[] = {
        [VWL_ANSWER_ASK] = VWL_WISH_ASK,
        [VWL_ANSWER_ALLOW] = VWL_WISH_ALLOW,
        [VWL_ANSWER_DENY] = VWL_WISH_DENY,
    };
    const struct vwl_desktop_policy policy = {
        .apps = machine->apps ? VWL_WISH_ALLOW : VWL_WISH_DENY,
        .links = links[machine->links],
        .notifications = machine->notifications ? VWL_WISH_ALLOW
                                                : VWL_WISH_DENY,
    };

    vwl_desktop_set_policy(desk->desktop, &policy);
    vwl_box_set_may(desk->box, vwl_desktop_may(desk->desktop));
    show_apps(desk);
}

void vwl_desk_attend(struct vwl_desk *desk, bool is_there)
{
    if (is_there) {
        list(desk);
    } else {
        vwl_questions_drop_all(desk->questions, on_answered, desk);
        vwl_desktop_hang_up(desk->desktop);
    }
}

void vwl_desk_frame(struct vwl_desk *desk, const struct vwl_frame *frame)
{
    vwl_desktop_frame(desk->desktop, frame);
}

struct vwl_desk *vwl_desk_create(VwlBusMachine *skeleton, struct vwl_box *box,
                                 struct vwl_questions *questions)
{
    struct vwl_desk *desk = g_new0(struct vwl_desk, 1);
    GDBusConnection *bus = g_bus_get_sync(G_BUS_TYPE_SESSION, NULL, NULL);
    const char *command = g_getenv("VWL_COMMAND");

    desk->skeleton = skeleton;
    desk->box = box;
    desk->questions = questions;
    desk->name = g_strdup(vwl_box_name(box));
    desk->desktop = vwl_desktop_create(desk->name,
                                       command ? command : VWL_BINDIR "/vwl",
                                       bus, &desktop_ops, desk);
    g_clear_object(&bus);
    g_signal_connect(skeleton, "handle-set-shown", G_CALLBACK(on_set_shown),
                     desk);
    g_signal_connect(skeleton, "handle-refresh", G_CALLBACK(on_refresh), desk);
    g_signal_connect(skeleton, "handle-launch", G_CALLBACK(on_launch), desk);
    show_apps(desk);
    return desk;
}

void vwl_desk_destroy(struct vwl_desk *desk)
{
    g_signal_handlers_disconnect_by_data(desk->skeleton, desk);
    vwl_questions_drop_all(desk->questions, on_answered, desk);
    vwl_desktop_destroy(desk->desktop);
    g_free(desk->name);
    g_free(desk);
}

void vwl_desk_forget(const char *name)
{
    vwl_apps_forget(name);
}
