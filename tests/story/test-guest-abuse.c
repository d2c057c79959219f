/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest that does everything wrong, through real rings: requests cut short
 * at every byte, ids and counts out of nowhere, no room for the answer,
 * requests rewritten while they wait, tables that lead nowhere. It may hurt
 * itself alone.
 */
#include "story.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "inqueue.h"

struct layout {
    const char *name;
    struct vwl_drv_shape shape;
    bool packed;
};

static const struct layout layouts[] = {
    { .name = "indirect" },
    { .name = "direct", .shape.direct = true },
    { .name = "bytes", .shape = { .piece = 1, .gap = 1 } },
    { .name = "packed", .packed = true },
    { .name = "packed-bytes",
      .packed = true,
      .shape = { .direct = true, .piece = 1 } },
};

/* A context 1, memory 2 and a READ pipe 3 are there; new ones are 9. */
struct command {
    const char *name;
    size_t len, least; /* bytes of the full form; of the shortest that works */
    uint32_t type, id, word12, size, answer;
};

static const struct command commands[] = {
    { "new", 64, 32, CMD_VFD_NEW, 9, 0, 4096, RESP_VFD_NEW },
    { "close", 12, 12, CMD_VFD_CLOSE, 3, 0, 0, RESP_OK },
    { "send", 16 + 4 + 8, 20, CMD_VFD_SEND, 1, 1, 0, RESP_OK },
    { "send-data", 16 + 8, 16, CMD_VFD_SEND, 1, 0, 0, RESP_OK },
    { "new-ctx", 64, 12, CMD_VFD_NEW_CTX, 9, VFD_READ_WRITE, 0, RESP_VFD_NEW },
    { "new-pipe", 64, 32, CMD_VFD_NEW_PIPE, 9, VFD_READ, 0, RESP_VFD_NEW },
    { "foreign", 16 + 2 * 16 + 3, 48, CMD_VFD_SEND_FOREIGN_ID, 1, 2, 0,
      RESP_OK },
    { "new-ctx-named", 64, 64, CMD_VFD_NEW_CTX_NAMED, 9, VFD_READ_WRITE, 0,
      RESP_VFD_NEW },
    { "new-dmabuf", 64, 4, CMD_VFD_NEW_DMABUF, 9, 0, 0, RESP_INVALID_CMD },
    { "dmabuf-sync", 16, 4, CMD_VFD_DMABUF_SYNC, 2, 1, 0, RESP_INVALID_CMD },
    { "unknown", 64, 4, 0x7777, 9, 0, 0, RESP_INVALID_CMD },
    { "recv", 64, 4, CMD_VFD_RECV, 9, 0, 0, RESP_INVALID_CMD },
    { "hup", 64, 4, CMD_VFD_HUP, 9, 0, 0, RESP_INVALID_CMD },
};

static void lay_out(const struct command *c, uint8_t request[64])
{
    story_new(request, c->type, c->id, c->word12, c->size);
    if (c->type == CMD_VFD_SEND && c->word12 == 1) {
        put32(request + 16, 2);
        memcpy(request + 20, "12345678", 8);
    } else if (c->type == CMD_VFD_SEND_FOREIGN_ID) {
        memset(request + 16, 0, 32);
        put32(request + 24, 2);
        put32(request + 40, 2);
        memcpy(request + 48, "xyz", 3);
    } else if (c->type == CMD_VFD_NEW_CTX_NAMED) {
        memcpy(request + 28, "peer0", 5);
    }
}

/* Undoes what a command that was carried out did. */
static void undo(struct rig *r, const struct command *c, int peer)
{
    char bytes[64];
    uint8_t request[64];

    if (c->type == CMD_VFD_CLOSE) {
        story_new(request, CMD_VFD_NEW_PIPE, 3, VFD_READ, 0);
        g_assert_cmphex(story_ask(r, request, 64, 64, NULL).type, ==,
                        RESP_VFD_NEW);
    } else if (c->answer == RESP_VFD_NEW) {
        story_new(request, CMD_VFD_CLOSE, c->id, 0, 0);
        g_assert_cmphex(story_ask(r, request, 12, 8, NULL).type, ==, RESP_OK);
    }
    if (c->type == CMD_VFD_NEW_CTX_NAMED) {
        close(rig_accept(r, 0));
    }
    if (c->type == CMD_VFD_SEND || c->type == CMD_VFD_SEND_FOREIGN_ID) {
        peer_recv(peer, bytes, sizeof bytes, NULL, NULL);
    }
}

static void cut(struct rig *r, const struct command *c, size_t len,
                uint32_t room, int peer)
{
    uint32_t needed = c->answer == RESP_VFD_NEW ? 32 : 0;
    bool works = len >= c->least && room >= needed;
    uint8_t request[64];
    struct reply reply;

    lay_out(c, request);
    reply = story_ask(r, request, len, room, NULL);
    if (works && c->answer == RESP_VFD_NEW) {
        g_assert_cmpuint(reply.used, ==, 32);
    } else {
        g_assert_cmpuint(reply.used, ==, MIN(room, 4));
    }
    if (room >= 4) {
        g_assert_cmphex(reply.type, ==, works ? c->answer : RESP_ERR);
    }
    if (works) {
        undo(r, c, peer);
    }
    g_assert_cmpuint(rig_stats(r).vfds, ==, 3);
    g_assert_cmpuint(rig_stats(r).in_flight, ==, 0);
}

static void test_truncations(gconstpointer data)
{
    const struct layout *layout = data;
    struct rig_options options = {
        .n_peers = 1,
        .fe.packed = layout->packed,
        .drv.shape = layout->shape,
    };
    struct rig *r = rig_new(&options);
    int peer = rig_open_ctx(r, 1, 0);
    static const uint32_t rooms[] = { 0, 1, 3, 4, 7, 8, 12, 27, 31, 32, 33 };

    g_assert_cmpint(vwl_drv_new(r->drv, 2, 4096), ==, RESP_VFD_NEW);
    g_assert_cmpint(vwl_drv_new_pipe(r->drv, 3, VFD_READ), ==, RESP_VFD_NEW);
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        const struct command *c = &commands[i];

        g_test_message("%s", c->name);
        for (size_t len = 0; len <= c->len; len++) {
            cut(r, c, len, 64, peer);
        }
        for (size_t j = 0; j < G_N_ELEMENTS(rooms); j++) {
            cut(r, c, c->len, rooms[j], peer);
            cut(r, c, c->least - 1, rooms[j], peer);
        }
    }
    while (peer_recv(peer, (char[64]){ 0 }, 64, NULL, NULL) > 0) {
    }
    story_alive(r, 1, peer);
    close(peer);
    rig_free(r);
}

static void test_wild_numbers(void)
{
    static const uint32_t ids[] = { 0,          77,         0x40000000,
                                    0x7fffffff, 0x80000000, 0xffffffff };
    static const uint32_t counts[] = { 29,         0x0fffffff, 0x10000000,
                                       0x40000000, 0x7fffffff, 0xffffffff };
    struct rig_options options = { .n_peers = 1 };
    struct rig *r = rig_new(&options);
    int peer = rig_open_ctx(r, 1, 0);
    uint8_t request[1024] = { 0 };
    uint32_t many[29];

    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
        g_assert_cmphex((unsigned)vwl_drv_close(r->drv, ids[i]), ==,
                        RESP_INVALID_ID);
        g_assert_cmphex((unsigned)vwl_drv_send(r->drv, ids[i], NULL, 0, "x", 1),
                        ==, RESP_INVALID_ID);
        g_assert_cmphex((unsigned)vwl_drv_send(r->drv, 1, &ids[i], 1, "x", 1),
                        ==, RESP_INVALID_ID);
        story_new(request, CMD_VFD_NEW, ids[i], 0, 4096);
        g_assert_cmphex(story_ask(r, request, 64, 64, NULL).type, ==,
                        ids[i] & 0x40000000 ? RESP_INVALID_ID : RESP_VFD_NEW);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
        for (uint32_t type = CMD_VFD_SEND; type <= CMD_VFD_SEND_FOREIGN_ID;
             type += CMD_VFD_SEND_FOREIGN_ID - CMD_VFD_SEND) {
            put32(request, type);
            put32(request + 8, 1);
            put32(request + 12, counts[i]);
            g_assert_cmphex(story_ask(r, request, sizeof request, 8, NULL).type,
                            ==, RESP_INVALID_CMD);
            put32(request + 8, 4711); /* before any id is looked at */
            g_assert_cmphex(story_ask(r, request, 16, 8, NULL).type, ==,
                            RESP_INVALID_CMD);
            put32(request + 8, 1);
            put32(request + 12, 28); /* one entry is cut short */
            g_assert_cmphex(story_ask(r, request,
                                      15 + 28 * (type == CMD_VFD_SEND ? 4 : 16),
                                      8, NULL)
                                .type,
                            ==, RESP_ERR);
        }
    }
    g_assert_cmpint(vwl_drv_new(r->drv, 2, 4096), ==, RESP_VFD_NEW);
    for (size_t i = 0; i < G_N_ELEMENTS(many); i++) {
        many[i] = 2;
    }
    g_assert_cmphex((unsigned)vwl_drv_send(r->drv, 1, many, 29, "x", 1), ==,
                    RESP_INVALID_CMD);
    g_assert_cmpint(vwl_drv_send(r->drv, 1, many, 28, "x", 1), ==, RESP_OK);
    {
        unsigned int n = 0;
        char byte;

        rig_read(r, peer, &byte, 1, NULL, &n);
        g_assert_cmpuint(n, ==, 28);
    }
    g_assert_cmphex((unsigned)vwl_drv_send(r->drv, 2, NULL, 0, "x", 1), ==,
                    RESP_INVALID_TYPE);
    story_alive(r, 1, peer);
    close(peer);
    rig_free(r);
}

/* What was checked is never read again: a request is rewritten while it
 * waits for its peer. */
static void test_rewritten(gconstpointer data)
{
    const size_t len = 600000;
    struct rig_options options = { .n_peers = 1, .fe.packed = data != NULL };
    struct rig *r = rig_new(&options);
    int peer = rig_open_ctx(r, 1, 0), fd = -1;
    const uint32_t id = 2;
    uint8_t *bytes = g_malloc(len), *raw;
    unsigned int n = 1;
    struct vwl_drv_request *req;

    g_assert_cmpint(vwl_drv_new(r->drv, 2, 4096), ==, RESP_VFD_NEW);
    memset(bytes, 'a', len);
    req = vwl_drv_send_async(r->drv, 1, &id, 1, bytes, len);
    rig_settle(r);
    g_assert_false(req->done);
    raw = vwl_fe_at(r->fe, req->gpa);
    memset(raw, 0xff, 20); /* type, id, count and the id of the VFD */
    memset(vwl_fe_at(r->fe, req->table_gpa), 0xff, req->table_len);
    memset(raw + 20, 'b', len); /* data may change: it is the guest's */
    rig_read(r, peer, bytes, len, &fd, &n);
    g_assert_cmpuint(n, ==, 1);
    for (size_t i = 0; i < len; i++) {
        g_assert_true(bytes[i] == 'a' || bytes[i] == 'b');
    }
    g_assert_cmpint(vwl_drv_wait(r->drv, req, RIG_TIMEOUT_MS), ==, 0);
    g_assert_cmphex(vwl_drv_request_type(req), ==, RESP_OK);
    vwl_drv_request_free(r->drv, req);
    g_assert_cmpint(lseek(fd, 0, SEEK_END), ==, 4096);
    story_alive(r, 1, peer);
    close(fd);
    close(peer);
    g_free(bytes);
    rig_free(r);
}

/* ---- rings ------------------------------------------------------------ */

struct table_entry {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};

#define MEM 0x100000 /* stands for an address in guest memory */
#define NOWHERE UINT64_C(0x7fff00000000)

static const struct hostile {
    const char *name;
    unsigned int n;       /* entries of the indirect table; 0: of the ring */
    uint32_t table_bytes; /* 0: n * 16 */
    bool table_nowhere, bad_head;
    struct table_entry entries[3];
} hostiles[] = {
    { "table-loop-of-one", 1, 0, false, false, { { MEM, 8, 1, 0 } } },
    { "table-loop-of-two",
      2,
      0,
      false,
      false,
      { { MEM, 8, 1, 1 }, { MEM, 8, 1, 0 } } },
    { "table-next-outside",
      2,
      0,
      false,
      false,
      { { MEM, 8, 1, 2 }, { MEM, 8, 2, 0 } } },
    { "table-in-a-table",
      2,
      0,
      false,
      false,
      { { MEM, 32, 4, 0 }, { MEM, 8, 2, 0 } } },
    { "table-elsewhere", 1, 0, true, false, { { MEM, 8, 0, 0 } } },
    { "table-of-17-bytes", 2, 17, false, false, { { MEM, 8, 0, 0 } } },
    { "table-empty", 1, 0xffffffff, false, false, { { MEM, 8, 0, 0 } } },
    { "readable-last",
      2,
      0,
      false,
      false,
      { { MEM, 8, 3, 1 }, { MEM, 8, 0, 0 } } },
    { "piece-elsewhere", 1, 0, false, false, { { NOWHERE, 8, 0, 0 } } },
    { "piece-too-long", 1, 0, false, false, { { MEM, 0xffffffff, 0, 0 } } },
    { "piece-wraps", 1, 0, false, false, { { UINT64_MAX - 3, 8, 0, 0 } } },
    { "ring-loop", 0, 0, false, false, { { MEM, 8, 1, 0 } } },
    { "ring-next-outside", 0, 0, false, false, { { MEM, 8, 1, 0x7fff } } },
    { "ring-head-outside", 0, 0, false, true, { { MEM, 8, 0, 0 } } },
    { "ring-indirect-and-next", 0, 0, false, false, { { MEM, 16, 5, 1 } } },
};

static void put_hostile(struct rig *r, const struct hostile *h, uint64_t mem,
                        uint64_t table, void *token)
{
    struct vwl_ring *ring = &r->drv->out;
    struct vwl_ring_piece piece = { mem, 8, false };
    struct table_entry *at;
    uint16_t *head;

    g_assert_cmpint(vwl_ring_add(ring, &piece, 1,
                                 h->n != 0 ? vwl_fe_at(r->fe, table) : NULL,
                                 table, token),
                    ==, 0);
    head = (uint16_t *)(void *)(ring->driver + 4 +
                                2 * ((ring->avail - 1) % ring->size));
    at = (struct table_entry *)(void *)ring->desc + *head;
    if (h->n != 0) {
        at->addr = h->table_nowhere ? NOWHERE : table;
        at->len = h->table_bytes == 0xffffffff ? 0
                  : h->table_bytes != 0        ? h->table_bytes
                                               : h->n * 16;
        at = vwl_fe_at(r->fe, table);
    }
    for (unsigned int i = 0; i < MAX(h->n, 1); i++) {
        at[i] = h->entries[i];
        at[i].addr = at[i].addr == MEM ? mem : at[i].addr;
    }
    if (h->n == 0 && h->entries[0].next == 0) {
        at[0].next = *head;
    }
    if (h->bad_head) {
        *head = 0xffff;
    }
}

/* Its ring stops and its error descriptor says so; the other ring, the
 * connection and the host's peers go on; a reset makes all well. */
static void test_hostile(gconstpointer data)
{
    const struct hostile *h = data;
    struct rig_options options = { .n_peers = 1 };
    struct rig *r = rig_new(&options);
    int peer = rig_open_ctx(r, 1, 0), token;
    uint64_t mem = vwl_fe_alloc(r->fe, 4096);
    uint64_t table = vwl_fe_alloc(r->fe, 4096);
    char byte;

    put_hostile(r, h, mem, table, &token);
    g_assert_cmpint(vwl_fe_kick(r->fe, 1), ==, 0);
    rig_settle(r);
    g_assert_true(r->fe->ring[1].broken);
    g_assert_false(r->fe->ring[0].broken);
    g_assert_false(r->fe->gone);
    g_assert_cmpuint(r->broken, ==, 0);
    rig_write(r, peer, "i", 1, NULL, 0);
    g_assert_cmpint(vwl_drv_recv(r->drv, 1, &byte, 1, NULL, NULL,
                                 RIG_TIMEOUT_MS),
                    ==, 1);
    r->fe->ring[1].broken = false;
    g_assert_cmpint(vwl_fe_kick(r->fe, 1), ==, 0);
    rig_settle(r);
    g_assert_false(r->fe->ring[1].broken); /* said once */
    vwl_fe_free(r->fe, mem, 4096);
    vwl_fe_free(r->fe, table, 4096);
    vwl_ring_forget(&r->drv->out);
    g_assert_cmpint(vwl_drv_reset(r->drv), ==, 0);
    rig_read_to_end(r, peer);
    close(peer);
    peer = rig_open_ctx(r, 1, 0);
    story_alive(r, 1, peer);
    close(peer);
    rig_free(r);
}

/* ---- limits ----------------------------------------------------------- */

static void test_sizes(void)
{
    struct vwl_config config = { .size = sizeof config, .shm_window = 1 << 20 };
    struct rig_options options = { .config = &config };
    struct rig *r = rig_new(&options);

    g_assert_cmphex((unsigned)vwl_drv_new(r->drv, 1, 0), ==, RESP_ERR);
    g_assert_cmphex((unsigned)vwl_drv_new(r->drv, 1, 0xffffffff), ==,
                    RESP_OUT_OF_MEMORY);
    g_assert_cmphex((unsigned)vwl_drv_new(r->drv, 1, 0xfffff000), ==,
                    RESP_OUT_OF_MEMORY);
    g_assert_cmphex((unsigned)vwl_drv_new(r->drv, 1, (1 << 20) + 1), ==,
                    RESP_OUT_OF_MEMORY);
    for (unsigned int i = 0; i < 3; i++) {
        g_assert_cmpint(vwl_drv_new(r->drv, 1, 1 << 20), ==, RESP_VFD_NEW);
        g_assert_cmphex((unsigned)vwl_drv_new(r->drv, 2, 1), ==,
                        RESP_OUT_OF_MEMORY);
        g_assert_cmpint(vwl_drv_close(r->drv, 1), ==, RESP_OK);
        rig_settle(r); /* free as soon as the front-end has unmapped it */
    }
    /* holes: what does not fit in one piece is refused, not split */
    for (uint32_t id = 1; id <= 4; id++) {
        g_assert_cmpint(vwl_drv_new(r->drv, id, 1 << 18), ==, RESP_VFD_NEW);
    }
    g_assert_cmpint(vwl_drv_close(r->drv, 1), ==, RESP_OK);
    g_assert_cmpint(vwl_drv_close(r->drv, 3), ==, RESP_OK);
    rig_settle(r);
    g_assert_cmphex((unsigned)vwl_drv_new(r->drv, 1, 1 << 19), ==,
                    RESP_OUT_OF_MEMORY);
    g_assert_cmpint(vwl_drv_close(r->drv, 2), ==, RESP_OK);
    rig_settle(r);
    g_assert_cmpint(vwl_drv_new(r->drv, 1, 3 << 18), ==, RESP_VFD_NEW);
    rig_free(r);
}

/* The log grows by a few lines, whatever a guest does how often. */
static void test_flood(void)
{
    struct vwl_config config = { .size = sizeof config,
                                 .max_vfds = 50,
                                 .max_contexts = 7 };
    struct rig_options options = { .n_peers = 1, .config = &config };
    struct rig *r = rig_new(&options);
    unsigned int made = 0, lines;
    uint8_t request[64];

    for (uint32_t id = 1; id <= 500; id++) {
        int type = vwl_drv_new_ctx(r->drv, id, NULL);

        g_assert_true(type == RESP_VFD_NEW || type == RESP_OUT_OF_MEMORY);
        made += type == RESP_VFD_NEW;
    }
    g_assert_cmpuint(made, ==, 7);
    for (uint32_t id = 501; id <= 3000; id++) {
        int type = id % 2 ? vwl_drv_new(r->drv, id, 4096)
                          : vwl_drv_new_pipe(r->drv, id, 1 + id / 2 % 2);

        g_assert_true(type == RESP_VFD_NEW || type == RESP_OUT_OF_MEMORY);
        made += type == RESP_VFD_NEW;
    }
    g_assert_cmpuint(made, ==, 50);
    g_assert_cmpuint(rig_stats(r).vfds, ==, 50);
    g_assert_cmpuint(rig_stats(r).contexts, ==, 7);
    for (uint32_t i = 0; i < 2000; i++) {
        story_new(request, CMD_VFD_NEW + i % 16, 0x40000000 + i, i, i);
        memcpy(request + 28, "SECRET", 6);
        story_ask(r, request, 16 + i % 48, 64, NULL);
    }
    lines = r->log->len;
    g_assert_cmpuint(lines, >, 0);
    g_assert_cmpuint(story_lines(r, "guest bug"), <, 60);
    g_assert_cmpuint(lines, <, 150);
    rig_free(r);
}

/* Bytes that a guest sends stand in no line, but for an unknown name, which
 * is escaped. */
static void test_log(void)
{
    struct rig_options options = { .n_peers = 1 };
    struct rig *r = rig_new(&options);
    int peer = rig_open_ctx(r, 1, 0);
    uint8_t request[64];
    const uint32_t wrong = 99;

    story_new(request, CMD_VFD_NEW_CTX_NAMED, 2, VFD_READ_WRITE, 0);
    memcpy(request + 28, "a\x1b[31m\n'%s%n\x7f\xc3\xa9", 15);
    g_assert_cmphex(story_ask(r, request, 64, 64, NULL).type, ==, RESP_ERR);
    g_assert_true(rig_logged(r, "a\\x1b[31m\\x0a\\x27%s%n\\x7f\\xc3\\xa9"));
    memset(request + 28, 0xff, 32); /* no UTF-8, and no end */
    g_assert_cmphex(story_ask(r, request, 64, 64, NULL).type, ==, RESP_ERR);
    memset(request + 28, 'N', 36); /* neither byte of the padding */
    memset(request + 60, 'Q', 4);
    g_assert_cmphex(story_ask(r, request, 64, 64, NULL).type, ==, RESP_ERR);
    g_assert_true(rig_logged(r, "NNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNN'"));

    vwl_drv_send(r->drv, 1, &wrong, 1, "SECRET", 6);
    vwl_drv_send(r->drv, 99, NULL, 0, "SECRET", 6);
    g_assert_cmpint(vwl_drv_new_pipe(r->drv, 5, VFD_WRITE), ==, RESP_VFD_NEW);
    close(story_take(r, 1, peer, 5));
    rig_settle(r);
    vwl_drv_send(r->drv, 5, NULL, 0, "SECRET", 6);
    close(peer);
    rig_settle(r);
    vwl_drv_send(r->drv, 1, NULL, 0, "SECRET", 6);
    for (guint i = 0; i < r->log->len; i++) {
        const char *line = r->log->pdata[i];

        g_assert_null(strstr(line, "SECRET"));
        for (const char *c = line; *c; c++) {
            g_assert_cmpint(*c, >=, 0x20);
            g_assert_cmpint(*c, <, 0x7f);
        }
    }
    rig_free(r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(layouts); i++) {
        char *path = g_strdup_printf("/abuse/truncations/%s", layouts[i].name);

        g_test_add_data_func(path, &layouts[i], test_truncations);
        g_free(path);
    }
    g_test_add_func("/abuse/wild-numbers", test_wild_numbers);
    g_test_add_data_func("/abuse/rewritten/split", NULL, test_rewritten);
    g_test_add_data_func("/abuse/rewritten/packed", "packed", test_rewritten);
    for (size_t i = 0; i < G_N_ELEMENTS(hostiles); i++) {
        char *path = g_strdup_printf("/abuse/ring/%s", hostiles[i].name);

        g_test_add_data_func(path, &hostiles[i], test_hostile);
        g_free(path);
    }
    g_test_add_func("/abuse/sizes", test_sizes);
    g_test_add_func("/abuse/flood", test_flood);
    g_test_add_func("/abuse/log", test_log);
    return g_test_run();
}
