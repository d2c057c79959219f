/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs what the test harness asks for on the guest's second serial port. A
 * line "ID SECONDS BASE64" is a shell script, answered by "ID STATUS BASE64"
 * with its output (both kinds); several run at once. STATUS is as a shell
 * says it, 124 if the time was up. "READY" is said first.
 *
 * Linked statically: nothing else is in the guest.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define MAX_JOBS 32
#define MAX_OUTPUT (4u << 20)
#define GRACE_MS 3000

struct job {
    pid_t pid; /* 0: free */
    unsigned int id;
    int out;
    int64_t deadline_ms;
    int killed;
};

static struct job jobs[MAX_JOBS];
static int port = -1;

static const char digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void put(const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(port, data, len);

        if (n < 0 && errno != EINTR) {
            return;
        }
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
}

static size_t encode(const uint8_t *in, size_t len, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i += 3) {
        uint32_t v = (uint32_t)in[i] << 16;

        v |= i + 1 < len ? (uint32_t)in[i + 1] << 8 : 0;
        v |= i + 2 < len ? (uint32_t)in[i + 2] : 0;
        out[n++] = digits[v >> 18];
        out[n++] = digits[v >> 12 & 63];
        out[n++] = i + 1 < len ? digits[v >> 6 & 63] : '=';
        out[n++] = i + 2 < len ? digits[v & 63] : '=';
    }
    return n;
}

/* In place. */
static void decode(char *text)
{
    uint32_t v = 0;
    unsigned int bits = 0;
    char *out = text;

    for (; *text != '\0' && *text != '='; text++) {
        const char *digit = strchr(digits, *text);

        if (digit == NULL) {
            break;
        }
        v = v << 6 | (uint32_t)(digit - digits);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            *out++ = (char)(v >> bits & 0xff);
        }
    }
    *out = '\0';
}

static void answer(unsigned int id, int status, int out)
{
    struct stat st = { 0 };
    char head[48];
    uint8_t *data;
    char *text;
    size_t len;

    if (out >= 0) {
        (void)fstat(out, &st);
    }
    len = st.st_size > MAX_OUTPUT ? MAX_OUTPUT : (size_t)st.st_size;
    data = malloc(len + 1);
    text = malloc(len / 3 * 4 + 8);
    if (data == NULL || text == NULL) {
        len = 0;
    } else if (len > 0) {
        ssize_t n = pread(out, data, len, st.st_size - (off_t)len);

        len = n > 0 ? (size_t)n : 0;
    }
    put(head, (size_t)snprintf(head, sizeof head, "%u %d ", id, status));
    if (len > 0) {
        put(text, encode(data, len, text));
    }
    put("\n", 1);
    free(data);
    free(text);
}

static void start(unsigned int id, unsigned int seconds, char *script)
{
    struct job *job = NULL;

    for (int i = 0; i < MAX_JOBS; i++) {
        if (jobs[i].pid == 0) {
            job = &jobs[i];
        }
    }
    if (job == NULL) {
        answer(id, 125, -1);
        return;
    }
    decode(script);
    job->id = id;
    job->out = memfd_create("output", MFD_CLOEXEC);
    job->deadline_ms = now_ms() + (int64_t)seconds * 1000;
    job->killed = 0;
    job->pid = fork();
    if (job->pid == 0) {
        sigset_t none;

        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        setsid();
        dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
        dup2(job->out, 1);
        dup2(job->out, 2);
        execl("/bin/sh", "sh", "-c", script, (char *)NULL);
        _exit(127);
    }
    if (job->pid < 0) {
        job->pid = 0;
        close(job->out);
        answer(id, 126, -1);
    }
}

static void finish(struct job *job, int status)
{
    answer(job->id, status, job->out);
    close(job->out);
    job->pid = 0;
}

static void reap(void)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (int i = 0; i < MAX_JOBS; i++) {
            if (jobs[i].pid == pid) {
                finish(&jobs[i], jobs[i].killed      ? 124
                                 : WIFEXITED(status) ? WEXITSTATUS(status)
                                                     : 128 + WTERMSIG(status));
            }
        }
    }
}

/* Ends what took too long. One that cannot even be killed is left behind. */
static int check_deadlines(void)
{
    int64_t now = now_ms();
    int64_t next = now + 60000;

    for (int i = 0; i < MAX_JOBS; i++) {
        struct job *job = &jobs[i];

        if (job->pid == 0) {
            continue;
        }
        if (now >= job->deadline_ms) {
            if (job->killed) {
                finish(job, 124);
                continue;
            }
            job->killed = 1;
            kill(-job->pid, SIGKILL);
            job->deadline_ms = now + GRACE_MS;
        }
        if (job->deadline_ms < next) {
            next = job->deadline_ms;
        }
    }
    return (int)(next - now);
}

static void take_line(char *line)
{
    unsigned int id, seconds;
    int at = 0;

    if (sscanf(line, "%u %u %n", &id, &seconds, &at) == 2 && at > 0) {
        start(id, seconds, line + at);
    }
}

static int open_port(const char *path)
{
    struct termios tio;

    port = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (port < 0 || tcgetattr(port, &tio) < 0) {
        return -1;
    }
    cfmakeraw(&tio);
    tio.c_cflag |= CLOCAL;
    tio.c_cflag &= ~(tcflag_t)HUPCL;
    cfsetspeed(&tio, B115200);
    return tcsetattr(port, TCSANOW, &tio);
}

int main(int argc, char **argv)
{
    static char line[128 * 1024];
    size_t len = 0;
    sigset_t chld;
    int sfd;

    if (argc != 2 || open_port(argv[1]) < 0) {
        return 1;
    }
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_BLOCK, &chld, NULL);
    sfd = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
    put("\nREADY\n", 7);
    for (;;) {
        struct pollfd fds[2] = { { port, POLLIN, 0 }, { sfd, POLLIN, 0 } };
        struct signalfd_siginfo info;
        ssize_t n;

        (void)poll(fds, 2, check_deadlines());
        while (read(sfd, &info, sizeof info) > 0) {
        }
        reap();
        if ((fds[0].revents & POLLIN) == 0) {
            continue;
        }
        n = read(port, line + len, sizeof line - len);
        if (n <= 0) {
            return 1;
        }
        for (len += (size_t)n;;) {
            char *end = memchr(line, '\n', len);

            if (end == NULL) {
                break;
            }
            *end = '\0';
            take_line(line);
            len -= (size_t)(end + 1 - line);
            memmove(line, end + 1, len);
        }
        if (len == sizeof line) {
            len = 0;
        }
    }
}
