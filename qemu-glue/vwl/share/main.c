/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vwl-share: a folder for a virtual machine, by virtiofsd as an ordinary user.
 *
 *     vwl-share SOCKET FOLDER VIRTIOFSD COMMAND [ARGUMENT]...
 *
 * Starts VIRTIOFSD, which serves FOLDER at SOCKET, and becomes COMMAND, QEMU.
 * When that ends, so does virtiofsd.
 *
 * Debian 12's virtiofsd takes it for granted to be root. It gets a user
 * namespace in which it has root's capabilities over what is this user's
 * anyway, and this user alone is known: what the guest's user of the same
 * number makes is this user's, and nobody else of the guest can make anything.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_COMMAND_WORD 4
#define USAGE_STATUS 2
#define MOST_PATH 4096

static void complain(const char *what)
{
    fprintf(stderr, "vwl-share: %s: %s\n", what, strerror(errno));
}

/* ---- the namespace ------------------------------------------------------ */

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

    if (fd >= 0) {
        close(fd);
    }
    return n < 0 ? -1 : 0;
}

/* Across exec, which takes them from all but root. */
static int keep_capabilities(void)
{
    struct __user_cap_header_struct head = {
        .version = _LINUX_CAPABILITY_VERSION_3,
    };
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];

    if (syscall(SYS_capget, &head, sets) < 0) {
        return -1;
    }
    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        sets[i].inheritable = sets[i].permitted;
    }
    if (syscall(SYS_capset, &head, sets) < 0) {
        return -1;
    }
    for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0;
         cap++) {
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
    }
    return 0;
}

static int enter_namespace(void)
{
    unsigned int uid = getuid(), gid = getgid();
    char users[64], groups[64];

    snprintf(users, sizeof users, "%u %u 1", uid, uid);
    snprintf(groups, sizeof groups, "%u %u 1", gid, gid);
    if (unshare(CLONE_NEWUSER) < 0 ||
        write_file("/proc/self/setgroups", "deny") < 0 ||
        write_file("/proc/self/uid_map", users) < 0 ||
        write_file("/proc/self/gid_map", groups) < 0) {
        return -1;
    }
    return keep_capabilities();
}

/* ---- the server --------------------------------------------------------- */

static int listen_at(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    mode_t before = umask(077);

    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    unlink(path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(fd, 1) < 0) {
        return -1;
    }
    umask(before);
    return fd;
}

/* In the child; comes back only if it failed. */
static void serve(int fd, const char *folder, const char *virtiofsd,
                  pid_t parent)
{
    char socket_word[32], folder_word[MOST_PATH + 16];

    if (getuid() != 0 && enter_namespace() < 0) {
        complain("a user namespace for virtiofsd");
        return;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        return;
    }
    fcntl(fd, F_SETFD, 0);
    snprintf(socket_word, sizeof socket_word, "--fd=%d", fd);
    snprintf(folder_word, sizeof folder_word, "source=%s", folder);
    execl(virtiofsd, virtiofsd, socket_word, "-o", folder_word, (char *)NULL);
    complain(virtiofsd);
}

int main(int argc, char **argv)
{
    pid_t parent = getpid(), child;
    int fd;

    if (argc <= FIRST_COMMAND_WORD || strlen(argv[2]) >= MOST_PATH) {
        fprintf(stderr, "vwl-share: give SOCKET FOLDER VIRTIOFSD COMMAND\n");
        return USAGE_STATUS;
    }
    fd = listen_at(argv[1]);
    if (fd < 0) {
        complain(argv[1]);
        return 1;
    }
    child = fork();
    if (child == 0) {
        serve(fd, argv[2], argv[3], parent);
        _exit(1);
    }
    if (child < 0) {
        complain("virtiofsd");
        return 1;
    }
    close(fd);
    execvp(argv[FIRST_COMMAND_WORD], argv + FIRST_COMMAND_WORD);
    complain(argv[FIRST_COMMAND_WORD]);
    return 1;
}
