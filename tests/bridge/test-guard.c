/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading what may be cut off: what is known to be that is survived, any other
 * SIGBUS does what it would without a handler. */
#include "guard.h"

#include <glib.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define BYTES 65536u

struct file {
    int fd;
    char *map;
    char copy[BYTES];
};

static void file_open(struct file *file)
{
    file->fd = memfd_create("guard", MFD_CLOEXEC);
    g_assert_cmpint(ftruncate(file->fd, BYTES), ==, 0);
    file->map = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd,
                     0);
    g_assert_true(file->map != MAP_FAILED);
    memset(file->map, 'x', BYTES);
}

static void file_close(struct file *file)
{
    munmap(file->map, BYTES);
    close(file->fd);
}

static void copy(void *opaque)
{
    struct file *file = opaque;

    memcpy(file->copy, file->map, BYTES);
}

static void test_cut(void)
{
    struct file *file = g_new0(struct file, 1);

    file_open(file);
    for (unsigned int i = 0; i < 100; i++) {
        g_assert_true(vwl_guard(file->map, BYTES, copy, file));
        g_assert_cmpmem(file->copy, BYTES, file->map, BYTES);
        g_assert_cmpint(ftruncate(file->fd, i % 8 * 4096), ==, 0);
        g_assert_false(vwl_guard(file->map, BYTES, copy, file));
        g_assert_cmpint(ftruncate(file->fd, BYTES), ==, 0);
        memset(file->map, (int)i, BYTES);
    }
    file_close(file);
    g_free(file);
}

static gpointer cut_and_grow(gpointer data)
{
    const struct file *file = data;

    for (unsigned int i = 0; i < 20000; i++) {
        g_assert_cmpint(ftruncate(file->fd, 0), ==, 0);
        g_assert_cmpint(ftruncate(file->fd, BYTES), ==, 0);
    }
    return NULL;
}

/* While it is read, over and over. */
static void test_race(void)
{
    struct file *file = g_new0(struct file, 1);
    GThread *thread;

    file_open(file);
    thread = g_thread_new("cut", cut_and_grow, file);
    for (unsigned int i = 0; i < 20000; i++) {
        (void)vwl_guard(file->map, BYTES, copy, file);
    }
    g_thread_join(thread);
    g_assert_true(vwl_guard(file->map, BYTES, copy, file));
    file_close(file);
    g_free(file);
}

/* How a child ends that does this: its signal, or 0. */
static int ends_by(void (*child)(struct file *file))
{
    struct rlimit no_core = { 0, 0 };
    pid_t pid = fork();
    int status;

    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        struct file *file = g_new0(struct file, 1);

        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGBUS, SIG_DFL); /* not a sanitizer's */
        file_open(file);
        child(file);
        _exit(0);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void cut_it(struct file *file)
{
    if (ftruncate(file->fd, 0) < 0) {
        _exit(1);
    }
}

static void expected(struct file *file)
{
    cut_it(file);
    if (vwl_guard(file->map, BYTES, copy, file)) {
        raise(SIGKILL);
    }
}

static void unguarded(struct file *file)
{
    expected(file);
    copy(file);
}

static void elsewhere(struct file *file)
{
    cut_it(file);
    vwl_guard(file->map + 4096, BYTES - 4096, copy, file);
}

static gpointer read_it(gpointer data)
{
    copy(data);
    return NULL;
}

static void wait_for_another(void *opaque)
{
    g_thread_join(g_thread_new("other", read_it, opaque));
}

static void in_another_thread(struct file *file)
{
    cut_it(file);
    vwl_guard(file->map, BYTES, wait_for_another, file);
}

static void send_it(void *opaque)
{
    kill(getpid(), SIGBUS);
    raise(SIGBUS);
}

static void sent(struct file *file)
{
    vwl_guard(file->map, BYTES, send_it, file);
}

static void ignored(struct file *file)
{
    signal(SIGBUS, SIG_IGN);
    vwl_guard(file->map, BYTES, send_it, file);
}

static void test_others(void)
{
    g_assert_cmpint(ends_by(expected), ==, 0);
    g_assert_cmpint(ends_by(unguarded), ==, SIGBUS);
    g_assert_cmpint(ends_by(elsewhere), ==, SIGBUS);
    g_assert_cmpint(ends_by(in_another_thread), ==, SIGBUS);
    g_assert_cmpint(ends_by(sent), ==, SIGBUS);
    g_assert_cmpint(ends_by(ignored), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    /* first: children begin without its handler */
    g_test_add_func("/guard/others", test_others);
    g_test_add_func("/guard/cut", test_cut);
    g_test_add_func("/guard/race", test_race);
    return g_test_run();
}
