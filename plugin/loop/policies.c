/* SPDX-License-Identifier: BSD-3-Clause */
#include "loop/policies.h"

#include <errno.h>
#include <glib.h>
#include <inttypes.h>

#include "policy/rules.h"

static int policy_create(const struct vwl_config *config, size_t i,
                         struct vwl_log *log, struct vwl_rules **out)
{
    const struct vwl_socket_policy *policy = config->socket_policies[i];

    if (policy &&
        policy->size < offsetof(struct vwl_socket_policy, clipboard)) {
        log_host_bug(log, "policy of socket %zu: it has no size", i);
        return -EINVAL;
    }
    if (policy && policy->kind > VWL_POLICY_PULSE) {
        log_host_bug(log, "policy of socket %zu: no kind has the number %u", i,
                     policy->kind);
        return -EINVAL;
    }
    if (policy && policy->size >= sizeof *policy &&
        (policy->flags & ~(uint32_t)VWL_POLICY_MAY_RECORD ||
         (policy->flags && policy->kind != VWL_POLICY_PULSE))) {
        log_host_bug(log, "policy of socket %zu: its flags are 0x%x", i,
                     policy->flags);
        return -EINVAL;
    }
    if (policy && policy->kind == VWL_POLICY_NONE) {
        *out = NULL;
        return 0;
    }
    return vwl_rules_create(policy, log, out);
}

static int check_asks(const struct vwl_rules *rules, bool can_ask,
                      const struct vwl_socket *socket, struct vwl_log *log)
{
    if (!rules || can_ask || !vwl_rules_ask(rules)) {
        return 0;
    }
    log_host_bug(log,
                 "policy of %s: a transfer is to be asked about, and this host "
                 "has nobody to ask; say both, to-guest, from-guest or off",
                 socket->path);
    return -EINVAL;
}

int vwl_policies_create(const struct vwl_config *config, bool can_ask,
                        struct vwl_log *log,
                        const struct vwl_rules *const **out)
{
    struct vwl_rules **policies;
    int err = 0;

    if (!config->socket_policies) {
        *out = NULL;
        return 0;
    }
    policies = g_new0(struct vwl_rules *, config->n_sockets + 1);
    for (size_t i = 0; i < config->n_sockets && err == 0; i++) {
        err = policy_create(config, i, log, &policies[i]);
        err = err < 0
                  ? err
                  : check_asks(policies[i], can_ask, &config->sockets[i], log);
    }
    *out = (const struct vwl_rules *const *)policies;
    return err;
}

int vwl_policies_set_transfer(const struct vwl_rules *const *policies,
                              size_t n_sockets, bool can_ask,
                              struct vwl_log *log, size_t index, uint32_t kind,
                              uint32_t way)
{
    struct vwl_rules **ours = (struct vwl_rules **)(uintptr_t)policies;

    if (index >= n_sockets || kind >= VWL_N_TRANSFER_KINDS ||
        way > VWL_TRANSFER_ASK || (way == VWL_TRANSFER_ASK && !can_ask)) {
        log_host_bug(log,
                     "set_transfer: there is no socket %zu, no kind %" PRIu32
                     ", or no way %" PRIu32 " for this host",
                     index, kind, way);
        return -EINVAL;
    }
    if (!ours || !ours[index] || ours[index]->kind != VWL_POLICY_WAYLAND) {
        return -EOPNOTSUPP;
    }
    ours[index]->transfer[kind] = (enum vwl_transfer_way)way;
    return 0;
}

void vwl_policies_destroy(const struct vwl_rules *const *policies,
                          size_t n_sockets)
{
    struct vwl_rules **ours = (struct vwl_rules **)(uintptr_t)policies;

    for (size_t i = 0; ours && i < n_sockets; i++) {
        vwl_rules_destroy(ours[i]);
    }
    g_free(ours);
}
