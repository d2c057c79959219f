/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Transfers that the host is asked about: nothing moves before its yes, and
 * everything else of the connection goes on. The clock is the test's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ask.h"
#include "bytes.h"
#include "fds.h"
#include "own_clock.h"
#include "policy_rig.h"
#include "socket.h"
#include "wl/kinds/ctx_ask.h"

enum {
    CTX = 1,
    PIPE = 2,
};

/* Objects of the client's. */
enum {
    MANAGER = 3,
    SEAT,
    DEVICE,
    SOURCE,
    KEYBOARD,
};

#define OFFER SERVER_ID

/* The guest sends one message, and its host peer gets it. */
static void say(struct core_rig *rig, int compositor, GByteArray *message)
{
    uint8_t data[256];

    g_assert_cmphex(ask_send(rig, CTX, NULL, 0, message->data, message->len),
                    ==, RESP_OK);
    g_assert_cmpint(socket_receive(compositor, data, sizeof data, NULL, NULL),
                    ==, (ssize_t)message->len);
    g_assert_cmpmem(data, message->len, message->data, message->len);
    g_byte_array_unref(message);
}

/* The other way. */
static void tell(struct core_rig *rig, int compositor, GByteArray *message)
{
    const uint8_t *data;
    size_t n;

    socket_send(compositor, message->data, message->len, NULL, 0);
    data = expect_recv(rig, CTX, 0, &n);
    g_assert_cmpmem(data, n, message->data, message->len);
    g_byte_array_unref(message);
}

/* A client with a clipboard to paste from, OFFER, and one of its own. */
static struct core_rig *begin(int *compositor)
{
    const struct vwl_socket_policy policy = {
        .size = sizeof policy,
        .clipboard = VWL_TRANSFER_ASK,
    };
    struct core_rig *rig = core_rig_new(MODE_K23);

    rig->asks_host = true;
    g_assert_cmpint(vwl_rules_create(&policy, &rig->log, &rig->rules[0]), ==,
                    0);
    *compositor = open_ctx(rig, CTX);
    say(rig, *compositor, message(DISPLAY, 1, "u", (uint32_t)REGISTRY));
    tell(rig, *compositor,
         message(REGISTRY, 0, "usu", 1u, "wl_data_device_manager", 3u));
    tell(rig, *compositor, message(REGISTRY, 0, "usu", 2u, "wl_seat", 5u));
    say(rig, *compositor,
        message(REGISTRY, 0, "usuu", 1u, "wl_data_device_manager", 3u,
                (uint32_t)MANAGER));
    say(rig, *compositor,
        message(REGISTRY, 0, "usuu", 2u, "wl_seat", 5u, (uint32_t)SEAT));
    say(rig, *compositor,
        message(MANAGER, 1, "uu", (uint32_t)DEVICE, (uint32_t)SEAT));
    say(rig, *compositor, message(MANAGER, 0, "u", (uint32_t)SOURCE));
    say(rig, *compositor, message(DEVICE, 1, "uu", (uint32_t)SOURCE, 7u));
    tell(rig, *compositor, message(DEVICE, 0, "u", OFFER));
    tell(rig, *compositor, message(DEVICE, 5, "u", OFFER));
    return rig;
}

static void finish(struct core_rig *rig, int compositor)
{
    close(compositor);
    core_rig_free(rig);
}

/* The guest pastes: the host is asked, and its peer hears nothing so far. */
static GByteArray *paste(struct core_rig *rig, int compositor, uint32_t pipe)
{
    GByteArray *receive = message(OFFER, 1, "s", "text/plain");
    unsigned int asked = rig->n_transfers;

    g_assert_cmphex(ask_new(rig, VIRTIO_WL_CMD_VFD_NEW_PIPE, pipe,
                            VIRTIO_WL_VFD_READ, 0),
                    ==, RESP_VFD_NEW);
    g_assert_cmphex(ask_send(rig, CTX, &pipe, 1, receive->data, receive->len),
                    ==, RESP_OK);
    g_assert_cmpuint(rig->n_transfers, ==, asked + 1);
    g_assert_cmpuint(rig->transfer_index, ==, 0);
    g_assert_cmpuint(rig->transfer_kind, ==, VWL_KIND_CLIPBOARD);
    g_assert_cmpuint(rig->transfer_way, ==, VWL_TRANSFER_TO_GUEST);
    expect_silence(compositor);
    /* all else goes on */
    say(rig, compositor, message(DEVICE, 1, "uu", 0u, 8u));
    return receive;
}

static void answer(struct core_rig *rig, int32_t status)
{
    g_assert_cmpint(send(rig->transfer_fd, &status, sizeof status, 0), ==,
                    sizeof status);
    close(rig->transfer_fd);
    own_clock_advance(rig, 0);
}

static void test_yes(void)
{
    int compositor, fds[253];
    struct core_rig *rig = begin(&compositor);
    GByteArray *receive = paste(rig, compositor, PIPE);
    unsigned int n_fds;
    uint8_t data[64];

    answer(rig, 0);
    g_assert_cmpint(socket_receive(compositor, data, sizeof data, fds, &n_fds),
                    ==, (ssize_t)receive->len);
    g_assert_cmpmem(data, receive->len, receive->data, receive->len);
    g_assert_cmpuint(n_fds, ==, 1);
    close(fds[0]);
    g_byte_array_unref(receive);
    finish(rig, compositor);
}

/* What the reader of a refused transfer sees: its end. */
static void expect_refused(struct core_rig *rig, int compositor)
{
    own_clock_advance(rig, 0);
    expect_silence(compositor);
    expect_hup(rig, PIPE);
}

static void test_no(void)
{
    for (int how = 0; how < 3; how++) {
        int compositor;
        struct core_rig *rig = begin(&compositor);

        g_byte_array_unref(paste(rig, compositor, PIPE));
        if (how == 0) {
            answer(rig, -EPERM);
        } else if (how == 1) {
            close(rig->transfer_fd);
        } else {
            g_assert_cmpint(send(rig->transfer_fd, "", 1, 0), ==, 1);
            close(rig->transfer_fd);
        }
        expect_refused(rig, compositor);
        finish(rig, compositor);
    }
}

static void test_deadline(void)
{
    int compositor;
    struct core_rig *rig = begin(&compositor);
    const char *line;

    g_byte_array_unref(paste(rig, compositor, PIPE));
    own_clock_advance(rig, VWL_ASK_MS - 1);
    g_assert_cmpint(next_message(rig), ==, 0);
    own_clock_advance(rig, 1);
    expect_refused(rig, compositor);
    line = rig->lines->pdata[rig->lines->len - 1];
    g_assert_nonnull(strstr(line, "nobody allowed a transfer in time"));
    /* the host sees that nobody waits any more */
    g_assert_true(is_readable(rig->transfer_fd));
    close(rig->transfer_fd);
    finish(rig, compositor);
}

/* Away from the guest: its own source is to send. */
static void test_from_guest(void)
{
    int compositor, ends[2];
    struct core_rig *rig = begin(&compositor);
    GByteArray *send = message(SOURCE, 1, "s", "text/plain");

    g_assert_cmpint(pipe(ends), ==, 0);
    socket_send(compositor, send->data, send->len, &ends[1], 1);
    close(ends[1]);
    g_assert_cmpint(next_message(rig), ==, 0);
    g_assert_cmpuint(rig->n_transfers, ==, 1);
    g_assert_cmpuint(rig->transfer_way, ==, VWL_TRANSFER_FROM_GUEST);
    answer(rig, 0);
    g_assert_cmpint(next_message(rig), >, 0);
    g_assert_cmphex(get32(rig->message), ==, CMD_VFD_NEW);
    close(ends[0]);
    g_byte_array_unref(send);
    finish(rig, compositor);
}

/* What the host peer said before, and is still being mapped, comes first; a
 * guest that goes meanwhile has neither. */
static void test_behind_a_map(gconstpointer data)
{
    bool goes = GPOINTER_TO_INT(data);
    int compositor, ends[2], keymap;
    struct core_rig *rig = begin(&compositor);
    GByteArray *map = message(KEYBOARD, 0, "uu", 1u, 4096u);
    GByteArray *send = message(SOURCE, 1, "s", "text/plain");
    const struct core_rig_op *op;
    const uint8_t *told;
    size_t n;

    say(rig, compositor, message(SEAT, 1, "u", (uint32_t)KEYBOARD));
    g_assert_cmpint(pipe(ends), ==, 0);
    socket_send(compositor, send->data, send->len, &ends[1], 1);
    g_assert_cmpint(next_message(rig), ==, 0);
    g_assert_cmpuint(rig->n_transfers, ==, 1);
    rig->map_later = true;
    keymap = sealed_file(4096, F_SEAL_SHRINK);
    socket_send(compositor, map->data, map->len, &keymap, 1);
    g_assert_cmpint(next_message(rig), ==, 0);
    answer(rig, 0);
    g_assert_cmpint(next_message(rig), ==, 0);
    op = &g_array_index(rig->ops, struct core_rig_op, rig->ops->len - 1);
    g_assert_true(op->is_map);
    if (goes) {
        g_assert_cmphex(ask_close(rig, CTX), ==, RESP_OK);
    }
    vwl_core_map_done(rig->core, op->cookie, 0);
    if (!goes) {
        g_assert_cmpint(next_message(rig), ==, 32); /* VFD_NEW */
        told = expect_recv(rig, CTX, 1, &n);
        g_assert_cmpmem(told, n, map->data, map->len);
        g_assert_cmpint(next_message(rig), ==, 32);
        told = expect_recv(rig, CTX, 1, &n);
        g_assert_cmpmem(told, n, send->data, send->len);
    }
    g_assert_cmpint(next_message(rig), ==, 0);
    close(keymap);
    close(ends[0]);
    close(ends[1]);
    g_byte_array_unref(map);
    g_byte_array_unref(send);
    finish(rig, compositor);
}

/* The guest goes meanwhile: nothing is left, and an answer hits nothing. */
static void test_gone(void)
{
    for (int how = 0; how < 3; how++) {
        int compositor;
        struct core_rig *rig = begin(&compositor);

        g_byte_array_unref(paste(rig, compositor, PIPE));
        if (how == 0) {
            g_assert_cmphex(ask_close(rig, CTX), ==, RESP_OK);
        } else if (how == 1) {
            vwl_core_reset(rig->core, true);
        } else {
            say(rig, compositor, message(OFFER, 2, ""));
        }
        /* the host sees that nobody waits any more */
        g_assert_true(is_readable(rig->transfer_fd));
        close(rig->transfer_fd);
        finish(rig, compositor);
    }
}

/* So many questions at once; the next transfer is refused unasked. */
static void test_many(void)
{
    int compositor, ends[VWL_ASKS_MAX];
    struct core_rig *rig = begin(&compositor);
    GByteArray *receive = message(OFFER, 1, "s", "text/plain");
    uint32_t last = PIPE + VWL_ASKS_MAX;

    for (uint32_t i = 0; i < VWL_ASKS_MAX; i++) {
        g_byte_array_unref(paste(rig, compositor, PIPE + i));
        ends[i] = rig->transfer_fd;
    }
    g_assert_cmphex(ask_new(rig, VIRTIO_WL_CMD_VFD_NEW_PIPE, last,
                            VIRTIO_WL_VFD_READ, 0),
                    ==, RESP_VFD_NEW);
    g_assert_cmphex(ask_send(rig, CTX, &last, 1, receive->data, receive->len),
                    ==, RESP_OK);
    g_assert_cmpuint(rig->n_transfers, ==, VWL_ASKS_MAX);
    expect_hup(rig, last);
    for (uint32_t i = 0; i < VWL_ASKS_MAX; i++) {
        close(ends[i]);
    }
    g_byte_array_unref(receive);
    finish(rig, compositor);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/core-ask/yes", test_yes);
    g_test_add_func("/core-ask/no", test_no);
    g_test_add_func("/core-ask/deadline", test_deadline);
    g_test_add_func("/core-ask/from-guest", test_from_guest);
    g_test_add_data_func("/core-ask/behind-a-map", GINT_TO_POINTER(false),
                         test_behind_a_map);
    g_test_add_data_func("/core-ask/behind-a-map-gone", GINT_TO_POINTER(true),
                         test_behind_a_map);
    g_test_add_func("/core-ask/gone", test_gone);
    g_test_add_func("/core-ask/many", test_many);
    return g_test_run();
}
