/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Processes of a test: the daemon under test, and what /proc says of it.
 * VWL_DAEMON and VWL_PLUGIN name what was built.
 */
#ifndef VWL_STORY_PROCESS_H
#define VWL_STORY_PROCESS_H

#include <glib.h>
#include <stdbool.h>

struct process {
    GPid pid;
    int err; /* its standard error, to read; -1 when not asked for */
    unsigned int max_fds; /* set before the start: its descriptor limit, soft
                             and hard; 0: ours */
    int no_call; /* set before the start: a system call that this kernel then
                    does not have; 0: none */
};

/* Starts the daemon with these options (NULL-terminated; --plugin is added, and
 * --security-context=off in front of them, since most peers are no compositor).
 * keep_err: standard error is a pipe. */
void process_daemon(struct process *process, bool keep_err,
                    const char *const *options);
/* Waits until something listens at path; connects and closes once. */
void process_wait_listening(const char *path);
/* Waits for its end, at most 10 s; exit status, or -signal. */
int process_wait(struct process *process);
/* SIGTERM, then process_wait. */
int process_terminate(struct process *process);
/* What it writes to standard error until that is there; waits for it. */
char *process_hear(const struct process *process, const char *text,
                   int timeout_ms);
/* All (the rest) that it wrote to standard error until its end. */
char *process_errors(struct process *process);

unsigned int process_fds(GPid pid);
/* A field of /proc/PID/status in KiB, as "VmRSS". */
unsigned long process_kib(GPid pid, const char *field);

/* A listening socket at path. */
int process_listen(const char *path, int backlog);
/* Waits until fd is readable; false after timeout_ms. */
bool process_readable(int fd, int timeout_ms);

#endif
