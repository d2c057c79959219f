/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A host with a loop of its own that is not GLib's: it polls the device's one
 * descriptor beside its own, or lets the device wait for them. Its guest is a
 * front-end double in a thread, and echoes through a host socket that the same
 * loop serves.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "driver.h"
#include "fds.h"
#include "frontend.h"
#include "vhost-user-wl/plugin.h"

#define ROUNDS 200
#define PATIENCE_MS 60000

struct host {
    const struct vwl_plugin *plugin;
    struct vwl_device *device;
    char *folder, *path;
    int listener, connection; /* of the echo; -1 */
    int front_end;            /* the guest's end */
    bool gone;
    bool in_thread; /* the device has one of its own */
};

static void on_log(void *opaque, enum vwl_log_level level, const char *line)
{
    g_test_message("%s", line);
    g_assert_cmpint(level, !=, VWL_LOG_ERROR);
}

static void on_disconnected(void *opaque)
{
    struct host *host = opaque;

    if (!host->in_thread) {
        host->gone = true;
        g_assert_cmpint(host->plugin->device_dispatch(host->device, -1, 0), ==,
                        -EDEADLK);
    }
}

/* ---- the guest, in a thread of its own ---------------------------------- */

static gpointer guest_main(gpointer data)
{
    struct host *host = data;
    struct vwl_fe_options options = { .dialect = VWL_FE_STANDARD };
    struct vwl_drv_options drv_options = { 0 };
    struct vwl_fe *fe;
    struct vwl_drv *drv;

    g_assert_cmpint(vwl_fe_create(&options, &host->front_end, &fe), ==, 0);
    g_assert_cmpint(vwl_fe_handshake(fe), ==, 0);
    g_assert_cmpint(vwl_drv_create(fe, &drv_options, &drv), ==, 0);
    g_assert_cmpint(vwl_drv_new_ctx(drv, 1, NULL), ==, VIRTIO_WL_RESP_VFD_NEW);
    for (unsigned int i = 0; i < ROUNDS; i++) {
        char back[8];
        unsigned int n_ids = 0;

        g_assert_cmpint(vwl_drv_send(drv, 1, NULL, 0, "words", 5), ==,
                        VIRTIO_WL_RESP_OK);
        g_assert_cmpint(vwl_drv_recv(drv, 1, back, sizeof back, NULL, &n_ids,
                                     PATIENCE_MS),
                        ==, 5);
        g_assert_cmpmem(back, 5, "words", 5);
    }
    g_assert_cmpuint(fe->complaints->len, ==, 0);
    vwl_drv_destroy(drv);
    vwl_fe_destroy(fe); /* the device sees us go */
    return NULL;
}

/* ---- the host ----------------------------------------------------------- */

static const struct vwl_plugin *load(void)
{
    void *module = dlopen(g_getenv("VWL_PLUGIN"), RTLD_NOW | RTLD_LOCAL);
    vwl_plugin_get_fn get;

    if (!module) {
        g_error("%s", dlerror());
    }
    *(void **)&get = dlsym(module, VWL_PLUGIN_ENTRY);
    return get();
}

static void listen_at(struct host *host)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    host->folder = g_dir_make_tmp("vwl-host-XXXXXX", NULL);
    host->path = g_build_filename(host->folder, "wl", NULL);
    g_strlcpy(address.sun_path, host->path, sizeof address.sun_path);
    host->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(host->listener, (struct sockaddr *)&address,
                         sizeof address),
                    ==, 0);
    g_assert_cmpint(listen(host->listener, 4), ==, 0);
}

static void host_init(struct host *host)
{
    static const struct vwl_socket_policy none = { .size = sizeof none,
                                                   .kind = VWL_POLICY_NONE };
    static const struct vwl_socket_policy *const policies[] = { &none };
    struct vwl_socket sock = { "", NULL };
    struct vwl_config config = { .size = sizeof config,
                                 .sockets = &sock,
                                 .n_sockets = 1,
                                 .socket_policies = policies };
    struct vwl_host callbacks = { .size = sizeof callbacks,
                                  .opaque = host,
                                  .log = on_log,
                                  .disconnected = on_disconnected };

    *host = (struct host){ .plugin = load(), .connection = -1 };
    listen_at(host);
    sock.path = host->path;
    g_assert_cmpint(host->plugin->device_new(&config, &callbacks,
                                             &host->device),
                    ==, 0);
}

static void host_finish(struct host *host)
{
    host->plugin->device_free(host->device);
    if (host->connection >= 0) {
        close(host->connection);
    }
    close(host->listener);
    g_unlink(host->path);
    g_rmdir(host->folder);
    g_free(host->path);
    g_free(host->folder);
}

/* What is ready of its own: a connection, or something to send back. */
static void serve(struct host *host)
{
    char buffer[64];
    ssize_t n;

    if (host->connection < 0) {
        if (is_readable(host->listener)) {
            host->connection = accept4(host->listener, NULL, NULL,
                                       SOCK_CLOEXEC);
        }
        return;
    }
    n = recv(host->connection, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n > 0) {
        g_assert_cmpint(send(host->connection, buffer, (size_t)n, 0), ==, n);
    } else if (n == 0) {
        close(host->connection);
        host->connection = -1;
    }
}

/* With poll(2) alone. */
static void turn_by_poll(struct host *host)
{
    struct pollfd fds[] = {
        { .fd = host->plugin->device_fd(host->device), .events = POLLIN },
        { .fd = host->listener, .events = POLLIN },
        { .fd = host->connection, .events = POLLIN },
    };

    g_assert_cmpint(fds[0].fd, >=, 0);
    g_assert_cmpint(poll(fds, G_N_ELEMENTS(fds), PATIENCE_MS), >, 0);
    if (fds[0].revents) {
        g_assert_cmpint(host->plugin->device_dispatch(host->device, -1, 0), ==,
                        0);
    }
    serve(host);
}

/* The device waits for the host's own. */
static void turn_by_device(struct host *host)
{
    const int own[] = { host->listener, host->connection };
    int set = epoll_create1(EPOLL_CLOEXEC), got;

    for (unsigned int i = 0; i < G_N_ELEMENTS(own); i++) {
        struct epoll_event event = { .events = EPOLLIN };

        if (own[i] >= 0) {
            g_assert_cmpint(epoll_ctl(set, EPOLL_CTL_ADD, own[i], &event), ==,
                            0);
        }
    }
    got = host->plugin->device_dispatch(host->device, set, 10);
    g_assert_cmpint(got, >=, 0);
    g_assert_cmpint(got, <=, 1);
    close(set);
    serve(host);
}

static void run(void (*turn)(struct host *host))
{
    unsigned int before = count_fds();
    struct host host;

    host_init(&host);
    for (unsigned int i = 0; i < 3; i++) {
        GThread *guest;
        int sv[2];

        make_pair(sv);
        host.front_end = sv[0];
        host.gone = false;
        g_assert_cmpint(host.plugin->device_attach(host.device, &sv[1]), ==, 0);
        g_assert_cmpint(sv[1], ==, -1);
        guest = g_thread_new("guest", guest_main, &host);
        while (!host.gone) {
            turn(&host);
        }
        g_thread_join(guest);
        host.plugin->device_stop(host.device);
        g_assert_cmpint(host.plugin->device_fd(host.device), ==, -ENOTCONN);
        while (host.connection >= 0) {
            serve(&host);
        }
    }
    host_finish(&host);
    g_assert_cmpuint(count_fds(), ==, before);
}

static void test_poll(void)
{
    run(turn_by_poll);
}

static void test_wait(void)
{
    run(turn_by_device);
}

/* Nothing to do is nothing to poll, and what cannot be waited for is told. */
static void test_words(void)
{
    struct host host;
    struct pollfd pfd = { .events = POLLIN };
    int sv[2], bell = eventfd(1, EFD_CLOEXEC), file;

    host_init(&host);
    file = open(host.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(host.plugin->device_dispatch(host.device, -1, 0), ==,
                    -ENOTCONN);
    make_pair(sv);
    g_assert_cmpint(host.plugin->device_attach(host.device, &sv[1]), ==, 0);
    g_assert_cmpint(host.plugin->device_dispatch(host.device, -1, 0), ==, 0);
    pfd.fd = host.plugin->device_fd(host.device);
    g_assert_cmpint(poll(&pfd, 1, 0), ==, 0);
    g_assert_cmpint(host.plugin->device_dispatch(host.device, bell, -1), ==, 1);
    g_assert_cmpint(host.plugin->device_dispatch(host.device, bell, 0), ==, 1);
    g_assert_cmpint(host.plugin->device_dispatch(host.device, file, 0), ==,
                    -EPERM);
    g_assert_cmpint(host.plugin->device_dispatch(host.device, -1, 5), ==, 0);
    g_assert_cmpint(host.plugin->device_suspend(host.device, 1), ==, 0);
    g_assert_cmpint(host.plugin->device_suspend(host.device, 0), ==, 0);
    while (poll(&pfd, 1, 0) > 0) {
        g_assert_cmpint(host.plugin->device_dispatch(host.device, -1, 0), ==,
                        0);
    }
    close(sv[0]);
    g_assert_cmpint(poll(&pfd, 1, PATIENCE_MS), ==, 1);
    g_assert_cmpint(host.plugin->device_dispatch(host.device, -1, 0), ==, 0);
    g_assert_true(host.gone);
    host.plugin->device_stop(host.device);

    /* one that is not attached has no such descriptor */
    make_pair(sv);
    host.in_thread = true;
    g_assert_cmpint(host.plugin->device_start(host.device, NULL, &sv[1]), ==,
                    0);
    g_assert_cmpint(host.plugin->device_fd(host.device), ==, -ENOTCONN);
    g_assert_cmpint(host.plugin->device_dispatch(host.device, -1, 0), ==,
                    -ENOTCONN);
    close(sv[0]);
    close(file);
    close(bell);
    host_finish(&host);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/poll-host/poll", test_poll);
    g_test_add_func("/poll-host/wait", test_wait);
    g_test_add_func("/poll-host/words", test_words);
    return g_test_run();
}
