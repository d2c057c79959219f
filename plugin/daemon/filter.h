/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: the system calls that the daemon and its connector may make, as
 * seccomp filters. What is not listed fails with EPERM, as if it were not
 * there; what only a hijacked process asks for (a program to run, another
 * process's memory) ends the process. Ownership: none. Thread: the only one of
 * its process.
 */
#ifndef VWL_DAEMON_FILTER_H
#define VWL_DAEMON_FILTER_H

#include <stdbool.h>

enum vwl_filter_for {
    VWL_FILTER_DAEMON,
    VWL_FILTER_CONNECTOR,
};

/* Which requests it may make to devices that are open. */
enum vwl_filter_devices {
    VWL_FILTER_MEMORY = 1 << 0, /* udmabuf and dma-heap: wrap memory */
    VWL_FILTER_DUMB = 1 << 1,   /* DRM: make dumb buffers and share them */
    VWL_FILTER_GPU = 1 << 2,    /* DRM: a driver's own, and what makes and
                                   shares buffers; no modes, no master */
    VWL_FILTER_PAGES = 1 << 3,  /* udmabuf: one of many parts */
};

struct vwl_filter_wishes {
    enum vwl_filter_for which;
    unsigned int devices; /* a mask of enum vwl_filter_devices */
    int listener;         /* accepts connections here, ... */
    int control;          /* ... and here, alone; -1: nowhere */
    bool may_bind;        /* the connector, for security contexts */
    bool may_connect;     /* the daemon, as Landlock says where */
};

/* 0 or -errno; -ENOSYS: built without libseccomp. */
int vwl_filter_enter(const struct vwl_filter_wishes *wishes);

#endif
