/* SPDX-License-Identifier: BSD-3-Clause */
#include "policy/rules_priv.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "wayland/table.h"

static int set_text_list(struct vwl_rules *rules, struct vwl_log *log,
                         const char *text, bool allow)
{
    char **names = text ? g_strsplit(text, ",", -1) : NULL;
    int err = rules_set_list(rules, log, names, allow);

    g_strfreev(names);
    return err;
}

static int set_transfer(struct vwl_rules *rules, struct vwl_log *log,
                        enum vwl_transfer_kind kind, uint32_t transfer)
{
    if (transfer > VWL_TRANSFER_ASK) {
        log_host_bug(log, "policy: %s: no direction has the number %u",
                     rules_transfer_keys[kind], transfer);
        return -EINVAL;
    }
    if (transfer != VWL_TRANSFER_BOTH) {
        rules->transfer[kind] = transfer;
    }
    return 0;
}

static int check_limits(const struct vwl_rules *rules, struct vwl_log *log)
{
    for (unsigned int i = 0; i < RULES_N_LIMITS; i++) {
        uint32_t value = *rules_number((void *)(uintptr_t)rules,
                                       rules_limits[i].rule);

        if (value < rules_limits[i].least || value > rules_limits[i].most) {
            log_host_bug(log, "policy: %s: %u is not between %u and %u",
                         rules_limits[i].key, value, rules_limits[i].least,
                         rules_limits[i].most);
            return -EINVAL;
        }
    }
    return 0;
}

/* ---- what the host says ------------------------------------------------- */

static int apply_said(struct vwl_rules *rules, struct vwl_log *log,
                      const struct vwl_socket_policy *said)
{
    int err = set_text_list(rules, log, said->allow, true);

    if (err == 0) {
        err = set_transfer(rules, log, VWL_KIND_CLIPBOARD, said->clipboard);
    }
    if (err == 0) {
        err = set_transfer(rules, log, VWL_KIND_PRIMARY, said->primary);
    }
    if (err == 0) {
        err = set_transfer(rules, log, VWL_KIND_DRAG, said->drag);
    }
    if (err == 0) {
        err = rules_set_prefix(&rules->title_prefix, log, "title prefix",
                               said->title_prefix);
    }
    if (err == 0) {
        err = rules_set_prefix(&rules->app_id_prefix, log, "app id prefix",
                               said->app_id_prefix);
    }
    for (unsigned int i = 0; i < RULES_N_LIMITS; i++) {
        uint32_t value = *rules_number((void *)(uintptr_t)said,
                                       rules_limits[i].said);

        if (value) {
            *rules_number(rules, rules_limits[i].rule) = value;
        }
    }
    return err;
}

/* Denials last: they win over whoever allows. */
static int apply(struct vwl_rules *rules, struct vwl_log *log,
                 const struct vwl_socket_policy *said)
{
    GKeyFile *file = NULL;
    int err = 0;

    if (said->file) {
        err = rules_file_load(log, said->file, &file);
        if (err == 0) {
            err = rules_file_apply(rules, log, file, said->file);
        }
    }
    if (err == 0) {
        err = apply_said(rules, log, said);
    }
    if (err == 0 && file) {
        err = rules_file_deny(rules, log, file);
    }
    if (err == 0) {
        err = set_text_list(rules, log, said->deny, false);
    }
    g_clear_pointer(&file, g_key_file_free);
    return err < 0 ? err : check_limits(rules, log);
}

static void set_defaults(struct vwl_rules *rules)
{
    const struct vwl_table_row *global;
    unsigned int n = 0;

    while (vwl_table_at(n)) {
        n++;
    }
    rules->allowed = g_new0(bool, n);
    for (unsigned int i = 0; (global = vwl_table_at(i)) != NULL; i++) {
        rules->allowed[i] = global->verdict == VWL_ALLOWED &&
                            vwl_table_version(global);
    }
    for (unsigned int i = 0; i < RULES_N_LIMITS; i++) {
        *rules_number(rules, rules_limits[i].rule) = rules_limits[i].usual;
    }
}

int vwl_rules_create(const struct vwl_socket_policy *policy,
                     struct vwl_log *log, struct vwl_rules **out)
{
    struct vwl_rules *rules = g_new0(struct vwl_rules, 1);
    struct vwl_socket_policy said = { 0 };
    int err;

    if (policy) {
        memcpy(&said, policy, MIN(policy->size, sizeof said));
    }
    set_defaults(rules);
    rules->kind = said.kind;
    rules->may_record = said.flags & VWL_POLICY_MAY_RECORD;
    err = apply(rules, log, &said);
    if (err < 0) {
        vwl_rules_destroy(rules);
        return err;
    }
    *out = rules;
    return 0;
}

void vwl_rules_destroy(struct vwl_rules *rules)
{
    if (rules) {
        g_free(rules->allowed);
        g_free(rules->title_prefix);
        g_free(rules->app_id_prefix);
        g_free(rules);
    }
}

bool vwl_rules_allow(const struct vwl_rules *rules,
                     const struct vwl_table_row *global)
{
    return global && rules->allowed[vwl_table_index(global)];
}

bool vwl_rules_ask(const struct vwl_rules *rules)
{
    for (unsigned int kind = 0; kind < VWL_N_TRANSFER_KINDS; kind++) {
        if (rules->transfer[kind] == VWL_TRANSFER_ASK) {
            return true;
        }
    }
    return false;
}
