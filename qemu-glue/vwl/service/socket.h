/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: Unix sockets by path, none of which blocks. Descriptors are the
 * caller's; -errno where there is none.
 */
#ifndef VWL_SERVICE_SOCKET_H
#define VWL_SERVICE_SOCKET_H

#include <stddef.h>

int vwl_socket_connect(const char *path);

/* Takes the place of what is at the path; for this user alone. */
int vwl_socket_listen(const char *path);

#endif
