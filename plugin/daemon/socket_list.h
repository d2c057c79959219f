/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: read the host sockets that a person wrote down, as --wayland-sock
 * and QEMU's property wayland-sock take them:
 *
 *     PATH[,name=NAME][,policy=wayland|pulse|none][,record][;PATH...]...
 *
 * Without a policy, one that has no name, or whose file is called wayland-*, is
 * a Wayland compositor's, and filtered as such; any other is refused.
 * A backslash in front of a comma, a semicolon or a backslash takes that
 * character as it is; in front of anything else it is a backslash.
 *
 * Ownership: the list owns its strings; what `sockets` holds points at them.
 * Thread: one at a time.
 */
#ifndef VWL_DAEMON_SOCKET_LIST_H
#define VWL_DAEMON_SOCKET_LIST_H

#include <glib.h>
#include <stdbool.h>

#include "vhost-user-wl/plugin.h"

struct vwl_socket_list {
    GArray *sockets; /* struct vwl_socket */
    GArray *kinds;   /* uint32_t, enum vwl_policy_kind of each */
    GArray *flags;   /* uint32_t, enum vwl_policy_flags of each */
    GPtrArray *strings;
};

void vwl_socket_list_init(struct vwl_socket_list *list);
void vwl_socket_list_finish(struct vwl_socket_list *list);

/* Adds what text lists. False with *error, which names the place. */
bool vwl_socket_list_add(struct vwl_socket_list *list, const char *text,
                         GError **error);

/* The policy of the socket at that place: `wayland` if it is a compositor's,
 * else one that lasts as long as the program. */
const struct vwl_socket_policy *vwl_socket_list_policy(
    const struct vwl_socket_list *list, unsigned int place,
    const struct vwl_socket_policy *wayland);

/* Adds the socket that libwayland would connect to, from WAYLAND_DISPLAY and
 * XDG_RUNTIME_DIR. False with *error. */
bool vwl_socket_list_add_default(struct vwl_socket_list *list, GError **error);

#endif
