/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A plugin that has turned against its host: at the first front-end it tries
 * what VWL_INTRUDE names, one attempt or "all" that it may survive, and logs
 * for each "try NAME: allowed", or why not.
 */
#include <drm.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vhost-user-wl/plugin.h"

static const struct vwl_host *host;

/* VWL_INTRUDE_FOLDER holds "file", and "other", a listening socket. */
static const char *in_folder(const char *name)
{
    static char path[100];

    g_snprintf(path, sizeof path, "%s/%s", g_getenv("VWL_INTRUDE_FOLDER"),
               name);
    return path;
}

static struct sockaddr_un address_of(const char *name)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };

    g_strlcpy(sun.sun_path, in_folder(name), sizeof sun.sun_path);
    return sun;
}

static int try_read(void)
{
    return open(in_folder("file"), O_RDONLY | O_CLOEXEC);
}

static int try_write(void)
{
    return open(in_folder("file"), O_WRONLY | O_CLOEXEC);
}

static int try_create(void)
{
    return open(in_folder("new"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
}

static int try_folder(void)
{
    return open(in_folder("."), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int try_mkdir(void)
{
    return mkdir(in_folder("folder"), 0700);
}

static int try_unlink(void)
{
    return unlink(in_folder("victim"));
}

static int try_chmod(void)
{
    return chmod(in_folder("file"), 0644);
}

static int try_other_socket(void)
{
    struct sockaddr_un sun = address_of("other");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return fd < 0 ? fd : connect(fd, (struct sockaddr *)&sun, sizeof sun);
}

/* A name that is no file: somebody listens there. */
static int try_abstract(void)
{
    struct sockaddr_un sun = address_of("abstract");
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
                                strlen(sun.sun_path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    sun.sun_path[0] = 0;
    return fd < 0 ? fd : connect(fd, (struct sockaddr *)&sun, len);
}

/* Datagrams name their address in each send. */
static int try_datagram(void)
{
    int sv[2];

    return socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, sv);
}

/* One end of a pair that is allowed. */
static int try_reconnect(void)
{
    struct sockaddr_un sun = address_of("other");
    int sv[2];

    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0
               ? 0
               : connect(sv[0], (struct sockaddr *)&sun, sizeof sun);
}

static int try_bind(void)
{
    struct sockaddr_un sun = address_of("bound");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return fd < 0 ? fd : bind(fd, (struct sockaddr *)&sun, sizeof sun);
}

static int try_tcp(void)
{
    return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int try_fork(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        _exit(0);
    }
    return pid < 0 ? -1 : waitpid(pid, NULL, 0);
}

static int try_code(void)
{
    void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return at == MAP_FAILED ? -1 : 0;
}

static int try_code_later(void)
{
    void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return at == MAP_FAILED ? 0 : mprotect(at, 4096, PROT_READ | PROT_EXEC);
}

static int try_signal(void)
{
    return kill(getppid(), 0);
}

static int try_dumpable(void)
{
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static int try_limits(void)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_CORE, &limit) < 0 ? 0
                                              : setrlimit(RLIMIT_CORE, &limit);
}

static int try_io_uring(void)
{
    char params[120] = { 0 };

    return (int)syscall(SYS_io_uring_setup, 4, params);
}

/* Bytes from somewhere to somewhere: ways that the device does not use. */
static int try_vmsplice(void)
{
    struct iovec iov = { (char *)"x", 1 };
    int ends[2];

    return pipe(ends) < 0 ? 0 : (int)vmsplice(ends[1], &iov, 1, 0);
}

static int with_files(bool do_send)
{
    int from = memfd_create("from", MFD_CLOEXEC);
    int to = memfd_create("to", MFD_CLOEXEC);

    return from < 0 || to < 0 || write(from, "x", 1) != 1 ||
                   lseek(from, 0, SEEK_SET) != 0
               ? 0
           : do_send ? (int)sendfile(to, from, NULL, 1)
                     : (int)copy_file_range(from, NULL, to, NULL, 1, 0);
}

static int try_sendfile(void)
{
    return with_files(true);
}

static int try_copy_range(void)
{
    return with_files(false);
}

static int with_many(bool do_send)
{
    char byte = 'x';
    struct iovec iov = { &byte, 1 };
    struct mmsghdr msgs = { .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1 } };
    int sv[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0 ||
        send(sv[0], "y", 1, 0) != 1) {
        return 0;
    }
    return do_send ? sendmmsg(sv[0], &msgs, 1, 0)
                   : recvmmsg(sv[1], &msgs, 1, 0, NULL);
}

static int try_sendmmsg(void)
{
    return with_many(true);
}

static int try_recvmmsg(void)
{
    return with_many(false);
}

/* Not the daemon's listener, and no listener at all. */
static int try_accept(void)
{
    return accept4(0, NULL, NULL, SOCK_CLOEXEC);
}

static int try_drm_master(void)
{
    return ioctl(0, DRM_IOCTL_SET_MASTER);
}

static int try_drm_modes(void)
{
    return ioctl(0, DRM_IOCTL_MODE_SETCRTC);
}

static int try_drm_version(void)
{
    return ioctl(0, DRM_IOCTL_VERSION);
}

static int try_drm_driver(void)
{
    return ioctl(0, _IO(DRM_IOCTL_BASE, 0x9f));
}

static int try_execve(void)
{
    char *argv[] = { (char *)"/bin/true", NULL };

    return execv(argv[0], argv);
}

static int try_ptrace(void)
{
    return (int)ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static const struct {
    const char *name;
    int (*attempt)(void);
    bool deadly;
} attempts[] = {
    { "read", try_read },
    { "write", try_write },
    { "create", try_create },
    { "folder", try_folder },
    { "mkdir", try_mkdir },
    { "unlink", try_unlink },
    { "chmod", try_chmod },
    { "other-socket", try_other_socket },
    { "abstract", try_abstract },
    { "datagram", try_datagram },
    { "reconnect", try_reconnect },
    { "bind", try_bind },
    { "tcp", try_tcp },
    { "fork", try_fork },
    { "code", try_code },
    { "code-later", try_code_later },
    { "signal", try_signal },
    { "dumpable", try_dumpable },
    { "limits", try_limits },
    { "io-uring", try_io_uring },
    { "vmsplice", try_vmsplice },
    { "sendfile", try_sendfile },
    { "copy-range", try_copy_range },
    { "sendmmsg", try_sendmmsg },
    { "recvmmsg", try_recvmmsg },
    { "accept", try_accept },
    { "drm-master", try_drm_master },
    { "drm-modes", try_drm_modes },
    { "drm-version", try_drm_version },
    { "drm-driver", try_drm_driver },
    { "execve", try_execve, true },
    { "ptrace", try_ptrace, true },
};

static void report(const char *name, int err)
{
    char line[100];

    g_snprintf(line, sizeof line, "try %s: %s", name,
               err == 0        ? "allowed"
               : err == EPERM  ? "EPERM"
               : err == EACCES ? "EACCES"
                               : g_strerror(err));
    host->log(host->opaque, VWL_LOG_INFO, line);
}

/* Through the connector: the answer's status, or -errno. */
static int ask(size_t index)
{
    int fd, status = -EIO;
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = { &status, sizeof status };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = &control,
                          .msg_controllen = sizeof control };
    int err = host->socket_connect(host->opaque, index, &fd);
    ssize_t n;

    if (err < 0) {
        return err;
    }
    do {
        n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (n < 0 && (errno == EAGAIN || errno == EINTR));
    close(fd);
    return n == sizeof status ? status : -EPROTO;
}

static int on_start(struct vwl_device *dev, struct _GMainContext *context,
                    int *fd)
{
    const char *what = g_getenv("VWL_INTRUDE");

    for (size_t i = 0; i < G_N_ELEMENTS(attempts); i++) {
        bool all = strcmp(what, "all") == 0 && !attempts[i].deadly;

        if (all || strcmp(what, attempts[i].name) == 0) {
            report(attempts[i].name, attempts[i].attempt() < 0 ? errno : 0);
        }
    }
    if (host->socket_connect) {
        report("given", -ask(0));
        report("not-given", -ask(1));
        report("far", -ask(SIZE_MAX));
    }
    return -ECANCELED;
}

static int on_new(const struct vwl_config *cfg, const struct vwl_host *of,
                  struct vwl_device **out)
{
    host = of;
    *out = (struct vwl_device *)(uintptr_t)&host;
    return 0;
}

static void nothing(struct vwl_device *dev)
{
}

static const struct vwl_plugin plugin = {
    .size = sizeof plugin,
    .abi = VWL_PLUGIN_ABI,
    .version = "intruder",
    .device_new = on_new,
    .device_start = on_start,
    .device_stop = nothing,
    .device_free = nothing,
};

const struct vwl_plugin *vwl_plugin_get(void)
{
    return &plugin;
}
