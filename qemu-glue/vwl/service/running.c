/* SPDX-License-Identifier: BSD-3-Clause */
#include "running.h"

#define GROUP "running"

static void set_line(GKeyFile *file, const char *key, char *const *line)
{
    g_key_file_set_string_list(file, GROUP, key, (const char *const *)line,
                               g_strv_length((char **)line));
}

bool vwl_running_save(const struct vwl_running *running, const char *folder,
                      GError **error)
{
    char *path = g_build_filename(folder, "running", NULL);
    GKeyFile *file = g_key_file_new();
    bool ok;

    set_line(file, "daemon", running->daemon);
    set_line(file, "qemu", running->qemu);
    g_key_file_set_string(file, GROUP, "version", running->version);
    g_key_file_set_uint64(file, GROUP, "memory", running->memory);
    g_key_file_set_string(file, GROUP, "accelerator", running->accelerator);
    g_key_file_set_string(file, GROUP, "warning", running->warning);
    ok = g_key_file_save_to_file(file, path, error);
    g_key_file_free(file);
    g_free(path);
    return ok;
}

static char **line_of(GKeyFile *file, const char *key)
{
    char **line = g_key_file_get_string_list(file, GROUP, key, NULL, NULL);

    return line ? line : g_new0(char *, 1);
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
        .daemon = line_of(file, "daemon"),
        .qemu = line_of(file, "qemu"),
        .version = text_of(file, "version"),
        .memory = (unsigned int)g_key_file_get_uint64(file, GROUP, "memory",
                                                      NULL),
        .accelerator = text_of(file, "accelerator"),
        .warning = text_of(file, "warning"),
    };
    g_key_file_free(file);
    g_free(path);
}

void vwl_running_init(struct vwl_running *running)
{
    *running = (struct vwl_running){
        .daemon = g_new0(char *, 1),
        .qemu = g_new0(char *, 1),
        .version = g_strdup(""),
        .accelerator = g_strdup(""),
        .warning = g_strdup(""),
    };
}

void vwl_running_finish(struct vwl_running *running)
{
    g_strfreev(running->daemon);
    g_strfreev(running->qemu);
    g_free(running->version);
    g_free(running->accelerator);
    g_free(running->warning);
}
