/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/fd.h"

#include <fcntl.h>
#include <glib.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/closer.h"
#include "base/log.h"

/* The calls of vwl_fd_has_room until it looks again. */
#define LOOKS_EVERY 256
/* Far fewer than the reserve, if the limit sinks. */
#define ADMITS_EVERY 8

/* Of the whole process, so of all devices in it. */
static struct {
    gint highest; /* number that was seen */
    gint limit;   /* of numbers that guests may have */
    gint looks;   /* that need not be made */
    gint admits;  /* until the limit is asked for again */
} table;

static int table_size(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > INT_MAX) {
        return INT_MAX;
    }
    return (int)limit.rlim_cur;
}

static int table_limit(void)
{
    int size = table_size();

    return size == INT_MAX ? size : size - VWL_FD_RESERVE;
}

void vwl_fd_say_if_few(struct vwl_log *log)
{
    int size = table_size();

    if (size < VWL_FD_FEW) {
        vwl_log_write(log, VWL_LOG_WARN,
                      "this process may have %d descriptors at once, and each "
                      "program of a guest takes four or more, a browser "
                      "hundreds: better are %d (the soft limit, ulimit -n)",
                      size, VWL_FD_FEW);
    }
}

static void table_note(int fd)
{
    if (fd > g_atomic_int_get(&table.highest)) {
        g_atomic_int_set(&table.highest, fd);
    }
}

int vwl_fd_admit(int fd)
{
    int limit;

    table_note(fd);
    if (g_atomic_int_add(&table.admits, -1) <= 0 ||
        fd >= g_atomic_int_get(&table.limit)) {
        g_atomic_int_set(&table.admits, ADMITS_EVERY);
        g_atomic_int_set(&table.limit, table_limit());
    }
    limit = g_atomic_int_get(&table.limit);
    return fd < limit ? 0 : -EMFILE;
}

/* Those that had the high numbers may be gone. */
static void table_forget(int limit)
{
    int first = limit - VWL_FDS_MAX;

    for (int fd = first; fd < limit; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) {
            return;
        }
    }
    g_atomic_int_set(&table.highest, first - 1);
}

static void table_look(int any)
{
    int limit = table_limit();
    vwl_autofd int lowest = fcntl(any, F_DUPFD_CLOEXEC, 0);

    table_note(lowest < 0 ? INT_MAX - VWL_FDS_MAX : lowest);
    g_atomic_int_set(&table.limit, limit);
    if (limit > VWL_FDS_MAX &&
        g_atomic_int_get(&table.highest) >= limit - VWL_FDS_MAX) {
        table_forget(limit);
    }
}

bool vwl_fd_has_room(int fd)
{
    if (g_atomic_int_add(&table.looks, -1) <= 0) {
        g_atomic_int_set(&table.looks, LOOKS_EVERY);
        table_look(fd);
    }
    return g_atomic_int_get(&table.highest) <
           g_atomic_int_get(&table.limit) - VWL_FDS_MAX;
}

int vwl_sealed_memfd(const char *name, uint64_t size_bytes, int *fd)
{
    vwl_autofd int made = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (made < 0 || ftruncate(made, (off_t)size_bytes) < 0 ||
        fcntl(made, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) <
            0) {
        return -errno;
    }
    if (vwl_fd_admit(made) < 0) {
        return -EMFILE;
    }
    *fd = vwl_fd_steal(&made);
    return 0;
}

bool vwl_fd_seal_length(int fd)
{
    int seals = fcntl(fd, F_GET_SEALS);

    return seals >= 0 && ((seals & F_SEAL_SHRINK) ||
                          (!(seals & F_SEAL_SEAL) &&
                           fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0));
}

ssize_t vwl_fds_receive(int socket, int flags, const struct iovec *iov,
                        size_t n_iov, int *fds, unsigned int *n_fds, bool *lost)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(VWL_FDS_MAX * sizeof(int))];
    } control;
    struct msghdr msg = {
        .msg_iov = (struct iovec *)(uintptr_t)iov,
        .msg_iovlen = n_iov,
        .msg_control = &control,
        .msg_controllen = sizeof control,
    };
    ssize_t n;

    *n_fds = 0;
    *lost = false;
    do {
        n = recvmsg(socket, &msg, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return -errno;
    }
    *lost = msg.msg_flags & MSG_CTRUNC;
    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg); cmsg;
         cmsg = CMSG_NXTHDR(&msg, cmsg)) {
        size_t bytes = cmsg->cmsg_len - CMSG_LEN(0);

        if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS &&
            bytes <= (VWL_FDS_MAX - *n_fds) * sizeof(int)) {
            memcpy(fds + *n_fds, CMSG_DATA(cmsg), bytes);
            *n_fds += (unsigned int)(bytes / sizeof(int));
        }
    }
    return n;
}

ssize_t vwl_fds_send(int socket, const struct iovec *iov, size_t n_iov,
                     const int *fds, unsigned int n_fds)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(VWL_FDS_MAX * sizeof(int))];
    } control;
    struct msghdr msg = {
        .msg_iov = (struct iovec *)(uintptr_t)iov,
        .msg_iovlen = n_iov,
    };
    ssize_t n;

    if (n_fds) {
        struct cmsghdr *cmsg = &control.align;

        memset(&control, 0, CMSG_SPACE(n_fds * sizeof(int)));
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(cmsg), fds, n_fds * sizeof(int));
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
    }
    do {
        n = sendmsg(socket, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

int vwl_fd_take_answer(int socket, int *fd, struct vwl_closer *closer)
{
    int32_t status = 0;
    struct iovec iov = { &status, sizeof status };
    int fds[VWL_FDS_MAX];
    unsigned int n_fds;
    bool lost;
    ssize_t n = vwl_fds_receive(socket, 0, &iov, 1, fds, &n_fds, &lost);

    if (n == sizeof status && status == 0 && n_fds == 1) {
        *fd = fds[0];
        return 0;
    }
    vwl_closer_close_all(closer, fds, n_fds);
    if (n <= 0) {
        return n == 0 ? -ECONNREFUSED : n == -EAGAIN ? -EINPROGRESS : (int)n;
    }
    if (lost) {
        return -EMFILE;
    }
    return n == sizeof status && status < 0 && status > -4096 &&
                   status != -EINPROGRESS
               ? status
               : -EPROTO;
}
