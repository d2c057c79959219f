/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to policy/: how rules are filled in. rules.c takes what the host
 * says, rules_file.c what its key file says; both by rules_set.c.
 */
#ifndef VWL_POLICY_RULES_PRIV_H
#define VWL_POLICY_RULES_PRIV_H

#include <glib.h>

#include "policy/rules.h"

/* A number of the policy: its key, and where it stands on both sides. */
struct rules_limit {
    const char *key;
    size_t said, rule;
    uint32_t usual, least, most;
};

#define RULES_N_LIMITS 7u

extern const struct rules_limit rules_limits[RULES_N_LIMITS];
extern const char *const rules_transfer_keys[VWL_N_TRANSFER_KINDS];

uint32_t *rules_number(void *base, size_t at);

/* -EINVAL, and the log says why. names are changed. */
int rules_set_list(struct vwl_rules *rules, struct vwl_log *log, char **names,
                   bool allow);
int rules_set_prefix(char **prefix, struct vwl_log *log, const char *what,
                     const char *text);

/* The same for files. */
int rules_file_load(struct vwl_log *log, const char *path, GKeyFile **out);
/* All but what it denies. */
int rules_file_apply(struct vwl_rules *rules, struct vwl_log *log,
                     GKeyFile *file, const char *path);
int rules_file_deny(struct vwl_rules *rules, struct vwl_log *log,
                    GKeyFile *file);

#endif
