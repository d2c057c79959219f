/* SPDX-License-Identifier: BSD-3-Clause */
/* What a VMM says, in its order: handshake, start, stop. */
#include "frontend.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ring.h"

#define BIT(n) (UINT64_C(1) << (n))

static int get_u64(struct vwl_fe *fe, uint32_t request, uint64_t *value)
{
    struct vwl_fe_message msg = {
        .request = request,
        .answer = true,
        .reply = value,
        .reply_len = sizeof *value,
    };
    int r = vwl_fe_request(fe, &msg);

    return r < 0 ? r : msg.reply_len == sizeof *value ? 0 : -EBADMSG;
}

static int set_u64(struct vwl_fe *fe, uint32_t request, uint64_t value,
                   bool ack)
{
    struct vwl_fe_message msg = {
        .request = request,
        .payload = &value,
        .len = sizeof value,
        .ack = ack,
    };

    return vwl_fe_request(fe, &msg);
}

static int set_state(struct vwl_fe *fe, uint32_t request, unsigned int index,
                     uint32_t num, bool ack)
{
    struct vhost_user_vring_state state = { index, num };
    struct vwl_fe_message msg = {
        .request = request,
        .payload = &state,
        .len = sizeof state,
        .ack = ack,
    };

    return vwl_fe_request(fe, &msg);
}

static uint64_t wanted_features(const struct vwl_fe_options *o)
{
    uint64_t bits = BIT(VHOST_USER_F_PROTOCOL_FEATURES) |
                    BIT(VIRTIO_F_VERSION_1);

    bits |= o->no_trans_flags ? 0 : BIT(VIRTIO_WL_F_TRANS_FLAGS);
    bits |= o->no_send_fences ? 0 : BIT(VIRTIO_WL_F_SEND_FENCES);
    bits |= BIT(VIRTIO_WL_F_GUEST_PAGES);
    bits |= o->no_use_shmem ? 0 : BIT(VIRTIO_WL_F_USE_SHMEM);
    bits |= o->no_indirect ? 0 : BIT(VIRTIO_RING_F_INDIRECT_DESC);
    bits |= o->no_event_idx ? 0 : BIT(VIRTIO_RING_F_EVENT_IDX);
    bits |= o->packed ? BIT(VIRTIO_F_RING_PACKED) : 0;
    bits |= o->iommu ? BIT(VIRTIO_F_ACCESS_PLATFORM) : 0;
    return bits;
}

static uint64_t wanted_protocol(const struct vwl_fe_options *o)
{
    uint64_t bits = o->protocol_features_on |
                    BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) |
                    BIT(VHOST_USER_PROTOCOL_F_BACKEND_SEND_FD);

    bits |= o->no_reply_ack ? 0 : BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK);
    bits |= o->in_band ? BIT(VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS) : 0;
    if (o->dialect == VWL_FE_STANDARD) {
        bits |= BIT(VHOST_USER_PROTOCOL_F_SHMEM);
    } else if (o->dialect == VWL_FE_PRIVATE) {
        bits |= BIT(VHOST_USER_PROTOCOL_F_SHARED_MEMORY_REGIONS);
    }
    return bits;
}

int vwl_fe_give_channel(struct vwl_fe *fe)
{
    int pair[2], r;
    struct vwl_fe_message msg = {
        .request = VHOST_USER_SET_BACKEND_REQ_FD,
        .fds = &pair[1],
        .n_fds = 1,
        .ack = true,
    };

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return -errno;
    }
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    if (fe->backend >= 0) {
        close(fe->backend);
    }
    fe->backend = pair[0];
    r = vwl_fe_request(fe, &msg);
    close(pair[1]);
    return r;
}

static void resize_window(struct vwl_fe *fe, uint64_t size)
{
    uint64_t gpa = fe->window.gpa;
    bool read_only_maps = fe->window.read_only_maps;

    if (size != fe->window.size) {
        vwl_window_finish(&fe->window);
        vwl_window_init(&fe->window, size, gpa);
        fe->window.read_only_maps = read_only_maps;
    }
}

/* Region 0's size from the answer; 0 when there is none. */
static uint64_t standard_size(const uint8_t *reply, size_t len)
{
    struct vhost_user_shmem_config config;

    if (len != sizeof config) {
        return 0;
    }
    memcpy(&config, reply, sizeof config);
    return config.nregions == 1 ? config.memory_sizes[0] : 0;
}

static uint64_t private_size(const uint8_t *reply, size_t len)
{
    struct vhost_user_private_shmem_region region;
    uint64_t count;

    if (len != sizeof count + sizeof region) {
        return 0;
    }
    memcpy(&count, reply, sizeof count);
    memcpy(&region, reply + sizeof count, sizeof region);
    return count == 1 && region.id == 0 ? region.length : 0;
}

static int get_region_size(struct vwl_fe *fe)
{
    uint8_t reply[4096];
    bool private = fe->dialect == VWL_FE_PRIVATE;
    struct vwl_fe_message msg = {
        .request = private ? VHOST_USER_GET_SHARED_MEMORY_REGIONS
                           : VHOST_USER_GET_SHMEM_CONFIG,
        .answer = true,
        .reply = reply,
        .reply_len = sizeof reply,
    };
    uint64_t size;
    int r = vwl_fe_request(fe, &msg);

    if (r < 0) {
        return r;
    }
    size = private ? private_size(reply, msg.reply_len)
                   : standard_size(reply, msg.reply_len);
    if (size == 0 || (size & (size - 1)) != 0) {
        vwl_fe_complain(fe, "no usable region 0: %zu bytes of answer",
                        msg.reply_len);
        return -EBADMSG;
    }
    resize_window(fe, size);
    return 0;
}

static int negotiate_protocol(struct vwl_fe *fe)
{
    int r = get_u64(fe, VHOST_USER_GET_PROTOCOL_FEATURES, &fe->device_protocol);

    if (r < 0) {
        return r;
    }
    fe->protocol = fe->device_protocol & wanted_protocol(&fe->options);
    fe->dialect = VWL_FE_NONE;
    if (vwl_fe_has_protocol(fe, VHOST_USER_PROTOCOL_F_SHMEM)) {
        fe->dialect = VWL_FE_STANDARD;
    } else if (vwl_fe_has_protocol(
                   fe, VHOST_USER_PROTOCOL_F_SHARED_MEMORY_REGIONS)) {
        fe->dialect = VWL_FE_PRIVATE;
    }
    return set_u64(fe, VHOST_USER_SET_PROTOCOL_FEATURES, fe->protocol, false);
}

static int set_owner(struct vwl_fe *fe)
{
    struct vwl_fe_message msg = { .request = VHOST_USER_SET_OWNER };

    return vwl_fe_request(fe, &msg);
}

int vwl_fe_handshake(struct vwl_fe *fe)
{
    bool qemu = fe->options.order == VWL_FE_QEMU;
    int r = 0;

    if (!qemu) {
        r = set_owner(fe);
    }
    r = r < 0 ? r : get_u64(fe, VHOST_USER_GET_FEATURES, &fe->device_features);
    if (r < 0) {
        return r;
    }
    if (fe->device_features & BIT(VHOST_USER_F_PROTOCOL_FEATURES)) {
        r = negotiate_protocol(fe);
    }
    if (r == 0 && !fe->options.late_channel &&
        vwl_fe_has_protocol(fe, VHOST_USER_PROTOCOL_F_BACKEND_REQ)) {
        r = vwl_fe_give_channel(fe);
    }
    if (r == 0 && qemu) {
        r = set_owner(fe);
    }
    if (r == 0 && qemu) {
        r = get_u64(fe, VHOST_USER_GET_FEATURES, &fe->device_features);
    }
    for (unsigned int i = 0; qemu && i < VIRTIO_WL_QUEUE_COUNT; i++) {
        if (r == 0 && !fe->options.in_band) {
            r = vwl_fe_set_vring_fd(fe, VHOST_USER_SET_VRING_CALL, i,
                                    fe->ring[i].call);
        }
        if (r == 0) {
            r = vwl_fe_set_vring_fd(fe, VHOST_USER_SET_VRING_ERR, i,
                                    fe->ring[i].err);
        }
    }
    if (r == 0 && fe->dialect != VWL_FE_NONE) {
        r = get_region_size(fe);
    }
    fe->features = fe->device_features & wanted_features(&fe->options);
    return r;
}

int vwl_fe_set_vring_fd(struct vwl_fe *fe, uint32_t request, unsigned int index,
                        int fd)
{
    uint64_t payload = index | (fd < 0 ? VHOST_USER_VRING_NOFD_MASK : 0);
    struct vwl_fe_message msg = {
        .request = request,
        .payload = &payload,
        .len = sizeof payload,
        .fds = &fd,
        .n_fds = fd < 0 ? 0 : 1,
        .ack = true,
    };

    return vwl_fe_request(fe, &msg);
}

int vwl_fe_set_enable(struct vwl_fe *fe, unsigned int index, bool on)
{
    return set_state(fe, VHOST_USER_SET_VRING_ENABLE, index, on, true);
}

static int get_vring_base(struct vwl_fe *fe, unsigned int index, uint32_t *base)
{
    struct vhost_user_vring_state state = { index, 0 }, reply;
    struct vwl_fe_message msg = {
        .request = VHOST_USER_GET_VRING_BASE,
        .payload = &state,
        .len = sizeof state,
        .answer = true,
        .reply = &reply,
        .reply_len = sizeof reply,
    };
    int r = vwl_fe_request(fe, &msg);

    if (r < 0) {
        return r;
    }
    if (msg.reply_len != sizeof reply || reply.index != index) {
        vwl_fe_complain(fe, "GET_VRING_BASE %u was answered wrongly", index);
        return -EBADMSG;
    }
    *base = reply.num;
    return 0;
}

static int set_addresses(struct vwl_fe *fe, unsigned int index)
{
    struct vwl_fe_ring *ring = &fe->ring[index];
    bool iommu = vwl_fe_has(fe, VIRTIO_F_ACCESS_PLATFORM);
    struct vhost_user_vring_addr addr = { .index = index };
    struct vwl_fe_message msg = {
        .request = VHOST_USER_SET_VRING_ADDR,
        .payload = &addr,
        .len = sizeof addr,
    };
    uint64_t gpa[3] = { ring->desc, ring->device, ring->driver }, out[3];

    for (unsigned int i = 0; i < 3; i++) {
        out[i] = iommu ? vwl_fe_bus_address(fe, gpa[i])
                       : (uint64_t)(uintptr_t)vwl_fe_at(fe, gpa[i]);
    }
    addr.descriptor = out[0];
    addr.used = out[1];
    addr.available = out[2];
    addr.log = gpa[1];
    return vwl_fe_request(fe, &msg);
}

static int start_ring(struct vwl_fe *fe, unsigned int i)
{
    struct vwl_fe_ring *ring = &fe->ring[i];
    bool qemu = fe->options.order == VWL_FE_QEMU;
    int kick = fe->options.in_band ? -1 : ring->kick;
    int call = fe->options.in_band ? -1 : ring->call;
    int r = set_state(fe, VHOST_USER_SET_VRING_NUM, i, ring->num, false);

    ring->broken = false;
    if (r == 0 && qemu) {
        r = set_state(fe, VHOST_USER_SET_VRING_BASE, i, ring->base, false);
    }
    if (r == 0) {
        r = set_addresses(fe, i);
    }
    if (r == 0 && !qemu) {
        r = set_state(fe, VHOST_USER_SET_VRING_BASE, i, ring->base, false);
    }
    if (r == 0 && !qemu) {
        r = vwl_fe_set_vring_fd(fe, VHOST_USER_SET_VRING_CALL, i, call);
    }
    if (r == 0) {
        r = vwl_fe_set_vring_fd(fe, VHOST_USER_SET_VRING_KICK, i, kick);
    }
    if (r == 0 && qemu) {
        r = vwl_fe_set_vring_fd(fe, VHOST_USER_SET_VRING_CALL, i, call);
    }
    if (r == 0 && !qemu) {
        r = vwl_fe_set_enable(fe, i, true);
    }
    return r;
}

int vwl_fe_start(struct vwl_fe *fe)
{
    bool qemu = fe->options.order == VWL_FE_QEMU;
    int r;

    if (fe->options.start != NULL) {
        r = fe->options.start(fe);
        fe->started = r == 0;
        return r;
    }
    r = set_u64(fe, VHOST_USER_SET_FEATURES, fe->features, false);
    if (r == 0) {
        r = vwl_fe_set_mem_table(fe);
    }
    for (unsigned int i = 0; r == 0 && i < VIRTIO_WL_QUEUE_COUNT; i++) {
        r = start_ring(fe, i);
    }
    for (unsigned int i = 0; r == 0 && qemu && i < VIRTIO_WL_QUEUE_COUNT; i++) {
        r = vwl_fe_set_enable(fe, i, true);
    }
    for (unsigned int i = 0;
         r == 0 && qemu && !fe->options.in_band && i < VIRTIO_WL_QUEUE_COUNT;
         i++) {
        r = vwl_fe_set_vring_fd(fe, VHOST_USER_SET_VRING_CALL, i,
                                fe->ring[i].call);
    }
    fe->started = r == 0;
    return r;
}

int vwl_fe_stop(struct vwl_fe *fe)
{
    int r = 0;

    fe->started = false;
    if (fe->options.stop != NULL) {
        return fe->options.stop(fe);
    }
    for (unsigned int i = 0; r == 0 && i < VIRTIO_WL_QUEUE_COUNT; i++) {
        r = vwl_fe_set_enable(fe, i, false);
    }
    for (unsigned int i = 0; r == 0 && i < VIRTIO_WL_QUEUE_COUNT; i++) {
        r = get_vring_base(fe, i, &fe->ring[i].base);
    }
    return r;
}

void vwl_fe_reset(struct vwl_fe *fe)
{
    bool packed = vwl_fe_has(fe, VIRTIO_F_RING_PACKED);

    vwl_window_drop_all(&fe->window);
    for (unsigned int i = 0; i < VIRTIO_WL_QUEUE_COUNT; i++) {
        fe->ring[i].base = vwl_ring_fresh_base(packed);
    }
}

int vwl_fe_kick(struct vwl_fe *fe, unsigned int index)
{
    uint64_t one = 1;

    fe->kicks++;
    if (fe->options.in_band &&
        vwl_fe_has_protocol(fe, VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS)) {
        return set_state(fe, VHOST_USER_VRING_KICK, index, 0, true);
    }
    return write(fe->ring[index].kick, &one, sizeof one) == sizeof one ? 0
                                                                       : -errno;
}
