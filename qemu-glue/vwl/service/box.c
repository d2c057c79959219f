/* SPDX-License-Identifier: BSD-3-Clause */
#include "box.h"

#include <signal.h>
#include <string.h>

#include "agents.h"
#include "fail.h"
#include "folders.h"
#include "launch.h"
#include "line.h"
#include "monitor.h"
#include "prepare.h"
#include "process.h"
#include "running.h"
#include "saved.h"
#include "serial.h"

#define STOP_SECONDS 60
#define ASK_SECONDS 5    /* between two requests to power off */
#define KILL_SECONDS 5   /* from a request to the end of patience */
#define DAEMON_SECONDS 1 /* until a daemon is started again */

struct waiter {
    vwl_box_done_fn done;
    void *data;
};

struct vwl_box {
    char *name, *runtime, *logs;
    const struct vwl_box_ops *ops;
    void *data;
    enum vwl_box_state state;
    bool is_preparing; /* a thread looks at the host */
    bool powered_off;  /* the guest did, or was told to */
    char *error, *agent;
    char *waits; /* why it stands still, or NULL */
    struct vwl_running running;
    gint64 since;
    unsigned int may; /* enum vwl_may */
    struct vwl_process *qemu, *daemon;
    struct vwl_monitor *monitor;
    struct vwl_serial *serial;
    struct vwl_agents *agents;
    GQueue stops;                        /* struct waiter */
    unsigned int again, ask, late, kill; /* timers */
};

static void set_state(struct vwl_box *box, enum vwl_box_state state)
{
    box->state = state;
    box->ops->changed(box->data);
}

static void set_text(char **to, const char *text)
{
    g_free(*to);
    *to = g_strdup(text);
}

static char *own_path(const struct vwl_box *box, const char *file)
{
    return g_build_filename(box->runtime, file, NULL);
}

static void answer_stops(struct vwl_box *box, const GError *error)
{
    struct waiter *waiter;

    while ((waiter = g_queue_pop_head(&box->stops))) {
        waiter->done(waiter->data, error);
        g_free(waiter);
    }
}

/* ---- the end ------------------------------------------------------------ */

static void clear_timers(struct vwl_box *box)
{
    g_clear_handle_id(&box->again, g_source_remove);
    g_clear_handle_id(&box->ask, g_source_remove);
    g_clear_handle_id(&box->late, g_source_remove);
    g_clear_handle_id(&box->kill, g_source_remove);
}

static void let_go(struct vwl_box *box)
{
    clear_timers(box);
    g_clear_pointer(&box->waits, g_free);
    g_clear_pointer(&box->monitor, vwl_monitor_destroy);
    g_clear_pointer(&box->serial, vwl_serial_destroy);
    g_clear_pointer(&box->agents, vwl_agents_destroy);
    g_clear_pointer(&box->qemu, vwl_process_forget);
    g_clear_pointer(&box->daemon, vwl_process_forget);
}

static bool is_meant(const struct vwl_box *box)
{
    return box->powered_off || box->state == VWL_BOX_STOPPING;
}

static void on_all_ended(struct vwl_box *box)
{
    bool meant = is_meant(box);
    GError *error = NULL;

    let_go(box);
    vwl_folder_remove(box->runtime, NULL);
    vwl_running_finish(&box->running);
    vwl_running_init(&box->running);
    box->since = 0;
    set_state(box, meant ? VWL_BOX_OFF : VWL_BOX_FAILED);
    if (!meant) {
        vwl_fail(&error, VWL_FAIL_FAILED, "%s", box->error);
    }
    answer_stops(box, error);
    g_clear_error(&error);
}

static gboolean on_kill(gpointer data)
{
    struct vwl_box *box = data;

    if (box->qemu) {
        vwl_process_signal(box->qemu, SIGKILL);
    } else if (box->daemon) {
        vwl_process_signal(box->daemon, SIGKILL);
    }
    return G_SOURCE_CONTINUE;
}

static void kill_later(struct vwl_box *box)
{
    if (box->kill == 0) {
        box->kill = g_timeout_add_seconds(KILL_SECONDS, on_kill, box);
    }
}

static void on_qemu_ended(void *data)
{
    struct vwl_box *box = data;

    if (!is_meant(box) && !box->error[0]) {
        g_free(box->error);
        box->error = vwl_launch_say_why(box->name,
                                        vwl_monitor_is_loading(box->monitor));
    }
    g_clear_pointer(&box->qemu, vwl_process_forget);
    g_clear_pointer(&box->monitor, vwl_monitor_destroy);
    g_clear_handle_id(&box->again, g_source_remove);
    if (box->daemon) {
        vwl_process_signal(box->daemon, SIGTERM);
        kill_later(box);
    } else {
        on_all_ended(box);
    }
}

/* ---- the daemon --------------------------------------------------------- */

static bool start_daemon(struct vwl_box *box, GError **error);

static gboolean on_again(gpointer data)
{
    struct vwl_box *box = data;
    GError *error = NULL;

    if (!start_daemon(box, &error)) {
        set_text(&box->running.warning, error->message);
        g_error_free(error);
        box->ops->changed(box->data);
        return G_SOURCE_CONTINUE;
    }
    box->again = 0;
    return G_SOURCE_REMOVE;
}

static void on_daemon_ended(void *data)
{
    struct vwl_box *box = data;

    g_clear_pointer(&box->daemon, vwl_process_forget);
    if (!box->qemu) {
        on_all_ended(box);
    } else if (box->again == 0) {
        g_message("%s: its device has ended, and is started again", box->name);
        box->again = g_timeout_add_seconds(DAEMON_SECONDS, on_again, box);
    }
}

static bool start_daemon(struct vwl_box *box, GError **error)
{
    box->daemon = vwl_launch_daemon(box->name, &box->running, error);
    if (box->daemon) {
        vwl_process_watch(box->daemon, on_daemon_ended, box);
    }
    return box->daemon != NULL;
}

/* ---- QEMU's monitor ----------------------------------------------------- */

static bool has_agent(const struct vwl_box *box)
{
    return box->agents &&
           vwl_link_is_ready(vwl_agents_link(box->agents, false));
}

static void force_stop(struct vwl_box *box)
{
    if (!vwl_monitor_quit(box->monitor) && box->qemu) {
        vwl_process_signal(box->qemu, SIGTERM);
    }
    kill_later(box);
}

static void on_powered_off(void *data)
{
    struct vwl_box *box = data;

    box->powered_off = true;
}

static void on_broken(void *data, const char *text)
{
    struct vwl_box *box = data;

    set_text(&box->error, text);
    vwl_process_signal(box->qemu, SIGKILL);
}

static void on_waits(void *data, const char *text)
{
    struct vwl_box *box = data;

    set_text(&box->waits, text);
    box->ops->changed(box->data);
}

static void on_saved(void *data, const GError *error)
{
    struct vwl_box *box = data;

    if (error) {
        set_state(box, has_agent(box) ? VWL_BOX_RUNNING : VWL_BOX_STARTING);
        answer_stops(box, error);
    } else {
        set_state(box, VWL_BOX_STOPPING);
        force_stop(box);
    }
}

static const struct vwl_monitor_ops monitor_ops = {
    .powered_off = on_powered_off,
    .broken = on_broken,
    .waits = on_waits,
    .saved = on_saved,
};

/* ---- the agents --------------------------------------------------------- */

static void on_ready(void *data, const char *software)
{
    struct vwl_box *box = data;

    set_text(&box->agent, software);
    set_state(box,
              box->state == VWL_BOX_STARTING ? VWL_BOX_RUNNING : box->state);
}

static void on_gone(void *data)
{
    struct vwl_box *box = data;

    set_text(&box->agent, "");
    box->ops->changed(box->data);
}

static void on_frame(void *data, const struct vwl_frame *frame)
{
    struct vwl_box *box = data;

    box->ops->frame(box->data, frame);
}

static const struct vwl_link_ops agent_ops = {
    .ready = on_ready,
    .gone = on_gone,
    .frame = on_frame,
};

static bool make_agents(struct vwl_box *box, GError **error)
{
    box->agents = vwl_agents_create(box->runtime, box->name, &agent_ops, box,
                                    error);
    vwl_box_set_may(box, box->may);
    return box->agents != NULL;
}

static void attach(struct vwl_box *box, enum vwl_monitor_begin begin)
{
    char *qmp = own_path(box, VWL_SOCKET_QMP);
    char *serial = own_path(box, VWL_SOCKET_SERIAL);
    char *log = g_build_filename(box->logs, "serial.log", NULL);

    box->since = vwl_process_since(box->qemu);
    box->monitor = vwl_monitor_create(qmp, box->name, box->running.version,
                                      box->running.qemu, begin, &monitor_ops,
                                      box);
    box->serial = vwl_serial_create(serial, log);
    vwl_process_watch(box->qemu, on_qemu_ended, box);
    g_free(log);
    g_free(serial);
    g_free(qmp);
}

/* ---- start -------------------------------------------------------------- */

struct start {
    struct vwl_box *box;
    struct waiter waiter;
};

static bool launch(struct vwl_box *box, const struct vwl_prepared *prepared,
                   bool loads, GError **error)
{
    vwl_launch_describe(&box->running, prepared, box->runtime);
    if (!vwl_folder_make(box->runtime, error) ||
        !vwl_folder_make(box->logs, error) || !make_agents(box, error) ||
        (loads && !vwl_saved_fits(box->name, box->running.version,
                                  box->running.qemu, error)) ||
        !vwl_running_save(&box->running, box->runtime, error) ||
        !start_daemon(box, error)) {
        return false;
    }
    if (loads) {
        vwl_agents_mind_the_clock(box->agents);
    }
    box->qemu = vwl_launch_qemu(box->name, &box->running, loads, error);
    return box->qemu != NULL;
}

static void on_prepared(void *data, const struct vwl_prepared *prepared,
                        const GError *why)
{
    struct start *start = data;
    struct vwl_box *box = start->box;
    GError *error = why ? g_error_copy(why) : NULL;
    bool loads = vwl_saved_is_there(box->name);

    box->is_preparing = false;
    if (!error && launch(box, prepared, loads, &error)) {
        attach(box, loads ? VWL_MONITOR_LOADS : VWL_MONITOR_BOOTS);
        set_state(box, VWL_BOX_STARTING);
    } else {
        set_text(&box->error, error->message);
        if (box->daemon) {
            vwl_process_signal(box->daemon, SIGKILL);
        }
        let_go(box);
        set_state(box, VWL_BOX_FAILED);
    }
    start->waiter.done(start->waiter.data, error);
    g_clear_error(&error);
    g_free(start);
}

static void say_busy(const struct vwl_box *box, GError **error)
{
    if (box->waits) {
        vwl_fail(error, VWL_FAIL_REFUSED, "%s", box->waits);
    } else {
        vwl_fail(error, VWL_FAIL_REFUSED,
                 "%s is just starting or stopping; try again", box->name);
    }
}

void vwl_box_start(struct vwl_box *box, const char *display, const char *sound,
                   vwl_box_done_fn done, void *data)
{
    GError *error = NULL;
    struct start *start;

    if (box->state == VWL_BOX_STARTING || box->state == VWL_BOX_RUNNING) {
        done(data, NULL);
        return;
    }
    if (vwl_box_is_alive(box) || box->is_preparing) {
        say_busy(box, &error);
        done(data, error);
        g_error_free(error);
        return;
    }
    box->is_preparing = true;
    box->powered_off = false;
    set_text(&box->error, "");
    start = g_new(struct start, 1);
    *start = (struct start){ box, { done, data } };
    vwl_prepare(box->name, display, sound, on_prepared, start);
}

/* ---- stop --------------------------------------------------------------- */

static gboolean on_ask(gpointer data)
{
    struct vwl_box *box = data;

    vwl_monitor_power_down(box->monitor);
    return G_SOURCE_CONTINUE;
}

static gboolean on_late(gpointer data)
{
    struct vwl_box *box = data;
    GError *error = NULL;

    clear_timers(box);
    set_state(box, has_agent(box) ? VWL_BOX_RUNNING : VWL_BOX_STARTING);
    vwl_fail(&error, VWL_FAIL_FAILED,
             "%s did not stop in %d s; run: vwl stop --force %s, which loses "
             "what was not saved in it",
             box->name, STOP_SECONDS, box->name);
    answer_stops(box, error);
    g_error_free(error);
    return G_SOURCE_REMOVE;
}

static void wait_for_stop(struct vwl_box *box, vwl_box_done_fn done, void *data)
{
    struct waiter *waiter = g_new(struct waiter, 1);

    *waiter = (struct waiter){ done, data };
    g_queue_push_tail(&box->stops, waiter);
}

void vwl_box_stop(struct vwl_box *box, bool force, vwl_box_done_fn done,
                  void *data)
{
    GError *error = NULL;

    if (!vwl_box_is_alive(box)) {
        done(data, NULL);
        return;
    }
    if (box->state == VWL_BOX_SAVING) {
        vwl_fail(&error, VWL_FAIL_REFUSED, "%s is just saved; wait for that",
                 box->name);
        done(data, error);
        g_error_free(error);
        return;
    }
    wait_for_stop(box, done, data);
    if (box->state != VWL_BOX_STOPPING) {
        set_state(box, VWL_BOX_STOPPING);
    }
    if (force) {
        force_stop(box);
    } else if (box->ask == 0) {
        on_ask(box);
        box->ask = g_timeout_add_seconds(ASK_SECONDS, on_ask, box);
        box->late = g_timeout_add_seconds(STOP_SECONDS, on_late, box);
    }
}

void vwl_box_save(struct vwl_box *box, vwl_box_done_fn done, void *data)
{
    GError *error = NULL;

    if (!vwl_box_is_alive(box)) {
        done(data, NULL);
    } else if (!box->running.qemu[0]) {
        vwl_fail(&error, VWL_FAIL_REFUSED,
                 "%s was started by an older version of this, which did not "
                 "note how; run: vwl stop %s",
                 box->name, box->name);
    } else if (box->state == VWL_BOX_RUNNING && !box->waits &&
               vwl_monitor_save(box->monitor)) {
        wait_for_stop(box, done, data);
        set_state(box, VWL_BOX_SAVING);
    } else {
        say_busy(box, &error);
    }
    if (error) {
        done(data, error);
        g_error_free(error);
    }
}

/* ---- life --------------------------------------------------------------- */

/* Of the service before this one. */
static void take_over(struct vwl_box *box)
{
    char *qemu = own_path(box, "qemu.pid");
    char *device = own_path(box, "device.pid");
    GError *error = NULL;

    box->qemu = vwl_process_find(qemu);
    box->daemon = vwl_process_find(device);
    if (box->qemu) {
        vwl_running_finish(&box->running);
        vwl_running_load(&box->running, box->runtime);
        attach(box, VWL_MONITOR_FOUND);
        if (box->daemon) {
            vwl_process_watch(box->daemon, on_daemon_ended, box);
        } else {
            box->again = g_timeout_add_seconds(DAEMON_SECONDS, on_again, box);
        }
        if (!make_agents(box, &error)) {
            set_text(&box->running.warning, error->message);
            g_error_free(error);
        }
        box->state = VWL_BOX_STARTING;
    } else if (box->daemon) {
        vwl_process_signal(box->daemon, SIGTERM);
        g_clear_pointer(&box->daemon, vwl_process_forget);
    }
    g_free(device);
    g_free(qemu);
}

struct vwl_box *vwl_box_create(const char *name, const struct vwl_box_ops *ops,
                               void *data)
{
    struct vwl_box *box = g_new0(struct vwl_box, 1);

    box->name = g_strdup(name);
    box->runtime = vwl_folder_runtime(name);
    box->logs = vwl_folder_state(name);
    box->ops = ops;
    box->data = data;
    box->error = g_strdup("");
    box->agent = g_strdup("");
    g_queue_init(&box->stops);
    vwl_running_init(&box->running);
    take_over(box);
    return box;
}

void vwl_box_destroy(struct vwl_box *box)
{
    if (!box) {
        return;
    }
    let_go(box);
    answer_stops(box, NULL);
    vwl_running_finish(&box->running);
    g_free(box->agent);
    g_free(box->error);
    g_free(box->logs);
    g_free(box->runtime);
    g_free(box->name);
    g_free(box);
}

const char *vwl_box_name(const struct vwl_box *box)
{
    return box->name;
}

void vwl_box_look(const struct vwl_box *box, struct vwl_box_view *view)
{
    *view = (struct vwl_box_view){
        .state = box->state,
        .error = box->error,
        .warning = box->waits ? box->waits : box->running.warning,
        .agent = box->agent,
        .accelerator = box->running.accelerator,
        .since = box->since,
        .memory = box->running.memory,
    };
}

const char *vwl_box_waits(const struct vwl_box *box)
{
    return box->waits;
}

bool vwl_box_is_alive(const struct vwl_box *box)
{
    return box->qemu || box->daemon || box->is_preparing;
}

void vwl_box_set_may(struct vwl_box *box, unsigned int may)
{
    box->may = may;
    if (box->agents) {
        vwl_link_set_may(vwl_agents_link(box->agents, false), may);
    }
}

struct vwl_link *vwl_box_link(struct vwl_box *box, bool root)
{
    return box->agents ? vwl_agents_link(box->agents, root) : NULL;
}
