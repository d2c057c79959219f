/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device.h"

unsigned int rig_count_fds(GPid pid)
{
    char *path = pid == 0 ? g_strdup("/proc/self/fd")
                          : g_strdup_printf("/proc/%d/fd", (int)pid);
    GDir *dir = g_dir_open(path, 0, NULL);
    unsigned int n = 0;

    g_assert_nonnull(dir);
    while (g_dir_read_name(dir) != NULL) {
        n++;
    }
    g_dir_close(dir);
    g_free(path);
    return pid == 0 ? n - 1 : n; /* without the directory itself */
}

static char *in_dir(struct rig *r, const char *name)
{
    return g_build_filename(r->dir, name, NULL);
}

static void start_peers(struct rig *r)
{
    char *path = in_dir(r, "compositor");

    r->compositor = compositor_new(path, &r->options.compositor);
    g_free(path);
    g_assert_cmpuint(r->options.n_peers, <=, RIG_MAX_PEERS);
    for (unsigned int i = 0; i < r->options.n_peers; i++) {
        char name[16];

        g_snprintf(name, sizeof name, "peer%u", i);
        path = in_dir(r, name);
        peer_init(&r->peers[i], path,
                  r->options.backlog != 0 ? r->options.backlog : 64);
        g_free(path);
    }
    r->n_peers = r->options.n_peers;
}

static void start_guest(struct rig *r)
{
    int fd = rig_device_connect(r);

    r->options.fe.context = r->context;
    r->options.fe.dialect = r->options.host_map ? VWL_FE_NONE
                                                : r->options.fe.dialect;
    g_assert_cmpint(vwl_fe_create(&r->options.fe, &fd, &r->fe), ==, 0);
    vwl_fe_watch(r->fe, compositor_fd(r->compositor), compositor_dispatch,
                 r->compositor);
    rig_device_start(r);
    if (r->options.no_handshake) {
        return;
    }
    g_assert_cmpint(vwl_fe_handshake(r->fe), ==, 0);
    if (!r->options.no_driver) {
        g_assert_cmpint(vwl_drv_create(r->fe, &r->options.drv, &r->drv), ==, 0);
    }
}

struct rig *rig_new(const struct rig_options *options)
{
    struct rig *r = g_new0(struct rig, 1);

    if (options != NULL) {
        r->options = *options;
    }
    r->daemon_log = -1;
    g_mutex_init(&r->lock);
    r->log = g_ptr_array_new_with_free_func(g_free);
    rig_device_load(r);
    r->fds_before = rig_count_fds(0);
    r->dir = g_dir_make_tmp("vwl-rig-XXXXXX", NULL);
    g_assert_nonnull(r->dir);
    start_peers(r);
    rig_device_create(r);
    if (!r->options.no_front_end) {
        start_guest(r);
    }
    return r;
}

static void check_complaints(struct rig *r)
{
    for (guint i = 0; i < r->fe->complaints->len; i++) {
        g_test_message("complaint: %s", (char *)r->fe->complaints->pdata[i]);
    }
    if (!r->complaints_expected) {
        g_assert_cmpuint(r->fe->complaints->len, ==, 0);
    }
}

void rig_disconnect(struct rig *r)
{
    if (r->fe == NULL) {
        return;
    }
    vwl_drv_destroy(r->drv);
    r->drv = NULL;
    check_complaints(r);
    /* The window outlives the device's last callback. */
    shutdown(r->fe->fd, SHUT_RDWR);
    rig_device_disconnected(r);
    vwl_fe_destroy(r->fe);
    r->fe = NULL;
    compositor_dispatch(r->compositor);
}

void rig_reconnect(struct rig *r)
{
    rig_disconnect(r);
    start_guest(r);
}

void rig_free(struct rig *r)
{
    rig_disconnect(r);
    rig_device_destroy(r);
    if (!r->our_bug_expected) {
        g_assert_false(rig_logged(r, "our bug: "));
    }
    compositor_free(r->compositor);
    for (unsigned int i = 0; i < r->n_peers; i++) {
        peer_finish(&r->peers[i]);
    }
    if (r->daemon_log >= 0) {
        close(r->daemon_log);
    }
    g_assert_cmpint(g_rmdir(r->dir), ==, 0);
    g_free(r->dir);
    g_ptr_array_unref(r->log);
    g_mutex_clear(&r->lock);
    g_assert_cmpuint(rig_count_fds(0), ==, r->fds_before);
    g_free(r);
}

/* One turn of everything; also without a front-end. */
static void turn(struct rig *r, int timeout_ms)
{
    if (r->drv != NULL) {
        vwl_drv_collect(r->drv);
    }
    if (r->fe != NULL && !r->fe->gone) {
        vwl_fe_turn(r->fe, timeout_ms);
    } else {
        struct pollfd p = { compositor_fd(r->compositor), POLLIN, 0 };

        if (r->context != NULL) {
            while (g_main_context_iteration(r->context, FALSE)) {
                timeout_ms = 0;
            }
            timeout_ms = MIN(timeout_ms, 5);
        }
        poll(&p, 1, timeout_ms);
        compositor_dispatch(r->compositor);
    }
    if (r->drv != NULL) {
        vwl_drv_collect(r->drv);
    }
}

void rig_settle(struct rig *r)
{
    int quiet = r->options.device == RIG_CONTEXT ? 5 : 50;

    for (unsigned int i = 0; i < 2; i++) {
        if (r->drv != NULL) {
            vwl_drv_collect(r->drv);
        }
        if (r->fe != NULL && !r->fe->gone) {
            vwl_fe_settle(r->fe, quiet);
        } else {
            turn(r, quiet);
        }
        compositor_dispatch(r->compositor);
    }
    if (r->drv != NULL) {
        vwl_drv_collect(r->drv);
    }
}

static bool readable(int fd)
{
    struct pollfd p = { fd, POLLIN, 0 };

    return poll(&p, 1, 0) == 1;
}

bool rig_is_readable_within(struct rig *r, int fd, int timeout_ms)
{
    int64_t end = g_get_monotonic_time() + (int64_t)timeout_ms * 1000;

    if (r->fe != NULL) {
        vwl_fe_watch(r->fe, fd, NULL, NULL);
    }
    while (!readable(fd)) {
        int64_t left = (end - g_get_monotonic_time()) / 1000;

        if (left <= 0) {
            break;
        }
        turn(r, r->fe != NULL ? (int)left : (int)MIN(left, 10));
    }
    if (r->fe != NULL) {
        vwl_fe_unwatch(r->fe, fd);
    }
    return readable(fd);
}

void rig_wait_readable(struct rig *r, int fd)
{
    g_assert_true(rig_is_readable_within(r, fd, RIG_TIMEOUT_MS));
}

void rig_wait(struct rig *r, bool (*done)(void *opaque), void *opaque)
{
    int64_t end = g_get_monotonic_time() + (int64_t)RIG_TIMEOUT_MS * 1000;

    while (!done(opaque)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        turn(r, 10);
    }
}

int rig_accept(struct rig *r, unsigned int peer)
{
    int fd;

    g_assert_cmpuint(peer, <, r->n_peers);
    rig_wait_readable(r, r->peers[peer].listener);
    fd = peer_accept(&r->peers[peer]);
    g_assert_cmpint(fd, >=, 0);
    return fd;
}

void rig_read(struct rig *r, int fd, void *data, size_t len, int *fds,
              unsigned int *n_fds)
{
    unsigned int room = n_fds != NULL ? *n_fds : 0, total = 0;
    size_t at = 0;

    while (at < len) {
        unsigned int n = room - MIN(room, total);
        ssize_t got;

        rig_wait_readable(r, fd);
        got = peer_recv(fd, (char *)data + at, len - at,
                        fds != NULL ? fds + MIN(room, total) : NULL, &n);
        if (got == -ENOTSOCK) {
            got = read(fd, (char *)data + at, len - at);
            n = 0;
        }
        g_assert_cmpint(got, >, 0);
        at += (size_t)got;
        total += n;
    }
    if (n_fds != NULL) {
        *n_fds = total;
    } else {
        g_assert_cmpuint(total, ==, 0);
    }
}

size_t rig_read_to_end(struct rig *r, int fd)
{
    char buffer[65536];
    size_t total = 0;
    ssize_t got;

    do {
        rig_wait_readable(r, fd);
        got = read(fd, buffer, sizeof buffer);
        if (got < 0 && errno == ECONNRESET) {
            return total;
        }
        g_assert_cmpint(got, >=, 0);
        total += (size_t)got;
    } while (got != 0);
    return total;
}

void rig_write(struct rig *r, int fd, const void *data, size_t len,
               const int *fds, unsigned int n_fds)
{
    int64_t end = g_get_monotonic_time() + (int64_t)RIG_TIMEOUT_MS * 1000;
    size_t at = 0;

    while (at < len) {
        ssize_t n = peer_send(fd, (const char *)data + at, len - at, fds,
                              n_fds);

        if (n == -EAGAIN) {
            g_assert_cmpint(g_get_monotonic_time(), <, end);
            turn(r, 5);
            continue;
        }
        g_assert_cmpint(n, >, 0);
        at += (size_t)n;
        n_fds = 0;
    }
}

int rig_open_ctx(struct rig *r, uint32_t id, unsigned int peer)
{
    char name[16];

    g_snprintf(name, sizeof name, "peer%u", peer);
    g_assert_cmpint(vwl_drv_new_ctx(r->drv, id, name), ==,
                    VIRTIO_WL_RESP_VFD_NEW);
    return rig_accept(r, peer);
}
