/* SPDX-License-Identifier: BSD-3-Clause */
#include "core_rig.h"

#include "policy/rules.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fds.h"

static void rig_complete(void *opaque, struct vwl_request *request)
{
    struct core_rig *rig = opaque;

    g_ptr_array_add(rig->completed, request);
}

static int rig_map(void *opaque, uint64_t cookie, int fd, uint64_t fd_offset,
                   uint64_t shm_offset, uint64_t len, bool writable)
{
    struct core_rig *rig = opaque;
    struct core_rig_op op = { cookie, shm_offset, len, true };

    g_assert_cmpuint(fd_offset, ==, 0);
    g_assert_true(writable);
    g_array_append_val(rig->ops, op);
    rig->n_maps++;
    if (rig->last_map_fd >= 0) {
        close(rig->last_map_fd);
    }
    rig->last_map_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return rig->map_later ? -EINPROGRESS : rig->map_err;
}

static int rig_unmap(void *opaque, uint64_t cookie, uint64_t shm_offset,
                     uint64_t len)
{
    struct core_rig *rig = opaque;
    struct core_rig_op op = { cookie, shm_offset, len, false };

    g_array_append_val(rig->ops, op);
    rig->n_unmaps++;
    return rig->map_later ? -EINPROGRESS : rig->unmap_err;
}

static int rig_base(void *opaque, uint64_t *gpa)
{
    struct core_rig *rig = opaque;

    if (!rig->base) {
        return -EAGAIN;
    }
    *gpa = rig->base;
    return 0;
}

static void rig_message_ready(void *opaque)
{
    struct core_rig *rig = opaque;

    rig->n_ready++;
}

static int rig_connect(void *opaque, size_t index, int *fd)
{
    struct core_rig *rig = opaque;
    int sv[2];

    if (!rig->connects) {
        return -EOPNOTSUPP;
    }
    rig->n_connects++;
    rig->connect_index = index;
    if (rig->connect_err) {
        return rig->connect_err;
    }
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv),
                    ==, 0);
    *fd = sv[0];
    rig->connect_fd = sv[1];
    return 0;
}

static int rig_open(void *opaque, size_t index, int *fd)
{
    struct core_rig *rig = opaque;

    rig->n_opens++;
    if (!rig->open_fd) {
        return rig->open_err ? rig->open_err : -EOPNOTSUPP;
    }
    *fd = rig->open_fd;
    rig->open_fd = 0;
    return 0;
}

static int rig_connect_again(void *opaque, size_t index, int fd)
{
    struct core_rig *rig = opaque;

    rig->n_agains++;
    rig->connect_index = index;
    return rig->again_err;
}

static int rig_buffer_offer(void *opaque)
{
    struct core_rig *rig = opaque;

    return rig->has_buffers ? rig->offer : -EOPNOTSUPP;
}

static int rig_buffer_alloc(void *opaque, const struct vwl_buffer_wish *wish,
                            struct vwl_buffer *out)
{
    struct core_rig *rig = opaque;

    rig->n_allocs++;
    rig->wish = *wish;
    if (rig->alloc_err) {
        return rig->alloc_err;
    }
    if (rig->buffer.size_bytes > wish->max_bytes) {
        return -ENOSPC;
    }
    *out = rig->buffer;
    return 0;
}

static int rig_foreign(void *opaque, uint32_t kind, uint64_t value, int *fd)
{
    struct core_rig *rig = opaque;
    int sv[2];

    rig->n_foreign++;
    rig->foreign_kind = kind;
    rig->foreign_value = value;
    if (rig->foreign_err == -EINPROGRESS) {
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
                                   sv),
                        ==, 0);
        *fd = sv[0];
        rig->foreign_before = rig->foreign_fd;
        rig->foreign_fd = sv[1];
    } else if (rig->foreign_err == 0) {
        *fd = fcntl(rig->foreign_fd, F_DUPFD_CLOEXEC, 0);
    }
    return rig->foreign_err;
}

static int rig_pages(void *opaque, const struct vwl_run *runs, unsigned int n,
                     int *fd)
{
    struct core_rig *rig = opaque;

    g_array_set_size(rig->pages, 0);
    g_array_append_vals(rig->pages, runs, n);
    if (rig->pages_err == 0) {
        *fd = fcntl(rig->pages_fd, F_DUPFD_CLOEXEC, 0);
    }
    return rig->pages_err;
}

static int rig_transfer(void *opaque, size_t index, uint32_t kind, uint32_t way,
                        int *fd)
{
    struct core_rig *rig = opaque;
    int sv[2];

    if (!rig->asks_host) {
        return -EOPNOTSUPP;
    }
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv),
                    ==, 0);
    *fd = sv[0];
    rig->transfer_fd = sv[1];
    rig->transfer_index = index;
    rig->transfer_kind = kind;
    rig->transfer_way = way;
    rig->n_transfers++;
    return 0;
}

static const struct vwl_core_ops rig_ops = {
    .complete = rig_complete,
    .shm_map = rig_map,
    .shm_unmap = rig_unmap,
    .shm_base = rig_base,
    .message_ready = rig_message_ready,
    .socket_open = rig_open,
    .socket_connect = rig_connect,
    .socket_connect_again = rig_connect_again,
    .buffer_offer = rig_buffer_offer,
    .buffer_alloc = rig_buffer_alloc,
    .foreign = rig_foreign,
    .pages = rig_pages,
    .transfer = rig_transfer,
};

static void rig_log(void *opaque, enum vwl_log_level level, const char *line)
{
    struct core_rig *rig = opaque;

    g_test_message("%s", line);
    g_assert_cmpint(level, !=, VWL_LOG_ERROR);
    g_ptr_array_add(rig->lines, g_strdup(line));
}

static int rig_listen(const char *path, int backlog)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    g_strlcpy(sun.sun_path, path, sizeof sun.sun_path);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&sun, sizeof sun), ==, 0);
    g_assert_cmpint(listen(fd, backlog), ==, 0);
    return fd;
}

const struct vwl_core_config core_rig_limits = {
    .shm_window = UINT64_C(1) << 32,
    .max_vfds = 16384,
    .max_contexts = 1024,
    .max_shm_bytes = UINT64_C(1) << 32,
    .max_queued_bytes = 16 << 20,
};

struct core_rig *core_rig_new_limits(uint64_t features,
                                     const struct vwl_core_config *limits)
{
    unsigned int n_fds = count_fds();
    struct core_rig *rig = g_new0(struct core_rig, 1);
    struct vwl_core_config config = *limits;

    rig->n_fds = n_fds;
    rig->lines = g_ptr_array_new_with_free_func(g_free);
    rig->completed = g_ptr_array_new();
    rig->ops = g_array_new(FALSE, FALSE, sizeof(struct core_rig_op));
    rig->pages = g_array_new(FALSE, FALSE, sizeof(struct vwl_run));
    rig->last_map_fd = rig->pages_fd = -1;
    rig->foreign_err = -EOPNOTSUPP;
    rig->base = 0xfe00000000;
    rig->message_room = sizeof rig->message;
    rig->dir = g_dir_make_tmp("vwl-XXXXXX", NULL);
    rig->path = g_build_filename(rig->dir, "wayland-0", NULL);
    rig->listener = rig_listen(rig->path, 600);
    vwl_log_init(&rig->log, rig_log, rig);
    rig->sockets[0] = (struct vwl_socket){ "", rig->path };
    rig->sockets[1] = (struct vwl_socket){ "other \xc3\xbc", rig->path };
    rig->sockets[2] = (struct vwl_socket){ "a-name-that-has-all-32-bytes-ok!",
                                           rig->path };
    rig->sockets[3] = (struct vwl_socket){ "gone", "/nonexistent/socket" };
    config.sockets = rig->sockets;
    config.n_sockets = G_N_ELEMENTS(rig->sockets);
    config.rules = (const struct vwl_rules *const *)rig->rules;
    g_assert_cmpint(vwl_core_create(&config, &rig_ops, rig, &rig->log,
                                    &rig->core),
                    ==, 0);
    vwl_core_set_features(rig->core, features, true);
    return rig;
}

struct core_rig *core_rig_new(uint64_t features)
{
    return core_rig_new_limits(features, &core_rig_limits);
}

void core_rig_free(struct core_rig *rig)
{
    unsigned int n_fds = rig->n_fds;

    vwl_core_destroy(rig->core);
    for (unsigned int i = 0; i < G_N_ELEMENTS(rig->rules); i++) {
        vwl_rules_destroy(rig->rules[i]);
    }
    close(rig->listener);
    if (rig->last_map_fd >= 0) {
        close(rig->last_map_fd);
    }
    g_unlink(rig->path);
    g_rmdir(rig->dir);
    g_free(rig->path);
    g_free(rig->dir);
    g_ptr_array_unref(rig->lines);
    g_ptr_array_unref(rig->completed);
    g_array_unref(rig->ops);
    g_array_unref(rig->pages);
    g_free(rig);
    /* a thread may still be at what could wait: see base/closer.h */
    for (int i = 0; i < 6000 && count_fds() != n_fds; i++) {
        g_usleep(10000);
    }
    g_assert_cmpuint(count_fds(), ==, n_fds);
}
