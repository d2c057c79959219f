/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: what the guest says on its first serial port, in a file of bounded
 * length: LOG, and LOG.old before it, of at most 1 MiB each.
 */
#ifndef VWL_SERVICE_SERIAL_H
#define VWL_SERVICE_SERIAL_H

struct vwl_serial;

/* Connects to QEMU's socket as soon as that listens. */
struct vwl_serial *vwl_serial_create(const char *path, const char *log);
void vwl_serial_destroy(struct vwl_serial *serial);

#endif
