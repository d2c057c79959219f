/* SPDX-License-Identifier: BSD-3-Clause */
#include "monitor.h"

#include <string.h>

#include "qmp.h"
#include "saved.h"
#include "saver.h"

#define AGAIN_SECONDS 2

struct vwl_monitor {
    char *name, *version;
    char *const *line;
    enum vwl_monitor_begin begin;
    bool is_ready, is_loading;
    bool stands;             /* since the last time that it was to go on */
    unsigned int again;      /* timer, while it waits for room */
    struct vwl_qmp *qmp;     /* NULL when it has hung up */
    struct vwl_saver *saver; /* while it is saved or loaded */
    const struct vwl_monitor_ops *ops;
    void *data;
};

static const char *status_of(JsonNode *value)
{
    return value && JSON_NODE_HOLDS_OBJECT(value)
               ? json_object_get_string_member_with_default(
                     json_node_get_object(value), "status", "")
               : "";
}

static void break_down(struct vwl_monitor *monitor, char *text)
{
    monitor->ops->broken(monitor->data, text);
    g_free(text);
}

/* ---- no room for its disk ------------------------------------------------ */

/* QEMU tries again what it could not write: it stops anew at once, or there is
 * room. */
static gboolean on_again(gpointer data)
{
    struct vwl_monitor *monitor = data;

    if (monitor->saver) {
        return G_SOURCE_CONTINUE;
    }
    if (monitor->stands) {
        monitor->stands = false;
        vwl_qmp_send(monitor->qmp, "cont", NULL, NULL);
        return G_SOURCE_CONTINUE;
    }
    monitor->again = 0;
    monitor->ops->waits(monitor->data, NULL);
    return G_SOURCE_REMOVE;
}

static void wait_for_room(struct vwl_monitor *monitor)
{
    monitor->stands = true;
    if (monitor->again == 0) {
        monitor->again = g_timeout_add_seconds(AGAIN_SECONDS, on_again,
                                               monitor);
        monitor->ops->waits(monitor->data,
                            "the machine waits, as there is no room for its "
                            "disk; make some on this host, and it goes on by "
                            "itself");
    }
}

/* ---- while it runs ------------------------------------------------------ */

static void on_status(void *data, JsonNode *value, const char *why)
{
    struct vwl_monitor *monitor = data;
    const char *status = status_of(value);

    if (strcmp(status, "internal-error") == 0) {
        break_down(monitor,
                   g_strdup_printf("KVM does not get along with this guest; "
                                   "run: vwl run %s --accel=tcg",
                                   monitor->name));
    } else if (strcmp(status, "io-error") == 0) {
        wait_for_room(monitor);
    }
}

static void on_event(void *data, const char *name, JsonObject *details)
{
    struct vwl_monitor *monitor = data;

    if (strcmp(name, "SHUTDOWN") == 0) {
        monitor->ops->powered_off(monitor->data);
    } else if (strcmp(name, "STOP") == 0) {
        vwl_qmp_send(monitor->qmp, "query-status", on_status, monitor);
    }
}

/* ---- loaded ------------------------------------------------------------- */

static void on_loaded(void *data, const char *why)
{
    struct vwl_monitor *monitor = data;
    GError *error = NULL;

    if (why) {
        break_down(monitor, g_strdup_printf(
                                "QEMU cannot go on with what was saved: %s; "
                                "run: vwl run --discard-saved %s, which starts "
                                "it anew",
                                why, monitor->name));
    } else if (!vwl_saved_remove(monitor->name, &error)) {
        monitor->ops->broken(monitor->data, error->message);
        g_error_free(error);
    } else {
        monitor->is_loading = false;
        vwl_qmp_send(monitor->qmp, "cont", NULL, NULL);
    }
    g_clear_pointer(&monitor->saver, vwl_saver_destroy);
}

/* The service before this one may have ended in the middle: nothing that it had
 * saved is lost, and a guest that was not saved goes on. */
static void on_status_found(void *data, JsonNode *value, const char *why)
{
    struct vwl_monitor *monitor = data;
    const char *status = status_of(value);

    if (vwl_saved_is_there(monitor->name) || strcmp(status, "inmigrate") == 0) {
        monitor->is_loading = true;
        break_down(monitor, g_strdup_printf("the service ended while this was "
                                            "saved or loaded; run: vwl run %s",
                                            monitor->name));
    } else if (strcmp(status, "paused") == 0 ||
               strcmp(status, "finish-migrate") == 0 ||
               strcmp(status, "postmigrate") == 0) {
        vwl_qmp_send(monitor->qmp, "migrate_cancel", NULL, NULL);
        vwl_qmp_send(monitor->qmp, "cont", NULL, NULL);
    } else if (strcmp(status, "io-error") == 0) {
        wait_for_room(monitor);
    }
}

static void on_ready(void *data)
{
    struct vwl_monitor *monitor = data;

    monitor->is_ready = true;
    if (monitor->begin == VWL_MONITOR_FOUND) {
        vwl_qmp_send(monitor->qmp, "query-status", on_status_found, monitor);
    } else if (monitor->begin == VWL_MONITOR_LOADS) {
        char *path = vwl_saved_path(monitor->name, false);

        monitor->saver = vwl_saver_load(monitor->qmp, monitor->version, path,
                                        on_loaded, monitor);
        g_free(path);
    }
}

/* ---- saved -------------------------------------------------------------- */

static void on_saved(void *data, const char *why)
{
    struct vwl_monitor *monitor = data;
    GError *trouble = NULL, *error = NULL;

    if (!why && !vwl_saved_keep(monitor->name, monitor->version, monitor->line,
                                &trouble)) {
        why = trouble->message;
    }
    if (why) {
        vwl_saved_give_up(monitor->name, why, &error);
        vwl_qmp_send(monitor->qmp, "cont", NULL, NULL);
    }
    g_clear_error(&trouble);
    g_clear_pointer(&monitor->saver, vwl_saver_destroy);
    monitor->ops->saved(monitor->data, error);
    g_clear_error(&error);
}

bool vwl_monitor_save(struct vwl_monitor *monitor)
{
    char *path;

    if (!monitor || !monitor->is_ready || !monitor->qmp || monitor->saver) {
        return false;
    }
    path = vwl_saved_path(monitor->name, true);
    monitor->saver = vwl_saver_save(monitor->qmp, monitor->version, path,
                                    on_saved, monitor);
    g_free(path);
    return true;
}

/* ---- life --------------------------------------------------------------- */

static void on_closed(void *data)
{
    struct vwl_monitor *monitor = data;

    g_clear_handle_id(&monitor->again, g_source_remove);
    g_clear_pointer(&monitor->qmp, vwl_qmp_destroy);
    g_clear_pointer(&monitor->saver, vwl_saver_destroy);
}

static const struct vwl_qmp_ops qmp_ops = {
    .ready = on_ready,
    .event = on_event,
    .closed = on_closed,
};

struct vwl_monitor *vwl_monitor_create(const char *path, const char *name,
                                       const char *version, char *const *line,
                                       enum vwl_monitor_begin begin,
                                       const struct vwl_monitor_ops *ops,
                                       void *data)
{
    struct vwl_monitor *monitor = g_new0(struct vwl_monitor, 1);

    monitor->name = g_strdup(name);
    monitor->version = g_strdup(version);
    monitor->line = line;
    monitor->begin = begin;
    monitor->is_loading = begin == VWL_MONITOR_LOADS;
    monitor->ops = ops;
    monitor->data = data;
    monitor->qmp = vwl_qmp_create(path, &qmp_ops, monitor);
    return monitor;
}

void vwl_monitor_destroy(struct vwl_monitor *monitor)
{
    if (monitor) {
        on_closed(monitor);
        g_free(monitor->version);
        g_free(monitor->name);
        g_free(monitor);
    }
}

bool vwl_monitor_is_loading(const struct vwl_monitor *monitor)
{
    return monitor && monitor->is_loading;
}

bool vwl_monitor_power_down(struct vwl_monitor *monitor)
{
    return monitor &&
           vwl_qmp_send(monitor->qmp, "system_powerdown", NULL, NULL);
}

bool vwl_monitor_quit(struct vwl_monitor *monitor)
{
    return monitor && vwl_qmp_send(monitor->qmp, "quit", NULL, NULL);
}
