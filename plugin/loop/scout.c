/* SPDX-License-Identifier: BSD-3-Clause */
#include "loop/scout.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/closer.h"
#include "base/fd.h"

/* How long nobody asks again after a failure. */
#define PAUSE_US (1000 * 1000)

struct vwl_scout {
    const struct vwl_core_config *config;
    const struct vwl_host *host;
    struct vwl_log *log;
    struct vwl_closer *closer;
    struct vwl_source *source;
    void (*on_changed)(void *opaque);
    void *opaque;

    struct vwl_watched answer; /* the host was asked to connect */
    struct vwl_probe *probe;   /* NULL: not connected */
    int err;                   /* why not; 0: it was not tried */
    uint64_t failed_us;
};

static void watch(struct vwl_scout *scout)
{
    if (scout->probe) {
        vwl_source_watch(scout->source, vwl_probe_socket(scout->probe),
                         G_IO_IN |
                             (vwl_probe_wants_write(scout->probe) ? G_IO_OUT
                                                                  : 0));
    } else {
        vwl_source_watch(scout->source, &scout->answer, G_IO_IN);
    }
}

static void close_answer(struct vwl_scout *scout)
{
    int fd = vwl_watched_steal(&scout->answer);

    vwl_closer_close(scout->closer, &fd);
}

static int fail(struct vwl_scout *scout, int err)
{
    log_debug(scout->log, "probe: %s", g_strerror(-err));
    close_answer(scout);
    g_clear_pointer(&scout->probe, vwl_probe_destroy);
    scout->err = err;
    scout->failed_us = vwl_clock_us();
    return err;
}

/* ---- connecting --------------------------------------------------------- */

static int begin(struct vwl_scout *scout, int *fd)
{
    int err = vwl_probe_create(fd, scout->log, scout->closer, &scout->probe);

    vwl_closer_close(scout->closer, fd);
    if (err < 0) {
        return fail(scout, err);
    }
    watch(scout);
    return 0;
}

/* False: it has not come yet. */
static bool on_answer(struct vwl_scout *scout)
{
    int fd = -1;
    int err = vwl_fd_take_answer(scout->answer.fd, &fd, scout->closer);

    if (err == -EINPROGRESS) {
        return false;
    }
    close_answer(scout);
    if (err < 0) {
        fail(scout, err);
    } else {
        begin(scout, &fd);
    }
    return true;
}

static int connect_by_path(const char *path, int *fd)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    size_t len = strlen(path);
    vwl_autofd int made = -1;

    if (len >= sizeof sun.sun_path) {
        return -ENAMETOOLONG;
    }
    memcpy(sun.sun_path, path, len);
    made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (made < 0 || connect(made, (struct sockaddr *)&sun, sizeof sun) < 0) {
        return -errno;
    }
    *fd = vwl_fd_steal(&made);
    return 0;
}

static int start(struct vwl_scout *scout)
{
    size_t index = 0;
    vwl_autofd int fd = -1;
    int err = -EOPNOTSUPP;

    while (index < scout->config->n_sockets &&
           scout->config->sockets[index].name[0]) {
        index++;
    }
    if (index == scout->config->n_sockets) {
        return fail(scout, -ENOENT);
    }
    if (scout->host->socket_connect) {
        err = scout->host->socket_connect(scout->host->opaque, index, &fd);
        vwl_watched_set(&scout->answer, vwl_fd_steal(&fd));
        watch(scout);
    }
    if (err == -EOPNOTSUPP) {
        err = connect_by_path(scout->config->sockets[index].path, &fd);
        if (err == 0) {
            err = begin(scout, &fd);
        }
    }
    return err < 0 ? fail(scout, err) : -EINPROGRESS;
}

/* ---- life --------------------------------------------------------------- */

static void on_source(void *opaque, GIOCondition condition)
{
    struct vwl_scout *scout = opaque;
    bool changed = false;

    if (!scout->probe) {
        changed = on_answer(scout) && !scout->probe;
    } else {
        int err = vwl_probe_dispatch(scout->probe, &changed);

        if (err < 0) {
            fail(scout, err);
            changed = true;
        } else {
            watch(scout);
        }
    }
    if (changed) {
        scout->on_changed(scout->opaque);
    }
}

struct vwl_scout *vwl_scout_create(const struct vwl_core_config *config,
                                   const struct vwl_host *host,
                                   struct vwl_log *log, struct vwl_gate *gate,
                                   struct vwl_closer *closer,
                                   void (*on_changed)(void *opaque),
                                   void *opaque)
{
    struct vwl_scout *scout = g_new0(struct vwl_scout, 1);

    scout->config = config;
    scout->host = host;
    scout->log = log;
    scout->closer = closer;
    scout->on_changed = on_changed;
    scout->opaque = opaque;
    vwl_watched_init(&scout->answer);
    scout->source = vwl_source_create(gate, "vwl compositor probe", on_source,
                                      scout);
    return scout;
}

void vwl_scout_destroy(struct vwl_scout *scout)
{
    if (scout) {
        vwl_source_destroy(&scout->source);
        close_answer(scout);
        vwl_probe_destroy(scout->probe);
        g_free(scout);
    }
}

int vwl_scout_look(const struct vwl_scout *scout,
                   const struct vwl_probe **probe)
{
    if (scout->probe && vwl_probe_is_known(scout->probe)) {
        *probe = scout->probe;
        return 0;
    }
    return scout->probe || scout->answer.fd >= 0 || scout->err == 0
               ? -EINPROGRESS
               : scout->err;
}

int vwl_scout_ask(struct vwl_scout *scout, const struct vwl_probe **probe)
{
    if (!scout->probe && scout->answer.fd < 0 &&
        (scout->err == 0 || vwl_clock_us() - scout->failed_us > PAUSE_US)) {
        return start(scout);
    }
    return vwl_scout_look(scout, probe);
}
