/* SPDX-License-Identifier: BSD-3-Clause */
#include "front.h"

#include <glib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "fds.h"
#include "socket.h"

static void front_sink(void *opaque, enum vwl_log_level level, const char *line)
{
    g_string_append_printf(((struct front *)opaque)->lines, "%s\n", line);
}

#define NOTE(...) \
    g_string_append_printf(((struct front *)opaque)->trace, __VA_ARGS__)

static void on_reset(void *opaque, enum vwl_reset_reason reason)
{
    NOTE("R%u ", (unsigned int)reason);
}

static void on_started(void *opaque, unsigned int index, bool keep)
{
    NOTE("S%s%u ", keep ? "k" : "d", index);
}

static void on_changed(void *opaque, unsigned int index)
{
    NOTE("C%u ", index);
}

static void on_stopping(void *opaque, unsigned int index)
{
    NOTE("T%u ", index);
}

static unsigned int on_held(void *opaque, unsigned int index,
                            struct vwl_chain *const **held)
{
    struct front *f = opaque;

    *held = f->held;
    return index == 1 ? f->n_held : 0;
}

static void on_invalidate(void *opaque, uint64_t iova, uint64_t size)
{
    NOTE("I%llx+%llx ", (unsigned long long)iova, (unsigned long long)size);
}

static void on_memory(void *opaque)
{
    NOTE("M ");
}

static bool on_own_file(void *opaque, uint64_t dev, uint64_t ino,
                        uint64_t *shm_offset)
{
    struct front *f = opaque;
    struct stat st;

    if (!f->own || fstat(f->own_fd, &st) < 0 || st.st_dev != dev ||
        st.st_ino != ino) {
        return false;
    }
    *shm_offset = f->own_offset;
    return true;
}

static void on_base(void *opaque, uint64_t gpa)
{
    NOTE("B%llx ", (unsigned long long)gpa);
}

static void on_features(void *opaque, uint64_t acked)
{
    NOTE("F%llx ", (unsigned long long)acked);
}

static const struct vwl_session_ops front_ops = {
    .reset = on_reset,
    .ring_started = on_started,
    .ring_changed = on_changed,
    .ring_stopping = on_stopping,
    .ring_held = on_held,
    .iotlb_invalidate = on_invalidate,
    .memory_changed = on_memory,
    .own_file = on_own_file,
    .shm_base = on_base,
    .features = on_features,
};

void front_init(struct front *f, uint64_t features, uint64_t protocol_features)
{
    struct vwl_session_config config = {
        .features = features,
        .features_need_shm = BIT(VIRTIO_WL_F_USE_SHMEM),
        .protocol_features = protocol_features,
        .shm_size = 0x100000000,
    };
    int pair[2];

    memset(f, 0, sizeof *f);
    f->fds_before = count_fds();
    f->trace = g_string_new(NULL);
    f->lines = g_string_new(NULL);
    vwl_log_init(&f->log, front_sink, f);
    f->ram_fd = make_memfd(RAM_BYTES);
    f->ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
                  f->ram_fd, 0);
    g_assert_true(f->ram != MAP_FAILED);
    f->back = -1;
    make_pair(pair);
    f->sock = pair[0];
    f->session = vwl_session_create(&config, &front_ops, f, &f->log, &pair[1]);
    g_assert_cmpint(pair[1], ==, -1);
}

void front_finish(struct front *f)
{
    vwl_session_destroy(f->session);
    close(f->sock);
    if (f->back >= 0) {
        close(f->back);
    }
    munmap(f->ram, RAM_BYTES);
    close(f->ram_fd);
    g_string_free(f->trace, TRUE);
    g_string_free(f->lines, TRUE);
    g_assert_cmpuint(count_fds(), ==, f->fds_before);
}

char *frame(uint32_t request, uint32_t flags, const char *payload)
{
    GByteArray *bytes = unhex(payload);
    guint32 head[3] = { GUINT32_TO_LE(request), GUINT32_TO_LE(flags),
                        GUINT32_TO_LE(bytes->len) };
    char *text = tohex(head, sizeof head);
    char *whole = g_strconcat(text, " ", payload, NULL);

    g_free(text);
    g_byte_array_unref(bytes);
    return whole;
}

void say_fds(struct front *f, uint32_t request, uint32_t flags,
             const char *payload, const int *fds, size_t n)
{
    char *text = frame(request, flags, payload);

    send_hex(f->sock, text, fds, n);
    g_assert_cmpint(vwl_session_dispatch(f->session), ==, 0);
    g_free(text);
}

void say(struct front *f, uint32_t request, uint32_t flags, const char *payload)
{
    say_fds(f, request, flags, payload, NULL, 0);
}

int answered(struct front *f, uint32_t request, const char *payload)
{
    char *text = frame(request, REPLY, payload);
    int fd = expect_hex(f->sock, text);

    expect_silence(f->sock);
    g_free(text);
    return fd;
}

void tell(struct front *f, uint32_t request, const char *payload)
{
    say(f, request, NEED_REPLY, payload);
    g_assert_cmpint(answered(f, request, U64_0), ==, -1);
}

void tell_fd(struct front *f, uint32_t request, const char *payload, int fd)
{
    say_fds(f, request, NEED_REPLY, payload, &fd, 1);
    g_assert_cmpint(answered(f, request, U64_0), ==, -1);
}

void quiet(struct front *f, uint32_t request, const char *payload)
{
    say(f, request, PLAIN, payload);
    expect_silence(f->sock);
}

void expect_trace(struct front *f, const char *text)
{
    g_assert_cmpstr(f->trace->str, ==, text);
    g_string_truncate(f->trace, 0);
}

char *le64(uint64_t value)
{
    guint64 le = GUINT64_TO_LE(value);

    return tohex(&le, sizeof le);
}

void handshake(struct front *f, uint64_t protocol)
{
    char *bits = le64(protocol);
    int pair[2];

    quiet(f, VHOST_USER_SET_PROTOCOL_FEATURES, bits);
    g_free(bits);
    if (protocol & BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ)) {
        make_pair(pair);
        if (f->back >= 0) {
            close(f->back);
        }
        f->back = pair[0];
        say_fds(f, VHOST_USER_SET_BACKEND_REQ_FD, NEED_REPLY, "", &pair[1], 1);
        if (protocol & BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK)) {
            g_assert_cmpint(answered(f, VHOST_USER_SET_BACKEND_REQ_FD, U64_0),
                            ==, -1);
        }
        close(pair[1]);
    }
    quiet(f, VHOST_USER_SET_OWNER, "");
}

void set_features(struct front *f, uint64_t features)
{
    char *bits = le64(features);

    quiet(f, VHOST_USER_SET_FEATURES, bits);
    g_free(bits);
}

void ring_fds_init(struct ring_fds *fds)
{
    fds->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    fds->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

void ring_fds_finish(struct ring_fds *fds)
{
    close(fds->kick);
    close(fds->call);
}

uint64_t count_of(int fd)
{
    uint64_t value = 0;

    return read(fd, &value, sizeof value) == sizeof value ? value : 0;
}

void set_base(struct front *f, unsigned int index, uint32_t base)
{
    guint32 pair[2] = { GUINT32_TO_LE(index), GUINT32_TO_LE(base) };
    char *text = tohex(pair, sizeof pair);

    quiet(f, VHOST_USER_SET_VRING_BASE, text);
    g_free(text);
}

void qemu_start(struct front *f, struct ring_fds fds[2], uint32_t base0,
                uint32_t base1)
{
    tell_fd(f, VHOST_USER_SET_MEM_TABLE, TABLE_ONE, f->ram_fd);
    quiet(f, VHOST_USER_SET_VRING_NUM, "00000000 00010000");
    set_base(f, 0, base0);
    quiet(f, VHOST_USER_SET_VRING_ADDR, ADDR_0);
    tell_fd(f, VHOST_USER_SET_VRING_KICK, "0000000000000000", fds[0].kick);
    tell_fd(f, VHOST_USER_SET_VRING_CALL, "0000000000000000", fds[0].call);
    quiet(f, VHOST_USER_SET_VRING_NUM, "01000000 00010000");
    set_base(f, 1, base1);
    quiet(f, VHOST_USER_SET_VRING_ADDR, ADDR_1);
    tell_fd(f, VHOST_USER_SET_VRING_KICK, "0100000000000000", fds[1].kick);
    tell_fd(f, VHOST_USER_SET_VRING_CALL, "0100000000000000", fds[1].call);
    tell(f, VHOST_USER_SET_VRING_ENABLE, "00000000 01000000");
    tell(f, VHOST_USER_SET_VRING_ENABLE, "01000000 01000000");
    tell_fd(f, VHOST_USER_SET_VRING_CALL, "0000000000000000", fds[0].call);
    tell_fd(f, VHOST_USER_SET_VRING_CALL, "0100000000000000", fds[1].call);
}

void qemu_stop(struct front *f, const char *base0, const char *base1)
{
    char *text;

    tell(f, VHOST_USER_SET_VRING_ENABLE, "00000000 00000000");
    tell(f, VHOST_USER_SET_VRING_ENABLE, "01000000 00000000");
    say(f, VHOST_USER_GET_VRING_BASE, PLAIN, "00000000 00000000");
    text = g_strconcat("00000000", base0, NULL);
    answered(f, VHOST_USER_GET_VRING_BASE, text);
    g_free(text);
    say(f, VHOST_USER_GET_VRING_BASE, PLAIN, "01000000 00000000");
    text = g_strconcat("01000000", base1, NULL);
    answered(f, VHOST_USER_GET_VRING_BASE, text);
    g_free(text);
}

void front_offer(struct front *f, unsigned int ring)
{
    guint8 *desc = f->ram + 0x4000 * ring;
    guint8 *avail = desc + 0x1000;
    static const guint8 one[16] = { 0, 0, 1, 0, 0, 0, 0, 0, 16 };
    guint16 idx;

    memcpy(desc, one, sizeof one);
    memcpy(&idx, avail + 2, 2);
    idx++;
    memcpy(avail + 2, &idx, 2);
}

void front_take_one(struct front *f, unsigned int ring)
{
    struct vwl_vq *vq = vwl_session_vq(f->session, ring);
    struct vwl_chain *chain;

    front_offer(f, ring);
    g_assert_cmpint(vwl_vq_pop(vq, &chain), ==, 1);
    vwl_vq_push(vq, &chain, 0);
    g_assert_cmpint(vwl_vq_publish(vq), >=, 0);
}

void bed_init_with(struct bed *b, uint64_t features, uint64_t protocol)
{
    front_init(&b->f, FEATURES_ALL, PROTOCOL_ALL);
    ring_fds_init(&b->fds[0]);
    ring_fds_init(&b->fds[1]);
    handshake(&b->f, protocol);
    set_features(&b->f, features);
    g_string_truncate(b->f.trace, 0);
}

void bed_init(struct bed *b)
{
    bed_init_with(b, FEATURES_QEMU, PROTOCOL_QEMU);
}

void bed_finish(struct bed *b)
{
    ring_fds_finish(&b->fds[0]);
    ring_fds_finish(&b->fds[1]);
    front_finish(&b->f);
}
