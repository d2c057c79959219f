/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: the command lines of a machine's two processes, QEMU and the
 * sandboxed daemon that is its device, and the same as a domain of libvirt's.
 * Pure: a machine and a host in, text out.
 *
 * Sockets are in the machine's runtime folder, under the names below.
 * All results are the caller's: g_strfreev, g_free.
 */
#ifndef VWL_LINE_H
#define VWL_LINE_H

#include "host.h"
#include "machine.h"

#define VWL_SOCKET_DEVICE "device"   /* the daemon listens, QEMU connects */
#define VWL_SOCKET_CONTROL "control" /* the daemon listens: its policy */
#define VWL_SOCKET_QMP "qmp"         /* QEMU listens */
#define VWL_SOCKET_SERIAL "serial"   /* QEMU listens: the first serial port */
#define VWL_SOCKET_SHARE "share"     /* virtiofsd listens, QEMU connects */
#define VWL_SOCKET_CHANNEL "channel" /* the service: the session's agent */
#define VWL_SOCKET_ROOT "root"       /* the service: root's agent */

char **vwl_line_daemon(const struct vwl_machine *machine,
                       const struct vwl_host *host, const char *runtime);
char **vwl_line_qemu(const struct vwl_machine *machine,
                     const struct vwl_host *host, const char *runtime);

/* A domain of libvirt's session mode (qemu:///session), with the device in the
 * same daemon. */
char *vwl_line_libvirt(const struct vwl_machine *machine,
                       const struct vwl_host *host, const char *runtime);

/* As a shell takes it, an option a line. */
char *vwl_line_shell(char *const *line);

#endif
