/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct held {
    struct vwl_fe_frame frame;
};

void vwl_fe_frame_close(struct vwl_fe_frame *frame)
{
    for (unsigned int i = 0; i < frame->n_fds; i++) {
        close(frame->fds[i]);
    }
    frame->n_fds = 0;
}

static void take_fds(struct msghdr *msg, struct vwl_fe_frame *frame)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL;
         c = CMSG_NXTHDR(msg, c)) {
        size_t n;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(frame->fds, CMSG_DATA(c), n * sizeof(int));
        frame->n_fds = (unsigned int)n;
    }
}

static int wait_readable(int fd, int64_t end)
{
    int64_t left = (end - g_get_monotonic_time()) / 1000;
    struct pollfd p = { fd, POLLIN, 0 };

    if (left < 0) {
        return -ETIMEDOUT;
    }
    return poll(&p, 1, (int)left) == 0 ? -ETIMEDOUT : 0;
}

static int read_rest(int fd, void *to, size_t len, int64_t end)
{
    uint8_t *at = to;

    while (len != 0) {
        ssize_t n = recv(fd, at, len, MSG_DONTWAIT);

        if (n == 0) {
            return -EPIPE;
        }
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            return -errno;
        }
        if (n < 0) {
            int r = wait_readable(fd, end);

            if (r < 0) {
                return r;
            }
            continue;
        }
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

int vwl_fe_receive(int fd, struct vwl_fe_frame *frame, int timeout_ms)
{
    int64_t end = g_get_monotonic_time() + (int64_t)timeout_ms * 1000;
    union {
        char space[CMSG_SPACE(sizeof(int) * VWL_FE_MAX_FDS)];
        struct cmsghdr align;
    } control;
    struct iovec iov = { &frame->header, sizeof frame->header };
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control,
    };
    ssize_t n;
    int r;

    frame->n_fds = 0;
    n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n <= 0) {
        return n == 0 ? -EPIPE : -errno;
    }
    take_fds(&msg, frame);
    r = read_rest(fd, (uint8_t *)&frame->header + n,
                  sizeof frame->header - (size_t)n, end);
    if (r == 0 && frame->header.size > sizeof frame->payload) {
        r = -EMSGSIZE;
    }
    if (r == 0) {
        r = read_rest(fd, frame->payload, frame->header.size, end);
    }
    if (r < 0) {
        vwl_fe_frame_close(frame);
    }
    return r;
}

static void answer(struct vwl_fe *fe, const struct vwl_fe_frame *frame,
                   bool always, uint64_t value)
{
    struct {
        struct vhost_user_header header;
        uint64_t value;
    } VHOST_USER_PACKED reply = {
        { frame->header.request, VHOST_USER_VERSION | VHOST_USER_REPLY_MASK,
          8 },
        value,
    };
    bool asked = (frame->header.flags & VHOST_USER_NEED_REPLY_MASK) != 0;

    if (asked && !vwl_fe_has_protocol(fe, VHOST_USER_PROTOCOL_F_REPLY_ACK)) {
        vwl_fe_complain(fe,
                        "back-end request %u asks for a reply without "
                        "REPLY_ACK",
                        frame->header.request);
    }
    if (always ||
        (asked && vwl_fe_has_protocol(fe, VHOST_USER_PROTOCOL_F_REPLY_ACK))) {
        vwl_fe_send_raw(fe->backend, &reply, sizeof reply, NULL, 0);
    }
}

static void update_table(struct vwl_fe *fe)
{
    if (fe->started && !fe->options.no_table_update && !fe->awaiting &&
        fe->options.order == VWL_FE_QEMU) {
        vwl_fe_set_mem_table(fe);
    }
}

static int do_map(struct vwl_fe *fe, const struct vwl_fe_frame *frame)
{
    struct vhost_user_mmap map = { 0 };

    if (frame->header.request == VHOST_USER_BACKEND_SHMEM_MAP &&
        frame->header.size == sizeof map) {
        memcpy(&map, frame->payload, sizeof map);
    } else if (frame->header.request == VHOST_USER_BACKEND_PRIVATE_SHMEM_MAP &&
               frame->header.size ==
                   sizeof(struct vhost_user_private_shmem_map)) {
        struct vhost_user_private_shmem_map old;

        memcpy(&old, frame->payload, sizeof old);
        map.shmid = old.shmid;
        map.fd_offset = old.fd_offset;
        map.shm_offset = old.shm_offset;
        map.len = old.len;
        map.flags = old.flags & VHOST_USER_PRIVATE_SHMEM_MAP_F_W
                        ? VHOST_USER_SHMEM_MAP_F_RW
                        : 0;
    } else {
        vwl_fe_complain(fe, "SHMEM_MAP of %u bytes", frame->header.size);
        return -EINVAL;
    }
    if (frame->n_fds != 1) {
        vwl_fe_complain(fe, "SHMEM_MAP with %u descriptors", frame->n_fds);
        return -EINVAL;
    }
    if (map.shmid != VIRTIO_WL_SHM_REGION_ID) {
        vwl_fe_complain(fe, "SHMEM_MAP of region %u", map.shmid);
        return -EINVAL;
    }
    return vwl_window_map(&fe->window, frame->fds[0], map.fd_offset,
                          map.shm_offset, map.len,
                          (map.flags & VHOST_USER_SHMEM_MAP_F_RW) != 0);
}

static int do_unmap(struct vwl_fe *fe, const struct vwl_fe_frame *frame)
{
    struct vhost_user_mmap map = { 0 };

    if (frame->header.request == VHOST_USER_BACKEND_SHMEM_UNMAP &&
        frame->header.size == sizeof map) {
        memcpy(&map, frame->payload, sizeof map);
    } else if (frame->header.request ==
                   VHOST_USER_BACKEND_PRIVATE_SHMEM_UNMAP &&
               frame->header.size ==
                   sizeof(struct vhost_user_private_shmem_unmap)) {
        struct vhost_user_private_shmem_unmap old;

        memcpy(&old, frame->payload, sizeof old);
        map.shmid = old.shmid;
        map.shm_offset = old.shm_offset;
        map.len = old.len;
    } else {
        vwl_fe_complain(fe, "SHMEM_UNMAP of %u bytes", frame->header.size);
        return -EINVAL;
    }
    if (frame->n_fds != 0 || map.shmid != VIRTIO_WL_SHM_REGION_ID) {
        vwl_fe_complain(fe, "SHMEM_UNMAP with a descriptor, or of region %u",
                        map.shmid);
        return -EINVAL;
    }
    return vwl_window_unmap(&fe->window, map.shm_offset, map.len);
}

static void do_shm(struct vwl_fe *fe, const struct vwl_fe_frame *frame)
{
    bool private = frame->header.request >= 1000;
    bool map = frame->header.request == VHOST_USER_BACKEND_SHMEM_MAP ||
               frame->header.request == VHOST_USER_BACKEND_PRIVATE_SHMEM_MAP;
    int r = -EPERM;

    if (private != (fe->dialect == VWL_FE_PRIVATE) ||
        fe->dialect == VWL_FE_NONE) {
        vwl_fe_complain(fe,
                        "back-end request %u of a dialect that was not "
                        "agreed",
                        frame->header.request);
    }
    if (fe->shm_policy != VWL_FE_SHM_REFUSE) {
        r = map ? do_map(fe, frame) : do_unmap(fe, frame);
    }
    answer(fe, frame, private, r == 0 ? 0 : 1);
    if (r == 0) {
        update_table(fe);
    }
}

static void do_iotlb_miss(struct vwl_fe *fe, const struct vwl_fe_frame *frame)
{
    struct vhost_user_iotlb miss = { 0 }, update;
    uint64_t reply;
    struct vwl_fe_message msg = {
        .request = VHOST_USER_IOTLB_MSG,
        .payload = &update,
        .len = sizeof update,
        .answer = true,
        .reply = &reply,
        .reply_len = sizeof reply,
    };
    uint64_t first = vwl_fe_bus_address(fe, fe->options.ram_gpa);
    uint64_t page;

    memcpy(&miss, frame->payload, MIN(frame->header.size, sizeof miss));
    page = miss.iova & ~(uint64_t)4095;
    if (miss.type != VHOST_USER_IOTLB_MISS || page < first ||
        page - first >= fe->ram_size) {
        vwl_fe_complain(fe, "an IOTLB message of type %u for 0x%" PRIx64,
                        miss.type, (uint64_t)miss.iova);
        answer(fe, frame, false, 1);
        return;
    }
    update = (struct vhost_user_iotlb){
        .iova = page,
        .size = 4096,
        .user_addr = (uint64_t)(uintptr_t)fe->ram + (page - first),
        .permission = VHOST_USER_ACCESS_RW,
        .type = VHOST_USER_IOTLB_UPDATE,
    };
    vwl_fe_request(fe, &msg);
    answer(fe, frame, false, 0);
}

static void do_request(struct vwl_fe *fe, const struct vwl_fe_frame *frame)
{
    uint32_t index = UINT32_MAX;

    switch (frame->header.request) {
    case VHOST_USER_BACKEND_SHMEM_MAP:
    case VHOST_USER_BACKEND_SHMEM_UNMAP:
    case VHOST_USER_BACKEND_PRIVATE_SHMEM_MAP:
    case VHOST_USER_BACKEND_PRIVATE_SHMEM_UNMAP:
        do_shm(fe, frame);
        return;
    case VHOST_USER_BACKEND_IOTLB_MSG:
        do_iotlb_miss(fe, frame);
        return;
    case VHOST_USER_BACKEND_VRING_CALL:
    case VHOST_USER_BACKEND_VRING_ERR:
        memcpy(&index, frame->payload, MIN(frame->header.size, sizeof index));
        if (index >= VIRTIO_WL_QUEUE_COUNT) {
            vwl_fe_complain(fe, "a call of ring %u", index);
            answer(fe, frame, false, 1);
            return;
        }
        if (frame->header.request == VHOST_USER_BACKEND_VRING_CALL) {
            fe->ring[index].calls++;
        } else {
            fe->ring[index].broken = true;
        }
        answer(fe, frame, false, 0);
        return;
    case VHOST_USER_BACKEND_CONFIG_CHANGE_MSG:
        answer(fe, frame, false, 0);
        return;
    default:
        vwl_fe_complain(fe, "back-end request %u", frame->header.request);
        answer(fe, frame, false, 1);
    }
}

static void remember(struct vwl_fe *fe, const struct vwl_fe_frame *frame)
{
    fe->backend_requests++;
    if (fe->options.record) {
        size_t header = sizeof frame->header;
        uint8_t *copy = g_malloc(header + frame->header.size);

        memcpy(copy, &frame->header, header);
        memcpy(copy + header, frame->payload, frame->header.size);
        g_ptr_array_add(fe->backend_seen,
                        g_bytes_new_take(copy, header + frame->header.size));
    }
}

static bool is_shm(uint32_t request)
{
    return request == VHOST_USER_BACKEND_SHMEM_MAP ||
           request == VHOST_USER_BACKEND_SHMEM_UNMAP ||
           request == VHOST_USER_BACKEND_PRIVATE_SHMEM_MAP ||
           request == VHOST_USER_BACKEND_PRIVATE_SHMEM_UNMAP;
}

void vwl_fe_serve_backend(struct vwl_fe *fe)
{
    struct vwl_fe_frame frame;
    int r;

    for (unsigned int i = 0; i < 64 && fe->backend >= 0; i++) {
        r = vwl_fe_receive(fe->backend, &frame, fe->options.timeout_ms);
        if (r == -EAGAIN) {
            return;
        }
        if (r < 0) {
            close(fe->backend);
            fe->backend = -1;
            return;
        }
        remember(fe, &frame);
        if (is_shm(frame.header.request) && fe->shm_policy == VWL_FE_SHM_HOLD) {
            struct held *held = g_new(struct held, 1);

            held->frame = frame;
            g_queue_push_tail(&fe->held, held);
            continue;
        }
        if (!is_shm(frame.header.request) ||
            fe->shm_policy != VWL_FE_SHM_SILENT) {
            do_request(fe, &frame);
        }
        vwl_fe_frame_close(&frame);
    }
}

unsigned int vwl_fe_shm_release(struct vwl_fe *fe)
{
    struct held *held;
    unsigned int n = 0;

    while ((held = g_queue_pop_head(&fe->held)) != NULL) {
        do_shm(fe, &held->frame);
        vwl_fe_frame_close(&held->frame);
        g_free(held);
        n++;
    }
    return n;
}

void vwl_fe_drop_held(struct vwl_fe *fe)
{
    struct held *held;

    while ((held = g_queue_pop_head(&fe->held)) != NULL) {
        vwl_fe_frame_close(&held->frame);
        g_free(held);
    }
}
