/* SPDX-License-Identifier: BSD-3-Clause */
#include "inject.h"

#include <errno.h>
#include <glib.h>
#include <link.h>
#include <stdint.h>
#include <string.h>

#define MOST_ERRORS 6

struct row {
    const char *name;
    bool can_be_short;
    int errors[MOST_ERRORS];
};

static const struct row rows[CALL_COUNT] = {
    [CALL_OPEN] = { "open", false, { EMFILE, ENOMEM } },
    [CALL_SOCKET] = { "socket", false, { EMFILE, ENOBUFS } },
    [CALL_CONNECT] = { "connect", false, { ECONNREFUSED, EAGAIN, ENOMEM } },
    [CALL_GETSOCKOPT] = { "getsockopt", false, { ENOBUFS } },
    [CALL_SENDMSG] = { "sendmsg",
                       true,
                       { EINTR, EAGAIN, ENOBUFS, ENOMEM, ETOOMANYREFS } },
    [CALL_RECVMSG] = { "recvmsg",
                       true,
                       { EINTR, EAGAIN, ENOMEM, ENOBUFS, ECONNRESET } },
    [CALL_RECV] = { "recv", true, { EINTR, EAGAIN, ENOMEM } },
    [CALL_READ] = { "read", true, { EINTR, EAGAIN, EIO } },
    [CALL_READV] = { "readv", true, { EINTR, EIO } },
    [CALL_PREADV2] = { "preadv2", false, { EINTR, EAGAIN } },
    [CALL_PREAD] = { "pread", true, { EINTR, EIO } },
    [CALL_WRITE] = { "write", true, { EINTR, EAGAIN, EIO } },
    [CALL_WRITEV] = { "writev", true, { EINTR, EAGAIN, EPIPE } },
    [CALL_PWRITE] = { "pwrite", true, { EINTR, ENOSPC, EIO } },
    [CALL_SPLICE] = { "splice", true, { EINTR, EAGAIN, ENOMEM, EIO } },
    [CALL_TEE] = { "tee", false, { EINTR, EAGAIN, ENOMEM } },
    [CALL_MMAP] = { "mmap", false, { ENOMEM, EAGAIN } },
    [CALL_MUNMAP] = { "munmap", false, { ENOMEM } },
    [CALL_FTRUNCATE] = { "ftruncate", false, { EFBIG, ENOSPC } },
    [CALL_MEMFD] = { "memfd_create", false, { EMFILE, ENOMEM } },
    [CALL_FCNTL] = { "fcntl", false, { EMFILE, EPERM } },
    [CALL_IOCTL] = { "ioctl", false, { ENOMEM } },
    [CALL_EPOLL_CREATE] = { "epoll_create1", false, { EMFILE, ENOMEM } },
    [CALL_EPOLL_CTL] = { "epoll_ctl", false, { ENOMEM, ENOSPC } },
    [CALL_EPOLL_WAIT] = { "epoll_wait", false, { EINTR } },
    [CALL_TIMERFD] = { "timerfd_create", false, { EMFILE, ENOMEM } },
    [CALL_TIMERFD_SET] = { "timerfd_settime", false, { 0 } }, /* cannot */
    [CALL_FSTAT] = { "fstat", false, { ENOMEM, EIO } },
    [CALL_STATX] = { "statx", false, { 0 } }, /* of what is open: cannot */
    [CALL_CLOSE] = { "close", false, { EINTR, EIO } },
    [CALL_PIPE] = { "pipe2", false, { EMFILE, ENFILE } },
    [CALL_POLL] = { "poll", false, { EINTR, ENOMEM } },
    [CALL_THREAD] = { "pthread_create", false, { EAGAIN } },
    [CALL_MALLOC] = { "g_try_malloc", false, { ENOMEM } },
    [CALL_REALLOC] = { "g_try_realloc", false, { ENOMEM } },
};

static struct {
    uintptr_t start, end; /* of the plugin's text */
    int armed;
    struct inject_plan plan;
    unsigned int calls[CALL_COUNT];
    unsigned int hits;
    gint64 end_us; /* of a plan that ends; 0: it did not begin */
} state;

static int find_text(struct dl_phdr_info *info, size_t size, void *name)
{
    if (!info->dlpi_name || !strstr(info->dlpi_name, name)) {
        return 0;
    }
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_LOAD &&
            info->dlpi_phdr[i].p_flags & PF_X) {
            state.start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            state.end = state.start + info->dlpi_phdr[i].p_memsz;
        }
    }
    return 1;
}

bool inject_init(const char *plugin)
{
    dl_iterate_phdr(find_text, (void *)(uintptr_t)plugin);
    return state.end != 0;
}

const char *inject_name(enum inject_call call)
{
    return rows[call].name;
}

int inject_error(enum inject_call call, unsigned int n)
{
    return n < MOST_ERRORS ? rows[call].errors[n] : 0;
}

bool inject_is_passing(enum inject_call call, int error)
{
    return error == EINTR || (error == EAGAIN && call != CALL_CONNECT &&
                              call != CALL_MMAP && call != CALL_THREAD);
}

bool inject_can_be_short(enum inject_call call)
{
    return rows[call].can_be_short;
}

void inject_arm(const struct inject_plan *plan)
{
    memset(state.calls, 0, sizeof state.calls);
    state.hits = 0;
    state.end_us = 0;
    state.plan = *plan;
    __atomic_store_n(&state.armed, 1, __ATOMIC_SEQ_CST);
}

void inject_disarm(void)
{
    __atomic_store_n(&state.armed, 0, __ATOMIC_SEQ_CST);
}

unsigned int inject_calls(enum inject_call call)
{
    return __atomic_load_n(&state.calls[call], __ATOMIC_SEQ_CST);
}

unsigned int inject_hits(void)
{
    return __atomic_load_n(&state.hits, __ATOMIC_SEQ_CST);
}

static bool is_over(const struct inject_plan *plan)
{
    gint64 now_us, none = 0;

    if (!plan->for_ms) {
        return false;
    }
    now_us = g_get_monotonic_time();
    __atomic_compare_exchange_n(&state.end_us, &none,
                                now_us + plan->for_ms * INT64_C(1000), false,
                                __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return none && now_us >= none;
}

bool inject_hit(enum inject_call call, void *from)
{
    const struct inject_plan *plan = &state.plan;
    unsigned int n;

    if (!__atomic_load_n(&state.armed, __ATOMIC_SEQ_CST) ||
        (uintptr_t)from < state.start || (uintptr_t)from >= state.end) {
        return false;
    }
    n = __atomic_add_fetch(&state.calls[call], 1, __ATOMIC_SEQ_CST);
    if (call != plan->call || n < plan->first ||
        (n - plan->first) % plan->every != 0 ||
        (n - plan->first) / plan->every >= plan->times || is_over(plan)) {
        return false;
    }
    __atomic_add_fetch(&state.hits, 1, __ATOMIC_SEQ_CST);
    return true;
}

int inject_error_now(void)
{
    return state.plan.error;
}
