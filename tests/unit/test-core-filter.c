/* SPDX-License-Identifier: BSD-3-Clause */
/* A context whose stream is filtered: what the guest sends and is sent, when
 * its peer takes nothing, and how it ends. */
#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ask.h"
#include "fds.h"
#include "policy/rules.h"
#include "socket.h"

/* wl_display.get_registry(new 2) */
static const uint8_t get_registry[] = { 1, 0, 0, 0, 1, 0, 12, 0, 2, 0, 0, 0 };
/* wl_registry.global(3, "wl_shm", 1) */
static const uint8_t shm[] = {
    2, 0, 0,   0,   0,   0,   28,  0,   3, 0, 0, 0, 7, 0,
    0, 0, 'w', 'l', '_', 's', 'h', 'm', 0, 0, 1, 0, 0, 0,
};
/* wl_registry.global(4, "wl_drm", 2) */
static const uint8_t drm[] = {
    2, 0, 0,   0,   0,   0,   28,  0,   4, 0, 0, 0, 7, 0,
    0, 0, 'w', 'l', '_', 'd', 'r', 'm', 0, 0, 2, 0, 0, 0,
};
/* wl_registry.bind(3, "wl_shm", 1, new 3) */
static const uint8_t bind_shm[] = {
    2,   0,   0,   0,   0,   0,   32, 0, 3, 0, 0, 0, 7, 0, 0, 0,
    'w', 'l', '_', 's', 'h', 'm', 0,  0, 1, 0, 0, 0, 3, 0, 0, 0,
};
/* wl_registry.bind(4, "wl_drm", 1, new 4) */
static const uint8_t bind_drm[] = {
    2,   0,   0,   0,   0,   0,   32, 0, 4, 0, 0, 0, 7, 0, 0, 0,
    'w', 'l', '_', 'd', 'r', 'm', 0,  0, 1, 0, 0, 0, 4, 0, 0, 0,
};
/* wl_shm.create_pool(new 4, a descriptor, 4096) */
static const uint8_t create_pool[] = { 3, 0, 0, 0, 0, 0,  16, 0,
                                       4, 0, 0, 0, 0, 16, 0,  0 };

static struct core_rig *begin(int *compositor)
{
    struct core_rig *rig = core_rig_new(MODE_K23);

    g_assert_cmpint(vwl_rules_create(NULL, &rig->log, &rig->rules[0]), ==, 0);
    *compositor = open_ctx(rig, 1);
    return rig;
}

static void send_all(struct core_rig *rig, const void *data, size_t len)
{
    g_assert_cmphex(ask_send(rig, 1, NULL, 0, data, len), ==, RESP_OK);
}

static void expect_sent(int compositor, const void *expected, size_t len)
{
    uint8_t data[256];

    g_assert_cmpint(socket_receive(compositor, data, sizeof data, NULL, NULL),
                    ==, (ssize_t)len);
    g_assert_cmpmem(data, len, expected, len);
}

static void expect_told(struct core_rig *rig, const void *expected, size_t len)
{
    const uint8_t *data;
    size_t n;

    data = expect_recv(rig, 1, 0, &n);
    g_assert_cmpmem(data, n, expected, len);
}

/* A registry and the globals that pass. */
static void announce(struct core_rig *rig, int compositor)
{
    send_all(rig, get_registry, sizeof get_registry);
    expect_sent(compositor, get_registry, sizeof get_registry);
    socket_send(compositor, drm, sizeof drm, NULL, 0);
    g_assert_cmpint(next_message(rig), ==, 0);
    socket_send(compositor, shm, sizeof shm, NULL, 0);
    expect_told(rig, shm, sizeof shm);
}

static void test_passes(void)
{
    int compositor;
    struct core_rig *rig = begin(&compositor);
    uint8_t data[64];
    unsigned int n_fds;
    uint32_t id = 2;
    int fds[253];

    announce(rig, compositor);
    for (size_t i = 0; i < sizeof bind_shm; i++) { /* byte by byte */
        expect_silence(compositor);
        send_all(rig, bind_shm + i, 1);
    }
    expect_sent(compositor, bind_shm, sizeof bind_shm);
    g_assert_cmphex(ask_new(rig, VIRTIO_WL_CMD_VFD_NEW, 2, 0, 4096), ==,
                    RESP_VFD_NEW);
    /* a descriptor with the first bytes of its message, then the rest */
    g_assert_cmphex(ask_send(rig, 1, &id, 1, create_pool, 5), ==, RESP_OK);
    expect_silence(compositor);
    send_all(rig, create_pool + 5, sizeof create_pool - 5);
    g_assert_cmpint(socket_receive(compositor, data, sizeof data, fds, &n_fds),
                    ==, sizeof create_pool);
    g_assert_cmpmem(data, sizeof create_pool, create_pool, sizeof create_pool);
    g_assert_cmpuint(n_fds, ==, 1);
    close(fds[0]);
    close(compositor);
    expect_hup(rig, 1);
    core_rig_free(rig);
}

/* The guest gets the protocol's error, then the end; the compositor has never
 * seen the request. */
static void refuse(const void *request, size_t len, const char *why)
{
    int compositor;
    struct core_rig *rig = begin(&compositor);
    const uint8_t *data;
    size_t n;

    announce(rig, compositor);
    send_all(rig, request, len);
    data = expect_recv(rig, 1, 0, &n);
    g_assert_cmpuint(n, >, 20);
    g_assert_cmpuint(data[0], ==, 1); /* wl_display.error */
    g_assert_cmpuint(data[4], ==, 0);
    g_assert_nonnull(strstr((const char *)data + 20, why));
    expect_hup(rig, 1);
    g_assert_cmpint(next_message(rig), ==, 0);
    expect_end(compositor);
    g_assert_cmphex(ask_send(rig, 1, NULL, 0, get_registry, 12), ==, RESP_ERR);
    close(compositor);
    core_rig_free(rig);
}

static void test_refused(void)
{
    static const uint8_t huge[] = { 1, 0, 0, 0, 0, 0, 0x60, 0xea };

    refuse(bind_drm, sizeof bind_drm, "wl_drm is refused");
    refuse(huge, sizeof huge, "a message of 60000 bytes");
    refuse(create_pool, sizeof create_pool, "there is no object 3");
}

/* The guest cannot have a duplicate of its connection, by which it would write
 * to the compositor without the filter: a clipboard's owner gets the descriptor
 * of whoever pastes. */
static void test_kept(void)
{
    int compositor;
    struct core_rig *rig = begin(&compositor);
    const uint32_t id = 1;

    announce(rig, compositor);
    g_assert_cmphex(ask_send(rig, 1, &id, 1, bind_shm, sizeof bind_shm), ==,
                    RESP_INVALID_TYPE);
    expect_silence(compositor);
    send_all(rig, bind_shm, sizeof bind_shm);
    expect_sent(compositor, bind_shm, sizeof bind_shm);
    close(compositor);
    expect_hup(rig, 1);
    core_rig_free(rig);
}

/* A peer that takes nothing for a while gets all of it afterwards, in order:
 * a request that waits is read from where it stood. */
static void test_waits(void)
{
    enum { N = 60000 };
    g_autofree uint8_t *all = g_malloc(N * 12);
    g_autofree uint8_t *got = g_malloc(N * 12);
    struct asked *asked;
    int compositor;
    struct core_rig *rig = begin(&compositor);
    size_t n = 0;

    for (uint32_t i = 0; i < N; i++) { /* sync(new 2 + i) */
        const uint32_t words[] = { 1, 12 << 16, 2 + i };

        memcpy(all + i * 12, words, 12);
    }
    asked = send_init(1, NULL, 0, all, N * 12);
    g_assert_cmpint(vwl_core_execute(rig->core, &asked->request), ==,
                    -EINPROGRESS);
    while (n < N * 12) {
        ssize_t some = recv(compositor, got + n, N * 12 - n, MSG_DONTWAIT);

        if (some > 0) {
            n += (size_t)some;
        } else {
            vwl_core_dispatch_out(rig->core);
        }
    }
    g_assert_cmpmem(got, n, all, n);
    g_assert_cmpuint(rig->completed->len, ==, 1);
    asked_free(asked);
    close(compositor);
    expect_hup(rig, 1);
    core_rig_free(rig);
}

/* Another socket without rules: any bytes. */
static void test_none(void)
{
    int compositor;
    struct core_rig *rig = core_rig_new(MODE_K23);

    compositor = open_ctx(rig, 1);
    send_all(rig, "any", 3);
    expect_sent(compositor, "any", 3);
    close(compositor);
    expect_hup(rig, 1);
    core_rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/core-filter/passes", test_passes);
    g_test_add_func("/core-filter/refused", test_refused);
    g_test_add_func("/core-filter/kept", test_kept);
    g_test_add_func("/core-filter/waits", test_waits);
    g_test_add_func("/core-filter/none", test_none);
    return g_test_run();
}
