/* SPDX-License-Identifier: BSD-3-Clause */
#include "process.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* As a kernel without it answers. */
static void take_call(int number)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = { G_N_ELEMENTS(code), code };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) {
        _exit(99);
    }
}

/* A test that fails leaves nothing behind that holds its output open. */
static void in_child(gpointer data)
{
    const struct process *process = data;
    const struct rlimit limit = { process->max_fds, process->max_fds };

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (process->max_fds) {
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (process->no_call) {
        take_call(process->no_call);
    }
}

#define WAIT_US (60 * G_USEC_PER_SEC)

void process_daemon(struct process *process, bool keep_err,
                    const char *const *options)
{
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
    GError *error = NULL;

    g_ptr_array_add(argv, g_strdup(g_getenv("VWL_DAEMON")));
    g_ptr_array_add(argv,
                    g_strdup_printf("--plugin=%s", g_getenv("VWL_PLUGIN")));
    g_ptr_array_add(argv, g_strdup("--security-context=off"));
    for (const char *const *o = options; *o; o++) {
        g_ptr_array_add(argv, g_strdup(*o));
    }
    g_ptr_array_add(argv, NULL);
    process->err = -1;
    g_spawn_async_with_pipes(NULL, (char **)argv->pdata, NULL,
                             G_SPAWN_DO_NOT_REAP_CHILD |
                                 G_SPAWN_LEAVE_DESCRIPTORS_OPEN,
                             in_child, process, &process->pid, NULL, NULL,
                             keep_err ? &process->err : NULL, &error);
    g_assert_no_error(error);
    g_ptr_array_unref(argv);
}

static int try_connect(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

void process_wait_listening(const char *path)
{
    gint64 end = g_get_monotonic_time() + WAIT_US;
    int fd;

    while ((fd = try_connect(path)) < 0) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(2000);
    }
    close(fd);
}

int process_wait(struct process *process)
{
    gint64 end = g_get_monotonic_time() + WAIT_US;
    int status;

    while (waitpid(process->pid, &status, WNOHANG) == 0) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
    process->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int process_terminate(struct process *process)
{
    g_assert_cmpint(kill(process->pid, SIGTERM), ==, 0);
    return process_wait(process);
}

char *process_hear(const struct process *process, const char *text,
                   int timeout_ms)
{
    GString *heard = g_string_new(NULL);

    while (!strstr(heard->str, text)) {
        char c;

        g_assert_true(process_readable(process->err, timeout_ms));
        g_assert_cmpint(read(process->err, &c, 1), ==, 1);
        g_string_append_c(heard, c);
    }
    return g_string_free(heard, FALSE);
}

char *process_errors(struct process *process)
{
    GString *text = g_string_new(NULL);
    char buffer[1024];
    ssize_t n;

    while ((n = read(process->err, buffer, sizeof buffer)) > 0) {
        g_string_append_len(text, buffer, n);
    }
    close(process->err);
    process->err = -1;
    return g_string_free(text, FALSE);
}

unsigned int process_fds(GPid pid)
{
    char *path = g_strdup_printf("/proc/%d/fd", (int)pid);
    GDir *dir = g_dir_open(path, 0, NULL);
    unsigned int n = 0;

    while (dir && g_dir_read_name(dir)) {
        n++;
    }
    if (dir) {
        g_dir_close(dir);
    }
    g_free(path);
    return n;
}

unsigned long process_kib(GPid pid, const char *field)
{
    char *path = g_strdup_printf("/proc/%d/status", (int)pid);
    char *text = NULL, *line;
    unsigned long kib;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    line = strstr(text, field);
    g_assert_nonnull(line);
    kib = strtoul(line + strlen(field) + 1, NULL, 10);
    g_free(text);
    g_free(path);
    return kib;
}

int process_listen(const char *path, int backlog)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==,
                    0);
    g_assert_cmpint(listen(fd, backlog), ==, 0);
    return fd;
}

bool process_readable(int fd, int timeout_ms)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return poll(&p, 1, timeout_ms) == 1;
}
