/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A plugin that has turned against its host: at the first front-end it tries
 * what VWL_INTRUDE names, one attempt or "all" that it may survive, and logs
 * for each "try NAME: allowed", or why not.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
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
