/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Both ends of a connection against the filter between them. What passes is
 * read again by a checker: whole messages alone pass, no registry announces or
 * binds what the rules hide, no pool is longer than its file, nothing is asked
 * of an object that the client gave up, each descriptor passes once or is
 * closed once, each question to the host ends, nothing passes after the end,
 * and bytes pass alike in pieces of any size.
 */
#include <errno.h>

#include "policy_world.h"

#define MAX_OPS 96
#define FEW_BYTES 4096 /* of memory for objects */

static const char *const names[] = {
    "wl_compositor",
    "wl_shm",
    "wl_seat",
    "wl_data_device_manager",
    "zwp_primary_selection_device_manager_v1",
    "xdg_wm_base",
    "zwp_linux_dmabuf_v1",
    "wl_subcompositor",
    "xdg_activation_v1",
    "zwp_tablet_manager_v2",
    "zwp_idle_inhibit_manager_v1",
    "zwlr_screencopy_manager_v1",
    "zwp_virtual_keyboard_manager_v1",
    "wp_cursor_shape_manager_v1",
    "unheard_of",
    "text/plain",
    "",
    "\xc3\xa4\xff\xe2\x80\xae",
};

/* ---- what the filter asks ----------------------------------------------- */

uint64_t policy_file_bytes(const struct policy_world *world, int fd)
{
    int file = fd & ~KEPT;

    return (uint64_t)(file % 16 + world->grown[file]) * 4096;
}

static uint64_t file_bytes(void *opaque, int fd)
{
    return policy_file_bytes(opaque, fd);
}

static void close_fd(void *opaque, int fd)
{
    struct policy_world *world = opaque;

    if (fd & KEPT) {
        fuzz_check(world->kept[fd & ~KEPT]-- > 0);
        return;
    }
    fuzz_check(world->fds[fd] == FD_INSIDE);
    world->fds[fd] = FD_CLOSED;
}

static int keep_file(void *opaque, int fd)
{
    struct policy_world *world = opaque;

    if (fd % 3 == 0) {
        return -1;
    }
    fuzz_check(world->fds[fd] == FD_INSIDE);
    world->kept[fd]++;
    return fd | KEPT;
}

static int keep_twin(void *opaque, int fd)
{
    return fd % 3 == 0 ? -1 : fd | KEPT;
}

static bool charge_one(int64_t *sum, int64_t most, int64_t bytes)
{
    if (bytes > 0 && most && *sum + bytes > most) {
        return false;
    }
    *sum += bytes;
    fuzz_check(*sum >= 0);
    return true;
}

static bool charge(void *opaque, int64_t bytes)
{
    struct policy_world *world = opaque;

    return charge_one(&world->charged, world->most, bytes);
}

static bool charge_twin(void *opaque, int64_t bytes)
{
    struct policy_world *world = opaque;

    return charge_one(&world->twin_charged, world->most, bytes);
}

static void close_twin(void *opaque, int fd)
{
}

static int ask(void *opaque, enum vwl_transfer_kind kind, enum vwl_way way,
               uint32_t ticket)
{
    struct policy_world *world = opaque;

    fuzz_check(kind < VWL_N_TRANSFER_KINDS && way < VWL_N_WAYS);
    if (world->busy) {
        return -EBUSY;
    }
    fuzz_check(ticket < MAX_TICKETS && world->tickets[ticket] == TICKET_UNUSED);
    world->tickets[ticket] = TICKET_OPEN;
    fuzz_check(++world->n_open <= 16);
    return 0;
}

static void close_ticket(struct policy_world *world, uint32_t ticket)
{
    fuzz_check(ticket < MAX_TICKETS && world->tickets[ticket] == TICKET_OPEN);
    world->tickets[ticket] = TICKET_OVER;
    world->n_open--;
}

static void unask(void *opaque, uint32_t ticket)
{
    close_ticket(opaque, ticket);
}

static int ask_twin(void *opaque, enum vwl_transfer_kind kind, enum vwl_way way,
                    uint32_t ticket)
{
    const struct policy_world *world = opaque;

    return world->busy ? -EBUSY : 0;
}

static const struct vwl_filter_ops ops = {
    .file_bytes = file_bytes,
    .close_fd = close_fd,
    .ask = ask,
    .unask = unask,
    .keep_file = keep_file,
    .charge = charge,
};
static const struct vwl_filter_ops twin_ops = {
    .file_bytes = file_bytes,
    .close_fd = close_twin,
    .ask = ask_twin,
    .keep_file = keep_twin,
    .charge = charge_twin,
};

static void check(struct policy_world *world)
{
    policy_check_way(world, VWL_TO_HOST);
    policy_check_way(world, VWL_TO_GUEST);
    fuzz_check(world->filter->over == world->twin->over);
    world->over = world->filter->over != 0;
}

/* ---- what comes --------------------------------------------------------- */

static void push(struct policy_world *world, enum vwl_way way,
                 const uint8_t *data, size_t len, unsigned int n_fds)
{
    /* so many may be there before the message that they belong to */
    bool may_cut = world->filter->stream[way].fds->len + n_fds <= 28;
    size_t piece = 1 + pick(&world->in, 8);
    int fds[FUZZ_MAX_FDS];

    piece = may_cut ? piece : len;

    for (unsigned int i = 0; i < n_fds; i++) {
        fds[i] = world->next_fd++;
        world->fds[fds[i]] = FD_INSIDE;
    }
    vwl_filter_push(world->filter, way, data, len, fds, n_fds);
    for (size_t at = 0; at < len || (at == 0 && n_fds); at += piece) {
        vwl_filter_push(world->twin, way, data + at, MIN(piece, len - at), fds,
                        at == 0 ? n_fds : 0);
        if (piece == 0) {
            break;
        }
    }
    check(world);
}

static unsigned int room_for(const struct policy_world *world, unsigned int n)
{
    return world->next_fd + FUZZ_MAX_FDS < MAX_NUMBERS ? n : 0;
}

static void put_word(GByteArray *out, uint32_t word)
{
    g_byte_array_append(out, (const guint8 *)&word, sizeof word);
}

static void put_text(GByteArray *out, const char *text)
{
    static const guint8 zeros[4];
    guint len = (guint)strlen(text) + 1;

    put_word(out, len);
    g_byte_array_append(out, (const guint8 *)text, len);
    g_byte_array_append(out, zeros, -len & 3);
}

/* An id as a peer that keeps to the protocol would choose it, mostly. */
static uint32_t new_id(struct policy_world *world, enum vwl_way way)
{
    const struct vwl_ids *ids = &world->filter->ids;
    uint8_t choice = take8(&world->in);

    if (choice >= 0xf0) {
        return take32(&world->in);
    }
    if (way == VWL_TO_GUEST) {
        return VWL_FIRST_SERVER_ID +
               (choice & 1 ? ids->n_server : pick(&world->in, 8));
    }
    for (uint32_t id = 2; id < ids->n_client; id++) {
        if (!ids->client[id].iface) {
            return id;
        }
    }
    return ids->n_client;
}

static uint32_t some_id(struct policy_world *world)
{
    uint8_t choice = take8(&world->in);

    return choice >= 0xf8   ? take32(&world->in)
           : choice >= 0xc0 ? VWL_FIRST_SERVER_ID + (choice & 7)
                            : choice & 0x3f;
}

static void put_args(struct policy_world *world, enum vwl_way way,
                     GByteArray *out, const char *signature)
{
    for (const char *s = signature; *s; s++) {
        switch (*s) {
        case 'n':
            put_word(out, new_id(world, way));
            break;
        case 'o':
            put_word(out, some_id(world));
            break;
        case 's':
            put_text(out, names[pick(&world->in, G_N_ELEMENTS(names))]);
            break;
        case 'a':
            put_word(out, 4);
            put_word(out, take8(&world->in));
            break;
        case 'i':
        case 'u':
        case 'f':
            put_word(out, take8(&world->in) < 0xf0 ? take8(&world->in)
                                                   : take32(&world->in));
            break;
        default:
            break;
        }
    }
}

/* A message to or of an object that there is, as its interface has it; now
 * and then with one descriptor more or less. */
static void op_message(struct policy_world *world, enum vwl_way way)
{
    uint32_t id = some_id(world);
    const struct vwl_id *object = vwl_ids_find(&world->filter->ids, id);
    uint16_t opcode = take8(&world->in) & 15;
    GByteArray *out = g_byte_array_new();
    unsigned int n_fds = 0;

    put_word(out, id);
    put_word(out, 0);
    if (object) {
        int count = way == VWL_TO_HOST ? object->iface->method_count
                                       : object->iface->event_count;
        const struct wl_message *protos = way == VWL_TO_HOST
                                              ? object->iface->methods
                                              : object->iface->events;

        if (opcode < count) {
            put_args(world, way, out, protos[opcode].signature);
            n_fds = strchr(protos[opcode].signature, 'h') != NULL;
        }
    }
    vwl_wire_put(out->data, 4, out->len << 16 | opcode);
    if (take8(&world->in) >= 0xe0) {
        n_fds = pick(&world->in, 30);
    }
    push(world, way, out->data, out->len, room_for(world, n_fds));
    g_byte_array_unref(out);
}

static void op_bytes(struct policy_world *world, enum vwl_way way)
{
    uint8_t data[96];
    size_t len = take_bytes(&world->in, data, sizeof data);

    push(world, way, data, len, room_for(world, pick(&world->in, 3)));
}

static void push_text(struct policy_world *world, enum vwl_way way,
                      uint32_t object, uint32_t name, const char *text,
                      uint32_t version, uint32_t id)
{
    GByteArray *out = g_byte_array_new();

    put_word(out, object);
    put_word(out, 0);
    put_word(out, name);
    put_text(out, text);
    put_word(out, version);
    if (id) {
        put_word(out, id);
    }
    vwl_wire_put(out->data, 4, out->len << 16);
    push(world, way, out->data, out->len, 0);
    g_byte_array_unref(out);
}

/* A registry, all names announced, the first ones bound. */
static void op_start(struct policy_world *world)
{
    static const uint8_t get_registry[] = {
        1, 0, 0, 0, 1, 0, 12, 0, 2, 0, 0, 0
    };
    unsigned int n = pick(&world->in, 11);

    push(world, VWL_TO_HOST, get_registry, sizeof get_registry, 0);
    for (uint32_t i = 0; i < G_N_ELEMENTS(names); i++) {
        push_text(world, VWL_TO_GUEST, 2, i + 1, names[i], 4, 0);
    }
    for (uint32_t i = 0; i < n; i++) {
        push_text(world, VWL_TO_HOST, 2, i + 1, names[i], 1, i + 3);
    }
}

static void push_words(struct policy_world *world, enum vwl_way way,
                       uint32_t object, uint16_t opcode, uint32_t first,
                       uint32_t second, unsigned int n, bool with_fd)
{
    const uint32_t words[] = { object, (8 + n * 4) << 16 | opcode, first,
                               second };

    push(world, way, (const uint8_t *)words, 8 + (size_t)n * 4,
         room_for(world, with_fd));
}

/* What a desktop's program has: a surface, a pool, a clipboard with offers. */
static void op_desk(struct policy_world *world)
{
    enum { COMPOSITOR = 3, SHM, SEAT, MANAGER, PRIMARY, DMABUF = 9 };
    const struct vwl_ids *ids = &world->filter->ids;
    uint32_t device, server = VWL_FIRST_SERVER_ID + ids->n_server;

    op_start(world);
    device = ids->n_client;
    push_words(world, VWL_TO_HOST, MANAGER, 1, device, SEAT, 2, false);
    push_words(world, VWL_TO_HOST, MANAGER, 0, device + 1, 0, 1, false);
    push_words(world, VWL_TO_HOST, device, 1, device + 1, 1, 2, false);
    push_words(world, VWL_TO_HOST, PRIMARY, 1, device + 2, SEAT, 2, false);
    push_words(world, VWL_TO_HOST, COMPOSITOR, 0, device + 3, 0, 1, false);
    push_words(world, VWL_TO_HOST, SHM, 0, device + 4, 0x800, 2, true);
    push_words(world, VWL_TO_HOST, DMABUF, 1, device + 5, 0, 1, false);
    push_words(world, VWL_TO_GUEST, device, 0, server, 0, 1, false);
    push_words(world, VWL_TO_GUEST, device, 5, server, 0, 1, false);
    push_words(world, VWL_TO_GUEST, device + 2, 0, server + 1, 0, 1, false);
}

static void op_grow(struct policy_world *world)
{
    int fd = FIRST_FD + (int)pick(&world->in, 64);

    world->grown[fd] += (uint16_t)pick(&world->in, 4);
    world->busy = pick(&world->in, 4) == 3;
}

static void op_answer(struct policy_world *world)
{
    uint32_t ticket = pick(&world->in, 24);
    bool allow = pick(&world->in, 2);

    if (world->tickets[ticket] == TICKET_OPEN && allow) {
        close_ticket(world, ticket); /* else the filter says that it is over */
    }
    vwl_filter_answer(world->filter, ticket, allow);
    vwl_filter_answer(world->twin, ticket, allow);
    check(world);
}

static void step(struct policy_world *world)
{
    switch (pick(&world->in, 10)) {
    case 0:
        op_start(world);
        break;
    case 1:
    case 2:
    case 3:
        op_message(world, VWL_TO_HOST);
        break;
    case 4:
    case 5:
        op_message(world, VWL_TO_GUEST);
        break;
    case 6:
        op_bytes(world, (enum vwl_way)pick(&world->in, VWL_N_WAYS));
        break;
    case 7:
        op_answer(world);
        break;
    case 8:
        op_desk(world);
        break;
    default:
        op_grow(world);
        break;
    }
}

static void world_init(struct policy_world *world, const uint8_t *data,
                       size_t size)
{
    struct vwl_socket_policy policy = { .size = sizeof policy };
    uint8_t choice;

    *world = (struct policy_world){ .in = { data, size }, .next_fd = FIRST_FD };
    choice = take8(&world->in);
    policy.clipboard = pick(&world->in, 5);
    policy.primary = pick(&world->in, 5);
    policy.drag = pick(&world->in, 5);
    policy.title_prefix = choice & 1 ? "[vm] " : NULL;
    policy.app_id_prefix = choice & 2 ? "guest." : NULL;
    policy.allow = choice & 4 ? "zwp_idle_inhibit_manager_v1" : NULL;
    policy.deny = choice & 8 ? "wl_subcompositor" : NULL;
    policy.max_objects = choice & 16 ? 24 : 0;
    policy.max_registries = choice & 32 ? 2 : 0;
    policy.max_surfaces = choice & 32 ? 2 : 0;
    policy.max_message_bytes = choice & 64 ? 64 : 0;
    world->most = choice & 128 ? FEW_BYTES : 0;
    vwl_log_init(&world->log, fuzz_log, NULL);
    fuzz_check(vwl_rules_create(&policy, &world->log, &world->rules) == 0);
    world->filter = vwl_filter_create(world->rules, &ops, world);
    world->twin = vwl_filter_create(world->rules, &twin_ops, world);
    world->registries = g_hash_table_new(NULL, NULL);
    world->pools = g_hash_table_new(NULL, NULL);
    world->ended = g_hash_table_new(NULL, NULL);
}

static void world_finish(struct policy_world *world)
{
    vwl_filter_destroy(world->filter);
    vwl_filter_destroy(world->twin);
    for (int fd = FIRST_FD; fd < world->next_fd; fd++) {
        fuzz_check(world->fds[fd] == FD_PASSED || world->fds[fd] == FD_CLOSED);
        fuzz_check(world->kept[fd] == 0);
    }
    fuzz_check(world->n_open == 0);
    fuzz_check(world->charged == 0 && world->twin_charged == 0);
    vwl_rules_destroy(world->rules);
    g_hash_table_unref(world->registries);
    g_hash_table_unref(world->pools);
    g_hash_table_unref(world->ended);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct policy_world *world = g_new(struct policy_world, 1);

    fuzz_begin();
    world_init(world, data, size);
    for (unsigned int i = 0; i < MAX_OPS && world->in.left > 0; i++) {
        step(world);
    }
    world_finish(world);
    fuzz_end();
    g_free(world);
    return 0;
}
