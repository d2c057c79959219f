/* SPDX-License-Identifier: BSD-3-Clause */
#include "landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's struct as of ABI 6; <linux/landlock.h> may be older. */
struct ruleset {
    uint64_t fs;
    uint64_t net;
    uint64_t scoped;
};

#define FS_ABI_1 ((UINT64_C(1) << 13) - 1)
#define FS_REFER (UINT64_C(1) << 13)
#define FS_TRUNCATE (UINT64_C(1) << 14)
#define FS_IOCTL_DEV (UINT64_C(1) << 15)
#define FS_RESOLVE_UNIX (UINT64_C(1) << 16)
#define NET_TCP UINT64_C(3)
#define SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS UINT64_C(3)

static size_t fill(struct ruleset *ruleset, int abi, bool of_sockets)
{
    *ruleset = (struct ruleset){ .fs = FS_ABI_1 };
    ruleset->fs |= abi >= 2 ? FS_REFER : 0;
    ruleset->fs |= abi >= 3 ? FS_TRUNCATE : 0;
    ruleset->fs |= abi >= 5 ? FS_IOCTL_DEV : 0;
    ruleset->fs |= abi >= VWL_LANDLOCK_SOCKETS_ABI && of_sockets
                       ? FS_RESOLVE_UNIX
                       : 0;
    ruleset->net = abi >= 4 ? NET_TCP : 0;
    ruleset->scoped = abi >= 6 ? SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS : 0;
    return abi >= 6   ? sizeof *ruleset
           : abi >= 4 ? offsetof(struct ruleset, scoped)
                      : offsetof(struct ruleset, net);
}

static int allow(int ruleset_fd, const char *path, int flags, uint64_t what)
{
    struct landlock_path_beneath_attr rule = {
        .allowed_access = what,
        .parent_fd = open(path, O_PATH | O_CLOEXEC | flags),
    };
    int err = 0;

    if (rule.parent_fd < 0) {
        return -errno;
    }
    if (syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH,
                &rule, 0) < 0) {
        err = -errno;
    }
    close(rule.parent_fd);
    return err;
}

/* One that is not there yet is for others to connect to. */
static void allow_sockets(int ruleset_fd,
                          const struct vwl_landlock_wishes *wishes)
{
    for (size_t i = 0; i < wishes->n_sockets; i++) {
        (void)!allow(ruleset_fd, wishes->sockets[i], 0, FS_RESOLVE_UNIX);
    }
}

int vwl_landlock_enter(const struct vwl_landlock_wishes *wishes)
{
    int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0,
                           LANDLOCK_CREATE_RULESET_VERSION);
    struct ruleset ruleset;
    size_t size;
    int fd, err = 0;

    if (abi < 0) {
        return -errno;
    }
    size = fill(&ruleset, abi, wishes->sockets != NULL);
    fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, size, 0);
    if (fd < 0) {
        return -errno;
    }
    if (wishes->may_remove_in) {
        err = allow(fd, wishes->may_remove_in, O_DIRECTORY,
                    LANDLOCK_ACCESS_FS_REMOVE_FILE);
    }
    if (err == 0 && wishes->may_bind_in) {
        err = allow(fd, wishes->may_bind_in, O_DIRECTORY,
                    LANDLOCK_ACCESS_FS_MAKE_SOCK |
                        LANDLOCK_ACCESS_FS_REMOVE_FILE);
    }
    if (ruleset.fs & FS_RESOLVE_UNIX) {
        allow_sockets(fd, wishes);
    }
    if (err == 0 && syscall(SYS_landlock_restrict_self, fd, 0) < 0) {
        err = -errno;
    }
    close(fd);
    return err < 0 ? err : abi;
}
