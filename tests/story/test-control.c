/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon's --control, with the sandbox around it: a policy that changes
 * under a guest that is connected, pastes that are asked about, windows and
 * figures, and those who connect there and are rude. The guest and the
 * compositor are Wayland by plain bytes.
 */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "driver.h"
#include "frontend.h"
#include "plain.h"
#include "process.h"
#include "vhost-user-wl/virtio_wl.h"

#define PATIENCE_MS 30000

enum { CTX = 1, PIPE };
enum {
    DISPLAY = 1,
    REGISTRY = PLAIN_REGISTRY,
    MANAGER,
    SEAT,
    DEVICE,
    COMPOSITOR,
    WM_BASE,
    SURFACE,
    XDG_SURFACE,
    TOPLEVEL,
};
#define OFFER 0xff000000u

struct scene {
    char *folder, *socket, *peer, *control;
    struct process process;
    int listener, compositor, ours; /* ours: connected to the control */
    struct vwl_fe *fe;
    struct vwl_drv *drv;
};

/* ---- the controller ------------------------------------------------------ */

static void tell(const struct scene *scene, const char *line)
{
    size_t length = strlen(line);

    g_assert_cmpint(send(scene->ours, line, length, MSG_NOSIGNAL), ==, length);
}

static char *hear(const struct scene *scene)
{
    GString *line = g_string_new(NULL);
    char c = '\0';

    while (c != '\n') {
        g_assert_true(process_readable(scene->ours, PATIENCE_MS));
        g_assert_cmpint(recv(scene->ours, &c, 1, 0), ==, 1);
        g_string_append_c(line, c);
    }
    return g_string_free(line, FALSE);
}

static void expect_line(const struct scene *scene, const char *line)
{
    g_autofree char *heard = hear(scene);

    g_assert_cmpstr(heard, ==, line);
}

static void expect_hung_up(const struct scene *scene)
{
    char c;

    do {
        g_assert_true(process_readable(scene->ours, PATIENCE_MS));
    } while (recv(scene->ours, &c, 1, 0) == 1);
}

/* All that was said before is in force. */
static void look(const struct scene *scene, const char *windows)
{
    g_autofree char *figures = NULL;

    tell(scene, "look\n");
    figures = hear(scene);
    g_assert_true(g_str_has_prefix(figures, "figures connections=1 "));
    if (windows) {
        expect_line(scene, windows);
    }
    expect_line(scene, "end\n");
}

static int connect_to(const char *path)
{
    int fd;

    g_assert_cmpint(vwl_fe_connect(path, PATIENCE_MS, &fd), ==, 0);
    return fd;
}

/* ---- the guest and the compositor ---------------------------------------- */

static void ask(struct scene *scene, struct plain message)
{
    uint8_t bytes[sizeof message.bytes];

    g_assert_cmpint(vwl_drv_send(scene->drv, CTX, NULL, 0, message.bytes,
                                 message.len),
                    ==, VIRTIO_WL_RESP_OK);
    for (size_t n = 0; n < message.len;) {
        ssize_t more;

        g_assert_true(process_readable(scene->compositor, PATIENCE_MS));
        more = recv(scene->compositor, bytes + n, message.len - n, 0);
        g_assert_cmpint(more, >, 0);
        n += (size_t)more;
    }
    g_assert_cmpmem(bytes, message.len, message.bytes, message.len);
}

static void event(struct scene *scene, struct plain message)
{
    uint8_t bytes[sizeof message.bytes];

    g_assert_cmpint(send(scene->compositor, message.bytes, message.len, 0), ==,
                    message.len);
    g_assert_cmpint(vwl_drv_recv(scene->drv, CTX, bytes, sizeof bytes, NULL,
                                 NULL, PATIENCE_MS),
                    ==, message.len);
}

/* The guest pastes into a pipe of its own. */
static void paste(struct scene *scene)
{
    struct plain message = plain_say(OFFER, 1);
    uint32_t pipe = PIPE;

    plain_add_text(&message, "text/plain");
    plain_close(&message);
    g_assert_cmpint(vwl_drv_new_pipe(scene->drv, pipe, VIRTIO_WL_VFD_READ), ==,
                    VIRTIO_WL_RESP_VFD_NEW);
    g_assert_cmpint(vwl_drv_send(scene->drv, CTX, &pipe, 1, message.bytes,
                                 message.len),
                    ==, VIRTIO_WL_RESP_OK);
}

/* What is pasted ends: nothing was passed on, or the compositor's end. */
static void expect_end(struct scene *scene)
{
    char byte;

    g_assert_cmpint(vwl_drv_recv(scene->drv, PIPE, &byte, 1, NULL, NULL,
                                 PATIENCE_MS),
                    ==, 0);
    g_assert_cmpint(vwl_drv_close(scene->drv, PIPE), ==, VIRTIO_WL_RESP_OK);
}

static void expect_refused(struct scene *scene)
{
    expect_end(scene);
    g_assert_false(process_readable(scene->compositor, 0));
}

static void expect_passed(struct scene *scene)
{
    uint8_t bytes[64], control[CMSG_SPACE(sizeof(int))];
    struct iovec iov = { bytes, sizeof bytes };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control,
                          .msg_controllen = sizeof control };
    int fd;

    g_assert_true(process_readable(scene->compositor, PATIENCE_MS));
    g_assert_cmpint(recvmsg(scene->compositor, &msg, MSG_CMSG_CLOEXEC), ==, 24);
    g_assert_nonnull(CMSG_FIRSTHDR(&msg));
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof fd);
    close(fd);
    expect_end(scene);
}

/* A client with the host's clipboard before it. */
static void client(struct scene *scene)
{
    g_assert_cmpint(vwl_drv_new_ctx(scene->drv, CTX, NULL), ==,
                    VIRTIO_WL_RESP_VFD_NEW);
    g_assert_true(process_readable(scene->listener, PATIENCE_MS));
    scene->compositor = accept4(scene->listener, NULL, NULL, SOCK_CLOEXEC);
    ask(scene, plain_words(DISPLAY, 1, 1, REGISTRY, 0));
    event(scene, plain_global(1, "wl_data_device_manager", 0));
    event(scene, plain_global(2, "wl_seat", 0));
    event(scene, plain_global(3, "wl_compositor", 0));
    event(scene, plain_global(4, "xdg_wm_base", 0));
    ask(scene, plain_global(1, "wl_data_device_manager", MANAGER));
    ask(scene, plain_global(2, "wl_seat", SEAT));
    ask(scene, plain_words(MANAGER, 1, 2, DEVICE, SEAT));
    event(scene, plain_words(DEVICE, 0, 1, OFFER, 0));
    event(scene, plain_words(DEVICE, 5, 1, OFFER, 0));
}

static struct scene *begin(const char *clipboard)
{
    struct scene *scene = g_new0(struct scene, 1);
    struct vwl_fe_options options = { .dialect = VWL_FE_STANDARD };
    struct vwl_drv_options drv_options = { 0 };
    g_autofree char *socket = NULL, *peer = NULL, *control = NULL;
    int fd;

    scene->folder = g_dir_make_tmp("vwl-control-XXXXXX", NULL);
    scene->socket = g_build_filename(scene->folder, "vhost", NULL);
    scene->peer = g_build_filename(scene->folder, "wayland-0", NULL);
    scene->control = g_build_filename(scene->folder, "control", NULL);
    socket = g_strdup_printf("--socket-path=%s", scene->socket);
    peer = g_strdup_printf("--wayland-sock=%s", scene->peer);
    control = g_strdup_printf("--control=%s", scene->control);
    scene->listener = process_listen(scene->peer, 4);
    process_daemon(&scene->process, true,
                   (const char *const[]){ socket, peer, control, clipboard,
                                          NULL });
    fd = connect_to(scene->socket);
    g_assert_cmpint(vwl_fe_create(&options, &fd, &scene->fe), ==, 0);
    g_assert_cmpint(vwl_fe_handshake(scene->fe), ==, 0);
    g_assert_cmpint(vwl_drv_create(scene->fe, &drv_options, &scene->drv), ==,
                    0);
    client(scene);
    scene->ours = connect_to(scene->control);
    return scene;
}

static void finish(struct scene *scene)
{
    vwl_drv_destroy(scene->drv);
    vwl_fe_destroy(scene->fe);
    g_assert_cmpint(process_terminate(&scene->process), ==, 0);
    close(scene->process.err);
    close(scene->ours);
    close(scene->compositor);
    close(scene->listener);
    g_unlink(scene->control); /* the sandbox does not let the daemon */
    g_unlink(scene->peer);
    g_assert_cmpint(g_rmdir(scene->folder), ==, 0);
    g_free(scene->control);
    g_free(scene->peer);
    g_free(scene->socket);
    g_free(scene->folder);
    g_free(scene);
}

/* ---- the stories --------------------------------------------------------- */

static void test_switched(void)
{
    struct scene *scene = begin("--clipboard=off");

    paste(scene);
    expect_refused(scene);
    tell(scene, "clipboard both\nprimary off\ndrag ask\n");
    look(scene, NULL);
    paste(scene);
    expect_passed(scene);
    tell(scene, "clipboard from-guest\n");
    look(scene, NULL);
    paste(scene);
    expect_refused(scene);
    tell(scene, "clipboard to-guest\n");
    look(scene, NULL);
    paste(scene);
    expect_passed(scene);
    finish(scene);
}

static void test_asked(void)
{
    struct scene *scene = begin("--clipboard=ask");

    look(scene, NULL); /* it is connected */
    paste(scene);
    expect_line(scene, "ask 1 clipboard to-guest\n");
    tell(scene, "answer 1 yes\n");
    expect_passed(scene);
    paste(scene);
    expect_line(scene, "ask 2 clipboard to-guest\n");
    tell(scene, "answer 1 yes\nanswer 2 no\n");
    expect_refused(scene);
    paste(scene);
    expect_line(scene, "ask 3 clipboard to-guest\n");
    ask(scene, plain_words(OFFER, 2, 0, 0, 0)); /* destroy */
    expect_line(scene, "over 3\n");
    expect_refused(scene);
    finish(scene);
}

/* Nobody who could answer, or one who goes: no. */
static void test_alone(void)
{
    struct scene *scene = begin("--clipboard=ask");
    int second;

    look(scene, NULL);
    paste(scene);
    expect_line(scene, "ask 1 clipboard to-guest\n");
    second = connect_to(scene->control);
    expect_hung_up(scene);
    expect_refused(scene);
    close(scene->ours);
    scene->ours = second;
    look(scene, NULL);
    shutdown(scene->ours, SHUT_WR);
    expect_hung_up(scene);
    paste(scene);
    expect_refused(scene);
    finish(scene);
}

static void test_windows(void)
{
    struct plain title = plain_say(TOPLEVEL, 2), id = plain_say(TOPLEVEL, 3);
    struct scene *scene = begin("--clipboard=both");

    ask(scene, plain_global(3, "wl_compositor", COMPOSITOR));
    ask(scene, plain_global(4, "xdg_wm_base", WM_BASE));
    ask(scene, plain_words(COMPOSITOR, 0, 1, SURFACE, 0));
    ask(scene, plain_words(WM_BASE, 2, 2, XDG_SURFACE, SURFACE));
    ask(scene, plain_words(XDG_SURFACE, 1, 1, TOPLEVEL, 0));
    plain_add_text(&title, "A letter");
    plain_close(&title);
    plain_add_text(&id, "editor");
    plain_close(&id);
    ask(scene, title);
    ask(scene, id);
    look(scene, "window editor\tA letter\n");
    ask(scene, plain_words(TOPLEVEL, 0, 0, 0, 0));
    look(scene, NULL);
    finish(scene);
}

static void test_rude(void)
{
    g_autofree char *endless = g_strnfill(4000, 'x');
    const char *const lines[] = {
        "what?\n",          "clipboard sometimes\n", "clipboard both off\n",
        "answer one yes\n", "answer 1 perhaps\n",    endless,
    };
    struct scene *scene = begin("--clipboard=off");

    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        tell(scene, lines[i]);
        expect_hung_up(scene);
        close(scene->ours);
        scene->ours = connect_to(scene->control);
    }
    look(scene, NULL);
    paste(scene);
    expect_refused(scene);
    finish(scene);
}

static void limit(const struct scene *scene, rlim_t descriptors)
{
    struct rlimit now;

    g_assert_cmpint(prlimit(scene->process.pid, RLIMIT_NOFILE, NULL, &now), ==,
                    0);
    now.rlim_cur = MIN(descriptors, now.rlim_max);
    g_assert_cmpint(prlimit(scene->process.pid, RLIMIT_NOFILE, &now, NULL), ==,
                    0);
}

/* The number of the descriptor that a listener gives up to accept one: all
 * below it are in use. It is the listener's twice. */
static rlim_t kept_for_one(const struct scene *scene)
{
    g_autofree char *before = NULL;

    for (int i = 3; i < 64; i++) {
        g_autofree char *path = g_strdup_printf("/proc/%d/fd/%d",
                                                (int)scene->process.pid, i);
        char *link = g_file_read_link(path, NULL);

        if (link && g_strcmp0(link, before) == 0 &&
            g_str_has_prefix(link, "socket:")) {
            g_free(link);
            return (rlim_t)i;
        }
        g_free(before);
        before = link;
    }
    g_assert_not_reached();
}

/* Whoever comes while there is none waits, and is served later. */
static void test_few_descriptors(void)
{
    struct scene *scene = begin("--clipboard=off");
    int late;

    look(scene, NULL);
    limit(scene, kept_for_one(scene));
    late = connect_to(scene->control);
    g_free(process_hear(&scene->process,
                        "--control: cannot accept a connection", PATIENCE_MS));
    look(scene, NULL);
    limit(scene, RLIM_INFINITY);
    expect_hung_up(scene);
    close(scene->ours);
    scene->ours = late;
    look(scene, NULL);
    finish(scene);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/control/switched", test_switched);
    g_test_add_func("/control/asked", test_asked);
    g_test_add_func("/control/alone", test_alone);
    g_test_add_func("/control/windows", test_windows);
    g_test_add_func("/control/rude", test_rude);
    g_test_add_func("/control/few-descriptors", test_few_descriptors);
    return g_test_run();
}
