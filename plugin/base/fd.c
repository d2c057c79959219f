/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/fd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/closer.h"

int vwl_fd_admit(int fd)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
        limit.rlim_cur == RLIM_INFINITY) {
        return 0;
    }
    return (rlim_t)fd + VWL_FD_RESERVE < limit.rlim_cur ? 0 : -EMFILE;
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
