/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of globals, and what a host says about it. */
#include <glib/gstdio.h>
#include <unistd.h>

#include "policy_rig.h"
#include "wayland/table.h"

static void test_list(void)
{
    const struct vwl_table_row *row, *before = NULL;
    unsigned int n = 0, allowed = 0;

    for (; (row = vwl_table_at(n)) != NULL; n++) {
        g_assert_true(!before || strcmp(before->name, row->name) < 0);
        g_assert_true(vwl_table_find(row->name) == row);
        g_assert_cmpuint(vwl_table_index(row), ==, n);
        g_assert_cmpuint(strlen(row->why), >, 0);
        if (row->iface) {
            g_assert_cmpstr(row->iface->name, ==, row->name);
            g_assert_cmpint(row->verdict, !=, VWL_REFUSED);
            g_assert_cmpuint(vwl_table_version(row), >, 0);
        } else {
            g_assert_cmpuint(vwl_table_version(row), ==, 0);
        }
        allowed += row->verdict == VWL_ALLOWED;
        before = row;
    }
    g_assert_cmpuint(n, >=, 199);
    g_assert_cmpuint(allowed, >, 30);
    g_assert_null(vwl_table_find("wl_shmx"));
    g_assert_null(vwl_table_find(""));
}

static bool allows(const struct policy_rig *rig, const char *name)
{
    return vwl_rules_allow(rig->rules, vwl_table_find(name));
}

static void test_default(void)
{
    const struct vwl_table_row *row;
    struct policy_rig rig;

    rig_init(&rig, NULL);
    for (unsigned int i = 0; (row = vwl_table_at(i)) != NULL; i++) {
        g_assert_cmpint(vwl_rules_allow(rig.rules, row), ==,
                        row->verdict == VWL_ALLOWED && row->iface);
    }
    g_assert_false(allows(&rig, "nothing"));
    g_assert_true(allows(&rig, "wl_shm"));
    g_assert_false(allows(&rig, "zwp_idle_inhibit_manager_v1"));
    g_assert_false(allows(&rig, "zwlr_screencopy_manager_v1"));
    g_assert_cmpuint(rig.rules->max_message_bytes, ==, 4096);
    g_assert_cmpuint(rig.rules->max_buffer_side, ==, 16384);
    rig_finish(&rig);
}

static void test_said(void)
{
    struct vwl_socket_policy policy = {
        .size = sizeof policy,
        .allow = "zwp_idle_inhibit_manager_v1, zwp_pointer_constraints_v1",
        .deny = "zwp_pointer_constraints_v1,wl_shm",
        .title_prefix = "[a] ",
        .max_pools = 9,
    };
    struct policy_rig rig;

    rig_init(&rig, &policy);
    g_assert_true(allows(&rig, "zwp_idle_inhibit_manager_v1"));
    g_assert_false(allows(&rig, "zwp_pointer_constraints_v1"));
    g_assert_false(allows(&rig, "wl_shm"));
    g_assert_cmpstr(rig.rules->title_prefix, ==, "[a] ");
    g_assert_null(rig.rules->app_id_prefix);
    g_assert_cmpuint(rig.rules->max_pools, ==, 9);
    rig_finish(&rig);

    /* a host that knew no more than its kind and the clipboard's word */
    policy.size = offsetof(struct vwl_socket_policy, primary);
    policy.clipboard = VWL_TRANSFER_OFF;
    rig_init(&rig, &policy);
    g_assert_true(allows(&rig, "wl_shm"));
    g_assert_cmpint(rig.rules->transfer[VWL_KIND_CLIPBOARD], ==,
                    VWL_TRANSFER_OFF);
    g_assert_null(rig.rules->title_prefix);
    rig_finish(&rig);
}

static void refuse(const struct vwl_socket_policy *policy, const char *why)
{
    struct policy_rig rig = { .said = g_string_new(NULL) };

    vwl_log_init(&rig.log, rig_log, &rig);
    g_assert_cmpint(vwl_rules_create(policy, &rig.log, &rig.rules), ==,
                    -EINVAL);
    g_assert_nonnull(strstr(rig.said->str, why));
    g_string_free(rig.said, TRUE);
}

static void test_wrong(void)
{
    struct vwl_socket_policy base = { .size = sizeof base }, policy;
    g_autofree char *prefix = g_strnfill(129, 'p');

    policy = base;
    policy.allow = "wl_sum";
    refuse(&policy, "no interface \"wl_sum\" is known");
    policy = base;
    policy.deny = "wl_\nsum";
    refuse(&policy, "no interface \"wl_\\x0asum\" is known");
    policy = base;
    policy.allow = "zwlr_screencopy_manager_v1";
    refuse(&policy, "zwlr_screencopy_manager_v1 cannot be allowed");
    policy = base;
    policy.drag = VWL_TRANSFER_ASK + 1;
    refuse(&policy, "drag: no direction has the number 5");
    policy = base;
    policy.title_prefix = "\xff";
    refuse(&policy, "the title prefix is not at most 128 bytes of UTF-8");
    policy = base;
    policy.app_id_prefix = prefix;
    refuse(&policy, "the app id prefix is not at most 128 bytes of UTF-8");
    policy = base;
    policy.max_message_bytes = 65536;
    refuse(&policy, "message-bytes: 65536 is not between");
    policy = base;
    policy.file = "/no/such/file";
    refuse(&policy, "policy file /no/such/file");
}

static char *write_file(const char *text)
{
    char *path = NULL;
    int fd = g_file_open_tmp("policy-XXXXXX", &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    return path;
}

static void test_file(void)
{
    g_autofree char *path = write_file(
        "[policy]\n"
        "allow=zwp_idle_inhibit_manager_v1;ext_idle_notifier_v1;\n"
        "deny=wl_subcompositor\n"
        "title-prefix=[file]\\s\n"
        "app-id-prefix=file.\n"
        "clipboard=to-guest\n"
        "drag=ask\n"
        "[limits]\n"
        "surfaces=17\n"
        "pools=18\n");
    struct vwl_socket_policy policy = {
        .size = sizeof policy,
        .file = path,
        .deny = "ext_idle_notifier_v1",
        .allow = "zwp_pointer_constraints_v1,wl_subcompositor",
        .title_prefix = "[said] ",
        .drag = VWL_TRANSFER_OFF,
        .max_pools = 19,
    };
    struct policy_rig rig;

    rig_init(&rig, &policy);
    g_assert_true(allows(&rig, "zwp_idle_inhibit_manager_v1"));
    g_assert_true(allows(&rig, "zwp_pointer_constraints_v1"));
    g_assert_false(allows(&rig, "ext_idle_notifier_v1"));
    g_assert_false(allows(&rig, "wl_subcompositor"));
    g_assert_cmpstr(rig.rules->title_prefix, ==, "[said] ");
    g_assert_cmpstr(rig.rules->app_id_prefix, ==, "file.");
    g_assert_cmpint(rig.rules->transfer[VWL_KIND_CLIPBOARD], ==,
                    VWL_TRANSFER_TO_GUEST);
    g_assert_cmpint(rig.rules->transfer[VWL_KIND_PRIMARY], ==,
                    VWL_TRANSFER_BOTH);
    g_assert_cmpint(rig.rules->transfer[VWL_KIND_DRAG], ==, VWL_TRANSFER_OFF);
    g_assert_cmpuint(rig.rules->max_surfaces, ==, 17);
    g_assert_cmpuint(rig.rules->max_pools, ==, 19);
    rig_finish(&rig);
    g_unlink(path);
}

static void test_wrong_files(void)
{
    static const char *const rows[][2] = {
        { "[policy]\ndenny=wl_shm\n", "no key denny is known in [policy]" },
        { "[polic]\ndeny=wl_shm\n", "no group [polic] is known" },
        { "[policy]\nclipboard=none\n", "a direction is none of" },
        { "[policy]\nallow=wl_sum\n", "no interface \"wl_sum\" is known" },
        { "[limits]\nsurfaces=many\n", "a limit is not a number" },
        { "[limits]\nsurfaces=4294967297\n", "a limit is not a number" },
        { "[limits]\nsurfaces=0\n", "surfaces: 0 is not between" },
        { "[limits]\nallow=wl_shm\n", "no key allow is known in [limits]" },
        { "rubbish\n", "policy file " },
    };

    for (unsigned int i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *path = write_file(rows[i][0]);
        struct vwl_socket_policy policy = { .size = sizeof policy,
                                            .file = path };

        refuse(&policy, rows[i][1]);
        g_unlink(path);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/policy-rules/list", test_list);
    g_test_add_func("/policy-rules/default", test_default);
    g_test_add_func("/policy-rules/said", test_said);
    g_test_add_func("/policy-rules/wrong", test_wrong);
    g_test_add_func("/policy-rules/file", test_file);
    g_test_add_func("/policy-rules/wrong-files", test_wrong_files);
    return g_test_run();
}
