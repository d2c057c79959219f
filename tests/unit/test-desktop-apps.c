/* SPDX-License-Identifier: BSD-3-Clause */
/* Lists of a machine's programs, of honest guests and others. */
#include <glib/gstdio.h>
#include <string.h>

#include "channel/frame.h"
#include "desktop/apps.h"
#include "desktop/files.h"
#include "desktop/png.h"
#include "temp.h"

static GString *said;

static void note(void *opaque, const char *line)
{
    g_string_append_printf(said, "%s\n", line);
}

static struct vwl_apps *begin(void)
{
    g_string_truncate(said, 0);
    return vwl_apps_create("test", "/bin/true", note, NULL);
}

static void end(struct vwl_apps *apps)
{
    vwl_apps_destroy(apps);
    vwl_apps_forget(NULL);
    g_ptr_array_unref(temp_expect_files("applications", 0));
    g_ptr_array_unref(temp_expect_files("icons/hicolor/64x64/apps", 0));
    g_ptr_array_unref(temp_expect_files("vwl/test", 0));
    g_ptr_array_unref(temp_expect_files("desktop-directories", 0));
}

static void name(struct vwl_apps *apps, const char *id, const char *text)
{
    const char *const strings[] = { id, "", text, "", "", "" };
    const struct vwl_frame frame = { .type = VWL_FRAME_APP,
                                     .strings = strings,
                                     .n_strings = 6 };

    vwl_apps_app(apps, &frame);
}

static void icon(struct vwl_apps *apps, const char *id, unsigned int side,
                 guint8 byte)
{
    size_t len = (size_t)side * side * 4;
    g_autofree guint8 *pixels = g_malloc(len);
    g_autofree char *text = g_strdup_printf("%u", side);
    const char *const strings[] = { id, text, text };
    const struct vwl_frame frame = { .type = VWL_FRAME_ICON,
                                     .strings = strings,
                                     .n_strings = 3,
                                     .pixels = pixels,
                                     .n_pixel_bytes = len };

    memset(pixels, byte, len);
    vwl_apps_icon(apps, &frame);
}

static bool done(struct vwl_apps *apps, unsigned int count)
{
    g_autofree char *text = g_strdup_printf("%u", count);
    const char *const strings[] = { text };
    const struct vwl_frame frame = { .type = VWL_FRAME_DONE,
                                     .strings = strings,
                                     .n_strings = 1 };

    return vwl_apps_done(apps, &frame);
}

static void expect(unsigned int n)
{
    g_ptr_array_unref(temp_expect_files("applications", n));
}

/* Nothing before DONE; what is not named again goes. */
static void test_lists(void)
{
    struct vwl_apps *apps = begin();

    name(apps, "a", "A");
    name(apps, "b", "B");
    icon(apps, "a", 64, 7);
    expect(0);
    g_assert_true(done(apps, 2));
    expect(2);
    g_ptr_array_unref(temp_expect_files("icons/hicolor/64x64/apps", 1));
    g_assert_cmpuint(vwl_apps_list(apps)->len, ==, 2);
    name(apps, "b", "B");
    vwl_apps_drop(apps); /* a hang-up */
    expect(2);
    name(apps, "b", "B");
    g_assert_true(done(apps, 1));
    expect(1);
    g_ptr_array_unref(temp_expect_files("icons/hicolor/64x64/apps", 0));
    g_assert_true(done(apps, 0)); /* without a LIST, too */
    expect(0);
    g_assert_cmpstr(said->str, ==, "");
    end(apps);
}

static void test_wrong_count(void)
{
    struct vwl_apps *apps = begin();

    name(apps, "a", "A");
    g_assert_true(done(apps, 1));
    name(apps, "b", "B");
    g_assert_false(done(apps, 2));
    g_assert_nonnull(vwl_apps_find(apps, "a"));
    g_assert_null(vwl_apps_find(apps, "b"));
    g_assert_nonnull(strstr(said->str, "a list of 1 said to be of 2"));
    end(apps);
}

static void test_too_many(void)
{
    struct vwl_apps *apps = begin();
    char id[32];

    for (unsigned int i = 0; i < 100000; i++) {
        g_snprintf(id, sizeof id, "app-%u", i);
        name(apps, id, "App");
    }
    g_assert_true(done(apps, 100000));
    expect(VWL_MAX_APPS);
    g_assert_cmpstr(said->str, ==, "programs: 100000 entries, 512 taken\n");
    end(apps);
}

/* One file for two ids that differ in their case alone: the first. */
static void test_case(void)
{
    struct vwl_apps *apps = begin();

    name(apps, "Foo", "First");
    name(apps, "foo", "Second");
    g_assert_true(done(apps, 2));
    expect(1);
    g_assert_cmpstr(vwl_apps_find(apps, "Foo")->name, ==, "First");
    end(apps);
}

static void test_twins(void)
{
    struct vwl_apps *apps = begin();
    g_autofree char *path = vwl_files_data(
        "applications", "org.vhost_user_wl.vm.test.b.desktop");
    g_autofree char *text = NULL;

    name(apps, "a", "Files");
    name(apps, "b", "Files");
    g_assert_true(done(apps, 2));
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_nonnull(strstr(text, "\nName=Files [b] (test)\n"));
    end(apps);
}

static void test_icons(void)
{
    struct vwl_apps *apps = begin();

    name(apps, "a", "A");
    icon(apps, "b", 64, 1); /* of no program */
    icon(apps, "a", 64, 1);
    icon(apps, "a", 64, 2); /* a second time */
    icon(apps, "a", 256, 3);
    g_assert_true(done(apps, 1));
    g_assert_cmpstr(said->str, ==, "programs: 2 icons left out\n");
    g_assert_nonnull(vwl_apps_find(apps, "a")->icons[VWL_ICON_256]);
    g_assert_null(vwl_apps_find(apps, "a")->icons[VWL_ICON_128]);
    end(apps);
}

static void test_icon_total(void)
{
    struct vwl_apps *apps = begin();
    unsigned int n = VWL_MAX_ICON_TOTAL / (256 * 256 * 4), taken = 0;
    char id[32];

    for (unsigned int i = 0; i < n + 3; i++) {
        g_snprintf(id, sizeof id, "app-%u", i);
        name(apps, id, id);
        icon(apps, id, 256, 0);
    }
    g_assert_true(done(apps, n + 3));
    for (unsigned int i = 0; i < n + 3; i++) {
        const struct vwl_app *app = vwl_apps_list(apps)->pdata[i];

        taken += app->icons[VWL_ICON_256] != NULL;
    }
    g_assert_cmpuint(taken, ==, n);
    g_assert_cmpstr(said->str, ==, "programs: 3 icons left out\n");
    end(apps);
}

/* A thousand lists a second: few are written. */
static void test_rate(void)
{
    struct vwl_apps *apps = begin();
    unsigned int taken = 0;

    for (unsigned int i = 0; i < 1000; i++) {
        taken += done(apps, 0);
    }
    g_assert_cmpuint(taken, ==, VWL_LIST_BURST);
    g_assert_cmpstr(said->str, ==,
                    "programs: more than 8 lists in 12 s, not taken\n");
    end(apps);
}

/* Hidden stays hidden: in the next list, and in the next process, before the
 * guest has said anything. */
static void test_hidden(void)
{
    struct vwl_apps *apps = begin();
    GError *error = NULL;

    name(apps, "a", "A");
    name(apps, "b", "B");
    g_assert_true(done(apps, 2));
    g_assert_true(vwl_apps_show(apps, "a", false, NULL));
    g_assert_false(vwl_apps_show(apps, "c", false, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
    name(apps, "a", "A");
    g_assert_true(done(apps, 1));
    g_assert_false(vwl_apps_find(apps, "a")->shown);
    vwl_apps_destroy(apps);

    apps = begin();
    g_assert_cmpuint(vwl_apps_list(apps)->len, ==, 1);
    g_assert_cmpstr(vwl_apps_find(apps, "a")->name, ==, "A");
    g_assert_false(vwl_apps_find(apps, "a")->shown);
    g_assert_true(vwl_apps_show(apps, "a", true, NULL));
    vwl_apps_destroy(apps);
    apps = begin();
    g_assert_true(vwl_apps_find(apps, "a")->shown);
    end(apps);
}

static void test_off(void)
{
    struct vwl_apps *apps = begin();

    name(apps, "a", "A");
    g_assert_true(done(apps, 1));
    vwl_apps_export(apps, false);
    expect(0);
    name(apps, "b", "B");
    g_assert_true(done(apps, 1));
    expect(0);
    vwl_apps_export(apps, true);
    expect(1);
    end(apps);
}

/* What has not changed is not written again. */
static void test_unchanged(void)
{
    struct vwl_apps *apps = begin();
    g_autofree char *path = vwl_files_data(
        "applications", "org.vhost_user_wl.vm.test.a.desktop");
    GStatBuf before, after;

    name(apps, "a", "A");
    g_assert_true(done(apps, 1));
    g_assert_cmpint(g_stat(path, &before), ==, 0);
    name(apps, "a", "A");
    g_assert_true(done(apps, 1));
    g_assert_cmpint(g_stat(path, &after), ==, 0);
    g_assert_cmpuint(before.st_ino, ==, after.st_ino);
    end(apps);
}

/* By the PNG specification: the literal beginning, and the picture's size. */
static void test_png(void)
{
    static const guint8 head[] = {
        0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0,    0,    0,
        13,   'I', 'H', 'D', 'R',  0,    0,    0,    64,   0,    0,
        0,    64,  8,   6,   0,    0,    0,    0xaa, 0x69, 0x71, 0xde,
    };
    static const guint8 tail[] = { 0,   0,   0,    0,    'I',  'E',
                                   'N', 'D', 0xae, 0x42, 0x60, 0x82 };
    guint8 *pixels = g_malloc0(64 * 64 * 4);
    GBytes *png = vwl_png(pixels, 64);
    gsize len;
    const guint8 *data = g_bytes_get_data(png, &len);

    g_assert_cmpmem(data, sizeof head, head, sizeof head);
    g_assert_cmpmem(data + len - sizeof tail, sizeof tail, tail, sizeof tail);
    g_bytes_unref(png);
    g_free(pixels);
}

int main(int argc, char **argv)
{
    int status;

    temp_begin();
    said = g_string_new(NULL);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/apps/lists", test_lists);
    g_test_add_func("/apps/wrong-count", test_wrong_count);
    g_test_add_func("/apps/too-many", test_too_many);
    g_test_add_func("/apps/case", test_case);
    g_test_add_func("/apps/twins", test_twins);
    g_test_add_func("/apps/icons", test_icons);
    g_test_add_func("/apps/icon-total", test_icon_total);
    g_test_add_func("/apps/rate", test_rate);
    g_test_add_func("/apps/hidden", test_hidden);
    g_test_add_func("/apps/off", test_off);
    g_test_add_func("/apps/unchanged", test_unchanged);
    g_test_add_func("/apps/png", test_png);
    status = g_test_run();
    temp_end();
    g_string_free(said, TRUE);
    return status;
}
