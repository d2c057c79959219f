/*
 * Vhost-user virtio-wl device: the relay's way to its daemon
 *
 * Finding it, asking it what has to be known before there is a device, and
 * waiting for the next one when it is gone.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "hw/virtio/vhost-user-wl-relay.h"
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#define RETRY_MS 500

#define BIT_OF(n) (1ULL << (n))

typedef struct vwl_device Relay;

void vhost_user_wl_relay_log(Relay *r, enum vwl_log_level level,
                             const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    r->host->log(r->host->opaque, level, text);
}

int64_t vhost_user_wl_relay_patience(Relay *r, int64_t used)
{
    const int64_t all = VHOST_USER_WL_PATIENCE_MS * 1000LL;
    int64_t now = g_get_monotonic_time();

    r->waited -= (now - r->counted) / VHOST_USER_WL_PATIENCE_BACK;
    /* A wait that is counted twice makes the pause no longer. */
    r->waited = MIN(MAX(r->waited, 0) + used, all);
    r->counted = now;
    return all - r->waited;
}

/*
 * Before it is served
 */

/* Asks for a payload of that size. */
static int daemon_ask(Relay *r, int sock, uint32_t request, uint32_t size,
                      const WLPatience *patience)
{
    int ret;

    r->msg.head = (struct vhost_user_header){
        .request = request,
        .flags = VHOST_USER_VERSION,
    };
    r->msg.n_fds = 0;
    ret = vhost_user_wl_message_send(sock, &r->msg, patience);
    if (ret == 0) {
        ret = vhost_user_wl_message_recv(sock, &r->msg, patience);
    }
    if (ret < 0) {
        return ret;
    }
    vhost_user_wl_message_close_fds(&r->msg);
    return r->msg.head.request == request && r->msg.head.size == size &&
                   r->msg.head.flags & VHOST_USER_REPLY_MASK
               ? 0
               : -EPROTO;
}

/* What has to be known before there is a device. */
static int daemon_interview(Relay *r, int sock, uint64_t *size)
{
    const WLPatience patience = {
        g_get_monotonic_time() + VHOST_USER_WL_PATIENCE_MS * 1000LL, r->stop
    };
    int ret = daemon_ask(r, sock, VHOST_USER_GET_FEATURES, sizeof(uint64_t),
                         &patience);

    if (ret < 0) {
        return ret;
    }
    if (!(r->msg.payload.u64 & BIT_OF(VHOST_USER_F_PROTOCOL_FEATURES))) {
        return -EPROTO;
    }
    ret = daemon_ask(r, sock, VHOST_USER_GET_PROTOCOL_FEATURES,
                     sizeof(uint64_t), &patience);
    if (ret < 0) {
        return ret;
    }
    r->features = r->msg.payload.u64;
    *size = 0;
    if (!(r->features & BIT_OF(VHOST_USER_PROTOCOL_F_SHMEM))) {
        return 0;
    }
    r->msg.head = (struct vhost_user_header){
        .request = VHOST_USER_SET_PROTOCOL_FEATURES,
        .flags = VHOST_USER_VERSION,
        .size = sizeof(uint64_t),
    };
    r->msg.payload.u64 = BIT_OF(VHOST_USER_PROTOCOL_F_SHMEM);
    ret = vhost_user_wl_message_send(sock, &r->msg, &patience);
    if (ret == 0) {
        ret = daemon_ask(r, sock, VHOST_USER_GET_SHMEM_CONFIG,
                         sizeof(struct vhost_user_shmem_config), &patience);
    }
    if (ret == 0) {
        *size = r->msg.payload.shmem_config.memory_sizes[0];
    }
    return ret;
}

/* Any thread, one at a time: leaves r->daemon. */
int vhost_user_wl_relay_connect(Relay *r, uint64_t *size)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int ret,
        sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (sock < 0) {
        return -errno;
    }
    /* Its length was looked at once. */
    pstrcpy(address.sun_path, sizeof(address.sun_path), r->path);
    if (connect(sock, (struct sockaddr *)&address, sizeof(address)) < 0) {
        ret = -errno;
        close(sock);
        return ret;
    }
    ret = daemon_interview(r, sock, size);
    if (ret < 0) {
        close(sock);
        return ret;
    }
    r->daemon = sock;
    return 0;
}

bool vhost_user_wl_relay_open(struct vwl_device *r, unsigned patience_ms,
                              uint64_t *size, Error **errp)
{
    int64_t until = g_get_monotonic_time() + patience_ms * 1000LL;
    int ret;

    if (strlen(r->path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
        error_setg(errp,
                   "vhost-user-wl: the daemon's socket '%s' has too "
                   "long a name",
                   r->path);
        return false;
    }
    while ((ret = vhost_user_wl_relay_connect(r, size)) < 0 &&
           (ret == -ENOENT || ret == -ECONNREFUSED || ret == -EAGAIN) &&
           g_get_monotonic_time() < until) {
        g_usleep(20000);
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "vhost-user-wl: no daemon answers at '%s'",
                         r->path);
        return false;
    }
    r->window_size = *size;
    return true;
}

void vhost_user_wl_relay_set_window(struct vwl_device *r,
                                    VHostUserWLWindow *window)
{
    r->window = window;
}

/* True: told to end. */
static bool relay_pause(Relay *r, int ms)
{
    struct pollfd stop = { r->stop, POLLIN, 0 };

    return poll(&stop, 1, ms) != 0;
}

static void *relay_await(void *opaque)
{
    Relay *r = opaque;
    bool odd = false;

    while (!relay_pause(r, RETRY_MS)) {
        uint64_t size;

        if (vhost_user_wl_relay_patience(r, 0) <
                VHOST_USER_WL_PATIENCE_MS * 1000LL / 2 ||
            vhost_user_wl_relay_connect(r, &size) < 0) {
            continue;
        }
        if (size == r->window_size) {
            qemu_bh_schedule(r->ready);
            break;
        }
        close(r->daemon);
        r->daemon = -1;
        if (!odd) {
            vhost_user_wl_relay_log(
                r, VWL_LOG_ERROR,
                "the new daemon has a shared-memory region of %" PRIu64
                " bytes, the guest one of %" PRIu64,
                size, r->window_size);
            odd = true;
        }
    }
    return NULL;
}

void vhost_user_wl_relay_begin(Relay *r, void *(*run)(void *))
{
    uint64_t drained;

    assert(!r->running);
    if (read(r->stop, &drained, sizeof(drained)) < 0) {
        assert(errno == EAGAIN);
    }
    qemu_thread_create(&r->thread, "wl-relay", run, r, QEMU_THREAD_JOINABLE);
    r->running = true;
}

void vhost_user_wl_relay_await(struct vwl_device *r, QEMUBH *ready)
{
    r->ready = ready;
    vhost_user_wl_relay_begin(r, relay_await);
}
