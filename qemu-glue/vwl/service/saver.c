/* SPDX-License-Identifier: BSD-3-Clause */
#include "saver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_MS 100
#define FD_NAME "vwl"
/* As fast as it can: nobody else waits for that disk. */
#define NO_LIMIT "{\"max-bandwidth\":17179869184}"

struct vwl_saver {
    struct vwl_qmp *qmp;
    unsigned int timer;
    char *trouble; /* of the beginning, told later */
    vwl_saver_done_fn done;
    void *data;
};

static void end(struct vwl_saver *saver, const char *why)
{
    g_clear_handle_id(&saver->timer, g_source_remove);
    saver->done(saver->data, why);
}

/* ---- how it goes -------------------------------------------------------- */

static void look_later(struct vwl_saver *saver);

static void on_status(void *data, JsonNode *value, const char *why)
{
    struct vwl_saver *saver = data;
    JsonObject *object = value && JSON_NODE_HOLDS_OBJECT(value)
                             ? json_node_get_object(value)
                             : NULL;
    const char *status = object ? json_object_get_string_member_with_default(
                                      object, "status", "")
                                : "failed";

    if (strcmp(status, "completed") == 0) {
        end(saver, NULL);
    } else if (strcmp(status, "failed") == 0 ||
               strcmp(status, "cancelled") == 0) {
        end(saver, object ? json_object_get_string_member_with_default(
                                object, "error-desc", "QEMU does not say why")
                   : why ? why
                         : "QEMU's answer makes no sense");
    } else {
        look_later(saver);
    }
}

static gboolean on_look(gpointer data)
{
    struct vwl_saver *saver = data;

    saver->timer = 0;
    if (saver->trouble) {
        end(saver, saver->trouble);
    } else if (!vwl_qmp_send(saver->qmp, "query-migrate", on_status, saver)) {
        end(saver, "QEMU's monitor does not answer");
    }
    return G_SOURCE_REMOVE;
}

static void look_later(struct vwl_saver *saver)
{
    saver->timer = g_timeout_add(LOOK_MS, on_look, saver);
}

static void on_begun(void *data, JsonNode *value, const char *why)
{
    struct vwl_saver *saver = data;

    if (value) {
        look_later(saver);
    } else {
        end(saver, why ? why : "QEMU refuses");
    }
}

/* ---- life --------------------------------------------------------------- */

static bool knows_files(const char *version)
{
    char *rest;
    long major = strtol(version, &rest, 10);
    long minor = *rest == '.' ? strtol(rest + 1, NULL, 10) : 0;

    return major > 8 || (major == 8 && minor >= 2);
}

static char *arguments_of(const char *path, bool by_path)
{
    char *uri = by_path ? g_strconcat("file:", path, NULL)
                        : g_strdup("fd:" FD_NAME);
    JsonNode *node = json_node_init_string(json_node_alloc(), uri);
    char *quoted = json_to_string(node, FALSE);
    char *arguments = g_strdup_printf("{\"uri\":%s}", quoted);

    g_free(quoted);
    json_node_unref(node);
    g_free(uri);
    return arguments;
}

static void begin(struct vwl_saver *saver, const char *command,
                  const char *path, bool by_path, int fd)
{
    char *arguments = arguments_of(path, by_path);

    if ((!by_path &&
         !vwl_qmp_call(saver->qmp, "getfd", "{\"fdname\":\"" FD_NAME "\"}", fd,
                       NULL, NULL)) ||
        !vwl_qmp_call(saver->qmp, command, arguments, -1, on_begun, saver)) {
        saver->trouble = g_strdup("QEMU's monitor takes no commands");
        look_later(saver);
    }
    g_free(arguments);
}

static struct vwl_saver *new_saver(struct vwl_qmp *qmp, vwl_saver_done_fn done,
                                   void *data)
{
    struct vwl_saver *saver = g_new0(struct vwl_saver, 1);

    saver->qmp = qmp;
    saver->done = done;
    saver->data = data;
    return saver;
}

static void fail_later(struct vwl_saver *saver, const char *path)
{
    saver->trouble = g_strdup_printf("%s: %s", path, g_strerror(errno));
    look_later(saver);
}

struct vwl_saver *vwl_saver_save(struct vwl_qmp *qmp, const char *version,
                                 const char *path, vwl_saver_done_fn done,
                                 void *data)
{
    struct vwl_saver *saver = new_saver(qmp, done, data);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0) {
        fail_later(saver, path);
        return saver;
    }
    vwl_qmp_send(qmp, "stop", NULL, NULL);
    vwl_qmp_call(qmp, "migrate-set-parameters", NO_LIMIT, -1, NULL, NULL);
    begin(saver, "migrate", path, knows_files(version), fd);
    close(fd);
    return saver;
}

struct vwl_saver *vwl_saver_load(struct vwl_qmp *qmp, const char *version,
                                 const char *path, vwl_saver_done_fn done,
                                 void *data)
{
    struct vwl_saver *saver = new_saver(qmp, done, data);
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        fail_later(saver, path);
        return saver;
    }
    begin(saver, "migrate-incoming", path, knows_files(version), fd);
    close(fd);
    return saver;
}

void vwl_saver_destroy(struct vwl_saver *saver)
{
    if (saver) {
        g_clear_handle_id(&saver->timer, g_source_remove);
        g_free(saver->trouble);
        g_free(saver);
    }
}
