/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/fd.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>

int vwl_fd_admit(int fd)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
        limit.rlim_cur == RLIM_INFINITY) {
        return 0;
    }
    return (rlim_t)fd + VWL_FD_RESERVE < limit.rlim_cur ? 0 : -EMFILE;
}

int vwl_sealed_memfd(const char *name, uint64_t size_bytes, int *fd)
{
    vwl_autofd int made = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (made < 0 || ftruncate(made, (off_t)size_bytes) < 0 ||
        fcntl(made, F_ADD_SEALS,
              F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        return -errno;
    }
    if (vwl_fd_admit(made) < 0) {
        return -EMFILE;
    }
    *fd = vwl_fd_steal(&made);
    return 0;
}
