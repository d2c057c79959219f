/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who connects a guest to the host's sockets, by what the kernel says of the
 * peer: the daemon itself where Landlock knows which files it may connect to
 * (Linux 7.1; `vm-connect` runs this on such a kernel), else its connector; and
 * the connector everywhere if a socket was not there when the daemon began, or
 * if a guest is connected within a security context.
 */
#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <linux/landlock.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/landlock.h"
#include "driver.h"
#include "frontend.h"
#include "process.h"

struct scene {
    char *folder, *socket, *peer;
    int listener; /* at peer; -1: nobody */
    struct process process;
    struct vwl_fe *fe;
    struct vwl_drv *drv;
};

/* Where files are in memory, as XDG_RUNTIME_DIR's are. */
static bool connects_itself(void)
{
    struct statfs fs;

    g_assert_cmpint(statfs(g_get_tmp_dir(), &fs), ==, 0);
    return !*g_getenv("VWL_SANITIZED") && *g_getenv("VWL_SECCOMP") &&
           (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC) &&
           syscall(SYS_landlock_create_ruleset, NULL, 0,
                   LANDLOCK_CREATE_RULESET_VERSION) >= VWL_LANDLOCK_SOCKETS_ABI;
}

static void scene_begin(struct scene *scene, bool is_there, const char *words,
                        const char *more)
{
    const struct vwl_fe_options options = { .dialect = VWL_FE_STANDARD };
    const struct vwl_drv_options driver = { 0 };
    g_autofree char *socket = NULL, *peer = NULL;
    int fd;

    *scene = (struct scene){ .listener = -1 };
    scene->folder = g_dir_make_tmp("vwl-who-XXXXXX", NULL);
    scene->socket = g_build_filename(scene->folder, "vhost", NULL);
    scene->peer = g_build_filename(scene->folder, "wayland-0", NULL);
    if (is_there) {
        scene->listener = process_listen(scene->peer, 4);
    }
    socket = g_strdup_printf("--socket-path=%s", scene->socket);
    peer = g_strdup_printf("--wayland-sock=%s%s", scene->peer, words);
    process_daemon(&scene->process, false,
                   (const char *const[]){ socket, peer, "--dmabuf=off", more,
                                          NULL });
    g_assert_cmpint(vwl_fe_connect(scene->socket, 30000, &fd), ==, 0);
    g_assert_cmpint(vwl_fe_create(&options, &fd, &scene->fe), ==, 0);
    g_assert_cmpint(vwl_fe_handshake(scene->fe), ==, 0);
    g_assert_cmpint(vwl_drv_create(scene->fe, &driver, &scene->drv), ==, 0);
}

static void scene_end(struct scene *scene)
{
    vwl_drv_destroy(scene->drv);
    vwl_fe_destroy(scene->fe);
    g_assert_cmpint(process_terminate(&scene->process), ==, 0);
    if (scene->listener >= 0) {
        close(scene->listener);
    }
    g_unlink(scene->peer);
    g_assert_cmpint(g_rmdir(scene->folder), ==, 0);
    g_free(scene->folder);
    g_free(scene->socket);
    g_free(scene->peer);
}

/* The process that made the next connection. */
static pid_t next_peer(int listener)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len), ==,
                    0);
    g_assert_cmpuint(peer.uid, ==, geteuid());
    close(fd);
    return peer.pid;
}

static void expect_connected(struct scene *scene, uint32_t id, bool by_daemon)
{
    g_assert_cmphex(vwl_drv_new_ctx(scene->drv, id, NULL), ==,
                    VIRTIO_WL_RESP_VFD_NEW);
    if (by_daemon) {
        g_assert_cmpint(next_peer(scene->listener), ==, scene->process.pid);
    } else {
        g_assert_cmpint(next_peer(scene->listener), !=, scene->process.pid);
    }
}

static void test_itself(void)
{
    struct scene scene;

    scene_begin(&scene, true, ",policy=none", NULL);
    for (uint32_t id = 1; id <= 5; id++) {
        expect_connected(&scene, id, connects_itself());
    }
    g_test_message("by %s", connects_itself() ? "the daemon" : "the connector");
    scene_end(&scene);
}

/* As of a compositor that starts anew: another file by the same name. */
static void test_made_anew(void)
{
    struct scene scene;

    scene_begin(&scene, true, ",policy=none", NULL);
    expect_connected(&scene, 1, connects_itself());
    close(scene.listener);
    g_assert_cmphex(vwl_drv_new_ctx(scene.drv, 2, NULL), !=,
                    VIRTIO_WL_RESP_VFD_NEW);
    g_assert_cmpint(g_unlink(scene.peer), ==, 0);
    scene.listener = process_listen(scene.peer, 4);
    expect_connected(&scene, 3, false);
    expect_connected(&scene, 4, false);
    scene_end(&scene);
}

static void test_late(void)
{
    struct scene scene;

    scene_begin(&scene, false, ",policy=none", NULL);
    g_assert_cmphex(vwl_drv_new_ctx(scene.drv, 1, NULL), !=,
                    VIRTIO_WL_RESP_VFD_NEW);
    scene.listener = process_listen(scene.peer, 4);
    expect_connected(&scene, 2, false);
    scene_end(&scene);
}

/* No compositor: it hangs up on all, and notes whom. */
static gpointer hang_up(gpointer data)
{
    struct scene *scene = data;
    gboolean by_daemon = FALSE;

    while (process_readable(scene->listener, 3000)) {
        by_daemon |= next_peer(scene->listener) == scene->process.pid;
    }
    return GINT_TO_POINTER(by_daemon);
}

/* Where none can be made, nobody connects for the guest, by no other way. */
static void test_context(void)
{
    struct scene scene;
    GThread *compositor;

    scene_begin(&scene, true, "", "--security-context=require");
    compositor = g_thread_new("compositor", hang_up, &scene);
    g_assert_cmphex(vwl_drv_new_ctx(scene.drv, 1, NULL), !=,
                    VIRTIO_WL_RESP_VFD_NEW);
    g_assert_false(GPOINTER_TO_INT(g_thread_join(compositor)));
    scene_end(&scene);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/who-connects/itself", test_itself);
    g_test_add_func("/who-connects/made-anew", test_made_anew);
    g_test_add_func("/who-connects/late", test_late);
    g_test_add_func("/who-connects/context", test_context);
    return g_test_run();
}
