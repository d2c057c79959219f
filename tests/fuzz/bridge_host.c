/* SPDX-License-Identifier: BSD-3-Clause */
#include "bridge_world.h"

#include "wayland/interfaces.h"
#include "wayland/table.h"

#define FIRST_SERVER_ID 0xff000000u

static void object_put(struct fuzz_host *host, uint32_t id,
                       const struct wl_interface *iface)
{
    struct fuzz_object *object = g_new0(struct fuzz_object, 1);
    GPtrArray *array = host->objects;

    object->iface = iface;
    object->id = id;
    if (id >= FIRST_SERVER_ID) {
        array = host->server;
        id -= FIRST_SERVER_ID;
    }
    if (id >= array->len) {
        g_ptr_array_set_size(array, (gint)id + 1);
    }
    g_free(array->pdata[id]);
    array->pdata[id] = object;
}

static struct fuzz_object *object_get(struct fuzz_host *host, uint32_t id)
{
    GPtrArray *array = host->objects;

    if (id >= FIRST_SERVER_ID) {
        array = host->server;
        id -= FIRST_SERVER_ID;
    }
    return id < array->len ? array->pdata[id] : NULL;
}

static void object_drop(struct fuzz_host *host, uint32_t id)
{
    uint32_t event[3] = { 1, 12u << 16 | 1, id };

    object_get(host, id)->dead = true;
    if (id >= FIRST_SERVER_ID) {
        return;
    }
    fuzz_world_give(host->world, host->vfd, event, sizeof event, NULL, 0);
}

struct fuzz_host *fuzz_host_new(struct fuzz_world *world, int vfd)
{
    struct fuzz_host *host = g_new0(struct fuzz_host, 1);

    host->world = world;
    host->vfd = (unsigned int)vfd;
    host->bytes = g_byte_array_new();
    host->vfds = g_array_new(FALSE, FALSE, sizeof(int));
    host->objects = g_ptr_array_new_with_free_func(g_free);
    host->server = g_ptr_array_new_with_free_func(g_free);
    object_put(host, 1, &wl_display_interface);
    return host;
}

void fuzz_host_free(struct fuzz_host *host)
{
    g_byte_array_unref(host->bytes);
    g_array_unref(host->vfds);
    g_ptr_array_unref(host->objects);
    g_ptr_array_unref(host->server);
    g_free(host);
}

/* A client may well speak of what it destroyed, and compositors end it then;
 * what the bridge made for itself it must not. */
static bool is_usable(struct fuzz_host *host, const struct fuzz_object *object)
{
    fuzz_check(object != NULL);
    if (object->dead) {
        fuzz_check(!object->own);
        host->hostile = true;
    }
    return !object->dead;
}

/* Any interface that a bind may name, by its name. */
static const struct wl_interface *by_name(const char *name)
{
    const struct vwl_table_row *row = vwl_table_global(name);

    fuzz_check(row != NULL);
    return row->iface;
}

struct walked {
    uint32_t word[20];
    const char *text;
    unsigned int n;
    int vfd;
};

static void walk_arg(struct fuzz_host *host, char type, bool nullable,
                     const struct wl_interface *iface, const uint8_t *data,
                     size_t size, size_t *at, struct walked *out)
{
    struct fuzz_object *object;
    uint32_t value;

    if (type == 'h') {
        fuzz_check(host->vfds->len != 0);
        out->vfd = g_array_index(host->vfds, int, 0);
        g_array_remove_index(host->vfds, 0);
        out->n++;
        return;
    }
    fuzz_check(size - *at >= 4);
    value = get32(data + *at);
    *at += 4;
    out->word[out->n++] = value;
    switch (type) {
    case 'o':
        object = object_get(host, value);
        fuzz_check(value != 0 || nullable);
        if (value == 0 || !is_usable(host, object)) {
            break;
        }
        fuzz_check(iface == NULL ||
                   strcmp(iface->name, object->iface->name) == 0);
        break;
    case 'n':
        /* libwayland's servers take no id that leaves a gap */
        fuzz_check(value != 0 && value <= host->objects->len);
        object = object_get(host, value);
        fuzz_check(object == NULL || object->dead);
        if (iface == NULL) {
            iface = by_name(out->text);
        }
        object_put(host, value, iface);
        break;
    case 's':
        fuzz_check(value != 0 || nullable);
        fuzz_check(value == 0 ||
                   (value <= size - *at && data[*at + value - 1] == 0));
        out->text = (const char *)data + *at;
        *at += (value + 3) & ~3u;
        break;
    case 'a':
        fuzz_check(value <= size - *at);
        *at += (value + 3) & ~3u;
        break;
    default:
        break;
    }
    fuzz_check(*at <= size);
}

/* What libwayland checks of wl_shm, and more. */
static void judge_shm(struct fuzz_host *host, struct fuzz_object *object,
                      unsigned int opcode, const struct walked *args)
{
    struct fuzz_object *pool;

    if (strcmp(object->iface->name, "wl_shm") == 0 && opcode == 0) {
        struct fuzz_vfd *memory = fuzz_world_find(host->world, args->vfd);

        /* i and n; the descriptor has no word */
        fuzz_check(memory->kind == VFD_MEMORY ||
                   (memory->kind == VFD_FOREIGN && host->world->share_pools));
        fuzz_check(args->word[2] > 0);
        pool = object_get(host, args->word[0]);
        if (memory->kind == VFD_MEMORY) {
            fuzz_check(args->word[2] <= memory->size);
            pool->own = true;
        }
        pool->size = args->word[2];
    } else if (strcmp(object->iface->name, "wl_shm_pool") == 0 && opcode == 2) {
        fuzz_check(host->world->share_pools);
        fuzz_check((int32_t)args->word[0] >= (int64_t)object->size);
        object->size = args->word[0];
    } else if (strcmp(object->iface->name, "wl_shm_pool") == 0 && opcode == 0) {
        int64_t offset = (int32_t)args->word[1];
        int64_t width = (int32_t)args->word[2];
        int64_t height = (int32_t)args->word[3];
        int64_t stride = (int32_t)args->word[4];

        fuzz_check(offset >= 0 && width > 0 && height > 0 && stride >= width);
        fuzz_check(offset + stride * height <= object->size);
        object_get(host, args->word[0])->own = object->own;
    }
}

static void host_message(struct fuzz_host *host, const uint8_t *data,
                         size_t size)
{
    uint32_t id = get32(data), opcode = get32(data + 4) & 0xffff;
    struct fuzz_object *object = object_get(host, id);
    const struct wl_message *proto;
    struct walked args = { .vfd = -1 };
    size_t at = 8;
    bool nullable = false;

    if (!is_usable(host, object)) {
        return;
    }
    fuzz_check(opcode < (uint32_t)object->iface->method_count);
    proto = &object->iface->methods[opcode];
    for (const char *s = proto->signature; *s != '\0'; s++) {
        if (*s == '?') {
            nullable = true;
        } else if (*s > '9') {
            walk_arg(host, *s, nullable, proto->types[args.n], data, size, &at,
                     &args);
            nullable = false;
        }
    }
    fuzz_check(at == size);
    if (host->hostile) {
        return;
    }
    judge_shm(host, object, opcode, &args);
    host->n_messages++;
    if (id == 1 && opcode == 0) {
        uint32_t done[3] = { args.word[0], 12u << 16, 0 };

        fuzz_world_give(host->world, host->vfd, done, sizeof done, NULL, 0);
        object_drop(host, args.word[0]);
    } else if (strcmp(proto->name, "destroy") == 0 ||
               strcmp(proto->name, "release") == 0) {
        object_drop(host, id);
    }
}

void fuzz_host_receive(struct fuzz_host *host, const void *data, size_t len,
                       const int *vfds, unsigned int n)
{
    GByteArray *bytes = host->bytes;

    for (unsigned int i = 0; i < n; i++) {
        fuzz_check(fuzz_world_find(host->world, vfds[i])->kind != VFD_CTX);
    }
    if (host->hostile) {
        return;
    }
    g_byte_array_append(bytes, data, (guint)len);
    g_array_append_vals(host->vfds, vfds, n);
    while (bytes->len >= 8 && !host->hostile) {
        size_t size = get32(bytes->data + 4) >> 16;

        fuzz_check(size >= 8 && size % 4 == 0);
        if (bytes->len < size) {
            break;
        }
        host_message(host, bytes->data, size);
        g_byte_array_remove_range(bytes, 0, (guint)size);
    }
}

/* ---- messages ---- */

static uint32_t number(struct fuzz_input *in)
{
    static const uint32_t odd[] = {
        0,    1,          2,          4,          8,          64,
        4096, 0x7fffffff, 0x80000000, 0xffffffff, 0xff000000, 0xff000001,
        255,  16384,      0x34324258, 3,
    };
    unsigned int how = take8(in);

    return how < 0xf0 ? how : how == 0xff ? take32(in) : odd[how & 15];
}

static uint32_t pick_object(struct fuzz_input *in,
                            const struct wl_interface *iface,
                            GPtrArray *objects, GPtrArray *more)
{
    unsigned int skip = take8(in), total = objects->len + more->len;

    if (skip >= 0xf8) {
        return number(in);
    }
    for (unsigned int i = 0; i < 2 * total; i++) {
        unsigned int at = (i + skip) % total;
        struct fuzz_object *object = at < objects->len
                                         ? objects->pdata[at]
                                         : more->pdata[at - objects->len];

        if (object != NULL && (iface == NULL || object->iface == iface)) {
            return object->id;
        }
    }
    return 0;
}

static void put(GByteArray *bytes, uint32_t word)
{
    g_byte_array_append(bytes, (const guint8 *)&word, sizeof word);
}

static void put_bytes(GByteArray *bytes, struct fuzz_input *in, bool text)
{
    char data[256] = { 0 };
    size_t n = take_bytes(in, data, 200);

    if (text) {
        data[n++] = '\0';
    }
    put(bytes, (uint32_t)n);
    g_byte_array_append(bytes, (guint8 *)data, (guint)((n + 3) & ~3u));
}

GByteArray *fuzz_message(struct fuzz_input *in, const struct wl_message *proto,
                         uint32_t object, unsigned int opcode,
                         GPtrArray *objects, GPtrArray *more, uint32_t *next,
                         unsigned int *n_fds)
{
    GByteArray *bytes = g_byte_array_new();
    unsigned int arg = 0;

    *n_fds = 0;
    put(bytes, object);
    put(bytes, 0);
    for (const char *s = proto->signature; *s != '\0'; s++) {
        if (*s == '?' || *s <= '9') {
            continue;
        }
        switch (*s) {
        case 'o':
            put(bytes, pick_object(in, proto->types[arg], objects, more));
            break;
        case 'n':
            put(bytes, (*next)++);
            break;
        case 's':
        case 'a':
            put_bytes(bytes, in, *s == 's');
            break;
        case 'h':
            (*n_fds)++;
            break;
        default:
            put(bytes, number(in));
        }
        arg++;
    }
    put32(bytes->data + 4, bytes->len << 16 | opcode);
    return bytes;
}

/* As the client's side picks. */
static struct fuzz_object *wanted(struct fuzz_host *host, unsigned int *opcode,
                                  unsigned int skip, char want)
{
    guint n = host->objects->len, total = n + host->server->len;

    for (guint i = 0; i < total; i++) {
        guint at = (skip + i) % total;
        struct fuzz_object *object = at < n ? host->objects->pdata[at]
                                            : host->server->pdata[at - n];

        for (int j = 0;
             object != NULL && !object->dead && j < object->iface->event_count;
             j++) {
            unsigned int op = (*opcode + (unsigned int)j) %
                              (unsigned int)object->iface->event_count;

            if (want == 0 ||
                strchr(object->iface->events[op].signature, want) != NULL) {
                *opcode = op;
                return object;
            }
        }
    }
    return NULL;
}

void fuzz_host_event(struct fuzz_host *host, struct fuzz_input *in, char want)
{
    uint32_t next = FIRST_SERVER_ID + host->server->len, first = next;
    unsigned int skip = take8(in), how = take8(in), opcode = how, n_fds;
    struct fuzz_object *object = wanted(host, &opcode, skip, want);
    const struct wl_message *proto;
    GByteArray *bytes;
    int vfd = -1;

    if (object == NULL) {
        return;
    }
    proto = &object->iface->events[opcode];
    bytes = fuzz_message(in, proto, object->id, opcode, host->objects,
                         host->server, &next, &n_fds);
    if (next != first) {
        unsigned int arg = 0;

        for (const char *s = proto->signature; *s != 'n'; s++) {
            arg += *s > '9' && *s != '?';
        }
        object_put(host, first, proto->types[arg]);
    }
    if (n_fds != 0) {
        vfd = take8(in) & 1 ? fuzz_world_new_pipe(host->world)
                            : fuzz_world_new_memory(host->world, take16(in));
    }
    host->hostile |= object->id == 1;
    fuzz_world_give(host->world, host->vfd, bytes->data, bytes->len, &vfd,
                    n_fds);
    g_byte_array_unref(bytes);
}

void fuzz_host_offer(struct fuzz_host *host, uint32_t name,
                     const struct wl_interface *row, uint32_t version)
{
    for (guint i = 2; i < host->objects->len; i++) {
        struct fuzz_object *object = host->objects->pdata[i];
        size_t n = strlen(row->name) + 1, padded = (n + 3) & ~(size_t)3;
        uint8_t event[128] = { 0 };

        if (object == NULL || object->iface->method_count != 1 ||
            strcmp(object->iface->name, "wl_registry") != 0) {
            continue;
        }
        put32(event, object->id);
        put32(event + 4, (uint32_t)(20 + padded) << 16);
        put32(event + 8, name);
        put32(event + 12, (uint32_t)n);
        memcpy(event + 16, row->name, n);
        put32(event + 16 + padded, version);
        fuzz_world_give(host->world, host->vfd, event, 20 + padded, NULL, 0);
    }
}
