/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The system calls that the daemon and its connector may make, as seccomp
 * filters. What is not listed fails with EPERM, as if it were not there; what
 * only a hijacked process asks for (a program to run, another process's
 * memory) ends the process.
 */
#ifndef VWL_DAEMON_FILTER_H
#define VWL_DAEMON_FILTER_H

enum vwl_filter_for {
    VWL_FILTER_DAEMON,
    VWL_FILTER_CONNECTOR,
};

/* Which requests it may make to devices that are open. */
enum vwl_filter_devices {
    VWL_FILTER_MEMORY = 1 << 0, /* udmabuf and dma-heap: wrap memory */
    VWL_FILTER_DUMB = 1 << 1,   /* DRM: make dumb buffers and share them */
    VWL_FILTER_GPU = 1 << 2,    /* DRM: all, since each driver has its own */
};

/* For every thread of the process; devices: a mask of filter_devices. -ENOSYS:
 * built without libseccomp. */
int vwl_filter_enter(enum vwl_filter_for which, unsigned int devices);

#endif
