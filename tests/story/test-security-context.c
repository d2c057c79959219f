/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Security contexts from both who make them: the daemon's connector, and the
 * plugin where it connects itself (a daemon without its sandbox). The
 * compositor is a double that checks each message.
 */
#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "driver.h"
#include "frontend.h"
#include "process.h"
#include "secctx.h"

struct scene {
    char *folder, *runtime, *socket, *peer;
    struct process process;
    struct secctx *host;
    struct vwl_fe *fe;
    struct vwl_drv *drv;
    uint32_t id; /* of the next VFD */
};

/* who: the option that says who connects, as the test's argument. */
static void begin(struct scene *scene, const char *who, const char *mode,
                  const char *name, enum secctx_manner manner)
{
    struct vwl_fe_options options = { .dialect = VWL_FE_STANDARD };
    struct vwl_drv_options drv_options = { 0 };
    g_autofree char *socket = NULL, *peer = NULL;
    int fd;

    *scene = (struct scene){ .id = 1 };
    scene->folder = g_dir_make_tmp("vwl-secctx-XXXXXX", NULL);
    scene->runtime = g_build_filename(scene->folder, "runtime", NULL);
    scene->socket = g_build_filename(scene->folder, "vhost", NULL);
    scene->peer = g_build_filename(scene->folder, "wayland-7", NULL);
    g_assert_cmpint(g_mkdir(scene->runtime, 0700), ==, 0);
    g_setenv("XDG_RUNTIME_DIR", scene->runtime, TRUE);
    socket = g_strdup_printf("--socket-path=%s", scene->socket);
    peer = g_strdup_printf("--wayland-sock=%s", scene->peer);
    scene->host = secctx_start(scene->peer, manner);
    process_daemon(&scene->process, true,
                   (const char *const[]){ socket, peer, who, "--dmabuf=off",
                                          mode, name, NULL });
    g_assert_cmpint(vwl_fe_connect(scene->socket, 30000, &fd), ==, 0);
    g_assert_cmpint(vwl_fe_create(&options, &fd, &scene->fe), ==, 0);
    g_assert_cmpint(vwl_fe_handshake(scene->fe), ==, 0);
    g_assert_cmpint(vwl_drv_create(scene->fe, &drv_options, &scene->drv), ==,
                    0);
}

/* Ends the daemon; what it said. */
static char *end(struct scene *scene)
{
    char *text;
    GDir *dir;

    vwl_drv_destroy(scene->drv);
    vwl_fe_destroy(scene->fe);
    if (scene->process.pid) {
        g_assert_cmpint(process_terminate(&scene->process), ==, 0);
    }
    text = process_errors(&scene->process);
    g_test_message("%s", text);
    if (scene->host) {
        secctx_stop(scene->host);
    }
    /* the file that a context was made with is gone */
    dir = g_dir_open(scene->runtime, 0, NULL);
    g_assert_null(g_dir_read_name(dir));
    g_dir_close(dir);
    g_assert_cmpint(g_rmdir(scene->runtime), ==, 0);
    g_unlink(scene->socket);
    g_assert_cmpint(g_rmdir(scene->folder), ==, 0);
    g_free(scene->folder);
    g_free(scene->runtime);
    g_free(scene->socket);
    g_free(scene->peer);
    return text;
}

static int connect_guest(struct scene *scene)
{
    return vwl_drv_new_ctx(scene->drv, scene->id++, NULL);
}

static unsigned int count(const char *text, const char *what)
{
    unsigned int n = 0;

    for (; (text = strstr(text, what)); text++) {
        n++;
    }
    return n;
}

#define CONNECTED VIRTIO_WL_RESP_VFD_NEW
#define REFUSED VIRTIO_WL_RESP_ERR

static void test_made(gconstpointer who)
{
    struct scene scene;
    char *names, *said, *text;

    begin(&scene, who, "--security-context=require",
          "--name=vm-1.2_x y/\303\244", SECCTX_GOOD);
    for (int i = 0; i < 3; i++) {
        g_assert_cmphex(connect_guest(&scene), ==, CONNECTED);
    }
    secctx_wait(scene.host, secctx_inside, 3);
    g_assert_cmpuint(secctx_made(scene.host), ==, 1);
    g_assert_cmpuint(secctx_outside(scene.host), ==, 0);
    names = secctx_names(scene.host);
    g_test_message("%s", names);
    g_assert_true(
        g_str_has_prefix(names,
                         "vhost-user-wl org.vhost_user_wl.vm.vm-1.2_x_y___ "));
    g_free(names);
    /* its connector's note may come after the guest's answer */
    said = process_hear(&scene.process, "guests connect to ", 30000);
    /* it lives as long as the daemon */
    g_assert_cmpuint(secctx_ended(scene.host), ==, 0);
    g_assert_cmpint(kill(scene.process.pid, SIGKILL), ==, 0);
    g_assert_cmpint(process_wait(&scene.process), ==, -SIGKILL);
    secctx_wait(scene.host, secctx_ended, 1);
    for (int i = 0;
         g_file_test(scene.socket, G_FILE_TEST_EXISTS) && !strstr(who, "off");
         i++) {
        g_assert_cmpint(i, <, 30000);
        g_usleep(1000);
    }
    text = end(&scene);
    g_assert_cmpuint(count(said, "guests connect to ") +
                         count(text, "guests connect to "),
                     ==, 1);
    g_free(said);
    g_free(text);
}

static void test_restarted(gconstpointer who)
{
    struct scene scene;

    begin(&scene, who, "--security-context=auto", NULL, SECCTX_GOOD);
    for (int i = 0; i < 3; i++) {
        g_assert_cmphex(connect_guest(&scene), ==, CONNECTED);
        secctx_wait(scene.host, secctx_inside, 1);
        g_assert_cmpuint(secctx_made(scene.host), ==, 1);
        secctx_stop(scene.host);
        scene.host = NULL;
        /* nobody is there: a guest is refused, and that is all */
        g_assert_cmphex(connect_guest(&scene), ==, REFUSED);
        scene.host = secctx_start(scene.peer, SECCTX_GOOD);
    }
    /* the same compositor may lose its contexts, too */
    g_assert_cmphex(connect_guest(&scene), ==, CONNECTED);
    secctx_wait(scene.host, secctx_inside, 1);
    secctx_forget(scene.host);
    g_assert_cmphex(connect_guest(&scene), ==, CONNECTED);
    secctx_wait(scene.host, secctx_inside, 2);
    g_assert_cmpuint(secctx_made(scene.host), ==, 2);
    g_assert_cmpuint(secctx_outside(scene.host), ==, 0);
    g_free(end(&scene));
}

static void test_off(gconstpointer who)
{
    struct scene scene;

    begin(&scene, who, "--security-context=off", NULL, SECCTX_GOOD);
    g_assert_cmphex(connect_guest(&scene), ==, CONNECTED);
    secctx_wait(scene.host, secctx_outside, 1);
    g_assert_cmpuint(secctx_asked(scene.host), ==, 0);
    g_free(end(&scene));
}

static void test_missing(gconstpointer who)
{
    struct scene scene;
    char *text;

    begin(&scene, who, "--security-context=auto", NULL, SECCTX_MISSING);
    for (int i = 0; i < 3; i++) {
        g_assert_cmphex(connect_guest(&scene), ==, CONNECTED);
    }
    secctx_wait(scene.host, secctx_outside, 3);
    g_assert_cmpuint(secctx_asked(scene.host), ==, 1);
    text = end(&scene);
    g_assert_cmpuint(count(text, "it cannot tell guests from"), ==, 1);
    g_free(text);

    begin(&scene, who, "--security-context=require", NULL, SECCTX_MISSING);
    g_assert_cmphex(connect_guest(&scene), ==, REFUSED);
    g_assert_cmphex(connect_guest(&scene), ==, REFUSED);
    g_assert_cmpuint(secctx_outside(scene.host), ==, 0);
    /* another compositor in its place has one */
    secctx_stop(scene.host);
    scene.host = secctx_start(scene.peer, SECCTX_GOOD);
    g_assert_cmphex(connect_guest(&scene), ==, CONNECTED);
    secctx_wait(scene.host, secctx_inside, 1);
    text = end(&scene);
    g_assert_cmpuint(count(text, "has none"), ==, 1);
    g_assert_cmpuint(count(text, "guests connect to "), ==, 1);
    g_free(text);
}

/* Where there is one and it cannot be had, nobody is let in without. */
static void test_failing(gconstpointer who)
{
    static const enum secctx_manner manners[] = { SECCTX_SILENT, SECCTX_STUCK,
                                                  SECCTX_ERROR, SECCTX_HANGUP,
                                                  SECCTX_NONSENSE };
    struct scene scene;
    char *text;

    for (size_t i = 0; i < G_N_ELEMENTS(manners); i++) {
        begin(&scene, who, "--security-context=auto", NULL, manners[i]);
        g_assert_cmphex(connect_guest(&scene), ==, REFUSED);
        g_assert_cmpuint(secctx_outside(scene.host), ==, 0);
        g_assert_cmpuint(secctx_made(scene.host), ==, 0);
        /* it is tried again, though not at once */
        secctx_set_manner(scene.host, SECCTX_GOOD);
        for (int n = 0; connect_guest(&scene) != CONNECTED; n++) {
            g_assert_cmpint(n, <, 3000);
            g_usleep(10000);
        }
        secctx_wait(scene.host, secctx_inside, 1);
        g_assert_cmpuint(secctx_outside(scene.host), ==, 0);
        text = end(&scene);
        g_assert_nonnull(strstr(text, "none could be made"));
        g_free(text);
    }
}

/* While a compositor keeps silent, all else of the device goes on. */
static void test_not_waiting(gconstpointer who)
{
    struct virtio_wl_ctrl_vfd_new request = {
        .hdr.type = GUINT32_TO_LE(VIRTIO_WL_CMD_VFD_NEW_CTX),
        .vfd_id = GUINT32_TO_LE(1),
    };
    struct vwl_drv_request *waiting;
    struct scene scene;
    unsigned int n = 0;

    begin(&scene, who, "--security-context=auto", NULL, SECCTX_SILENT);
    waiting = vwl_drv_submit(scene.drv, &request, sizeof request, 64, NULL);
    g_assert_nonnull(waiting);
    scene.id = 2;
    secctx_wait(scene.host, secctx_asked, 1);
    while (vwl_drv_request_type(waiting) == 0 && n < 20) {
        g_assert_cmphex(vwl_drv_new_pipe(scene.drv, scene.id,
                                         VIRTIO_WL_VFD_READ),
                        ==, CONNECTED);
        g_assert_cmphex(vwl_drv_close(scene.drv, scene.id), ==,
                        VIRTIO_WL_RESP_OK);
        n++;
    }
    g_test_message("%u pipes meanwhile", n);
    g_assert_cmpuint(n, >, 0);
    g_assert_cmpint(vwl_drv_wait(scene.drv, waiting, 30000), ==, 0);
    g_assert_cmphex(vwl_drv_request_type(waiting), ==, REFUSED);
    vwl_drv_request_free(scene.drv, waiting);
    g_free(end(&scene));
}

int main(int argc, char **argv)
{
    static const char *const who[] = { "--sandbox=on", "--sandbox=off" };

    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < G_N_ELEMENTS(who); i++) {
        const struct {
            const char *name;
            GTestDataFunc func;
        } tests[] = {
            { "made", test_made },       { "restarted", test_restarted },
            { "off", test_off },         { "missing", test_missing },
            { "failing", test_failing }, { "not-waiting", test_not_waiting },
        };

        for (size_t j = 0; j < G_N_ELEMENTS(tests); j++) {
            g_autofree char *path = g_strdup_printf("/security-context/%s/%s",
                                                    i ? "plugin" : "connector",
                                                    tests[j].name);

            g_test_add_data_func(path, who[i], tests[j].func);
        }
    }
    return g_test_run();
}
