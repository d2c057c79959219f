/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl_world.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BIG 70000
#define PATTERN 251

/* Everybody sends this, from its beginning. */
static uint8_t big[BIG];

/* Whether these may follow *last in a stream: the pattern goes on, or somebody
 * begins it again. */
static bool is_stream(uint8_t *last, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != 0 && bytes[i] != (*last + 1) % PATTERN) {
            return false;
        }
        *last = bytes[i];
    }
    return true;
}

/* ---- requests --------------------------------------------------------- */

static void asked_free(struct asked *asked)
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
    fuzz_check(type >= 0x1000 && type <= 0x1105);
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

static void on_complete(void *opaque, struct vwl_request *request)
{
    struct world *world = opaque;
    unsigned int i = 0;

    fuzz_check(request != world->executing);
    while (i < world->n_pending && &world->pending[i]->request != request) {
        i++;
    }
    fuzz_check(i < world->n_pending);
    note_answer(world, world->pending[i]);
    asked_free(world->pending[i]);
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
        asked_free(asked);
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

static void do_new(struct world *world)
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

    put32(bytes, types[how & 3]);
    put32(bytes + 8, take_id(world));
    put32(bytes + 12, how >> 2 & 7);
    put32(bytes + 24, sizes[how >> 5]);
    if ((how & 3) == 3) {
        memcpy(bytes + 28, names[how >> 5 & 3], strlen(names[how >> 5 & 3]));
    }
    execute(world, bytes, sizeof bytes, 64);
}

static void do_send(struct world *world)
{
    static const size_t sizes[] = { 0, 1, 100, 3968, 40000, BIG };
    unsigned int n_ids = pick(&world->in, 4);
    size_t len = 16 + n_ids * 4 + sizes[pick(&world->in, 6)];
    g_autofree uint8_t *bytes = g_malloc0(len);

    put32(bytes, VIRTIO_WL_CMD_VFD_SEND);
    put32(bytes + 8, take_id(world));
    put32(bytes + 12, n_ids);
    memcpy(bytes + 16 + n_ids * 4, big, len - 16 - n_ids * 4);
    for (unsigned int i = 0; i < n_ids; i++) {
        put32(bytes + 16 + i * 4, take_id(world));
    }
    execute(world, bytes, len, 8);
}

static void do_foreign(struct world *world)
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

static void do_close(struct world *world)
{
    uint8_t bytes[12] = { 0 };

    put32(bytes, VIRTIO_WL_CMD_VFD_CLOSE);
    put32(bytes + 8, take_id(world));
    execute(world, bytes, sizeof bytes, 8);
}

static void do_raw(struct world *world)
{
    uint8_t bytes[200] = { 0 };
    uint32_t type = 0x100 + pick(&world->in, 12);
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

/* ---- messages --------------------------------------------------------- */

static bool is_known(struct world *world, uint32_t id)
{
    return world->lost_track ||
           g_hash_table_contains(world->known, GUINT_TO_POINTER(id));
}

void world_announce(struct world *world, uint32_t id)
{
    gpointer key = GUINT_TO_POINTER(id);
    guint n = GPOINTER_TO_UINT(g_hash_table_lookup(world->announced, key));

    g_hash_table_insert(world->announced, key, GUINT_TO_POINTER(n + 1));
}

/* Once for each time that it was told; the guest may have closed it since. */
static void check_listed(struct world *world, uint32_t id)
{
    gpointer key = GUINT_TO_POINTER(id);
    guint n = GPOINTER_TO_UINT(g_hash_table_lookup(world->announced, key));

    fuzz_check(n > 0);
    g_hash_table_insert(world->announced, key, GUINT_TO_POINTER(n - 1));
    if (is_known(world, id)) {
        g_hash_table_add(world->listed, key);
    }
}

/* Nothing follows a hang-up. */
static void check_order(struct world *world, uint32_t id, bool is_hup)
{
    gpointer key = GUINT_TO_POINTER(id);

    if (world->lost_track || world->restored) {
        return;
    }
    fuzz_check(!g_hash_table_contains(world->hung, key));
    if (is_hup) {
        g_hash_table_add(world->hung, key);
    }
}

/* Of contexts: others may read from pipes, too. */
static void check_bytes(struct world *world, uint32_t id, const uint8_t *bytes,
                        size_t len)
{
    gpointer key = GUINT_TO_POINTER(id), value;
    uint8_t last;

    if (!g_hash_table_lookup_extended(world->streams, key, NULL, &value)) {
        return;
    }
    last = (uint8_t)GPOINTER_TO_UINT(value);
    fuzz_check(is_stream(&last, bytes, len) || world->rubbish ||
               world->restored || world->lost_track);
    g_hash_table_insert(world->streams, key, GUINT_TO_POINTER(last));
}

static void check_message(struct world *world, const uint8_t *bytes, size_t n)
{
    uint32_t id = get32(bytes + 8);
    uint32_t n_ids;

    fuzz_check(n >= 12 && get32(bytes + 4) == 0);
    switch (get32(bytes)) {
    case VIRTIO_WL_CMD_VFD_NEW:
        fuzz_check(n == 32 && id >> 30 == 1);
        fuzz_check(world->lost_track || !is_known(world, id));
        g_hash_table_add(world->known, GUINT_TO_POINTER(id));
        world_announce(world, id);
        world->host_ids[world->n_host_ids++ & 7] = id;
        break;
    case VIRTIO_WL_CMD_VFD_RECV:
        fuzz_check(n > 16);
        n_ids = get32(bytes + 12);
        fuzz_check(n > 16 + (size_t)n_ids * 4);
        fuzz_check(is_known(world, id));
        check_order(world, id, false);
        for (uint32_t i = 0; i < n_ids; i++) {
            check_listed(world, get32(bytes + 16 + i * 4));
        }
        check_bytes(world, id, bytes + 16 + n_ids * 4, n - 16 - n_ids * 4);
        break;
    case VIRTIO_WL_CMD_VFD_HUP:
        fuzz_check(n == 12 && is_known(world, id));
        check_order(world, id, true);
        break;
    default:
        fuzz_check(!"an unknown message");
    }
}

static ssize_t next_message(struct world *world, size_t room, size_t cut)
{
    uint8_t bytes[4096];
    struct iovec iov[2] = {
        { bytes, MIN(cut, room) },
        { bytes + MIN(cut, room), room - MIN(cut, room) },
    };
    ssize_t n = vwl_core_next_message(world->core, iov, 2, world->token++);

    fuzz_check(n >= 0 || n == -ENOBUFS);
    fuzz_check(n <= (ssize_t)room);
    if (n > 0) {
        check_message(world, bytes, (size_t)n);
    }
    return n;
}

static void do_next(struct world *world)
{
    unsigned int how = take8(&world->in);

    vwl_core_buffers_free(world->core, how & 15, 16);
    next_message(world, how >> 4 & 3 ? 4096 : take8(&world->in),
                 how >> 6 ? 4096 : take8(&world->in));
    if (how >> 6 & 1) {
        vwl_core_buffer_returned(world->core,
                                 world->token - 1 - pick(&world->in, 20));
    }
}

/* A guest that takes all there is, and a device that is left alone, come to
 * rest. */
static void do_settle(struct world *world)
{
    unsigned int rounds = 0;
    bool busy = true;

    while (busy) {
        fuzz_check(rounds++ < 2000);
        busy = false;
        vwl_core_buffers_free(world->core, 16, 16);
        if (next_message(world, 4096, 4096) > 0) {
            busy = true;
            vwl_core_buffer_returned(world->core, world->token - 1);
        } else if (fuzz_readable(vwl_core_in_fd(world->core))) {
            busy = true;
        }
        if (fuzz_readable(vwl_core_out_fd(world->core))) {
            busy = true;
            vwl_core_dispatch_out(world->core);
        }
    }
}

/* ---- host peers ------------------------------------------------------- */

static void do_accept(struct world *world)
{
    int *peer = &world->peers[pick(&world->in, WORLD_PEERS)];

    world->last[peer - world->peers] = 0;
    fuzz_close(peer);
    *peer = fuzz_accept(0);
    if (*peer < 0) {
        *peer = fuzz_accept(1);
    }
}

/* Anything that a peer may send along, or what it was sent itself. */
static int peer_fd(struct world *world, int peer)
{
    unsigned int how = take8(&world->in);

    if (how < 40 && world->held[how & 7] >= 0) {
        return fcntl(world->held[how & 7], F_DUPFD_CLOEXEC, 0);
    }
    if (how == 40) {
        world->rubbish = true; /* its own data come back to it */
        return fcntl(peer, F_DUPFD_CLOEXEC, 0);
    }
    if (how > 128) {
        int *held = &world->held[how & 7];

        fuzz_close(held);
        return fuzz_make_fd(&world->in, held);
    }
    return fuzz_make_fd(&world->in, NULL);
}

static void peer_send(struct world *world, int peer)
{
    static const size_t sizes[] = { 1, 8, 300, 3968, 3969, 9000 };
    unsigned int how = take8(&world->in);
    unsigned int n_fds = how >> 3 & 1 ? how >> 4 : how >> 7;
    int fds[FUZZ_MAX_FDS] = { -1 };

    if (how == 255) {
        n_fds = FUZZ_MAX_FDS;
    }
    for (unsigned int i = 0; i < n_fds; i++) {
        fds[i] = peer_fd(world, peer);
    }
    fuzz_send(peer, big, sizes[(how & 7) % 6], fds, n_fds);
    for (unsigned int i = 0; i < n_fds; i++) {
        fuzz_close(&fds[i]);
    }
}

static void peer_receive(struct world *world, unsigned int index)
{
    static uint8_t data[BIG];
    int fds[FUZZ_MAX_FDS];
    unsigned int n_fds;
    ssize_t n = fuzz_receive(world->peers[index], data,
                             take8(&world->in) * 256u, fds, &n_fds);

    fuzz_check(n <= 0 || is_stream(&world->last[index], data, (size_t)n) ||
               world->rubbish);
    for (unsigned int i = 0; i < n_fds; i++) {
        int *held = &world->held[i % WORLD_HELD];
        struct stat st;

        /* a context's other end: two write to it now */
        world->rubbish |= fstat(fds[i], &st) == 0 && S_ISSOCK(st.st_mode);
        fuzz_close(held);
        *held = fds[i];
    }
}

static void do_peer(struct world *world)
{
    unsigned int how = take8(&world->in);
    int *peer = &world->peers[how & 7];

    if (*peer < 0) {
        do_accept(world);
        return;
    }
    switch (how >> 3 & 7) {
    case 0:
        fuzz_close(peer);
        break;
    case 1:
        shutdown(*peer, (int)pick(&world->in, 3));
        break;
    case 2:
    case 3:
        peer_receive(world, how & 7);
        break;
    default:
        peer_send(world, *peer);
        break;
    }
}

/* What peers do with descriptors that they were sent, or the other ends of
 * those that they sent. */
static void do_held(struct world *world)
{
    unsigned int how = take8(&world->in);
    int *held = &world->held[how & 7];
    static uint8_t data[BIG];

    if (*held < 0) {
        return;
    }
    if ((how >> 3 & 3) == 0) {
        fuzz_close(held);
    } else if ((how >> 3 & 3) == 1) {
        if (fcntl(*held, F_GETFL) & O_NONBLOCK || fuzz_readable(*held)) {
            (void)!read(*held, data, sizeof data);
        }
    } else if ((how >> 3 & 3) == 2) {
        if (fcntl(*held, F_GETFL) & O_NONBLOCK) {
            fuzz_write(*held, big, 1u << (how >> 4));
        } else {
            fuzz_send(*held, big, 1u << (how >> 4), NULL, 0);
        }
    } else {
        (void)!ftruncate(*held, (off_t)take8(&world->in) * 512);
    }
}

/* ---- the device's surroundings ---------------------------------------- */

static int on_map(void *opaque, uint64_t cookie, int fd, uint64_t fd_offset,
                  uint64_t shm_offset, uint64_t len, bool writable)
{
    struct world *world = opaque;

    fuzz_check(fcntl(fd, F_GETFD) >= 0);
    return front_map(&world->front, cookie, shm_offset, len);
}

static int on_unmap(void *opaque, uint64_t cookie, uint64_t shm_offset,
                    uint64_t len)
{
    return front_unmap(&((struct world *)opaque)->front, cookie, shm_offset,
                       len);
}

static int on_base(void *opaque, uint64_t *gpa)
{
    struct world *world = opaque;

    if (!world->front.base) {
        return -EAGAIN;
    }
    *gpa = world->front.base;
    return 0;
}

static void on_ready(void *opaque)
{
}

static int on_foreign(void *opaque, uint32_t kind, uint64_t value, int *fd)
{
    struct world *world = opaque;
    int *to = &world->asked[world->next_asked % WORLD_ASKED], sv[2];

    fuzz_check(kind >= 1 && kind <= 3);
    fuzz_check(kind != VIRTIO_WL_FOREIGN_VIRTGPU_SIGNALED_FENCE || !value);
    switch (value & 7) {
    case 1:
        return -ENOMEM;
    case 2:
        return -ENOENT;
    case 3:
        return 0; /* and no descriptor */
    case 4:
        *fd = eventfd(0, EFD_CLOEXEC);
        return 0;
    default:
        break;
    }
    world->next_asked++;
    fuzz_close(to);
    fuzz_check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) == 0);
    *to = sv[0];
    *fd = sv[1];
    return -EINPROGRESS;
}

static void do_answer(struct world *world)
{
    unsigned int how = take8(&world->in);
    int *to = &world->asked[how & (WORLD_ASKED - 1)];
    int32_t status = how >> 3 & 1 ? -ENOENT : 0;
    int fd = eventfd(0, EFD_CLOEXEC);

    if (*to >= 0 && (how >> 4 & 3) == 1) {
        fuzz_send(*to, &status, sizeof status, NULL, 0);
    } else if (*to >= 0 && (how >> 4 & 3) != 0) {
        fuzz_send(*to, &status, how >> 6 == 3 ? 3 : sizeof status, &fd, 1);
    }
    if ((how >> 4 & 3) != 1) {
        fuzz_close(to);
    }
    close(fd);
    vwl_core_dispatch_out(world->core);
}

static const struct vwl_core_ops ops = {
    .complete = on_complete,
    .shm_map = on_map,
    .shm_unmap = on_unmap,
    .shm_base = on_base,
    .message_ready = on_ready,
    .foreign = on_foreign,
};

static void drop_pending(struct world *world)
{
    while (world->n_pending > 0) {
        asked_free(world->pending[--world->n_pending]);
    }
    g_hash_table_remove_all(world->known);
    g_hash_table_remove_all(world->announced);
    g_hash_table_remove_all(world->listed);
    g_hash_table_remove_all(world->hung);
    g_hash_table_remove_all(world->streams);
    world->lost_track = world->restored = false;
}

void world_was_reset(struct world *world, bool late)
{
    front_reset(&world->front);
    if (!late) {
        g_array_set_size(world->front.answers, 0);
    }
    drop_pending(world);
}

static void do_reset(struct world *world)
{
    struct vwl_stats stats = { 0 };
    unsigned int how = take8(&world->in);
    bool late = how >> 4 & 1; /* answers to what was before come after it */

    vwl_core_reset(world->core, world->front.in_process);
    world_was_reset(world, late);
    vwl_core_stats(world->core, &stats);
    fuzz_check(stats.vfds == 0 && stats.contexts == 0);
    fuzz_check(stats.in_flight == 0 && stats.shm_bytes == 0);
    fuzz_check(stats.shm_mappings == 0 && stats.queued_bytes == 0);
    world->features = how & 0xe;
    world->has_shm = !(how >> 5 & 1);
    vwl_core_set_features(world->core, world->features, world->has_shm);
}

static bool is_even(void *opaque, const struct vwl_request *request)
{
    return request->total_bytes % 2 == 0;
}

static void do_front(struct world *world)
{
    unsigned int how = take8(&world->in);

    world->front.later = how & 1;
    world->front.refuse_map = (how & 0x0e) == 0x0e;
    world->front.refuse_unmap = (how & 0x70) == 0x70;
    world->front.base = (how & 0x30) == 0x30
                            ? 0
                            : UINT64_C(0xfe00000000) + (how >> 6) * 0x10000000;
    vwl_core_base_changed(world->core);
}

static void do_rare(struct world *world)
{
    struct vwl_stats stats = { 0 };
    uint64_t offset;

    switch (pick(&world->in, 8)) {
    case 0:
        do_reset(world);
        break;
    case 1:
        vwl_core_fail_requests(world->core, NULL, NULL);
        fuzz_check(world->n_pending == 0);
        break;
    case 2:
        vwl_core_fail_requests(world->core, is_even, NULL);
        break;
    case 3:
        vwl_core_set_in_flight_limit(world->core, pick(&world->in, 40));
        break;
    case 4:
        vwl_core_stats(world->core, &stats);
        fuzz_check(stats.in_flight <= world->n_pending);
        vwl_core_owns_file(world->core, take8(&world->in), 1, &offset);
        break;
    case 5:
        vwl_core_map_done(world->core, (take8(&world->in) + UINT64_C(1)) << 40,
                          -(int)take8(&world->in));
        break;
    case 6:
        do_answer(world);
        break;
    default:
        do_settle(world);
        break;
    }
}

void world_step(struct world *world)
{
    static void (*const steps[])(struct world *) = {
        do_new,  do_new,    do_send, do_foreign, do_close, do_raw,   do_next,
        do_next, do_accept, do_peer, do_peer,    do_held,  do_front, do_rare,
    };
    unsigned int how = take8(&world->in) & 15;

    if (how < G_N_ELEMENTS(steps)) {
        steps[how](world);
    } else if (how == 14) {
        front_answer_oldest(&world->front, world->core);
    } else {
        fuzz_advance_ms(take8(&world->in) * 20);
        vwl_core_dispatch_out(world->core);
    }
    world_census(world);
}

const struct vwl_core_config world_limits = {
    .shm_window = FRONT_WINDOW,
    .max_vfds = 60,
    .max_contexts = 6,
    .max_shm_bytes = 1 << 19,
    .max_queued_bytes = 30000,
};

int world_make_core(struct world *world, const struct vwl_core_config *limits,
                    struct vwl_core **out)
{
    struct vwl_socket sockets[] = {
        { "", fuzz_listener_path(0) },
        { "full", fuzz_listener_path(1) },
        { "gone", "/nonexistent/socket" },
    };
    struct vwl_core_config config = *limits;

    config.sockets = sockets;
    config.n_sockets = G_N_ELEMENTS(sockets);
    return vwl_core_create(&config, &ops, world, &world->log, out);
}

void world_init(struct world *world, const uint8_t *data, size_t size)
{
    unsigned int how;

    memset(world, 0, sizeof *world);
    world->in = (struct fuzz_input){ data, size };
    memset(world->peers, 0xff, sizeof world->peers);
    memset(world->held, 0xff, sizeof world->held);
    memset(world->asked, 0xff, sizeof world->asked);
    world->known = g_hash_table_new(NULL, NULL);
    world->announced = g_hash_table_new(NULL, NULL);
    world->listed = g_hash_table_new(NULL, NULL);
    world->hung = g_hash_table_new(NULL, NULL);
    world->streams = g_hash_table_new(NULL, NULL);
    for (unsigned int i = 0; i < BIG; i++) {
        big[i] = (uint8_t)(i % PATTERN);
    }
    vwl_log_init(&world->log, fuzz_log, NULL);
    front_init(&world->front);
    how = take8(&world->in);
    world->front.in_process = how & 1;
    world->front.drops = how >> 4 & 1;
    world->front.base = UINT64_C(0xfe00000000);
    fuzz_check(world_make_core(world, &world_limits, &world->core) == 0);
    world->features = how & 0xe;
    world->has_shm = true;
    vwl_core_set_features(world->core, world->features, true);
    vwl_core_set_in_flight_limit(world->core, 16);
}

void world_finish(struct world *world)
{
    vwl_core_destroy(world->core);
    drop_pending(world);
    g_hash_table_unref(world->known);
    g_hash_table_unref(world->announced);
    g_hash_table_unref(world->listed);
    g_hash_table_unref(world->hung);
    g_hash_table_unref(world->streams);
    for (unsigned int i = 0; i < WORLD_PEERS; i++) {
        fuzz_close(&world->peers[i]);
        fuzz_close(&world->held[i]);
    }
    for (unsigned int i = 0; i < WORLD_ASKED; i++) {
        fuzz_close(&world->asked[i]);
    }
    front_finish(&world->front);
}
