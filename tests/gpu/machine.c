/* SPDX-License-Identifier: BSD-3-Clause */
#include "machine.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MS 60000
#define START_MS 120000
#define BIOS_BYTES 65536

uint64_t qtest_ask(struct machine *m, const char *format, ...)
{
    char line[256];
    size_t len = 0;
    va_list args;
    int n;

    va_start(args, format);
    n = g_vsnprintf(line, sizeof line, format, args);
    va_end(args);
    g_assert_cmpint(write(m->qtest, line, (size_t)n), ==, n);
    do {
        struct pollfd p = { m->qtest, POLLIN, 0 };

        g_assert_cmpint(poll(&p, 1, WAIT_MS), ==, 1);
        g_assert_cmpuint(len, <, sizeof line - 1);
        g_assert_cmpint(read(m->qtest, line + len, 1), ==, 1);
    } while (line[len++] != '\n');
    line[len] = 0;
    g_assert_true(g_str_has_prefix(line, "OK"));
    return g_ascii_strtoull(line + 2, NULL, 0);
}

static void die_with_parent(gpointer data)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* Guest memory is a memfd of QEMU's. */
static void map_ram(struct machine *m)
{
    g_autofree char *folder = g_strdup_printf("/proc/%d/fd", (int)m->pid);
    GDir *dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while (!m->ram && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_autofree char *target = g_file_read_link(path, NULL);

        if (target && strstr(target, "memfd:memory-backend-memfd")) {
            int fd = open(path, O_RDWR | O_CLOEXEC);

            m->ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
                          fd, 0);
            g_assert_true(m->ram != MAP_FAILED);
            close(fd);
        }
    }
    g_dir_close(dir);
    g_assert_nonnull(m->ram);
}

static int listen_at(const char *path)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(sun.sun_path, path, sizeof sun.sun_path);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&sun, sizeof sun), ==, 0);
    g_assert_cmpint(listen(fd, 4), ==, 0);
    return fd;
}

/*
 * Distributions' QEMUs lack the qtest accelerator, in which no processor runs:
 * this firmware halts the processor at its first instruction, and for good.
 */
static char *make_bios(const struct machine *m)
{
    static const uint8_t halt[] = { 0xfa, 0xf4, 0xeb, 0xfd };
    char *path = g_build_filename(m->folder, "bios", NULL);
    g_autofree uint8_t *bytes = g_malloc0(BIOS_BYTES);

    memcpy(bytes + BIOS_BYTES - 16, halt, sizeof halt);
    g_assert_true(g_file_set_contents(path, (char *)bytes, BIOS_BYTES, NULL));
    return path;
}

/* QEMU's end of qtest: it may need long, or end at once. */
static int accept_qemu(const struct machine *m, int listener)
{
    struct pollfd p = { listener, POLLIN, 0 };
    gint64 until = g_get_monotonic_time() + START_MS * 1000;
    int fd, status;

    while (poll(&p, 1, 100) == 0) {
        if (waitpid(m->pid, &status, WNOHANG) == m->pid) {
            g_error("QEMU ended (wait status %#x)", (unsigned int)status);
        }
        g_assert_cmpint(g_get_monotonic_time(), <, until);
    }
    fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void start_qemu(struct machine *m, const char *gpu, const char *wl,
                       const char *bios, const char *qtest)
{
    const char *const argv[] = {
        g_getenv("VWL_QEMU"),
        "-accel",
        "tcg",
        "-bios",
        bios,
        "-nodefaults",
        "-display",
        "none",
        "-m",
        "256M",
        "-M",
        "q35,memory-backend=mem",
        "-object",
        "memory-backend-memfd,id=mem,size=256M,share=on",
        "-device",
        gpu,
        "-device",
        wl,
        "-qtest",
        qtest,
        "-qtest-log",
        "/dev/null",
        NULL,
    };
    GError *error = NULL;

    g_spawn_async(NULL, (char **)(uintptr_t)argv, NULL,
                  G_SPAWN_DO_NOT_REAP_CHILD, die_with_parent, NULL, &m->pid,
                  &error);
    g_assert_no_error(error);
}

void machine_init(struct machine *m, bool blob, const char *dmabuf)
{
    g_autofree char *qtest = NULL, *qtest_arg = NULL, *wl = NULL, *bios = NULL;
    int listener;

    memset(m, 0, sizeof *m);
    m->folder = g_dir_make_tmp("vwl-qemu-XXXXXX", NULL);
    m->path = g_build_filename(m->folder, "peer", NULL);
    m->listener = listen_at(m->path);
    m->peer = -1;
    m->next_page = 16;
    m->next_bar = BARS;
    qtest = g_build_filename(m->folder, "qtest", NULL);
    qtest_arg = g_strdup_printf("unix:%s", qtest);
    wl = g_strdup_printf("vhost-user-wl-pci,addr=5,gpu=gpu0,shm-size=16M,"
                         "plugin=%s,wayland-sock=%s,,policy=none%s%s",
                         g_getenv("VWL_PLUGIN"), m->path,
                         dmabuf ? ",dmabuf=" : "", dmabuf ? dmabuf : "");
    listener = listen_at(qtest);
    bios = make_bios(m);
    start_qemu(m,
               blob ? "virtio-gpu-pci,id=gpu0,addr=4,blob=on"
                    : "virtio-gpu-pci,id=gpu0,addr=4",
               wl, bios, qtest_arg);
    m->qtest = accept_qemu(m, listener);
    close(listener);
    g_unlink(qtest);
    qtest_ask(m, "readl 0x0\n"); /* answered when all is set up */
    g_unlink(bios);
    map_ram(m);
}

void machine_finish(struct machine *m)
{
    int status;

    g_assert_cmpint(waitpid(m->pid, &status, WNOHANG), ==, 0);
    kill(m->pid, SIGTERM);
    g_assert_cmpint(waitpid(m->pid, &status, 0), ==, m->pid);
    g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    munmap(m->ram, RAM_BYTES);
    close(m->qtest);
    close(m->listener);
    if (m->peer >= 0) {
        close(m->peer);
    }
    g_unlink(m->path);
    g_rmdir(m->folder);
    g_free(m->path);
    g_free(m->folder);
}

uint32_t machine_take_pages(struct machine *m, uint32_t n)
{
    uint32_t at = m->next_page * PAGE;

    m->next_page += n;
    g_assert_cmpuint(m->next_page, <, RAM_BYTES / PAGE);
    return at;
}

unsigned int machine_count_fds(const struct machine *m)
{
    g_autofree char *folder = g_strdup_printf("/proc/%d/fd", (int)m->pid);
    GDir *dir = g_dir_open(folder, 0, NULL);
    unsigned int n = 0;

    while (g_dir_read_name(dir)) {
        n++;
    }
    g_dir_close(dir);
    return n;
}
