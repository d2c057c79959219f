/* SPDX-License-Identifier: BSD-3-Clause */
/* Notifications of a machine at a double of the desktop's server, on a bus of
 * the test's own. */
#include <gio/gio.h>
#include <string.h>

#include "desktop/desktop.h"
#include "notifier.h"

/* What the double was asked, what was logged, and what the guest is told. */
static GString *heard, *said, *sent;
static GDBusConnection *server;

static void on_heard(const char *line)
{
    g_string_append_printf(heard, "%s\n", line);
}

/* The module's clock goes ahead as the test wants. */
gint64 __real_g_get_monotonic_time(void);
gint64 __wrap_g_get_monotonic_time(void);

static gint64 ahead_us;

gint64 __wrap_g_get_monotonic_time(void)
{
    return __real_g_get_monotonic_time() + ahead_us;
}

static void on_log(void *opaque, const char *line)
{
    g_string_append_printf(said, "%s\n", line);
}

static void on_send(void *opaque, const void *data, size_t len)
{
    g_string_append_len(sent, data, (gssize)len);
}

static const struct vwl_desktop_ops ops = { .log = on_log, .send = on_send };

static gboolean on_time(gpointer late)
{
    *(bool *)late = true;
    return G_SOURCE_REMOVE;
}

static unsigned int count_lines(const GString *text)
{
    unsigned int n = 0;

    for (gsize i = 0; i < text->len; i++) {
        n += text->str[i] == '\n';
    }
    return n;
}

/* Until text has n lines, or (n 0) any bytes. */
static void expect_lines(const GString *text, unsigned int n)
{
    bool late = false;
    guint end = g_timeout_add_seconds(30, on_time, &late);

    while (n ? count_lines(text) < n : text->len == 0) {
        g_assert_false(late);
        g_main_context_iteration(NULL, TRUE);
    }
    g_source_remove(end);
}

/* All that was on its way has arrived, and was dealt with. */
static void settle(GDBusConnection *bus)
{
    for (unsigned int i = 0; i < 4; i++) {
        GVariant *answer = g_dbus_connection_call_sync(
            i % 2 ? server : bus, "org.freedesktop.DBus",
            "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId", NULL,
            NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL);

        g_variant_unref(answer);
        while (g_main_context_iteration(NULL, FALSE)) {
        }
    }
}

struct world {
    GDBusConnection *bus;
    struct vwl_desktop *desktop;
};

static void world_begin(struct world *world)
{
    g_string_truncate(heard, 0);
    g_string_truncate(said, 0);
    g_string_truncate(sent, 0);
    notifier_forget();
    world->bus = notifier_connect();
    world->desktop = vwl_desktop_create("test", "/bin/true", world->bus, &ops,
                                        NULL);
}

static void world_end(struct world *world)
{
    vwl_desktop_destroy(world->desktop);
    settle(world->bus);
    g_dbus_connection_close_sync(world->bus, NULL, NULL);
    g_object_unref(world->bus);
}

static void show(struct world *world, const char *id, const char *title,
                 const char *body, const char *urgency)
{
    const char *const strings[] = { id, title, body, urgency };
    const struct vwl_frame frame = { .type = VWL_FRAME_NOTIFY,
                                     .strings = strings,
                                     .n_strings = 4 };

    g_assert_true(vwl_desktop_frame(world->desktop, &frame));
}

static void close_it(struct world *world, const char *id)
{
    const struct vwl_frame frame = { .type = VWL_FRAME_CLOSE,
                                     .strings = &id,
                                     .n_strings = 1 };

    g_assert_true(vwl_desktop_frame(world->desktop, &frame));
}

static void test_show(void)
{
    struct world world;

    world_begin(&world);
    show(&world, "7", "Mail", "two new", "0");
    expect_lines(heard, 1);
    g_assert_cmpstr(heard->str, ==, "1 test|computer|test: Mail|two new|0\n");
    settle(world.bus);
    show(&world, "7", "Mail", "three new", "1"); /* replaces it */
    show(&world, "8", "Other", "", "1");
    expect_lines(heard, 3);
    g_assert_nonnull(strstr(heard->str,
                            "\n1 test|computer|test: Mail|three new|1\n"
                            "2 test|computer|test: Other||1\n"));
    world_end(&world);
}

static void test_hostile(void)
{
    struct world world;
    g_autofree char *large = g_strnfill(3000, 'x');

    world_begin(&world);
    show(&world, "1", "<b>a</b>\n\x1b[2J", "<img src='file:///x'>&\n", "2");
    show(&world, "2", large, large, "1");
    expect_lines(heard, 2);
    g_assert_true(
        g_str_has_prefix(heard->str,
                         "1 test|computer|test: <b>a</b> \xef\xbf\xbd[2J|"
                         "&lt;img src=&apos;file:///x&apos;&gt;&amp;|1\n"));
    g_assert_cmpuint(heard->len, <, 1000);
    world_end(&world);
}

static void test_close(void)
{
    struct world world;

    world_begin(&world);
    show(&world, "5", "A", "", "1");
    close_it(&world, "5"); /* before the server has told its number */
    expect_lines(heard, 2);
    g_assert_nonnull(strstr(heard->str, "\nclose 1\n"));
    show(&world, "6", "B", "", "1");
    expect_lines(heard, 3);
    settle(world.bus);
    close_it(&world, "6");
    close_it(&world, "6");
    close_it(&world, "99");
    expect_lines(heard, 4);
    settle(world.bus);
    g_assert_cmpuint(count_lines(heard), ==, 4);
    world_end(&world);
}

/* By the user: the guest is told. */
static void test_closed(void)
{
    struct world world;

    world_begin(&world);
    show(&world, "77", "A", "", "1");
    expect_lines(heard, 1);
    settle(world.bus);
    for (uint32_t number = 1; number < 4; number++) { /* others', too */
        notifier_close(server, number);
    }
    expect_lines(sent, 0);
    settle(world.bus);
    g_assert_cmpmem(sent->str, sent->len,
                    "\3\0\0\0\x0d\0\0\0"
                    "77",
                    11);
    world_end(&world);
}

static void test_rate(void)
{
    struct world world;

    world_begin(&world);
    for (unsigned int i = 0; i < 1000; i++) {
        g_autofree char *id = g_strdup_printf("%u", i);

        show(&world, id, "A", "", "1");
    }
    settle(world.bus);
    g_assert_cmpuint(count_lines(heard), ==, VWL_NOTE_BURST);
    g_assert_cmpstr(said->str, ==,
                    "notifications: too many, some are left out\n");
    vwl_desktop_hang_up(world.desktop);
    expect_lines(heard, 2 * VWL_NOTE_BURST); /* and they are closed */
    world_end(&world);
}

/* Of 21, the oldest goes; its sender is told. */
static void test_open_ones(void)
{
    struct world world;

    world_begin(&world);
    for (unsigned int i = 0; i <= VWL_MAX_NOTES; i++) {
        g_autofree char *id = g_strdup_printf("%u", i);

        ahead_us += i % VWL_NOTE_BURST ? 0 : VWL_NOTE_MS * 1000;
        show(&world, id, "A", "", "1");
        settle(world.bus);
    }
    expect_lines(heard, VWL_MAX_NOTES + 2);
    g_assert_nonnull(strstr(heard->str, "\nclose 1\n"));
    g_assert_cmpmem(sent->str, sent->len,
                    "\2\0\0\0\x0d\0\0\0"
                    "0",
                    10);
    world_end(&world);
}

static void test_deny(void)
{
    const struct vwl_desktop_policy policy = { VWL_WISH_ALLOW, VWL_WISH_ALLOW,
                                               VWL_WISH_DENY };
    struct world world;

    world_begin(&world);
    show(&world, "1", "A", "", "1");
    expect_lines(heard, 1);
    settle(world.bus);
    vwl_desktop_set_policy(world.desktop, &policy);
    expect_lines(heard, 2);
    show(&world, "2", "A", "", "1");
    settle(world.bus);
    g_assert_cmpuint(count_lines(heard), ==, 2);
    world_end(&world);
}

int main(int argc, char **argv)
{
    GTestDBus *daemon;
    int status;

    g_test_init(&argc, &argv, NULL);
    daemon = g_test_dbus_new(G_TEST_DBUS_NONE);
    g_test_dbus_up(daemon);
    heard = g_string_new(NULL);
    said = g_string_new(NULL);
    sent = g_string_new(NULL);
    server = notifier_start(on_heard);
    g_test_add_func("/notes/show", test_show);
    g_test_add_func("/notes/hostile", test_hostile);
    g_test_add_func("/notes/close", test_close);
    g_test_add_func("/notes/closed", test_closed);
    g_test_add_func("/notes/rate", test_rate);
    g_test_add_func("/notes/open-ones", test_open_ones);
    g_test_add_func("/notes/deny", test_deny);
    status = g_test_run();
    notifier_stop(server);
    g_test_dbus_down(daemon);
    g_object_unref(daemon);
    g_string_free(heard, TRUE);
    g_string_free(said, TRUE);
    g_string_free(sent, TRUE);
    return status;
}
