/* SPDX-License-Identifier: BSD-3-Clause */
/* A context to a sound server: what the filter sends by itself comes through,
 * and a guest that takes no answers cannot ask for ever. */
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "policy/rules.h"
#include "pulse_rig.h"
#include "socket.h"

static struct core_rig *begin_core(int *server)
{
    struct core_rig *rig = core_rig_new(MODE_K23);

    g_assert_cmpint(vwl_rules_create(&play, &rig->log, &rig->rules[0]), ==, 0);
    *server = open_ctx(rig, 1);
    return rig;
}

static void guest_says(struct core_rig *rig, GByteArray *data)
{
    g_assert_cmphex(ask_send(rig, 1, NULL, 0, data->data, data->len), ==,
                    RESP_OK);
    g_byte_array_unref(data);
}

static void server_hears(int server, GByteArray *expected)
{
    uint8_t data[1024];
    ssize_t n = socket_receive(server, data, sizeof data, NULL, NULL);

    g_assert_cmpint(n, >, 0);
    g_assert_cmpmem(data, (size_t)n, expected->data, expected->len);
    g_byte_array_unref(expected);
}

static void server_says(int server, GByteArray *data)
{
    socket_send(server, data->data, data->len, NULL, 0);
    g_byte_array_unref(data);
}

static void guest_hears(struct core_rig *rig, GByteArray *expected)
{
    size_t n;
    const uint8_t *data = expect_recv(rig, 1, 0, &n);

    g_assert_cmpmem(data, n, expected->data, expected->len);
    g_byte_array_unref(expected);
}

static void authenticate(struct core_rig *rig, int server)
{
    guest_says(rig, command("LLLx", 8u, 0u, 0xc0000020u));
    server_hears(server, command("LLLx", 8u, 0u, 0x20u));
    server_says(server, command("LLL", 2u, 0u, 0xc0000023u));
    guest_hears(rig, command("LLL", 2u, 0u, 0x23u));
}

static void test_asks(void)
{
    int server;
    struct core_rig *rig = begin_core(&server);

    authenticate(rig, server);
    guest_says(rig, create_playback(1, NONE, "speakers"));
    server_hears(server, command("LLLt", 21u, 1u, NONE, "speakers"));
    server_says(server, device(1, 4, "speakers", 5));
    g_assert_cmpint(next_message(rig), ==, 0); /* nothing for the guest */
    server_hears(server, create_playback(1, 4, NULL));
    guest_says(rig, command("LLLt", 51u, 2u, 1u, "x"));
    guest_hears(rig, command("LLL", 0u, 2u, 1u));
    close(server);
    expect_hup(rig, 1);
    core_rig_free(rig);
}

static void test_unread(void)
{
    int server;
    struct core_rig *rig = begin_core(&server);
    GByteArray *refused = command("LL", 51u, 2u);
    size_t most = 64 * 1024 * 1024 / refused->len, n = 0;

    authenticate(rig, server);
    while (ask_send(rig, 1, NULL, 0, refused->data, refused->len) == RESP_OK) {
        g_assert_cmpuint(++n, <, most);
    }
    g_assert_cmpuint(n, >, 1000);
    expect_end(server);
    g_byte_array_unref(refused);
    close(server);
    while (next_message(rig) > 0) {
    }
    core_rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/core-pulse/asks", test_asks);
    g_test_add_func("/core-pulse/unread", test_unread);
    return g_test_run();
}
