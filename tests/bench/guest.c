/* SPDX-License-Identifier: BSD-3-Clause */
#include "guest.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "inqueue.h"

/* ---- processes without a device --------------------------------------- */

static pid_t child(void)
{
    pid_t pid = fork();

    bench_must(pid >= 0, "fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGPIPE, SIG_IGN);
    }
    return pid;
}

static bool echo_once(int fd)
{
    char data[4096], control[CMSG_SPACE(28 * sizeof(int))];
    struct iovec iov = { data, sizeof data };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control,
                          .msg_controllen = sizeof control };
    ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

    if (n <= 0) {
        return false;
    }
    if (cmsg) {
        close(*(int *)(void *)CMSG_DATA(cmsg));
    }
    send(fd, data, (size_t)n, MSG_NOSIGNAL);
    return true;
}

static void G_GNUC_NORETURN run_echo(int listener)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = listener };
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int fd;

        if (epoll_wait(epoll, &event, 1, -1) != 1) {
            continue;
        }
        fd = event.data.fd;
        if (fd == listener) {
            event.data.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
            event.events = EPOLLIN;
            epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
        } else if (!echo_once(fd)) {
            close(fd);
        }
    }
}

/* The least that a device must do: woken by an eventfd, sendmsg, woken,
 * recvmsg, eventfd. */
static void G_GNUC_NORETURN run_relay(const char *path, int kick, int call)
{
    int fd = bench_connect(path);
    struct pollfd p[2] = { { kick, POLLIN, 0 }, { fd, POLLIN, 0 } };
    char data[GUEST_BYTES] = { 0 };
    struct iovec iov = { data, sizeof data };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    uint64_t one = 1;

    for (;;) {
        poll(p, 2, -1);
        if (p[0].revents && read(kick, &one, sizeof one) > 0) {
            sendmsg(fd, &msg, 0);
        }
        if (p[1].revents && recvmsg(fd, &msg, 0) > 0) {
            one = 1;
            bench_must(write(call, &one, sizeof one) > 0, "relay");
        }
    }
}

static void G_GNUC_NORETURN run_bell(int kick, int call)
{
    uint64_t one = 1;

    for (;;) {
        struct pollfd p = { kick, POLLIN, 0 };

        poll(&p, 1, -1);
        if (read(kick, &one, sizeof one) > 0) {
            one = 1;
            bench_must(write(call, &one, sizeof one) > 0, "bell");
        }
    }
}

void world_start(struct world *world)
{
    int listener;

    world->folder = g_dir_make_tmp("vwl-bench-XXXXXX", NULL);
    world->echo = g_build_filename(world->folder, "echo", NULL);
    world->own = g_build_filename(world->folder, "own", NULL);
    listener = bench_listen(world->echo);
    world->own_listener = bench_listen(world->own);
    world->relay_kick = eventfd(0, EFD_CLOEXEC);
    world->relay_call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    world->bell_kick = eventfd(0, EFD_CLOEXEC);
    world->bell_call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    world->echo_pid = child();
    if (world->echo_pid == 0) {
        run_echo(listener);
    }
    world->relay_pid = child();
    if (world->relay_pid == 0) {
        run_relay(world->echo, world->relay_kick, world->relay_call);
    }
    world->bell_pid = child();
    if (world->bell_pid == 0) {
        run_bell(world->bell_kick, world->bell_call);
    }
    close(listener);
    world->direct = bench_connect(world->echo);
    bench_pin(world->echo_pid, DEVICE_CPU);
    bench_pin(world->relay_pid, DEVICE_CPU);
    bench_pin(world->bell_pid, DEVICE_CPU);
}

void world_stop(struct world *world)
{
    const pid_t pids[] = { world->relay_pid, world->bell_pid, world->echo_pid };

    for (size_t i = 0; i < G_N_ELEMENTS(pids); i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    close(world->own_listener);
    bench_remove_folder(world->folder);
}

static void there_and_back(int kick, int call, bool polls)
{
    struct pollfd p = { call, POLLIN, 0 };
    uint64_t one = 1;

    bench_must(write(kick, &one, sizeof one) > 0, "kick");
    if (!polls) {
        poll(&p, 1, -1);
    }
    while (read(call, &one, sizeof one) < 0) {
    }
}

void world_relay_ping(struct world *world, bool polls)
{
    there_and_back(world->relay_kick, world->relay_call, polls);
}

void world_bell(struct world *world, bool polls)
{
    there_and_back(world->bell_kick, world->bell_call, polls);
}

void world_echo(struct world *world)
{
    char data[GUEST_BYTES] = { 0 };

    bench_must(send(world->direct, data, sizeof data, 0) > 0 &&
                   recv(world->direct, data, sizeof data, 0) > 0,
               "echo");
}

/* ---- guests ----------------------------------------------------------- */

/* Another revision's device may not know newer options. */
static bool is_other(void)
{
    return g_getenv("VWL_BENCH_OTHER") != NULL;
}

/* Its memory is as warm as a kernel's, which takes what it freed last. */
static void begin(struct guest *guest, int *fd)
{
    const struct vwl_fe_options options = {
        .dialect = guest->maps_by_message ? VWL_FE_STANDARD : VWL_FE_NONE,
        .plain_table = true,
        .no_table_update = true,
        .warm = true,
    };

    bench_must(vwl_fe_create(&options, fd, &guest->fe) == 0, "front-end");
}

static void go_on(struct guest *guest)
{
    const struct vwl_drv_options options = { .hold_buffers = true };

    bench_must(vwl_fe_handshake(guest->fe) == 0 &&
                   vwl_drv_create(guest->fe, &options, &guest->drv) == 0,
               "handshake");
    bench_must(vwl_drv_new_ctx(guest->drv, 1, NULL) == VIRTIO_WL_RESP_VFD_NEW &&
                   vwl_drv_new_ctx(guest->drv, 2, "own") ==
                       VIRTIO_WL_RESP_VFD_NEW,
               "contexts");
    guest->own = accept4(guest->world->own_listener, NULL, NULL, SOCK_CLOEXEC);
}

void guest_start_daemon(struct guest *guest, struct world *world)
{
    char *vhost = g_build_filename(world->folder, "vhost", NULL);
    char *socket = g_strdup_printf("--socket-path=%s", vhost);
    const char *policy = is_other() ? "" : ",policy=none";
    char *echo = g_strdup_printf("--wayland-sock=%s%s", world->echo, policy);
    char *own = g_strdup_printf("--wayland-sock=%s,name=own%s", world->own,
                                policy);
    char *plugin = g_strdup_printf("--plugin=%s", g_getenv("VWL_PLUGIN"));
    const char *argv[] = { g_getenv("VWL_DAEMON"),
                           socket,
                           echo,
                           own,
                           plugin,
                           is_other() ? NULL : "--security-context=off",
                           NULL };
    int fd;

    *guest = (struct guest){ .name = "daemon",
                             .world = world,
                             .maps_by_message = true };
    guest->pid = bench_spawn(argv, NULL);
    bench_must(vwl_fe_connect(vhost, 30000, &fd) == 0, vhost);
    begin(guest, &fd);
    go_on(guest);
    g_free(vhost);
    g_free(socket);
    g_free(echo);
    g_free(own);
    g_free(plugin);
}

static void on_log(void *opaque, enum vwl_log_level level, const char *line)
{
    if (level < VWL_LOG_INFO) {
        g_printerr("bench: device: %s\n", line);
    }
}

void guest_start_here(struct guest *guest, struct world *world)
{
    const struct vwl_socket sockets[] = { { "", world->echo },
                                          { "own", world->own } };
    const struct vwl_socket_policy none = { .size = sizeof none,
                                            .kind = VWL_POLICY_NONE };
    const struct vwl_socket_policy *const policies[] = { &none, &none };
    const struct vwl_config config = { .size = sizeof config,
                                       .sockets = sockets,
                                       .n_sockets = 2,
                                       .socket_policies = is_other()
                                                              ? NULL
                                                              : policies };
    void *module = dlopen(g_getenv("VWL_PLUGIN"), RTLD_NOW | RTLD_LOCAL);
    static struct vwl_host host;
    vwl_plugin_get_fn get = NULL;
    int pair[2];

    *guest = (struct guest){ .name = "in-process", .world = world };
    bench_must(module != NULL, "the plugin");
    *(void **)&get = dlsym(module, VWL_PLUGIN_ENTRY);
    guest->plugin = get();
    bench_must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0,
               "socketpair");
    begin(guest, &pair[0]);
    host = (struct vwl_host){
        .size = sizeof host,
        .opaque = guest->fe,
        .log = on_log,
        .shm_map = vwl_fe_host_map,
        .shm_unmap = vwl_fe_host_unmap,
        .shm_base = vwl_fe_host_base,
    };
    bench_must(guest->plugin->device_new(&config, &host, &guest->device) == 0 &&
                   guest->plugin->device_start(guest->device, NULL, &pair[1]) ==
                       0,
               "device");
    go_on(guest);
}

void guest_stop(struct guest *guest)
{
    close(guest->own);
    if (guest->device) {
        guest->plugin->device_stop(guest->device);
        guest->plugin->device_free(guest->device);
    }
    vwl_drv_destroy(guest->drv);
    vwl_fe_destroy(guest->fe);
    if (guest->pid) {
        kill(guest->pid, SIGTERM);
        waitpid(guest->pid, NULL, 0);
    }
}

void guest_set_polls(struct guest *guest, bool polls)
{
    guest->polls = polls;
    bench_pin(0, polls ? GUEST_CPU : DEVICE_CPU);
    if (guest->pid) {
        bench_pin_group(guest->pid, DEVICE_CPU);
    } else {
        bench_pin_threads(getpid(), getpid(), DEVICE_CPU);
    }
    vwl_drv_set_calls(guest->drv, !polls);
}

static void poll_rings(struct guest *guest)
{
    vwl_drv_collect(guest->drv);
}

void guest_finish(struct guest *guest, struct vwl_drv_request *request,
                  uint32_t want)
{
    unsigned int turns = 0;

    bench_must(request != NULL, "submit");
    if (!guest->polls) {
        bench_must(vwl_drv_wait(guest->drv, request, 20000) == 0, "request");
    }
    while (!request->done) {
        poll_rings(guest);
        if (guest->maps_by_message && ++turns % 64 == 0) {
            vwl_fe_turn(guest->fe, 0); /* to answer a map */
        }
    }
    bench_must(want == 0 || vwl_drv_request_type(request) == want, "a command");
    vwl_drv_request_free(guest->drv, request);
}

void guest_command(struct guest *guest, const void *bytes, size_t len,
                   uint32_t want)
{
    guest_finish(guest, vwl_drv_submit(guest->drv, bytes, len, 64, NULL), want);
}

void guest_send(struct guest *guest, uint32_t id, const uint32_t *ids,
                unsigned int n_ids, const void *data, size_t len)
{
    guest_finish(guest,
                 vwl_drv_send_async(guest->drv, id, ids, n_ids, data, len),
                 VIRTIO_WL_RESP_OK);
}

size_t guest_recv(struct guest *guest, uint32_t id, void *data, size_t cap,
                  uint32_t *ids, unsigned int *n_ids)
{
    unsigned int none = 0;
    int64_t n;

    while (guest->polls && !vwl_drv_readable(guest->drv, id)) {
        poll_rings(guest);
    }
    n = vwl_drv_recv(guest->drv, id, data, cap, ids, n_ids ? n_ids : &none,
                     20000);
    bench_must(n > 0, "data");
    return (size_t)n;
}

void guest_new(struct guest *guest, uint32_t type, uint32_t id, uint32_t flags,
               uint32_t size)
{
    uint32_t request[16] = { type, 0, id, flags, 0, 0, size };

    vwl_drv_place(guest->drv, id, false);
    guest_command(guest, request, sizeof request, VIRTIO_WL_RESP_VFD_NEW);
}

void guest_close(struct guest *guest, uint32_t id)
{
    const uint32_t request[3] = { VIRTIO_WL_CMD_VFD_CLOSE, 0, id };

    guest_command(guest, request, sizeof request, VIRTIO_WL_RESP_OK);
    g_hash_table_remove(guest->drv->vfds, GUINT_TO_POINTER(id));
}

double guest_count_calls(struct guest *guest, void (*work)(struct guest *guest),
                         unsigned int n)
{
    char *out = g_build_filename(guest->world->folder, "strace", NULL);
    char *pid = g_strdup_printf("%d", (int)guest->pid);
    const char *argv[] = { "strace", "-qq", "-f", "-o", out, "-p", pid, NULL };
    char *text = NULL;
    double lines = 0;
    pid_t tracer;

    if (!guest->pid || !(text = g_find_program_in_path("strace"))) {
        return -1;
    }
    g_clear_pointer(&text, g_free);
    tracer = bench_spawn(argv, NULL);
    bench_pin(tracer, DEVICE_CPU);
    /* Until it is there: what it sees of these does not count. */
    for (int i = 0; i < 1000 && lines < 10; i++) {
        g_usleep(20000);
        work(guest);
        if (g_file_get_contents(out, &text, NULL, NULL)) {
            lines = strlen(text) / 40.0;
            g_clear_pointer(&text, g_free);
        }
    }
    lines = 0;
    g_usleep(200000);
    g_file_get_contents(out, &text, NULL, NULL);
    for (char *c = text; c && *c; c++) {
        lines -= *c == '\n';
    }
    g_clear_pointer(&text, g_free);
    for (unsigned int i = 0; i < n; i++) {
        work(guest);
    }
    g_usleep(100000);
    kill(tracer, SIGINT);
    waitpid(tracer, NULL, 0);
    g_file_get_contents(out, &text, NULL, NULL);
    for (char *c = text; c && *c; c++) {
        lines += *c == '\n';
    }
    g_unlink(out);
    g_free(text);
    g_free(out);
    g_free(pid);
    return lines / n;
}
