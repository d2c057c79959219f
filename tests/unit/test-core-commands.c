/* SPDX-License-Identifier: BSD-3-Clause */
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "bytes.h"
#include "fds.h"
#include "socket.h"

/* Exact bytes: what is asked, and what the protocol page says to it. */
struct row {
    const char *what;
    uint64_t mode;
    uint8_t request[64];
    size_t len;
    uint8_t response[32];
    size_t response_len;
};

#define SHM_ID 5
#define CTX_ID 6

static const struct row rows[] = {
    { "memory, region mode",
      MODE_K23,
      { 0x00, 0x01, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0,
        0,    0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10 },
      64,
      { 0x01, 0x10, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0,
        0,    0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10 },
      32 },
    { "memory, 32-byte form",
      MODE_K23,
      { 0x00, 0x01, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0,
        0,    0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10 },
      32,
      { 0x01, 0x10, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0,
        0,    0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10 },
      32 },
    { "memory, absolute mode: behind the anchor page",
      MODE_NEWEST,
      { 0x00, 0x01, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0,
        0,    0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0 },
      64,
      { 0x01, 0x10, 0, 0,    0,    0,    0,    0, 9, 0, 0, 0, 0,
        0,    0,    0, 0x01, 0x00, 0xe0, 0x0f, 0, 0, 0, 0, 0, 0x10 },
      32 },
    { "memory, oldest driver: its flags come back",
      MODE_OLD,
      { 0x00, 0x01, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3,
        0,    0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10 },
      32,
      { 0x01, 0x10, 0, 0,    0,    0,    0,    0, 9, 0, 0, 0, 3,
        0,    0,    0, 0x01, 0x00, 0xe0, 0x0f, 0, 0, 0, 0, 0, 0x10 },
      32 },
    { "memory, oldest driver: a flag it cannot have",
      MODE_OLD,
      { 0x00, 0x01, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 4,
        0,    0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10 },
      32,
      { 0x00, 0x11 },
      4 },
    { "memory, flags",
      MODE_K23,
      { 0x00, 0x01, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1,
        0,    0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10 },
      64,
      { 0x04, 0x11 },
      4 },
    { "memory, size 0",
      MODE_K23,
      { 0x00, 0x01, 0, 0, 0, 0, 0, 0, 9 },
      64,
      { 0x00, 0x11 },
      4 },
    { "memory, a size that wraps",
      MODE_K23,
      { 0x00, 0x01, 0, 0, 0, 0, 0, 0, 9, 0, 0,    0,    0,    0,
        0,    0,    0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0xf0, 0xff, 0xff },
      64,
      { 0x01, 0x11 },
      4 },
    { "memory, an id of the host's",
      MODE_K23,
      { 0x00, 0x01, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0x40, 1,
        0,    0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0x10 },
      64,
      { 0x02, 0x11 },
      4 },
    { "memory, an id in use and wrong flags",
      MODE_K23,
      { 0x00, 0x01, 0, 0, 0, 0, 0, 0, SHM_ID, 0, 0, 0, 1,
        0,    0,    0, 0, 0, 0, 0, 0, 0,      0, 0, 0, 0x10 },
      64,
      { 0x04, 0x11 },
      4 },
    { "memory, an id in use",
      MODE_K23,
      { 0x00, 0x01, 0, 0, 0, 0, 0, 0, SHM_ID, 0, 0, 0, 0,
        0,    0,    0, 0, 0, 0, 0, 0, 0,      0, 0, 0, 0x10 },
      64,
      { 0x02, 0x11 },
      4 },
    { "odd ids are ids",
      MODE_K23,
      { 0x05, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 1 },
      32,
      { 0x01, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80 },
      32 },
    { "context, region mode: no memory is the region's length",
      MODE_K23,
      { 0x04, 0x01, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3 },
      64,
      { 0x01, 0x10, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0x10 },
      32 },
    { "context, absolute mode: no memory is 0",
      MODE_NEWEST,
      { 0x04, 0x01, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3 },
      64,
      { 0x01, 0x10, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3 },
      32 },
    { "context, oldest driver",
      MODE_OLD,
      { 0x04, 0x01, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 4 },
      32,
      { 0x01, 0x10, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 4 },
      32 },
    { "context, its short form",
      MODE_NEWEST,
      { 0x04, 0x01, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0 },
      12,
      { 0x01, 0x10, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3 },
      32 },
    { "named, all 32 bytes without a NUL",
      MODE_NEWEST,
      { 0x0a, 0x01, 0,   0,   0,   0,   0,   0,   9,   0,   0,   0,
        3,    0,    0,   0,   1,   2,   3,   4,   5,   6,   7,   8,
        9,    9,    9,   9,   'a', '-', 'n', 'a', 'm', 'e', '-', 't',
        'h',  'a',  't', '-', 'h', 'a', 's', '-', 'a', 'l', 'l', '-',
        '3',  '2',  '-', 'b', 'y', 't', 'e', 's', '-', 'o', 'k', '!' },
      64,
      { 0x01, 0x10, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3 },
      32 },
    { "named, UTF-8",
      MODE_NEWEST,
      { 0x0a, 0x01, 0, 0, 0,   0,   0,   0,   9,   0,   0,    0,
        3,    0,    0, 0, 0,   0,   0,   0,   0,   0,   0,    0,
        0,    0,    0, 0, 'o', 't', 'h', 'e', 'r', ' ', 0xc3, 0xbc },
      64,
      { 0x01, 0x10, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3 },
      32 },
    { "named, empty: the unnamed one",
      MODE_NEWEST,
      { 0x0a, 0x01, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3 },
      64,
      { 0x01, 0x10, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3 },
      32 },
    { "named, unknown, with bytes that a terminal would obey",
      MODE_NEWEST,
      { 0x0a, 0x01, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3,    0,   0,   0,
        0,    0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x1b, '[', '2', 'J' },
      64,
      { 0x00, 0x11 },
      4 },
    { "named, no UTF-8",
      MODE_NEWEST,
      { 0x0a, 0x01, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3, 0,   0,
        0,    0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'o', 0xff },
      64,
      { 0x00, 0x11 },
      4 },
    { "named, nobody listens",
      MODE_NEWEST,
      { 0x0a, 0x01, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3,   0,   0,   0,
        0,    0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'g', 'o', 'n', 'e' },
      64,
      { 0x00, 0x11 },
      4 },
    { "pipe, region mode",
      MODE_K23,
      { 0x05, 0x01, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1 },
      64,
      { 0x01, 0x10, 0, 0, 0, 0, 0, 0, 9 },
      32 },
    { "pipe for reading, absolute mode",
      MODE_NEWEST,
      { 0x05, 0x01, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 2 },
      64,
      { 0x01, 0x10, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 2 },
      32 },
    { "pipe for writing, absolute mode",
      MODE_NEWEST,
      { 0x05, 0x01, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1 },
      64,
      { 0x01, 0x10, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1 },
      32 },
    { "pipe, both",
      MODE_NEWEST,
      { 0x05, 0x01, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3 },
      64,
      { 0x04, 0x11 },
      4 },
    { "pipe, neither",
      MODE_NEWEST,
      { 0x05, 0x01, 0, 0, 0, 0, 0, 0, 9 },
      64,
      { 0x04, 0x11 },
      4 },
    { "close",
      MODE_K23,
      { 0x01, 0x01, 0, 0, 0, 0, 0, 0, SHM_ID },
      12,
      { 0x00, 0x10 },
      4 },
    { "close, unknown",
      MODE_K23,
      { 0x01, 0x01, 0, 0, 0, 0, 0, 0, 99 },
      12,
      { 0x02, 0x11 },
      4 },
    { "send, empty",
      MODE_K23,
      { 0x02, 0x01, 0, 0, 0, 0, 0, 0, CTX_ID },
      16,
      { 0x00, 0x10 },
      4 },
    { "send to nobody",
      MODE_K23,
      { 0x02, 0x01, 0, 0, 0, 0, 0, 0, 99 },
      16,
      { 0x02, 0x11 },
      4 },
    { "send to memory",
      MODE_K23,
      { 0x02, 0x01, 0, 0, 0, 0, 0, 0, SHM_ID, 0, 0, 0, 0, 0, 0, 0, 'x' },
      17,
      { 0x03, 0x11 },
      4 },
    { "send what is not there",
      MODE_K23,
      { 0x02, 0x01, 0, 0,      0, 0, 0, 0,  CTX_ID, 0, 0, 0,  2,
        0,    0,    0, SHM_ID, 0, 0, 0, 99, 0,      0, 0, 'x' },
      25,
      { 0x02, 0x11 },
      4 },
    { "send, 29 entries before all else",
      MODE_K23,
      { 0x02, 0x01, 0, 0, 0, 0, 0, 0, 99, 0, 0, 0, 29 },
      16,
      { 0x05, 0x11 },
      4 },
    { "send, a count that would wrap",
      MODE_K23,
      { 0x02, 0x01, 0, 0, 0, 0, 0, 0, CTX_ID, 0, 0, 0, 1, 0, 0, 0x40 },
      16,
      { 0x05, 0x11 },
      4 },
    { "foreign, 16-byte entry, rubbish in the padding",
      MODE_K23,
      { 0x09, 0x01, 0,      0, 0, 0, 0,    0,    CTX_ID, 0,    0,
        0,    1,    0,      0, 0, 0, 0,    0,    0,      0xaa, 0xaa,
        0xaa, 0xaa, SHM_ID, 0, 0, 0, 0xbb, 0xbb, 0xbb,   0xbb, 'x' },
      33,
      { 0x00, 0x10 },
      4 },
    { "foreign, 8-byte entry",
      MODE_TRANS,
      { 0x09, 0x01, 0, 0, 0, 0, 0, 0,      CTX_ID, 0, 0, 0,  1,
        0,    0,    0, 0, 0, 0, 0, SHM_ID, 0,      0, 0, 'x' },
      25,
      { 0x00, 0x10 },
      4 },
    { "foreign, a resource",
      MODE_K23,
      { 0x09, 0x01, 0, 0, 0, 0, 0, 0,      CTX_ID, 0, 0, 0, 1, 0, 0, 0,  1,
        0,    0,    0, 0, 0, 0, 0, SHM_ID, 0,      0, 0, 0, 0, 0, 0, 'x' },
      33,
      { 0x02, 0x11 },
      4 },
    { "foreign, a fence",
      MODE_K23,
      { 0x09, 0x01, 0, 0, 0, 0, 0, 0,      CTX_ID, 0, 0, 0, 1, 0, 0, 0,  2,
        0,    0,    0, 0, 0, 0, 0, SHM_ID, 0,      0, 0, 0, 0, 0, 0, 'x' },
      33,
      { 0x02, 0x11 },
      4 },
    { "foreign, a signalled fence",
      MODE_K23,
      { 0x09, 0x01, 0, 0, 0, 0, 0, 0,      CTX_ID, 0, 0, 0, 1, 0, 0, 0,  3,
        0,    0,    0, 0, 0, 0, 0, SHM_ID, 0,      0, 0, 0, 0, 0, 0, 'x' },
      33,
      { 0x02, 0x11 },
      4 },
    { "foreign, an unknown kind",
      MODE_K23,
      { 0x09, 0x01, 0, 0, 0, 0, 0, 0,      CTX_ID, 0, 0, 0, 1, 0, 0, 0,  4,
        0,    0,    0, 0, 0, 0, 0, SHM_ID, 0,      0, 0, 0, 0, 0, 0, 'x' },
      33,
      { 0x02, 0x11 },
      4 },
    { "foreign, 29 entries",
      MODE_K23,
      { 0x09, 0x01, 0, 0, 0, 0, 0, 0, CTX_ID, 0, 0, 0, 29 },
      16,
      { 0x05, 0x11 },
      4 },
    { "dmabuf",
      MODE_K23,
      { 0x07, 0x01, 0, 0, 0, 0, 0, 0, 9 },
      64,
      { 0x05, 0x11 },
      4 },
    { "dmabuf, cut short", MODE_K23, { 0x07, 0x01 }, 4, { 0x05, 0x11 }, 4 },
    { "dmabuf sync",
      MODE_K23,
      { 0x08, 0x01, 0, 0, 0, 0, 0, 0, SHM_ID },
      16,
      { 0x05, 0x11 },
      4 },
    { "a message of the other queue",
      MODE_K23,
      { 0x03, 0x01, 0, 0, 0, 0, 0, 0, CTX_ID },
      16,
      { 0x05, 0x11 },
      4 },
    { "unknown", MODE_K23, { 0xff, 0xff, 0xff, 0xff }, 4, { 0x05, 0x11 }, 4 },
};

static void test_rows(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const struct row *row = &rows[i];
        bool has_target = row->request[8] == SHM_ID ||
                          row->request[8] == CTX_ID ||
                          row->request[16] == SHM_ID ||
                          row->request[20] == SHM_ID ||
                          row->request[24] == SHM_ID;
        struct core_rig *rig = core_rig_new(row->mode);
        int compositor = -1;
        uint8_t response[64];
        size_t n;

        if (has_target) {
            g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, SHM_ID, 0, 4096), ==,
                            RESP_VFD_NEW);
            compositor = open_ctx(rig, CTX_ID);
        }
        g_test_message("%s", row->what);
        ask_room(rig, row->request, row->len, 64, response, &n);
        g_assert_cmpmem(response, n, row->response, row->response_len);
        /* what is not written stays as it was */
        g_assert_cmphex(response[63], ==, 0xee);
        if (compositor >= 0) {
            close(compositor);
        }
        for (guint l = 0; l < rig->lines->len; l++) {
            g_assert_null(strchr(rig->lines->pdata[l], 0x1b));
        }
        core_rig_free(rig);
    }
}

/* Every valid command at every shorter length is refused, changes nothing,
 * and works in full length afterwards. */
static void test_truncation(void)
{
    static const struct {
        size_t min; /* shortest form that is served */
        size_t len;
        uint8_t bytes[64];
    } commands[] = {
        { 32, 64, { 0x00, 0x01, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0,
                    0,    0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10 } },
        { 12, 64, { 0x04, 0x01, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3 } },
        { 32, 64, { 0x05, 0x01, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 2 } },
        { 64, 64, { 0x0a, 0x01, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3 } },
        { 24, 24, { 0x02, 0x01, 0, 0, 0, 0,      0, 0, CTX_ID, 0,     0,
                    0,    2,    0, 0, 0, SHM_ID, 0, 0, 0,      SHM_ID } },
        { 48, 48, { 0x09, 0x01, 0, 0, 0, 0, 0, 0, CTX_ID, 0, 0, 0, 2, 0, 0, 0,
                    0,    0,    0, 0, 0, 0, 0, 0, SHM_ID, 0, 0, 0, 0, 0, 0, 0,
                    0,    0,    0, 0, 0, 0, 0, 0, SHM_ID } },
        { 12, 12, { 0x01, 0x01, 0, 0, 0, 0, 0, 0, SHM_ID } },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        struct core_rig *rig = core_rig_new(MODE_K23);
        int compositor, n_fds;
        struct vwl_stats before = { 0 }, after = { 0 };
        uint8_t response[64];
        size_t n;

        g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, SHM_ID, 0, 4096), ==,
                        RESP_VFD_NEW);
        compositor = open_ctx(rig, CTX_ID);
        n_fds = count_fds();
        vwl_core_stats(rig->core, &before);
        for (size_t len = 0; len < commands[i].min; len++) {
            ask_room(rig, commands[i].bytes, len, 64, response, &n);
            g_assert_cmpmem(response, n, ((uint8_t[]){ 0, 0x11, 0, 0 }), 4);
        }
        vwl_core_stats(rig->core, &after);
        g_assert_cmpuint(after.vfds, ==, before.vfds);
        g_assert_cmpuint(after.contexts, ==, before.contexts);
        g_assert_cmpuint(after.shm_bytes, ==, before.shm_bytes);
        g_assert_cmpuint(after.shm_mappings, ==, before.shm_mappings);
        g_assert_cmpuint(after.refused, ==, before.refused + commands[i].min);
        g_assert_cmpint(count_fds(), ==, n_fds);
        g_assert_false(is_readable(compositor));
        for (size_t len = commands[i].min; len <= commands[i].len; len++) {
            g_assert_cmphex(ask(rig, commands[i].bytes, len), <, RESP_ERR);
            if (commands[i].bytes[8] == 9) {
                g_assert_cmphex(ask_close(rig, 9), ==, RESP_OK);
            }
        }
        close(compositor);
        core_rig_free(rig);
    }
}

/* Answers never exceed the writable part; a NEW that has no room for its
 * answer is undone. */
static void test_room(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    uint8_t bytes[64], response[64];
    size_t n;

    fill_new(bytes, CMD_VFD_NEW, 9, 0, 4096);
    for (size_t room = 0; room < 32; room++) {
        g_assert_cmphex(ask_room(rig, bytes, 64, room, response, &n), ==,
                        RESP_ERR);
        g_assert_cmpuint(n, ==, MIN(room, 4));
    }
    g_assert_cmpuint(rig->n_maps, ==, 0);
    g_assert_cmphex(ask_room(rig, bytes, 64, 32, response, &n), ==,
                    RESP_VFD_NEW);
    /* CLOSE of the oldest driver: sizes swapped, no id */
    g_assert_cmphex(ask_room(rig, "\x01\x01\0\0\0\0\0\0", 8, 12, response, &n),
                    ==, RESP_ERR);
    g_assert_cmpuint(n, ==, 4);
    core_rig_free(rig);
}

/* One write of many MiB, in thousands of pieces, with boundaries inside the
 * header and the ids. */
static void test_pieces(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1);
    size_t len = 16 + 4 + 3000 * 7, got = 0;
    g_autofree uint8_t *bytes = g_malloc0(len);
    g_autofree struct iovec *iov = g_new0(struct iovec, len);
    struct vwl_request request = { 0 };
    unsigned int n_iov = 0, n_fds;
    int fds[253];

    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 2, 0, 4096), ==, RESP_VFD_NEW);
    put32(bytes, CMD_VFD_SEND);
    put32(bytes + 8, 1);
    put32(bytes + 12, 1);
    put32(bytes + 16, 2);
    for (size_t at = 20; at < len; at++) {
        bytes[at] = (uint8_t)(at * 7);
    }
    for (size_t at = 0; at < len; n_iov++) {
        iov[n_iov].iov_base = bytes + at;
        iov[n_iov].iov_len = MIN(7, len - at);
        at += iov[n_iov].iov_len;
    }
    memcpy(request.head, bytes, VWL_HEAD_BYTES);
    request.head_bytes = VWL_HEAD_BYTES;
    request.total_bytes = len;
    request.payload = iov;
    request.n_payload = n_iov;
    request.response_room = 8;
    g_assert_cmpuint(n_iov, >, 3000);
    g_assert_cmpint(vwl_core_execute(rig->core, &request), ==, 0);
    g_assert_cmphex(get32(request.response), ==, RESP_OK);
    while (got < len - 20) {
        uint8_t data[4000];
        ssize_t n = socket_receive(compositor, data, sizeof data, fds, &n_fds);

        g_assert_cmpint(n, >, 0);
        g_assert_cmpmem(data, (size_t)n, bytes + 20 + got, (size_t)n);
        g_assert_cmpuint(n_fds, ==, got == 0);
        if (n_fds) {
            close(fds[0]);
        }
        got += (size_t)n;
    }
    close(compositor);
    core_rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/core/commands/rows", test_rows);
    g_test_add_func("/core/commands/truncation", test_truncation);
    g_test_add_func("/core/commands/room", test_room);
    g_test_add_func("/core/commands/pieces", test_pieces);
    return g_test_run();
}
