/*
 * Vhost-user virtio-wl device: a daemon, behind the interface of a plugin
 *
 * QEMU's vhost-user code speaks to this relay as it speaks to a plugin, on a
 * socket pair, and the relay passes what is said on to the daemon's socket and
 * back.  What that code knows nothing of in QEMU's releases is done here:
 *
 *  - the daemon's requests to map files into shared-memory region 0;
 *  - where that region is, for drivers that want guest addresses: the daemon
 *    learns it from a mapped piece that stands in the memory table;
 *  - a daemon that takes long to come, to come back or to answer: the relay's
 *    thread waits, and QEMU no longer than vhost-user-wl-relay.h allows.
 *
 * Whatever the daemon says is checked before use here; what is passed on,
 * QEMU's code checks itself.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/virtio/vhost-user-wl-relay.h"
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#define BIT_OF(n) (1ULL << (n))
/* The relay's own affair. */
#define HIDDEN_FEATURES                    \
    (BIT_OF(VHOST_USER_PROTOCOL_F_SHMEM) | \
     BIT_OF(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS))

typedef struct vwl_device Relay;

static int relay_send(Relay *r, int which, const WLMessage *msg)
{
    return vhost_user_wl_message_send(r->end[which], msg, &r->patience);
}

static void end_close(Relay *r, int which)
{
    if (r->end[which] >= 0) {
        close(r->end[which]);
        r->end[which] = -1;
    }
}

/*
 * Shared memory
 */

/* Puts one mapped piece into the table that is about to go out. */
static void table_add_piece(Relay *r, WLMessage *msg)
{
    WLMemory *memory = &msg->payload.memory;
    uint64_t base, offset, len, fd_offset;
    int fd;

    if (!r->wants_addresses || !r->window || msg->n_fds == WL_MSG_FDS_MAX ||
        memory->head.nregions != msg->n_fds ||
        r->host->shm_base(r->host->opaque, &base) < 0 ||
        !vhost_user_wl_window_piece(r->window, &offset, &len, &fd_offset,
                                    &fd)) {
        return;
    }
    fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    memory->regions[msg->n_fds] = (struct vhost_user_memory_region){
        .guest_phys_addr = base + offset,
        .memory_size = len,
        .userspace_addr = (uintptr_t)r->window->base + offset,
        .mmap_offset = fd_offset,
    };
    msg->fds[msg->n_fds++] = fd;
    memory->head.nregions++;
    msg->head.size += sizeof(memory->regions[0]);
}

static void table_forget(Relay *r)
{
    vhost_user_wl_message_close_fds(&r->table);
    r->table.head.size = 0;
}

static void table_keep(Relay *r)
{
    table_forget(r);
    r->table = r->msg;
    for (unsigned i = 0; i < r->msg.n_fds; i++) {
        r->table.fds[i] = fcntl(r->msg.fds[i], F_DUPFD_CLOEXEC, 0);
        if (r->table.fds[i] < 0) {
            r->table.n_fds = i;
            table_forget(r);
            return;
        }
    }
}

/* The table once more, with a piece that is new. */
static int table_announce(Relay *r)
{
    if (!r->table.head.size) {
        return 0;
    }
    r->msg = r->table;
    r->msg.head.flags = VHOST_USER_VERSION; /* no answer: QEMU did not ask */
    for (unsigned i = 0; i < r->table.n_fds; i++) {
        r->msg.fds[i] = fcntl(r->table.fds[i], F_DUPFD_CLOEXEC, 0);
        if (r->msg.fds[i] < 0) {
            r->msg.n_fds = i;
            return -errno;
        }
    }
    table_add_piece(r, &r->msg);
    return relay_send(r, PEER, &r->msg);
}

static int window_request(Relay *r)
{
    const struct vhost_user_mmap *m = &r->msg.payload.map;

    if (!r->window || r->msg.head.size < sizeof(*m) || m->shmid != 0) {
        return -EINVAL;
    }
    if (r->msg.head.request == VHOST_USER_BACKEND_SHMEM_UNMAP) {
        return vhost_user_wl_window_unmap(r->window, m->shm_offset, m->len);
    }
    return vhost_user_wl_window_map(r->window,
                                    r->msg.n_fds ? r->msg.fds[0] : -1,
                                    m->fd_offset, m->shm_offset, m->len,
                                    m->flags & VHOST_USER_SHMEM_MAP_F_RW,
                                    r->wants_addresses);
}

/*
 * Messages
 */

/* The daemon's requests come to the relay, and QEMU gets the others. */
static int take_back_channel(Relay *r)
{
    int sv[2];

    if (r->msg.n_fds != 1) {
        return -EPROTO;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0) {
        return -errno;
    }
    end_close(r, BACK_FRONT);
    end_close(r, BACK_PEER);
    r->end[BACK_FRONT] = r->msg.fds[0];
    r->end[BACK_PEER] = sv[0];
    r->msg.fds[0] = sv[1];
    return 0;
}

static int from_front(Relay *r)
{
    WLMessage *msg = &r->msg;
    int ret = 0;

    switch (msg->head.request) {
    case VHOST_USER_SET_FEATURES:
        r->wants_addresses = !(msg->payload.u64 &
                               BIT_OF(VIRTIO_WL_F_USE_SHMEM));
        break;
    case VHOST_USER_SET_PROTOCOL_FEATURES:
        r->acked = msg->payload.u64;
        msg->payload.u64 |= r->features & BIT_OF(VHOST_USER_PROTOCOL_F_SHMEM);
        break;
    case VHOST_USER_SET_MEM_TABLE:
        table_keep(r);
        table_add_piece(r, msg);
        break;
    case VHOST_USER_SET_BACKEND_REQ_FD:
        ret = take_back_channel(r);
        break;
    default:
        break;
    }
    if (ret < 0) {
        return ret;
    }
    if (vhost_user_wl_message_is_answered(msg, r->acked)) {
        r->asked = g_get_monotonic_time();
    }
    return relay_send(r, PEER, msg);
}

static int from_peer(Relay *r)
{
    WLMessage *msg = &r->msg;

    if (!(msg->head.flags & VHOST_USER_REPLY_MASK) || !r->asked) {
        return -EPROTO; /* nobody asked */
    }
    vhost_user_wl_relay_patience(r, g_get_monotonic_time() - r->asked);
    r->asked = 0;
    if (msg->head.request == VHOST_USER_GET_PROTOCOL_FEATURES &&
        msg->head.size == sizeof(uint64_t)) {
        msg->payload.u64 &= ~HIDDEN_FEATURES;
    }
    return relay_send(r, FRONT, msg);
}

static int from_back_peer(Relay *r)
{
    WLMessage *msg = &r->msg;
    bool answered = msg->head.flags & VHOST_USER_NEED_REPLY_MASK, announce;
    int ret;

    if (msg->head.request != VHOST_USER_BACKEND_SHMEM_MAP &&
        msg->head.request != VHOST_USER_BACKEND_SHMEM_UNMAP) {
        /* Both ends of the back-end channel open and close together. */
        return relay_send(r, BACK_FRONT, msg);
    }
    ret = window_request(r);
    announce = ret == 0 && r->wants_addresses &&
               msg->head.request == VHOST_USER_BACKEND_SHMEM_MAP &&
               vhost_user_wl_window_is_unannounced(r->window);
    if (answered) {
        ret = vhost_user_wl_message_answer(r->end[BACK_PEER], msg, ret < 0,
                                           &r->patience);
        if (ret < 0) {
            return ret;
        }
    }
    vhost_user_wl_message_close_fds(msg);
    return announce ? table_announce(r) : 0;
}

static int from_back_front(Relay *r)
{
    return relay_send(r, BACK_PEER, &r->msg);
}

static int relay_pass_on(Relay *r, int which)
{
    static int (*const from[N_ENDS])(Relay *) = {
        [FRONT] = from_front,
        [PEER] = from_peer,
        [BACK_PEER] = from_back_peer,
        [BACK_FRONT] = from_back_front,
    };
    int64_t began = g_get_monotonic_time();
    int ret;

    r->patience.until = began + vhost_user_wl_relay_patience(r, 0);
    ret = vhost_user_wl_message_recv(r->end[which], &r->msg, &r->patience);
    if (ret == 0) {
        ret = from[which](r);
        vhost_user_wl_message_close_fds(&r->msg);
    }
    /* Messages that come byte by byte: QEMU may have a question meanwhile. */
    vhost_user_wl_relay_patience(r, g_get_monotonic_time() - began);
    return ret;
}

/* Microseconds that QEMU may go on waiting; -1: it is not. */
static int64_t relay_left(Relay *r)
{
    if (!r->asked) {
        return -1;
    }
    return MAX(0, r->asked + vhost_user_wl_relay_patience(r, 0) -
                      g_get_monotonic_time());
}

/* One turn; -errno: it is over.  -ECANCELED: it was told to end. */
static int relay_turn(Relay *r)
{
    struct pollfd fds[N_ENDS + 1] = { [N_ENDS] = { r->stop, POLLIN, 0 } };
    int64_t left = relay_left(r);
    int ret;

    for (int i = 0; i < N_ENDS; i++) {
        fds[i] = (struct pollfd){ r->end[i], POLLIN, 0 };
    }
    ret = poll(fds, N_ENDS + 1, left < 0 ? -1 : (left + 999) / 1000);
    if (ret < 0) {
        return errno == EINTR ? 0 : -errno;
    }
    if (fds[N_ENDS].revents) {
        return -ECANCELED;
    }
    /* Whatever else it says: the answer is not there. */
    if (left == 0 && !fds[PEER].revents) {
        return -ETIMEDOUT;
    }
    for (int i = 0; i < N_ENDS; i++) {
        if (!fds[i].revents || r->end[i] < 0) {
            continue;
        }
        ret = relay_pass_on(r, i);
        if (ret == -ECONNRESET && (i == BACK_PEER || i == BACK_FRONT)) {
            end_close(r, BACK_PEER);
            end_close(r, BACK_FRONT);
        } else if (ret < 0) {
            return ret;
        }
    }
    return 0;
}

static void *relay_serve(void *opaque)
{
    Relay *r = opaque;
    int ret;

    while ((ret = relay_turn(r)) == 0) {
    }
    if (r->asked) {
        vhost_user_wl_relay_patience(r, g_get_monotonic_time() - r->asked);
    }
    if (ret == -ETIMEDOUT) {
        vhost_user_wl_relay_log(r, VWL_LOG_ERROR,
                                "the daemon does not answer any more");
    } else if (ret != -ECANCELED && ret != -ECONNRESET && ret != -EPIPE) {
        vhost_user_wl_relay_log(r, VWL_LOG_ERROR,
                                "the daemon's connection is broken: %s",
                                strerror(-ret));
    }
    for (int i = 0; i < N_ENDS; i++) {
        end_close(r, i);
    }
    table_forget(r);
    return NULL;
}

/*
 * As a plugin
 */

static int relay_new(const struct vwl_config *cfg, const struct vwl_host *host,
                     struct vwl_device **out)
{
    Relay *r;
    int stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (stop < 0) {
        return -errno;
    }
    r = g_new0(Relay, 1);
    r->host = host;
    r->path = g_strdup(cfg->sockets[0].path);
    r->counted = g_get_monotonic_time();
    r->stop = stop;
    r->daemon = -1;
    for (int i = 0; i < N_ENDS; i++) {
        r->end[i] = -1;
    }
    *out = r;
    return 0;
}

static int relay_start(struct vwl_device *r, struct _GMainContext *context,
                       int *fd)
{
    uint64_t size;
    int ret;

    if (r->daemon < 0) {
        ret = vhost_user_wl_relay_connect(r, &size);
        if (ret < 0) {
            return ret;
        }
    }
    r->end[FRONT] = *fd;
    r->end[PEER] = r->daemon;
    *fd = r->daemon = -1;
    r->asked = 0;
    r->acked = 0;
    r->wants_addresses = false;
    r->patience.stop = r->stop;
    vhost_user_wl_relay_begin(r, relay_serve);
    return 0;
}

static void relay_stop(struct vwl_device *r)
{
    const uint64_t one = 1;

    if (!r->running) {
        return;
    }
    if (write(r->stop, &one, sizeof(one)) < 0) {
        abort(); /* an eventfd that nobody else writes to */
    }
    qemu_thread_join(&r->thread);
    r->running = false;
}

static void relay_free(struct vwl_device *r)
{
    relay_stop(r);
    if (r->daemon >= 0) {
        close(r->daemon);
    }
    close(r->stop);
    g_free(r->path);
    g_free(r);
}

static void relay_features(struct vwl_device *r, uint64_t *features,
                           uint64_t *protocol_features)
{
    if (protocol_features) {
        *protocol_features = r->features;
    }
}

const struct vwl_plugin vhost_user_wl_relay = {
    .size = sizeof(vhost_user_wl_relay),
    .abi = VWL_PLUGIN_ABI,
    .version = "relay",
    .device_new = relay_new,
    .device_start = relay_start,
    .device_stop = relay_stop,
    .device_free = relay_free,
    .device_features = relay_features,
};
