/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "wl/snapshot/snapshot.h"

#include "ask.h"
#include "bytes.h"
#include "fds.h"
#include "socket.h"

static GByteArray *save(struct core_rig *rig)
{
    GByteArray *stream = g_byte_array_new();
    struct vwl_saver *saver;
    const void *piece;
    ssize_t n;

    g_assert_cmpint(vwl_saver_create(rig->core, 0xabcdef, "extra", 5, &saver),
                    ==, 0);
    while ((n = vwl_saver_next(saver, &piece)) > 0) {
        g_byte_array_append(stream, piece, (guint)n);
    }
    g_assert_cmpint(n, ==, 0);
    vwl_saver_destroy(saver);
    return stream;
}

/* In pieces of that size. */
static int load(struct core_rig *rig, const uint8_t *bytes, size_t len,
                size_t step, bool apply)
{
    struct vwl_loader *loader = vwl_loader_create(rig->core);
    const char *why = NULL;
    int err = 0;

    for (size_t at = 0; at < len && err == 0; at += step) {
        err = vwl_loader_feed(loader, bytes + at, MIN(step, len - at), &why);
    }
    if (err == 0) {
        err = vwl_loader_end(loader, &why);
    }
    g_assert_true((err < 0) == (why != NULL));
    if (err == 0) {
        size_t n;

        g_assert_cmpmem(vwl_loader_extra(loader, &n), 5, "extra", 5);
        g_assert_cmpuint(n, ==, 5);
        g_assert_cmphex(vwl_loader_negotiated(loader), ==, 0xabcdef);
    }
    if (err == 0 && apply) {
        err = vwl_loader_apply(loader, MODE_K23, true, false);
    }
    vwl_loader_destroy(loader);
    return err;
}

static int load_any(struct core_rig *rig, const uint8_t *bytes, size_t len)
{
    struct vwl_loader *loader = vwl_loader_create(rig->core);
    const char *why = NULL;
    int err = vwl_loader_feed(loader, bytes, len, &why);

    if (err == 0) {
        err = vwl_loader_end(loader, &why);
    }
    if (err == 0) {
        err = vwl_loader_apply(loader, MODE_K23, true, false);
    }
    vwl_loader_destroy(loader);
    return err;
}

/* Everything that there is: its stream, and nothing is left open. */
static GByteArray *full(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1), ends[2];
    char *big = g_malloc(70000);
    uint32_t id = 4;
    int fds[253], file, memory;
    unsigned int n_fds;
    GByteArray *stream;
    char data[8];

    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 2, 0, 8192), ==, RESP_VFD_NEW);
    g_assert_cmpint(pwrite(rig->last_map_fd, "second page", 11, 4096), ==, 11);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 3, 0, 4096), ==, RESP_VFD_NEW);
    /* a pipe that a program writes to */
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_PIPE, 4, VFD_READ, 0), ==,
                    RESP_VFD_NEW);
    g_assert_cmphex(ask_send(rig, 1, &id, 1, "p", 1), ==, RESP_OK);
    g_assert_cmpint(socket_receive(compositor, data, 8, fds, &n_fds), ==, 1);
    /* and one that nobody has yet */
    memset(big, 'z', 70000);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_PIPE, 5, VFD_WRITE, 0), ==,
                    RESP_VFD_NEW);
    g_assert_cmphex(ask_send(rig, 5, NULL, 0, big, 60000), ==, RESP_OK);
    g_assert_cmphex(ask_send(rig, 5, NULL, 0, big, 10000), ==, RESP_OK);
    g_free(big);
    /* a message that is queued: memory as it is, a copy, a pipe */
    memory = sealed_file(4096, F_SEAL_SHRINK);
    g_assert_cmpint(pwrite(memory, "direct", 6, 0), ==, 6);
    file = memfd_create("keymap", MFD_CLOEXEC);
    g_assert_cmpint(write(file, "keymap", 6), ==, 6);
    g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
    socket_send(compositor, "m", 1, (int[]){ memory, file, ends[0] }, 3);
    rig->message_room = 8;
    g_assert_cmpint(next_message(rig), ==, -ENOBUFS);
    g_assert_cmpint(ftruncate(file, 0), ==, 0); /* the copy is ours */
    g_assert_cmpint(write(fds[0], "undelivered", 11), ==, 11);
    socket_send(compositor, "not received", 12, NULL, 0);
    stream = save(rig);
    /* saving takes nothing away */
    {
        GByteArray *again = save(rig);

        g_assert_cmpmem(again->data, again->len, stream->data, stream->len);
        g_byte_array_unref(again);
    }
    close(fds[0]);
    close(memory);
    close(file);
    close(ends[0]);
    close(ends[1]);
    close(compositor);
    core_rig_free(rig);
    return stream;
}

static void check_memory(const struct core_rig_op *op, uint64_t offset,
                         uint64_t len)
{
    g_assert_true(op->is_map);
    g_assert_cmphex(op->offset, ==, offset);
    g_assert_cmphex(op->len, ==, len);
}

/* In the order in which they were, ends behind them. */
static void check_messages(struct core_rig *rig)
{
    static const uint8_t ids[12] = {
        0, 0, 0, 0x40, 1, 0, 0, 0x40, 2, 0, 0, 0x40
    };
    const uint8_t *data;
    size_t len;

    g_assert_cmphex(expect_new(rig, 0, 3, 4096), ==, 0x40000000);
    g_assert_cmphex(expect_new(rig, 0, 4, 6), ==, 0x40000001);
    g_assert_cmphex(expect_new(rig, VFD_READ, 0x100000, 0), ==, 0x40000002);
    data = expect_recv(rig, 1, 3, &len);
    g_assert_cmpmem(data, len, "m", 1);
    g_assert_cmpmem(rig->message + 16, 12, ids, 12);
    expect_hup(rig, 1);
    data = expect_recv(rig, 4, 0, &len);
    g_assert_cmpmem(data, len, "undelivered", 11);
    expect_hup(rig, 4);
    expect_hup(rig, 0x40000002);
    g_assert_cmpint(next_message(rig), ==, 0);
}

/* The other end of pipe 5 leaves now, with all that was written. */
static void check_unsent(struct core_rig *rig)
{
    int compositor = open_ctx(rig, 7), fds[253];
    uint32_t id = 5;
    unsigned int n_fds;
    size_t total = 0;
    char data[4096];

    g_assert_cmphex(ask_send(rig, 7, &id, 1, "p", 1), ==, RESP_OK);
    g_assert_cmpint(socket_receive(compositor, data, 8, fds, &n_fds), ==, 1);
    g_assert_cmphex(ask_send(rig, 5, NULL, 0, "more", 4), ==, RESP_OK);
    while (total < 70004) {
        ssize_t n = read(fds[0], data, sizeof data);

        g_assert_cmpint(n, >, 0);
        total += (size_t)n;
        vwl_core_dispatch_out(rig->core);
    }
    g_assert_cmpuint(total, ==, 70004);
    close(fds[0]);
    close(compositor);
}

static void test_whole(gconstpointer later)
{
    GByteArray *stream = full();
    struct core_rig *rig = core_rig_new(MODE_K23);
    struct vwl_stats stats;
    char data[16];
    int before = open_ctx(rig, 9);

    rig->map_later = GPOINTER_TO_INT(later) != 0;
    g_assert_cmpint(load(rig, stream->data, stream->len, 1000, true), ==, 0);
    g_assert_cmpint(read(before, data, 1), ==, 0); /* what was, is closed */
    close(before);
    g_assert_cmpuint(rig->n_maps, ==, 0);
    g_assert_true(vwl_core_is_restoring(rig->core));
    vwl_core_remake(rig->core);
    g_assert_cmpuint(rig->n_maps, ==, 4);
    check_memory(&g_array_index(rig->ops, struct core_rig_op, 0), 0, 8192);
    check_memory(&g_array_index(rig->ops, struct core_rig_op, 1), 8192, 4096);
    check_memory(&g_array_index(rig->ops, struct core_rig_op, 2), 12288, 4096);
    check_memory(&g_array_index(rig->ops, struct core_rig_op, 3), 16384, 4096);
    g_assert_cmpint(pread(rig->last_map_fd, data, 16, 0), ==, 16);
    g_assert_cmpmem(data, 7, "keymap", 7);
    for (guint i = 0; i < 4 && rig->map_later; i++) {
        g_assert_true(vwl_core_is_restoring(rig->core));
        vwl_core_map_done(rig->core,
                          g_array_index(rig->ops, struct core_rig_op, i).cookie,
                          0);
    }
    g_assert_false(vwl_core_is_restoring(rig->core));
    rig->map_later = false;
    check_messages(rig);
    check_unsent(rig);
    vwl_core_stats(rig->core, &stats);
    g_assert_cmpuint(stats.shm_bytes, ==, 8192 + 3 * 4096);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 2, 0, 4096), ==, RESP_INVALID_ID);
    g_assert_cmphex(ask_send(rig, 1, NULL, 0, "x", 1), ==, RESP_ERR);
    g_assert_cmphex(ask_close(rig, 1), ==, RESP_OK);
    g_assert_cmphex(ask_close(rig, 2), ==, RESP_OK);
    g_assert_cmpuint(rig->n_unmaps, ==, 1);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 2, 0, 8192), ==, RESP_VFD_NEW);
    g_byte_array_unref(stream);
    core_rig_free(rig);
}

/* A restore that was not run yet is saved as it is. */
static void test_again(void)
{
    GByteArray *stream = full(), *second;
    struct core_rig *rig = core_rig_new(MODE_K23);

    g_assert_cmpint(load(rig, stream->data, stream->len, stream->len, true), ==,
                    0);
    second = save(rig);
    g_assert_cmpint(load(rig, second->data, second->len, 1, true), ==, 0);
    vwl_core_remake(rig->core);
    check_messages(rig);
    check_unsent(rig);
    g_byte_array_unref(stream);
    g_byte_array_unref(second);
    core_rig_free(rig);
}

static void test_refused(void)
{
    GByteArray *stream = full();
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1);
    size_t head = 24 + stream->data[16] + stream->data[17] * 256u;

    g_assert_cmpmem(stream->data, 12, "VWLstate\1\0\0\0", 12);
    for (size_t len = 0; len < stream->len; len++) {
        if (len > 600 && len < stream->len - 600 && len % 97 != 0) {
            len += 96;
        }
        g_assert_cmpint(load(rig, stream->data, len, 65536, true), ==,
                        -ENODATA);
    }
    for (size_t at = 0; at < stream->len; at++) {
        if (at > 1200 && at < stream->len - 200 && at % 331 != 0) {
            continue;
        }
        stream->data[at] ^= (uint8_t)(1u << at % 8);
        g_assert_cmpint(load(rig, stream->data, stream->len, 65536, true), <,
                        0);
        stream->data[at] ^= (uint8_t)(1u << at % 8);
    }
    g_assert_cmpuint(head, <, stream->len);
    stream->data[8] = 2;
    g_assert_cmpint(load(rig, stream->data, stream->len, 7, true), ==,
                    -EPROTONOSUPPORT);
    stream->data[8] = 1;
    g_byte_array_append(stream, (const uint8_t *)"x", 1);
    g_assert_cmpint(load(rig, stream->data, stream->len, 65536, true), ==,
                    -EINVAL);
    /* what there was is there still */
    g_assert_cmphex(ask_send(rig, 1, NULL, 0, "x", 1), ==, RESP_OK);
    g_assert_cmpint(next_message(rig), ==, 0);
    g_byte_array_unref(stream);
    close(compositor);
    core_rig_free(rig);
}

static void refuse_limits(GByteArray *stream, struct vwl_core_config limits)
{
    struct core_rig *rig = core_rig_new_limits(MODE_K23, &limits);

    g_assert_cmpint(load(rig, stream->data, stream->len, 4096, true), ==,
                    -EINVAL);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_PIPE, 2, VFD_WRITE, 0), ==,
                    RESP_VFD_NEW);
    core_rig_free(rig);
}

static void test_limits(void)
{
    GByteArray *stream = full();
    struct vwl_core_config limits = core_rig_limits;

    limits.max_vfds = 7;
    refuse_limits(stream, limits);
    limits = core_rig_limits;
    limits.max_shm_bytes = 8192; /* the guest made 12288 */
    refuse_limits(stream, limits);
    limits = core_rig_limits;
    limits.shm_window = 1 << 20;
    refuse_limits(stream, limits);
    g_byte_array_unref(stream);
}

/* The VMM refuses one of them, or the guest is reset first. */
static void test_maps_refused(void)
{
    GByteArray *stream = full();
    struct core_rig *rig = core_rig_new(MODE_K23);

    g_assert_cmpint(load(rig, stream->data, stream->len, 4096, true), ==, 0);
    vwl_core_reset(rig->core, true);
    g_assert_cmpuint(rig->n_unmaps, ==, 0);
    g_assert_false(vwl_core_is_restoring(rig->core));
    g_assert_cmpint(load(rig, stream->data, stream->len, 4096, true), ==, 0);
    rig->map_err = -EINVAL;
    vwl_core_remake(rig->core);
    g_assert_false(vwl_core_is_restoring(rig->core));
    rig->map_err = 0;
    g_assert_cmphex(ask_close(rig, 2), ==, RESP_OK);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 2, 0, 8192), ==, RESP_VFD_NEW);
    g_byte_array_unref(stream);
    core_rig_free(rig);
}

static void sign(uint8_t *bytes, size_t len)
{
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
    gsize n = 32;

    g_checksum_update(sum, bytes, (gssize)len - 32);
    g_checksum_get_digest(sum, bytes + len - 32, &n);
    g_checksum_free(sum);
}

/* Closing who has one of the messages would close what another told of. */
static void test_listed_twice(void)
{
    static const uint32_t ids[] = { 0x40000000, 0x40000001, 0x40000002 };
    GByteArray *stream = full();
    struct core_rig *rig = core_rig_new(MODE_K23);
    uint8_t *list = memmem(stream->data, stream->len, ids, sizeof ids);

    g_assert_nonnull(list);
    memcpy(list + 4, list, 4);
    sign(stream->data, stream->len);
    g_assert_cmpint(load(rig, stream->data, stream->len, 4096, true), ==,
                    -EINVAL);
    memcpy(list, ids, sizeof ids);
    sign(stream->data, stream->len);
    g_assert_cmpint(load(rig, stream->data, stream->len, 4096, true), ==, 0);
    g_byte_array_unref(stream);
    core_rig_free(rig);
}

/* With a checksum that fits: whatever it says, nothing breaks. */
static void test_forged(void)
{
    GByteArray *stream = full();
    GRand *random = g_rand_new_with_seed(7);
    unsigned int accepted = 0;

    for (unsigned int i = 0; i < 300; i++) {
        struct core_rig *rig = core_rig_new(MODE_K23);
        g_autofree uint8_t *bytes = g_memdup2(stream->data, stream->len);

        for (unsigned int j = 0; j <= i % 3; j++) {
            /* the head, its VFDs, or what comes behind the data of pipes */
            guint32 at = g_rand_boolean(random)
                             ? (guint32)g_rand_int_range(random, 0, 250)
                             : (guint32)g_rand_int_range(random, 70200, 71000);

            bytes[MIN(at, stream->len - 33)] ^= (uint8_t)(1u
                                                          << g_rand_int_range(
                                                                 random, 0, 8));
        }
        sign(bytes, stream->len);
        if (load_any(rig, bytes, stream->len) == 0) {
            accepted++;
            vwl_core_remake(rig->core);
            next_message(rig);
            ask_close(rig, i % 7 + 1);
            ask_close(rig, 0x40000000 + i % 3);
            for (unsigned int j = 0; j < 40 && next_message(rig) > 0; j++) {
                ask_close(rig, get32(rig->message + 8));
            }
        }
        core_rig_free(rig);
    }
    g_assert_cmpuint(accepted, >, 20);
    g_rand_free(random);
    g_byte_array_unref(stream);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/snapshot/whole", GINT_TO_POINTER(0), test_whole);
    g_test_add_data_func("/snapshot/whole/maps-later", GINT_TO_POINTER(1),
                         test_whole);
    g_test_add_func("/snapshot/again", test_again);
    g_test_add_func("/snapshot/refused", test_refused);
    g_test_add_func("/snapshot/listed-twice", test_listed_twice);
    g_test_add_func("/snapshot/forged", test_forged);
    g_test_add_func("/snapshot/limits", test_limits);
    g_test_add_func("/snapshot/maps-refused", test_maps_refused);
    return g_test_run();
}
