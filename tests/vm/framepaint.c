/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * framepaint FRAMES WIDTH HEIGHT [WORD...]: shows so many frames, whole ones,
 * from two buffers in turn of one pool; an ordinary program. The words:
 *
 *     sealed     the pool cannot shrink
 *     scattered  its pages do not lie beside each other
 *     truncate   in the middle the file is emptied, and as long as before then
 *     grow       in the middle the pool grows, and has two other buffers
 *     fragmented half of what memory was free lies in pages between others
 *     narrow     only 256x16 change with each frame, for figures
 *     bare       nothing is painted but the first two frames, for figures
 *     window     of a desktop's
 *     stay       when the last frame is shown
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>
#include <wayland-client.h>

#include <fcntl.h>

#include "frame.h"
#include "xdg-shell-client.h"

#define OFFSET 100u /* of the first buffer in its pool */
#define PAGE 4096u

struct picture {
    struct wl_buffer *buffer;
    char *pixels;
    bool busy, painted;
};

static struct wl_compositor *compositor;
static struct wl_shm *shm;
static struct xdg_wm_base *desktop;
static struct wl_display *display;
static struct wl_shm_pool *pool;
static struct picture pictures[2];
static uint32_t width, height, stride;
static char **words;

static void on_global(void *data, struct wl_registry *registry, uint32_t name,
                      const char *interface, uint32_t version)
{
    if (strcmp(interface, "wl_compositor") == 0) {
        compositor = wl_registry_bind(registry, name, &wl_compositor_interface,
                                      1);
    } else if (strcmp(interface, "wl_shm") == 0) {
        shm = wl_registry_bind(registry, name, &wl_shm_interface, 1);
    } else if (strcmp(interface, "xdg_wm_base") == 0) {
        desktop = wl_registry_bind(registry, name, &xdg_wm_base_interface, 1);
    }
}

static void on_global_remove(void *data, struct wl_registry *registry,
                             uint32_t name)
{
}

static const struct wl_registry_listener registry_listener = {
    on_global,
    on_global_remove,
};

static void on_release(void *data, struct wl_buffer *buffer)
{
    struct picture *picture = data;

    picture->busy = false;
}

static const struct wl_buffer_listener buffer_listener = { on_release };

static void paint(struct picture *picture, uint32_t frame)
{
    for (uint32_t y = 0; y < height; y++) {
        uint32_t *row = (uint32_t *)(void *)(picture->pixels + y * stride);

        for (uint32_t x = 0; x < width; x += picture->painted ? CHANGES : 1) {
            row[x] = frame_pixel(frame, x, y);
        }
    }
    picture->painted = true;
}

static void wait_for_release(const struct picture *picture)
{
    while (picture->busy) {
        if (wl_display_dispatch(display) < 0) {
            exit(2);
        }
    }
}

static void drop_pictures(void)
{
    for (int i = 0; i < 2; i++) {
        wait_for_release(&pictures[i]);
        wl_buffer_destroy(pictures[i].buffer);
    }
}

/* From there on in the pool, which is mapped so. */
static void make_pictures(char *map, uint32_t offset)
{
    for (int i = 0; i < 2; i++, offset += stride * height) {
        pictures[i] = (struct picture){
            .buffer = wl_shm_pool_create_buffer(pool, (int32_t)offset,
                                                (int32_t)width, (int32_t)height,
                                                (int32_t)stride,
                                                WL_SHM_FORMAT_XRGB8888),
            .pixels = map + offset,
        };
        wl_buffer_add_listener(pictures[i].buffer, &buffer_listener,
                               &pictures[i]);
    }
}

static void scatter(char *map, size_t size)
{
    size_t pages = size / PAGE;
    char *gap = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    for (size_t i = 0; i < pages; i++) {
        map[i * PAGE] = gap[i * PAGE] = 1;
    }
    munmap(gap, pages * PAGE);
}

/* Half of what is free, and then of that every other page. It is never let go:
 * what can be had is single pages, and large ones only if the kernel moves
 * others out of their way. */
static void fragment(void)
{
    struct sysinfo info;
    size_t bytes;
    char *map;

    sysinfo(&info);
    bytes = info.freeram * info.mem_unit / 2 / PAGE * PAGE;
    map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
               -1, 0);
    if (map == MAP_FAILED) {
        exit(4);
    }
    for (size_t at = 0; at < bytes; at += PAGE) {
        map[at] = 1;
    }
    for (size_t at = 0; at < bytes; at += 2 * PAGE) {
        if (madvise(map + at, PAGE, MADV_REMOVE) < 0) {
            exit(4);
        }
    }
}

/* ---- as a window --------------------------------------------------------- */

static void on_ping(void *data, struct xdg_wm_base *base, uint32_t serial)
{
    xdg_wm_base_pong(base, serial);
}

static const struct xdg_wm_base_listener desktop_listener = { on_ping };

static void on_configure(void *data, struct xdg_surface *surface,
                         uint32_t serial)
{
    xdg_surface_ack_configure(surface, serial);
    *(bool *)data = true;
}

static const struct xdg_surface_listener window_listener = { on_configure };

static void on_size(void *data, struct xdg_toplevel *toplevel, int32_t w,
                    int32_t h, struct wl_array *states)
{
}

static void on_close(void *data, struct xdg_toplevel *toplevel)
{
}

static const struct xdg_toplevel_listener toplevel_listener = {
    .configure = on_size,
    .close = on_close,
};

static void make_window(struct wl_surface *surface)
{
    static bool configured;
    struct xdg_surface *window;

    if (!desktop) {
        exit(5);
    }
    xdg_wm_base_add_listener(desktop, &desktop_listener, NULL);
    window = xdg_wm_base_get_xdg_surface(desktop, surface);
    xdg_surface_add_listener(window, &window_listener, &configured);
    xdg_toplevel_add_listener(xdg_surface_get_toplevel(window),
                              &toplevel_listener, NULL);
    wl_surface_commit(surface);
    while (!configured) {
        if (wl_display_dispatch(display) < 0) {
            exit(2);
        }
    }
}

static void on_done(void *data, struct wl_callback *callback, uint32_t time)
{
    *(bool *)data = true;
}

static const struct wl_callback_listener frame_listener = { on_done };

/* Until somebody ends it. */
static void stay(struct wl_surface *surface)
{
    bool shown = false;

    if (desktop) {
        wl_callback_add_listener(wl_surface_frame(surface), &frame_listener,
                                 &shown);
        wl_surface_commit(surface);
    } else {
        /* of a compositor that looks at once */
        wl_callback_add_listener(wl_display_sync(display), &frame_listener,
                                 &shown);
    }
    while (!shown) {
        if (wl_display_dispatch(display) < 0) {
            exit(2);
        }
    }
    printf("shown\n");
    fflush(stdout);
    while (wl_display_dispatch(display) >= 0) {
    }
    exit(2);
}

static bool has_word(const char *word)
{
    for (char **each = words; *each; each++) {
        if (strcmp(*each, word) == 0) {
            return true;
        }
    }
    return false;
}

static bool connect_display(void)
{
    display = wl_display_connect(NULL);
    if (!display) {
        return false;
    }
    wl_registry_add_listener(wl_display_get_registry(display),
                             &registry_listener, NULL);
    return wl_display_roundtrip(display) >= 0 && compositor && shm;
}

/* In the middle: what the words say. */
static void interlude(char *map, int fd, uint32_t size)
{
    if (has_word("truncate")) {
        wait_for_release(&pictures[0]);
        wait_for_release(&pictures[1]);
        if (ftruncate(fd, 0) < 0 || ftruncate(fd, size) < 0) {
            exit(3);
        }
        pictures[0].painted = pictures[1].painted = false;
    }
    if (has_word("grow")) {
        drop_pictures();
        if (ftruncate(fd, 2 * (off_t)size) < 0) {
            exit(3);
        }
        wl_shm_pool_resize(pool, (int32_t)(2 * size));
        make_pictures(map, size);
    }
}

static void show(struct wl_surface *surface, struct picture *picture)
{
    bool narrow = has_word("narrow");

    picture->busy = true;
    wl_surface_attach(surface, picture->buffer, 0, 0);
    wl_surface_damage(surface, 0, 0, narrow ? 256 : (int32_t)width,
                      narrow ? 16 : (int32_t)height);
    wl_surface_commit(surface);
    wl_display_flush(display);
}

/* The pool's, which may become twice as long. */
static char *map_file(int fd, uint32_t size)
{
    char *map;

    if (has_word("sealed")) {
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
    }
    if (has_word("fragmented")) {
        fragment();
    }
    map = mmap(NULL, 2 * (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
               0);
    if (has_word("scattered")) {
        scatter(map, size);
    }
    return map;
}

int main(int argc, char **argv)
{
    int fd = memfd_create("pixels", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    unsigned int n = argc > 3 ? (unsigned int)atoi(argv[1]) : 0;
    struct wl_surface *surface;
    uint32_t size;
    char *map;

    words = argv + (n ? 4 : argc);
    width = n ? (uint32_t)atoi(argv[2]) : 1;
    height = n ? (uint32_t)atoi(argv[3]) : 1;
    stride = width * 4;
    size = OFFSET + 2 * stride * height;
    if (!connect_display() || fd < 0 || ftruncate(fd, size) < 0) {
        return 1;
    }
    map = map_file(fd, size);
    pool = wl_shm_create_pool(shm, fd, (int32_t)size);
    make_pictures(map, OFFSET);
    surface = wl_compositor_create_surface(compositor);
    if (has_word("window")) {
        make_window(surface);
    }
    for (unsigned int frame = 1; frame <= n; frame++) {
        struct picture *picture = &pictures[frame & 1];

        if (frame == n / 2 + 1) {
            interlude(map, fd, size);
        }
        wait_for_release(picture);
        if (!picture->painted || !has_word("bare")) {
            paint(picture, frame);
        }
        show(surface, picture);
    }
    if (has_word("stay")) {
        stay(surface);
    }
    drop_pictures();
    wl_shm_pool_destroy(pool);
    if (wl_display_roundtrip(display) < 0) {
        return 2;
    }
    wl_display_disconnect(display);
    printf("painted %u\n", n);
    return 0;
}
