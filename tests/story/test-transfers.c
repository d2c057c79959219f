/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A host that is asked about each paste (transfer_request), with the device as
 * it runs: pastes that it allows late, denies, or never answers, guests that go
 * meanwhile, and more questions than it gets at once. The guest is a Wayland
 * client by plain bytes, and so is the compositor. The plugin's clock is the
 * test's, so that no deadline is waited for.
 */
#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "plain.h"
#include "story.h"

#define MOST 16u /* questions at once */
#define DEADLINE_MS 30000

enum { CTX = 1, PIPE };

/* Objects of the client's, and one of the compositor's. */
enum { DISPLAY = 1, REGISTRY = PLAIN_REGISTRY, MANAGER, SEAT, DEVICE };
#define OFFER 0xff000000u

/* ---- the clock ----------------------------------------------------------- */

static struct {
    int64_t skew_us;
    struct itimerspec due[64]; /* by descriptor */
} clock_of;

gint64 g_get_monotonic_time(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (gint64)now.tv_sec * 1000000 + now.tv_nsec / 1000 + clock_of.skew_us;
}

/* By the kernel's clock, which stands still with ours. */
static int arm(int fd, int flags, const struct itimerspec *spec,
               struct itimerspec *old)
{
    static int (*real)(int, int, const struct itimerspec *,
                       struct itimerspec *);
    struct itimerspec due = *spec;

    if (!real) {
        *(void **)&real = dlsym(RTLD_NEXT, "timerfd_settime");
    }
    if ((flags & TFD_TIMER_ABSTIME) && due.it_value.tv_sec) {
        due.it_value.tv_sec -= clock_of.skew_us / 1000000;
        due.it_value.tv_sec = MAX(due.it_value.tv_sec, 0);
    }
    return real(fd, flags, &due, old);
}

int timerfd_settime(int fd, int flags, const struct itimerspec *spec,
                    struct itimerspec *old)
{
    if (fd >= 0 && fd < (int)G_N_ELEMENTS(clock_of.due)) {
        clock_of.due[fd] = (flags & TFD_TIMER_ABSTIME)
                               ? *spec
                               : (struct itimerspec){ 0 };
    }
    return arm(fd, flags, spec, old);
}

static void pass_seconds(struct rig *r, int seconds)
{
    clock_of.skew_us += (int64_t)seconds * 1000000;
    for (int fd = 0; fd < (int)G_N_ELEMENTS(clock_of.due); fd++) {
        if (clock_of.due[fd].it_value.tv_sec) {
            arm(fd, TFD_TIMER_ABSTIME, &clock_of.due[fd], NULL);
        }
    }
    rig_settle(r);
}

/* ---- the host ------------------------------------------------------------ */

static struct {
    unsigned int n, refused;
    size_t index;
    uint32_t kind, way;
    int ends[MOST]; /* where it answers */
} asked;

static int on_transfer(void *opaque, size_t index, uint32_t kind, uint32_t way,
                       int *fd)
{
    int ends[2];

    if (asked.refused) {
        return -EBUSY;
    }
    g_assert_cmpuint(asked.n, <, MOST);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends),
                    ==, 0);
    asked.index = index;
    asked.kind = kind;
    asked.way = way;
    asked.ends[asked.n++] = ends[0];
    *fd = ends[1];
    return 0;
}

static void answer(unsigned int i, int32_t status)
{
    g_assert_cmpint(send(asked.ends[i], &status, sizeof status, 0), ==,
                    sizeof status);
    close(asked.ends[i]);
}

/* Nobody waits for its word any more. */
static void expect_dropped(struct rig *r, unsigned int i)
{
    char byte;

    rig_wait_readable(r, asked.ends[i]);
    g_assert_cmpint(recv(asked.ends[i], &byte, 1, MSG_DONTWAIT), ==, 0);
    close(asked.ends[i]);
}

/* ---- the guest, and the compositor --------------------------------------- */

static struct plain receive(void)
{
    struct plain message = plain_say(OFFER, 1);

    plain_add_text(&message, "text/plain");
    plain_close(&message);
    return message;
}

static void expect_passed(struct rig *r, int compositor,
                          const struct plain *message, int *fd)
{
    uint8_t bytes[96];
    unsigned int n = 1;

    rig_read(r, compositor, bytes, message->len, fd, fd ? &n : NULL);
    g_assert_cmpmem(bytes, message->len, message->bytes, message->len);
    g_assert_cmpuint(n, ==, 1);
}

static void ask(struct rig *r, int compositor, struct plain message)
{
    g_assert_cmpint(vwl_drv_send(r->drv, CTX, NULL, 0, message.bytes,
                                 message.len),
                    ==, RESP_OK);
    expect_passed(r, compositor, &message, NULL);
}

static void tell(struct rig *r, int compositor, struct plain message)
{
    uint8_t bytes[96];

    rig_write(r, compositor, message.bytes, message.len, NULL, 0);
    g_assert_cmpint(vwl_drv_recv(r->drv, CTX, bytes, sizeof bytes, NULL, NULL,
                                 RIG_TIMEOUT_MS),
                    ==, message.len);
    g_assert_cmpmem(bytes, message.len, message.bytes, message.len);
}

/* A client with the host's clipboard before it. */
static int client(struct rig *r)
{
    int compositor = rig_open_ctx(r, CTX, 0);

    ask(r, compositor, plain_words(DISPLAY, 1, 1, REGISTRY, 0));
    tell(r, compositor, plain_global(1, "wl_data_device_manager", 0));
    tell(r, compositor, plain_global(2, "wl_seat", 0));
    ask(r, compositor, plain_global(1, "wl_data_device_manager", MANAGER));
    ask(r, compositor, plain_global(2, "wl_seat", SEAT));
    ask(r, compositor, plain_words(MANAGER, 1, 2, DEVICE, SEAT));
    tell(r, compositor, plain_words(DEVICE, 0, 1, OFFER, 0));
    tell(r, compositor, plain_words(DEVICE, 5, 1, OFFER, 0));
    return compositor;
}

static struct rig *begin(int *compositor)
{
    static const struct vwl_host host = { .transfer_request = on_transfer };
    static const struct vwl_socket_policy policy = {
        .size = sizeof policy,
        .clipboard = VWL_TRANSFER_ASK,
    };
    const struct rig_options options = {
        .n_peers = 1,
        .host = &host,
        .peer_policy = &policy,
    };
    struct rig *r = rig_new(&options);

    memset(&asked, 0, sizeof asked);
    *compositor = client(r);
    return r;
}

static void finish(struct rig *r, int compositor)
{
    close(compositor);
    rig_free(r);
}

/* The guest pastes into a pipe of its own: it is answered at once. */
static void paste(struct rig *r, uint32_t pipe)
{
    struct plain message = receive();

    g_assert_cmphex((unsigned)vwl_drv_new_pipe(r->drv, pipe,
                                               VIRTIO_WL_VFD_READ),
                    ==, RESP_VFD_NEW);
    g_assert_cmpint(vwl_drv_send(r->drv, CTX, &pipe, 1, message.bytes,
                                 message.len),
                    ==, RESP_OK);
}

/* All else goes on while the host thinks, and nothing has moved. */
static void expect_open(struct rig *r, int compositor, unsigned int n)
{
    g_assert_cmpuint(asked.n, ==, n);
    g_assert_cmpuint(asked.index, ==, 1);
    g_assert_cmpuint(asked.kind, ==, VWL_KIND_CLIPBOARD);
    g_assert_cmpuint(asked.way, ==, VWL_TRANSFER_TO_GUEST);
    ask(r, compositor, plain_words(DEVICE, 1, 2, 0, n));
}

/* What whoever pastes sees of a transfer that is refused: its end. */
static void expect_refused(struct rig *r, int compositor, uint32_t pipe)
{
    unsigned int n_ids = 0;
    char byte;

    g_assert_cmpint(vwl_drv_recv(r->drv, pipe, &byte, 1, NULL, &n_ids,
                                 RIG_TIMEOUT_MS),
                    ==, 0);
    g_assert_cmpint(peer_recv(compositor, &byte, 1, NULL, NULL), ==, -EAGAIN);
    g_assert_cmpint(vwl_drv_close(r->drv, pipe), ==, RESP_OK);
}

static void expect_pasted(struct rig *r, int compositor, uint32_t pipe)
{
    struct plain message = receive();
    char bytes[16];
    int fd = -1;

    expect_passed(r, compositor, &message, &fd);
    g_assert_cmpint(write(fd, "pasted", 6), ==, 6);
    close(fd);
    g_assert_cmpint(vwl_drv_recv(r->drv, pipe, bytes, sizeof bytes, NULL, NULL,
                                 RIG_TIMEOUT_MS),
                    ==, 6);
    g_assert_cmpmem(bytes, 6, "pasted", 6);
    g_assert_cmpint(vwl_drv_close(r->drv, pipe), ==, RESP_OK);
}

/* ---- the stories --------------------------------------------------------- */

static void test_allowed_late(void)
{
    int compositor;
    struct rig *r = begin(&compositor);

    paste(r, PIPE);
    expect_open(r, compositor, 1);
    pass_seconds(r, DEADLINE_MS / 1000 - 1);
    expect_open(r, compositor, 1);
    answer(0, 0);
    expect_pasted(r, compositor, PIPE);
    finish(r, compositor);
}

static void test_denied(void)
{
    int compositor;
    struct rig *r = begin(&compositor);

    paste(r, PIPE);
    expect_open(r, compositor, 1);
    answer(0, -EPERM);
    expect_refused(r, compositor, PIPE);
    paste(r, PIPE);
    expect_open(r, compositor, 2);
    close(asked.ends[1]); /* no answer is one */
    expect_refused(r, compositor, PIPE);
    asked.refused = 1; /* it does not even think about it */
    paste(r, PIPE);
    expect_refused(r, compositor, PIPE);
    finish(r, compositor);
}

static void test_deadline(void)
{
    int compositor;
    struct rig *r = begin(&compositor);

    paste(r, PIPE);
    expect_open(r, compositor, 1);
    pass_seconds(r, DEADLINE_MS / 1000 + 1);
    expect_dropped(r, 0);
    expect_refused(r, compositor, PIPE);
    g_assert_true(rig_logged(r, "nobody allowed a transfer in time"));
    finish(r, compositor);
}

/* Whatever ends the connection ends its question, and the next one's paste
 * has nothing of it. */
static void test_gone(gconstpointer data)
{
    int how = GPOINTER_TO_INT(data), compositor;
    struct rig *r = begin(&compositor);

    paste(r, PIPE);
    expect_open(r, compositor, 1);
    switch (how) {
    case 0:
        g_assert_cmpint(vwl_drv_close(r->drv, CTX), ==, RESP_OK);
        g_assert_cmpint(vwl_drv_close(r->drv, PIPE), ==, RESP_OK);
        break;
    case 1:
        g_assert_cmpint(vwl_drv_reset(r->drv), ==, 0);
        break;
    case 2:
        rig_disconnect(r);
        break;
    default:
        ask(r, compositor, plain_words(OFFER, 2, 0, 0, 0)); /* destroy */
        expect_refused(r, compositor, PIPE);
    }
    expect_dropped(r, 0);
    if (how == 2) {
        rig_reconnect(r);
    }
    if (how < 3) {
        g_assert_cmpuint(rig_read_to_end(r, compositor), ==, 0);
        close(compositor);
        compositor = client(r);
    } else {
        tell(r, compositor, plain_words(DEVICE, 0, 1, OFFER, 0));
        tell(r, compositor, plain_words(DEVICE, 5, 1, OFFER, 0));
    }
    paste(r, PIPE);
    expect_open(r, compositor, 2);
    answer(1, 0);
    expect_pasted(r, compositor, PIPE);
    finish(r, compositor);
}

/* Sixteen are open at once; one more is refused unasked, until one of them is
 * over. They may be answered in any order. */
static void test_many(void)
{
    int compositor;
    struct rig *r = begin(&compositor);

    for (uint32_t i = 0; i < MOST; i++) {
        paste(r, PIPE + i);
        expect_open(r, compositor, i + 1);
    }
    paste(r, PIPE + MOST);
    expect_refused(r, compositor, PIPE + MOST);
    for (uint32_t i = MOST; i-- > 8;) {
        answer(i, i % 2 ? 0 : -EPERM);
        if (i % 2) {
            expect_pasted(r, compositor, PIPE + i);
        } else {
            expect_refused(r, compositor, PIPE + i);
        }
    }
    asked.n = 8;
    paste(r, PIPE + MOST);
    expect_open(r, compositor, 9);
    answer(8, 0);
    expect_pasted(r, compositor, PIPE + MOST);
    pass_seconds(r, DEADLINE_MS / 1000 + 1);
    for (uint32_t i = 0; i < 8; i++) {
        expect_dropped(r, i);
        expect_refused(r, compositor, PIPE + i);
    }
    finish(r, compositor);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/transfers/allowed-late", test_allowed_late);
    g_test_add_func("/transfers/denied", test_denied);
    g_test_add_func("/transfers/deadline", test_deadline);
    g_test_add_data_func("/transfers/context-closed", GINT_TO_POINTER(0),
                         test_gone);
    g_test_add_data_func("/transfers/device-reset", GINT_TO_POINTER(1),
                         test_gone);
    g_test_add_data_func("/transfers/front-end-gone", GINT_TO_POINTER(2),
                         test_gone);
    g_test_add_data_func("/transfers/offer-destroyed", GINT_TO_POINTER(3),
                         test_gone);
    g_test_add_func("/transfers/many", test_many);
    return g_test_run();
}
