/* SPDX-License-Identifier: BSD-3-Clause */
#include "filter.h"

#include <errno.h>

#ifndef HAVE_SECCOMP

int vwl_filter_enter(const struct vwl_filter_wishes *wishes)
{
    return -ENOSYS;
}

#else

#include <drm.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/sockios.h>
#include <linux/sync_file.h>
#include <linux/udmabuf.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define N(array) (sizeof(array) / sizeof *(array))

/* Without a look at their arguments: none takes a path that it opens, none
 * makes a socket or a process. By name, as not every machine has all. */
static const char *const daemon_calls[] = {
    /* bytes to and from descriptors that are open */
    "read",
    "readv",
    "pread64",
    "preadv",
    "preadv2",
    "write",
    "writev",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "splice",
    "tee",
    "lseek",
    "_llseek",
    "ftruncate",
    "ftruncate64",
    "fallocate",
    "fadvise64",
    "fsync",
    "fdatasync",
    "recvmsg",
    "recvfrom",
    "recv",
    "sendmsg",
    "send",
    "shutdown",
    "getsockopt",
    "getsockname",
    "getpeername",
    /* descriptors */
    "close",
    "close_range",
    "dup",
    "dup2",
    "dup3",
    "pipe",
    "pipe2",
    "eventfd2",
    "timerfd_create",
    "timerfd_settime",
    "timerfd_gettime",
    "timerfd_settime64",
    "timerfd_gettime64",
    "signalfd4",
    "memfd_create",
    "fstat",
    "fstat64",
    "newfstatat",
    "fstatat64",
    "statx",
    "fstatfs",
    "fstatfs64",
    "flock",
    /* waiting */
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "poll",
    "ppoll",
    "ppoll_time64",
    "select",
    "pselect6",
    "pselect6_time64",
    "_newselect",
    "nanosleep",
    "clock_nanosleep",
    "clock_nanosleep_time64",
    "futex",
    "futex_time64",
    "futex_waitv",
    "sched_yield",
    "restart_syscall",
    "wait4",
    "waitid",
    "waitpid",
    /* memory */
    "brk",
    "munmap",
    "mremap",
    "madvise",
    "mincore",
    "membarrier",
    /* signals */
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigpending",
    "rt_sigtimedwait",
    "rt_sigtimedwait_time64",
    "sigaltstack",
    "sigreturn",
    /* threads, their end, and what libc asks about them */
    "set_robust_list",
    "get_robust_list",
    "rseq",
    "set_tid_address",
    "gettid",
    "getpid",
    "getppid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "sched_getaffinity",
    "sched_getparam",
    "sched_getscheduler",
    "getcpu",
    "exit",
    "exit_group",
    "getrandom",
    "clock_gettime",
    "clock_gettime64",
    "clock_getres",
    "clock_getres_time64",
    "gettimeofday",
    "time",
    "getrusage",
    "getrlimit",
    "ugetrlimit",
    "sysinfo",
    "uname",
};

static const char *const connector_calls[] = {
    "poll",     "ppoll",      "ppoll_time64", "recvmsg",
    "sendmsg",  "connect",    "close",        "unlink",
    "unlinkat", "newfstatat", "fstatat64",    "statx",
    "lstat",    "lstat64",    "rt_sigreturn", "restart_syscall",
    "exit",     "exit_group",
};

/* To make a socket with a file, and what a security context is made of. */
static const char *const binding_calls[] = {
    "bind",      "listen",        "fchmod",          "pipe2",
    "getrandom", "clock_gettime", "clock_gettime64", "fstat",
    "fstat64",   "geteuid",       "geteuid32",
};

/* Nothing that is linked here ever calls these. */
static const char *const deadly_calls[] = {
    "execve",
    "execveat",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "pidfd_getfd",
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "bpf",
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "setns",
    "unshare",
    "open_by_handle_at",
    "userfaultfd",
    "perf_event_open",
    "keyctl",
    "add_key",
    "request_key",
};

static const int fcntl_commands[] = {
    F_GETFD,         F_SETFD,     F_GETFL,     F_SETFL,      F_DUPFD,
    F_DUPFD_CLOEXEC, F_ADD_SEALS, F_GET_SEALS, F_GETPIPE_SZ, F_SETPIPE_SZ,
};

static const unsigned long ioctls[] = {
    FIONREAD, FIONBIO, TCGETS, SIOCOUTQ, DMA_BUF_IOCTL_SYNC, SYNC_IOC_FILE_INFO,
};

/* Those of devices that make buffers. */
static const struct {
    unsigned int devices;
    unsigned long request;
} device_ioctls[] = {
    { VWL_FILTER_MEMORY, UDMABUF_CREATE },
    { VWL_FILTER_PAGES, UDMABUF_CREATE_LIST },
    { VWL_FILTER_MEMORY, DMA_HEAP_IOCTL_ALLOC },
    { VWL_FILTER_DUMB, DRM_IOCTL_MODE_CREATE_DUMB },
    { VWL_FILTER_DUMB, DRM_IOCTL_MODE_DESTROY_DUMB },
    { VWL_FILTER_DUMB, DRM_IOCTL_PRIME_HANDLE_TO_FD },
};

/* A DRM request's type and number; sizes differ between kernels. */
#define DRM_NUMBER(request) ((uint64_t)(request)&0xffff)

/* What a library that makes a GPU's buffers asks besides its driver's own
 * requests. Not here: to be the master, screens and modes, global names. */
static const uint64_t gpu_numbers[] = {
    DRM_NUMBER(DRM_IOCTL_VERSION),
    DRM_NUMBER(DRM_IOCTL_GET_UNIQUE),
    DRM_NUMBER(DRM_IOCTL_GEM_CLOSE),
    DRM_NUMBER(DRM_IOCTL_GET_CAP),
    DRM_NUMBER(DRM_IOCTL_SET_CLIENT_CAP),
    DRM_NUMBER(DRM_IOCTL_PRIME_HANDLE_TO_FD),
    DRM_NUMBER(DRM_IOCTL_PRIME_FD_TO_HANDLE),
    DRM_NUMBER(DRM_IOCTL_MODE_CREATE_DUMB),
    DRM_NUMBER(DRM_IOCTL_MODE_MAP_DUMB),
    DRM_NUMBER(DRM_IOCTL_MODE_DESTROY_DUMB),
    DRM_NUMBER(DRM_IOCTL_SYNCOBJ_CREATE),
    DRM_NUMBER(DRM_IOCTL_SYNCOBJ_DESTROY),
    DRM_NUMBER(DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD),
    DRM_NUMBER(DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE),
    DRM_NUMBER(DRM_IOCTL_SYNCOBJ_WAIT),
    DRM_NUMBER(DRM_IOCTL_SYNCOBJ_RESET),
    DRM_NUMBER(DRM_IOCTL_SYNCOBJ_SIGNAL),
    DRM_NUMBER(DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT),
    DRM_NUMBER(DRM_IOCTL_SYNCOBJ_QUERY),
    DRM_NUMBER(DRM_IOCTL_SYNCOBJ_TRANSFER),
    DRM_NUMBER(DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL),
};

/* DRM_COMMAND_BASE (0x40) to DRM_COMMAND_END (0xa0) are a driver's own: three
 * blocks of 32. */
static const uint64_t gpu_blocks[] = { 0x40, 0x60, 0x80 };
#define GPU_BLOCK UINT64_C(0xffe0)

static int by_name(scmp_filter_ctx ctx, uint32_t action, const char *name)
{
    int call = seccomp_syscall_resolve_name(name);

    return call == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(ctx, action, call, 0);
}

static int all(scmp_filter_ctx ctx, uint32_t action, const char *const *names,
               size_t n)
{
    int err = 0;

    for (size_t i = 0; i < n && err == 0; i++) {
        err = by_name(ctx, action, names[i]);
    }
    return err;
}

/* call, if the masked argument has that value */
static int when(scmp_filter_ctx ctx, int call, unsigned int arg, uint64_t mask,
                uint64_t value)
{
    return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 1,
                            SCMP_CMP(arg, SCMP_CMP_MASKED_EQ, mask, value));
}

#define ALL_BITS UINT64_MAX
#define LOW_32 UINT64_C(0xffffffff)
#define TYPE_BITS UINT64_C(0xf) /* the rest are SOCK_CLOEXEC and the like */

/* Unix pairs of types whose sends name no address. */
static int pairs(scmp_filter_ctx ctx)
{
    const int types[] = { SOCK_STREAM, SOCK_SEQPACKET };
    int err = 0;

    for (size_t i = 0; i < 2 && err == 0; i++) {
        err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 2,
                               SCMP_A0(SCMP_CMP_MASKED_EQ, LOW_32, AF_UNIX),
                               SCMP_A1(SCMP_CMP_MASKED_EQ, TYPE_BITS,
                                       (uint64_t)types[i]));
    }
    return err;
}

static int connecting(scmp_filter_ctx ctx)
{
    int err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
                               SCMP_A0(SCMP_CMP_MASKED_EQ, LOW_32, AF_UNIX),
                               SCMP_A1(SCMP_CMP_MASKED_EQ, TYPE_BITS,
                                       (uint64_t)SOCK_STREAM));

    return err ? err : by_name(ctx, SCMP_ACT_ALLOW, "connect");
}

static int gpu_requests(scmp_filter_ctx ctx)
{
    int err = 0;

    for (size_t i = 0; err == 0 && i < N(gpu_numbers); i++) {
        err = when(ctx, SCMP_SYS(ioctl), 1, 0xffff, gpu_numbers[i]);
    }
    for (size_t i = 0; err == 0 && i < N(gpu_blocks); i++) {
        err = when(ctx, SCMP_SYS(ioctl), 1, GPU_BLOCK,
                   (uint64_t)DRM_IOCTL_BASE << 8 | gpu_blocks[i]);
    }
    return err;
}

static int requests(scmp_filter_ctx ctx, unsigned int devices)
{
    int err = 0;

    for (size_t i = 0; err == 0 && i < N(ioctls); i++) {
        err = when(ctx, SCMP_SYS(ioctl), 1, LOW_32, ioctls[i]);
    }
    for (size_t i = 0; err == 0 && i < N(device_ioctls); i++) {
        if (devices & device_ioctls[i].devices) {
            err = when(ctx, SCMP_SYS(ioctl), 1, LOW_32,
                       device_ioctls[i].request);
        }
    }
    return err == 0 && (devices & VWL_FILTER_GPU) ? gpu_requests(ctx) : err;
}

/* Calls that are harmless with some arguments alone. */
static int with_arguments(scmp_filter_ctx ctx,
                          const struct vwl_filter_wishes *wishes)
{
    int err = pairs(ctx);

    if (err == 0 && wishes->listener >= 0) {
        err = when(ctx, SCMP_SYS(accept4), 0, LOW_32,
                   (uint64_t)wishes->listener);
    }
    if (err == 0 && wishes->control >= 0) {
        err = when(ctx, SCMP_SYS(accept4), 0, LOW_32,
                   (uint64_t)wishes->control);
    }
    for (size_t i = 0; err == 0 && i < N(fcntl_commands); i++) {
        err = when(ctx, SCMP_SYS(fcntl), 1, LOW_32,
                   (uint64_t)fcntl_commands[i]);
        if (err == 0) {
            err = when(ctx, SCMP_SYS(fcntl64), 1, LOW_32,
                       (uint64_t)fcntl_commands[i]);
        }
    }
    err = err ? err : requests(ctx, wishes->devices);
    /* no new code */
    err = err ? err : when(ctx, SCMP_SYS(mmap), 2, PROT_EXEC, 0);
    err = err ? err : when(ctx, SCMP_SYS(mmap2), 2, PROT_EXEC, 0);
    err = err ? err : when(ctx, SCMP_SYS(mprotect), 2, PROT_EXEC, 0);
    /* threads, not processes; clone3 hides its flags, and libc has clone */
    err = err ? err : when(ctx, SCMP_SYS(clone), 0, CLONE_THREAD, CLONE_THREAD);
    err = err ? err
              : seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3),
                                 0);
    /* limits are asked for, not set */
    err = err ? err : when(ctx, SCMP_SYS(prlimit64), 2, ALL_BITS, 0);
    err = err ? err : when(ctx, SCMP_SYS(prctl), 0, LOW_32, PR_SET_NAME);
    /* no address to send to */
    err = err ? err : when(ctx, SCMP_SYS(sendto), 4, ALL_BITS, 0);
    /* abort */
    return err ? err
               : when(ctx, SCMP_SYS(tgkill), 0, LOW_32, (uint64_t)getpid());
}

/* A place is no more than a name for a file: it cannot be read or written. */
static int binding(scmp_filter_ctx ctx)
{
    int err = all(ctx, SCMP_ACT_ALLOW, binding_calls, N(binding_calls));

    return err ? err : when(ctx, SCMP_SYS(openat), 2, O_PATH, O_PATH);
}

int vwl_filter_enter(const struct vwl_filter_wishes *wishes)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int err;

    if (!ctx) {
        return -ENOMEM;
    }
    (void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    err = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
    err = err ? err
              : seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH,
                                 SCMP_ACT_KILL_PROCESS);
    err = err ? err
              : all(ctx, SCMP_ACT_KILL_PROCESS, deadly_calls, N(deadly_calls));
    if (wishes->which == VWL_FILTER_DAEMON) {
        err = err ? err
                  : all(ctx, SCMP_ACT_ALLOW, daemon_calls, N(daemon_calls));
        err = err ? err : with_arguments(ctx, wishes);
        err = err || !wishes->may_connect ? err : connecting(ctx);
    } else {
        err = err ? err
                  : all(ctx, SCMP_ACT_ALLOW, connector_calls,
                        N(connector_calls));
        err = err ? err : when(ctx, SCMP_SYS(socket), 0, LOW_32, AF_UNIX);
        err = err || !wishes->may_bind ? err : binding(ctx);
    }
    err = err ? err : seccomp_load(ctx);
    seccomp_release(ctx);
    return err;
}

#endif
