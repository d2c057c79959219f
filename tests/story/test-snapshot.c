/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All that a guest has open is written to a pipe, the device goes, and
 * another one reads it: the guest, whose memory stayed, goes on.
 */
#include "saved.h"
#include "story.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define MANY 3000000
#define STATE_BIT (UINT64_C(1) << VHOST_USER_PROTOCOL_F_DEVICE_STATE)

static struct rig *begin(enum rig_device device, bool packed)
{
    struct rig_options options = {
        .device = device,
        .n_peers = 1,
        .fe = { .packed = packed, .protocol_features_on = STATE_BIT },
    };

    return rig_new(&options);
}

static uint8_t *pattern(size_t len)
{
    uint8_t *data = g_malloc(len);

    for (size_t i = 0; i < len; i++) {
        data[i] = (uint8_t)(i * 7 + i / 251);
    }
    return data;
}

struct story {
    int peer, pipe;
    uint64_t pfn;
    uint32_t keymap;
    struct vwl_drv_request *stuck;
};

/* A connection with a request that waits, memory, a copy, two pipes. */
static void open_all(struct rig *r, struct story *s, uint8_t *data)
{
    int file = story_memfd(5000, 0, 'k');

    s->peer = rig_open_ctx(r, 1, 0);
    g_assert_cmphex((unsigned)vwl_drv_new(r->drv, 2, 200000), ==, RESP_VFD_NEW);
    memcpy(vwl_drv_map(r->drv, 2), data, 200000);
    s->pfn = vwl_drv_find(r->drv, 2)->pfn;
    s->keymap = story_give(r, 1, s->peer, file);
    ((char *)vwl_drv_map(r->drv, s->keymap))[1] = '!';
    g_assert_cmphex((unsigned)vwl_drv_new_pipe(r->drv, 3, VFD_READ), ==,
                    RESP_VFD_NEW);
    s->pipe = story_take(r, 1, s->peer, 3);
    g_assert_cmphex((unsigned)vwl_drv_new_pipe(r->drv, 4, VFD_WRITE), ==,
                    RESP_VFD_NEW);
    g_assert_cmphex((unsigned)vwl_drv_send(r->drv, 4, NULL, 0, data, 60000), ==,
                    RESP_OK);
    g_assert_cmphex((unsigned)vwl_drv_send(r->drv, 4, NULL, 0, data + 60000,
                                           30000),
                    ==, RESP_OK);
    s->stuck = vwl_drv_send_async(r->drv, 1, NULL, 0, data, MANY);
    g_assert_nonnull(s->stuck);
    /* the device is at it, and cannot get to its end */
    rig_wait_readable(r, s->peer);
    rig_settle(r);
    g_assert_false(s->stuck->done);
    g_assert_cmpint(vwl_fe_stop(r->fe), ==, 0);
    g_assert_cmpint(write(s->pipe, "in the pipe", 11), ==, 11);
    close(file);
}

/* What was sent to the unsent pipe arrives once somebody has its end. */
static void check_unsent(struct rig *r, const uint8_t *data)
{
    int peer = rig_open_ctx(r, 5, 0), end;
    uint8_t *got = g_malloc(90004);

    end = story_take(r, 5, peer, 4);
    g_assert_cmphex((unsigned)vwl_drv_send(r->drv, 4, NULL, 0, "more", 4), ==,
                    RESP_OK);
    rig_read(r, end, got, 90004, NULL, NULL);
    g_assert_cmpmem(got, 90000, data, 90000);
    g_assert_cmpmem(got + 90000, 4, "more", 4);
    g_free(got);
    close(end);
    close(peer);
}

/* What the host had on this side is gone. */
static bool have_hung_up(void *opaque)
{
    struct rig *r = opaque;

    return vwl_drv_find(r->drv, 1)->hup && vwl_drv_find(r->drv, 3)->hup;
}

static void check_all(struct rig *r, struct story *s, const uint8_t *data)
{
    char text[16];
    char *keymap;

    g_assert_cmpint(vwl_drv_wait(r->drv, s->stuck, RIG_TIMEOUT_MS), ==, 0);
    g_assert_cmphex(vwl_drv_request_type(s->stuck), ==, RESP_ERR);
    vwl_drv_request_free(r->drv, s->stuck);
    g_assert_cmpuint(vwl_drv_find(r->drv, 2)->pfn, ==, s->pfn);
    g_assert_cmpmem(vwl_drv_map(r->drv, 2), 200000, data, 200000);
    keymap = vwl_drv_map(r->drv, s->keymap);
    g_assert_nonnull(keymap);
    g_assert_cmpmem(keymap, 3, "k!k", 3);
    g_assert_cmpint(vwl_drv_recv(r->drv, 3, text, sizeof text, NULL, NULL,
                                 RIG_TIMEOUT_MS),
                    ==, 11);
    g_assert_cmpmem(text, 11, "in the pipe", 11);
    rig_wait(r, have_hung_up, r);
    rig_settle(r);
    g_assert_false(vwl_drv_find(r->drv, 4)->hup);
    check_unsent(r, data);
    /* ids go on from where they were */
    g_assert_cmphex((unsigned)vwl_drv_close(r->drv, 1), ==, RESP_OK);
    close(s->peer);
    s->peer = rig_open_ctx(r, 1, 0);
    story_alive(r, 1, s->peer);
    g_assert_cmphex(story_give(r, 1, s->peer, s->pipe), ==, s->keymap + 1);
    g_assert_cmpuint(r->drv->in_flight, ==, 0);
    close(s->peer);
    close(s->pipe);
}

static void whole(enum rig_device device, bool packed, bool features_first)
{
    struct rig *r = begin(device, packed);
    uint8_t *data = pattern(MANY);
    GByteArray *stream;
    struct story s;

    open_all(r, &s, data);
    stream = saved_save(r);
    saved_replace_device(r);
    if (features_first) {
        struct vwl_fe_message msg = {
            .request = VHOST_USER_SET_FEATURES,
            .payload = &r->fe->features,
            .len = 8,
            .ack = true,
        };

        g_assert_cmpint(vwl_fe_request(r->fe, &msg), ==, 0);
    }
    g_assert_cmphex(saved_load(r, stream->data, stream->len), ==, 0);
    g_assert_cmpuint(vwl_window_count(&r->fe->window), ==, 0);
    g_assert_cmpint(vwl_fe_start(r->fe), ==, 0);
    check_all(r, &s, data);
    g_byte_array_unref(stream);
    g_free(data);
    rig_free(r);
}

static void test_daemon(gconstpointer packed)
{
    whole(RIG_DAEMON, GPOINTER_TO_INT(packed), false);
}

static void test_in_process(gconstpointer packed)
{
    whole(RIG_CONTEXT, GPOINTER_TO_INT(packed), true);
}

/* The device that was saved goes on as if nothing had been. */
static void test_goes_on(gconstpointer packed)
{
    struct rig *r = begin(RIG_CONTEXT, GPOINTER_TO_INT(packed));
    int peer = rig_open_ctx(r, 1, 0);
    uint8_t *data = pattern(MANY), *got = g_malloc(MANY);
    struct vwl_drv_request *req;
    GByteArray *stream;

    req = vwl_drv_send_async(r->drv, 1, NULL, 0, data, MANY);
    rig_settle(r);
    g_assert_cmpint(vwl_fe_stop(r->fe), ==, 0);
    stream = saved_save(r);
    g_assert_cmpint(vwl_fe_start(r->fe), ==, 0);
    rig_read(r, peer, got, MANY, NULL, NULL);
    g_assert_cmpmem(got, MANY, data, MANY);
    g_assert_cmpint(vwl_drv_wait(r->drv, req, RIG_TIMEOUT_MS), ==, 0);
    g_assert_cmphex(vwl_drv_request_type(req), ==, RESP_OK);
    vwl_drv_request_free(r->drv, req);
    story_alive(r, 1, peer);
    /* the same device takes its state back: connections end */
    g_assert_cmpint(vwl_fe_stop(r->fe), ==, 0);
    g_byte_array_unref(stream);
    stream = saved_save(r);
    g_assert_cmphex(saved_load(r, stream->data, stream->len), ==, 0);
    rig_read_to_end(r, peer);
    g_assert_cmpint(vwl_fe_start(r->fe), ==, 0);
    rig_settle(r);
    g_assert_true(vwl_drv_find(r->drv, 1)->hup);
    g_byte_array_unref(stream);
    g_free(data);
    g_free(got);
    close(peer);
    rig_free(r);
}

/* The front-end's end of the pipe is the same open file as the device's: what
 * it does to the flags makes nobody wait. */
static void test_blocking(gconstpointer packed)
{
    struct rig *r = begin(RIG_CONTEXT, GPOINTER_TO_INT(packed));
    const uint32_t load_now[2] = { 1, 0 };
    int fds[2];

    g_assert_cmpint(vwl_fe_stop(r->fe), ==, 0);
    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    g_assert_cmphex(saved_ask(r, VHOST_USER_SET_DEVICE_STATE_FD, load_now,
                              &fds[0]),
                    ==, VHOST_USER_VRING_NOFD_MASK);
    g_assert_cmpint(fcntl(fds[0], F_SETFL, 0), ==, 0);
    g_assert_cmpint(write(fds[1], "x", 1), ==, 1);
    rig_settle(r);
    close(fds[1]);
    g_assert_cmphex(saved_ask(r, VHOST_USER_CHECK_DEVICE_STATE, NULL, NULL), ==,
                    1);
    close(fds[0]);
    rig_free(r);
}

static void test_refused(gconstpointer packed)
{
    struct rig *r = begin(RIG_CONTEXT, GPOINTER_TO_INT(packed));
    const uint32_t save_now[2] = { 0, 0 }, odd[2] = { 0, 1 };
    int peer = rig_open_ctx(r, 1, 0), fds[2];
    GByteArray *stream;

    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    g_assert_cmphex(saved_ask(r, VHOST_USER_SET_DEVICE_STATE_FD, save_now,
                              &fds[1]) &
                        0xff,
                    !=, 0); /* runs */
    g_assert_cmphex((unsigned)vwl_drv_new(r->drv, 2, 4096), ==, RESP_VFD_NEW);
    g_assert_cmpint(vwl_fe_stop(r->fe), ==, 0);
    g_assert_cmphex(saved_ask(r, VHOST_USER_SET_DEVICE_STATE_FD, odd, &fds[1]) &
                        0xff,
                    !=, 0);
    close(fds[0]);
    close(fds[1]);
    g_assert_cmphex(saved_ask(r, VHOST_USER_CHECK_DEVICE_STATE, NULL, NULL), !=,
                    0); /* of nothing */
    stream = saved_save(r);
    stream->data[8]++;
    g_assert_cmphex(saved_load(r, stream->data, stream->len), ==, 1);
    g_assert_true(rig_logged(r, "its version is not 1"));
    stream->data[8]--;
    for (guint len = 0; len < stream->len; len += len < 300 ? 1 : 61) {
        g_assert_cmphex(saved_load(r, stream->data, len), ==, 1);
    }
    for (guint at = 0; at < stream->len; at += at < 200 ? 1 : 71) {
        stream->data[at] ^= 0x10;
        g_assert_cmphex(saved_load(r, stream->data, stream->len), ==, 1);
        stream->data[at] ^= 0x10;
    }
    /* all of it is still there */
    g_assert_cmpint(vwl_fe_start(r->fe), ==, 0);
    story_alive(r, 1, peer);
    g_assert_cmphex((unsigned)vwl_drv_new(r->drv, 2, 4096), ==,
                    RESP_INVALID_ID);
    g_byte_array_unref(stream);
    close(peer);
    rig_free(r);
}

/* Another driver than the one that was saved: nothing of it is left. */
static void test_other_features(gconstpointer packed)
{
    struct rig *r = begin(RIG_CONTEXT, GPOINTER_TO_INT(packed));
    int peer = rig_open_ctx(r, 1, 0);
    uint64_t features = r->fe->features & ~UINT64_C(0x4); /* SEND_FENCES */
    struct vwl_fe_message msg = {
        .request = VHOST_USER_SET_FEATURES,
        .payload = &features,
        .len = 8,
        .ack = true,
    };
    GByteArray *stream;

    g_assert_cmpint(vwl_fe_stop(r->fe), ==, 0);
    stream = saved_save(r);
    saved_replace_device(r);
    g_assert_cmpint(vwl_fe_request(r->fe, &msg), ==, 0);
    g_assert_cmphex(saved_load(r, stream->data, stream->len), ==, 1);
    g_byte_array_unref(stream);
    close(peer);
    rig_free(r);
}

/* A pipe that nobody reads, one that nobody feeds. */
static void test_nobody(gconstpointer packed)
{
    struct rig *r = begin(RIG_CONTEXT, GPOINTER_TO_INT(packed));
    int peer = rig_open_ctx(r, 1, 0), fd;
    uint8_t *data = pattern(MANY);

    g_assert_cmphex((unsigned)vwl_drv_new(r->drv, 2, MANY), ==, RESP_VFD_NEW);
    memcpy(vwl_drv_map(r->drv, 2), data, MANY);
    g_assert_cmpint(vwl_fe_stop(r->fe), ==, 0);
    fd = saved_transfer(r, false);
    rig_settle(r);
    g_assert_cmpint(vwl_fe_set_mem_table(r->fe), ==, 0); /* answered */
    close(fd);
    rig_settle(r);
    g_assert_cmphex(saved_ask(r, VHOST_USER_CHECK_DEVICE_STATE, NULL, NULL), ==,
                    1); /* no SIGPIPE */
    fd = saved_transfer(r, false);
    rig_settle(r);
    g_assert_cmpint(vwl_fe_start(r->fe), ==, 0); /* ends it */
    story_alive(r, 1, peer);
    rig_read_to_end(r, fd);
    close(fd);
    g_assert_cmpint(vwl_fe_stop(r->fe), ==, 0);
    fd = saved_transfer(r, true);
    rig_settle(r);
    g_assert_cmpint(vwl_fe_start(r->fe), ==, 0);
    story_alive(r, 1, peer);
    close(fd);
    rig_settle(r);
    story_alive(r, 1, peer);
    /* one that is under way when the device stops */
    g_assert_cmpint(vwl_fe_stop(r->fe), ==, 0);
    fd = saved_transfer(r, true);
    rig_disconnect(r);
    close(fd);
    close(peer);
    g_free(data);
    rig_free(r);
}

/* The ABI's own: suspended, to a file and back, the host is told. */
static bool has_ended(void *opaque)
{
    return ((struct rig *)opaque)->states > 0;
}

static int move(struct rig *r, bool is_load, int *fd)
{
    int err = is_load ? r->plugin->device_load(r->device, fd)
                      : r->plugin->device_save(r->device, fd);

    g_assert_cmpint(err, ==, 0);
    g_assert_cmpint(*fd, ==, -1);
    rig_wait(r, has_ended, r);
    g_assert_cmpuint(r->states, ==, 1);
    r->states = 0;
    return r->state_err;
}

static void test_abi(gconstpointer packed)
{
    struct rig_options options = {
        .n_peers = 1,
        .host_map = true,
        .no_front_end = true,
        .fe = { .packed = GPOINTER_TO_INT(packed) },
    };
    struct rig *r = rig_new(&options);
    struct vwl_drv_request *stuck;
    uint8_t *data = pattern(MANY);
    int peer, fd, copy;

    fd = story_memfd(1, 0, 0);
    copy = fd;
    g_assert_cmpint(r->plugin->device_save(r->device, &fd), ==, -ENOTCONN);
    g_assert_cmpint(fd, ==, copy);
    rig_reconnect(r);
    g_assert_cmpint(r->plugin->device_load(r->device, &fd), ==, -EBUSY);
    peer = rig_open_ctx(r, 1, 0);
    g_assert_cmphex((unsigned)vwl_drv_new(r->drv, 2, 200000), ==, RESP_VFD_NEW);
    memcpy(vwl_drv_map(r->drv, 2), data, 200000);
    stuck = vwl_drv_send_async(r->drv, 1, NULL, 0, data, MANY);
    rig_settle(r);
    g_assert_cmpint(r->plugin->device_suspend(r->device, 1), ==, 0);
    copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    g_assert_cmpint(move(r, false, &fd), ==, 0);
    g_assert_cmpint(lseek(copy, 1, SEEK_SET), ==, 1);
    fd = copy;
    g_assert_cmpint(move(r, true, &fd), ==, 0);
    rig_read_to_end(r, peer);
    g_assert_cmpint(r->plugin->device_suspend(r->device, 0), ==, 0);
    g_assert_cmpint(vwl_drv_wait(r->drv, stuck, RIG_TIMEOUT_MS), ==, 0);
    g_assert_cmphex(vwl_drv_request_type(stuck), ==, RESP_ERR);
    vwl_drv_request_free(r->drv, stuck);
    rig_settle(r);
    g_assert_true(vwl_drv_find(r->drv, 1)->hup);
    g_assert_cmpmem(vwl_drv_map(r->drv, 2), 200000, data, 200000);
    close(peer);
    g_free(data);
    rig_free(r);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*test)(gconstpointer);
    } tests[] = {
        { "daemon", test_daemon },   { "in-process", test_in_process },
        { "goes-on", test_goes_on }, { "blocking", test_blocking },
        { "refused", test_refused }, { "other-features", test_other_features },
        { "nobody", test_nobody },   { "abi", test_abi },
    };

    signal(SIGPIPE, SIG_IGN); /* this program's; the daemon has its own */
    g_test_init(&argc, &argv, NULL);
    for (unsigned int i = 0; i < 2 * G_N_ELEMENTS(tests); i++) {
        char *path = g_strdup_printf("/snapshot/%s/%s", tests[i / 2].name,
                                     i % 2 != 0 ? "packed" : "split");

        g_test_add_data_func(path, GINT_TO_POINTER(i % 2), tests[i / 2].test);
        g_free(path);
    }
    return g_test_run();
}
