/* SPDX-License-Identifier: BSD-3-Clause */
#include "wayland.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <wayland-client.h>

#include "bench.h"

#define BUFFERS 2

struct bench_client {
    struct wl_display *display;
    struct wl_registry *registry;
    struct wl_compositor *compositor;
    struct wl_shm *shm;
    struct wl_seat *seat;
    struct wl_data_device_manager *manager;
    bool given;    /* the selection was taken as a whole */
    uint8_t *give; /* that selection */
    size_t give_bytes;
};

struct buffer {
    struct wl_buffer *proxy;
    uint32_t *pixels;
    bool busy;
};

static void *bind(struct bench_client *client, uint32_t name,
                  const struct wl_interface *interface, uint32_t version)
{
    return wl_registry_bind(client->registry, name, interface, version);
}

static void on_global(void *data, struct wl_registry *registry, uint32_t name,
                      const char *interface, uint32_t version)
{
    struct bench_client *client = data;

    if (strcmp(interface, "wl_compositor") == 0) {
        client->compositor = bind(client, name, &wl_compositor_interface, 4);
    } else if (strcmp(interface, "wl_shm") == 0) {
        client->shm = bind(client, name, &wl_shm_interface, 1);
    } else if (strcmp(interface, "wl_seat") == 0) {
        client->seat = bind(client, name, &wl_seat_interface, 1);
    } else if (strcmp(interface, "wl_data_device_manager") == 0) {
        client->manager = bind(client, name, &wl_data_device_manager_interface,
                               1);
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

struct bench_client *bench_client_open(const char *path)
{
    struct bench_client *client = g_new0(struct bench_client, 1);

    client->display = wl_display_connect(path);
    bench_must(client->display != NULL, path);
    client->registry = wl_display_get_registry(client->display);
    wl_registry_add_listener(client->registry, &registry_listener, client);
    bench_client_round_trip(client);
    bench_must(client->compositor && client->shm && client->seat &&
                   client->manager,
               "the globals");
    return client;
}

void bench_client_close(struct bench_client *client)
{
    wl_data_device_manager_destroy(client->manager);
    wl_seat_destroy(client->seat);
    wl_shm_destroy(client->shm);
    wl_compositor_destroy(client->compositor);
    wl_registry_destroy(client->registry);
    wl_display_disconnect(client->display);
    g_free(client);
}

void bench_client_round_trip(struct bench_client *client)
{
    bench_must(wl_display_roundtrip(client->display) >= 0, "a round trip");
}

static void wait_event(struct bench_client *client)
{
    bench_must(wl_display_dispatch(client->display) >= 0,
               "the compositor's approval");
}

/* ---- frames ----------------------------------------------------------- */

static void on_release(void *data, struct wl_buffer *proxy)
{
    ((struct buffer *)data)->busy = false;
}

static const struct wl_buffer_listener buffer_listener = { on_release };

static void paint(uint32_t *pixels, int width, int x, int y, int w, int h,
                  uint32_t frame)
{
    for (int row = y; row < y + h; row++) {
        memset(pixels + (size_t)row * (size_t)width + x,
               bench_shade(frame, (uint32_t)row), (size_t)w * 4);
    }
}

/* Where the spot of a frame is; never in the rows of the one before. */
static void spot_of(uint32_t frame, int width, int height, int *x, int *y)
{
    *x = (int)(frame * 37 % (uint32_t)(width - BENCH_SPOT_WIDTH + 1));
    *y = (int)(frame * 5 % (uint32_t)(height / BENCH_SPOT_HEIGHT)) *
         BENCH_SPOT_HEIGHT;
}

static void show(struct wl_surface *surface, struct buffer *buffer, int width,
                 int height, bool spot, uint32_t frame)
{
    int x = 0, y = 0;

    if (!spot) {
        paint(buffer->pixels, width, 0, 0, width, height, frame);
        wl_surface_damage_buffer(surface, 0, 0, width, height);
    } else {
        /* this buffer has not seen the frame before */
        if (frame > 1) {
            spot_of(frame - 1, width, height, &x, &y);
            paint(buffer->pixels, width, x, y, BENCH_SPOT_WIDTH,
                  BENCH_SPOT_HEIGHT, frame - 1);
        }
        spot_of(frame, width, height, &x, &y);
        paint(buffer->pixels, width, x, y, BENCH_SPOT_WIDTH, BENCH_SPOT_HEIGHT,
              frame);
        wl_surface_damage_buffer(surface, x, y, BENCH_SPOT_WIDTH,
                                 BENCH_SPOT_HEIGHT);
    }
    wl_surface_attach(surface, buffer->proxy, 0, 0);
    wl_surface_commit(surface);
    buffer->busy = true;
}

double bench_client_frames(struct bench_client *client,
                           const struct bench_frames *frames, unsigned int n)
{
    int width = frames->width, height = frames->height;
    size_t bytes = (size_t)width * (size_t)height * 4;
    struct wl_surface *surface = wl_compositor_create_surface(
        client->compositor);
    struct buffer buffers[BUFFERS];
    struct wl_shm_pool *pool;
    int fd = memfd_create("bench", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    double start = 0;
    void *memory;

    /* sealed, as some toolkits do */
    bench_must(ftruncate(fd, (off_t)(bytes * BUFFERS)) == 0 &&
                   (frames->unsealed ||
                    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0),
               "memory");
    memory = mmap(NULL, bytes * BUFFERS, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                  0);
    bench_must(memory != MAP_FAILED, "a map");
    memset(memory, 0, bytes * BUFFERS);
    pool = wl_shm_create_pool(client->shm, fd, (int)(bytes * BUFFERS));
    for (int i = 0; i < BUFFERS; i++) {
        buffers[i].proxy = wl_shm_pool_create_buffer(pool, (int)bytes * i,
                                                     width, height, width * 4,
                                                     WL_SHM_FORMAT_XRGB8888);
        buffers[i].pixels = (uint32_t *)memory + bytes / 4 * (size_t)i;
        buffers[i].busy = false;
        wl_buffer_add_listener(buffers[i].proxy, &buffer_listener, &buffers[i]);
    }
    /* Each buffer is shown once before the clock starts. */
    for (unsigned int i = 0; i < n + BUFFERS; i++) {
        struct buffer *buffer = &buffers[i % BUFFERS];

        if (i == BUFFERS) {
            bench_client_round_trip(client);
            start = bench_now_us();
        }
        while (buffer->busy) {
            wait_event(client);
        }
        show(surface, buffer, width, height, frames->spot, i + 1);
        wl_display_flush(client->display);
    }
    bench_client_round_trip(client);
    start = bench_now_us() - start;
    for (int i = 0; i < BUFFERS; i++) {
        bench_must(!buffers[i].busy, "the last release");
        wl_buffer_destroy(buffers[i].proxy);
    }
    wl_shm_pool_destroy(pool);
    wl_surface_destroy(surface);
    bench_client_round_trip(client);
    munmap(memory, bytes * BUFFERS);
    close(fd);
    return start / n;
}

/* ---- the selection ---------------------------------------------------- */

static void on_target(void *data, struct wl_data_source *source,
                      const char *type)
{
}

static void on_send(void *data, struct wl_data_source *source, const char *type,
                    int fd)
{
    struct bench_client *client = data;
    size_t at = 0;
    ssize_t n;

    while (at < client->give_bytes &&
           (n = write(fd, client->give + at, client->give_bytes - at)) > 0) {
        at += (size_t)n;
    }
    close(fd);
}

static void on_cancelled(void *data, struct wl_data_source *source)
{
    ((struct bench_client *)data)->given = true;
}

static const struct wl_data_source_listener source_listener = {
    .target = on_target,
    .send = on_send,
    .cancelled = on_cancelled,
};

double bench_client_clipboard(struct bench_client *client, size_t bytes)
{
    struct wl_data_device *device = wl_data_device_manager_get_data_device(
        client->manager, client->seat);
    struct wl_data_source *source = wl_data_device_manager_create_data_source(
        client->manager);
    double start;

    client->give = g_malloc(bytes);
    client->give_bytes = bytes;
    client->given = false;
    bench_fill(client->give, 0, bytes);
    start = bench_now_us();
    wl_data_source_add_listener(source, &source_listener, client);
    wl_data_source_offer(source, "application/octet-stream");
    wl_data_device_set_selection(device, source, 1);
    while (!client->given) {
        wait_event(client);
    }
    start = bench_now_us() - start;
    wl_data_source_destroy(source);
    wl_data_device_destroy(device);
    g_free(client->give);
    bench_client_round_trip(client);
    return (double)bytes / start;
}
