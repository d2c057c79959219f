/* SPDX-License-Identifier: BSD-3-Clause */
/* The key file that a host may keep for each of its machines. */
#include <errno.h>
#include <string.h>

#include "policy/rules_priv.h"

#define FILE_POLICY "policy"
#define FILE_LIMITS "limits"

static const char *const transfer_words[] = {
    [VWL_TRANSFER_BOTH] = "both",
    [VWL_TRANSFER_TO_GUEST] = "to-guest",
    [VWL_TRANSFER_FROM_GUEST] = "from-guest",
    [VWL_TRANSFER_OFF] = "off",
    [VWL_TRANSFER_ASK] = "ask",
};

static int file_error(struct vwl_log *log, const char *path, const char *what)
{
    log_host_bug(log, "policy file %s: %s", path, what);
    return -EINVAL;
}

static bool is_known_key(const char *group, const char *key)
{
    static const char *const keys[] = { "allow", "deny", "title-prefix",
                                        "app-id-prefix" };

    if (strcmp(group, FILE_LIMITS) == 0) {
        for (unsigned int i = 0; i < RULES_N_LIMITS; i++) {
            if (strcmp(rules_limits[i].key, key) == 0) {
                return true;
            }
        }
        return false;
    }
    for (unsigned int i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (strcmp(keys[i], key) == 0) {
            return true;
        }
    }
    for (unsigned int i = 0; i < VWL_N_TRANSFER_KINDS; i++) {
        if (strcmp(rules_transfer_keys[i], key) == 0) {
            return true;
        }
    }
    return false;
}

/* A misspelt key would leave something allowed that was meant to be denied. */
static int file_check(GKeyFile *file, struct vwl_log *log, const char *path)
{
    char **groups = g_key_file_get_groups(file, NULL);
    char *unknown = NULL;

    for (char **group = groups; *group && !unknown; group++) {
        char **keys = g_key_file_get_keys(file, *group, NULL, NULL);
        bool known = strcmp(*group, FILE_POLICY) == 0 ||
                     strcmp(*group, FILE_LIMITS) == 0;

        if (!known) {
            unknown = g_strdup_printf("no group [%s] is known", *group);
        }
        for (char **key = keys; key && *key && !unknown; key++) {
            if (!is_known_key(*group, *key)) {
                unknown = g_strdup_printf("no key %s is known in [%s]", *key,
                                          *group);
            }
        }
        g_strfreev(keys);
    }
    g_strfreev(groups);
    if (unknown) {
        file_error(log, path, unknown);
        g_free(unknown);
        return -EINVAL;
    }
    return 0;
}

static int file_lists(struct vwl_rules *rules, struct vwl_log *log,
                      GKeyFile *file, const char *key, bool allow)
{
    char **names = g_key_file_get_string_list(file, FILE_POLICY, key, NULL,
                                              NULL);
    int err = rules_set_list(rules, log, names, allow);

    g_strfreev(names);
    return err;
}

static int file_prefix(char **prefix, struct vwl_log *log, GKeyFile *file,
                       const char *key)
{
    char *text = g_key_file_get_string(file, FILE_POLICY, key, NULL);
    int err = rules_set_prefix(prefix, log, key, text);

    g_free(text);
    return err;
}

static int file_transfer(struct vwl_rules *rules, struct vwl_log *log,
                         GKeyFile *file, const char *path,
                         enum vwl_transfer_kind kind)
{
    char *word = g_key_file_get_string(file, FILE_POLICY,
                                       rules_transfer_keys[kind], NULL);
    unsigned int i = 0;

    if (!word) {
        return 0;
    }
    while (i < G_N_ELEMENTS(transfer_words) &&
           strcmp(transfer_words[i], word) != 0) {
        i++;
    }
    g_free(word);
    if (i == G_N_ELEMENTS(transfer_words)) {
        return file_error(log, path,
                          "a direction is none of both, to-guest, from-guest, "
                          "off and ask");
    }
    rules->transfer[kind] = (enum vwl_transfer_way)i;
    return 0;
}

static int file_limits(struct vwl_rules *rules, struct vwl_log *log,
                       GKeyFile *file, const char *path)
{
    for (unsigned int i = 0; i < RULES_N_LIMITS; i++) {
        GError *error = NULL;
        guint64 value;

        if (!g_key_file_has_key(file, FILE_LIMITS, rules_limits[i].key, NULL)) {
            continue;
        }
        value = g_key_file_get_uint64(file, FILE_LIMITS, rules_limits[i].key,
                                      &error);
        if (error || value > UINT32_MAX) {
            g_clear_error(&error);
            return file_error(log, path, "a limit is not a number");
        }
        *rules_number(rules, rules_limits[i].rule) = (uint32_t)value;
    }
    return 0;
}

int rules_file_apply(struct vwl_rules *rules, struct vwl_log *log,
                     GKeyFile *file, const char *path)
{
    int err = file_check(file, log, path);

    if (err == 0) {
        err = file_lists(rules, log, file, "allow", true);
    }
    if (err == 0) {
        err = file_prefix(&rules->title_prefix, log, file, "title-prefix");
    }
    if (err == 0) {
        err = file_prefix(&rules->app_id_prefix, log, file, "app-id-prefix");
    }
    for (unsigned int kind = 0; kind < VWL_N_TRANSFER_KINDS && err == 0;
         kind++) {
        err = file_transfer(rules, log, file, path,
                            (enum vwl_transfer_kind)kind);
    }
    return err < 0 ? err : file_limits(rules, log, file, path);
}

int rules_file_load(struct vwl_log *log, const char *path, GKeyFile **out)
{
    GKeyFile *file = g_key_file_new();
    GError *error = NULL;

    if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &error)) {
        file_error(log, path, error->message);
        g_error_free(error);
        g_key_file_free(file);
        return -EINVAL;
    }
    *out = file;
    return 0;
}

int rules_file_deny(struct vwl_rules *rules, struct vwl_log *log,
                    GKeyFile *file)
{
    return file_lists(rules, log, file, "deny", false);
}
