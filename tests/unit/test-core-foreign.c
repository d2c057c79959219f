/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fences as VFDs, and the buffers and fences of the guest's GPU in a SEND.
 *
 * There are no sync_files without a DRM driver (tests/vm has real ones): here
 * an eventfd plays one, which polls just the same, and this program answers
 * the one ioctl that tells them apart.
 */
#include <errno.h>
#include <linux/sync_file.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "core_rig.h"
#include "wl/classify.h"
#include "wl/snapshot.h"

static int fake_fence = -1;
static unsigned int n_asked_strangers;

int ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    void *arg;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    if (request == SYNC_IOC_FILE_INFO) {
        char path[32], target[64] = "";

        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (readlink(path, target, sizeof target - 1) < 0 ||
            !strstr(target, "anon_inode")) {
            n_asked_strangers++;
        } else if (strstr(target, "eventfd") && fake_fence >= 0) {
            struct sync_file_info *info = arg;

            g_assert_cmpuint(info->num_fences, ==, 0);
            info->num_fences = 1;
            return 0;
        }
        errno = ENOTTY;
        return -1;
    }
    return (int)syscall(SYS_ioctl, fd, request, arg);
}

static int fence(void)
{
    fake_fence = eventfd(0, EFD_CLOEXEC);
    g_assert_cmpint(fake_fence, >=, 0);
    return fake_fence;
}

static void signal_fence(int fd)
{
    uint64_t one = 1;

    g_assert_cmpint(write(fd, &one, sizeof one), ==, sizeof one);
}

static bool same_file(int a, int b)
{
    struct stat st[2];

    g_assert_cmpint(fstat(a, &st[0]), ==, 0);
    g_assert_cmpint(fstat(b, &st[1]), ==, 0);
    return st[0].st_dev == st[1].st_dev && st[0].st_ino == st[1].st_ino;
}

/* eventfds share an inode: told apart by what they count. */
static bool is_fence(int fd)
{
    uint64_t n;

    signal_fence(fake_fence);
    return read(fd, &n, sizeof n) == sizeof n;
}

/* ---- fences as VFDs ---------------------------------------------------- */

static void test_classify(void)
{
    struct vwl_fd_info info;
    int fds[2], fd = fence();

    vwl_classify(fd, &info);
    g_assert_cmpint(info.class, ==, VWL_FD_FENCE);
    g_assert_cmphex(info.flags, ==, 8);
    close(fd);
    fake_fence = -1;
    n_asked_strangers = 0;
    fd = eventfd(0, EFD_CLOEXEC);
    vwl_classify(fd, &info);
    g_assert_cmpint(info.class, ==, VWL_FD_OPAQUE);
    close(fd);
    /* who has a type is not asked: it may be anybody's device */
    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    vwl_classify(fd, &info);
    close(fd);
    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    vwl_classify(fds[0], &info);
    vwl_classify(fds[1], &info);
    close(fds[0]);
    close(fds[1]);
    g_assert_cmpuint(n_asked_strangers, ==, 0);
}

static uint32_t receive_fence(struct rig *rig, int peer, int fd)
{
    uint32_t id;
    size_t len;

    host_send(peer, "f", 1, &fd, 1);
    id = rig_expect_new(rig, 8, 0x100000, 0);
    g_assert_cmpmem(rig_expect_recv(rig, 1, 1, &len), 1, "f", 1);
    g_assert_cmphex(get32(rig->message + 16), ==, id);
    return id;
}

static void test_signal(void)
{
    struct rig *rig = rig_new(MODE_K23);
    int peer = rig_context(rig, 1), fd = fence();
    uint32_t id = receive_fence(rig, peer, fd);

    g_assert_cmpint(rig_next(rig), ==, 0);
    g_assert_false(is_readable(vwl_core_in_fd(rig->core)));
    /* it takes no data, and holds up nobody */
    g_assert_cmphex(ask_send(rig, id, NULL, 0, "x", 1), ==, 0x1103);
    g_assert_cmphex(ask_send(rig, 1, NULL, 0, "x", 1), ==, 0x1000);
    host_send(peer, "y", 1, NULL, 0);
    g_assert_cmpint(rig_next(rig), ==, 17);
    signal_fence(fd);
    g_assert_true(is_readable(vwl_core_in_fd(rig->core)));
    rig_expect_hup(rig, id);
    g_assert_cmpint(rig_next(rig), ==, 0);
    g_assert_false(is_readable(vwl_core_in_fd(rig->core)));
    g_assert_cmphex(ask_close(rig, id), ==, 0x1000);
    close(fd);
    close(peer);
    rig_free(rig);
}

static void test_signalled_before(void)
{
    struct rig *rig = rig_new(MODE_K23);
    int peer = rig_context(rig, 1), fd = fence();
    uint32_t id;

    signal_fence(fd);
    id = receive_fence(rig, peer, fd);
    rig_expect_hup(rig, id);
    close(fd);
    close(peer);
    rig_free(rig);
}

static void test_never(void)
{
    struct rig *rig = rig_new(MODE_K23);
    int peer = rig_context(rig, 1), fd = fence();
    uint32_t id = receive_fence(rig, peer, fd);

    close(peer); /* the context ends, the fence does not */
    rig_expect_hup(rig, 1);
    g_assert_cmpint(rig_next(rig), ==, 0);
    g_assert_cmphex(ask_close(rig, 1), ==, 0x1000);
    signal_fence(fd);
    rig_expect_hup(rig, id);
    /* and closing one that never signals leaves nothing */
    g_assert_cmphex(ask_close(rig, id), ==, 0x1000);
    close(fd);
    rig_free(rig);
}

static void test_send_back(void)
{
    struct rig *rig = rig_new(MODE_K23);
    int peer = rig_context(rig, 1), fd = fence(), got[4];
    uint32_t id = receive_fence(rig, peer, fd);
    unsigned int n;
    char byte;

    for (int i = 0; i < 2; i++) { /* it can be sent again */
        g_assert_cmphex(ask_send(rig, 1, &id, 1, "s", 1), ==, 0x1000);
        g_assert_cmpint(host_receive(peer, &byte, 1, got, &n), ==, 1);
        g_assert_cmpuint(n, ==, 1);
        g_assert_true(is_fence(got[0]));
        close(got[0]);
    }
    close(fd);
    close(peer);
    rig_free(rig);
}

static void test_old_flags(void)
{
    struct rig *rig = rig_new(MODE_OLD);
    int peer = rig_context(rig, 1), fd = fence();

    host_send(peer, "f", 1, &fd, 1);
    rig_expect_new(rig, 0, 0, 0);
    close(fd);
    close(peer);
    rig_free(rig);
}

/* Nobody can signal it any more after a restore: it counts as signalled. */
static void test_snapshot(void)
{
    struct rig *rig = rig_new(MODE_K23);
    int peer = rig_context(rig, 1), fd = fence(), later = fence();
    uint32_t id = receive_fence(rig, peer, fd);
    GByteArray *stream = g_byte_array_new();
    struct vwl_loader *loader;
    struct vwl_saver *saver;
    const void *piece;
    const char *why;
    ssize_t n;

    host_send(peer, "l", 1, &later, 1); /* its messages are queued yet */
    rig->message_room = 8;
    g_assert_cmpint(rig_next(rig), ==, -ENOBUFS);
    g_assert_cmpint(vwl_saver_create(rig->core, 0, "", 0, &saver), ==, 0);
    while ((n = vwl_saver_next(saver, &piece)) > 0) {
        g_byte_array_append(stream, piece, (guint)n);
    }
    vwl_saver_destroy(saver);
    loader = vwl_loader_create(rig->core);
    g_assert_cmpint(vwl_loader_feed(loader, stream->data, stream->len, &why),
                    ==, 0);
    g_assert_cmpint(vwl_loader_apply(loader, MODE_K23, true, false), ==, 0);
    vwl_loader_destroy(loader);
    rig->message_room = sizeof rig->message;
    rig_expect_new(rig, 8, 0x100000, 0);
    g_assert_cmpint(rig_next(rig), ==, 21);
    rig_expect_hup(rig, 1);
    rig_expect_hup(rig, id);
    rig_expect_hup(rig, id + 1);
    g_assert_cmpint(rig_next(rig), ==, 0);
    g_assert_cmphex(ask_close(rig, id), ==, 0x1000);
    g_byte_array_unref(stream);
    close(fd);
    close(later);
    close(peer);
    rig_free(rig);
}

/* ---- foreign ids ------------------------------------------------------- */

struct entry {
    uint32_t kind;
    uint64_t value;
};

/* Rubbish where drivers leave rubbish. */
static struct asked *foreign_init(struct rig *rig, uint64_t mode, uint32_t to,
                                  const struct entry *entries, uint32_t n,
                                  const char *data)
{
    size_t entry = mode & MODE_FENCES ? 16 : 8;
    uint8_t bytes[16 + 28 * 16 + 8];
    size_t len = 16 + n * entry + strlen(data);

    memset(bytes, 0xcd, sizeof bytes);
    le32(bytes, 0x109);
    le32(bytes + 4, 0);
    le32(bytes + 8, to);
    le32(bytes + 12, n);
    for (uint32_t i = 0; i < n; i++) {
        uint8_t *at = bytes + 16 + i * entry;

        le32(at, entries[i].kind);
        le32(at + entry / 2, (uint32_t)entries[i].value);
        if (entry == 16 && entries[i].kind == 2) {
            le32(at + 12, (uint32_t)(entries[i].value >> 32));
        }
    }
    memcpy(bytes + 16 + n * entry, data, strlen(data));
    return ask_init(bytes, len, 8);
}

static uint32_t ask_foreign(struct rig *rig, uint64_t mode, uint32_t to,
                            const struct entry *entries, uint32_t n,
                            const char *data)
{
    struct asked *asked = foreign_init(rig, mode, to, entries, n, data);
    uint32_t type;

    g_assert_cmpint(vwl_core_execute(rig->core, &asked->request), ==, 0);
    type = get32(asked->request.response);
    asked_free(asked);
    return type;
}

/* One message of that text and that many descriptors. */
static void expect_at_peer(int peer, const char *text, int *fds,
                           unsigned int n_fds)
{
    char bytes[64];
    unsigned int n;

    g_assert_cmpint(host_receive(peer, bytes, sizeof bytes, fds, &n), ==,
                    (ssize_t)strlen(text));
    g_assert_cmpmem(bytes, strlen(text), text, strlen(text));
    g_assert_cmpuint(n, ==, n_fds);
}

static void expect_nothing(int peer)
{
    char byte;

    g_assert_cmpint(host_receive(peer, &byte, 1, NULL, NULL), ==, -1);
    g_assert_cmpint(errno, ==, EAGAIN);
}

static void test_at_once(gconstpointer data)
{
    uint64_t mode = GPOINTER_TO_UINT(data);
    struct rig *rig = rig_new(mode);
    int peer = rig_context(rig, 1), fd = sealed_file(4096, 0), got[4];
    struct entry entries[] = { { 0, 2 }, { 1, 77 } };

    rig->foreign_err = 0;
    rig->foreign_fd = fd;
    g_assert_cmphex(ask_new(rig, 0x100, 2, 0, 8192), ==, 0x1001);
    g_assert_cmphex(ask_foreign(rig, mode, 1, entries, 2, "ab"), ==, 0x1000);
    g_assert_cmpuint(rig->foreign_kind, ==, 1);
    g_assert_cmpuint(rig->foreign_value, ==, 77);
    expect_at_peer(peer, "ab", got, 2);
    g_assert_cmpint(lseek(got[0], 0, SEEK_END), ==, 8192);
    g_assert_true(same_file(got[1], fd));
    close(got[0]);
    close(got[1]);
    /* a fence's number has 64 bits where it can */
    entries[0] = (struct entry){ 2, UINT64_C(0x1234567887654321) };
    g_assert_cmphex(ask_foreign(rig, mode, 1, entries, 1, "c"), ==, 0x1000);
    g_assert_cmpuint(rig->foreign_kind, ==, 2);
    g_assert_cmphex(rig->foreign_value, ==,
                    mode & MODE_FENCES ? UINT64_C(0x1234567887654321)
                                       : 0x87654321);
    expect_at_peer(peer, "c", got, 1);
    close(got[0]);
    close(fd);
    close(peer);
    rig_free(rig);
}

/* The value of that kind is rubbish, and it is asked for once. */
static void test_signalled(void)
{
    struct rig *rig = rig_new(MODE_K23);
    int peer = rig_context(rig, 1), fd = sealed_file(4096, 0), got[4];
    struct entry entry = { 3, 0xabad1dea };

    rig->foreign_err = 0;
    rig->foreign_fd = fd;
    for (int i = 0; i < 3; i++) {
        g_assert_cmphex(ask_foreign(rig, MODE_K23, 1, &entry, 1, "s"), ==,
                        0x1000);
        expect_at_peer(peer, "s", got, 1);
        g_assert_true(same_file(got[0], fd));
        close(got[0]);
        g_assert_cmpuint(rig->foreign_kind, ==, 3);
        g_assert_cmpuint(rig->foreign_value, ==, 0);
        g_assert_cmpuint(rig->n_foreign, ==, 1);
    }
    close(fd);
    close(peer);
    rig_free(rig);
}

static void test_refused(void)
{
    static const struct {
        int err;
        uint32_t response;
    } rows[] = {
        { -EOPNOTSUPP, 0x1102 }, { -ENOENT, 0x1102 }, { -EIO, 0x1102 },
        { -ENOMEM, 0x1101 },     { -EMFILE, 0x1101 },
    };
    struct rig *rig = rig_new(MODE_K23);
    int peer = rig_context(rig, 1), fd = sealed_file(4096, 0);
    struct entry entries[] = { { 1, 1 }, { 1, 2 }, { 4, 3 } };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        rig->foreign_err = rows[i].err;
        g_assert_cmphex(ask_foreign(rig, MODE_K23, 1, entries, 2, "x"), ==,
                        rows[i].response);
    }
    /* nobody is asked for what is wrong anyway */
    rig->foreign_err = 0;
    rig->foreign_fd = fd;
    rig->n_foreign = 0;
    g_assert_cmphex(ask_foreign(rig, MODE_K23, 1, entries, 3, "x"), ==, 0x1102);
    g_assert_cmphex(ask_foreign(rig, MODE_K23, 9, entries, 1, "x"), ==, 0x1102);
    g_assert_cmphex(ask_new(rig, 0x105, 3, 1, 0), ==, 0x1001);
    g_assert_cmphex(ask_foreign(rig, MODE_K23, 3, entries, 1, "x"), ==, 0x1103);
    g_assert_cmpuint(rig->n_foreign, ==, 0);
    expect_nothing(peer);
    close(fd);
    close(peer);
    rig_free(rig);
}

/* A host that says yes and gives nothing: nothing is sent, least of all 0. */
static void test_no_descriptor(void)
{
    struct rig *rig = rig_new(MODE_K23);
    int peer = rig_context(rig, 1);
    struct entry entry = { 1, 1 };

    rig->foreign_err = 0;
    rig->foreign_fd = -1;
    g_assert_cmphex(ask_foreign(rig, MODE_K23, 1, &entry, 1, "x"), ==, 0x1102);
    expect_nothing(peer);
    close(peer);
    rig_free(rig);
}

/* ---- asked for, and answered later ------------------------------------- */

static void answer(int *to, int32_t status, int fd)
{
    host_send(*to, &status, sizeof status, &fd, fd >= 0);
    close(*to);
    *to = -1;
}

static void pump(struct rig *rig)
{
    while (is_readable(vwl_core_out_fd(rig->core))) {
        vwl_core_dispatch_out(rig->core);
    }
}

static struct asked *start_foreign(struct rig *rig, uint32_t to,
                                   const struct entry *entries, uint32_t n,
                                   const char *data)
{
    struct asked *asked = foreign_init(rig, MODE_K23, to, entries, n, data);

    g_assert_cmpint(vwl_core_execute(rig->core, &asked->request), ==,
                    -EINPROGRESS);
    pump(rig); /* it must come to rest, too */
    g_assert_false(is_readable(vwl_core_out_fd(rig->core)));
    return asked;
}

/* It was completed, in its turn. */
static void expect_done(struct rig *rig, struct asked *asked, uint32_t type)
{
    g_assert_cmpuint(rig->completed->len, >, 0);
    g_assert_true(rig->completed->pdata[0] == &asked->request);
    g_ptr_array_remove_index(rig->completed, 0);
    g_assert_cmphex(get32(asked->request.response), ==, type);
    asked_free(asked);
}

static void test_later(void)
{
    struct rig *rig = rig_new(MODE_K23);
    int peer = rig_context(rig, 1), other = rig_context(rig, 5), got[4];
    int fd = sealed_file(4096, 0), to[2];
    struct entry entries[] = { { 1, 7 }, { 0, 2 }, { 2, 9 } };
    struct asked *first, *second;

    rig->foreign_err = -EINPROGRESS;
    g_assert_cmphex(ask_new(rig, 0x100, 2, 0, 8192), ==, 0x1001);
    first = start_foreign(rig, 1, entries, 1, "one");
    to[0] = rig->foreign_fd;
    second = start_foreign(rig, 1, entries + 1, 2, "two");
    to[1] = rig->foreign_fd;
    /* nobody else waits */
    g_assert_cmphex(ask_send(rig, 5, NULL, 0, "x", 1), ==, 0x1000);
    expect_at_peer(other, "x", got, 0);
    expect_nothing(peer);
    answer(&to[1], 0, fd);
    pump(rig);
    expect_nothing(peer); /* order is kept */
    g_assert_cmpuint(rig->completed->len, ==, 0);
    answer(&to[0], 0, fd);
    pump(rig);
    expect_done(rig, first, 0x1000);
    expect_done(rig, second, 0x1000);
    expect_at_peer(peer, "one", got, 1);
    g_assert_true(same_file(got[0], fd));
    close(got[0]);
    expect_at_peer(peer, "two", got, 2);
    g_assert_cmpint(lseek(got[0], 0, SEEK_END), ==, 8192);
    g_assert_true(same_file(got[1], fd));
    close(got[0]);
    close(got[1]);
    close(fd);
    close(peer);
    close(other);
    rig_free(rig);
}

static void test_later_refused(void)
{
    struct rig *rig = rig_new(MODE_K23);
    int peer = rig_context(rig, 1), fd = sealed_file(4096, 0), fds[2];
    struct entry entry = { 1, 7 }, pair[] = { { 1, 1 }, { 1, 2 } };
    int32_t rubbish = 0;
    char byte;
    struct asked *asked;

    rig->foreign_err = -EINPROGRESS;
    for (int i = 0; i < 7; i++) {
        asked = start_foreign(rig, 1, &entry, 1, "x");
        switch (i) {
        case 0: /* says no */
            answer(&rig->foreign_fd, -ENOENT, -1);
            break;
        case 1: /* says nothing */
            close(rig->foreign_fd);
            break;
        case 2: /* too short, too long, what is not a status */
            host_send(rig->foreign_fd, &rubbish, 3, NULL, 0);
            close(rig->foreign_fd);
            break;
        case 3: /* yes, but nothing with it */
            answer(&rig->foreign_fd, 0, -1);
            break;
        case 4: /* yes, and too much */
            fds[0] = fds[1] = fd;
            host_send(rig->foreign_fd, &rubbish, sizeof rubbish, fds, 2);
            close(rig->foreign_fd);
            break;
        case 5: /* no, with a descriptor */
            answer(&rig->foreign_fd, -EACCES, fd);
            break;
        default:
            answer(&rig->foreign_fd, 17, fd);
            break;
        }
        pump(rig);
        expect_done(rig, asked, 0x1102);
        expect_nothing(peer);
    }
    /* one refusal of two ends the other question */
    asked = start_foreign(rig, 1, pair, 2, "x");
    answer(&rig->foreign_fd, -ENOENT, -1);
    pump(rig);
    expect_done(rig, asked, 0x1102);
    g_assert_cmpint(read(rig->foreign_before, &byte, 1), ==, 0);
    close(rig->foreign_before);
    /* what follows goes on */
    g_assert_cmphex(ask_send(rig, 1, NULL, 0, "y", 1), ==, 0x1000);
    close(fd);
    close(peer);
    rig_free(rig);
}

/* Those behind it wait in its queue; closing ends all of them. */
static void test_later_closed(void)
{
    struct rig *rig = rig_new(MODE_K23);
    int peer = rig_context(rig, 1);
    struct entry entry = { 1, 7 };
    struct asked *foreign, *plain;
    char byte;

    rig->foreign_err = -EINPROGRESS;
    foreign = start_foreign(rig, 1, &entry, 1, "x");
    plain = send_init(1, NULL, 0, "y", 1);
    g_assert_cmpint(vwl_core_execute(rig->core, &plain->request), ==,
                    -EINPROGRESS);
    g_assert_cmphex(ask_close(rig, 1), ==, 0x1000);
    expect_done(rig, foreign, 0x1100);
    expect_done(rig, plain, 0x1100);
    g_assert_cmpint(read(rig->foreign_fd, &byte, 1), ==, 0);
    close(rig->foreign_fd);
    close(peer);
    rig_free(rig);
}

static void test_later_reset(void)
{
    struct rig *rig = rig_new(MODE_K23);
    int peer = rig_context(rig, 1);
    struct entry entry = { 1, 7 };
    struct asked *asked;
    char byte;

    rig->foreign_err = -EINPROGRESS;
    asked = start_foreign(rig, 1, &entry, 1, "x");
    vwl_core_reset(rig->core, false);
    g_assert_cmpuint(rig->completed->len, ==, 0);
    g_assert_cmpint(read(rig->foreign_fd, &byte, 1), ==, 0);
    asked_free(asked);
    close(rig->foreign_fd);
    close(peer);
    rig_free(rig);
}

/* Without data they are held, with what was held before and what comes. */
static void test_later_without_data(void)
{
    struct rig *rig = rig_new(MODE_K23);
    int peer = rig_context(rig, 1), fd = sealed_file(4096, 0), got[4];
    struct entry entry = { 1, 7 };
    struct asked *first, *second, *plain;
    uint32_t shm = 2;
    int to[2];

    rig->foreign_err = -EINPROGRESS;
    g_assert_cmphex(ask_new(rig, 0x100, 2, 0, 8192), ==, 0x1001);
    g_assert_cmphex(ask_send(rig, 1, &shm, 1, NULL, 0), ==, 0x1000);
    first = start_foreign(rig, 1, &entry, 1, "");
    to[0] = rig->foreign_fd;
    second = start_foreign(rig, 1, &entry, 1, "");
    to[1] = rig->foreign_fd;
    plain = send_init(1, &shm, 1, "z", 1);
    g_assert_cmpint(vwl_core_execute(rig->core, &plain->request), ==,
                    -EINPROGRESS);
    answer(&to[0], 0, fd);
    pump(rig);
    expect_done(rig, first, 0x1000);
    expect_nothing(peer);
    answer(&to[1], 0, fd);
    pump(rig);
    expect_done(rig, second, 0x1000);
    expect_done(rig, plain, 0x1000);
    expect_at_peer(peer, "z", got, 4);
    g_assert_cmpint(lseek(got[0], 0, SEEK_END), ==, 8192);
    g_assert_true(same_file(got[1], fd));
    g_assert_true(same_file(got[2], fd));
    g_assert_true(same_file(got[3], got[0]));
    for (int i = 0; i < 4; i++) {
        close(got[i]);
    }
    close(fd);
    close(peer);
    rig_free(rig);
}

/* Who never answers holds up its own VFD only, and not for ever. */
static void test_silence(void)
{
    struct rig *rig = rig_new(MODE_K23);
    int peer = rig_context(rig, 1), other = rig_context(rig, 5), got[1];
    struct pollfd pfd = { vwl_core_out_fd(rig->core), POLLIN, 0 };
    struct entry entry = { 2, 7 };
    struct asked *asked;

    rig->foreign_err = -EINPROGRESS;
    asked = start_foreign(rig, 1, &entry, 1, "x");
    while (rig->completed->len == 0) {
        g_assert_cmphex(ask_send(rig, 5, NULL, 0, "o", 1), ==, 0x1000);
        expect_at_peer(other, "o", got, 0);
        g_assert_cmpint(poll(&pfd, 1, 60000), ==, 1);
        vwl_core_dispatch_out(rig->core);
    }
    expect_done(rig, asked, 0x1102);
    g_assert_cmphex(ask_send(rig, 1, NULL, 0, "y", 1), ==, 0x1000);
    expect_at_peer(peer, "y", got, 0);
    close(rig->foreign_fd);
    close(peer);
    close(other);
    rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fence/classify", test_classify);
    g_test_add_func("/fence/signal", test_signal);
    g_test_add_func("/fence/signalled-before", test_signalled_before);
    g_test_add_func("/fence/never", test_never);
    g_test_add_func("/fence/send-back", test_send_back);
    g_test_add_func("/fence/old-flags", test_old_flags);
    g_test_add_func("/fence/snapshot", test_snapshot);
    g_test_add_data_func("/foreign/at-once/8-bytes",
                         GUINT_TO_POINTER(MODE_TRANS), test_at_once);
    g_test_add_data_func("/foreign/at-once/16-bytes",
                         GUINT_TO_POINTER(MODE_K23), test_at_once);
    g_test_add_func("/foreign/signalled", test_signalled);
    g_test_add_func("/foreign/refused", test_refused);
    g_test_add_func("/foreign/no-descriptor", test_no_descriptor);
    g_test_add_func("/foreign/later", test_later);
    g_test_add_func("/foreign/later-refused", test_later_refused);
    g_test_add_func("/foreign/later-closed", test_later_closed);
    g_test_add_func("/foreign/later-reset", test_later_reset);
    g_test_add_func("/foreign/later-without-data", test_later_without_data);
    g_test_add_func("/foreign/silence", test_silence);
    return g_test_run();
}
