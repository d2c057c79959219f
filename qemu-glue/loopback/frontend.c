/* SPDX-License-Identifier: BSD-3-Clause */
#include "frontend.h"
#include "backend.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define QEMU_MAX_REGIONS 8

void vwl_fe_complain(struct vwl_fe *fe, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(fe->complaints, g_strdup_vprintf(format, args));
    va_end(args);
}

static int init_memory(struct vwl_fe *fe)
{
    uint32_t mib = fe->options.ram_mib != 0 ? fe->options.ram_mib : 32;
    void *ram;

    fe->ram_size = (size_t)mib << 20;
    fe->ram_fd = memfd_create("guest-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fe->ram_fd < 0 || ftruncate(fe->ram_fd, (off_t)fe->ram_size) < 0) {
        return -errno;
    }
    ram = mmap(NULL, fe->ram_size, PROT_READ | PROT_WRITE, MAP_SHARED,
               fe->ram_fd, 0);
    if (ram == MAP_FAILED) {
        return -errno;
    }
    fe->ram = ram;
    fe->pages = g_malloc0(fe->ram_size / 4096);
    return 0;
}

static int init_rings(struct vwl_fe *fe)
{
    for (unsigned int i = 0; i < VIRTIO_WL_QUEUE_COUNT; i++) {
        struct vwl_fe_ring *ring = &fe->ring[i];

        ring->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        ring->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        ring->err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (ring->kick < 0 || ring->call < 0 || ring->err < 0) {
            return -errno;
        }
    }
    return 0;
}

int vwl_fe_create(const struct vwl_fe_options *options, int *fd,
                  struct vwl_fe **out)
{
    struct vwl_fe *fe = g_new0(struct vwl_fe, 1);
    uint64_t gpa;
    int r;

    fe->options = options != NULL ? *options : (struct vwl_fe_options){ 0 };
    fe->options.timeout_ms = fe->options.timeout_ms != 0
                                 ? fe->options.timeout_ms
                                 : 10000;
    gpa = fe->options.window_gpa != 0 ? fe->options.window_gpa
                                      : UINT64_C(0xfe00000000);
    fe->fd = fe->backend = fe->ram_fd = -1;
    for (unsigned int i = 0; i < VIRTIO_WL_QUEUE_COUNT; i++) {
        fe->ring[i].kick = fe->ring[i].call = fe->ring[i].err = -1;
    }
    g_queue_init(&fe->held);
    fe->backend_seen = g_ptr_array_new_with_free_func(
        (GDestroyNotify)g_bytes_unref);
    fe->watches = g_array_new(FALSE, FALSE, sizeof(struct vwl_fe_watch));
    fe->complaints = g_ptr_array_new_with_free_func(g_free);
    r = init_memory(fe);
    if (r == 0) {
        r = init_rings(fe);
    }
    if (r == 0) {
        r = vwl_window_init(&fe->window,
                            fe->options.window_size != 0
                                ? fe->options.window_size
                                : VIRTIO_WL_SHM_REGION_SIZE,
                            gpa);
    }
    if (r < 0) {
        vwl_fe_destroy(fe);
        return r;
    }
    fe->window.read_only_maps = fe->options.order == VWL_FE_CROSVM;
    fcntl(*fd, F_SETFL, fcntl(*fd, F_GETFL) | O_NONBLOCK);
    fe->fd = *fd;
    *fd = -1;
    *out = fe;
    return 0;
}

int vwl_fe_connect(const char *path, int timeout_ms, int *fd)
{
    int64_t end = g_get_monotonic_time() + (int64_t)timeout_ms * 1000;
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int sock, r;

    if (strlen(path) >= sizeof addr.sun_path) {
        return -ENAMETOOLONG;
    }
    strcpy(addr.sun_path, path);
    sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (sock < 0) {
        return -errno;
    }
    while (connect(sock, (struct sockaddr *)&addr, sizeof addr) < 0) {
        r = -errno;
        if ((r != -ENOENT && r != -ECONNREFUSED && r != -EAGAIN) ||
            g_get_monotonic_time() >= end) {
            close(sock);
            return r;
        }
        g_usleep(5000);
    }
    *fd = sock;
    return 0;
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

void vwl_fe_destroy(struct vwl_fe *fe)
{
    if (fe == NULL) {
        return;
    }
    vwl_fe_drop_held(fe);
    close_fd(&fe->fd);
    close_fd(&fe->backend);
    for (unsigned int i = 0; i < VIRTIO_WL_QUEUE_COUNT; i++) {
        close_fd(&fe->ring[i].kick);
        close_fd(&fe->ring[i].call);
        close_fd(&fe->ring[i].err);
    }
    vwl_window_finish(&fe->window);
    if (fe->ram != NULL) {
        munmap(fe->ram, fe->ram_size);
    }
    close_fd(&fe->ram_fd);
    g_free(fe->pages);
    g_ptr_array_unref(fe->backend_seen);
    g_array_unref(fe->watches);
    g_ptr_array_unref(fe->complaints);
    g_free(fe);
}

int vwl_fe_send_raw(int fd, const void *bytes, size_t len, const int *fds,
                    unsigned int n_fds)
{
    union {
        char space[CMSG_SPACE(sizeof(int) * 64)];
        struct cmsghdr align;
    } control;
    struct iovec iov = { (void *)(uintptr_t)bytes, len };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (n_fds > 64) {
        return -EINVAL;
    }
    if (n_fds != 0) {
        struct cmsghdr *c = &control.align;

        memset(&control, 0, sizeof control);
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
    }
    if (sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)len) {
        return errno == EPIPE || errno == ECONNRESET ? -EPIPE : -errno;
    }
    return 0;
}

static int await_answer(struct vwl_fe *fe, struct vwl_fe_frame *frame,
                        uint32_t request)
{
    int64_t end = g_get_monotonic_time() +
                  (int64_t)fe->options.timeout_ms * 1000;
    int64_t left;
    int r;

    fe->awaiting = true;
    for (;;) {
        r = vwl_fe_receive(fe->fd, frame, fe->options.timeout_ms);
        if (r != -EAGAIN) {
            break;
        }
        left = (end - g_get_monotonic_time()) / 1000;
        if (left <= 0) {
            r = -ETIMEDOUT;
            break;
        }
        r = vwl_fe_turn(fe, (int)left);
        if (r < 0) {
            break;
        }
    }
    fe->awaiting = false;
    if (r == -EPIPE || r == -ECONNRESET) {
        fe->gone = true;
        return -EPIPE;
    }
    if (r == 0 &&
        (frame->header.request != request ||
         frame->header.flags != (VHOST_USER_VERSION | VHOST_USER_REPLY_MASK))) {
        vwl_fe_complain(fe, "request %u was answered with %u, flags 0x%x",
                        request, frame->header.request, frame->header.flags);
        vwl_fe_frame_close(frame);
        return -EBADMSG;
    }
    return r;
}

static int use_answer(struct vwl_fe *fe, struct vwl_fe_message *msg,
                      struct vwl_fe_frame *frame)
{
    uint64_t value = 0;

    if (msg->reply_fd != NULL && frame->n_fds != 0) {
        *msg->reply_fd = frame->fds[0];
        frame->fds[0] = frame->fds[--frame->n_fds];
    }
    if (frame->n_fds != 0) {
        vwl_fe_complain(fe, "descriptors in the answer to %u", msg->request);
        vwl_fe_frame_close(frame);
    }
    if (msg->reply != NULL) {
        msg->reply_len = MIN(msg->reply_len, (size_t)frame->header.size);
        memcpy(msg->reply, frame->payload, msg->reply_len);
        return 0;
    }
    if (msg->answer) {
        return 0;
    }
    if (frame->header.size != sizeof value) {
        vwl_fe_complain(fe, "an acknowledgement of %u bytes to %u",
                        frame->header.size, msg->request);
        return -EBADMSG;
    }
    memcpy(&value, frame->payload, sizeof value);
    return value == 0 ? 0 : -EPROTO;
}

int vwl_fe_request(struct vwl_fe *fe, struct vwl_fe_message *msg)
{
    struct vwl_fe_frame frame;
    bool ack = msg->ack && fe->options.order == VWL_FE_QEMU &&
               vwl_fe_has_protocol(fe, VHOST_USER_PROTOCOL_F_REPLY_ACK);
    struct vhost_user_header header = {
        msg->request,
        VHOST_USER_VERSION | (ack ? VHOST_USER_NEED_REPLY_MASK : 0),
        (uint32_t)msg->len,
    };
    uint8_t *bytes = g_malloc(sizeof header + msg->len);
    int r;

    memcpy(bytes, &header, sizeof header);
    if (msg->len != 0) {
        memcpy(bytes + sizeof header, msg->payload, msg->len);
    }
    r = vwl_fe_send_raw(fe->fd, bytes, sizeof header + msg->len, msg->fds,
                        msg->n_fds);
    g_free(bytes);
    if (r < 0 || (!ack && !msg->answer)) {
        return r;
    }
    r = await_answer(fe, &frame, msg->request);
    return r < 0 ? r : use_answer(fe, msg, &frame);
}

int vwl_fe_set_mem_table(struct vwl_fe *fe)
{
    struct {
        struct vhost_user_memory head;
        struct vhost_user_memory_region region[QEMU_MAX_REGIONS];
    } VHOST_USER_PACKED table = { .head = { .nregions = 1 } };
    int fds[QEMU_MAX_REGIONS] = { fe->ram_fd };
    GArray *pieces = fe->window.pieces;
    uint32_t n = 1;
    struct vwl_fe_message msg = {
        .request = VHOST_USER_SET_MEM_TABLE,
        .payload = &table,
        .fds = fds,
        .ack = true,
    };

    g_mutex_lock(&fe->window.lock);
    table.region[0] = (struct vhost_user_memory_region){
        fe->options.ram_gpa,
        fe->ram_size,
        (uint64_t)(uintptr_t)fe->ram,
        0,
    };
    if (!fe->options.plain_table && fe->options.order == VWL_FE_QEMU) {
        if (pieces->len > QEMU_MAX_REGIONS - 1 && fe->started) {
            g_mutex_unlock(&fe->window.lock);
            return 0; /* QEMU prints two lines and leaves the table alone */
        }
        for (guint i = 0; i < pieces->len && n < QEMU_MAX_REGIONS; i++) {
            struct vwl_window_piece *p = &g_array_index(pieces,
                                                        struct vwl_window_piece,
                                                        i);

            table.region[n] = (struct vhost_user_memory_region){
                fe->window.gpa + p->shm_offset,
                p->len,
                (uint64_t)(uintptr_t)(fe->window.base + p->shm_offset),
                p->fd_offset,
            };
            fds[n++] = p->fd;
        }
    }
    g_mutex_unlock(&fe->window.lock);
    table.head.nregions = n;
    msg.n_fds = n;
    msg.len = sizeof table.head + n * sizeof table.region[0];
    fe->table_pieces = n - 1;
    return vwl_fe_request(fe, &msg);
}

int vwl_fe_host_map(void *opaque, int fd, uint64_t fd_offset,
                    uint64_t shm_offset, uint64_t len, int writable)
{
    struct vwl_fe *fe = opaque;

    if (fe->shm_policy == VWL_FE_SHM_REFUSE) {
        return -ENOMEM;
    }
    return vwl_window_map(&fe->window, fd, fd_offset, shm_offset, len,
                          writable != 0);
}

int vwl_fe_host_unmap(void *opaque, uint64_t shm_offset, uint64_t len)
{
    struct vwl_fe *fe = opaque;

    return vwl_window_unmap(&fe->window, shm_offset, len);
}

int vwl_fe_host_base(void *opaque, uint64_t *gpa)
{
    struct vwl_fe *fe = opaque;

    *gpa = fe->window.gpa;
    return 0;
}
