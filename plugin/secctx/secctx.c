/* SPDX-License-Identifier: BSD-3-Clause */
#include "secctx.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ENGINE "vhost-user-wl"
#define APP_ID_PREFIX "org.vhost_user_wl.vm."
#define BACKLOG 128

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

/* ---- names -------------------------------------------------------------- */

void vwl_secctx_name(struct vwl_secctx_names *names, const char *vm_name,
                     uint32_t number)
{
    size_t at = sizeof APP_ID_PREFIX - 1;

    memset(names, 0, sizeof *names);
    memcpy(names->app_id, APP_ID_PREFIX, at);
    if (!vm_name || !*vm_name) {
        vm_name = "unnamed";
    }
    for (; *vm_name && at < sizeof names->app_id - 1; vm_name++) {
        bool is_fine = (*vm_name >= 'a' && *vm_name <= 'z') ||
                       (*vm_name >= 'A' && *vm_name <= 'Z') ||
                       (*vm_name >= '0' && *vm_name <= '9') ||
                       strchr("-_.", *vm_name);

        names->app_id[at++] = *vm_name;
        if (!is_fine) {
            names->app_id[at - 1] = '_';
        }
    }
    snprintf(names->instance_id, sizeof names->instance_id, "%ld-%08lx",
             (long)getpid(), (unsigned long)number);
}

static bool is_display(const struct vwl_socket *socket)
{
    const char *slash = strrchr(socket->path, '/');

    return !*socket->name ||
           strncmp(slash ? slash + 1 : socket->path, "wayland-", 8) == 0;
}

bool vwl_secctx_is_wanted(enum vwl_security_context mode,
                          const struct vwl_socket *socket,
                          enum vwl_secctx_bytes bytes)
{
    switch (bytes) {
    case VWL_SECCTX_WAYLAND:
        return mode != VWL_SECURITY_CONTEXT_OFF;
    case VWL_SECCTX_OTHER:
        return mode == VWL_SECURITY_CONTEXT_REQUIRE && is_display(socket);
    default:
        return mode != VWL_SECURITY_CONTEXT_OFF && is_display(socket);
    }
}

const char *vwl_secctx_folder(const char *or_else)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");

    return runtime && runtime[0] == '/' ? runtime : or_else ? or_else : "/tmp";
}

/* ---- sockets ------------------------------------------------------------ */

int vwl_secctx_connect_plainly(const char *path, int *fd)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    size_t len = strlen(path);
    int err;

    if (len >= sizeof sun.sun_path) {
        return -ENAMETOOLONG;
    }
    memcpy(sun.sun_path, path, len);
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0) {
        return -errno;
    }
    if (connect(*fd, (const struct sockaddr *)&sun, sizeof sun) < 0) {
        err = -errno;
        close_fd(fd);
        return err;
    }
    return 0;
}

/* A place of the file, which then has no name any more. */
static int open_place(const char *path, int *place)
{
    struct stat st;
    int err = 0;

    *place = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (*place < 0) {
        err = -errno;
    } else if (fstat(*place, &st) < 0 || !S_ISSOCK(st.st_mode) ||
               st.st_uid != geteuid()) {
        close_fd(place);
        err = -EEXIST;
    }
    unlink(path);
    return err;
}

static int make_listener(struct vwl_secctx *secctx)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    uint64_t random;
    int n;

    if (getrandom(&random, sizeof random, 0) != sizeof random) {
        return -EAGAIN;
    }
    n = snprintf(sun.sun_path, sizeof sun.sun_path, "%s/.vhost-user-wl-%016llx",
                 secctx->folder, (unsigned long long)random);
    if (n < 0 || (size_t)n >= sizeof sun.sun_path) {
        return -ENAMETOOLONG;
    }
    secctx->listener = socket(AF_UNIX,
                              SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* bind gives the file this mode: a umask is the whole process's */
    if (secctx->listener < 0 || fchmod(secctx->listener, 0600) < 0 ||
        bind(secctx->listener, (const struct sockaddr *)&sun, sizeof sun) < 0) {
        return -errno;
    }
    if (listen(secctx->listener, BACKLOG) < 0) {
        n = -errno;
        unlink(sun.sun_path);
        return n;
    }
    return open_place(sun.sun_path, &secctx->place);
}

static int make_ends(struct vwl_secctx *secctx)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
        return -errno;
    }
    secctx->read_end = ends[0];
    secctx->end = ends[1];
    return 0;
}

/* ---- life --------------------------------------------------------------- */

void vwl_secctx_init(struct vwl_secctx *secctx)
{
    memset(secctx, 0, sizeof *secctx);
    vwl_watched_init(&secctx->display);
    secctx->listener = secctx->read_end = -1;
    secctx->end = secctx->place = -1;
}

void vwl_secctx_finish(struct vwl_secctx *secctx)
{
    vwl_watched_clear(&secctx->display);
    close_fd(&secctx->listener);
    close_fd(&secctx->read_end);
    close_fd(&secctx->end);
    close_fd(&secctx->place);
    secctx->made = secctx->missing = false;
}

int vwl_secctx_start(struct vwl_secctx *secctx, const char *compositor,
                     const char *folder, const struct vwl_secctx_names *names)
{
    const struct vwl_talk_names all = { ENGINE, names->app_id,
                                        names->instance_id };
    struct stat st;
    int err, fd = -1;

    vwl_secctx_finish(secctx);
    /* first: one that is replaced meanwhile is found to be another */
    if (stat(compositor, &st) < 0) {
        return -errno;
    }
    secctx->dev = st.st_dev;
    secctx->ino = st.st_ino;
    secctx->mtime = st.st_mtim;
    err = vwl_talk_init(&secctx->talk, &all);
    err = err ? err : vwl_secctx_connect_plainly(compositor, &fd);
    vwl_watched_set(&secctx->display, fd);
    secctx->folder = folder;
    if (err < 0) {
        vwl_secctx_finish(secctx);
    }
    return err;
}

static bool is_same(const struct vwl_secctx *secctx, const char *compositor)
{
    struct stat st;

    return stat(compositor, &st) == 0 && st.st_dev == secctx->dev &&
           st.st_ino == secctx->ino &&
           st.st_mtim.tv_sec == secctx->mtime.tv_sec &&
           st.st_mtim.tv_nsec == secctx->mtime.tv_nsec;
}

bool vwl_secctx_is_made(const struct vwl_secctx *secctx, const char *compositor)
{
    return secctx->made && is_same(secctx, compositor);
}

bool vwl_secctx_is_missing(const struct vwl_secctx *secctx,
                           const char *compositor)
{
    return secctx->missing && is_same(secctx, compositor);
}

int vwl_secctx_connect(const struct vwl_secctx *secctx, int *fd)
{
    char path[40];

    snprintf(path, sizeof path, "/proc/self/fd/%d", secctx->place);
    return vwl_secctx_connect_plainly(path, fd);
}

/* ---- making it ---------------------------------------------------------- */

static ssize_t send_some(const struct vwl_secctx *secctx, const void *data,
                         size_t len)
{
    const int fds[2] = { secctx->listener, secctx->read_end };
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof fds)];
    } control = { 0 };
    struct iovec iov = { (void *)data, len };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (secctx->talk.fds_due) {
        msg.msg_control = &control;
        msg.msg_controllen = sizeof control;
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(sizeof fds);
        memcpy(CMSG_DATA(&control.head), fds, sizeof fds);
    }
    return sendmsg(secctx->display.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int send_all(struct vwl_secctx *secctx)
{
    const void *data;
    size_t len;

    if (secctx->talk.fds_due && secctx->listener < 0) {
        int err = make_listener(secctx);

        err = err ? err : make_ends(secctx);
        if (err < 0) {
            return err;
        }
    }
    while ((data = vwl_talk_to_send(&secctx->talk, &len))) {
        ssize_t n = send_some(secctx, data, len);

        if (n >= 0) {
            vwl_talk_sent(&secctx->talk, (size_t)n);
        } else if (errno == EAGAIN) {
            return -EINPROGRESS;
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

/* What the compositor sends with descriptors is not for us: there is no room
 * for any, so the kernel closes them. */
static int receive_some(struct vwl_secctx *secctx)
{
    char buffer[4096];
    struct iovec iov = { buffer, sizeof buffer };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t n = recvmsg(secctx->display.fd, &msg,
                        MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (n <= 0) {
        return n == 0 ? -ECONNRESET : -errno;
    }
    return vwl_talk_feed(&secctx->talk, buffer, (size_t)n);
}

/* A compositor that never stops sending is looked at again later. */
#define READS 64

static int advance(struct vwl_secctx *secctx)
{
    int err;

    for (int i = 0; i < READS; i++) {
        err = send_all(secctx);
        if (err < 0 && err != -EINPROGRESS) {
            return err;
        }
        err = receive_some(secctx);
        if (err == -EAGAIN) {
            return -EINPROGRESS;
        }
        if (err != -EINPROGRESS && err != -EINTR) {
            return err;
        }
    }
    return -EINPROGRESS;
}

short vwl_secctx_events(const struct vwl_secctx *secctx)
{
    size_t len;

    return vwl_talk_to_send(&secctx->talk, &len) ? POLLIN | POLLOUT : POLLIN;
}

int vwl_secctx_run(struct vwl_secctx *secctx)
{
    int err = advance(secctx);

    if (err == 0) {
        vwl_watched_clear(&secctx->display);
        close_fd(&secctx->listener);
        close_fd(&secctx->read_end);
        secctx->made = true;
    } else if (err != -EINPROGRESS) {
        vwl_secctx_finish(secctx);
        secctx->missing = err == -EOPNOTSUPP;
    }
    return err;
}
