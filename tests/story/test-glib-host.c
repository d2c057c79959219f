/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A plain GLib program as a host: its main loop, on the default context, runs
 * two devices, each for a guest of its own. docs/abi.md explains it. The two
 * guests are front-end doubles in threads; each echoes through a host socket
 * of its own, and neither ever sees a byte of the other. Beside them the loop
 * has sources of the same priority (the host sockets) and of a lower one, and
 * all have their turns.
 */
#include <dlfcn.h>
#include <glib-unix.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "driver.h"
#include "frontend.h"
#include "vhost-user-wl/plugin.h"

#define ROUNDS 200
#define GUESTS 2

struct host {
    const struct vwl_plugin *plugin;
    GMainLoop *loop;
    unsigned int running;
};

struct guest {
    struct host *host;
    struct vwl_device *device;
    struct vwl_host callbacks;
    char mark;  /* what this guest's host socket answers with */
    char *path; /* of that socket */
    int listener;
    guint accepting; /* source of the listener */
    int front_end;   /* our end of the vhost-user socket */
    unsigned int rounds;
    GThread *thread;
};

static unsigned int count_fds(void)
{
    GDir *dir = g_dir_open("/proc/self/fd", 0, NULL);
    unsigned int n = 0;

    while (g_dir_read_name(dir)) {
        n++;
    }
    g_dir_close(dir);
    return n;
}

static void on_log(void *opaque, enum vwl_log_level level, const char *line)
{
    g_test_message("%s", line);
    g_assert_cmpint(level, !=, VWL_LOG_ERROR);
}

/* ---- the host's socket: an echo that says whose it is, on the main loop -- */

static gboolean on_data(gint fd, GIOCondition condition, gpointer data)
{
    const struct guest *guest = data;
    char buffer[64];
    ssize_t n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);

    if (n <= 0) {
        close(fd);
        return G_SOURCE_REMOVE;
    }
    for (ssize_t i = 0; i < n; i++) {
        buffer[i] = guest->mark;
    }
    g_assert_cmpint(send(fd, buffer, (size_t)n, MSG_DONTWAIT), ==, n);
    return G_SOURCE_CONTINUE;
}

static gboolean on_connect(gint fd, GIOCondition condition, gpointer data)
{
    int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

    g_unix_fd_add(connection, G_IO_IN, on_data, data);
    return G_SOURCE_CONTINUE;
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==,
                    0);
    g_assert_cmpint(listen(fd, 4), ==, 0);
    return fd;
}

/* ---- the guest, in a thread of its own ---------------------------------- */

static void check_echo(struct guest *guest, struct vwl_drv *drv, uint32_t id,
                       const char *text)
{
    size_t len = strlen(text), got = 0;
    char buffer[64];

    g_assert_cmpint(vwl_drv_send(drv, id, NULL, 0, text, len), ==,
                    VIRTIO_WL_RESP_OK);
    while (got < len) {
        unsigned int n_ids = 0;
        int64_t n = vwl_drv_recv(drv, id, buffer, sizeof buffer, NULL, &n_ids,
                                 10000);

        g_assert_cmpint(n, >, 0);
        for (int64_t i = 0; i < n; i++) {
            g_assert_cmpint(buffer[i], ==, guest->mark);
        }
        got += (size_t)n;
    }
    g_assert_cmpuint(got, ==, len);
}

static gpointer guest_main(gpointer data)
{
    struct guest *guest = data;
    struct vwl_fe_options options = { .dialect = VWL_FE_STANDARD };
    struct vwl_drv_options drv_options = { 0 };
    struct vwl_fe *fe;
    struct vwl_drv *drv;

    g_assert_cmpint(vwl_fe_create(&options, &guest->front_end, &fe), ==, 0);
    g_assert_cmpint(vwl_fe_handshake(fe), ==, 0);
    g_assert_cmpint(vwl_drv_create(fe, &drv_options, &drv), ==, 0);
    g_assert_cmpint(vwl_drv_new_ctx(drv, 1, NULL), ==, VIRTIO_WL_RESP_VFD_NEW);
    g_assert_cmpint(vwl_drv_new(drv, 2, 65536), ==, VIRTIO_WL_RESP_VFD_NEW);
    memset(vwl_drv_map(drv, 2), guest->mark, 65536);
    for (guest->rounds = 0; guest->rounds < ROUNDS; guest->rounds++) {
        check_echo(guest, drv, 1, "some words of this guest");
    }
    g_assert_cmpint(((char *)vwl_drv_map(drv, 2))[65535], ==, guest->mark);
    g_assert_cmpuint(fe->complaints->len, ==, 0);
    vwl_drv_destroy(drv);
    vwl_fe_destroy(fe); /* the device sees us go */
    return NULL;
}

/* ---- the host ----------------------------------------------------------- */

static gboolean after_disconnect(gpointer data)
{
    struct guest *guest = data;
    struct host *host = guest->host;

    host->plugin->device_stop(guest->device);
    if (--host->running == 0) {
        g_main_loop_quit(host->loop);
    }
    return G_SOURCE_REMOVE;
}

static void on_disconnected(void *opaque)
{
    /* Not from inside the callback: the plugin is not to be called there. */
    g_idle_add(after_disconnect, opaque);
}

static void start_guest(struct host *host, struct guest *guest,
                        const char *folder, char mark)
{
    struct vwl_socket sock = { "", NULL };
    const struct vwl_socket_policy none = { .size = sizeof none,
                                            .kind = VWL_POLICY_NONE };
    const struct vwl_socket_policy *policies[] = { &none };
    struct vwl_config config = { .size = sizeof config,
                                 .sockets = &sock,
                                 .n_sockets = 1,
                                 .socket_policies = policies };
    char name[] = { 'w', 'l', '-', mark, 0 };
    int sv[2];

    *guest = (struct guest){ .host = host, .mark = mark };
    guest->path = g_build_filename(folder, name, NULL);
    guest->listener = listen_at(guest->path);
    guest->accepting = g_unix_fd_add(guest->listener, G_IO_IN, on_connect,
                                     guest);
    sock.path = guest->path;
    guest->callbacks = (struct vwl_host){ .size = sizeof guest->callbacks,
                                          .opaque = guest,
                                          .log = on_log,
                                          .disconnected = on_disconnected };
    g_assert_cmpint(host->plugin->device_new(&config, &guest->callbacks,
                                             &guest->device),
                    ==, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), ==,
                    0);
    guest->front_end = sv[0];
    g_assert_cmpint(host->plugin->device_start(guest->device,
                                               g_main_context_default(),
                                               &sv[1]),
                    ==, 0);
    host->running++;
    guest->thread = g_thread_new("guest", guest_main, guest);
}

static gboolean count_idle(gpointer data)
{
    ++*(unsigned int *)data;
    return G_SOURCE_CONTINUE;
}

static const struct vwl_plugin *load(void)
{
    void *module = dlopen(g_getenv("VWL_PLUGIN"), RTLD_NOW | RTLD_LOCAL);
    vwl_plugin_get_fn get;

    if (!module) {
        g_error("%s", dlerror());
    }
    *(void **)&get = dlsym(module, VWL_PLUGIN_ENTRY);
    g_assert_cmpuint(get()->abi, ==, VWL_PLUGIN_ABI);
    return get();
}

static void test_two_devices(void)
{
    char *folder = g_dir_make_tmp("vwl-host-XXXXXX", NULL);
    struct host host = { load(), g_main_loop_new(NULL, FALSE), 0 };
    struct guest guests[GUESTS];
    unsigned int before, n_idle = 0;
    guint idle;

    g_main_context_iteration(NULL, FALSE); /* its own descriptors exist now */
    before = count_fds();
    for (unsigned int i = 0; i < GUESTS; i++) {
        start_guest(&host, &guests[i], folder, (char)('a' + i));
    }
    idle = g_idle_add(count_idle, &n_idle);
    g_main_loop_run(host.loop);
    g_source_remove(idle);
    g_assert_cmpuint(n_idle, >, 0);
    for (unsigned int i = 0; i < GUESTS; i++) {
        struct vwl_stats stats = { .size = sizeof stats };

        g_thread_join(guests[i].thread);
        g_assert_cmpuint(guests[i].rounds, ==, ROUNDS);
        g_assert_cmpint(host.plugin->device_stats(guests[i].device, &stats), ==,
                        0);
        g_assert_cmpuint(stats.vfds, ==, 0);
        g_assert_cmpuint(stats.requests, ==, ROUNDS + 2);
        host.plugin->device_free(guests[i].device);
        g_source_remove(guests[i].accepting);
        close(guests[i].listener);
        g_unlink(guests[i].path);
        g_free(guests[i].path);
    }
    /* echo ends close when their peer's hang-up is dispatched */
    while (g_main_context_iteration(NULL, FALSE)) {
        ;
    }
    g_main_loop_unref(host.loop);
    g_rmdir(folder);
    g_free(folder);
    g_assert_cmpuint(count_fds(), ==, before);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/glib-host/two-devices", test_two_devices);
    return g_test_run();
}
