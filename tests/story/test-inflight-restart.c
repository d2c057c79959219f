/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device that dies, or a front-end that goes, with requests in flight: with
 * the in-flight buffer of before each of them is answered once, by an error,
 * and what comes then is served. One that only stops its rings finds there what
 * was in flight (GET_VRING_BASE_INFLIGHT), and nothing is lost.
 */
#include "device.h"
#include "rig.h"
#include "wl_names.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SENDS 5

static int buffer = -1;
static bool features_last;
static uint8_t numbers[24]; /* size, offset, 2 queues of 256, padding */

static int start_with_buffer(struct vwl_fe *fe)
{
    static const uint8_t wanted[24] = { [16] = 2, [19] = 1 };
    struct vwl_fe_message get = {
        .request = VHOST_USER_GET_INFLIGHT_FD,
        .payload = wanted,
        .len = 24,
        .answer = true,
        .reply = numbers,
        .reply_len = sizeof numbers,
        .reply_fd = &buffer,
    };
    struct vwl_fe_message set = {
        .request = VHOST_USER_SET_INFLIGHT_FD,
        .payload = numbers,
        .len = 24,
        .fds = &buffer,
        .n_fds = 1,
        .ack = true,
    };
    struct vwl_fe_message features = {
        .request = VHOST_USER_SET_FEATURES,
        .payload = &fe->features,
        .len = sizeof fe->features,
    };
    int r;

    /* First, since the buffer's form is that of the rings. */
    if (!features_last) {
        g_assert_cmpint(vwl_fe_request(fe, &features), ==, 0);
    }
    if (buffer < 0) {
        g_assert_cmpint(vwl_fe_request(fe, &get), ==, 0);
        g_assert_cmpuint(get.reply_len, ==, 24);
        g_assert_cmpint(buffer, >=, 0);
    }
    g_assert_cmpint(vwl_fe_request(fe, &set), ==, 0);
    fe->options.start = NULL;
    r = vwl_fe_start(fe);
    fe->options.start = start_with_buffer;
    return r;
}

static struct rig *begin(gconstpointer packed)
{
    struct rig_options options = {
        .device = RIG_DAEMON, .n_peers = 1,
        .fe = {
            .packed = GPOINTER_TO_INT(packed) != 0,
            .protocol_features_on =
                UINT64_C(1) << VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD,
            .start = start_with_buffer,
        },
    };

    return rig_new(&options);
}

static void end(struct rig *r)
{
    close(buffer);
    buffer = -1;
    rig_free(r);
}

static void kill_daemon(struct rig *r)
{
    int status;

    g_assert_cmpint(kill(r->pid, SIGKILL), ==, 0);
    g_assert_cmpint(waitpid(r->pid, &status, 0), ==, r->pid);
    g_spawn_close_pid(r->pid);
    close(r->daemon_log);
    unlink(r->daemon_socket);
    g_free(r->daemon_socket);
    rig_device_create(r);
}

/* The same guest, with its memory and rings, over a new connection. */
static void connect_again(struct rig *r)
{
    bool packed = r->options.fe.packed;
    struct vwl_fe *fe = r->fe;

    close(fe->fd);
    close(fe->backend);
    fe->backend = -1;
    fe->fd = rig_device_connect(r);
    g_assert_cmpint(fcntl(fe->fd, F_SETFL, O_NONBLOCK), ==, 0);
    fe->gone = false;
    vwl_window_drop_all(&fe->window);
    g_assert_cmpint(vwl_fe_handshake(fe), ==, 0);
    /* What a VMM says when nobody can answer it any more: where the driver
     * has seen the ring, which the buffer knows better. */
    for (unsigned int i = 0; i < 2; i++) {
        const struct vwl_ring *ring = i == 0 ? &r->drv->in : &r->drv->out;

        fe->ring[i].base = packed ? (ring->used | (uint32_t)ring->used_wrap
                                                      << 15) *
                                        0x10001u
                                  : ring->used;
    }
    g_assert_cmpint(vwl_fe_start(fe), ==, 0);
}

static int hang(struct rig *r, struct vwl_drv_request **sends, uint8_t *data)
{
    int peer = rig_open_ctx(r, 1, 0);

    for (unsigned int i = 0; i < SENDS; i++) {
        sends[i] = vwl_drv_send_async(r->drv, 1, NULL, 0, data, 1000000);
        g_assert_nonnull(sends[i]);
        g_assert_cmpint(vwl_drv_new(r->drv, 100 + i, 4096), ==, RESP_VFD_NEW);
    }
    rig_settle(r);
    g_assert_false(sends[SENDS - 1]->done);
    return peer;
}

static void check_ended(struct rig *r, struct vwl_drv_request **sends)
{
    for (unsigned int i = 0; i < SENDS; i++) {
        bool before = sends[i]->done;

        g_assert_cmpint(vwl_drv_wait(r->drv, sends[i], RIG_TIMEOUT_MS), ==, 0);
        if (!before) {
            g_assert_cmphex(vwl_drv_request_type(sends[i]), !=, RESP_OK);
            g_assert_cmphex(vwl_drv_request_type(sends[i]), >=, RESP_ERR);
        }
        vwl_drv_request_free(r->drv, sends[i]);
    }
    rig_settle(r); /* a second answer would be a complaint */
    g_assert_cmpuint(r->drv->in_flight, ==, 0);
}

static void check_works(struct rig *r)
{
    for (uint32_t id = 1; id < 600; id++) {
        g_assert_cmpint(vwl_drv_new(r->drv, 1, 4096), ==, RESP_VFD_NEW);
        g_assert_nonnull(vwl_drv_map(r->drv, 1));
        g_assert_cmpint(vwl_drv_close(r->drv, 1), ==, RESP_OK);
    }
}

static void test_killed(gconstpointer packed)
{
    struct rig *r = begin(packed);
    uint8_t *data = g_malloc0(1000000);
    struct vwl_drv_request *sends[SENDS];

    for (unsigned int i = 0; i < 3; i++) {
        int peer = hang(r, sends, data);

        kill_daemon(r);
        rig_read_to_end(r, peer);
        close(peer);
        connect_again(r);
        check_ended(r, sends);
        check_works(r);
    }
    g_free(data);
    end(r);
}

/* The daemon lives; the front-end comes back with its buffer. */
static void test_front_end_goes(gconstpointer packed)
{
    struct rig *r = begin(packed);
    uint8_t *data = g_malloc0(1000000);
    struct vwl_drv_request *sends[SENDS];

    for (unsigned int i = 0; i < 3; i++) {
        int peer = hang(r, sends, data);

        connect_again(r);
        rig_read_to_end(r, peer);
        close(peer);
        check_ended(r, sends);
        check_works(r);
    }
    g_free(data);
    end(r);
}

/* Marks of the out queue, in a buffer of two queues. */
static unsigned int marks(bool packed)
{
    size_t half = (numbers[0] | (size_t)numbers[1] << 8 |
                   (size_t)numbers[2] << 16) /
                  2;
    size_t unit = packed ? 32 : 16; /* the header's, and each entry's */
    unsigned int n = 0;
    uint8_t *at = mmap(NULL, 2 * half, PROT_READ, MAP_SHARED, buffer, 0);

    g_assert_true(at != MAP_FAILED);
    for (size_t i = 1; i <= 256; i++) {
        n += at[half + i * unit];
    }
    munmap(at, 2 * half);
    return n;
}

/* Rings that stop do not wait for what is in flight, which the front-end was
 * told by protocol bit 20: it is in the buffer, and goes on afterwards. */
static void test_stopped(gconstpointer packed)
{
    struct rig *r = begin(packed);
    bool is_packed = GPOINTER_TO_INT(packed) != 0;
    uint8_t *data = g_malloc(1000000), *got = g_malloc(1000000);
    struct vwl_drv_request *sends[SENDS];
    unsigned int waiting = 0;
    int peer;

    g_assert_true(r->fe->device_protocol >> 20 & 1);
    for (size_t i = 0; i < 1000000; i++) {
        data[i] = (uint8_t)(i * 7 + i / 251);
    }
    peer = hang(r, sends, data);
    for (int round = 0; round < 3; round++) {
        g_assert_cmpint(vwl_fe_stop(r->fe), ==, 0);
        rig_settle(r);
        waiting = 0;
        for (unsigned int i = 0; i < SENDS; i++) {
            waiting += !sends[i]->done;
        }
        g_assert_cmpuint(waiting, >=, SENDS - 1);
        g_assert_cmpuint(marks(is_packed), ==, waiting);
        g_assert_cmpint(vwl_fe_start(r->fe), ==, 0);
    }
    for (unsigned int i = 0; i < SENDS; i++) {
        rig_read(r, peer, got, 1000000, NULL, NULL);
        g_assert_cmpmem(got, 1000000, data, 1000000);
        g_assert_cmpint(vwl_drv_wait(r->drv, sends[i], RIG_TIMEOUT_MS), ==, 0);
        g_assert_cmphex(vwl_drv_request_type(sends[i]), ==, RESP_OK);
        vwl_drv_request_free(r->drv, sends[i]);
    }
    rig_settle(r);
    g_assert_cmpuint(r->drv->in_flight, ==, 0);
    g_assert_cmpuint(marks(is_packed), ==, 0);
    g_free(got);
    g_free(data);
    close(peer);
    end(r);
}

/* Killed with nothing in flight, and with what the dead never saw. */
static void test_killed_idle(gconstpointer packed)
{
    struct rig *r = begin(packed);
    uint8_t request[64] = { 0x00, 0x01, [8] = 7, [25] = 0x10 };
    struct vwl_drv_request *unseen;

    check_works(r);
    g_assert_cmpint(kill(r->pid, SIGSTOP), ==, 0);
    unseen = vwl_drv_submit(r->drv, request, sizeof request, 64, NULL);
    g_assert_nonnull(unseen);
    kill_daemon(r);
    connect_again(r);
    g_assert_cmpint(vwl_drv_wait(r->drv, unseen, RIG_TIMEOUT_MS), ==, 0);
    g_assert_cmphex(vwl_drv_request_type(unseen), ==, RESP_VFD_NEW);
    vwl_drv_request_free(r->drv, unseen);
    check_works(r);
    end(r);
}

/* A buffer of the other form than the rings: not used, and no harm done. */
static void test_other_form(gconstpointer packed)
{
    struct rig *r;

    features_last = true;
    r = begin(packed);
    check_works(r);
    features_last = false;
    end(r);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*test)(gconstpointer);
    } tests[] = {
        { "killed", test_killed },
        { "killed-idle", test_killed_idle },
        { "other-form", test_other_form },
        { "front-end-goes", test_front_end_goes },
        { "stopped", test_stopped },
    };

    g_test_init(&argc, &argv, NULL);
    for (unsigned int i = 0; i < 2 * G_N_ELEMENTS(tests); i++) {
        char *path = g_strdup_printf("/inflight-restart/%s/%s",
                                     tests[i / 2].name,
                                     i % 2 != 0 ? "packed" : "split");

        g_test_add_data_func(path, GINT_TO_POINTER(i % 2), tests[i / 2].test);
        g_free(path);
    }
    return g_test_run();
}
