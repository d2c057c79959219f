/* SPDX-License-Identifier: BSD-3-Clause */
#include "prepare.h"

#include <gio/gio.h>

#include "folders.h"

struct work {
    char *name, *display, *sound;
    struct vwl_prepared prepared;
    GError *error;
    vwl_prepared_fn done;
    void *data;
};

static void find(struct work *work)
{
    char *folder = vwl_folder_data(work->name);
    struct vwl_prepared *found = &work->prepared;

    found->machine = vwl_machine_load(folder, &work->error);
    if (found->machine && !found->machine->display) {
        found->machine->display = g_strdup(work->display);
    }
    if (found->machine &&
        vwl_host_find(&found->host, found->machine, &work->error) &&
        work->sound && found->machine->sound != VWL_SOUND_OFF) {
        g_free(found->host.sound);
        found->host.sound = g_strdup(work->sound);
    }
    g_free(folder);
}

static void in_thread(GTask *task, gpointer source, gpointer data,
                      GCancellable *cancellable)
{
    find(data);
    g_task_return_boolean(task, TRUE);
}

static void on_found(GObject *source, GAsyncResult *result, gpointer data)
{
    struct work *work = data;

    work->done(work->data, &work->prepared, work->error);
    g_clear_error(&work->error);
    vwl_host_finish(&work->prepared.host);
    vwl_machine_free(work->prepared.machine);
    g_free(work->sound);
    g_free(work->display);
    g_free(work->name);
    g_free(work);
}

void vwl_prepare(const char *name, const char *display, const char *sound,
                 vwl_prepared_fn done, void *data)
{
    struct work *work = g_new0(struct work, 1);
    GTask *task = g_task_new(NULL, NULL, on_found, work);

    work->name = g_strdup(name);
    work->display = g_strdup(display);
    work->sound = g_strdup(sound);
    work->done = done;
    work->data = data;
    g_task_set_task_data(task, work, NULL);
    g_task_run_in_thread(task, in_thread);
    g_object_unref(task);
}
