/* SPDX-License-Identifier: BSD-3-Clause */
#include "connector.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define END_MS 2000 /* a path of a dead file system may hold it up */
#define NO_MEMORY_MS 10
#define NOTE_SOCKET UINT32_MAX /* instead of a socket's number */

union control {
    struct cmsghdr head;
    char bytes[CMSG_LEN(sizeof(int))]; /* CMSG_SPACE would take two */
};

/* One message: 32 bits, and a descriptor if there is one. */
static int send_word(int to, uint32_t word, int fd, int flags)
{
    union control control = { 0 };
    struct iovec iov = { &word, sizeof word };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t n;

    if (fd >= 0) {
        msg.msg_control = &control;
        msg.msg_controllen = sizeof control;
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    }
    do {
        n = sendmsg(to, &msg, MSG_NOSIGNAL | flags);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

/* ---- in the connector --------------------------------------------------- */

static int connect_to(const char *path, int *out)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    size_t len = strlen(path);
    int fd, err;

    if (len >= sizeof sun.sun_path) {
        return -ENAMETOOLONG;
    }
    memcpy(sun.sun_path, path, len);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -errno;
    }
    if (connect(fd, (struct sockaddr *)&sun, sizeof sun) < 0) {
        err = -errno;
        close(fd);
        return err;
    }
    *out = fd;
    return 0;
}

struct connecting {
    const struct vwl_options *options;
    int from; /* the daemon */
    bool noted;
    dev_t dev; /* of the socket to remove, if noted */
    ino_t ino;
};

static void note_socket(struct connecting *connecting)
{
    const char *path = connecting->options->socket_path;
    struct stat st;

    if (path && lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
        connecting->noted = true;
        connecting->dev = st.st_dev;
        connecting->ino = st.st_ino;
    }
}

/* Not one that another daemon has bound there since. */
static void remove_socket(const struct connecting *connecting)
{
    const char *path = connecting->options->socket_path;
    struct stat st;

    if (connecting->noted && lstat(path, &st) == 0 &&
        st.st_dev == connecting->dev && st.st_ino == connecting->ino) {
        unlink(path);
    }
}

static void serve(const struct connecting *connecting, uint32_t index,
                  int answer)
{
    const struct vwl_config *config = &connecting->options->config;
    int fd = -1, err = -EINVAL;

    if (index < config->n_sockets) {
        err = connect_to(config->sockets[index].path, &fd);
    }
    send_word(answer, (uint32_t)err, fd, MSG_DONTWAIT);
    if (fd >= 0) {
        close(fd);
    }
}

/* False: the daemon is gone. */
static bool next(struct connecting *connecting)
{
    union control control = { 0 };
    uint32_t word;
    struct iovec iov = { &word, sizeof word };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = &control,
                          .msg_controllen = sizeof control };
    ssize_t n = recvmsg(connecting->from, &msg, MSG_CMSG_CLOEXEC);
    int answer;

    if (n < 0 && (errno == ENOMEM || errno == ENOBUFS)) {
        poll(NULL, 0, NO_MEMORY_MS); /* the question stays where it is */
        return true;
    }
    if (n <= 0) {
        return n < 0 && errno == EINTR;
    }
    if (msg.msg_controllen >= CMSG_LEN(sizeof answer)) {
        memcpy(&answer, CMSG_DATA(&control.head), sizeof answer);
        if (n == sizeof word) {
            serve(connecting, word, answer);
        }
        close(answer);
    } else if (n == sizeof word && word == NOTE_SOCKET) {
        note_socket(connecting);
    }
    return true;
}

static void G_GNUC_NORETURN connector_main(const struct vwl_options *options,
                                           int from,
                                           vwl_connector_confine_fn confine)
{
    struct connecting connecting = { .options = options, .from = 3 };
    struct vwl_sandbox_report report;
    struct iovec iov = { &report, sizeof report };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    sigset_t all;
    int null;

    /* Nothing of the daemon's stays open here, not even --fd; its end is
     * ours, so signals are for it alone. */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    if (from != 3 && dup2(from, 3) < 0) {
        _exit(1);
    }
    close_range(4, ~0u, 0);
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd <= 2; fd++) {
        if (null < 0 || dup2(null, fd) < 0) {
            close(fd);
        }
    }
    confine(options, &report);
    if (sendmsg(connecting.from, &msg, MSG_NOSIGNAL) < 0) {
        _exit(1);
    }
    while (next(&connecting)) {
    }
    remove_socket(&connecting);
    _exit(0);
}

/* ---- in the daemon ------------------------------------------------------ */

int vwl_connector_start(struct vwl_connector *connector,
                        const struct vwl_options *options,
                        vwl_connector_confine_fn confine,
                        struct vwl_sandbox_report *report)
{
    int sv[2], err;
    ssize_t n;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0) {
        return -errno;
    }
    connector->pid = fork();
    if (connector->pid == 0) {
        connector_main(options, sv[1], confine);
    }
    err = connector->pid < 0 ? -errno : 0;
    close(sv[1]);
    if (err < 0) {
        close(sv[0]);
        return err;
    }
    connector->fd = sv[0];
    do {
        n = recv(sv[0], report, sizeof *report, 0);
    } while (n < 0 && errno == EINTR);
    return n == sizeof *report ? 0 : -ECHILD;
}

void vwl_connector_note_socket(const struct vwl_connector *connector)
{
    if (connector->fd >= 0) {
        send_word(connector->fd, NOTE_SOCKET, -1, MSG_DONTWAIT);
    }
}

int vwl_connector_connect(const struct vwl_connector *connector, size_t index,
                          int *fd)
{
    int sv[2], err;

    if (index >= NOTE_SOCKET) {
        return -EINVAL;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                   sv) < 0) {
        return -errno;
    }
    err = send_word(connector->fd, (uint32_t)index, sv[1], MSG_DONTWAIT);
    close(sv[1]);
    if (err < 0) {
        close(sv[0]);
        return err;
    }
    *fd = sv[0];
    return 0;
}

void vwl_connector_stop(struct vwl_connector *connector)
{
    struct pollfd p = { .events = POLLIN };

    if (connector->fd < 0) {
        return;
    }
    shutdown(connector->fd, SHUT_WR);
    p.fd = connector->fd;
    if (poll(&p, 1, END_MS) > 0) {
        while (waitpid(connector->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    close(connector->fd);
    connector->fd = -1;
}
