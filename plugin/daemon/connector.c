/* SPDX-License-Identifier: BSD-3-Clause */
#include "connector.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "context.h"
#include "say.h"

#define END_MS 2000 /* a path of a dead file system may hold it up */
#define NO_MEMORY_MS 10
#define NOTE_SOCKET UINT32_MAX /* instead of a socket's number */
/* The plugin keeps fewer; what is more serves for one question. */
#define CHANNELS_MAX 64

/* From the daemon: the index alone, with a channel to answer on, which brings
 * the next ones (the index alone, too) until its end; or NOTE_SOCKET and what
 * it bound. */
struct ask {
    uint32_t index;
    struct vwl_bound bound;
};

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

/* To the daemon, when it is another than before. */
struct note {
    uint32_t index; /* of the socket */
    int32_t state;  /* enum vwl_context_state */
    int32_t why;    /* -errno */
};

struct connecting {
    const struct vwl_options *options;
    bool noted;             /* that the daemon's socket is bound */
    struct vwl_bound bound; /* what to remove at the end, if noted */
    struct vwl_context_config config;
    struct vwl_context *contexts;           /* one for each socket */
    struct note *notes;                     /* the last one of each */
    struct pollfd polled[1 + CHANNELS_MAX]; /* the daemon, channels */
    nfds_t n_polled;
};

static void tell(struct connecting *connecting, uint32_t index,
                 enum vwl_context_state state, int why)
{
    const struct note note = { index, (int32_t)state, why };
    struct iovec iov = { (void *)&note, sizeof note };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    struct note *last = &connecting->notes[index];

    if (state != VWL_CONTEXT_NONE &&
        (last->state != note.state || last->why != note.why) &&
        sendmsg(connecting->polled[0].fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) >=
            0) {
        *last = note;
    }
}

static int connect_to(struct connecting *connecting, uint32_t index, int *fd)
{
    const struct vwl_options *options = connecting->options;
    enum vwl_context_state state;
    int err, why = 0;

    if (!vwl_options_wants_context(options, index)) {
        return vwl_secctx_connect_plainly(options->config.sockets[index].path,
                                          fd);
    }
    err = vwl_context_connect(&connecting->contexts[index], fd, &state, &why);
    tell(connecting, index, state, why);
    return err;
}

static void serve(struct connecting *connecting, uint32_t index, int channel)
{
    int fd = -1, err = -EINVAL;

    if (index < connecting->options->config.n_sockets) {
        err = connect_to(connecting, index, &fd);
    }
    send_word(channel, (uint32_t)err, fd, MSG_DONTWAIT);
    if (fd >= 0) {
        close(fd);
    }
}

static bool is_at_end(int channel)
{
    struct pollfd p = { .fd = channel };

    return poll(&p, 1, 0) > 0;
}

/* The first question of a channel, which comes with it. */
static void open_channel(struct connecting *connecting, uint32_t index,
                         int channel)
{
    if (is_at_end(channel)) {
        close(channel); /* whoever asked does not wait any more */
        return;
    }
    serve(connecting, index, channel);
    if (connecting->n_polled <= CHANNELS_MAX) {
        connecting->polled[connecting->n_polled++] = (struct pollfd){
            .fd = channel,
            .events = POLLIN,
        };
    } else {
        close(channel);
    }
}

/* False: the daemon is gone. */
static bool next(struct connecting *connecting)
{
    union control control = { 0 };
    struct ask ask;
    struct iovec iov = { &ask, sizeof ask };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = &control,
                          .msg_controllen = sizeof control };
    ssize_t n = recvmsg(connecting->polled[0].fd, &msg, MSG_CMSG_CLOEXEC);
    int channel;

    if (n < 0 && (errno == ENOMEM || errno == ENOBUFS)) {
        poll(NULL, 0, NO_MEMORY_MS); /* the question stays where it is */
        return true;
    }
    if (n <= 0) {
        return n < 0 && errno == EINTR;
    }
    if (msg.msg_controllen >= CMSG_LEN(sizeof channel)) {
        memcpy(&channel, CMSG_DATA(&control.head), sizeof channel);
        if (n == sizeof ask.index) {
            open_channel(connecting, ask.index, channel);
        } else {
            close(channel);
        }
    } else if (n == sizeof ask && ask.index == NOTE_SOCKET) {
        connecting->noted = true;
        connecting->bound = ask.bound;
    }
    return true;
}

/* False: the channel is at its end. */
static bool next_of_channel(struct connecting *connecting,
                            const struct pollfd *channel)
{
    uint32_t index;
    struct iovec iov = { &index, sizeof index };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t n;

    if (channel->revents & (POLLHUP | POLLERR | POLLNVAL)) {
        return false; /* whoever may have asked does not wait any more */
    }
    if (channel->revents & POLLIN) {
        n = recvmsg(channel->fd, &msg, MSG_DONTWAIT);
        if (n != sizeof index) {
            return n < 0;
        }
        serve(connecting, index, channel->fd);
    }
    return true;
}

/* False: the daemon is gone. */
static bool turn(struct connecting *connecting)
{
    struct pollfd *polled = connecting->polled;
    nfds_t left = 1;

    if (poll(polled, connecting->n_polled, -1) < 0) {
        return errno == EINTR || errno == ENOMEM;
    }
    for (nfds_t i = 1; i < connecting->n_polled; i++) {
        if (next_of_channel(connecting, &polled[i])) {
            polled[left++] = polled[i];
        } else {
            close(polled[i].fd);
        }
    }
    connecting->n_polled = left;
    return polled[0].revents == 0 || next(connecting);
}

/* Before it is confined: there is no memory to be had afterwards. */
static void make_contexts(struct connecting *connecting)
{
    const struct vwl_options *options = connecting->options;
    size_t n = options->config.n_sockets;

    connecting->config = (struct vwl_context_config){
        .mode = options->config.security_context,
        .names = &options->context_names,
        .folder = options->context_folder,
    };
    connecting->contexts = g_new0(struct vwl_context, n);
    connecting->notes = g_new0(struct note, n);
    for (size_t i = 0; i < n; i++) {
        vwl_context_init(&connecting->contexts[i], &connecting->config,
                         options->config.sockets[i].path);
    }
}

static void G_GNUC_NORETURN connector_main(const struct vwl_options *options,
                                           int from,
                                           vwl_connector_confine_fn confine)
{
    struct connecting connecting = {
        .options = options,
        .polled = { { .fd = 3, .events = POLLIN } },
        .n_polled = 1,
    };
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
    make_contexts(&connecting);
    confine(options, &report);
    if (sendmsg(connecting.polled[0].fd, &msg, MSG_NOSIGNAL) < 0) {
        _exit(1);
    }
    while (turn(&connecting)) {
    }
    if (connecting.noted) {
        vwl_bound_unlink(&connecting.bound, options->socket_path);
    }
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

void vwl_connector_note_socket(const struct vwl_connector *connector,
                               const struct vwl_bound *bound)
{
    struct ask ask = { NOTE_SOCKET, *bound };

    if (connector->fd >= 0) {
        (void)!send(connector->fd, &ask, sizeof ask,
                    MSG_NOSIGNAL | MSG_DONTWAIT);
    }
}

static void log_note(const struct note *note, const struct vwl_options *options)
{
    const struct vwl_config *config = &options->config;
    const char *path = config->sockets[note->index].path;

    if (note->state == VWL_CONTEXT_MADE) {
        vwl_say("security context: guests connect to %s as %s", path,
                options->context_names.app_id);
    } else if (note->state == VWL_CONTEXT_FAILED) {
        vwl_say("security context: none could be made at %s: %s; guests "
                "cannot connect",
                path, g_strerror(-note->why));
    } else {
        vwl_say("security context: the compositor at %s has none "
                "(wp_security_context_v1): %s",
                path,
                config->security_context == VWL_SECURITY_CONTEXT_REQUIRE
                    ? "guests cannot connect (--security-context=require)"
                    : "it cannot tell guests from programs of this host");
    }
}

bool vwl_connector_log(const struct vwl_connector *connector,
                       const struct vwl_options *options)
{
    struct note note;
    ssize_t n = recv(connector->fd, &note, sizeof note, MSG_DONTWAIT);

    if (n == sizeof note && note.index < options->config.n_sockets) {
        log_note(&note, options);
    }
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
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

int vwl_connector_connect_again(size_t index, int fd)
{
    if (index >= NOTE_SOCKET) {
        return -EINVAL;
    }
    return send_word(fd, (uint32_t)index, -1, MSG_DONTWAIT);
}

int vwl_connector_open(const struct vwl_connector *connector,
                       const struct vwl_options *options, size_t index, int *fd)
{
    return index < 64 && (connector->not_for >> index & 1)
               ? vwl_secctx_connect_plainly(options->config.sockets[index].path,
                                            fd)
               : -EOPNOTSUPP;
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
