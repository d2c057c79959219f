/* SPDX-License-Identifier: BSD-3-Clause */
/* The buffers and fences of the guest's GPU in a SEND, by their numbers: known
 * at once, or asked for and answered later. */
#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "bytes.h"
#include "fds.h"
#include "socket.h"

#define LOCAL VIRTIO_WL_FOREIGN_LOCAL
#define VIRTGPU VIRTIO_WL_FOREIGN_VIRTGPU
#define GPU_FENCE VIRTIO_WL_FOREIGN_VIRTGPU_FENCE
#define SIGNALED_FENCE VIRTIO_WL_FOREIGN_VIRTGPU_SIGNALED_FENCE
#define UNKNOWN_KIND 4

struct entry {
    uint32_t kind;
    uint64_t value;
};

/* Rubbish where drivers leave rubbish. */
static struct asked *foreign_init(struct core_rig *rig, uint64_t mode,
                                  uint32_t to, const struct entry *entries,
                                  uint32_t n, const char *data)
{
    size_t entry = mode & MODE_FENCES ? 16 : 8;
    uint8_t bytes[16 + 28 * 16 + 8];
    size_t len = 16 + n * entry + strlen(data);

    memset(bytes, 0xcd, sizeof bytes);
    put32(bytes, CMD_VFD_SEND_FOREIGN_ID);
    put32(bytes + 4, 0);
    put32(bytes + 8, to);
    put32(bytes + 12, n);
    for (uint32_t i = 0; i < n; i++) {
        uint8_t *at = bytes + 16 + i * entry;

        put32(at, entries[i].kind);
        put32(at + entry / 2, (uint32_t)entries[i].value);
        if (entry == 16 && entries[i].kind == GPU_FENCE) {
            put32(at + 12, (uint32_t)(entries[i].value >> 32));
        }
    }
    memcpy(bytes + 16 + n * entry, data, strlen(data));
    return ask_init(bytes, len, 8);
}

static uint32_t ask_foreign(struct core_rig *rig, uint64_t mode, uint32_t to,
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

    g_assert_cmpint(socket_receive(peer, bytes, sizeof bytes, fds, &n), ==,
                    (ssize_t)strlen(text));
    g_assert_cmpmem(bytes, strlen(text), text, strlen(text));
    g_assert_cmpuint(n, ==, n_fds);
}

static void expect_nothing(int peer)
{
    char byte;

    g_assert_cmpint(socket_receive(peer, &byte, 1, NULL, NULL), ==, -1);
    g_assert_cmpint(errno, ==, EAGAIN);
}

static void test_at_once(gconstpointer data)
{
    uint64_t mode = GPOINTER_TO_UINT(data);
    struct core_rig *rig = core_rig_new(mode);
    int peer = open_ctx(rig, 1), fd = sealed_file(4096, 0), got[4];
    struct entry entries[] = { { LOCAL, 2 }, { VIRTGPU, 77 } };

    rig->foreign_err = 0;
    rig->foreign_fd = fd;
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 2, 0, 8192), ==, RESP_VFD_NEW);
    g_assert_cmphex(ask_foreign(rig, mode, 1, entries, 2, "ab"), ==, RESP_OK);
    g_assert_cmpuint(rig->foreign_kind, ==, VIRTGPU);
    g_assert_cmpuint(rig->foreign_value, ==, 77);
    expect_at_peer(peer, "ab", got, 2);
    g_assert_cmpint(lseek(got[0], 0, SEEK_END), ==, 8192);
    g_assert_true(same_file(got[1], fd));
    close(got[0]);
    close(got[1]);
    /* a fence's number has 64 bits where it can */
    entries[0] = (struct entry){ GPU_FENCE, UINT64_C(0x1234567887654321) };
    g_assert_cmphex(ask_foreign(rig, mode, 1, entries, 1, "c"), ==, RESP_OK);
    g_assert_cmpuint(rig->foreign_kind, ==, GPU_FENCE);
    g_assert_cmphex(rig->foreign_value, ==,
                    mode & MODE_FENCES ? UINT64_C(0x1234567887654321)
                                       : 0x87654321);
    expect_at_peer(peer, "c", got, 1);
    close(got[0]);
    close(fd);
    close(peer);
    core_rig_free(rig);
}

/* The value of that kind is rubbish, and it is asked for once. */
static void test_signalled(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int peer = open_ctx(rig, 1), fd = sealed_file(4096, 0), got[4];
    struct entry entry = { SIGNALED_FENCE, 0xabad1dea };

    rig->foreign_err = 0;
    rig->foreign_fd = fd;
    for (int i = 0; i < 3; i++) {
        g_assert_cmphex(ask_foreign(rig, MODE_K23, 1, &entry, 1, "s"), ==,
                        RESP_OK);
        expect_at_peer(peer, "s", got, 1);
        g_assert_true(same_file(got[0], fd));
        close(got[0]);
        g_assert_cmpuint(rig->foreign_kind, ==, SIGNALED_FENCE);
        g_assert_cmpuint(rig->foreign_value, ==, 0);
        g_assert_cmpuint(rig->n_foreign, ==, 1);
    }
    close(fd);
    close(peer);
    core_rig_free(rig);
}

static void test_refused(void)
{
    static const struct {
        int err;
        uint32_t response;
    } rows[] = {
        { -EOPNOTSUPP, RESP_INVALID_ID }, { -ENOENT, RESP_INVALID_ID },
        { -EIO, RESP_INVALID_ID },        { -ENOMEM, RESP_OUT_OF_MEMORY },
        { -EMFILE, RESP_OUT_OF_MEMORY },
    };
    struct core_rig *rig = core_rig_new(MODE_K23);
    int peer = open_ctx(rig, 1), fd = sealed_file(4096, 0);
    struct entry entries[] = { { VIRTGPU, 1 },
                               { VIRTGPU, 2 },
                               { UNKNOWN_KIND, 3 } };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        rig->foreign_err = rows[i].err;
        g_assert_cmphex(ask_foreign(rig, MODE_K23, 1, entries, 2, "x"), ==,
                        rows[i].response);
    }
    /* nobody is asked for what is wrong anyway */
    rig->foreign_err = 0;
    rig->foreign_fd = fd;
    rig->n_foreign = 0;
    g_assert_cmphex(ask_foreign(rig, MODE_K23, 1, entries, 3, "x"), ==,
                    RESP_INVALID_ID);
    g_assert_cmphex(ask_foreign(rig, MODE_K23, 9, entries, 1, "x"), ==,
                    RESP_INVALID_ID);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_PIPE, 3, VFD_WRITE, 0), ==,
                    RESP_VFD_NEW);
    g_assert_cmphex(ask_foreign(rig, MODE_K23, 3, entries, 1, "x"), ==,
                    RESP_INVALID_TYPE);
    g_assert_cmpuint(rig->n_foreign, ==, 0);
    expect_nothing(peer);
    close(fd);
    close(peer);
    core_rig_free(rig);
}

/* A host that says yes and gives nothing: nothing is sent, least of all 0. */
static void test_no_descriptor(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int peer = open_ctx(rig, 1);
    struct entry entry = { VIRTGPU, 1 };

    rig->foreign_err = 0;
    rig->foreign_fd = -1;
    g_assert_cmphex(ask_foreign(rig, MODE_K23, 1, &entry, 1, "x"), ==,
                    RESP_INVALID_ID);
    expect_nothing(peer);
    close(peer);
    core_rig_free(rig);
}

/* ---- asked for, and answered later ------------------------------------- */

static void answer(int *to, int32_t status, int fd)
{
    socket_send(*to, &status, sizeof status, &fd, fd >= 0);
    close(*to);
    *to = -1;
}

static void pump(struct core_rig *rig)
{
    while (is_readable(vwl_core_out_fd(rig->core))) {
        vwl_core_dispatch_out(rig->core);
    }
}

static struct asked *start_foreign(struct core_rig *rig, uint32_t to,
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
static void expect_done(struct core_rig *rig, struct asked *asked,
                        uint32_t type)
{
    g_assert_cmpuint(rig->completed->len, >, 0);
    g_assert_true(rig->completed->pdata[0] == &asked->request);
    g_ptr_array_remove_index(rig->completed, 0);
    g_assert_cmphex(get32(asked->request.response), ==, type);
    asked_free(asked);
}

static void test_later(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int peer = open_ctx(rig, 1), other = open_ctx(rig, 5), got[4];
    int fd = sealed_file(4096, 0), to[2];
    struct entry entries[] = { { VIRTGPU, 7 }, { LOCAL, 2 }, { GPU_FENCE, 9 } };
    struct asked *first, *second;

    rig->foreign_err = -EINPROGRESS;
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 2, 0, 8192), ==, RESP_VFD_NEW);
    first = start_foreign(rig, 1, entries, 1, "one");
    to[0] = rig->foreign_fd;
    second = start_foreign(rig, 1, entries + 1, 2, "two");
    to[1] = rig->foreign_fd;
    /* nobody else waits */
    g_assert_cmphex(ask_send(rig, 5, NULL, 0, "x", 1), ==, RESP_OK);
    expect_at_peer(other, "x", got, 0);
    expect_nothing(peer);
    answer(&to[1], 0, fd);
    pump(rig);
    expect_nothing(peer); /* order is kept */
    g_assert_cmpuint(rig->completed->len, ==, 0);
    answer(&to[0], 0, fd);
    pump(rig);
    expect_done(rig, first, RESP_OK);
    expect_done(rig, second, RESP_OK);
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
    core_rig_free(rig);
}

static void test_later_refused(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int peer = open_ctx(rig, 1), fd = sealed_file(4096, 0), fds[2];
    struct entry entry = { VIRTGPU, 7 },
                 pair[] = { { VIRTGPU, 1 }, { VIRTGPU, 2 } };
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
            socket_send(rig->foreign_fd, &rubbish, 3, NULL, 0);
            close(rig->foreign_fd);
            break;
        case 3: /* yes, but nothing with it */
            answer(&rig->foreign_fd, 0, -1);
            break;
        case 4: /* yes, and too much */
            fds[0] = fds[1] = fd;
            socket_send(rig->foreign_fd, &rubbish, sizeof rubbish, fds, 2);
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
        expect_done(rig, asked, RESP_INVALID_ID);
        expect_nothing(peer);
    }
    /* one refusal of two ends the other question */
    asked = start_foreign(rig, 1, pair, 2, "x");
    answer(&rig->foreign_fd, -ENOENT, -1);
    pump(rig);
    expect_done(rig, asked, RESP_INVALID_ID);
    g_assert_cmpint(read(rig->foreign_before, &byte, 1), ==, 0);
    close(rig->foreign_before);
    /* what follows goes on */
    g_assert_cmphex(ask_send(rig, 1, NULL, 0, "y", 1), ==, RESP_OK);
    close(fd);
    close(peer);
    core_rig_free(rig);
}

/* Those behind it wait in its queue; closing ends all of them. */
static void test_later_closed(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int peer = open_ctx(rig, 1);
    struct entry entry = { VIRTGPU, 7 };
    struct asked *foreign, *plain;
    char byte;

    rig->foreign_err = -EINPROGRESS;
    foreign = start_foreign(rig, 1, &entry, 1, "x");
    plain = send_init(1, NULL, 0, "y", 1);
    g_assert_cmpint(vwl_core_execute(rig->core, &plain->request), ==,
                    -EINPROGRESS);
    g_assert_cmphex(ask_close(rig, 1), ==, RESP_OK);
    expect_done(rig, foreign, RESP_ERR);
    expect_done(rig, plain, RESP_ERR);
    g_assert_cmpint(read(rig->foreign_fd, &byte, 1), ==, 0);
    close(rig->foreign_fd);
    close(peer);
    core_rig_free(rig);
}

static void test_later_reset(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int peer = open_ctx(rig, 1);
    struct entry entry = { VIRTGPU, 7 };
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
    core_rig_free(rig);
}

/* Without data they are held, with what was held before and what comes. */
static void test_later_without_data(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int peer = open_ctx(rig, 1), fd = sealed_file(4096, 0), got[4];
    struct entry entry = { VIRTGPU, 7 };
    struct asked *first, *second, *plain;
    uint32_t shm = 2;
    int to[2];

    rig->foreign_err = -EINPROGRESS;
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 2, 0, 8192), ==, RESP_VFD_NEW);
    g_assert_cmphex(ask_send(rig, 1, &shm, 1, NULL, 0), ==, RESP_OK);
    first = start_foreign(rig, 1, &entry, 1, "");
    to[0] = rig->foreign_fd;
    second = start_foreign(rig, 1, &entry, 1, "");
    to[1] = rig->foreign_fd;
    plain = send_init(1, &shm, 1, "z", 1);
    g_assert_cmpint(vwl_core_execute(rig->core, &plain->request), ==,
                    -EINPROGRESS);
    answer(&to[0], 0, fd);
    pump(rig);
    expect_done(rig, first, RESP_OK);
    expect_nothing(peer);
    answer(&to[1], 0, fd);
    pump(rig);
    expect_done(rig, second, RESP_OK);
    expect_done(rig, plain, RESP_OK);
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
    core_rig_free(rig);
}

/* Who never answers holds up its own VFD only, and not for ever. */
static void test_silence(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int peer = open_ctx(rig, 1), other = open_ctx(rig, 5), got[1];
    struct pollfd pfd = { vwl_core_out_fd(rig->core), POLLIN, 0 };
    struct entry entry = { GPU_FENCE, 7 };
    struct asked *asked;

    rig->foreign_err = -EINPROGRESS;
    asked = start_foreign(rig, 1, &entry, 1, "x");
    while (rig->completed->len == 0) {
        g_assert_cmphex(ask_send(rig, 5, NULL, 0, "o", 1), ==, RESP_OK);
        expect_at_peer(other, "o", got, 0);
        g_assert_cmpint(poll(&pfd, 1, 60000), ==, 1);
        vwl_core_dispatch_out(rig->core);
    }
    expect_done(rig, asked, RESP_INVALID_ID);
    g_assert_cmphex(ask_send(rig, 1, NULL, 0, "y", 1), ==, RESP_OK);
    expect_at_peer(peer, "y", got, 0);
    close(rig->foreign_fd);
    close(peer);
    close(other);
    core_rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
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
