/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a host allows the clients behind one of its sockets, and of which
 * protocol. Of Wayland: the globals, the directions in which transfers may go,
 * marks on windows, and limits. Of PulseAudio: whether they may record. Made
 * once from what the host says (struct vwl_socket_policy, and the key file that
 * it may name); any number of filters share it. Afterwards the ways of
 * transfers alone change, between two messages.
 */
#ifndef VWL_POLICY_RULES_H
#define VWL_POLICY_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "vhost-user-wl/plugin.h"

struct vwl_table_row;

/* Of enum vwl_transfer_kind. */
#define VWL_N_TRANSFER_KINDS 3u

struct vwl_rules {
    enum vwl_policy_kind kind; /* a filter's: not VWL_POLICY_NONE */
    bool may_record;           /* of VWL_POLICY_PULSE; all below is Wayland's */
    bool *allowed;             /* by the place of the global in the list */
    enum vwl_transfer_way transfer[VWL_N_TRANSFER_KINDS];
    char *title_prefix;  /* NULL: titles are left alone */
    char *app_id_prefix; /* NULL: app ids are left alone */
    uint32_t max_message_bytes;
    uint32_t max_objects;
    uint32_t max_registries;
    uint32_t max_surfaces;
    uint32_t max_buffers;
    uint32_t max_pools;
    uint32_t max_buffer_side;
};

/* policy may be NULL: the default. -EINVAL: the log says what is wrong. Reads
 * the file that the policy names. */
int vwl_rules_create(const struct vwl_socket_policy *policy,
                     struct vwl_log *log, struct vwl_rules **out);
void vwl_rules_destroy(struct vwl_rules *rules); /* NULL is fine */

/* Whether a transfer may have to wait for the host's word. */
bool vwl_rules_ask(const struct vwl_rules *rules);

/* NULL, for what is not listed, is not allowed. */
bool vwl_rules_allow(const struct vwl_rules *rules,
                     const struct vwl_table_row *global);

#endif
