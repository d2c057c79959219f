/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The system calls that the daemon and its connector may make, as seccomp
 * filters. What is not listed fails with EPERM, as if it were not there; what
 * only a hijacked process asks for (a program to run, another process's
 * memory) ends the process.
 */
#ifndef VWL_DAEMON_FILTER_H
#define VWL_DAEMON_FILTER_H

enum filter_for {
    FILTER_DAEMON,
    FILTER_CONNECTOR,
};

/* For every thread of the process. -ENOSYS: built without libseccomp. */
int filter_enter(enum filter_for which);

#endif
