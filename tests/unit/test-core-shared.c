/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ask.h"
#include "fds.h"
#include "socket.h"

static struct core_rig_op *op(struct core_rig *rig, guint i)
{
    g_assert_cmpuint(i, <, rig->ops->len);
    return &g_array_index(rig->ops, struct core_rig_op, i);
}

/* A writable file is shared: in whole pages, or copied where the front-end
 * does not take that. */
static void test_shared(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1), fd = sealed_file(5000, 0);
    struct stat st, original;
    size_t len;

    g_assert_cmpint(fstat(fd, &original), ==, 0);
    socket_send(compositor, "x", 1, &fd, 1);
    expect_new(rig, 0, 0, 5000);
    expect_recv(rig, 1, 1, &len);
    g_assert_cmpint(fstat(rig->last_map_fd, &st), ==, 0);
    g_assert_cmpuint(st.st_ino, ==, original.st_ino);
    g_assert_cmpuint(op(rig, 0)->len, ==, 8192);
    g_assert_cmpint(ftruncate(fd, 4999), ==, -1);
    g_assert_cmpuint(rig->lines->len, ==, 0);
    close(fd);
    rig->map_later = true;
    fd = sealed_file(5000, 0);
    g_assert_cmpint(fstat(fd, &original), ==, 0);
    socket_send(compositor, "x", 1, &fd, 1);
    g_assert_cmpint(next_message(rig), ==, 0);
    vwl_core_map_done(rig->core, op(rig, 1)->cookie, -EINVAL);
    vwl_core_map_done(rig->core, op(rig, 2)->cookie, 0);
    g_assert_cmpint(fstat(rig->last_map_fd, &st), ==, 0);
    g_assert_cmpuint(st.st_ino, !=, original.st_ino);
    /* which is no fault of anybody's */
    g_assert_cmpuint(rig->lines->len, ==, 1);
    g_assert_nonnull(strstr(rig->lines->pdata[0], "5000 bytes is copied"));
    close(fd);
    close(compositor);
    core_rig_free(rig);
}

/* Whole pages are another matter. */
static void test_refused(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1), fd = sealed_file(8192, 0);

    rig->map_later = true;
    socket_send(compositor, "x", 1, &fd, 1);
    g_assert_cmpint(next_message(rig), ==, 0);
    vwl_core_map_done(rig->core, op(rig, 0)->cookie, -EINVAL);
    g_assert_nonnull(strstr(rig->lines->pdata[0],
                            "host bug: shm: the front-end refused to map 8192 "
                            "bytes"));
    close(fd);
    close(compositor);
    core_rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/core/shared/odd-size", test_shared);
    g_test_add_func("/core/shared/refused", test_refused);
    return g_test_run();
}
