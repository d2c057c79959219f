/* SPDX-License-Identifier: BSD-3-Clause */
#include "bridge_run.h"

#include <fcntl.h>
#include <sys/socket.h>

void fuzz_iterate(struct fuzz_run *run, unsigned int times)
{
    while (times-- != 0 && g_main_context_iteration(NULL, FALSE)) {
    }
}

static void listen_at_nowhere(struct fuzz_run *run)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    run->address = address;
    run->address_len = sizeof run->address;
    run->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                           0);
    fuzz_check(bind(run->listener, (struct sockaddr *)&address,
                    sizeof(sa_family_t)) == 0);
    fuzz_check(listen(run->listener, 8) == 0);
    fuzz_check(getsockname(run->listener, (struct sockaddr *)&run->address,
                           &run->address_len) == 0);
}

void fuzz_run_init(struct fuzz_run *run, unsigned int how)
{
    struct vwl_bridge_options options = { .trace = how == 0x77 };

    fuzz_world_init(&run->world);
    for (unsigned int i = 0; i < FUZZ_CLIENTS; i++) {
        run->clients[i].fd = -1;
    }
    options.title_prefix = options.app_id_prefix = how & 1 ? "[vm] " : NULL;
    options.share_pools = (how & 0x30) == 0x30;
    options.place_at_once = (how & 0x30) == 0x20;
    run->world.share_pools = options.share_pools;
    run->bridge = vwl_bridge_new(run->world.transport, &options);
    listen_at_nowhere(run);
    run->raw = (how & 12) == 12;
    run->world.async = (how & 4) != 0;
    vwl_bridge_listen(run->bridge, run->listener, run->raw ? "other" : NULL);
    run->file = fuzz_memfd(FUZZ_POOL_SIZE);
    if (options.share_pools) {
        fuzz_check(fcntl(run->file, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
    }
}

struct vwl_client *fuzz_find_client(struct fuzz_run *run,
                                    const struct fuzz_client *client)
{
    for (guint i = 0; i < run->bridge->clients->len; i++) {
        struct vwl_client *found = run->bridge->clients->pdata[i];

        if (found->number == client->number) {
            return found->dead || found->failed ? NULL : found;
        }
    }
    return NULL;
}

void fuzz_connect(struct fuzz_run *run, struct fuzz_client *client)
{
    guint before = run->bridge->counter;

    fuzz_close(&client->fd);
    client->number = 0;
    client->torn = false;
    client->heard = false;
    client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    fuzz_check(connect(client->fd, (struct sockaddr *)&run->address,
                       run->address_len) == 0);
    fuzz_iterate(run, 20);
    if (run->bridge->counter != before) {
        client->number = run->bridge->counter;
    }
}

void fuzz_say(struct fuzz_run *run, struct fuzz_client *client,
              const void *data, size_t len, const int *fds, unsigned int n)
{
    if (client->fd >= 0) {
        (void)fuzz_send(client->fd, data, len, fds, n);
    }
}

static void nothing(void *opaque, struct vwl_object *object)
{
}

struct vwl_objects *fuzz_objects(struct vwl_client *client)
{
    static const struct vwl_objects_ops ops = { .freed = nothing };
    static struct vwl_objects unspoken;

    if (client->speaker == &vwl_relay_speaker) {
        return &client->objects;
    }
    if (unspoken.client == NULL) {
        vwl_objects_init(&unspoken, &ops, NULL);
    }
    return &unspoken;
}

GPtrArray *fuzz_objects_of(GPtrArray *from, uint32_t first)
{
    GPtrArray *objects = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < from->len; i++) {
        struct vwl_object *object = from->pdata[i];
        struct fuzz_object *copy;

        if (object != NULL) {
            copy = g_new0(struct fuzz_object, 1);
            copy->iface = object->iface;
            copy->id = first + i;
            g_ptr_array_add(objects, copy);
        }
    }
    return objects;
}

uint32_t fuzz_free_id(struct vwl_client *client)
{
    GPtrArray *ids = fuzz_objects(client)->client;

    for (guint i = 2; i < ids->len; i++) {
        if (ids->pdata[i] == NULL) {
            return i;
        }
    }
    return MAX(ids->len, 2);
}

void fuzz_settle(struct fuzz_run *run)
{
    unsigned int refuse = run->world.refuse;

    run->world.refuse = 0;
    fuzz_iterate(run, 200);
    run->world.refuse = refuse;
}

uint32_t fuzz_find_object(struct vwl_client *client, const char *name)
{
    GPtrArray *ids = fuzz_objects(client)->client;

    for (guint i = 2; i < ids->len; i++) {
        const struct vwl_object *object = ids->pdata[i];

        if (object != NULL && strcmp(object->iface->name, name) == 0) {
            return i;
        }
    }
    return 0;
}

void fuzz_words(struct fuzz_run *run, struct fuzz_client *client,
                uint32_t object, uint32_t opcode, unsigned int n,
                const uint32_t *args, int fd)
{
    uint32_t message[12] = { object, (n + 2) * 4 << 16 | opcode };

    memcpy(message + 2, args, n * sizeof *args);
    fuzz_say(run, client, message, (n + 2) * 4, &fd, fd >= 0);
}

uint32_t fuzz_bind_row(struct fuzz_run *run, struct fuzz_client *client,
                       const struct vwl_table_row *row, uint32_t version)
{
    struct vwl_client *there = fuzz_find_client(run, client);
    uint32_t registry, id, word;
    size_t n = strlen(row->iface->name) + 1, padded = (n + 3) & ~(size_t)3;
    uint8_t message[128] = { 0 };

    if (there == NULL) {
        return 0;
    }
    registry = fuzz_find_object(there, "wl_registry");
    if (registry == 0) {
        registry = fuzz_free_id(there);
        fuzz_words(run, client, 1, 1, 1, &registry, -1);
        fuzz_settle(run);
    }
    there = fuzz_find_client(run, client);
    if (there == NULL || there->ctx < 0) {
        return 0;
    }
    for (unsigned int i = 0; i < run->world.vfds->len; i++) {
        struct fuzz_host *host = fuzz_world_host(&run->world, i);

        if (host != NULL && (int)host->vfd == there->ctx) {
            fuzz_host_offer(host, 7, row->iface, version);
            break;
        }
    }
    fuzz_settle(run);
    there = fuzz_find_client(run, client);
    if (there == NULL) {
        return 0;
    }
    id = fuzz_free_id(there);
    put32(message, registry);
    put32(message + 4, (uint32_t)(24 + padded) << 16);
    put32(message + 8, 7);
    put32(message + 12, (uint32_t)n);
    memcpy(message + 16, row->iface->name, n);
    word = MIN(version, vwl_table_version(row));
    put32(message + 16 + padded, word);
    put32(message + 20 + padded, id);
    fuzz_say(run, client, message, 24 + padded, NULL, 0);
    fuzz_settle(run);
    return id;
}

uint32_t fuzz_ensure(struct fuzz_run *run, struct fuzz_client *client,
                     const char *name)
{
    struct vwl_client *there = fuzz_find_client(run, client);
    const struct vwl_table_row *row = vwl_table_global(name);
    uint32_t id = there != NULL ? fuzz_find_object(there, name) : 0;

    if (there == NULL || id != 0) {
        return id;
    }
    return fuzz_bind_row(run, client, row, vwl_table_version(row));
}
