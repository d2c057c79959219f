/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: what the daemon and its connector give up before they serve
 * anybody: privileges, files, sockets, most system calls, and resources
 * without end. docs/security.md says what each part is for. Ownership: none.
 * Thread: the only one of its process.
 */
#ifndef VWL_DAEMON_SANDBOX_H
#define VWL_DAEMON_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "options.h"

/* How it went: 0, or -errno of a part that is not in force. */
struct vwl_sandbox_report {
    int32_t capabilities;
    int32_t no_new_privs;
    int32_t landlock; /* else the kernel's version of it, above 0 */
    int32_t filter;
    int32_t sanitized; /* 1: files and calls stay, a sanitizer needs them */
    uint64_t connects; /* mask of the first 64 of config's sockets: to these
                          the daemon may connect itself */
};

/* For the daemon; everything that it needs by path is open. listener, control:
 * the descriptors on which it may accept connections, -1: on none. */
void vwl_sandbox_enter(const struct vwl_options *options, int listener,
                       int control, struct vwl_sandbox_report *report);

/* For vwl_connector_start; silent. */
void vwl_sandbox_enter_connector(const struct vwl_options *options,
                                 struct vwl_sandbox_report *report);

/* One line in the log for each part that is not in force; whose is "the
 * daemon" or "the connector". False: one is missing altogether. */
bool vwl_sandbox_judge(const struct vwl_sandbox_report *report,
                       const char *whose);

#endif
