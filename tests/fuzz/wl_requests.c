/* SPDX-License-Identifier: BSD-3-Clause */
/* What the guest asks, and that every answer makes sense. */
#include "wl_world.h"

#include <errno.h>

void world_asked_free(struct asked *asked)
{
    g_free(asked->bytes);
    g_free(asked);
}

/* What the guest was told of, by an answer or by a message that lists it. */
static bool may_name(struct world *world, uint32_t id)
{
    return g_hash_table_contains(world->known, GUINT_TO_POINTER(id)) &&
           (!(id & VIRTIO_WL_VFD_HOST_ID_BIT) ||
            g_hash_table_contains(world->listed, GUINT_TO_POINTER(id)));
}

static bool may_name_all(struct world *world, const uint8_t *head)
{
    uint32_t n = get32(head) == VIRTIO_WL_CMD_VFD_SEND ? get32(head + 12) : 0;

    for (uint32_t i = 0; i < n; i++) {
        if (!may_name(world, get32(head + 16 + 4 * i))) {
            return false;
        }
    }
    return may_name(world, get32(head + 8));
}

static void forget_id(struct world *world, uint32_t id)
{
    g_hash_table_remove(world->known, GUINT_TO_POINTER(id));
    g_hash_table_remove(world->listed, GUINT_TO_POINTER(id));
    g_hash_table_remove(world->hung, GUINT_TO_POINTER(id));
    g_hash_table_remove(world->streams, GUINT_TO_POINTER(id));
}

static void note_answer(struct world *world, struct asked *asked)
{
    struct vwl_request *request = &asked->request;
    uint32_t type = get32(request->response);
    uint32_t command = request->head_bytes >= 4 ? get32(request->head) : 0;

    fuzz_check(request->response_bytes <= request->response_room);
    fuzz_check(request->response_bytes <= VWL_RESPONSE_BYTES);
    if (request->response_bytes < 4) {
        fuzz_check(request->response_room < 4);
        world->lost_track = true;
        return;
    }
    fuzz_check(type >= VIRTIO_WL_RESP_OK && type <= VIRTIO_WL_RESP_INVALID_CMD);
    if (type == VIRTIO_WL_RESP_VFD_NEW) {
        uint32_t id = get32(request->head + 8);

        fuzz_check(request->response_bytes == 32);
        fuzz_check(get32(request->response + 8) == id);
        fuzz_check(!(id & VIRTIO_WL_VFD_HOST_ID_BIT));
        fuzz_check(world->lost_track ||
                   !g_hash_table_contains(world->known, GUINT_TO_POINTER(id)));
        g_hash_table_add(world->known, GUINT_TO_POINTER(id));
        if (command == VIRTIO_WL_CMD_VFD_NEW_CTX ||
            command == VIRTIO_WL_CMD_VFD_NEW_CTX_NAMED) {
            g_hash_table_insert(world->streams, GUINT_TO_POINTER(id), NULL);
        }
    } else {
        fuzz_check(request->response_bytes == 4);
    }
    if (type == VIRTIO_WL_RESP_INVALID_ID &&
        (command == VIRTIO_WL_CMD_VFD_CLOSE ||
         command == VIRTIO_WL_CMD_VFD_SEND)) {
        fuzz_check(world->lost_track || !may_name_all(world, request->head));
    }
    if (type == VIRTIO_WL_RESP_OK && command == VIRTIO_WL_CMD_VFD_CLOSE) {
        forget_id(world, get32(request->head + 8));
    }
}

void world_on_complete(void *opaque, struct vwl_request *request)
{
    struct world *world = opaque;
    unsigned int i = 0;

    fuzz_check(request != world->executing);
    while (i < world->n_pending && &world->pending[i]->request != request) {
        i++;
    }
    fuzz_check(i < world->n_pending);
    note_answer(world, world->pending[i]);
    world_asked_free(world->pending[i]);
    world->pending[i] = world->pending[--world->n_pending];
}

static void execute(struct world *world, const uint8_t *bytes, size_t len,
                    size_t room)
{
    struct asked *asked;
    size_t cut = take8(&world->in);
    int err;

    if (world->n_pending == WORLD_PENDING) {
        return;
    }
    asked = g_new0(struct asked, 1);
    cut = MIN(cut, len);
    asked->bytes = g_malloc(MAX(len, 1));
    memcpy(asked->bytes, bytes, len);
    asked->iov[0] = (struct iovec){ asked->bytes, cut };
    asked->iov[1] = (struct iovec){ asked->bytes + cut, len - cut };
    asked->request.payload = cut ? asked->iov : asked->iov + 1;
    asked->request.n_payload = cut && cut < len ? 2 : 1;
    asked->request.total_bytes = len;
    asked->request.head_bytes = MIN(len, VWL_HEAD_BYTES);
    asked->request.response_room = room;
    memcpy(asked->request.head, bytes, asked->request.head_bytes);
    world->executing = &asked->request;
    err = vwl_core_execute(world->core, &asked->request);
    world->executing = NULL;
    fuzz_check(err == 0 || err == -EINPROGRESS);
    if (err == 0) {
        note_answer(world, asked);
        world_asked_free(asked);
    } else {
        world->pending[world->n_pending++] = asked;
    }
}

static uint32_t take_id(struct world *world)
{
    unsigned int how = take8(&world->in);

    if (how < 160) {
        return how & 7;
    }
    return how < 250 ? world->host_ids[how & 7] : take32(&world->in);
}

/* Few pages, so that some are there twice, or any at all. */
static void do_pages(struct world *world)
{
    uint8_t bytes[24 + 8 * 8] = { 0 };
    unsigned int n = pick(&world->in, 9), how = take8(&world->in);

    put32(bytes, VIRTIO_WL_CMD_VFD_NEW_PAGES);
    put32(bytes + 8, take_id(world));
    put32(bytes + 12, (how & 0x1f) == 0x1f);
    put32(bytes + 16, (how & 0xe0) == 0xe0 ? take32(&world->in) : n);
    for (unsigned int i = 0; i < n; i++) {
        uint32_t run = take8(&world->in);

        put32(bytes + 24 + 8 * i, (run & 0x3f) << 12 | run >> 6);
        if ((how & 0x1f) == 0x1e) {
            put32(bytes + 28 + 8 * i, take32(&world->in));
            put32(bytes + 24 + 8 * i, take32(&world->in));
        }
    }
    execute(world, bytes, 24 + 8 * n, pick(&world->in, 65));
}

void world_do_new(struct world *world)
{
    static const uint32_t types[] = {
        VIRTIO_WL_CMD_VFD_NEW,
        VIRTIO_WL_CMD_VFD_NEW_CTX,
        VIRTIO_WL_CMD_VFD_NEW_PIPE,
        VIRTIO_WL_CMD_VFD_NEW_CTX_NAMED,
    };
    static const uint32_t sizes[] = {
        0, 1, 4096, 5000, 65536, 1 << 20, UINT32_MAX, 12288,
    };
    static const char *const names[] = { "full", "gone", "", "none\xff" };
    unsigned int how = take8(&world->in);
    uint8_t bytes[64] = { 0 };

    if ((how & 3) == 2 && how >> 5 == 7) { /* a pipe has no size */
        do_pages(world);
        return;
    }
    put32(bytes, types[how & 3]);
    put32(bytes + 8, take_id(world));
    put32(bytes + 12, how >> 2 & 7);
    put32(bytes + 24, sizes[how >> 5]);
    if ((how & 3) == 3) {
        memcpy(bytes + 28, names[how >> 5 & 3], strlen(names[how >> 5 & 3]));
    }
    execute(world, bytes, sizeof bytes, 64);
}

void world_do_send(struct world *world)
{
    static const size_t sizes[] = { 0, 1, 100, 3968, 40000, WORLD_BIG };
    unsigned int n_ids = pick(&world->in, 4);
    size_t len = 16 + n_ids * 4 + sizes[pick(&world->in, 6)];
    g_autofree uint8_t *bytes = g_malloc0(len);

    put32(bytes, VIRTIO_WL_CMD_VFD_SEND);
    put32(bytes + 8, take_id(world));
    put32(bytes + 12, n_ids);
    memcpy(bytes + 16 + n_ids * 4, world_big, len - 16 - n_ids * 4);
    for (unsigned int i = 0; i < n_ids; i++) {
        put32(bytes + 16 + i * 4, take_id(world));
    }
    execute(world, bytes, len, 8);
}

void world_do_foreign(struct world *world)
{
    uint8_t bytes[16 + 8 * 16 + 8] = { 0 };
    unsigned int n = pick(&world->in, 9);

    put32(bytes, VIRTIO_WL_CMD_VFD_SEND_FOREIGN_ID);
    put32(bytes + 8, take_id(world));
    put32(bytes + 12, n);
    for (unsigned int i = 0; i < n; i++) {
        bool wide = take8(&world->in) & 1;
        uint8_t *entry = bytes + 16 + i * (wide ? 16 : 8);

        put32(entry, pick(&world->in, 5));
        put32(entry + (wide ? 8 : 4), take_id(world));
    }
    execute(world, bytes, sizeof bytes - pick(&world->in, 16), 8);
}

void world_do_close(struct world *world)
{
    uint8_t bytes[12] = { 0 };

    put32(bytes, VIRTIO_WL_CMD_VFD_CLOSE);
    put32(bytes + 8, take_id(world));
    execute(world, bytes, sizeof bytes, 8);
}

void world_do_raw(struct world *world)
{
    uint8_t bytes[200] = { 0 };
    uint32_t type = VIRTIO_WL_CMD_VFD_NEW + pick(&world->in, 12);
    uint32_t id = take_id(world);
    size_t len, less;

    world->rubbish = true;
    put32(bytes, type);
    put32(bytes + 8, id);
    len = 12 + take_bytes(&world->in, bytes + 12, sizeof bytes - 12);
    less = pick(&world->in, 16);
    len -= MIN(len, less);
    execute(world, bytes, len, pick(&world->in, 80));
}
