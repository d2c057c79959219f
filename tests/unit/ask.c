/* SPDX-License-Identifier: BSD-3-Clause */
#include "ask.h"

#include <glib.h>
#include <string.h>
#include <sys/socket.h>

#include "bytes.h"

struct asked *ask_init(const void *bytes, size_t len, size_t room)
{
    struct asked *asked = g_new0(struct asked, 1);

    asked->bytes = g_memdup2(bytes, len);
    asked->iov = (struct iovec){ asked->bytes, len };
    asked->request.total_bytes = len;
    asked->request.head_bytes = MIN(len, VWL_HEAD_BYTES);
    if (len) {
        memcpy(asked->request.head, bytes, asked->request.head_bytes);
    }
    asked->request.payload = &asked->iov;
    asked->request.n_payload = 1;
    asked->request.response_room = room;
    memset(asked->request.response, 0xee, sizeof asked->request.response);
    return asked;
}

void asked_free(struct asked *asked)
{
    g_free(asked->bytes);
    g_free(asked);
}

uint32_t ask_room(struct core_rig *rig, const void *bytes, size_t len,
                  size_t room, uint8_t response[64], size_t *n)
{
    struct asked *asked = ask_init(bytes, len, room);
    uint32_t type;

    g_assert_cmpint(vwl_core_execute(rig->core, &asked->request), ==, 0);
    type = get32(asked->request.response);
    if (response) {
        memcpy(response, asked->request.response, 64);
    }
    if (n) {
        *n = asked->request.response_bytes;
    }
    asked_free(asked);
    return type;
}

uint32_t ask(struct core_rig *rig, const void *bytes, size_t len)
{
    return ask_room(rig, bytes, len, 64, NULL, NULL);
}

void fill_new(uint8_t bytes[64], uint32_t type, uint32_t id, uint32_t flags,
              uint32_t size)
{
    memset(bytes, 0, 64);
    put32(bytes, type);
    put32(bytes + 8, id);
    put32(bytes + 12, flags);
    put32(bytes + 24, size);
}

uint32_t ask_new(struct core_rig *rig, uint32_t type, uint32_t id,
                 uint32_t flags, uint32_t size)
{
    uint8_t bytes[64];

    fill_new(bytes, type, id, flags, size);
    return ask(rig, bytes, sizeof bytes);
}

struct asked *close_init(uint32_t id)
{
    uint8_t bytes[12] = { 0x01, 0x01 };

    put32(bytes + 8, id);
    return ask_init(bytes, sizeof bytes, 64);
}

uint32_t ask_close(struct core_rig *rig, uint32_t id)
{
    uint8_t bytes[12] = { 0x01, 0x01 };

    put32(bytes + 8, id);
    return ask(rig, bytes, sizeof bytes);
}

struct asked *send_init(uint32_t id, const uint32_t *ids, uint32_t n_ids,
                        const void *data, size_t len)
{
    g_autofree uint8_t *bytes = g_malloc0(16 + n_ids * 4 + len);

    put32(bytes, CMD_VFD_SEND);
    put32(bytes + 8, id);
    put32(bytes + 12, n_ids);
    for (uint32_t i = 0; i < n_ids; i++) {
        put32(bytes + 16 + i * 4, ids[i]);
    }
    if (len) {
        memcpy(bytes + 16 + n_ids * 4, data, len);
    }
    return ask_init(bytes, 16 + n_ids * 4 + len, 8);
}

uint32_t ask_send(struct core_rig *rig, uint32_t id, const uint32_t *ids,
                  uint32_t n_ids, const void *data, size_t len)
{
    struct asked *asked = send_init(id, ids, n_ids, data, len);
    uint32_t type;

    g_assert_cmpint(vwl_core_execute(rig->core, &asked->request), ==, 0);
    g_assert_cmpuint(asked->request.response_bytes, ==, 4);
    type = get32(asked->request.response);
    asked_free(asked);
    return type;
}

int open_ctx(struct core_rig *rig, uint32_t id)
{
    int fd;

    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_CTX, id, VFD_READ_WRITE, 0), ==,
                    RESP_VFD_NEW);
    fd = accept4(rig->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    g_assert_cmpint(fd, >=, 0);
    return fd;
}

ssize_t next_message(struct core_rig *rig)
{
    struct iovec iov = { rig->message, rig->message_room };

    memset(rig->message, 0xee, sizeof rig->message);
    return vwl_core_next_message(rig->core, &iov, 1, rig->token++);
}

void expect_hup(struct core_rig *rig, uint32_t id)
{
    g_assert_cmpint(next_message(rig), ==, 12);
    g_assert_cmphex(get32(rig->message), ==, CMD_VFD_HUP);
    g_assert_cmphex(get32(rig->message + 4), ==, 0);
    g_assert_cmphex(get32(rig->message + 8), ==, id);
}

const uint8_t *expect_recv(struct core_rig *rig, uint32_t id, uint32_t n_ids,
                           size_t *len)
{
    ssize_t n = next_message(rig);

    g_assert_cmpint(n, >, 16);
    g_assert_cmphex(get32(rig->message), ==, CMD_VFD_RECV);
    g_assert_cmphex(get32(rig->message + 4), ==, 0);
    g_assert_cmphex(get32(rig->message + 8), ==, id);
    g_assert_cmpuint(get32(rig->message + 12), ==, n_ids);
    *len = (size_t)n - 16 - 4 * n_ids;
    g_assert_cmpuint(*len, >, 0);
    return rig->message + 16 + 4 * n_ids;
}

uint32_t expect_new(struct core_rig *rig, uint32_t flags, uint64_t pfn,
                    uint32_t size)
{
    g_assert_cmpint(next_message(rig), ==, 32);
    g_assert_cmphex(get32(rig->message), ==, CMD_VFD_NEW);
    g_assert_cmphex(get32(rig->message + 12), ==, flags);
    g_assert_cmphex(get64(rig->message + 16), ==, pfn);
    g_assert_cmpuint(get32(rig->message + 24), ==, size);
    return get32(rig->message + 8);
}
