/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/peer/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/closer.h"
#include "base/fd.h"
#include "base/iov.h"

/* Writing to a pipe has no MSG_NOSIGNAL, and the host's signal disposition is
 * not ours to change: the signal is blocked around the call and taken away. */
struct guard {
    sigset_t pipe_set;
    sigset_t old_mask;
    bool was_pending;
};

static void guard_enter(struct guard *guard)
{
    sigset_t pending;

    sigemptyset(&guard->pipe_set);
    sigaddset(&guard->pipe_set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &guard->pipe_set, &guard->old_mask);
    guard->was_pending = sigpending(&pending) == 0 &&
                         sigismember(&pending, SIGPIPE) == 1;
}

static void guard_leave(struct guard *guard, bool broken)
{
    int saved = errno;

    if (broken && !guard->was_pending) {
        struct timespec none = { 0 };

        while (sigtimedwait(&guard->pipe_set, NULL, &none) < 0 &&
               errno == EINTR) {
        }
    }
    pthread_sigmask(SIG_SETMASK, &guard->old_mask, NULL);
    errno = saved;
}

/* Linux 6.18. */
#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x00000100
#endif

static ssize_t guarded_write(int fd, const struct iovec *iov,
                             unsigned int n_iov)
{
    struct guard guard;
    ssize_t n;

    guard_enter(&guard);
    do {
        n = writev(fd, iov, (int)n_iov);
    } while (n < 0 && errno == EINTR);
    guard_leave(&guard, n < 0 && errno == EPIPE);
    return n;
}

/* Into a pipe of our own. */
static ssize_t pipe_write(int fd, const struct iovec *iov, unsigned int n_iov)
{
    static gint is_old; /* the kernel */
    ssize_t n;

    if (g_atomic_int_get(&is_old)) {
        return guarded_write(fd, iov, n_iov);
    }
    do {
        n = pwritev2(fd, iov, (int)n_iov, -1, RWF_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EOPNOTSUPP || errno == EINVAL || errno == ENOSYS)) {
        g_atomic_int_set(&is_old, 1);
        n = guarded_write(fd, iov, n_iov);
    }
    return n;
}

int vwl_bounce_init(struct vwl_bounce *bounce)
{
    bounce->fd[0] = bounce->fd[1] = -1;
    if (pipe2(bounce->fd, O_CLOEXEC | O_NONBLOCK) < 0) {
        return -errno;
    }
    if (vwl_fd_admit(MAX(bounce->fd[0], bounce->fd[1])) < 0) {
        vwl_bounce_finish(bounce);
        return -EMFILE;
    }
    return 0;
}

void vwl_bounce_finish(struct vwl_bounce *bounce)
{
    vwl_fds_clear(bounce->fd, 2);
}

/* More than a message's buffer has. */
#define READ_PIECES 64

static ssize_t or_errno(ssize_t n)
{
    return n < 0 ? -errno : n;
}

static void bounce_drain(struct vwl_bounce *bounce, size_t len)
{
    char scrap[4096];

    while (len > 0) {
        ssize_t n = read(bounce->fd[0], scrap,
                         len < sizeof scrap ? len : sizeof scrap);

        if (n <= 0 && errno != EINTR) {
            return;
        }
        len -= n > 0 ? (size_t)n : 0;
    }
}

/* What is staged for a pipe that is full has to be taken out again. */
static bool is_full(int fd)
{
    struct pollfd pfd = { .fd = fd, .events = POLLOUT };

    return poll(&pfd, 1, 0) == 0;
}

static ssize_t shared_write(int fd, struct vwl_bounce *bounce,
                            const struct iovec *iov, unsigned int n_iov)
{
    ssize_t staged, n;
    struct guard guard;

    if (is_full(fd)) {
        return -EAGAIN;
    }
    staged = writev(bounce->fd[1], iov, (int)n_iov);
    if (staged <= 0) {
        return staged < 0 && errno != EINTR ? -errno : -EAGAIN;
    }
    guard_enter(&guard);
    do {
        n = splice(bounce->fd[0], NULL, fd, NULL, (size_t)staged,
                   SPLICE_F_NONBLOCK);
    } while (n < 0 && errno == EINTR);
    guard_leave(&guard, n < 0 && errno == EPIPE);
    n = or_errno(n);
    if (n < staged) {
        bounce_drain(bounce, (size_t)(n > 0 ? staged - n : staged));
    }
    return n == 0 ? -EAGAIN : n;
}

ssize_t vwl_peer_write(enum vwl_peer_how how, int fd, struct vwl_bounce *bounce,
                       const struct iovec *iov, unsigned int n_iov,
                       const int *fds, unsigned int n_fds)
{
    switch (how) {
    case VWL_PEER_SOCKET:
        return vwl_fds_send(fd, iov, n_iov, fds, n_fds);
    case VWL_PEER_SHARED_PIPE:
        return shared_write(fd, bounce, iov, n_iov);
    case VWL_PEER_OWN_PIPE:
        return or_errno(pipe_write(fd, iov, n_iov));
    default:
        return -EPIPE;
    }
}

/* What was spliced into the bounce pipe has left its own: all of it is the
 * guest's, in as many reads as it takes. */
static ssize_t bounce_collect(struct vwl_bounce *bounce,
                              const struct iovec *iov, unsigned int n_iov,
                              size_t len)
{
    struct iovec part[READ_PIECES];
    size_t got = 0, some;

    while (got < len) {
        unsigned int n = vwl_iov_slice(iov, n_iov, got, len - got, part,
                                       READ_PIECES, &some);
        ssize_t more = readv(bounce->fd[0], part, (int)n);

        if (more < 0 && errno == EINTR) {
            continue;
        }
        if (more <= 0) {
            int err = more < 0 ? -errno : -EIO;

            bounce_drain(bounce, len - got);
            return err;
        }
        got += (size_t)more;
    }
    return (ssize_t)got;
}

static ssize_t shared_read(int fd, struct vwl_bounce *bounce,
                           const struct iovec *iov, unsigned int n_iov)
{
    ssize_t n;

    do {
        n = splice(fd, NULL, bounce->fd[1], NULL, vwl_iov_bytes(iov, n_iov),
                   SPLICE_F_NONBLOCK);
    } while (n < 0 && errno == EINTR);
    return n <= 0 ? or_errno(n) : bounce_collect(bounce, iov, n_iov, (size_t)n);
}

/* ---- sockets ------------------------------------------------------------- */

/* What lies in the queue: its bytes, 0 at the end, or -errno. */
static ssize_t socket_look(int fd, const struct iovec *iov, unsigned int n_iov,
                           bool *has_fds)
{
    struct msghdr msg = {
        .msg_iov = (struct iovec *)(uintptr_t)iov,
        .msg_iovlen = n_iov,
    };
    ssize_t n;

    do {
        n = recvmsg(fd, &msg, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    *has_fds = n >= 0 && (msg.msg_flags & MSG_CTRUNC);
    return or_errno(n);
}

/* What was seen there is there, unless somebody else has read it: a refusal for
 * the moment is asked about once more. */
static ssize_t socket_get(int fd, int flags, const struct iovec *iov,
                          unsigned int n_iov, int *fds, unsigned int *n_fds,
                          bool *lost)
{
    ssize_t n = vwl_fds_receive(fd, flags, iov, n_iov, fds, n_fds, lost);

    return n == -EAGAIN
               ? vwl_fds_receive(fd, flags, iov, n_iov, fds, n_fds, lost)
               : n;
}

static int highest_of(const int *fds, unsigned int n_fds)
{
    int highest = -1;

    for (unsigned int i = 0; i < n_fds; i++) {
        highest = MAX(highest, fds[i]);
    }
    return highest;
}

/* Whether all that came may be kept; else it is closed. */
static int socket_admit(int *fds, unsigned int *n_fds, bool lost,
                        struct vwl_closer *closer)
{
    if (!lost && (*n_fds == 0 || vwl_fd_admit(highest_of(fds, *n_fds)) == 0)) {
        return 0;
    }
    vwl_closer_close_all(closer, fds, *n_fds);
    *n_fds = 0;
    return -EMFILE;
}

/* Descriptors are duplicated first, and while the queue holds them, too, those
 * for which there is no room are dropped without waiting for anybody. */
static ssize_t socket_duplicate(int fd, const struct iovec *iov,
                                unsigned int n_iov, int *fds,
                                unsigned int *n_fds, struct vwl_closer *closer)
{
    bool lost;
    ssize_t n;
    int err;

    if (vwl_closer_waiting(closer) >= VWL_CLOSER_FULL) {
        return -EBUSY;
    }
    n = socket_get(fd, MSG_PEEK, iov, n_iov, fds, n_fds, &lost);
    err = socket_admit(fds, n_fds, lost, closer);
    return err < 0 ? err : n;
}

/* For when this process has few descriptors left, or too many wait to be
 * closed. */
static ssize_t socket_take_carefully(int fd, const struct iovec *iov,
                                     unsigned int n_iov, int *fds,
                                     unsigned int *n_fds,
                                     struct vwl_closer *closer)
{
    int taken[VWL_FDS_MAX];
    unsigned int n_taken;
    struct iovec part[READ_PIECES];
    bool has_fds, lost;
    ssize_t n = socket_look(fd, iov, n_iov, &has_fds);

    if (n > 0 && has_fds) {
        n = socket_duplicate(fd, iov, n_iov, fds, n_fds, closer);
    }
    if (n <= 0) {
        return n;
    }
    /* no more than that: others may have come since, and with descriptors */
    n_iov = vwl_iov_slice(iov, n_iov, 0, (size_t)n, part, READ_PIECES, NULL);
    n = socket_get(fd, 0, part, n_iov, taken, &n_taken, &lost);
    vwl_closer_close_all(closer, taken, n_taken);
    /* Where a message ends with the buffer, Linux shows the descriptors of the
     * one behind it, too: they are still in the queue. None is left either if
     * somebody else has read them. */
    if (n_taken < *n_fds) {
        vwl_closer_close_all(closer, fds + n_taken, *n_fds - n_taken);
        *n_fds = n_taken;
    }
    return n;
}

ssize_t vwl_peer_read_fds(int fd, const struct iovec *iov, unsigned int n_iov,
                          int *fds, unsigned int *n_fds,
                          struct vwl_closer *closer)
{
    bool lost;
    ssize_t n;
    int err;

    *n_fds = 0;
    if (vwl_closer_waiting(closer) >= VWL_CLOSER_FULL || !vwl_fd_has_room(fd)) {
        return socket_take_carefully(fd, iov, n_iov, fds, n_fds, closer);
    }
    n = vwl_fds_receive(fd, 0, iov, n_iov, fds, n_fds, &lost);
    err = socket_admit(fds, n_fds, lost, closer);
    return err < 0 ? err : n;
}

bool vwl_peer_has_fds(int fd, size_t bytes)
{
    char seen[4096];
    struct iovec iov = { seen, MIN(bytes, sizeof seen) };
    bool has_fds;

    return socket_look(fd, &iov, 1, &has_fds) > 0 && has_fds;
}

static ssize_t socket_read(int fd, const struct iovec *iov, unsigned int n_iov,
                           struct vwl_closer *closer)
{
    int fds[VWL_FDS_MAX];
    unsigned int n_fds;
    ssize_t n = vwl_peer_read_fds(fd, iov, n_iov, fds, &n_fds, closer);

    vwl_closer_close_all(closer, fds, n_fds);
    return n;
}

ssize_t vwl_peer_read(enum vwl_peer_how how, int fd, struct vwl_bounce *bounce,
                      const struct iovec *iov, unsigned int n_iov,
                      struct vwl_closer *closer)
{
    ssize_t n;

    switch (how) {
    case VWL_PEER_SOCKET:
        return socket_read(fd, iov, n_iov, closer);
    case VWL_PEER_SHARED_PIPE:
        return shared_read(fd, bounce, iov, n_iov);
    case VWL_PEER_OWN_PIPE:
        do {
            n = readv(fd, iov, (int)n_iov);
        } while (n < 0 && errno == EINTR);
        return or_errno(n);
    default:
        return 0;
    }
}
