/* SPDX-License-Identifier: BSD-3-Clause */
#include "policy_world.h"

static bool may_bind(struct policy_world *world, const uint8_t *data,
                     size_t size, size_t version_behind)
{
    uint32_t len = vwl_wire_get(data, 12);
    size_t padded = (len + 3u) & ~3u;
    const struct vwl_table_row *row;

    fuzz_check(size >= 16 + padded + version_behind);
    fuzz_check(memchr(data + 16, 0, len) == data + 16 + len - 1);
    row = vwl_table_find((const char *)data + 16);
    return vwl_rules_allow(world->rules, row) &&
           vwl_wire_get(data, 16 + padded) <= vwl_table_version(row);
}

/* The descriptor of the message that begins there; 0: it has none. */
static int fd_at(const struct vwl_passed *passed, size_t at)
{
    for (unsigned int i = 0; i < passed->n_fds; i++) {
        if (passed->fds[i].at == at) {
            return passed->fds[i].fd;
        }
    }
    return 0;
}

/* create_pool(new 2, fd, size) of wl_shm, resize(size) of a pool */
static void check_pool(struct policy_world *world, const struct vwl_id *object,
                       const uint8_t *data, int fd)
{
    uint32_t opcode = vwl_wire_get(data, 4) & 0xffff;
    gpointer pool = GUINT_TO_POINTER(vwl_wire_get(data, 0));

    if (object->kind == VWL_OBJECT_SHM && opcode == 0) {
        fuzz_check(fd &&
                   vwl_wire_get(data, 12) <= policy_file_bytes(world, fd));
        g_hash_table_insert(world->pools,
                            GUINT_TO_POINTER(vwl_wire_get(data, 8)),
                            GINT_TO_POINTER(fd));
    } else if (object->kind == VWL_OBJECT_POOL && opcode == 2) {
        fd = GPOINTER_TO_INT(g_hash_table_lookup(world->pools, pool));
        fuzz_check(vwl_wire_get(data, 8) <= policy_file_bytes(world, fd));
    }
}

static void check_request(struct policy_world *world, const uint8_t *data,
                          int fd)
{
    uint32_t id = vwl_wire_get(data, 0);
    const struct vwl_id *object = vwl_ids_find(&world->filter->ids, id);

    fuzz_check(object);
    fuzz_check(!g_hash_table_contains(world->ended, GUINT_TO_POINTER(id)));
    if (id >= VWL_FIRST_SERVER_ID &&
        vwl_table_ends(object->iface,
                       (uint16_t)(vwl_wire_get(data, 4) & 0xffff))) {
        g_hash_table_add(world->ended, GUINT_TO_POINTER(id));
    }
    check_pool(world, object, data, fd);
}

/* What the server makes may be used. */
static void check_event(struct policy_world *world, const uint8_t *data,
                        size_t size)
{
    const struct vwl_id *object = vwl_ids_find(&world->filter->ids,
                                               vwl_wire_get(data, 0));
    uint32_t opcode = vwl_wire_get(data, 4) & 0xffff;
    struct vwl_wire_message message;

    if (!object || opcode >= (uint32_t)object->iface->event_count ||
        vwl_wire_walk(&object->iface->events[opcode], data, size, &message) <
            0) {
        return;
    }
    for (unsigned int i = 0; i < message.n_args; i++) {
        if (message.args[i].type == 'n') {
            g_hash_table_remove(world->ended,
                                GUINT_TO_POINTER(message.args[i].value));
        }
    }
}

static void check_message(struct policy_world *world, enum vwl_way way,
                          const uint8_t *data, size_t size)
{
    uint32_t object = vwl_wire_get(data, 0);
    uint32_t opcode = vwl_wire_get(data, 4) & 0xffff;
    gpointer first = GUINT_TO_POINTER(size >= 12 ? vwl_wire_get(data, 8) : 0);

    if (way == VWL_TO_HOST) {
        fuzz_check(size <= world->rules->max_message_bytes);
        if (object == 1 && opcode == 1) {
            fuzz_check(g_hash_table_add(world->registries, first));
        } else if (g_hash_table_contains(world->registries,
                                         GUINT_TO_POINTER(object))) {
            fuzz_check(opcode == 0 && may_bind(world, data, size, 8));
        }
    } else if (object == 1 && opcode == 1) {
        g_hash_table_remove(world->registries, first);
    } else if (opcode == 0 && g_hash_table_contains(world->registries,
                                                    GUINT_TO_POINTER(object))) {
        fuzz_check(may_bind(world, data, size, 4));
    }
}

static void check_fds(struct policy_world *world,
                      const struct vwl_passed *passed)
{
    size_t at = 0;

    for (unsigned int i = 0; i < passed->n_fds; i++) {
        int fd = passed->fds[i].fd;

        fuzz_check(passed->fds[i].at >= at && passed->fds[i].at < passed->len);
        fuzz_check(world->fds[fd] == FD_INSIDE);
        at = passed->fds[i].at;
        world->fds[fd] = FD_PASSED;
    }
}

void policy_check_way(struct policy_world *world, enum vwl_way way)
{
    struct vwl_passed passed = vwl_filter_passed(world->filter, way);
    struct vwl_passed twin = vwl_filter_passed(world->twin, way);
    size_t size;

    fuzz_check(passed.len == twin.len && passed.n_fds == twin.n_fds);
    fuzz_check(!passed.len || memcmp(passed.data, twin.data, passed.len) == 0);
    for (unsigned int i = 0; i < passed.n_fds; i++) {
        fuzz_check(passed.fds[i].fd == twin.fds[i].fd &&
                   passed.fds[i].at == twin.fds[i].at);
    }
    fuzz_check(!world->over || passed.len == 0);
    for (size_t at = 0; at < passed.len; at += size) {
        fuzz_check(passed.len - at >= VWL_WIRE_HEADER);
        size = vwl_wire_get(passed.data + at, 4) >> 16;
        fuzz_check(size >= VWL_WIRE_HEADER && size <= passed.len - at);
        check_message(world, way, passed.data + at, size);
        if (way == VWL_TO_HOST) {
            check_request(world, passed.data + at, fd_at(&passed, at));
        } else {
            check_event(world, passed.data + at, size);
        }
    }
    check_fds(world, &passed);
    vwl_filter_taken(world->filter, way);
    vwl_filter_taken(world->twin, way);
}
