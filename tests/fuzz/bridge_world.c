/* SPDX-License-Identifier: BSD-3-Clause */
#include "bridge_world.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../../qemu-glue/guest/transport.h"

#define MAX_MEMORY (1u << 20)

struct record {
    GByteArray *bytes;
    GArray *vfds;
};

struct double_ {
    struct vwl_transport base;
    struct fuzz_world *world;
};

struct send {
    vwl_transport_done_fn done;
    void *opaque;
    int result;
    bool ctx; /* result is one */
    int handles[VWL_TRANSPORT_MAX_VFDS];
    unsigned int n_handles;
};

static struct fuzz_world *world_of(struct vwl_transport *t)
{
    return ((struct double_ *)(void *)t)->world;
}

struct fuzz_vfd *fuzz_world_find(struct fuzz_world *world, int vfd)
{
    struct fuzz_vfd *found;

    fuzz_check(vfd > 0 && (guint)vfd <= world->vfds->len);
    found = world->vfds->pdata[vfd - 1];
    fuzz_check(!found->closed);
    return found;
}

static int add(struct fuzz_world *world, int kind)
{
    struct fuzz_vfd *vfd = g_new0(struct fuzz_vfd, 1);

    vfd->kind = kind;
    g_ptr_array_add(world->vfds, vfd);
    return (int)world->vfds->len;
}

static void tell(struct fuzz_world *world)
{
    world->news = true;
    eventfd_write(world->event, 1);
}

/* ---- the transport ---- */

static int new_ctx(struct vwl_transport *t, const char *name, int *vfd)
{
    struct fuzz_world *world = world_of(t);

    if (world->refuse & REFUSE_CTX) {
        return -ENODEV;
    }
    *vfd = add(world, VFD_CTX);
    fuzz_world_find(world, *vfd)->host = fuzz_host_new(world, *vfd);
    /* who speaks something else is not to be understood */
    fuzz_world_find(world, *vfd)->host->hostile = name != NULL;
    return 0;
}

static int new_ctx_async(struct vwl_transport *t, const char *name,
                         vwl_transport_done_fn done, void *opaque)
{
    struct fuzz_world *world = world_of(t);
    struct send send = { done, opaque, 0 };
    int vfd = -1;

    if (!world->async) {
        return -ENOSYS;
    }
    if (world->refuse & BUSY) {
        return -EBUSY;
    }
    send.result = new_ctx(t, name, &vfd);
    if (send.result == 0) {
        send.result = vfd;
        send.ctx = true;
    }
    g_array_append_val(world->sends, send);
    tell(world);
    return 0;
}

int fuzz_world_new_memory(struct fuzz_world *world, size_t size)
{
    size_t pages = MAX((size + 4095) & ~(size_t)4095, 4096);
    int vfd = add(world, VFD_MEMORY);
    struct fuzz_vfd *memory = fuzz_world_find(world, vfd);

    memory->size = size;
    memory->ptr = aligned_alloc(4096, pages);
    fuzz_check(memory->ptr != NULL);
    memset(memory->ptr, 0, pages);
    return vfd;
}

int fuzz_world_new_pipe(struct fuzz_world *world)
{
    return add(world, VFD_PIPE);
}

static int alloc(struct vwl_transport *t, size_t size,
                 struct vwl_transport_mem *mem)
{
    struct fuzz_world *world = world_of(t);
    int vfd;

    fuzz_check(size != 0);
    if (size > MAX_MEMORY || world->refuse & REFUSE_MEMORY) {
        return -ENOMEM;
    }
    vfd = fuzz_world_new_memory(world, (size + 4095) & ~(size_t)4095);
    fuzz_world_find(world, vfd)->mapped = true;
    *mem = (struct vwl_transport_mem){ vfd, fuzz_world_find(world, vfd)->ptr,
                                       fuzz_world_find(world, vfd)->size };
    return 0;
}

static void unmap(struct vwl_transport *t, struct vwl_transport_mem *mem)
{
    struct fuzz_vfd *memory = fuzz_world_find(world_of(t), mem->vfd);

    if (mem->ptr == NULL) {
        return; /* in place */
    }
    fuzz_check(memory->mapped && memory->ptr == mem->ptr);
    memory->mapped = false;
    mem->ptr = NULL;
}

static int map(struct vwl_transport *t, int vfd, size_t size, int writable,
               struct vwl_transport_mem *mem)
{
    struct fuzz_vfd *memory = fuzz_world_find(world_of(t), vfd);

    if (memory->kind != VFD_MEMORY || size > memory->size || writable) {
        return -EINVAL;
    }
    fuzz_check(!memory->mapped);
    memory->mapped = true;
    *mem = (struct vwl_transport_mem){ vfd, memory->ptr, memory->size };
    return 0;
}

/* Nobody looks into them: they are not mapped, and the host believes it. */
static int pages(struct vwl_transport *t, int fd, uint64_t offset, size_t size,
                 struct vwl_transport_mem *mem)
{
    struct fuzz_world *world = world_of(t);

    fuzz_check(size != 0 && size % 4096 == 0 && offset % 4096 == 0);
    if (size > MAX_MEMORY || !(world->refuse & TAKE_PAGES)) {
        return -EINVAL;
    }
    *mem = (struct vwl_transport_mem){
        .vfd = fuzz_world_new_memory(world, size),
        .size = size,
    };
    return 0;
}

static int pages_intact(struct vwl_transport *t, int vfd)
{
    fuzz_check(fuzz_world_find(world_of(t), vfd)->kind == VFD_MEMORY);
    return world_of(t)->refuse & REFUSE_IMPORT ? -ESTALE : 0;
}

static int make_pipe(struct vwl_transport *t, int guest_writes, int *vfd)
{
    struct fuzz_world *world = world_of(t);

    if (world->refuse & REFUSE_PIPE) {
        return -ENOMEM;
    }
    *vfd = fuzz_world_new_pipe(world);
    fuzz_world_find(world, *vfd)->inwards = !guest_writes;
    return 0;
}

static void record_free(struct record *record)
{
    g_byte_array_unref(record->bytes);
    g_array_unref(record->vfds);
    g_free(record);
}

static ssize_t receive(struct vwl_transport *t, int vfd, void *data, size_t cap,
                       int *vfds, unsigned int *n_vfds, int timeout_ms)
{
    struct fuzz_vfd *from = fuzz_world_find(world_of(t), vfd);
    struct record *record = g_queue_peek_head(&from->in);
    size_t n;

    fuzz_check(timeout_ms == 0 && *n_vfds >= VWL_TRANSPORT_MAX_VFDS);
    *n_vfds = 0;
    if (record == NULL) {
        return from->hup ? 0 : -ETIMEDOUT;
    }
    n = MIN(cap, record->bytes->len);
    memcpy(data, record->bytes->data, n);
    for (; *n_vfds < record->vfds->len; (*n_vfds)++) {
        vfds[*n_vfds] = g_array_index(record->vfds, int, *n_vfds);
    }
    g_array_set_size(record->vfds, 0);
    g_byte_array_remove_range(record->bytes, 0, (guint)n);
    if (record->bytes->len == 0) {
        record_free(g_queue_pop_head(&from->in));
    }
    return (ssize_t)n;
}

static int poll_one(struct vwl_transport *t, int vfd, int timeout_ms)
{
    struct fuzz_vfd *from = fuzz_world_find(world_of(t), vfd);

    return from->in.length != 0 || from->hup;
}

/* Queued records go, with the VFDs that only they name. */
static int close_one(struct vwl_transport *t, int vfd)
{
    struct fuzz_world *world = world_of(t);
    struct fuzz_vfd *gone = fuzz_world_find(world, vfd);
    struct record *record;

    fuzz_check(!gone->mapped);
    while ((record = g_queue_pop_head(&gone->in)) != NULL) {
        for (guint i = 0; i < record->vfds->len; i++) {
            close_one(t, g_array_index(record->vfds, int, i));
        }
        record_free(record);
    }
    if (gone->host != NULL) {
        fuzz_host_free(gone->host);
        gone->host = NULL;
    }
    free(gone->ptr);
    gone->ptr = NULL;
    gone->closed = true;
    return 0;
}

static int event_fd(struct vwl_transport *t)
{
    return world_of(t)->event;
}

static int watch(struct vwl_transport *t, int vfd, int on)
{
    fuzz_world_find(world_of(t), vfd);
    return 0;
}

static int pending(struct vwl_transport *t)
{
    return world_of(t)->news;
}

/* As a device in the bridge's thread has done what it was asked, or one
 * elsewhere has not yet. */
static int settle(struct vwl_transport *t)
{
    return world_of(t)->settled++ % 2 == 0 && pending(t);
}

static int dispatch(struct vwl_transport *t)
{
    struct fuzz_world *world = world_of(t);
    eventfd_t value;

    world->news = false;
    eventfd_read(world->event, &value);
    while (world->sends->len != 0) {
        struct send send = g_array_index(world->sends, struct send, 0);

        g_array_remove_index(world->sends, 0);
        for (unsigned int i = 0; i < send.n_handles; i++) {
            fuzz_world_find(world, send.handles[i]); /* still open */
        }
        send.done(send.opaque, send.result);
    }
    return 0;
}

static int send_async(struct vwl_transport *t, int vfd, const void *data,
                      size_t len, const int *vfds, unsigned int n_vfds,
                      vwl_transport_done_fn done, void *opaque)
{
    struct fuzz_world *world = world_of(t);
    struct fuzz_vfd *to = fuzz_world_find(world, vfd);
    struct send send = { done, opaque, world->result };

    fuzz_check(len != 0 && n_vfds <= VWL_TRANSPORT_MAX_VFDS);
    if (world->refuse & BUSY) {
        tell(world);
        return -EBUSY;
    }
    if (to->host != NULL) {
        fuzz_host_receive(to->host, data, len, vfds, n_vfds);
    } else {
        fuzz_check(n_vfds == 0);
    }
    for (unsigned int i = 0; i < n_vfds; i++) {
        fuzz_check(fuzz_world_find(world, vfds[i])->kind != VFD_FOREIGN);
    }
    g_array_append_val(world->sends, send);
    tell(world);
    return 0;
}

static int gpu(struct vwl_transport *t, struct vwl_transport_gpu *out)
{
    bool some = !(world_of(t)->refuse & NO_GPU);

    *out = (struct vwl_transport_gpu){
        .buffers = some,
        .fences = some,
        .feedback = some,
        .device = 0xe280,
    };
    return 0;
}

static int import(struct vwl_transport *t, bool fence, int *fd, int *handle)
{
    struct fuzz_world *world = world_of(t);

    if (world->refuse & REFUSE_IMPORT) {
        return -ENOMEM;
    }
    *handle = add(world, VFD_FOREIGN);
    close(*fd);
    *fd = -1;
    return 0;
}

/* Whole messages, with all of their descriptors and no others. */
static int send_checked(struct vwl_transport *t, int vfd, const void *data,
                        size_t len, const int *vfds, unsigned int n_vfds,
                        vwl_transport_done_fn done, void *opaque)
{
    struct fuzz_world *world = world_of(t);
    struct fuzz_vfd *to = fuzz_world_find(world, vfd);
    struct send send = { done, opaque, world->result };

    fuzz_check(len != 0 && n_vfds >= 1 && n_vfds <= 4 && to->host != NULL);
    if (world->refuse & BUSY) {
        tell(world);
        return -EBUSY;
    }
    for (unsigned int i = 0; i < n_vfds; i++) {
        fuzz_check(fuzz_world_find(world, vfds[i])->kind == VFD_FOREIGN);
        send.handles[send.n_handles++] = vfds[i];
    }
    if (world->refuse & REFUSE_FOREIGN && send.result == 0) {
        send.result = -ENOENT;
    } else {
        fuzz_check(to->host->hostile || to->host->bytes->len == 0);
        fuzz_host_receive(to->host, data, len, vfds, n_vfds);
        fuzz_check(to->host->hostile || to->host->bytes->len == 0);
    }
    g_array_append_val(world->sends, send);
    tell(world);
    return 0;
}

static const struct vwl_transport_ops ops = {
    .name = "fuzz",
    .new_ctx = new_ctx,
    .alloc = alloc,
    .unmap = unmap,
    .map = map,
    .pipe = make_pipe,
    .recv = receive,
    .poll = poll_one,
    .close = close_one,
    .fd = event_fd,
    .watch = watch,
    .pending = pending,
    .dispatch = dispatch,
    .settle = settle,
    .send_async = send_async,
    .new_ctx_async = new_ctx_async,
    .gpu = gpu,
    .pages = pages,
    .pages_intact = pages_intact,
    .import = import,
    .send_checked = send_checked,
};

void fuzz_world_init(struct fuzz_world *world)
{
    struct double_ *t = g_new0(struct double_, 1);

    t->base.ops = &ops;
    t->world = world;
    *world = (struct fuzz_world){ .transport = &t->base };
    world->vfds = g_ptr_array_new_with_free_func(g_free);
    world->sends = g_array_new(FALSE, FALSE, sizeof(struct send));
    world->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

void fuzz_world_finish(struct fuzz_world *world)
{
    for (guint i = 0; i < world->sends->len; i++) {
        struct send *send = &g_array_index(world->sends, struct send, i);

        if (send->ctx) {
            /* nobody was told of it */
            close_one(world->transport, send->result);
        }
    }
    for (guint i = 0; i < world->vfds->len; i++) {
        struct fuzz_vfd *vfd = world->vfds->pdata[i];

        fuzz_check(vfd->closed);
    }
    g_ptr_array_unref(world->vfds);
    g_array_unref(world->sends);
    close(world->event);
    g_free(world->transport);
}

static bool is_open(const struct fuzz_vfd *vfd, int kind)
{
    return (int)vfd->kind == kind && !vfd->closed && !vfd->hup;
}

static unsigned int nth(struct fuzz_world *world, int kind, unsigned int n)
{
    unsigned int count = 0;

    for (guint i = 0; i < world->vfds->len; i++) {
        count += is_open(world->vfds->pdata[i], kind);
    }
    n = count != 0 ? n % count : 0;
    for (guint i = 0; count != 0 && i < world->vfds->len; i++) {
        if (is_open(world->vfds->pdata[i], kind) && n-- == 0) {
            return i + 1;
        }
    }
    return 0;
}

struct fuzz_host *fuzz_world_host(struct fuzz_world *world, unsigned int i)
{
    unsigned int vfd = nth(world, VFD_CTX, i);

    return vfd != 0 ? fuzz_world_find(world, (int)vfd)->host : NULL;
}

unsigned int fuzz_world_pipe(struct fuzz_world *world, unsigned int i)
{
    return nth(world, VFD_PIPE, i);
}

void fuzz_world_give(struct fuzz_world *world, unsigned int vfd,
                     const void *data, size_t len, const int *vfds,
                     unsigned int n)
{
    struct record *record = g_new0(struct record, 1);

    record->bytes = g_byte_array_new();
    record->vfds = g_array_new(FALSE, FALSE, sizeof(int));
    g_byte_array_append(record->bytes, data, (guint)len);
    if (n != 0) {
        g_array_append_vals(record->vfds, vfds, n);
    }
    g_queue_push_tail(&fuzz_world_find(world, (int)vfd)->in, record);
    tell(world);
}

void fuzz_world_hang_up(struct fuzz_world *world, unsigned int vfd)
{
    fuzz_world_find(world, (int)vfd)->hup = true;
    tell(world);
}
