/* SPDX-License-Identifier: BSD-3-Clause */
#include "painter.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vhost-user-wl/virtio_wl.h"

#define POOL_OFFSET 8192u
#define EXTRA_STRIDE 192u
#define FORMAT_XRGB8888 1u
#define DRM_XRGB8888 0x34325258u
#define DRM_INVALID_HIGH 0x00ffffffu /* modifier: whatever the driver thinks */
#define DRM_INVALID_LOW 0xffffffffu
#define MAX_MESSAGE 4096u

/* Object ids, in the order of their creation: a server insists on it. With a
 * dmabuf, SHM is the zwp_linux_dmabuf_v1 and POOL its buffer params. */
enum id {
    DISPLAY = 1,
    REGISTRY,
    SYNC,
    COMPOSITOR,
    SHM,
    WM_BASE,
    SURFACE,
    XDG_SURFACE,
    TOPLEVEL,
    POOL,
    BUFFER,
    FRAME,
};

struct out {
    uint8_t bytes[1024];
    size_t len, start;
};

struct painter_global {
    const char *interface;
    uint32_t name, version;
};

enum { G_COMPOSITOR, G_SHM, G_WM_BASE, G_COUNT };

struct vwl_painter {
    struct vwl_transport *t;
    struct vwl_painter_options options;
    int ctx;
    struct vwl_transport_mem mem;
    struct painter_global globals[G_COUNT];
    uint8_t in[65536];
    size_t in_len;
    bool attached, painted, closed;
    bool linear; /* the compositor takes dmabufs that are */
    struct out out;
};

uint32_t vwl_pattern_pixel(uint32_t x, uint32_t y, uint32_t width,
                           uint32_t height)
{
    uint32_t mx = width / 4, my = height * 5 / 8;

    if (x - mx < 24 && y - my < 10) {
        return x - mx < (y - my) * 2 ? 0xff00ff : 0x000000;
    }
    if (y < 8 || y >= height - 8) {
        bool top = y < 8;

        if (x < 12) {
            return top ? 0xff0000 : 0x0000ff;
        }
        if (x >= width - 12) {
            return top ? 0x00ff00 : 0xffff00;
        }
    }
    return (x * 255 / (width - 1)) << 16 | (y * 255 / (height - 1)) << 8 |
           ((x * 3 + y * 5) & 0xff);
}

static void tell(const struct vwl_painter *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void tell(const struct vwl_painter *p, const char *format, ...)
{
    va_list args;

    if (p->options.quiet) {
        return;
    }
    va_start(args, format);
    fputs("painter: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

static void put(struct out *o, uint32_t value)
{
    memcpy(o->bytes + o->len, &value, sizeof value);
    o->len += sizeof value;
}

static void put_string(struct out *o, const char *s)
{
    size_t len = strlen(s) + 1;

    put(o, (uint32_t)len);
    memset(o->bytes + o->len, 0, (len + 3) & ~(size_t)3);
    memcpy(o->bytes + o->len, s, len);
    o->len += (len + 3) & ~(size_t)3;
}

static void begin(struct out *o, uint32_t object, uint32_t opcode)
{
    o->start = o->len;
    put(o, object);
    put(o, opcode);
}

static void end(struct out *o)
{
    uint32_t size = (uint32_t)(o->len - o->start), word;

    memcpy(&word, o->bytes + o->start + 4, sizeof word);
    word |= size << 16;
    memcpy(o->bytes + o->start + 4, &word, sizeof word);
}

static void request(struct out *o, uint32_t object, uint32_t opcode,
                    unsigned int n, ...)
{
    va_list args;

    va_start(args, n);
    begin(o, object, opcode);
    for (unsigned int i = 0; i < n; i++) {
        put(o, va_arg(args, uint32_t));
    }
    end(o);
    va_end(args);
}

static int flush(struct vwl_painter *p, const int *vfds, unsigned int n)
{
    int r;

    if (p->out.len == 0) {
        return 0;
    }
    r = vwl_transport_send(p->t, p->ctx, p->out.bytes, p->out.len, vfds, n);
    p->out.len = 0;
    if (r < 0) {
        tell(p, "cannot send: %s", strerror(-r));
    }
    return r;
}

static void bind_global(struct vwl_painter *p, unsigned int which, uint32_t id,
                        uint32_t version)
{
    begin(&p->out, REGISTRY, 0);
    put(&p->out, p->globals[which].name);
    put_string(&p->out, p->globals[which].interface);
    put(&p->out, version);
    put(&p->out, id);
    end(&p->out);
}

/* All globals are known: make the window; it is drawn when configured. */
static int make_window(struct vwl_painter *p)
{
    struct vwl_painter_options *o = &p->options;

    for (unsigned int i = 0; i < G_COUNT; i++) {
        if (p->globals[i].version == 0) {
            tell(p, "the compositor has no %s", p->globals[i].interface);
            return -EPROTO;
        }
    }
    bind_global(p, G_COMPOSITOR, COMPOSITOR, 1);
    bind_global(p, G_SHM, SHM, o->dmabuf ? 3 : 1);
    bind_global(p, G_WM_BASE, WM_BASE, 1);
    request(&p->out, COMPOSITOR, 0, 1, SURFACE);
    request(&p->out, WM_BASE, 2, 2, XDG_SURFACE, SURFACE);
    request(&p->out, XDG_SURFACE, 1, 1, TOPLEVEL);
    begin(&p->out, TOPLEVEL, 2);
    put_string(&p->out, o->title);
    end(&p->out);
    begin(&p->out, TOPLEVEL, 3);
    put_string(&p->out, o->app_id);
    end(&p->out);
    request(&p->out, TOPLEVEL, 7, 2, o->width, o->height);
    request(&p->out, TOPLEVEL, 8, 2, o->width, o->height);
    request(&p->out, SURFACE, 6, 0);
    return flush(p, NULL, 0);
}

static uint32_t stride(const struct vwl_painter *p)
{
    return p->options.width * 4 + EXTRA_STRIDE;
}

static void fill(struct vwl_painter *p, size_t offset, size_t stride_bytes)
{
    uint32_t w = p->options.width, h = p->options.height;

    for (uint32_t y = 0; y < h; y++) {
        uint8_t *row = (uint8_t *)p->mem.ptr + offset + stride_bytes * y;

        for (uint32_t x = 0; x < w; x++) {
            /* weston's screenshots keep the X byte, as alpha */
            uint32_t pixel = 0xff000000u | vwl_pattern_pixel(x, y, w, h);

            memcpy(row + 4 * x, &pixel, sizeof pixel);
        }
    }
}

static int draw_dmabuf(struct vwl_painter *p)
{
    uint32_t w = p->options.width, h = p->options.height;
    struct vwl_transport_dmabuf buffer;
    int r = vwl_transport_alloc_dmabuf(p->t, w, h, DRM_XRGB8888, &buffer);

    if (r < 0) {
        tell(p, "no dmabuf: %s", strerror(-r));
        return r;
    }
    p->mem = buffer.mem;
    r = vwl_transport_dmabuf_sync(p->t, p->mem.vfd,
                                  VIRTIO_WL_DMABUF_SYNC_WRITE);
    if (r == 0) {
        fill(p, buffer.offset[0], buffer.stride[0]);
        r = vwl_transport_dmabuf_sync(p->t, p->mem.vfd,
                                      VIRTIO_WL_DMABUF_SYNC_WRITE |
                                          VIRTIO_WL_DMABUF_SYNC_END);
    }
    if (r < 0) {
        tell(p, "cannot synchronise: %s", strerror(-r));
        return r;
    }
    request(&p->out, SHM, 1, 1, POOL);
    request(&p->out, POOL, 1, 5, 0u, buffer.offset[0], buffer.stride[0],
            p->linear ? 0u : DRM_INVALID_HIGH,
            p->linear ? 0u : DRM_INVALID_LOW);
    r = flush(p, &p->mem.vfd, 1);
    request(&p->out, POOL, 3, 5, BUFFER, w, h, DRM_XRGB8888, 0u);
    return r;
}

static int draw_shm(struct vwl_painter *p)
{
    uint32_t w = p->options.width, h = p->options.height;
    size_t size = POOL_OFFSET + (size_t)stride(p) * h;
    int r = vwl_transport_alloc(p->t, size, &p->mem);

    if (r < 0) {
        tell(p, "no shared memory: %s", strerror(-r));
        return r;
    }
    memset(p->mem.ptr, 0x5a, size);
    fill(p, POOL_OFFSET, stride(p));
    request(&p->out, SHM, 0, 2, POOL, (uint32_t)size);
    r = flush(p, &p->mem.vfd, 1);
    if (r < 0) {
        return r;
    }
    request(&p->out, POOL, 0, 6, BUFFER, POOL_OFFSET, w, h, stride(p),
            FORMAT_XRGB8888);
    return 0;
}

static int draw(struct vwl_painter *p)
{
    uint32_t w = p->options.width, h = p->options.height;
    int r = p->options.dmabuf ? draw_dmabuf(p) : draw_shm(p);

    if (r < 0) {
        return r;
    }
    request(&p->out, SURFACE, 1, 3, BUFFER, 0u, 0u);
    request(&p->out, SURFACE, 2, 4, 0u, 0u, w, h);
    request(&p->out, SURFACE, 3, 1, FRAME);
    request(&p->out, SURFACE, 6, 0);
    p->attached = true;
    return flush(p, NULL, 0);
}

static uint32_t word(const uint8_t *body, size_t len, size_t index)
{
    uint32_t value = 0;

    if (4 * index + 4 <= len) {
        memcpy(&value, body + 4 * index, sizeof value);
    }
    return value;
}

static void on_global(struct vwl_painter *p, const uint8_t *body, size_t len)
{
    uint32_t size = word(body, len, 1);
    const char *interface = (const char *)body + 8;

    if (len < 12 || size == 0 || size > len - 12 ||
        interface[size - 1] != '\0') {
        return;
    }
    for (unsigned int i = 0; i < G_COUNT; i++) {
        if (strcmp(interface, p->globals[i].interface) == 0) {
            p->globals[i].name = word(body, len, 0);
            p->globals[i].version = word(body, len, 2 + ((size_t)size + 3) / 4);
        }
    }
}

static int on_display(struct vwl_painter *p, uint32_t opcode,
                      const uint8_t *body, size_t len)
{
    uint32_t size = word(body, len, 2);

    if (opcode != 0) {
        return 0;
    }
    size = len > 12 && size <= len - 12 ? size : 0;
    tell(p, "the compositor reports error %u of object %u: %.*s",
         word(body, len, 1), word(body, len, 0), (int)size,
         (const char *)body + 12);
    return -EPROTO;
}

static int on_configure(struct vwl_painter *p, uint32_t serial)
{
    request(&p->out, XDG_SURFACE, 4, 1, serial);
    if (!p->attached) {
        return draw(p);
    }
    request(&p->out, SURFACE, 6, 0);
    return flush(p, NULL, 0);
}

static int on_event(struct vwl_painter *p, uint32_t object, uint32_t opcode,
                    const uint8_t *body, size_t len)
{
    switch (object) {
    case DISPLAY:
        return on_display(p, opcode, body, len);
    case REGISTRY:
        if (opcode == 0) {
            on_global(p, body, len);
        }
        return 0;
    case SYNC:
        return make_window(p);
    case SHM:
        p->linear |= p->options.dmabuf && opcode == 1 &&
                     word(body, len, 0) == DRM_XRGB8888 &&
                     word(body, len, 1) == 0 && word(body, len, 2) == 0;
        return 0;
    case WM_BASE:
        request(&p->out, WM_BASE, 3, 1, word(body, len, 0));
        return flush(p, NULL, 0);
    case XDG_SURFACE:
        return on_configure(p, word(body, len, 0));
    case TOPLEVEL:
        p->closed |= opcode == 1;
        return 0;
    case FRAME:
        p->painted = true;
        return 0;
    default:
        return 0;
    }
}

static int handle_input(struct vwl_painter *p)
{
    size_t at = 0;
    int r = 0;

    while (r == 0 && p->in_len - at >= 8) {
        uint32_t object, head;
        size_t size;

        memcpy(&object, p->in + at, 4);
        memcpy(&head, p->in + at + 4, 4);
        size = head >> 16;
        if (size < 8) {
            tell(p, "a Wayland message of %zu bytes", size);
            return -EPROTO;
        }
        if (size > p->in_len - at) {
            break;
        }
        r = on_event(p, object, head & 0xffff, p->in + at + 8, size - 8);
        at += size;
    }
    memmove(p->in, p->in + at, p->in_len - at);
    p->in_len -= at;
    return r;
}

int vwl_painter_dispatch(struct vwl_painter *p, int timeout_ms)
{
    int vfds[VWL_TRANSPORT_MAX_VFDS], r;
    unsigned int n = VWL_TRANSPORT_MAX_VFDS;
    ssize_t len = vwl_transport_recv(p->t, p->ctx, p->in + p->in_len,
                                     sizeof p->in - p->in_len, vfds, &n,
                                     timeout_ms);

    if (len == -ETIMEDOUT) {
        return 0;
    }
    if (len < 0) {
        tell(p, "cannot receive: %s", strerror((int)-len));
        return (int)len;
    }
    for (unsigned int i = 0; i < n; i++) {
        vwl_transport_close(p->t, vfds[i]);
    }
    if (len == 0 && n == 0) {
        return -EPIPE;
    }
    p->in_len += (size_t)len;
    r = handle_input(p);
    return r < 0 ? r : 1;
}

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int vwl_painter_paint(struct vwl_painter *p, int timeout_ms)
{
    int64_t until = now_ms() + timeout_ms;

    while (!p->painted) {
        int64_t left = until - now_ms();
        int r;

        if (left <= 0) {
            tell(p, "the compositor has not shown the window within %d ms",
                 timeout_ms);
            return -ETIMEDOUT;
        }
        r = vwl_painter_dispatch(p, (int)left);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

int vwl_painter_create(struct vwl_transport *t,
                       const struct vwl_painter_options *options,
                       struct vwl_painter **out)
{
    struct vwl_painter *p = calloc(1, sizeof *p);
    struct vwl_painter_options *o;
    int r;

    if (p == NULL) {
        return -ENOMEM;
    }
    p->t = t;
    p->options = options != NULL ? *options : (struct vwl_painter_options){ 0 };
    o = &p->options;
    o->width = o->width != 0 ? o->width : 320;
    o->height = o->height != 0 ? o->height : 200;
    o->title = o->title != NULL ? o->title : "vhost-user-wl";
    o->app_id = o->app_id != NULL ? o->app_id : "vhost-user-wl";
    p->globals[G_COMPOSITOR].interface = "wl_compositor";
    p->globals[G_SHM].interface = o->dmabuf ? "zwp_linux_dmabuf_v1" : "wl_shm";
    p->globals[G_WM_BASE].interface = "xdg_wm_base";
    p->mem.vfd = p->ctx = -1;
    if (o->width < 64 || o->height < 64 || o->width > 8192 ||
        o->height > 8192 || strlen(o->title) > 100 || strlen(o->app_id) > 100) {
        free(p);
        return -EINVAL;
    }
    r = vwl_transport_new_ctx(t, o->context, &p->ctx);
    if (r < 0) {
        tell(p, "cannot reach the compositor: %s", strerror(-r));
        free(p);
        return r;
    }
    request(&p->out, DISPLAY, 1, 1, REGISTRY);
    request(&p->out, DISPLAY, 0, 1, SYNC);
    r = flush(p, NULL, 0);
    if (r < 0) {
        vwl_painter_destroy(p);
        return r;
    }
    *out = p;
    return 0;
}

void vwl_painter_destroy(struct vwl_painter *p)
{
    if (p == NULL) {
        return;
    }
    if (p->mem.ptr != NULL) {
        vwl_transport_unmap(p->t, &p->mem);
    }
    if (p->mem.vfd >= 0) {
        vwl_transport_close(p->t, p->mem.vfd);
    }
    if (p->ctx >= 0) {
        vwl_transport_close(p->t, p->ctx);
    }
    free(p);
}

bool vwl_painter_is_closed(const struct vwl_painter *p)
{
    return p->closed;
}
