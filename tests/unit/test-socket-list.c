/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The list of host sockets as a person writes it: every form that is allowed,
 * and why each other one is not.
 */
#include <glib.h>
#include <string.h>

#include "daemon/socket_list.h"

static void expect(const char *text, const struct vwl_socket *want, size_t n)
{
    struct vwl_socket_list list;
    GError *error = NULL;

    vwl_socket_list_init(&list);
    g_assert_true(vwl_socket_list_add(&list, text, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(list.sockets->len, ==, n);
    for (guint i = 0; i < n; i++) {
        const struct vwl_socket *got = &g_array_index(list.sockets,
                                                      struct vwl_socket, i);

        g_assert_cmpstr(got->path, ==, want[i].path);
        g_assert_cmpstr(got->name, ==, want[i].name);
    }
    vwl_socket_list_finish(&list);
}

#define EXPECT(text, ...)                                       \
    expect(text, (const struct vwl_socket[]){ __VA_ARGS__ },    \
           sizeof((const struct vwl_socket[]){ __VA_ARGS__ }) / \
               sizeof(struct vwl_socket))

static void test_forms(void)
{
    EXPECT("/a", { "", "/a" });
    EXPECT("a b", { "", "a b" });
    EXPECT("/a,name=x,policy=none", { "x", "/a" });
    EXPECT("/a;/b,name=x,policy=none", { "", "/a" }, { "x", "/b" });
    EXPECT("/a,name=x,policy=none;/b;/c,policy=wayland,name=y", { "x", "/a" },
           { "", "/b" }, { "y", "/c" });
    EXPECT("/a,name=x=y,policy=none", { "x=y", "/a" });
}

static void test_escapes(void)
{
    EXPECT("/a\\,b", { "", "/a,b" });
    EXPECT("/a\\;b,name=x,policy=none", { "x", "/a;b" });
    EXPECT("/a\\\\,name=x,policy=none", { "x", "/a\\" });
    EXPECT("/a,name=x\\;y,policy=none", { "x;y", "/a" });
    /* as systemd writes names */
    EXPECT("/run/a\\x2db", { "", "/run/a\\x2db" });
    EXPECT("/a\\", { "", "/a\\" });
}

static void refuse(const char *before, const char *text, const char *say)
{
    struct vwl_socket_list list;
    GError *error = NULL;

    vwl_socket_list_init(&list);
    if (before) {
        g_assert_true(vwl_socket_list_add(&list, before, NULL));
    }
    g_assert_false(vwl_socket_list_add(&list, text, &error));
    g_assert_nonnull(error);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, say));
    g_error_free(error);
    vwl_socket_list_finish(&list);
}

static void test_refusals(void)
{
    refuse(NULL, "", "path is empty");
    refuse(NULL, ",name=x", "path is empty");
    refuse(NULL, "/a;", "path is empty");
    refuse(NULL, ";/a", "path is empty");
    refuse(NULL, "/a;;/b", "path is empty");
    refuse(NULL, "/a,b", "one name=NAME");
    refuse(NULL, "/a,", "one name=NAME");
    refuse(NULL, "/a,nom=b", "'nom=b' after '/a'");
    refuse(NULL, "/a,name=b,name=c", "one name=NAME");
    refuse(NULL, "/a,name=", "is empty");
    refuse(NULL, "/a;/b", "without a name was given before");
    refuse(NULL, "/wayland-1,name=x;/wayland-2,name=x", "'x' was given before");
    refuse("/wayland-1,name=x", "/b,name=x,policy=none",
           "'x' was given before");
    refuse("/a", "/b", "was given before");
}

static void expect_kinds(const char *text, uint32_t first, uint32_t last)
{
    struct vwl_socket_list list;

    vwl_socket_list_init(&list);
    g_assert_true(vwl_socket_list_add(&list, text, NULL));
    g_assert_cmpuint(g_array_index(list.kinds, uint32_t, 0), ==, first);
    g_assert_cmpuint(list.kinds->len, ==, list.sockets->len);
    g_assert_cmpuint(g_array_index(list.kinds, uint32_t, list.kinds->len - 1),
                     ==, last);
    vwl_socket_list_finish(&list);
}

/* A compositor's socket is filtered unless it is said otherwise; what guests
 * may do with another one must be said. */
static void test_policies(void)
{
    expect_kinds("/a", VWL_POLICY_WAYLAND, VWL_POLICY_WAYLAND);
    expect_kinds("/a,policy=none", VWL_POLICY_NONE, VWL_POLICY_NONE);
    expect_kinds("/a;/run/wayland-1,name=x", VWL_POLICY_WAYLAND,
                 VWL_POLICY_WAYLAND);
    expect_kinds("/a;/b,policy=none,name=x", VWL_POLICY_WAYLAND,
                 VWL_POLICY_NONE);
    expect_kinds("/a,policy=none;/b,policy=wayland,name=x", VWL_POLICY_NONE,
                 VWL_POLICY_WAYLAND);
    expect_kinds("/a;/run/pulse/native,name=x,policy=pulse,record",
                 VWL_POLICY_WAYLAND, VWL_POLICY_PULSE);
    refuse(NULL, "/run/pulse/native,name=sound", "policy=pulse");
    refuse(NULL, "/a,record", "goes with policy=pulse");
    refuse(NULL, "/a,name=x,policy=none,record", "goes with policy=pulse");
    refuse(NULL, "/a,name=x,policy=pulse,record,record", "one record");
    refuse(NULL, "/run/wayland,name=x", "policy=wayland");
    refuse(NULL, "/run/wayland-1/bus,name=x", "policy=none");
    refuse(NULL, "/a,policy=other", "policy=");
    refuse(NULL, "/a,policy=none,policy=none", "one policy=");
}

/* What each of them is held to. */
static void test_policy_of(void)
{
    const struct vwl_socket_policy wayland = { .size = sizeof wayland }, *is;
    struct vwl_socket_list list;

    vwl_socket_list_init(&list);
    g_assert_true(
        vwl_socket_list_add(&list,
                            "/a;/b,name=b,policy=none;/c,name=c,policy=pulse;"
                            "/d,record,policy=pulse,name=d",
                            NULL));
    g_assert_true(vwl_socket_list_policy(&list, 0, &wayland) == &wayland);
    is = vwl_socket_list_policy(&list, 1, &wayland);
    g_assert_cmpuint(is->kind, ==, VWL_POLICY_NONE);
    is = vwl_socket_list_policy(&list, 2, &wayland);
    g_assert_cmpuint(is->kind, ==, VWL_POLICY_PULSE);
    g_assert_cmpuint(is->flags, ==, 0);
    is = vwl_socket_list_policy(&list, 3, &wayland);
    g_assert_cmpuint(is->kind, ==, VWL_POLICY_PULSE);
    g_assert_cmpuint(is->flags, ==, VWL_POLICY_MAY_RECORD);
    vwl_socket_list_finish(&list);
}

static void test_default(void)
{
    struct vwl_socket_list list;
    GError *error = NULL;

    g_unsetenv("WAYLAND_DISPLAY");
    vwl_socket_list_init(&list);
    g_assert_false(vwl_socket_list_add_default(&list, &error));
    g_assert_nonnull(strstr(error->message, "set WAYLAND_DISPLAY"));
    g_clear_error(&error);
    g_setenv("WAYLAND_DISPLAY", "wayland,5", TRUE);
    g_setenv("XDG_RUNTIME_DIR", "relative", TRUE);
    g_assert_false(vwl_socket_list_add_default(&list, &error));
    g_assert_nonnull(strstr(error->message, "absolute"));
    g_clear_error(&error);
    /* a variable is a path and no list */
    g_setenv("XDG_RUNTIME_DIR", "/run;x", TRUE);
    g_assert_true(vwl_socket_list_add_default(&list, &error));
    g_assert_cmpstr(g_array_index(list.sockets, struct vwl_socket, 0).path, ==,
                    "/run;x/wayland,5");
    g_assert_cmpuint(g_array_index(list.kinds, uint32_t, 0), ==,
                     VWL_POLICY_WAYLAND);
    vwl_socket_list_finish(&list);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/socket-list/forms", test_forms);
    g_test_add_func("/socket-list/escapes", test_escapes);
    g_test_add_func("/socket-list/refusals", test_refusals);
    g_test_add_func("/socket-list/policies", test_policies);
    g_test_add_func("/socket-list/policy-of", test_policy_of);
    g_test_add_func("/socket-list/default", test_default);
    return g_test_run();
}
