/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For the tests of the session: a front-end double that says and expects
 * literal bytes, an owner that writes down what it is told, and a guest memory
 * of 1 MiB with two rings in it.
 *
 * The trace: F features, Sk/Sd ring started (held chains kept, dropped), T ring
 * stopping, C ring changed, K ring kicked, R reset with its reason, M memory
 * changed, B base of region 0, I invalidated, X back-end channel changed.
 */
#ifndef TESTS_UNIT_FRONT_H
#define TESTS_UNIT_FRONT_H

#include "vhu/session.h"

#include "wire.h"

#define RAM_BYTES 0x100000u
/* Its guest address is 0, its front-end address 0x7f0000000000. */
#define TABLE_RAM                       \
    "0000000000000000 0000100000000000" \
    "00000000007f0000 0000000000000000"
#define TABLE_ONE "01000000 00000000" TABLE_RAM
#define ADDR_0                                            \
    "00000000 00000000 00000000007f0000 00200000007f0000" \
    "00100000007f0000 0000000000000000"
#define ADDR_1                                            \
    "01000000 00000000 00400000007f0000 00600000007f0000" \
    "00500000007f0000 0000000000000000"
#define U64_0 "0000000000000000"
#define U64_1 "0100000000000000"

/* All that a device of this layer may offer. */
#define FEATURES_ALL 0x77400000eull /* 1 2 3, 26, 28 29 30, 32 33 34 */
#define PROTOCOL_ALL 0x8041f62bull  /* 0 1 3 5 9 10 12-16 22 31 */
/* What a QEMU takes: 1 2 3, 29, 30, 32 and 3, 5, 22. */
#define FEATURES_QEMU 0x16000000eull
#define PROTOCOL_QEMU 0x400028ull

struct front {
    struct vwl_session *session;
    struct vwl_log log;
    int sock;
    int back; /* the front-end's end of the back-end channel, or -1 */
    int ram_fd;
    guint8 *ram;
    GString *trace;
    GString *lines;
    bool own;
    int own_fd;
    uint64_t own_offset;
    struct vwl_chain *held[4];
    unsigned int n_held;
    unsigned int fds_before;
};

static inline void front_sink(void *opaque, enum vwl_log_level level,
                              const char *line)
{
    g_string_append_printf(((struct front *)opaque)->lines, "%s\n", line);
}

#define NOTE(...) \
    g_string_append_printf(((struct front *)opaque)->trace, __VA_ARGS__)

static inline void on_reset(void *opaque, enum vwl_reset_reason reason)
{
    NOTE("R%u ", (unsigned int)reason);
}

static inline void on_started(void *opaque, unsigned int index, bool keep)
{
    NOTE("S%s%u ", keep ? "k" : "d", index);
}

static inline void on_changed(void *opaque, unsigned int index)
{
    NOTE("C%u ", index);
}

static inline void on_stopping(void *opaque, unsigned int index)
{
    NOTE("T%u ", index);
}

static inline unsigned int on_held(void *opaque, unsigned int index,
                                   struct vwl_chain *const **held)
{
    struct front *f = opaque;

    *held = f->held;
    return index == 1 ? f->n_held : 0;
}

static inline void on_kicked(void *opaque, unsigned int index)
{
    NOTE("K%u ", index);
}

static inline void on_invalidate(void *opaque, uint64_t iova, uint64_t size)
{
    NOTE("I%llx+%llx ", (unsigned long long)iova, (unsigned long long)size);
}

static inline void on_memory(void *opaque)
{
    NOTE("M ");
}

static inline bool on_own_file(void *opaque, uint64_t dev, uint64_t ino,
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

static inline void on_base(void *opaque, uint64_t gpa)
{
    NOTE("B%llx ", (unsigned long long)gpa);
}

static inline void on_features(void *opaque, uint64_t acked)
{
    NOTE("F%llx ", (unsigned long long)acked);
}

static inline void on_backchan(void *opaque)
{
    NOTE("X ");
}

static const struct vwl_session_ops front_ops = {
    on_reset,    on_started, on_changed,    on_stopping,
    on_held,     on_kicked,  on_invalidate, on_memory,
    on_own_file, on_base,    on_features,   on_backchan,
};

static inline void front_init(struct front *f, uint64_t features,
                              uint64_t protocol_features)
{
    struct vwl_session_config config = {
        .features = features,
        .features_need_shm = 1 << 3,
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

static inline void front_finish(struct front *f)
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

static inline char *frame(uint32_t request, uint32_t flags, const char *payload)
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

static inline void say_fds(struct front *f, uint32_t request, uint32_t flags,
                           const char *payload, const int *fds, size_t n)
{
    char *text = frame(request, flags, payload);

    send_hex(f->sock, text, fds, n);
    g_assert_cmpint(vwl_session_dispatch(f->session), ==, 0);
    g_free(text);
}

static inline void say(struct front *f, uint32_t request, uint32_t flags,
                       const char *payload)
{
    say_fds(f, request, flags, payload, NULL, 0);
}

/* The answer, and nothing more; its descriptor or -1. */
static inline int answered(struct front *f, uint32_t request,
                           const char *payload)
{
    char *text = frame(request, 5, payload);
    int fd = expect_hex(f->sock, text);

    expect_silence(f->sock);
    g_free(text);
    return fd;
}

/* Asked with NEED_REPLY and answered 0. */
static inline void tell(struct front *f, uint32_t request, const char *payload)
{
    say(f, request, 9, payload);
    g_assert_cmpint(answered(f, request, U64_0), ==, -1);
}

static inline void tell_fd(struct front *f, uint32_t request,
                           const char *payload, int fd)
{
    say_fds(f, request, 9, payload, &fd, 1);
    g_assert_cmpint(answered(f, request, U64_0), ==, -1);
}

static inline void quiet(struct front *f, uint32_t request, const char *payload)
{
    say(f, request, 1, payload);
    expect_silence(f->sock);
}

static inline void expect_trace(struct front *f, const char *text)
{
    g_assert_cmpstr(f->trace->str, ==, text);
    g_string_truncate(f->trace, 0);
}

static inline char *le64(uint64_t value)
{
    guint64 le = GUINT64_TO_LE(value);

    return tohex(&le, sizeof le);
}

/* The messages at -device time: section 2 of the recorded sequence. */
static inline void handshake(struct front *f, uint64_t protocol)
{
    char *bits = le64(protocol);
    int pair[2];

    quiet(f, 16, bits);
    g_free(bits);
    if (protocol & 0x20) {
        make_pair(pair);
        if (f->back >= 0) {
            close(f->back);
        }
        f->back = pair[0];
        say_fds(f, 21, 9, "", &pair[1], 1);
        if (protocol & 8) {
            g_assert_cmpint(answered(f, 21, U64_0), ==, -1);
        }
        close(pair[1]);
    }
    quiet(f, 3, "");
}

static inline void set_features(struct front *f, uint64_t features)
{
    char *bits = le64(features);

    quiet(f, 2, bits);
    g_free(bits);
}

/* Kick and call descriptors of a ring, the front-end's copies. */
struct ring_fds {
    int kick, call;
};

static inline void ring_fds_init(struct ring_fds *fds)
{
    fds->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    fds->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static inline void ring_fds_finish(struct ring_fds *fds)
{
    close(fds->kick);
    close(fds->call);
}

static inline uint64_t count_of(int fd)
{
    uint64_t value = 0;

    return read(fd, &value, sizeof value) == sizeof value ? value : 0;
}

static inline void set_base(struct front *f, unsigned int index, uint32_t base)
{
    guint32 pair[2] = { GUINT32_TO_LE(index), GUINT32_TO_LE(base) };
    char *text = tohex(pair, sizeof pair);

    quiet(f, 10, text);
    g_free(text);
}

/* DRIVER_OK as QEMU 11.1 says it, from the memory table on. */
static inline void qemu_start(struct front *f, struct ring_fds fds[2],
                              uint32_t base0, uint32_t base1)
{
    tell_fd(f, 5, TABLE_ONE, f->ram_fd);
    quiet(f, 8, "00000000 00010000");
    set_base(f, 0, base0);
    quiet(f, 9, ADDR_0);
    tell_fd(f, 12, "0000000000000000", fds[0].kick);
    tell_fd(f, 13, "0000000000000000", fds[0].call);
    quiet(f, 8, "01000000 00010000");
    set_base(f, 1, base1);
    quiet(f, 9, ADDR_1);
    tell_fd(f, 12, "0100000000000000", fds[1].kick);
    tell_fd(f, 13, "0100000000000000", fds[1].call);
    tell(f, 18, "00000000 01000000");
    tell(f, 18, "01000000 01000000");
    tell_fd(f, 13, "0000000000000000", fds[0].call);
    tell_fd(f, 13, "0100000000000000", fds[1].call);
}

static inline void qemu_stop(struct front *f, const char *base0,
                             const char *base1)
{
    char *text;

    tell(f, 18, "00000000 00000000");
    tell(f, 18, "01000000 00000000");
    say(f, 11, 1, "00000000 00000000");
    text = g_strconcat("00000000", base0, NULL);
    answered(f, 11, text);
    g_free(text);
    say(f, 11, 1, "01000000 00000000");
    text = g_strconcat("01000000", base1, NULL);
    answered(f, 11, text);
    g_free(text);
}

/* The driver offers one buffer of 16 bytes at guest address 0x10000. */
static inline void offer(struct front *f, unsigned int ring)
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

/* Takes what the driver offered and gives it back. */
static inline void take_one(struct front *f, unsigned int ring)
{
    struct vwl_vq *vq = vwl_session_vq(f->session, ring);
    struct vwl_chain *chain;

    offer(f, ring);
    g_assert_cmpint(vwl_vq_pop(vq, &chain), ==, 1);
    vwl_vq_push(vq, &chain, 0);
    g_assert_cmpint(vwl_vq_publish(vq), >=, 0);
}

/* A front-end after its handshake, and what two rings need. */
struct bed {
    struct front f;
    struct ring_fds fds[2];
};

static inline void bed_init_with(struct bed *b, uint64_t features,
                                 uint64_t protocol)
{
    front_init(&b->f, FEATURES_ALL, PROTOCOL_ALL);
    ring_fds_init(&b->fds[0]);
    ring_fds_init(&b->fds[1]);
    handshake(&b->f, protocol);
    set_features(&b->f, features);
    g_string_truncate(b->f.trace, 0);
}

static inline void bed_init(struct bed *b)
{
    bed_init_with(b, FEATURES_QEMU, PROTOCOL_QEMU);
}

static inline void bed_finish(struct bed *b)
{
    ring_fds_finish(&b->fds[0]);
    ring_fds_finish(&b->fds[1]);
    front_finish(&b->f);
}

#endif
