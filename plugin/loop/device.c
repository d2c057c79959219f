/* SPDX-License-Identifier: BSD-3-Clause */
#include "loop/device_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>

#include "base/bits.h"
#include "base/fd.h"
#include "base/locks.h"
#include "base/log.h"
#include "loop/policies.h"
#include "loop/pump.h"
#include "loop/sockets.h"
#include "loop/source.h"
#include "vhost-user-wl/vhost_user.h"
#include "vhost-user-wl/virtio_wl.h"

#define FEATURES                                                       \
    (BIT(VIRTIO_WL_F_TRANS_FLAGS) | BIT(VIRTIO_WL_F_SEND_FENCES) |     \
     BIT(VIRTIO_WL_F_USE_SHMEM) | BIT(VHOST_F_LOG_ALL) |               \
     BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VIRTIO_RING_F_EVENT_IDX) | \
     BIT(VHOST_USER_F_PROTOCOL_FEATURES) | BIT(VIRTIO_F_VERSION_1) |   \
     BIT(VIRTIO_F_ACCESS_PLATFORM) | BIT(VIRTIO_F_RING_PACKED))

#define PROTOCOL_FEATURES                                                   \
    (BIT(VHOST_USER_PROTOCOL_F_MQ) | BIT(VHOST_USER_PROTOCOL_F_LOG_SHMFD) | \
     BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |                                 \
     BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) |                               \
     BIT(VHOST_USER_PROTOCOL_F_CONFIG) |                                    \
     BIT(VHOST_USER_PROTOCOL_F_BACKEND_SEND_FD) |                           \
     BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD) |                            \
     BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE) |                              \
     BIT(VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS) |                      \
     BIT(VHOST_USER_PROTOCOL_F_STATUS) |                                    \
     BIT(VHOST_USER_PROTOCOL_F_DEVICE_STATE) |                              \
     BIT(VHOST_USER_PROTOCOL_F_SHMEM) |                                     \
     BIT(VHOST_USER_PROTOCOL_F_GET_VRING_BASE_INFLIGHT) |                   \
     BIT(VHOST_USER_PROTOCOL_F_SHARED_MEMORY_REGIONS))

#define DEFAULT_MAX_VFDS 16384
#define DEFAULT_MAX_CONTEXTS 1024
#define DEFAULT_MAX_QUEUED_BYTES (16u << 20)
#define MAX_POLL_US 10000
#define MIN_WINDOW UINT64_C(4096)
#define MAX_WINDOW (UINT64_C(1) << 43)

struct vwl_device {
    struct vwl_host host;
    struct vwl_log log;
    struct vwl_pump_config config;
    GPtrArray *strings; /* of config's sockets */
    struct vwl_allocators *allocators;
    struct vwl_gate *gate; /* lock of what follows; a new one for each start */
    struct vwl_pump *pump; /* NULL while stopped */
    GMutex life;           /* guards the two pointers above for [any] calls */
    enum vwl_device_runs runs;
    GMainContext *context;   /* NULL: none */
    GThread *thread;         /* NULL: none of our own */
    struct vwl_stats totals; /* counters of ended sessions */
};

/* ---- configuration ---------------------------------------------------- */

static int configure(struct vwl_device *device, const struct vwl_config *config)
{
    struct vwl_core_config *core = &device->config.core;
    struct vwl_session_config *session = &device->config.session;
    uint64_t window = config->shm_window ? config->shm_window
                                         : VIRTIO_WL_SHM_REGION_SIZE;

    if (window < MIN_WINDOW || window > MAX_WINDOW ||
        (window & (window - 1)) != 0) {
        log_host_bug(&device->log,
                     "shm_window %" PRIu64 " is not a power of "
                     "two between %" PRIu64 " and %" PRIu64,
                     window, MIN_WINDOW, MAX_WINDOW);
        return -EINVAL;
    }
    core->shm_window = window;
    core->max_vfds = config->max_vfds ? config->max_vfds : DEFAULT_MAX_VFDS;
    core->max_contexts = config->max_contexts ? config->max_contexts
                                              : DEFAULT_MAX_CONTEXTS;
    core->max_shm_bytes = config->max_shm_bytes ? config->max_shm_bytes
                                                : window;
    core->max_queued_bytes = config->max_queued_bytes
                                 ? config->max_queued_bytes
                                 : DEFAULT_MAX_QUEUED_BYTES;
    session->features = FEATURES & ~(config->features_off &
                                     ~BIT(VHOST_USER_F_PROTOCOL_FEATURES));
    session->features_need_shm = device->host.shm_map
                                     ? 0
                                     : BIT(VIRTIO_WL_F_USE_SHMEM);
    session->protocol_features =
        (PROTOCOL_FEATURES & ~config->protocol_features_off) |
        (config->protocol_features_on &
         BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS));
    session->shm_size = window;
    if (config->poll_us > MAX_POLL_US) {
        log_host_bug(&device->log, "poll_us %" PRIu32 " is more than %d",
                     config->poll_us, MAX_POLL_US);
        return -EINVAL;
    }
    if (config->security_context > VWL_SECURITY_CONTEXT_REQUIRE) {
        log_host_bug(&device->log,
                     "security_context %" PRIu32 " is none of off, auto and "
                     "require",
                     config->security_context);
        return -EINVAL;
    }
    device->config.security_context = config->security_context;
    device->config.name = g_strdup(config->name);
    if (config->name) {
        g_ptr_array_add(device->strings, (char *)device->config.name);
    }
    device->config.poll_us = config->poll_us;
    device->config.max_in_flight = config->max_in_flight;
    device->config.host = &device->host;
    if (vwl_sockets_copy(config, &device->log, device->strings,
                         &core->sockets) < 0) {
        return -EINVAL;
    }
    core->n_sockets = config->n_sockets;
    return vwl_policies_create(config, device->host.transfer_request != NULL,
                               &device->log, &core->rules);
}

static int open_allocators(struct vwl_device *device, const char *words)
{
    int err = vwl_allocators_open(words, &device->log, &device->allocators);

    device->config.allocators = device->allocators;
    return err;
}

int vwl_device_create(const struct vwl_config *config,
                      const struct vwl_host *host, struct vwl_device **out)
{
    struct vwl_device *device = g_new0(struct vwl_device, 1);
    int err;

    device->host = *host;
    vwl_log_init(&device->log, host->log, host->opaque);
    device->strings = g_ptr_array_new_with_free_func(g_free);
    g_mutex_init(&device->life);
    err = configure(device, config);
    if (err == 0) {
        err = open_allocators(device, config->dmabufs);
    }
    device->config.core.locks = vwl_locks_open();
    if (!device->config.core.locks) {
        log_info(&device->log,
                 "/proc/locks cannot be read: memory that guests close is not "
                 "counted while host peers hold it");
    }
    if (err < 0) {
        vwl_device_destroy(device);
        return err;
    }
    if (config->guest_pages &&
        !(config->features_off & BIT(VIRTIO_WL_F_GUEST_PAGES))) {
        vwl_pump_offer_pages(&device->config, &device->log);
    }
    vwl_fd_say_if_few(&device->log);
    *out = device;
    return 0;
}

void vwl_device_destroy(struct vwl_device *device)
{
    vwl_device_stop(device);
    g_mutex_clear(&device->life);
    vwl_policies_destroy(device->config.core.rules,
                         device->config.core.n_sockets);
    g_ptr_array_unref(device->strings);
    vwl_allocators_close(device->allocators);
    vwl_pages_close(device->config.pages);
    vwl_locks_close(device->config.core.locks);
    g_free(device);
}

/* ---- the thread ------------------------------------------------------- */

static gpointer thread_main(gpointer data)
{
    struct vwl_gate *gate = data;

    while (vwl_gate_wait(gate, -1, -1) >= 0) {
        ;
    }
    vwl_gate_unref(gate);
    return NULL;
}

/* Signals are the host's business: a new thread inherits the mask of the one
 * that makes it, so every signal is blocked just for that moment. */
static int start_thread(struct vwl_device *device, struct vwl_gate *gate)
{
    GError *error = NULL;
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    device->thread = g_thread_try_new("vhost-user-wl", thread_main,
                                      vwl_gate_ref(gate), &error);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!device->thread) {
        vwl_gate_unref(gate);
        log_host_bug(&device->log, "no thread: %s", error->message);
        g_error_free(error);
        return -EAGAIN;
    }
    return 0;
}

/* ---- start and stop --------------------------------------------------- */

/* Closes the gate behind those that are through, and waits for the thread. */
static void close_gate(struct vwl_device *device, struct vwl_gate *gate)
{
    vwl_gate_close(gate);
    vwl_gate_unlock(gate);
    if (device->thread) {
        g_thread_join(g_steal_pointer(&device->thread));
    }
    vwl_gate_unref(gate);
    g_clear_pointer(&device->context, g_main_context_unref);
}

static int check_start(struct vwl_device *device, int socket)
{
    if (device->pump) {
        log_host_bug(&device->log, "start refused: the device is started");
        return -EBUSY;
    }
    if (fcntl(socket, F_GETFD) < 0) {
        log_host_bug(&device->log, "start refused: descriptor %d: %s", socket,
                     g_strerror(errno));
        return -EBADF;
    }
    return 0;
}

static int cannot_start(struct vwl_device *device, int err)
{
    log_host_bug(&device->log, "cannot start: %s", g_strerror(-err));
    return err;
}

int vwl_device_start(struct vwl_device *device, enum vwl_device_runs runs,
                     GMainContext *context, int *fd)
{
    struct vwl_gate *gate;
    struct vwl_pump *pump;
    int err = check_start(device, *fd);

    if (err < 0) {
        return err;
    }
    err = vwl_gate_create(context, &gate);
    if (err < 0) {
        return cannot_start(device, err);
    }
    device->context = context ? g_main_context_ref(context) : NULL;
    /* first, since nothing is taken from the caller as long as it may fail */
    if (runs == VWL_DEVICE_IN_THREAD) {
        err = start_thread(device, gate);
    }
    vwl_gate_lock(gate);
    if (err == 0) {
        err = vwl_pump_create(&device->config, &device->log, gate, fd, &pump);
    }
    if (err < 0) {
        close_gate(device, gate);
        return cannot_start(device, err);
    }
    g_mutex_lock(&device->life);
    device->gate = gate;
    device->pump = pump;
    device->runs = runs;
    g_mutex_unlock(&device->life);
    vwl_gate_unlock(gate);
    return 0;
}

void vwl_device_stop(struct vwl_device *device)
{
    struct vwl_gate *gate = device->gate;
    struct vwl_pump *pump = device->pump;

    if (!pump) {
        return;
    }
    if (!vwl_gate_lock(gate)) {
        log_host_bug(&device->log, "stop from a callback is refused");
        return;
    }
    g_mutex_lock(&device->life);
    vwl_pump_stats(pump, &device->totals);
    device->pump = NULL;
    device->gate = NULL;
    g_mutex_unlock(&device->life);
    vwl_pump_destroy(pump);
    close_gate(device, gate);
}

int vwl_device_suspend(struct vwl_device *device, bool on)
{
    if (!device->pump) {
        return -ENOTCONN;
    }
    if (!vwl_gate_lock(device->gate)) {
        return -EDEADLK;
    }
    vwl_pump_suspend(device->pump, on);
    vwl_gate_unlock(device->gate);
    return 0;
}

int vwl_device_state(struct vwl_device *device, bool save, int *fd)
{
    int err;

    if (!device->pump) {
        return -ENOTCONN;
    }
    if (!vwl_gate_lock(device->gate)) {
        return -EDEADLK;
    }
    err = vwl_pump_state_start(device->pump, save, true, fd);
    vwl_gate_unlock(device->gate);
    return err;
}

static struct vwl_gate *gate_of(struct vwl_device *device)
{
    struct vwl_gate *gate;

    g_mutex_lock(&device->life);
    gate = device->gate ? vwl_gate_ref(device->gate) : NULL;
    g_mutex_unlock(&device->life);
    return gate;
}

int vwl_device_fd(struct vwl_device *device)
{
    struct vwl_gate *gate = gate_of(device);
    int fd = -ENOTCONN;

    if (gate) {
        if (device->runs == VWL_DEVICE_IN_DISPATCH) {
            fd = vwl_gate_fd(gate);
        }
        vwl_gate_unref(gate);
    }
    return fd;
}

int vwl_device_dispatch(struct vwl_device *device, int other, int timeout_ms)
{
    struct vwl_gate *gate = gate_of(device);
    int ret = -ENOTCONN;

    if (gate) {
        if (device->runs == VWL_DEVICE_IN_DISPATCH) {
            ret = vwl_gate_wait(gate, other, timeout_ms);
        }
        vwl_gate_unref(gate);
    }
    return ret == -ESHUTDOWN ? -ENOTCONN : ret;
}

void vwl_device_with_pump(struct vwl_device *device, vwl_with_pump_fn fn,
                          void *opaque)
{
    struct vwl_gate *gate = gate_of(device);
    /* Not under `life`: stop takes the gate first and then that. */
    bool locked = gate && vwl_gate_lock(gate);

    g_mutex_lock(&device->life);
    fn(device, gate && device->gate == gate ? device->pump : NULL, opaque);
    g_mutex_unlock(&device->life);
    if (locked) {
        vwl_gate_unlock(gate);
    }
    if (gate) {
        vwl_gate_unref(gate);
    }
}

/* Gauges are of the running session alone. */
static void fill_stats(struct vwl_device *device, struct vwl_pump *pump,
                       void *opaque)
{
    struct vwl_stats *stats = opaque;

    *stats = device->totals;
    stats->vfds = stats->contexts = stats->shm_bytes = 0;
    stats->shm_mappings = stats->in_flight = stats->queued_bytes = 0;
    stats->dmabufs = stats->guest_pages = stats->guest_pages_bytes = 0;
    stats->host_dmabuf_version = stats->host_dmabuf_formats = 0;
    stats->host_main_device = stats->host_explicit_sync = 0;
    if (pump) {
        vwl_pump_stats(pump, stats);
    }
}

void vwl_device_stats(struct vwl_device *device, struct vwl_stats *stats)
{
    vwl_device_with_pump(device, fill_stats, stats);
}

int vwl_device_set_transfer(struct vwl_device *device, size_t index,
                            uint32_t kind, uint32_t way)
{
    struct vwl_gate *gate = device->gate;
    int err;

    if (gate && !vwl_gate_lock(gate)) {
        return -EDEADLK;
    }
    err = vwl_policies_set_transfer(device->config.core.rules,
                                    device->config.core.n_sockets,
                                    device->host.transfer_request != NULL,
                                    &device->log, index, kind, way);
    if (gate) {
        vwl_gate_unlock(gate);
    }
    return err;
}

uint64_t vwl_device_features(const struct vwl_device *device)
{
    return device->config.session.features;
}

uint64_t vwl_device_protocol_features(const struct vwl_device *device)
{
    return device->config.session.protocol_features;
}
