/* SPDX-License-Identifier: BSD-3-Clause */
#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTENERS 2
#define TIMERS 64

static struct {
    char *dir;
    char *path[LISTENERS];
    int fd[LISTENERS];
} listeners;

static unsigned int fds_before;
static volatile sig_atomic_t writing;
static int64_t now_us;
static struct {
    int fd;   /* 0: free */
    int ours; /* the same file: fd may be closed, and then somebody else's */
    int64_t due_us;
} timers[TIMERS];

void fuzz_fail(const char *file, int line, const char *text)
{
    fprintf(stderr, "%s:%d: broken promise: %s\n", file, line, text);
    abort();
}

void fuzz_log(void *opaque, enum vwl_log_level level, const char *line)
{
    fuzz_check(strchr(line, '\n') == NULL);
    if (level == VWL_LOG_ERROR) {
        fuzz_fail(__FILE__, __LINE__, line);
    }
}

/* ---- time ---- */

gint64 __wrap_g_get_monotonic_time(void);
int __wrap_timerfd_create(int clock, int flags);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *spec,
                           struct itimerspec *old);

gint64 __wrap_g_get_monotonic_time(void)
{
    return now_us;
}

/* A due timer is an eventfd that can be read. */
int __wrap_timerfd_create(int clock, int flags)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

    for (unsigned int i = 0; i < TIMERS; i++) {
        if (timers[i].fd == 0 || timers[i].fd == fd) {
            if (timers[i].fd) {
                close(timers[i].ours);
            }
            timers[i].fd = fd;
            timers[i].ours = fcntl(fd, F_DUPFD_CLOEXEC, 0);
            timers[i].due_us = 0;
            return fd;
        }
    }
    fuzz_fail(__FILE__, __LINE__, "too many timers");
}

static void ring_timers(void)
{
    for (unsigned int i = 0; i < TIMERS; i++) {
        if (timers[i].due_us && timers[i].due_us <= now_us) {
            timers[i].due_us = 0;
            eventfd_write(timers[i].ours, 1);
        }
    }
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *spec,
                           struct itimerspec *old)
{
    eventfd_t ticks;

    fuzz_check(flags == TFD_TIMER_ABSTIME && !old);
    for (unsigned int i = 0; i < TIMERS; i++) {
        if (timers[i].fd == fd) {
            timers[i].due_us = (int64_t)spec->it_value.tv_sec * 1000000 +
                               spec->it_value.tv_nsec / 1000;
        }
    }
    eventfd_read(fd, &ticks);
    ring_timers();
    return 0;
}

void fuzz_advance_ms(unsigned int ms)
{
    now_us += (int64_t)ms * 1000;
    ring_timers();
}

/* ---- descriptors ---- */

static unsigned int count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned int n = 0;

    fuzz_check(dir != NULL);
    while (readdir(dir)) {
        n++;
    }
    closedir(dir);
    return n;
}

static void remove_listeners(void)
{
    for (unsigned int i = 0; i < LISTENERS; i++) {
        unlink(listeners.path[i]);
        g_free(listeners.path[i]);
    }
    rmdir(listeners.dir);
    g_free(listeners.dir);
}

static void on_sigpipe(int number)
{
    if (!writing) {
        fuzz_fail(__FILE__, __LINE__, "no SIGPIPE");
    }
}

const char *fuzz_listener_path(unsigned int index)
{
    if (listeners.dir) {
        return listeners.path[index];
    }
    listeners.dir = g_dir_make_tmp("vwl-fuzz-XXXXXX", NULL);
    for (unsigned int i = 0; i < LISTENERS; i++) {
        struct sockaddr_un sun = { .sun_family = AF_UNIX };

        listeners.path[i] = g_strdup_printf("%s/%u", listeners.dir, i);
        listeners.fd[i] = socket(AF_UNIX,
                                 SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        g_strlcpy(sun.sun_path, listeners.path[i], sizeof sun.sun_path);
        fuzz_check(bind(listeners.fd[i], (struct sockaddr *)&sun, sizeof sun) ==
                   0);
        fuzz_check(listen(listeners.fd[i], i == 0 ? 100 : 0) == 0);
    }
    atexit(remove_listeners);
    signal(SIGPIPE, on_sigpipe);
    return listeners.path[index];
}

int fuzz_accept(unsigned int index)
{
    return accept4(listeners.fd[index], NULL, NULL,
                   SOCK_CLOEXEC | SOCK_NONBLOCK);
}

void fuzz_begin(void)
{
    fuzz_listener_path(0);
    now_us = 1000000;
    memset(timers, 0, sizeof timers);
    fds_before = count_fds();
}

void fuzz_end(void)
{
    for (unsigned int i = 0; i < TIMERS && timers[i].fd; i++) {
        close(timers[i].ours);
        timers[i].fd = 0;
    }
    for (unsigned int i = 0; i < LISTENERS; i++) {
        int fd;

        while ((fd = fuzz_accept(i)) >= 0) {
            close(fd);
        }
    }
    /* what may take its time to close is closed by a thread */
    for (unsigned int i = 0; count_fds() != fds_before; i++) {
        fuzz_check(i < 60000);
        usleep(i < 1000 ? 0 : 1000);
    }
}

void fuzz_close(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

uint8_t take8(struct fuzz_input *in)
{
    if (in->left == 0) {
        return 0;
    }
    in->left--;
    return *in->at++;
}

uint16_t take16(struct fuzz_input *in)
{
    uint16_t low = take8(in);

    return (uint16_t)(low | take8(in) << 8);
}

uint32_t take32(struct fuzz_input *in)
{
    uint32_t low = take16(in);

    return low | (uint32_t)take16(in) << 16;
}

uint64_t take64(struct fuzz_input *in)
{
    uint64_t low = take32(in);

    return low | (uint64_t)take32(in) << 32;
}

unsigned int pick(struct fuzz_input *in, unsigned int n)
{
    return take8(in) % n;
}

size_t take_bytes(struct fuzz_input *in, void *to, size_t cap)
{
    size_t n = take8(in);

    n = MIN(n, cap);
    n = MIN(n, in->left);
    if (n) {
        memcpy(to, in->at, n);
        in->at += n;
        in->left -= n;
    }
    return n;
}

int fuzz_memfd(uint64_t size)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    fuzz_check(fd >= 0);
    fuzz_check(ftruncate(fd, (off_t)size) == 0);
    return fd;
}

void fuzz_socketpair(int pair[2])
{
    fuzz_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                          0, pair) == 0);
}

static int make_memfd(struct fuzz_input *in)
{
    static const uint64_t sizes[] = {
        0, 1, 4096, 5000, 8192, 65536, 1 << 20, UINT64_C(1) << 40,
    };
    static const int seals[] = {
        0,
        F_SEAL_SHRINK,
        F_SEAL_SHRINK | F_SEAL_GROW,
        F_SEAL_SHRINK | F_SEAL_WRITE,
        F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE,
        F_SEAL_SHRINK | F_SEAL_SEAL,
        F_SEAL_WRITE,
        F_SEAL_GROW,
    };
    unsigned int how = take8(in);
    int fd = fuzz_memfd(sizes[how & 7]);

    fcntl(fd, F_ADD_SEALS, seals[how >> 3 & 7]);
    return fd;
}

int fuzz_make_fd(struct fuzz_input *in, int *other)
{
    static const char *const paths[] = {
        "/dev/null",
        "/dev/zero",
        "/",
        "/proc/self/stat",
    };
    int fds[2] = { -1, -1 };
    unsigned int how = take8(in);

    switch (how & 7) {
    case 0:
    case 1:
        fds[0] = make_memfd(in);
        break;
    case 2:
        fds[0] = eventfd(how >> 3 & 1,
                         EFD_CLOEXEC | (how >> 4 & 1 ? EFD_NONBLOCK : 0));
        break;
    case 3:
    case 4:
        fuzz_check(pipe2(fds, O_CLOEXEC | (how >> 3 & 1 ? O_NONBLOCK : 0)) ==
                   0);
        break;
    case 5:
        fuzz_socketpair(fds);
        break;
    case 6:
        fuzz_check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) ==
                   0);
        break;
    default:
        fds[0] = open(paths[how >> 3 & 3],
                      O_CLOEXEC | (how >> 5 & 1 ? O_PATH : O_RDONLY));
        break;
    }
    if (how >> 6 & 1 && fds[1] >= 0) {
        int swap = fds[0];

        fds[0] = fds[1];
        fds[1] = swap;
    }
    fuzz_check(fds[0] >= 0);
    if (other) {
        *other = fds[1];
    } else {
        fuzz_close(&fds[1]);
    }
    return fds[0];
}

union control {
    char bytes[CMSG_SPACE(FUZZ_MAX_FDS * sizeof(int))];
    struct cmsghdr align;
};

ssize_t fuzz_send(int sock, const void *data, size_t len, const int *fds,
                  unsigned int n_fds)
{
    union control control;
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
    return sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

ssize_t fuzz_receive(int sock, void *data, size_t cap, int *fds,
                     unsigned int *n_fds)
{
    union control control;
    struct iovec iov = { data, cap };
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control,
    };
    ssize_t n = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *cmsg = n >= 0 ? CMSG_FIRSTHDR(&msg) : NULL;

    *n_fds = 0;
    if (cmsg) {
        *n_fds = (unsigned int)((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(fds, CMSG_DATA(cmsg), *n_fds * sizeof(int));
    }
    return n;
}

void fuzz_write(int fd, const void *data, size_t len)
{
    writing = 1;
    (void)!write(fd, data, len);
    writing = 0;
}

bool fuzz_readable(int fd)
{
    struct pollfd pfd = { fd, POLLIN, 0 };

    return poll(&pfd, 1, 0) == 1;
}
