/* SPDX-License-Identifier: BSD-3-Clause */
#include "guard.h"

#include <glib.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>

struct guard {
    jmp_buf back;
    const char *bytes;
    size_t len;
};

/* Of this thread; the handler runs in the one that touched the memory. */
static _Thread_local struct guard *volatile current;
static struct sigaction before;

static void on_bus_error(int number, siginfo_t *info, void *context)
{
    struct guard *guard = current;
    const char *at = info->si_addr;

    if (guard != NULL && info->si_code > 0 && at >= guard->bytes &&
        (size_t)(at - guard->bytes) < guard->len) {
        current = NULL;
        longjmp(guard->back, 1);
    }
    /* Not ours: as if there were no handler. The memory is touched again on
     * return, what was sent is sent again. */
    sigaction(number, &before, NULL);
    if (info->si_code <= 0) {
        raise(number);
    }
}

static void install(void)
{
    static gsize done;
    /* a jump leaves the mask alone: nothing is blocked here */
    struct sigaction action = {
        .sa_sigaction = on_bus_error,
        .sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART,
    };

    if (g_once_init_enter(&done)) {
        sigemptyset(&action.sa_mask);
        sigaction(SIGBUS, &action, &before);
        g_once_init_leave(&done, 1);
    }
}

bool vwl_guard(const void *bytes, size_t len, void (*read_it)(void *opaque),
               void *opaque)
{
    struct guard guard = { .bytes = bytes, .len = len };

    install();
    if (setjmp(guard.back) != 0) {
        return false;
    }
    current = &guard;
    atomic_signal_fence(memory_order_seq_cst);
    read_it(opaque);
    atomic_signal_fence(memory_order_seq_cst);
    current = NULL;
    return true;
}
