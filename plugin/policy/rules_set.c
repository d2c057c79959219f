/* SPDX-License-Identifier: BSD-3-Clause */
/* The words and numbers that rules are made of, whoever says them. */
#include <errno.h>
#include <string.h>

#include "policy/rules_priv.h"
#include "wayland/table.h"

#define MAX_PREFIX_BYTES 128u

const char *const rules_transfer_keys[VWL_N_TRANSFER_KINDS] = {
    [VWL_KIND_CLIPBOARD] = "clipboard",
    [VWL_KIND_PRIMARY] = "primary",
    [VWL_KIND_DRAG] = "drag",
};

const struct rules_limit rules_limits[RULES_N_LIMITS] = {
#define LIMIT(key, name, usual, least, most)                           \
    {                                                                  \
        key, offsetof(struct vwl_socket_policy, max_##name),           \
            offsetof(struct vwl_rules, max_##name), usual, least, most \
    }
    LIMIT("message-bytes", message_bytes, 4096, 64, 65532),
    LIMIT("objects", objects, 262144, 16, 1 << 20),
    LIMIT("registries", registries, 1024, 1, 1 << 20),
    LIMIT("surfaces", surfaces, 4096, 1, 1 << 20),
    LIMIT("buffers", buffers, 8192, 1, 1 << 20),
    LIMIT("pools", pools, 4096, 1, 1 << 20),
    LIMIT("buffer-side", buffer_side, 16384, 1, INT32_MAX),
#undef LIMIT
};

uint32_t *rules_number(void *base, size_t at)
{
    return (uint32_t *)(void *)((char *)base + at);
}

static int set_allowed(struct vwl_rules *rules, struct vwl_log *log,
                       const char *name, bool allow)
{
    const struct vwl_table_row *global = vwl_table_find(name);
    char text[128];

    if (!global) {
        log_host_bug(log, "policy: no interface \"%s\" is known",
                     vwl_log_escape(name, strlen(name), text, sizeof text));
        return -EINVAL;
    }
    if (allow && !vwl_table_version(global)) {
        log_host_bug(log,
                     "policy: %s cannot be allowed: its messages are not "
                     "known here (%s)",
                     name, global->why);
        return -EINVAL;
    }
    rules->allowed[vwl_table_index(global)] = allow;
    return 0;
}

int rules_set_list(struct vwl_rules *rules, struct vwl_log *log, char **names,
                   bool allow)
{
    int err = 0;

    for (char **name = names; name && *name && err == 0; name++) {
        g_strstrip(*name);
        if (**name) {
            err = set_allowed(rules, log, *name, allow);
        }
    }
    return err;
}

int rules_set_prefix(char **prefix, struct vwl_log *log, const char *what,
                     const char *text)
{
    if (!text || !*text) {
        return 0;
    }
    if (strlen(text) > MAX_PREFIX_BYTES || !g_utf8_validate(text, -1, NULL)) {
        log_host_bug(log, "policy: the %s is not at most %u bytes of UTF-8",
                     what, MAX_PREFIX_BYTES);
        return -EINVAL;
    }
    g_free(*prefix);
    *prefix = g_strdup(text);
    return 0;
}
