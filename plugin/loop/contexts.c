/* SPDX-License-Identifier: BSD-3-Clause */
#include "loop/contexts.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/closer.h"
#include "base/fd.h"
#include "policy/rules.h"
#include "secctx/secctx.h"

struct entry {
    struct vwl_contexts *contexts;
    const char *path;
    struct vwl_secctx secctx;
    struct vwl_source *source;
    GArray *askers; /* int: where answers go, while one is made */
    bool making;
    bool said_missing;
    uint64_t deadline_us;    /* of the one that is made */
    uint64_t pause_until_us; /* one failed: none is tried before */
};

struct vwl_contexts {
    struct vwl_contexts_config config;
    struct vwl_secctx_names names;
    const char *folder;
    struct vwl_log *log;
    struct entry *entries;
};

/* ---- answers ------------------------------------------------------------ */

/* Takes fd, which may be none. Whoever asked may have gone. */
static void answer(struct vwl_closer *closer, int to, int32_t status, int fd)
{
    struct iovec iov = { &status, sizeof status };

    vwl_fds_send(to, &iov, 1, &fd, fd >= 0);
    vwl_closer_close(closer, &fd);
}

/* Within the context, or without one where that may be. */
static int connect_now(struct entry *entry, int *fd)
{
    if (!entry->secctx.missing) {
        return vwl_secctx_connect(&entry->secctx, fd);
    }
    return entry->contexts->config.mode == VWL_SECURITY_CONTEXT_REQUIRE
               ? -EPERM
               : vwl_secctx_connect_plainly(entry->path, fd);
}

/* err: of the context. */
static void answer_all(struct entry *entry, int err)
{
    for (guint i = 0; i < entry->askers->len; i++) {
        int to = g_array_index(entry->askers, int, i), fd = -1;
        int status = err < 0 ? err : connect_now(entry, &fd);

        answer(entry->contexts->config.closer, to, status, fd);
        vwl_fd_clear(&to);
    }
    g_array_set_size(entry->askers, 0);
}

/* ---- making one --------------------------------------------------------- */

static void log_missing(struct entry *entry)
{
    if (!entry->said_missing) {
        entry->said_missing = true;
        log_info(entry->contexts->log,
                 "security context: the compositor at %s has none "
                 "(wp_security_context_v1): %s",
                 entry->path,
                 entry->contexts->config.mode == VWL_SECURITY_CONTEXT_REQUIRE
                     ? "guests cannot connect (it is required)"
                     : "it cannot tell guests from programs of this host");
    }
}

static void made(struct entry *entry, int err)
{
    entry->making = false;
    vwl_source_watch(entry->source, NULL, 0);
    if (err == 0) {
        log_info(entry->contexts->log,
                 "security context: guests connect to %s as %s", entry->path,
                 entry->contexts->names.app_id);
    } else if (err == -EOPNOTSUPP) {
        log_missing(entry);
        err = 0;
    } else {
        entry->pause_until_us = vwl_clock_us() + VWL_SECCTX_PAUSE_MS * 1000;
        log_compositor_bug(entry->contexts->log,
                           "security context: none could be made at %s: %s; "
                           "guests cannot connect",
                           entry->path, g_strerror(-err));
        err = -EPERM;
    }
    answer_all(entry, err);
}

static void on_source(void *opaque, GIOCondition condition)
{
    struct entry *entry = opaque;
    uint64_t now = vwl_clock_us();
    int err;

    if (!entry->making) {
        return;
    }
    err = vwl_secctx_run(&entry->secctx);
    if (err == -EINPROGRESS && now < entry->deadline_us) {
        vwl_source_watch(entry->source, &entry->secctx.display,
                         (GIOCondition)vwl_secctx_events(&entry->secctx));
        vwl_source_wake_in(entry->source,
                           (unsigned int)((entry->deadline_us - now) / 1000) +
                               1);
        return;
    }
    if (err == -EINPROGRESS) {
        vwl_secctx_finish(&entry->secctx);
        err = -ETIMEDOUT;
    }
    made(entry, err);
}

static int start(struct entry *entry)
{
    struct vwl_contexts *contexts = entry->contexts;
    uint64_t now = vwl_clock_us();
    int err;

    if (now < entry->pause_until_us) {
        return -EPERM;
    }
    err = vwl_secctx_start(&entry->secctx, entry->path, contexts->folder,
                           &contexts->names);
    if (err < 0) {
        return err;
    }
    entry->making = true;
    entry->said_missing = false;
    entry->deadline_us = now + VWL_SECCTX_PATIENCE_MS * 1000;
    vwl_source_watch(entry->source, &entry->secctx.display,
                     (GIOCondition)vwl_secctx_events(&entry->secctx));
    vwl_source_wake_in(entry->source, VWL_SECCTX_PATIENCE_MS);
    return 0;
}

/* ---- connections -------------------------------------------------------- */

/* 0: at once; -EINPROGRESS: one is made, wait for it. */
static int try_connect(struct entry *entry, int *fd)
{
    int err;

    if (entry->making) {
        return -EINPROGRESS;
    }
    if (vwl_secctx_is_missing(&entry->secctx, entry->path)) {
        return connect_now(entry, fd);
    }
    if (vwl_secctx_is_made(&entry->secctx, entry->path)) {
        err = vwl_secctx_connect(&entry->secctx, fd);
        if (err != -ECONNREFUSED) {
            return err;
        }
    }
    err = start(entry);
    return err < 0 ? err : -EINPROGRESS;
}

int vwl_contexts_connect(struct vwl_contexts *contexts, size_t index, int *fd)
{
    vwl_autofd int connection = -1;
    struct entry *entry;
    int sv[2], err;

    if (!contexts || !contexts->entries[index].path) {
        return -EOPNOTSUPP;
    }
    entry = &contexts->entries[index];
    err = try_connect(entry, &connection);
    if (err < 0 && err != -EINPROGRESS) {
        return err;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                   sv) < 0) {
        return -errno;
    }
    if (err == 0) {
        answer(contexts->config.closer, sv[1], 0, vwl_fd_steal(&connection));
        vwl_fd_clear(&sv[1]);
    } else {
        g_array_append_val(entry->askers, sv[1]);
    }
    *fd = sv[0];
    return 0;
}

/* ---- life --------------------------------------------------------------- */

static enum vwl_secctx_bytes bytes_of(const struct vwl_contexts_config *config,
                                      size_t index)
{
    const struct vwl_rules *rules = config->rules ? config->rules[index] : NULL;

    return !config->rules                               ? VWL_SECCTX_UNTOLD
           : rules && rules->kind == VWL_POLICY_WAYLAND ? VWL_SECCTX_WAYLAND
                                                        : VWL_SECCTX_OTHER;
}

struct vwl_contexts *vwl_contexts_create(
    const struct vwl_contexts_config *config, struct vwl_log *log,
    struct vwl_gate *gate)
{
    struct vwl_contexts *contexts;

    if (config->mode == VWL_SECURITY_CONTEXT_OFF) {
        return NULL;
    }
    contexts = g_new0(struct vwl_contexts, 1);
    contexts->config = *config;
    contexts->log = log;
    contexts->folder = vwl_secctx_folder(NULL);
    vwl_secctx_name(&contexts->names, config->name, g_random_int());
    contexts->entries = g_new0(struct entry, config->n_sockets);
    for (size_t i = 0; i < config->n_sockets; i++) {
        struct entry *entry = &contexts->entries[i];

        if (!vwl_secctx_is_wanted(config->mode, &config->sockets[i],
                                  bytes_of(config, i))) {
            continue;
        }
        entry->contexts = contexts;
        entry->path = config->sockets[i].path;
        entry->askers = g_array_new(FALSE, FALSE, sizeof(int));
        vwl_secctx_init(&entry->secctx);
        entry->source = vwl_source_create(gate, "vwl security context",
                                          on_source, entry);
    }
    return contexts;
}

void vwl_contexts_destroy(struct vwl_contexts *contexts)
{
    if (!contexts) {
        return;
    }
    for (size_t i = 0; i < contexts->config.n_sockets; i++) {
        struct entry *entry = &contexts->entries[i];

        if (entry->path) {
            answer_all(entry, -ECANCELED);
            vwl_source_destroy(&entry->source);
            vwl_secctx_finish(&entry->secctx);
            g_array_unref(entry->askers);
        }
    }
    g_free(contexts->entries);
    g_free(contexts);
}
