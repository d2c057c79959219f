/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A core without anything around it: requests are literal bytes, host peers
 * are sockets and pipes of the test, the front-end is a table of answers.
 */
#ifndef VWL_TEST_CORE_RIG_H
#define VWL_TEST_CORE_RIG_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "wl/core.h"

#define MODE_OLD 0u
#define MODE_TRANS (1u << 1)
#define MODE_FENCES (1u << 2)
#define MODE_SHMEM (1u << 3)
#define MODE_NEWEST (MODE_TRANS | MODE_FENCES)
#define MODE_K23 (MODE_TRANS | MODE_FENCES | MODE_SHMEM)

struct rig_op {
    uint64_t cookie;
    uint64_t offset;
    uint64_t len;
    bool is_map;
};

struct rig {
    struct vwl_core *core;
    struct vwl_log log;
    GPtrArray *lines;
    char *dir;
    char *path;
    int listener;
    int n_fds; /* at the beginning */

    /* the front-end */
    bool map_later;
    int map_err; /* answered to the next maps */
    int unmap_err;
    uint64_t base; /* 0: not known */
    GArray *ops;   /* of struct rig_op, all that was asked */
    unsigned int n_maps, n_unmaps;
    int last_map_fd; /* a duplicate */
    bool connects;   /* the host connects: its end of the last pair */
    int connect_fd;
    int connect_err;
    size_t connect_index;
    unsigned int n_connects;
    int foreign_err;    /* -EINPROGRESS: it answers later, on foreign_fd */
    int foreign_fd;     /* else what it gives (a duplicate is given) */
    int foreign_before; /* the foreign_fd before that */
    uint32_t foreign_kind;
    uint64_t foreign_value;
    unsigned int n_foreign;

    /* the allocator */
    bool has_buffers;
    int offer;                   /* what it says, if it is there */
    int alloc_err;               /* of the next ones */
    struct vwl_buffer buffer;    /* what the next one gets; fds are taken */
    struct vwl_buffer_wish wish; /* the last one */
    unsigned int n_allocs;

    GPtrArray *completed; /* of struct vwl_request */
    unsigned int n_ready;

    uint8_t message[4096]; /* the last one */
    size_t message_room;
    uint64_t token;
};

/* A request and what it stands on. */
struct asked {
    struct vwl_request request;
    uint8_t *bytes;
    struct iovec iov;
};

G_GNUC_UNUSED static int count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    while (readdir(dir)) {
        n++;
    }
    closedir(dir);
    return n;
}

static void rig_complete(void *opaque, struct vwl_request *request)
{
    struct rig *rig = opaque;

    g_ptr_array_add(rig->completed, request);
}

static int rig_map(void *opaque, uint64_t cookie, int fd, uint64_t fd_offset,
                   uint64_t shm_offset, uint64_t len, bool writable)
{
    struct rig *rig = opaque;
    struct rig_op op = { cookie, shm_offset, len, true };

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
    struct rig *rig = opaque;
    struct rig_op op = { cookie, shm_offset, len, false };

    g_array_append_val(rig->ops, op);
    rig->n_unmaps++;
    return rig->map_later ? -EINPROGRESS : rig->unmap_err;
}

static int rig_base(void *opaque, uint64_t *gpa)
{
    struct rig *rig = opaque;

    if (!rig->base) {
        return -EAGAIN;
    }
    *gpa = rig->base;
    return 0;
}

static void rig_message_ready(void *opaque)
{
    struct rig *rig = opaque;

    rig->n_ready++;
}

static int rig_connect(void *opaque, size_t index, int *fd)
{
    struct rig *rig = opaque;
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

static int rig_buffer_offer(void *opaque)
{
    struct rig *rig = opaque;

    return rig->has_buffers ? rig->offer : -EOPNOTSUPP;
}

static int rig_buffer_alloc(void *opaque, const struct vwl_buffer_wish *wish,
                            struct vwl_buffer *out)
{
    struct rig *rig = opaque;

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
    struct rig *rig = opaque;
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

static const struct vwl_core_ops rig_ops = {
    .complete = rig_complete,
    .shm_map = rig_map,
    .shm_unmap = rig_unmap,
    .shm_base = rig_base,
    .message_ready = rig_message_ready,
    .socket_connect = rig_connect,
    .buffer_offer = rig_buffer_offer,
    .buffer_alloc = rig_buffer_alloc,
    .foreign = rig_foreign,
};

static void rig_log(void *opaque, enum vwl_log_level level, const char *line)
{
    struct rig *rig = opaque;

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

G_GNUC_UNUSED static struct rig *rig_new_limits(
    uint64_t features, const struct vwl_core_config *limits)
{
    int n_fds = count_fds();
    struct rig *rig = g_new0(struct rig, 1);
    struct vwl_core_config config = *limits;

    rig->n_fds = n_fds;
    rig->lines = g_ptr_array_new_with_free_func(g_free);
    rig->completed = g_ptr_array_new();
    rig->ops = g_array_new(FALSE, FALSE, sizeof(struct rig_op));
    rig->last_map_fd = -1;
    rig->foreign_err = -EOPNOTSUPP;
    rig->base = 0xfe00000000;
    rig->message_room = sizeof rig->message;
    rig->dir = g_dir_make_tmp("vwl-XXXXXX", NULL);
    rig->path = g_build_filename(rig->dir, "wayland-0", NULL);
    rig->listener = rig_listen(rig->path, 600);
    vwl_log_init(&rig->log, rig_log, rig);
    config.sockets = (struct vwl_socket[]){
        { "", rig->path },
        { "other \xc3\xbc", rig->path },
        { "a-name-that-has-all-32-bytes-ok!", rig->path },
        { "gone", "/nonexistent/socket" },
    };
    config.n_sockets = 4;
    g_assert_cmpint(vwl_core_create(&config, &rig_ops, rig, &rig->log,
                                    &rig->core),
                    ==, 0);
    vwl_core_set_features(rig->core, features, true);
    return rig;
}

static const struct vwl_core_config rig_limits = {
    .shm_window = UINT64_C(1) << 32,
    .max_vfds = 16384,
    .max_contexts = 1024,
    .max_shm_bytes = UINT64_C(1) << 32,
    .max_queued_bytes = 16 << 20,
};

G_GNUC_UNUSED static struct rig *rig_new(uint64_t features)
{
    return rig_new_limits(features, &rig_limits);
}

G_GNUC_UNUSED static void rig_free(struct rig *rig)
{
    int n_fds = rig->n_fds;

    vwl_core_destroy(rig->core);
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
    g_free(rig);
    /* a thread may still be at what could wait: see wl/closer.h */
    for (int i = 0; i < 1000 && count_fds() != n_fds; i++) {
        g_usleep(10000);
    }
    g_assert_cmpint(count_fds(), ==, n_fds);
}

static void le32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint32_t get32(const uint8_t *at)
{
    return at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24;
}

G_GNUC_UNUSED static uint64_t get64(const uint8_t *at)
{
    return get32(at) | (uint64_t)get32(at + 4) << 32;
}

G_GNUC_UNUSED static struct asked *ask_init(const void *bytes, size_t len,
                                            size_t room)
{
    struct asked *asked = g_new0(struct asked, 1);

    asked->bytes = g_memdup2(bytes, len);
    asked->iov = (struct iovec){ asked->bytes, len };
    asked->request.total_bytes = len;
    asked->request.head_bytes = MIN(len, VWL_HEAD_BYTES);
    if (len) {
        memcpy(asked->request.head, bytes, asked->request.head_bytes);
    }
    asked->request.payload = &asked->iov;
    asked->request.n_payload = 1;
    asked->request.response_room = room;
    memset(asked->request.response, 0xee, sizeof asked->request.response);
    return asked;
}

G_GNUC_UNUSED static void asked_free(struct asked *asked)
{
    g_free(asked->bytes);
    g_free(asked);
}

/* Asks and expects an answer at once: its type. The rest is in *response. */
G_GNUC_UNUSED static uint32_t ask_room(struct rig *rig, const void *bytes,
                                       size_t len, size_t room,
                                       uint8_t response[64], size_t *n)
{
    struct asked *asked = ask_init(bytes, len, room);
    uint32_t type;

    g_assert_cmpint(vwl_core_execute(rig->core, &asked->request), ==, 0);
    type = get32(asked->request.response);
    if (response) {
        memcpy(response, asked->request.response, 64);
    }
    if (n) {
        *n = asked->request.response_bytes;
    }
    asked_free(asked);
    return type;
}

G_GNUC_UNUSED static uint32_t ask(struct rig *rig, const void *bytes,
                                  size_t len)
{
    return ask_room(rig, bytes, len, 64, NULL, NULL);
}

/* The 64-byte form that today's drivers send for every NEW. */
G_GNUC_UNUSED static void fill_new(uint8_t bytes[64], uint32_t type,
                                   uint32_t id, uint32_t flags, uint32_t size)
{
    memset(bytes, 0, 64);
    le32(bytes, type);
    le32(bytes + 8, id);
    le32(bytes + 12, flags);
    le32(bytes + 24, size);
}

G_GNUC_UNUSED static uint32_t ask_new(struct rig *rig, uint32_t type,
                                      uint32_t id, uint32_t flags,
                                      uint32_t size)
{
    uint8_t bytes[64];

    fill_new(bytes, type, id, flags, size);
    return ask(rig, bytes, sizeof bytes);
}

G_GNUC_UNUSED static uint32_t ask_close(struct rig *rig, uint32_t id)
{
    uint8_t bytes[12] = { 0x01, 0x01 };

    le32(bytes + 8, id);
    return ask(rig, bytes, sizeof bytes);
}

G_GNUC_UNUSED static struct asked *send_init(uint32_t id, const uint32_t *ids,
                                             uint32_t n_ids, const void *data,
                                             size_t len)
{
    g_autofree uint8_t *bytes = g_malloc0(16 + n_ids * 4 + len);

    le32(bytes, 0x102);
    le32(bytes + 8, id);
    le32(bytes + 12, n_ids);
    for (uint32_t i = 0; i < n_ids; i++) {
        le32(bytes + 16 + i * 4, ids[i]);
    }
    if (len) {
        memcpy(bytes + 16 + n_ids * 4, data, len);
    }
    return ask_init(bytes, 16 + n_ids * 4 + len, 8);
}

G_GNUC_UNUSED static uint32_t ask_send(struct rig *rig, uint32_t id,
                                       const uint32_t *ids, uint32_t n_ids,
                                       const void *data, size_t len)
{
    struct asked *asked = send_init(id, ids, n_ids, data, len);
    uint32_t type;

    g_assert_cmpint(vwl_core_execute(rig->core, &asked->request), ==, 0);
    g_assert_cmpuint(asked->request.response_bytes, ==, 4);
    type = get32(asked->request.response);
    asked_free(asked);
    return type;
}

/* A context of that id; returns the compositor's end. */
G_GNUC_UNUSED static int rig_context(struct rig *rig, uint32_t id)
{
    int fd;

    g_assert_cmphex(ask_new(rig, 0x104, id, 3, 0), ==, 0x1001);
    fd = accept4(rig->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    g_assert_cmpint(fd, >=, 0);
    return fd;
}

/* The next message into rig->message: its length, 0, or -ENOBUFS. */
G_GNUC_UNUSED static ssize_t rig_next(struct rig *rig)
{
    struct iovec iov = { rig->message, rig->message_room };

    memset(rig->message, 0xee, sizeof rig->message);
    return vwl_core_next_message(rig->core, &iov, 1, rig->token++);
}

G_GNUC_UNUSED static void rig_expect_hup(struct rig *rig, uint32_t id)
{
    g_assert_cmpint(rig_next(rig), ==, 12);
    g_assert_cmphex(get32(rig->message), ==, 0x106);
    g_assert_cmphex(get32(rig->message + 4), ==, 0);
    g_assert_cmphex(get32(rig->message + 8), ==, id);
}

/* A VFD_RECV; returns its data, *len is its length. */
G_GNUC_UNUSED static const uint8_t *rig_expect_recv(struct rig *rig,
                                                    uint32_t id, uint32_t n_ids,
                                                    size_t *len)
{
    ssize_t n = rig_next(rig);

    g_assert_cmpint(n, >, 16);
    g_assert_cmphex(get32(rig->message), ==, 0x103);
    g_assert_cmphex(get32(rig->message + 4), ==, 0);
    g_assert_cmphex(get32(rig->message + 8), ==, id);
    g_assert_cmpuint(get32(rig->message + 12), ==, n_ids);
    *len = (size_t)n - 16 - 4 * n_ids;
    g_assert_cmpuint(*len, >, 0);
    return rig->message + 16 + 4 * n_ids;
}

/* A VFD_NEW; returns the id. */
G_GNUC_UNUSED static uint32_t rig_expect_new(struct rig *rig, uint32_t flags,
                                             uint64_t pfn, uint32_t size)
{
    g_assert_cmpint(rig_next(rig), ==, 32);
    g_assert_cmphex(get32(rig->message), ==, 0x100);
    g_assert_cmphex(get32(rig->message + 12), ==, flags);
    g_assert_cmphex(get64(rig->message + 16), ==, pfn);
    g_assert_cmpuint(get32(rig->message + 24), ==, size);
    return get32(rig->message + 8);
}

G_GNUC_UNUSED static bool is_readable(int fd)
{
    struct pollfd pfd = { fd, POLLIN, 0 };

    return poll(&pfd, 1, 0) == 1;
}

/* Sends from the compositor, with descriptors. */
G_GNUC_UNUSED static void host_send(int fd, const void *data, size_t len,
                                    const int *fds, unsigned int n_fds)
{
    union {
        char bytes[CMSG_SPACE(253 * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = { (void *)(uintptr_t)data, len };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (n_fds) {
        memset(&control, 0, sizeof control);
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(&control.align), fds, n_fds * sizeof(int));
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
    }
    g_assert_cmpint(sendmsg(fd, &msg, MSG_NOSIGNAL), ==, (ssize_t)len);
}

/* What the compositor gets: data of at most cap bytes, and descriptors. */
G_GNUC_UNUSED static ssize_t host_receive(int fd, void *data, size_t cap,
                                          int *fds, unsigned int *n_fds)
{
    union {
        char bytes[CMSG_SPACE(253 * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = { data, cap };
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control,
    };
    ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *cmsg = n >= 0 ? CMSG_FIRSTHDR(&msg) : NULL;

    if (n_fds) {
        *n_fds = 0;
    }
    if (cmsg) {
        *n_fds = (unsigned int)((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(fds, CMSG_DATA(cmsg), *n_fds * sizeof(int));
    }
    return n;
}

G_GNUC_UNUSED static int sealed_file(size_t size, int seals)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    g_assert_cmpint(ftruncate(fd, (off_t)size), ==, 0);
    g_assert_cmpint(fcntl(fd, F_ADD_SEALS, seals), ==, 0);
    return fd;
}

#endif
