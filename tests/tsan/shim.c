/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tells ThreadSanitizer what GLib orders. GLib itself is not instrumented: its
 * mutexes are futexes that the sanitizer does not see, and so is the hand-over
 * of a source from the thread that attaches it to the one that dispatches it.
 * Without this, whatever they protect looks like a race.
 *
 * Preloaded by `meson test --setup=tsan` into every process of a test. In one
 * that is not instrumented the sanitizer's functions are not there: then
 * nothing is added.
 */
#include <dlfcn.h>
#include <glib.h>
#include <poll.h>

void __tsan_acquire(void *address) __attribute__((weak));
void __tsan_release(void *address) __attribute__((weak));

/* All that other threads released at this address has happened before what
 * this one does next. */
static void acquire(void *address)
{
    if (__tsan_acquire) {
        __tsan_acquire(address);
    }
}

static void release(void *address)
{
    if (__tsan_release) {
        __tsan_release(address);
    }
}

/* The function of the same name in GLib. */
#define REAL(name)                                                           \
    static __typeof__(name) *real;                                           \
    if (!__atomic_load_n(&real, __ATOMIC_ACQUIRE)) {                         \
        __atomic_store_n(&real, (__typeof__(name) *)dlsym(RTLD_NEXT, #name), \
                         __ATOMIC_RELEASE);                                  \
    }

/* ---- mutexes and conditions --------------------------------------------- */

void g_mutex_lock(GMutex *mutex)
{
    REAL(g_mutex_lock)
    real(mutex);
    acquire(mutex);
}

gboolean g_mutex_trylock(GMutex *mutex)
{
    gboolean locked;
    REAL(g_mutex_trylock)

    locked = real(mutex);
    if (locked) {
        acquire(mutex);
    }
    return locked;
}

void g_mutex_unlock(GMutex *mutex)
{
    REAL(g_mutex_unlock)
    release(mutex);
    real(mutex);
}

void g_cond_wait(GCond *cond, GMutex *mutex)
{
    REAL(g_cond_wait)
    release(mutex);
    real(cond, mutex);
    acquire(mutex);
}

gboolean g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_time)
{
    gboolean signaled;
    REAL(g_cond_wait_until)

    release(mutex);
    signaled = real(cond, mutex, end_time);
    acquire(mutex);
    return signaled;
}

/* ---- threads ------------------------------------------------------------- */

gpointer g_thread_join(GThread *thread)
{
    gpointer result;
    REAL(g_thread_join)

    result = real(thread);
    acquire(thread);
    return result;
}

/* ---- main contexts: who attaches a source publishes what it points at ---- */

/* The context that this thread serves. */
static __thread void *serving;

static void *context_key(GMainContext *context)
{
    return context ? context : g_main_context_default();
}

guint g_source_attach(GSource *source, GMainContext *context)
{
    REAL(g_source_attach)
    release(context_key(context));
    return real(source, context);
}

/* Between waiting and dispatching: a source may have come meanwhile. */
int poll(struct pollfd *fds, nfds_t n, int timeout)
{
    int ready;
    REAL(poll)

    ready = real(fds, n, timeout);
    if (serving) {
        acquire(serving);
    }
    return ready;
}

gboolean g_main_context_iteration(GMainContext *context, gboolean may_block)
{
    void *before = serving;
    gboolean dispatched;
    REAL(g_main_context_iteration)

    serving = context_key(context);
    dispatched = real(context, may_block);
    release(serving);
    serving = before;
    return dispatched;
}

void g_main_loop_run(GMainLoop *loop)
{
    void *before = serving;
    REAL(g_main_loop_run)

    serving = g_main_loop_get_context(loop);
    real(loop);
    release(serving);
    serving = before;
}
