/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/fd.h"

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
