/* SPDX-License-Identifier: BSD-3-Clause */
/* What the plugin calls, in front of libc and GLib. */
#include "inject.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

static void *real(const char *name, void **cached)
{
    if (!*cached) {
        *cached = dlsym(RTLD_NEXT, name);
    }
    return *cached;
}

static bool is_short(void)
{
    return inject_error_now() == 0;
}

/* The function of the same name further on. */
#define REAL(name)       \
    static void *cached; \
    __typeof__(name) *next = (__typeof__(name) *)real(#name, &cached)

/* One that is refused, or is not touched. */
#define FAIL(call, refused)                                    \
    do {                                                       \
        if (inject_hit((call), __builtin_return_address(0))) { \
            errno = inject_error_now();                        \
            return (refused);                                  \
        }                                                      \
    } while (0)

/* The same for what may be short: then len becomes 1. */
#define FAIL_OR_CUT(call, len)                                 \
    do {                                                       \
        if (inject_hit((call), __builtin_return_address(0))) { \
            if (!is_short()) {                                 \
                errno = inject_error_now();                    \
                return -1;                                     \
            }                                                  \
            (len) = (len) > 0 ? 1 : 0;                         \
        }                                                      \
    } while (0)

int open64(const char *path, int flags, ...)
{
    REAL(open64);
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = va_arg(args, mode_t);
    va_end(args);
    FAIL(CALL_OPEN, -1);
    return next(path, flags, mode);
}

int socket(int domain, int type, int protocol)
{
    REAL(socket);

    FAIL(CALL_SOCKET, -1);
    return next(domain, type, protocol);
}

int connect(int fd, const struct sockaddr *to, socklen_t len)
{
    REAL(connect);

    FAIL(CALL_CONNECT, -1);
    return next(fd, to, len);
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    REAL(getsockopt);

    FAIL(CALL_GETSOCKOPT, -1);
    return next(fd, level, name, value, len);
}

/* Down to one byte. */
static struct iovec cut_iov(const struct iovec *iov, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (iov[i].iov_len) {
            return (struct iovec){ iov[i].iov_base, 1 };
        }
    }
    return (struct iovec){ 0 };
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
    REAL(sendmsg);
    struct msghdr cut = *msg;
    struct iovec iov;

    /* too many references: only what carries descriptors */
    if ((inject_error_now() != ETOOMANYREFS || msg->msg_controllen) &&
        inject_hit(CALL_SENDMSG, __builtin_return_address(0))) {
        if (!is_short()) {
            errno = inject_error_now();
            return -1;
        }
        iov = cut_iov(msg->msg_iov, msg->msg_iovlen);
        cut.msg_iov = &iov;
        cut.msg_iovlen = 1;
    }
    return next(fd, &cut, flags);
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
    REAL(recvmsg);
    struct msghdr cut = *msg;
    struct iovec iov;
    ssize_t n;

    /* a look at the queue is never short of what lies there */
    if ((is_short() && (flags & MSG_PEEK)) ||
        !inject_hit(CALL_RECVMSG, __builtin_return_address(0))) {
        return next(fd, msg, flags);
    }
    if (!is_short()) {
        errno = inject_error_now();
        return -1;
    }
    iov = cut_iov(msg->msg_iov, msg->msg_iovlen);
    cut.msg_iov = &iov;
    cut.msg_iovlen = 1;
    n = next(fd, &cut, flags);
    msg->msg_controllen = cut.msg_controllen;
    msg->msg_flags = cut.msg_flags;
    return n;
}

ssize_t recv(int fd, void *data, size_t len, int flags)
{
    REAL(recv);

    FAIL_OR_CUT(CALL_RECV, len);
    return next(fd, data, len, flags);
}

/* Eight bytes are an event's or a timer's: all or nothing, now or later. */
static bool is_safe(size_t len)
{
    return len == 8 && inject_error_now() != EINTR &&
           inject_error_now() != EAGAIN;
}

ssize_t read(int fd, void *data, size_t len)
{
    REAL(read);

    if (!is_safe(len)) {
        FAIL_OR_CUT(CALL_READ, len);
    }
    return next(fd, data, len);
}

ssize_t readv(int fd, const struct iovec *iov, int n)
{
    REAL(readv);
    struct iovec cut;

    if (inject_hit(CALL_READV, __builtin_return_address(0))) {
        if (!is_short()) {
            errno = inject_error_now();
            return -1;
        }
        cut = cut_iov(iov, (size_t)n);
        return next(fd, &cut, 1);
    }
    return next(fd, iov, n);
}

ssize_t preadv64v2(int fd, const struct iovec *iov, int n, off64_t at,
                   int flags)
{
    REAL(preadv64v2);

    FAIL(CALL_PREADV2, -1);
    return next(fd, iov, n, at, flags);
}

ssize_t pread64(int fd, void *data, size_t len, off64_t at)
{
    REAL(pread64);

    FAIL_OR_CUT(CALL_PREAD, len);
    return next(fd, data, len, at);
}

ssize_t write(int fd, const void *data, size_t len)
{
    REAL(write);

    if (!is_safe(len)) {
        FAIL_OR_CUT(CALL_WRITE, len);
    }
    return next(fd, data, len);
}

ssize_t writev(int fd, const struct iovec *iov, int n)
{
    REAL(writev);
    struct iovec cut;

    if (inject_hit(CALL_WRITEV, __builtin_return_address(0))) {
        if (!is_short()) {
            errno = inject_error_now();
            return -1;
        }
        cut = cut_iov(iov, (size_t)n);
        return next(fd, &cut, 1);
    }
    return next(fd, iov, n);
}

/* Either of the two that the device writes to pipes with. */
ssize_t pwritev64v2(int fd, const struct iovec *iov, int n, off64_t at,
                    int flags)
{
    REAL(pwritev64v2);
    struct iovec cut;

    if (inject_hit(CALL_WRITEV, __builtin_return_address(0))) {
        if (!is_short()) {
            errno = inject_error_now();
            return -1;
        }
        cut = cut_iov(iov, (size_t)n);
        return next(fd, &cut, 1, at, flags);
    }
    return next(fd, iov, n, at, flags);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at)
{
    REAL(pwrite64);

    FAIL_OR_CUT(CALL_PWRITE, len);
    return next(fd, data, len, at);
}

ssize_t splice(int from, off64_t *from_at, int to, off64_t *to_at, size_t len,
               unsigned int flags)
{
    REAL(splice);

    FAIL_OR_CUT(CALL_SPLICE, len);
    return next(from, from_at, to, to_at, len, flags);
}

ssize_t tee(int from, int to, size_t len, unsigned int flags)
{
    REAL(tee);

    FAIL(CALL_TEE, -1);
    return next(from, to, len, flags);
}

void *mmap64(void *at, size_t len, int protection, int flags, int fd,
             off64_t offset)
{
    REAL(mmap64);

    FAIL(CALL_MMAP, MAP_FAILED);
    return next(at, len, protection, flags, fd, offset);
}

int munmap(void *at, size_t len)
{
    REAL(munmap);

    if (inject_hit(CALL_MUNMAP, __builtin_return_address(0))) {
        next(at, len); /* or it would be a leak of ours */
        errno = inject_error_now();
        return -1;
    }
    return next(at, len);
}

int ftruncate64(int fd, off64_t len)
{
    REAL(ftruncate64);

    FAIL(CALL_FTRUNCATE, -1);
    return next(fd, len);
}

int memfd_create(const char *name, unsigned int flags)
{
    REAL(memfd_create);

    FAIL(CALL_MEMFD, -1);
    return next(name, flags);
}

int fcntl64(int fd, int command, ...)
{
    REAL(fcntl64);
    va_list args;
    void *arg;

    va_start(args, command);
    arg = va_arg(args, void *);
    va_end(args);
    if (command == F_DUPFD_CLOEXEC || command == F_ADD_SEALS ||
        command == F_SETPIPE_SZ) { /* others cannot fail */
        FAIL(CALL_FCNTL, -1);
    }
    return next(fd, command, arg);
}

int ioctl(int fd, unsigned long request, ...)
{
    REAL(ioctl);
    va_list args;
    void *arg;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    FAIL(CALL_IOCTL, -1);
    return next(fd, request, arg);
}

int epoll_create1(int flags)
{
    REAL(epoll_create1);

    FAIL(CALL_EPOLL_CREATE, -1);
    return next(flags);
}

int epoll_ctl(int epoll, int what, int fd, struct epoll_event *event)
{
    REAL(epoll_ctl);

    if (what != EPOLL_CTL_DEL) { /* which cannot fail */
        FAIL(CALL_EPOLL_CTL, -1);
    }
    return next(epoll, what, fd, event);
}

int epoll_wait(int epoll, struct epoll_event *events, int most, int timeout)
{
    REAL(epoll_wait);

    FAIL(CALL_EPOLL_WAIT, -1);
    return next(epoll, events, most, timeout);
}

int timerfd_create(int clock, int flags)
{
    REAL(timerfd_create);

    FAIL(CALL_TIMERFD, -1);
    return next(clock, flags);
}

int timerfd_settime(int fd, int flags, const struct itimerspec *spec,
                    struct itimerspec *old)
{
    REAL(timerfd_settime);

    FAIL(CALL_TIMERFD_SET, -1);
    return next(fd, flags, spec, old);
}

int fstat64(int fd, struct stat64 *st)
{
    REAL(fstat64);

    FAIL(CALL_FSTAT, -1);
    return next(fd, st);
}

int statx(int dir, const char *path, int flags, unsigned int mask,
          struct statx *stx)
{
    REAL(statx);

    FAIL(CALL_STATX, -1);
    return next(dir, path, flags, mask, stx);
}

/* The number is free whatever it says. */
int close(int fd)
{
    REAL(close);

    if (inject_hit(CALL_CLOSE, __builtin_return_address(0))) {
        next(fd);
        errno = inject_error_now();
        return -1;
    }
    return next(fd);
}

int pipe2(int fds[2], int flags)
{
    REAL(pipe2);

    FAIL(CALL_PIPE, -1);
    return next(fds, flags);
}

int poll(struct pollfd *fds, nfds_t n, int timeout)
{
    REAL(poll);

    FAIL(CALL_POLL, -1);
    return next(fds, n, timeout);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attr,
                   void *(*run)(void *), void *data)
{
    REAL(pthread_create);

    FAIL(CALL_THREAD, inject_error_now());
    return next(thread, attr, run, data);
}

gpointer(g_try_malloc)(gsize len)
{
    REAL(g_try_malloc);

    FAIL(CALL_MALLOC, NULL);
    return next(len);
}

gpointer(g_try_malloc0)(gsize len)
{
    REAL(g_try_malloc0);

    FAIL(CALL_MALLOC, NULL);
    return next(len);
}

gpointer(g_try_malloc_n)(gsize n, gsize len)
{
    REAL(g_try_malloc_n);

    FAIL(CALL_MALLOC, NULL);
    return next(n, len);
}

gpointer(g_try_malloc0_n)(gsize n, gsize len)
{
    REAL(g_try_malloc0_n);

    FAIL(CALL_MALLOC, NULL);
    return next(n, len);
}

gpointer(g_try_realloc)(gpointer at, gsize len)
{
    REAL(g_try_realloc);

    FAIL(CALL_REALLOC, NULL);
    return next(at, len);
}

gpointer(g_try_realloc_n)(gpointer at, gsize n, gsize len)
{
    REAL(g_try_realloc_n);

    FAIL(CALL_REALLOC, NULL);
    return next(at, n, len);
}
