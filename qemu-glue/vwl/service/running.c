/* SPDX-License-Identifier: BSD-3-Clause */
#include "running.h"

#define GROUP "running"

bool vwl_running_save(const struct vwl_running *running, const char *folder,
                      GError **error)
{
    char *path = g_build_filename(folder, "running", NULL);
    GKeyFile *file = g_key_file_new();
    bool ok;

    g_key_file_set_string_list(file, GROUP, "daemon",
                               (const char *const *)running->daemon,
                               g_strv_length(running->daemon));
    g_key_file_set_uint64(file, GROUP, "memory", running->memory);
    g_key_file_set_string(file, GROUP, "accelerator", running->accelerator);
    g_key_file_set_string(file, GROUP, "warning", running->warning);
    ok = g_key_file_save_to_file(file, path, error);
    g_key_file_free(file);
    g_free(path);
    return ok;
}

static char *text_of(GKeyFile *file, const char *key)
{
    char *text = g_key_file_get_string(file, GROUP, key, NULL);

    return text ? text : g_strdup("");
}

void vwl_running_load(struct vwl_running *running, const char *folder)
{
    char *path = g_build_filename(folder, "running", NULL);
    GKeyFile *file = g_key_file_new();

    g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL);
    *running = (struct vwl_running){
        .daemon = g_key_file_get_string_list(file, GROUP, "daemon", NULL, NULL),
        .memory = (unsigned int)g_key_file_get_uint64(file, GROUP, "memory",
                                                      NULL),
        .accelerator = text_of(file, "accelerator"),
        .warning = text_of(file, "warning"),
    };
    if (!running->daemon) {
        running->daemon = g_new0(char *, 1);
    }
    g_key_file_free(file);
    g_free(path);
}

void vwl_running_init(struct vwl_running *running)
{
    *running = (struct vwl_running){
        .daemon = g_new0(char *, 1),
        .accelerator = g_strdup(""),
        .warning = g_strdup(""),
    };
}

void vwl_running_finish(struct vwl_running *running)
{
    g_strfreev(running->daemon);
    g_free(running->accelerator);
    g_free(running->warning);
}
