/* SPDX-License-Identifier: BSD-3-Clause */
/* Each row of the list of globals, between a client and a compositor that has
 * it: what is allowed is announced and bound in the version that was read, all
 * else stays hidden, and binding it by its number ends the connection. */
#include "policy_rig.h"

#include "wayland/table.h"

#define NAME 7u /* the global's */
#define NEW 3u  /* the client's object */
#define TOO_NEW 1000u

static void begin(struct policy_rig *rig)
{
    rig_init(rig, NULL);
    pass(rig, VWL_TO_HOST, DISPLAY, 1, "u", (uint32_t)REGISTRY);
}

static void expect_allowed(const struct vwl_table_row *row)
{
    uint32_t version = vwl_table_version(row);
    struct policy_rig rig;

    begin(&rig);
    g_assert_cmpuint(version, >, 0);
    push(&rig, VWL_TO_GUEST, REGISTRY, 0, "usu", NAME, row->name, TOO_NEW);
    expect(&rig, VWL_TO_GUEST, REGISTRY, 0, "usu", NAME, row->name, version);
    pass(&rig, VWL_TO_HOST, REGISTRY, 0, "usuu", NAME, row->name, version, NEW);
    rig_finish(&rig);

    begin(&rig);
    push(&rig, VWL_TO_GUEST, REGISTRY, 0, "usu", NAME, row->name, TOO_NEW);
    g_byte_array_unref(take(&rig, VWL_TO_GUEST));
    g_assert_cmpint(push(&rig, VWL_TO_HOST, REGISTRY, 0, "usuu", NAME,
                         row->name, version + 1, NEW),
                    ==, -EPROTO);
    expect_nothing(&rig, VWL_TO_HOST);
    rig_finish(&rig);
}

static void expect_hidden(const struct vwl_table_row *row)
{
    struct policy_rig rig;

    begin(&rig);
    g_assert_cmpint(push(&rig, VWL_TO_GUEST, REGISTRY, 0, "usu", NAME,
                         row->name, 1u),
                    ==, 0);
    expect_nothing(&rig, VWL_TO_GUEST);
    g_assert_cmpint(push(&rig, VWL_TO_HOST, REGISTRY, 0, "usuu", NAME,
                         row->name, 1u, NEW),
                    ==, -EPROTO);
    expect_nothing(&rig, VWL_TO_HOST);
    expect_error(&rig, REGISTRY, 0, row->why);
    g_assert_true(vwl_filter_refused(rig.filter) == row);
    rig_finish(&rig);
}

/* A row that guests may have, and that this build knows how to read. */
static bool is_let_through(const struct vwl_table_row *row)
{
    return row->verdict == VWL_ALLOWED && row->iface;
}

static void test_rows(gconstpointer let_through)
{
    const struct vwl_table_row *row;
    unsigned int n = 0;

    for (unsigned int i = 0; (row = vwl_table_at(i)) != NULL; i++) {
        if (is_let_through(row) == GPOINTER_TO_INT(let_through)) {
            (let_through ? expect_allowed : expect_hidden)(row);
            n++;
        }
    }
    g_assert_cmpuint(n, >, 30);
}

/* A compositor that announces without an end; one that is gone makes room. */
static void test_crowd(void)
{
    struct policy_rig rig;
    uint32_t name = 0;

    begin(&rig);
    while (name < 4096) {
        pass(&rig, VWL_TO_GUEST, REGISTRY, 0, "usu", ++name, "wl_output", 1u);
    }
    pass(&rig, VWL_TO_GUEST, REGISTRY, 1, "u", 5u);
    pass(&rig, VWL_TO_GUEST, REGISTRY, 0, "usu", ++name, "wl_output", 1u);
    pass(&rig, VWL_TO_HOST, REGISTRY, 0, "usuu", name, "wl_output", 1u, NEW);
    g_assert_cmpint(push(&rig, VWL_TO_GUEST, REGISTRY, 0, "usu", ++name,
                         "wl_output", 1u),
                    ==, -EBADMSG);
    expect_nothing(&rig, VWL_TO_GUEST);
    g_assert_nonnull(strstr(vwl_filter_why(rig.filter), "4096 globals"));
    rig_finish(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/policy-table/allowed", GINT_TO_POINTER(true),
                         test_rows);
    g_test_add_data_func("/policy-table/hidden", GINT_TO_POINTER(false),
                         test_rows);
    g_test_add_func("/policy-table/crowd", test_crowd);
    return g_test_run();
}
