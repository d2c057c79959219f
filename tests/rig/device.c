/* SPDX-License-Identifier: BSD-3-Clause */
#include "device.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int device_end = -1; /* between connect and start */

static const char *built(const char *variable, const char *otherwise)
{
    const char *path = g_getenv(variable);

    return path != NULL ? path : otherwise;
}

void rig_device_load(struct rig *r)
{
    const char *path = built("VWL_PLUGIN", RIG_PLUGIN);
    vwl_plugin_get_fn get;
    void *module;

    if (r->options.device == RIG_DAEMON) {
        return;
    }
    module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (module == NULL) {
        g_error("%s", dlerror());
    }
    *(void **)&get = dlsym(module, VWL_PLUGIN_ENTRY);
    g_assert_nonnull(get);
    r->plugin = get();
    g_assert_cmpuint(r->plugin->abi, ==, VWL_PLUGIN_ABI);
}

static void on_log(void *opaque, enum vwl_log_level level, const char *line)
{
    struct rig *r = opaque;

    g_mutex_lock(&r->lock);
    g_ptr_array_add(r->log, g_strdup(line));
    g_mutex_unlock(&r->lock);
    if (g_getenv("VWL_RIG_LOG") != NULL) {
        g_printerr("# %s\n", line);
    }
}

static int on_map(void *opaque, int fd, uint64_t fd_offset, uint64_t shm_offset,
                  uint64_t len, int writable)
{
    struct rig *r = opaque;

    return vwl_fe_host_map(r->fe, fd, fd_offset, shm_offset, len, writable);
}

static int on_unmap(void *opaque, uint64_t shm_offset, uint64_t len)
{
    struct rig *r = opaque;

    /* After a disconnection there is no window left. */
    return r->fe != NULL ? vwl_fe_host_unmap(r->fe, shm_offset, len) : 0;
}

static int on_base(void *opaque, uint64_t *gpa)
{
    struct rig *r = opaque;

    return vwl_fe_host_base(r->fe, gpa);
}

static void on_disconnected(void *opaque)
{
    struct rig *r = opaque;

    g_mutex_lock(&r->lock);
    r->disconnected++;
    g_mutex_unlock(&r->lock);
}

static void on_broken(void *opaque, int err, const char *why)
{
    struct rig *r = opaque;

    g_test_message("broken: %s: %s", g_strerror(-err), why);
    g_mutex_lock(&r->lock);
    r->broken++;
    g_mutex_unlock(&r->lock);
}

static void on_state_done(void *opaque, int err)
{
    struct rig *r = opaque;

    g_mutex_lock(&r->lock);
    r->states++;
    r->state_err = err;
    g_mutex_unlock(&r->lock);
}

static void create_in_process(struct rig *r)
{
    struct vwl_config config = { .size = sizeof config };
    struct vwl_socket sockets[1 + RIG_MAX_PEERS];
    const struct vwl_socket_policy none = { .size = sizeof none,
                                            .kind = VWL_POLICY_NONE };
    const struct vwl_socket_policy *policies[1 + RIG_MAX_PEERS];
    char names[RIG_MAX_PEERS][16];
    char *path = g_build_filename(r->dir, "compositor", NULL);

    if (r->options.config != NULL) {
        config = *r->options.config;
    }
    sockets[0] = (struct vwl_socket){ "", path };
    policies[0] = r->options.policy;
    for (unsigned int i = 0; i < r->n_peers; i++) {
        g_snprintf(names[i], sizeof names[i], "peer%u", i);
        sockets[1 + i] = (struct vwl_socket){ names[i], r->peers[i].path };
        policies[1 + i] = r->options.peer_policy ? r->options.peer_policy
                                                 : &none;
    }
    config.sockets = sockets;
    config.n_sockets = 1 + r->n_peers;
    config.socket_policies = policies;
    r->host = (struct vwl_host){
        .size = sizeof r->host,
        .opaque = r,
        .log = on_log,
        .disconnected = on_disconnected,
        .broken = on_broken,
        .state_done = on_state_done,
    };
    if (r->options.host_map) {
        r->host.shm_map = on_map;
        r->host.shm_unmap = on_unmap;
        r->host.shm_base = on_base;
    }
    if (r->options.host != NULL) {
        r->host.resource_export = r->options.host->resource_export;
        r->host.fence_export = r->options.host->fence_export;
        r->host.foreign_request = r->options.host->foreign_request;
        r->host.transfer_request = r->options.host->transfer_request;
    }
    if (r->options.device == RIG_CONTEXT) {
        r->context = g_main_context_new();
    }
    g_assert_cmpint(r->plugin->device_new(&config, &r->host, &r->device), ==,
                    0);
    g_free(path);
}

static char **daemon_arguments(struct rig *r)
{
    GPtrArray *args = g_ptr_array_new();

    g_ptr_array_add(args, g_strdup(built("VWL_DAEMON", RIG_DAEMON_PATH)));
    g_ptr_array_add(args,
                    g_strdup_printf("--socket-path=%s", r->daemon_socket));
    g_ptr_array_add(args, g_strdup_printf("--plugin=%s",
                                          built("VWL_PLUGIN", RIG_PLUGIN)));
    g_ptr_array_add(args,
                    g_strdup_printf("--wayland-sock=%s/compositor", r->dir));
    for (unsigned int i = 0; i < r->n_peers; i++) {
        g_ptr_array_add(
            args, g_strdup_printf("--wayland-sock=%s,name=peer%u,policy=none",
                                  r->peers[i].path, i));
    }
    /* what this machine has must not matter; the last one counts */
    g_ptr_array_add(args, g_strdup("--dmabuf=off"));
    /* the double behind the unnamed socket says what tests tell it */
    g_ptr_array_add(args, g_strdup("--security-context=off"));
    for (const char *const *extra = r->options.daemon_args;
         extra != NULL && *extra != NULL; extra++) {
        g_ptr_array_add(args, g_strdup(*extra));
    }
    g_ptr_array_add(args, NULL);
    return (char **)g_ptr_array_free(args, FALSE);
}

/* A test that fails leaves nothing behind that holds its output open. */
static void die_with_parent(gpointer unused)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void create_daemon(struct rig *r)
{
    GError *error = NULL;
    char **args;

    r->daemon_socket = g_build_filename(r->dir, "vhost-user", NULL);
    r->daemon_log = memfd_create("daemon-log", MFD_CLOEXEC);
    g_assert_cmpint(r->daemon_log, >=, 0);
    args = daemon_arguments(r);
    g_spawn_async_with_fds(NULL, args, NULL, G_SPAWN_DO_NOT_REAP_CHILD,
                           die_with_parent, NULL, &r->pid, -1, -1,
                           r->daemon_log, &error);
    g_assert_no_error(error);
    g_strfreev(args);
}

void rig_device_create(struct rig *r)
{
    if (r->options.device == RIG_DAEMON) {
        create_daemon(r);
    } else {
        create_in_process(r);
    }
}

int rig_device_connect(struct rig *r)
{
    int pair[2] = { -1, -1 };

    if (r->options.device == RIG_DAEMON) {
        g_assert_cmpint(vwl_fe_connect(r->daemon_socket, RIG_TIMEOUT_MS,
                                       &pair[0]),
                        ==, 0);
        return pair[0];
    }
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair),
                    ==, 0);
    device_end = pair[1];
    return pair[0];
}

void rig_device_start(struct rig *r)
{
    if (r->options.device != RIG_DAEMON) {
        r->disconnected = 0;
        g_assert_cmpint(r->plugin->device_start(r->device, r->context,
                                                &device_end),
                        ==, 0);
        g_assert_cmpint(device_end, ==, -1);
    }
}

void rig_device_disconnected(struct rig *r)
{
    int64_t end = g_get_monotonic_time() + (int64_t)RIG_TIMEOUT_MS * 1000;
    bool noticed = r->options.device == RIG_DAEMON;

    while (!noticed) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        if (r->context == NULL ||
            !g_main_context_iteration(r->context, FALSE)) {
            g_usleep(1000);
        }
        g_mutex_lock(&r->lock);
        noticed = r->disconnected != 0 || r->broken != 0;
        g_mutex_unlock(&r->lock);
    }
    if (r->device != NULL) {
        r->plugin->device_stop(r->device);
    }
}

static void end_daemon(struct rig *r)
{
    int status = 0;

    if (!r->daemon_gone) {
        kill(r->pid, SIGTERM);
        g_assert_cmpint(waitpid(r->pid, &status, 0), ==, r->pid);
        g_assert_true(WIFEXITED(status));
        g_assert_cmpint(WEXITSTATUS(status), ==, 0);
    }
    g_spawn_close_pid(r->pid);
    g_unlink(r->daemon_socket);
    g_clear_pointer(&r->daemon_socket, g_free);
}

void rig_device_destroy(struct rig *r)
{
    if (r->options.device == RIG_DAEMON) {
        end_daemon(r);
        return;
    }
    r->plugin->device_free(r->device);
    r->device = NULL;
    if (r->context != NULL) {
        g_main_context_unref(r->context);
        r->context = NULL;
    }
}

static bool daemon_logged(struct rig *r, const char *text)
{
    struct stat st;
    char *all;
    bool found;

    g_assert_cmpint(fstat(r->daemon_log, &st), ==, 0);
    all = g_malloc0((size_t)st.st_size + 1);
    g_assert_cmpint(pread(r->daemon_log, all, (size_t)st.st_size, 0), ==,
                    st.st_size);
    found = strstr(all, text) != NULL;
    g_free(all);
    return found;
}

bool rig_logged(struct rig *r, const char *text)
{
    bool found = false;

    if (r->daemon_log >= 0) {
        return daemon_logged(r, text);
    }
    g_mutex_lock(&r->lock);
    for (guint i = 0; !found && i < r->log->len; i++) {
        found = strstr(r->log->pdata[i], text) != NULL;
    }
    g_mutex_unlock(&r->lock);
    return found;
}

struct vwl_stats rig_stats(struct rig *r)
{
    struct vwl_stats stats = { .size = sizeof stats };

    g_assert_nonnull(r->device);
    g_assert_cmpint(r->plugin->device_stats(r->device, &stats), ==, 0);
    return stats;
}
