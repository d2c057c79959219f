/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest's bridge between clients that do anything and hosts that answer
 * anything: its message walker, object ids, copying of shared memory, pipes.
 * What reaches a host must make sense (bridge_world.h), what is copied must be
 * what the client's file holds, a bridge that is left alone comes to rest, and
 * at the end nothing is left.
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "bridge_run.h"

#define MAX_OPS 200

/* A descriptor for a request: a pool's file, a pipe, or anything. */
static int some_fd(struct fuzz_run *run, struct fuzz_input *in, bool pool)
{
    unsigned int how = take8(in);
    int ends[2];

    if (how == 0xff) {
        return fuzz_make_fd(in, NULL);
    }
    if (pool) {
        return dup(run->file);
    }
    fuzz_check(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    if (run->n_pipes < G_N_ELEMENTS(run->pipes)) {
        run->pipes[run->n_pipes++] = ends[how & 1];
    } else {
        close(ends[how & 1]);
    }
    return ends[!(how & 1)];
}

/* The first message from (*object, *opcode) on, counted round, that has such
 * an argument. NULL: none has. */
static const struct wl_message *wanted(GPtrArray *objects, guint *object,
                                       unsigned int *opcode, char want)
{
    for (guint i = 0; i < objects->len; i++) {
        guint at = (*object + i) % objects->len;
        const struct wl_interface
            *iface = ((struct fuzz_object *)objects->pdata[at])->iface;

        for (int j = 0; j < iface->method_count; j++) {
            unsigned int op = (*opcode + (unsigned int)j) %
                              (unsigned int)iface->method_count;

            if (want == 0 ||
                strchr(iface->methods[op].signature, want) != NULL) {
                *object = at;
                *opcode = op;
                return &iface->methods[op];
            }
        }
    }
    return NULL;
}

static void op_request(struct fuzz_run *run, struct fuzz_client *client,
                       struct fuzz_input *in, char want)
{
    struct vwl_client *there = fuzz_find_client(run, client);
    unsigned int at = take8(in), opcode = take8(in), n_fds;
    const struct wl_message *proto;
    const struct fuzz_object *object;
    GPtrArray *objects, *none;
    GByteArray *bytes;
    uint32_t next;
    int fd = -1;

    if (there == NULL) {
        return;
    }
    none = g_ptr_array_new();
    objects = fuzz_objects_of(fuzz_objects(there)->client, 0);
    g_ptr_array_extend_and_steal(objects,
                                 fuzz_objects_of(fuzz_objects(there)->server,
                                                 VWL_SERVER_IDS));
    proto = wanted(objects, &at, &opcode, want);
    if (proto != NULL) {
        object = objects->pdata[at];
        next = fuzz_free_id(there);
        bytes = fuzz_message(in, proto, object->id, opcode, objects, none,
                             &next, &n_fds);
        if (n_fds != 0) {
            fd = some_fd(run, in, strcmp(object->iface->name, "wl_shm") == 0);
        }
        fuzz_say(run, client, bytes->data, bytes->len, &fd, n_fds);
        fuzz_close(&fd);
        g_byte_array_unref(bytes);
    }
    g_ptr_array_unref(objects);
    g_ptr_array_unref(none);
}

static void op_raw(struct fuzz_run *run, struct fuzz_client *client,
                   struct fuzz_input *in)
{
    uint8_t data[256];
    size_t n = take_bytes(in, data, sizeof data);
    int fd = take8(in) & 1 ? fuzz_make_fd(in, NULL) : -1;

    if (n != 0) {
        client->torn = true;
        fuzz_say(run, client, data, n, &fd, fd >= 0);
    }
    fuzz_close(&fd);
}

/* What it hears begins with a message; later reads may begin in one. */
static void op_listen(struct fuzz_run *run, struct fuzz_client *client)
{
    uint8_t data[65536];
    int fds[FUZZ_MAX_FDS];
    unsigned int n_fds = 0;
    ssize_t n;

    if (client->fd < 0) {
        return;
    }
    n = fuzz_receive(client->fd, data, sizeof data, fds, &n_fds);
    for (unsigned int i = 0; i < n_fds; i++) {
        fuzz_check(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
        if (run->n_pipes < G_N_ELEMENTS(run->pipes)) {
            run->pipes[run->n_pipes++] = fds[i];
        } else {
            close(fds[i]);
        }
    }
    if (n >= 8 && !run->raw && !client->heard) {
        fuzz_check(get32(data + 4) >> 16 >= 8);
        fuzz_check((get32(data + 4) >> 16) % 4 == 0);
    }
    client->heard |= n > 0;
}

static void op_bind(struct fuzz_run *run, struct fuzz_client *client,
                    struct fuzz_input *in)
{
    unsigned int n = 0, version = take8(in);
    const struct vwl_table_row *row;

    while (vwl_table_row(n) != NULL) {
        n++;
    }
    row = vwl_table_row(pick(in, n));
    fuzz_bind_row(run, client, row,
                  version < 0xf0 ? vwl_table_version(row) : version & 15);
}

/* A request that makes an object, with one more if it names another; its id,
 * 0: somebody refused. */
static uint32_t make(struct fuzz_run *run, struct fuzz_client *client,
                     uint32_t object, uint32_t opcode, uint32_t other)
{
    struct vwl_client *there = fuzz_find_client(run, client);
    uint32_t args[2] = { 0, other };

    if (there == NULL || object == 0) {
        return 0;
    }
    args[0] = fuzz_free_id(there);
    fuzz_words(run, client, object, opcode, other != 0 ? 2 : 1, args, -1);
    fuzz_settle(run);
    return args[0];
}

/* Some planes of the file, and what is made of them; a fence for it. */
static void buffer_of_planes(struct fuzz_run *run, struct fuzz_client *client,
                             unsigned int how)
{
    uint32_t manager = fuzz_ensure(run, client, "zwp_linux_dmabuf_v1");
    uint32_t params = make(run, client, manager, 1, 0);
    uint32_t plane[5] = { 0, 16, 64, 0, 0 }, sync;
    uint32_t size[5] = { 0, 16, 8, 1, 0 };
    struct vwl_client *there = fuzz_find_client(run, client);

    if (there == NULL || params == 0) {
        return;
    }
    for (; plane[0] <= (how & 3) % 3; plane[0]++) {
        fuzz_words(run, client, params, 1, 5, plane, run->file);
    }
    size[0] = fuzz_free_id(there);
    fuzz_words(run, client, params, how & 4 ? 3 : 2, how & 4 ? 5 : 4,
               size + !(how & 4), -1);
    sync = fuzz_find_object(there, "zwp_linux_surface_synchronization_v1");
    if (sync != 0) {
        fuzz_words(run, client, sync, 1, 0, size, run->file);
    }
    fuzz_words(run, client, params, 0, 0, size, -1);
    fuzz_iterate(run, 4); /* not settled: the host may refuse it */
}

/* What leads to ids of the host's, to descriptors, to names. */
static void op_favourites(struct fuzz_run *run, struct fuzz_client *client,
                          unsigned int which)
{
    uint32_t seat, manager, surface;

    if (which & 1) {
        seat = fuzz_ensure(run, client, "wl_seat");
        manager = fuzz_ensure(run, client, "wl_data_device_manager");
        make(run, client, seat, 1, 0);
        make(run, client, manager, 0, 0);
        make(run, client, manager, 1, seat);
    }
    if (which & 2) {
        seat = fuzz_ensure(run, client, "wl_seat");
        manager = fuzz_ensure(run, client, "zwp_tablet_manager_v2");
        make(run, client, manager, 0, seat);
    }
    if (which & 4) {
        surface = make(run, client, fuzz_ensure(run, client, "wl_compositor"),
                       0, 0);
        manager = fuzz_ensure(run, client, "xdg_wm_base");
        make(run, client, make(run, client, manager, 2, surface), 1, 0);
        manager = fuzz_ensure(run, client, "wp_viewporter");
        make(run, client, manager, 1, surface);
    }
    if (which & 8) {
        surface = make(run, client, fuzz_ensure(run, client, "wl_compositor"),
                       0, 0);
        manager = fuzz_ensure(run, client,
                              "zwp_linux_explicit_synchronization_v1");
        make(run, client, make(run, client, manager, 1, surface), 2, 0);
        manager = fuzz_ensure(run, client, "zwp_linux_dmabuf_v1");
        make(run, client, manager, 2, 0);
        make(run, client, manager, 3, surface);
    }
    if (which & 16) {
        buffer_of_planes(run, client, which >> 5);
    }
}

/* After a commit with this damage: the host has what the file holds; a map
 * has zeros, too, between its end and that of a page. */
static void compare(struct fuzz_run *run, const struct vwl_shmbuf *buffer,
                    const struct vwl_rect *rect)
{
    static uint8_t row[FUZZ_POOL_SIZE];
    size_t bpp = buffer->bytes_per_pixel;
    int64_t x1 = MIN((int64_t)rect->x + rect->width, buffer->width);
    int64_t y1 = MIN((int64_t)rect->y + rect->height, buffer->height);

    for (int64_t y = MAX(rect->y, 0); bpp != 0 && y < y1; y++) {
        int64_t x0 = MAX(rect->x, 0);
        int64_t at = y * buffer->stride + x0 * (int64_t)bpp;
        int64_t there = y * buffer->host_stride + x0 * (int64_t)bpp;
        size_t n = x1 > x0 ? (size_t)(x1 - x0) * bpp : 0;
        ssize_t got;

        fuzz_check(n <= sizeof row);
        memset(row, 0, n);
        got = pread(run->file, row, n, buffer->offset + at);
        fuzz_check(got == (ssize_t)n || buffer->pool->map != NULL);
        fuzz_check(memcmp(row, (char *)buffer->memory->mem.ptr + there, n) ==
                   0);
    }
}

static const struct vwl_shmbuf *shown(struct fuzz_run *run,
                                      struct fuzz_client *client, uint32_t id)
{
    struct vwl_client *there = fuzz_find_client(run, client);
    struct vwl_object *object = there == NULL
                                    ? NULL
                                    : vwl_objects_client(fuzz_objects(there),
                                                         id);

    return vwl_shmbuf_of(object);
}

static struct vwl_rect some_rect(struct fuzz_input *in)
{
    struct vwl_rect rect = { take8(in), take8(in), take8(in), take8(in) };

    if (take8(in) & 1) {
        rect.x = (int32_t)take32(in);
        rect.width = (int32_t)take32(in);
    }
    return rect;
}

/* A buffer of the pool's file, new or an old one, painted, shown. */
static void op_window(struct fuzz_run *run, struct fuzz_client *client,
                      struct fuzz_input *in)
{
    uint32_t compositor = fuzz_ensure(run, client, "wl_compositor");
    uint32_t shm = fuzz_ensure(run, client, "wl_shm");
    struct vwl_client *there = fuzz_find_client(run, client);
    uint32_t pool, buffer, surface, args[6], flags = take8(in);
    struct vwl_rect rect = some_rect(in);
    const struct vwl_shmbuf *memory;
    uint8_t paint[512];
    off_t at;

    if (there == NULL || compositor == 0 || shm == 0) {
        return;
    }
    surface = fuzz_find_object(there, "wl_surface");
    if (surface == 0 || flags & 1) {
        surface = fuzz_free_id(there);
        fuzz_words(run, client, compositor, 0, 1, &surface, -1);
        fuzz_settle(run);
    }
    if (fuzz_find_client(run, client) != there) {
        return;
    }
    buffer = fuzz_find_object(there, "wl_buffer");
    if (buffer == 0 || flags & 2) {
        pool = args[0] = fuzz_free_id(there);
        args[1] = FUZZ_POOL_SIZE;
        fuzz_words(run, client, shm, 0, 2, args, run->file);
        fuzz_settle(run);
        if (fuzz_find_client(run, client) != there) {
            return;
        }
        buffer = args[0] = fuzz_free_id(there);
        args[1] = take16(in) & 0x3ff;
        args[2] = take8(in) & 0x7f;
        args[3] = take8(in) & 0x3f;
        args[4] = args[2] * 4 + (flags >> 4);
        args[5] = flags & 8 ? take32(in) : 1;
        fuzz_words(run, client, pool, 0, 6, args, -1);
        if (flags & 4) {
            fuzz_words(run, client, pool, 1, 0, args, -1);
        }
        fuzz_settle(run);
    }
    memset(paint, ++run->stamp, sizeof paint);
    at = take16(in) % (FUZZ_POOL_SIZE - sizeof paint);
    fuzz_check(pwrite(run->file, paint, sizeof paint, at) > 0);
    args[0] = buffer;
    args[1] = args[2] = 0;
    fuzz_words(run, client, surface, 1, 3, args, -1);
    memcpy(args, &rect, sizeof rect);
    fuzz_words(run, client, surface, 9, 4, args, -1);
    fuzz_words(run, client, surface, 6, 0, args, -1);
    fuzz_settle(run);
    memory = shown(run, client, buffer);
    if (memory != NULL && !client->torn && memory->memory != NULL &&
        memory->surface != NULL && memory->pool->size == FUZZ_POOL_SIZE &&
        !memory->memory->in_place) {
        compare(run, memory, &rect);
    }
}

/* ---- others ---- */

static void op_host(struct fuzz_run *run, struct fuzz_input *in, char want)
{
    struct fuzz_host *host = fuzz_world_host(&run->world, take8(in));

    if (host != NULL) {
        fuzz_host_event(host, in, want);
    }
}

static void op_host_raw(struct fuzz_run *run, struct fuzz_input *in)
{
    struct fuzz_host *host = fuzz_world_host(&run->world, take8(in));
    uint8_t data[256];
    size_t n = take_bytes(in, data, sizeof data);
    int vfd = -1;

    if (host == NULL || n == 0) {
        return;
    }
    host->hostile = true;
    if (take8(in) & 1) {
        vfd = fuzz_world_new_memory(&run->world, take8(in));
    }
    fuzz_world_give(&run->world, host->vfd, data, n, &vfd, vfd > 0);
}

static void op_hang_up(struct fuzz_run *run, struct fuzz_input *in)
{
    struct fuzz_host *host = fuzz_world_host(&run->world, take8(in));

    if (host != NULL) {
        fuzz_world_hang_up(&run->world, host->vfd);
    }
}

static void op_pipe(struct fuzz_run *run, struct fuzz_input *in)
{
    unsigned int how = take8(in);
    unsigned int vfd = fuzz_world_pipe(&run->world, how >> 2);
    static const uint8_t data[70000];

    if (how & 1 && vfd != 0) {
        if (how & 2) {
            fuzz_world_hang_up(&run->world, vfd);
        } else {
            fuzz_world_give(&run->world, vfd, data, 1 + take16(in) % 4096, NULL,
                            0);
        }
    } else if (run->n_pipes != 0) {
        int *fd = &run->pipes[(how >> 2) % run->n_pipes];

        if (how & 2) {
            fuzz_close(fd);
            *fd = run->pipes[--run->n_pipes];
        } else {
            static uint8_t drain[70000];

            fcntl(*fd, F_SETFL, O_NONBLOCK);
            fuzz_write(*fd, data, sizeof data);
            (void)!read(*fd, drain, sizeof drain);
        }
    }
}

static void resize_file(struct fuzz_run *run, off_t size)
{
    if (ftruncate(run->file, size) < 0) {
        /* it is sealed then, to be shared */
        fuzz_check(run->world.share_pools && errno == EPERM);
    }
}

static void op_file(struct fuzz_run *run, struct fuzz_input *in)
{
    unsigned int how = take8(in);

    if (how & 1) {
        resize_file(run, how >> 1 << 9);
    }
    if (!(how & 2)) {
        resize_file(run, FUZZ_POOL_SIZE);
    }
}

static void step(struct fuzz_run *run, struct fuzz_input *in)
{
    unsigned int op = take8(in);
    struct fuzz_client *client = &run->clients[(op >> 6) % FUZZ_CLIENTS];

    switch (op & 31) {
    case 0:
        fuzz_connect(run, client);
        break;
    case 1:
        op_raw(run, client, in);
        break;
    case 2:
    case 3:
        op_bind(run, client, in);
        break;
    case 4:
        op_listen(run, client);
        break;
    case 5:
        fuzz_close(&client->fd);
        break;
    case 6:
        if (client->fd >= 0) {
            shutdown(client->fd, take8(in) % 3);
        }
        break;
    case 7:
    case 8:
    case 9:
        op_host(run, in, 0);
        break;
    case 10:
        op_host_raw(run, in);
        break;
    case 11:
        op_hang_up(run, in);
        break;
    case 12:
    case 13:
        op_pipe(run, in);
        break;
    case 14:
        op_file(run, in);
        break;
    case 15:
        run->world.refuse = take8(in);
        break;
    case 16:
        run->world.result = take8(in) & 1 ? -ENODEV : 0;
        break;
    case 17:
    case 18:
    case 19:
        fuzz_iterate(run, take8(in));
        break;
    case 20:
    case 21:
    case 22:
    case 23:
        op_window(run, client, in);
        break;
    case 24:
        op_request(run, client, in, 'n');
        fuzz_settle(run);
        break;
    case 25:
        op_request(run, client, in, 'h');
        fuzz_settle(run);
        break;
    case 26:
        op_host(run, in, op & 32 ? 'n' : 'h');
        fuzz_settle(run);
        break;
    case 27:
        op_favourites(run, client, take8(in));
        break;
    default:
        op_request(run, client, in, 0);
        fuzz_iterate(run, op & 32 ? 4 : 0);
    }
}

static void come_to_rest(struct fuzz_run *run)
{
    unsigned int turns = 0;

    run->world.refuse = 0;
    while (g_main_context_iteration(NULL, FALSE)) {
        fuzz_check(turns++ < 5000);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = { data, size };
    struct fuzz_run run = { 0 };
    unsigned int how = take8(&in);
    FILE *terminal = stderr;

    g_main_context_default(); /* has a descriptor of its own */
    fuzz_begin();
    signal(SIGPIPE, SIG_IGN); /* as the bridge's programs do */
    if (how == 0x77) {
        stderr = fopen("/dev/null", "we");
    }
    fuzz_run_init(&run, how);
    fuzz_connect(&run, &run.clients[0]);
    for (unsigned int i = 0; i < MAX_OPS && in.left != 0; i++) {
        step(&run, &in);
    }
    come_to_rest(&run);
    if (how & 2) {
        for (unsigned int i = 0; i < FUZZ_CLIENTS; i++) {
            fuzz_close(&run.clients[i].fd);
        }
        come_to_rest(&run);
    }
    vwl_bridge_free(run.bridge);
    for (unsigned int i = 0; i < FUZZ_CLIENTS; i++) {
        fuzz_close(&run.clients[i].fd);
    }
    for (unsigned int i = 0; i < run.n_pipes; i++) {
        close(run.pipes[i]);
    }
    close(run.file);
    close(run.listener);
    fuzz_world_finish(&run.world);
    if (how == 0x77) {
        fclose(stderr);
        stderr = terminal;
    }
    fuzz_end();
    return 0;
}
