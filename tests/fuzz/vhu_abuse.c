/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhu_abuse.h"

static void abuse_put(struct vhu_front *front, uint32_t request, uint32_t flags,
                      uint32_t size, size_t len, unsigned int n_fds)
{
    uint8_t bytes[12 + 8192] = { 0 };
    int fds[FUZZ_MAX_FDS];

    for (unsigned int i = 0; i < n_fds; i++) {
        fds[i] = front->ring[0].call;
    }
    put32(bytes, request);
    put32(bytes + 4, flags);
    put32(bytes + 8, size);
    fuzz_send(front->sock, bytes, len, fds, n_fds);
}

bool abuse_stream(struct vhu_front *front, unsigned int how)
{
    uint32_t request = how & 1 ? VHOST_USER_GET_FEATURES
                               : VHOST_USER_SET_FEATURES;

    switch (how >> 1 & 7) {
    case 0: /* too long by a little, whole */
        abuse_put(front, request, PLAIN, 4097 + (how >> 4),
                  12 + 4097 + (how >> 4), 0);
        break;
    case 1: /* much too long */
        abuse_put(front, request, PLAIN, how & 1 ? UINT32_MAX : 8192, 12 + 8192,
                  0);
        break;
    case 2: /* another version */
        abuse_put(front, request, how >> 4 & 1 ? 2 : 0, 8, 20, 0);
        break;
    case 3: /* a reply to nothing */
        abuse_put(front, request, REPLY, how & 1 ? 0 : 8, how & 1 ? 12 : 20, 0);
        break;
    case 4: /* too many descriptors */
        abuse_put(front, request, PLAIN, 0, 12, 33 + (how >> 4) % 7);
        break;
    case 5: /* a descriptor in the middle of a header */
        abuse_put(front, request, PLAIN, 8, 1 + (how >> 4) % 11, 0);
        return true;
    case 6: /* and of a payload */
        abuse_put(front, VHOST_USER_SET_FEATURES, PLAIN, 8, 12 + (how >> 4) % 8,
                  0);
        return true;
    default: /* after one in its place, too */
        abuse_put(front, VHOST_USER_SET_VRING_KICK, PLAIN, 8, 12, 1);
        return true;
    }
    return false;
}

void abuse_tail(struct vhu_front *front)
{
    static const uint8_t zeroes[8];

    fuzz_send(front->sock, zeroes, 8, &front->ring[0].call, 1);
}

uint32_t abuse_request(struct vhu_front *front, unsigned int how)
{
    static const struct {
        uint32_t request;
        uint32_t size; /* of what follows, as 64 bits each */
        uint64_t payload[5];
        int n_fds; /* -1: one of the memory, else so many eventfds */
    } rows[] = {
        /* regions: two and a descriptor, one and two, none and one, a size
         * for less, beyond its file, wrapping */
        { VHOST_USER_SET_MEM_TABLE, 40, { 2, 0, RAM_BYTES, UVA }, -1 },
        { VHOST_USER_SET_MEM_TABLE, 8, { 0 }, -1 },
        { VHOST_USER_SET_MEM_TABLE, 40, { 1, 0, RAM_BYTES, UVA }, 0 },
        { VHOST_USER_SET_MEM_TABLE, 32, { 1, 0, RAM_BYTES, UVA }, -1 },
        { VHOST_USER_SET_MEM_TABLE, 40, { 1, 0, RAM_BYTES * 2, UVA }, -1 },
        { VHOST_USER_SET_MEM_TABLE, 40, { 1, 0, RAM_BYTES, UVA, 4096 }, -1 },
        { VHOST_USER_SET_MEM_TABLE,
          40,
          { 1, UINT64_MAX - 4095, RAM_BYTES, UVA },
          -1 },
        { VHOST_USER_ADD_MEM_REG, 40, { 0, 0x8000000, 0, UVA }, -1 },
        { VHOST_USER_REM_MEM_REG, 40, { 0, 0x8000000, 4096, 1 }, 0 },
        /* vrings beyond the second one, numbers that none can have */
        { VHOST_USER_SET_VRING_NUM, 8, { UINT64_C(0x800000002) }, 0 },
        { VHOST_USER_SET_VRING_NUM, 8, { UINT64_C(0x800100000000) }, 0 },
        { VHOST_USER_SET_VRING_BASE, 8, { 2 }, 0 },
        { VHOST_USER_SET_VRING_ADDR, 40, { 2, UVA, UVA, UVA }, 0 },
        { VHOST_USER_SET_VRING_ADDR, 40, { 0, UVA + 8, UVA, UVA }, 0 },
        { VHOST_USER_SET_VRING_KICK, 8, { 2 }, 1 },
        { VHOST_USER_SET_VRING_KICK, 8, { 0 }, 0 },
        { VHOST_USER_SET_VRING_CALL, 8, { 0x100 }, 1 },
        { VHOST_USER_SET_VRING_CALL, 8, { 0xff }, 1 },
        { VHOST_USER_SET_VRING_ERR, 8, { 2 }, 1 },
        { VHOST_USER_SET_VRING_ERR, 8, { 0 }, -1 },
        { VHOST_USER_SET_VRING_ENABLE, 8, { UINT64_C(0x100000002) }, 0 },
        { VHOST_USER_SET_VRING_ENABLE, 8, { UINT64_C(0x200000000) }, 0 },
        { VHOST_USER_VRING_KICK, 8, { 2 }, 0 },
        /* features that were not offered */
        { VHOST_USER_SET_FEATURES, 8, { UINT64_C(1) << 63 }, 0 },
        { VHOST_USER_SET_PROTOCOL_FEATURES, 8, { UINT64_C(1) << 63 }, 0 },
        /* logs and in-flight buffers beyond their files; no socket */
        { VHOST_USER_SET_LOG_BASE, 16, { RAM_BYTES * 2, 0 }, -1 },
        { VHOST_USER_SET_LOG_BASE, 16, { 4096, RAM_BYTES }, -1 },
        { VHOST_USER_SET_LOG_FD, 0, { 0 }, -1 },
        { VHOST_USER_SET_INFLIGHT_FD,
          24,
          { 0x100000, 0, UINT64_C(0x80002) },
          -1 },
        { VHOST_USER_SET_BACKEND_REQ_FD, 0, { 0 }, 1 },
        /* sizes and numbers of descriptors that are not theirs */
        { VHOST_USER_SET_OWNER, 8, { 0 }, 0 },
        { VHOST_USER_SET_OWNER, 0, { 0 }, 1 },
        { VHOST_USER_SET_FEATURES, 16, { 0, 0 }, 0 },
        { VHOST_USER_SET_VRING_NUM, 0, { 0 }, 0 },
        { VHOST_USER_SET_LOG_BASE, 16, { 4096, 0 }, 0 },
        { VHOST_USER_SET_CONFIG, 16, { 0, 0 }, 0 },
        { VHOST_USER_IOTLB_MSG, 32, { 0, 0, 0, 9 }, 0 },
        { 99, 8, { 0 }, 0 },
    };
    unsigned int i = how % G_N_ELEMENTS(rows);
    int fd = rows[i].n_fds < 0 ? front->ram_fd : front->ring[0].call;

    vhu_say_fds(front, rows[i].request, NEED_REPLY, rows[i].payload,
                rows[i].size, &fd, rows[i].n_fds != 0);
    return rows[i].request;
}

void abuse_reply(struct vhu_front *front, unsigned int how)
{
    bool none = front->asked->len == 0;
    uint32_t number = none ? how >> 3 & 15
                           : g_array_index(front->asked, uint32_t, 0);
    uint8_t bytes[12 + 16] = { 0 };
    uint32_t flags = REPLY, size = 8;
    bool with_fd = false;

    if (!none) { /* else whatever it says */
        number ^= (how & 3) == 0 ? 1u << (how >> 2 & 3) : 0;
        flags = (how & 3) == 1 ? how >> 2 & 1 ? PLAIN : NEED_REPLY | REPLY
                               : REPLY;
        size = (how & 3) == 2 ? how >> 2 & 1 ? 16 : 4 : 8;
        with_fd = (how & 3) == 3;
    }
    put32(bytes, number);
    put32(bytes + 4, flags);
    put32(bytes + 8, size);
    fuzz_send(front->back, bytes, 12 + size, &front->ring[0].call, with_fd);
}
