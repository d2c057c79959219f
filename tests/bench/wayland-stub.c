/* SPDX-License-Identifier: BSD-3-Clause */
#include "wayland.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <wayland-server.h>

#include "bench.h"

struct rect {
    int32_t x, y, width, height;
};

struct surface {
    struct wl_resource *buffer;
    struct rect damage, before;
    uint32_t frame;
};

struct selection {
    struct wl_resource *source;
    struct wl_event_source *watch;
    int fd;
    size_t got;
    bool wrong;
};

static void destroy(struct wl_client *client, struct wl_resource *resource)
{
    wl_resource_destroy(resource);
}

/* ---- pixels ----------------------------------------------------------- */

static bool row_is(const uint32_t *row, const struct rect *at, uint32_t want,
                   int32_t step, int32_t first)
{
    for (int32_t x = first; x < at->width; x += step) {
        if (row[at->x + x] != want) {
            return false;
        }
    }
    return true;
}

static bool is_right(struct wl_shm_buffer *buffer, struct surface *surface)
{
    const char *data = wl_shm_buffer_get_data(buffer);
    int32_t stride = wl_shm_buffer_get_stride(buffer);
    int32_t width = wl_shm_buffer_get_width(buffer);
    struct rect now = surface->damage, old = surface->before;
    bool whole = now.width == width, right = true;
    uint32_t frame = surface->frame;

    for (int32_t y = now.y; right && y < now.y + now.height; y++) {
        bool all = !whole || ((uint32_t)y + frame) % BENCH_STRIPES == 0;
        uint32_t spot = ((uint32_t)y * 769u + frame * 331u) % (uint32_t)width;

        right = row_is((const uint32_t *)(const void *)(data + y * stride),
                       &now, bench_colour(frame, (uint32_t)y), all ? 1 : width,
                       all ? 0 : (int32_t)spot);
    }
    for (int32_t y = old.y; right && !whole && y < old.y + old.height; y++) {
        if (y < now.y || y >= now.y + now.height) {
            right = row_is((const uint32_t *)(const void *)(data + y * stride),
                           &old, bench_colour(frame - 1, (uint32_t)y), 64, 0);
        }
    }
    return right;
}

/* ---- surfaces --------------------------------------------------------- */

static void attach(struct wl_client *client, struct wl_resource *resource,
                   struct wl_resource *buffer, int32_t x, int32_t y)
{
    struct surface *surface = wl_resource_get_user_data(resource);

    surface->buffer = buffer;
}

static void damage(struct wl_client *client, struct wl_resource *resource,
                   int32_t x, int32_t y, int32_t width, int32_t height)
{
    struct surface *surface = wl_resource_get_user_data(resource);

    surface->damage = (struct rect){ x, y, width, height };
}

static void frame(struct wl_client *client, struct wl_resource *resource,
                  uint32_t id)
{
}

static void region(struct wl_client *client, struct wl_resource *resource,
                   struct wl_resource *what)
{
}

static void commit(struct wl_client *client, struct wl_resource *resource)
{
    struct surface *surface = wl_resource_get_user_data(resource);
    struct wl_shm_buffer *buffer = surface->buffer
                                       ? wl_shm_buffer_get(surface->buffer)
                                       : NULL;
    bool right;

    if (!buffer) {
        surface->frame = 0; /* another run begins */
        surface->before = (struct rect){ 0 };
        return;
    }
    surface->frame++;
    wl_shm_buffer_begin_access(buffer);
    right = is_right(buffer, surface);
    wl_shm_buffer_end_access(buffer);
    if (!right) {
        wl_resource_post_error(resource, 99, "wrong pixels in frame %u",
                               surface->frame);
        return;
    }
    surface->before = surface->damage;
    wl_buffer_send_release(surface->buffer);
    surface->buffer = NULL;
}

static void number(struct wl_client *client, struct wl_resource *resource,
                   int32_t value)
{
}

static const struct wl_surface_interface surface_interface = {
    .destroy = destroy,
    .attach = attach,
    .damage = damage,
    .frame = frame,
    .set_opaque_region = region,
    .set_input_region = region,
    .commit = commit,
    .set_buffer_transform = number,
    .set_buffer_scale = number,
    .damage_buffer = damage,
};

static void free_data(struct wl_resource *resource)
{
    g_free(wl_resource_get_user_data(resource));
}

static void create_surface(struct wl_client *client,
                           struct wl_resource *resource, uint32_t id)
{
    struct wl_resource *made = wl_resource_create(client, &wl_surface_interface,
                                                  4, id);

    wl_resource_set_implementation(made, &surface_interface,
                                   g_new0(struct surface, 1), free_data);
}

static const struct wl_compositor_interface compositor_interface = {
    .create_surface = create_surface,
};

/* ---- the selection ---------------------------------------------------- */

static void selection_end(struct selection *selection)
{
    if (selection->watch) {
        wl_event_source_remove(selection->watch);
        close(selection->fd);
        selection->watch = NULL;
    }
}

static int on_data(int fd, uint32_t mask, void *data)
{
    static uint8_t bytes[65536], want[BENCH_PERIOD + sizeof bytes];
    struct selection *selection = data;
    ssize_t n = read(fd, bytes, sizeof bytes);

    if (selection->got == 0) {
        bench_fill(want, 0, sizeof want);
    }
    if (n > 0) {
        selection->wrong |= memcmp(bytes, want + selection->got % BENCH_PERIOD,
                                   (size_t)n) != 0;
        selection->got += (size_t)n;
    }
    if (n <= 0) {
        selection_end(selection);
        if (selection->wrong) {
            wl_resource_post_error(selection->source, 99, "wrong bytes");
        } else {
            wl_data_source_send_cancelled(selection->source);
        }
    }
    return 0;
}

static void source_gone(struct wl_resource *resource)
{
    selection_end(wl_resource_get_user_data(resource));
    free_data(resource);
}

static void offer(struct wl_client *client, struct wl_resource *resource,
                  const char *type)
{
}

static const struct wl_data_source_interface source_interface = {
    .offer = offer,
    .destroy = destroy,
};

static void create_source(struct wl_client *client,
                          struct wl_resource *resource, uint32_t id)
{
    struct wl_resource *made = wl_resource_create(client,
                                                  &wl_data_source_interface, 1,
                                                  id);

    wl_resource_set_implementation(made, &source_interface,
                                   g_new0(struct selection, 1), source_gone);
}

static void set_selection(struct wl_client *client,
                          struct wl_resource *resource,
                          struct wl_resource *source, uint32_t serial)
{
    struct selection *selection = wl_resource_get_user_data(source);
    struct wl_event_loop *loop = wl_display_get_event_loop(
        wl_client_get_display(client));
    int fds[2];

    bench_must(pipe2(fds, O_CLOEXEC) == 0, "pipe");
    selection->source = source;
    selection->fd = fds[0];
    selection->watch = wl_event_loop_add_fd(loop, fds[0], WL_EVENT_READABLE,
                                            on_data, selection);
    wl_data_source_send_send(source, "application/octet-stream", fds[1]);
    close(fds[1]);
}

static const struct wl_data_device_interface device_interface = {
    .set_selection = set_selection,
};

static void get_device(struct wl_client *client, struct wl_resource *resource,
                       uint32_t id, struct wl_resource *seat)
{
    struct wl_resource *made = wl_resource_create(client,
                                                  &wl_data_device_interface, 1,
                                                  id);

    wl_resource_set_implementation(made, &device_interface, NULL, NULL);
}

static const struct wl_data_device_manager_interface manager_interface = {
    .create_data_source = create_source,
    .get_data_device = get_device,
};

/* ---- globals ---------------------------------------------------------- */

static void bind_compositor(struct wl_client *client, void *data,
                            uint32_t version, uint32_t id)
{
    struct wl_resource *made = wl_resource_create(client,
                                                  &wl_compositor_interface,
                                                  (int)version, id);

    wl_resource_set_implementation(made, &compositor_interface, NULL, NULL);
}

static void bind_seat(struct wl_client *client, void *data, uint32_t version,
                      uint32_t id)
{
    struct wl_resource *made = wl_resource_create(client, &wl_seat_interface,
                                                  (int)version, id);

    wl_resource_set_implementation(made, NULL, NULL, NULL);
    wl_seat_send_capabilities(made, 0);
}

static void bind_manager(struct wl_client *client, void *data, uint32_t version,
                         uint32_t id)
{
    struct wl_resource *made = wl_resource_create(
        client, &wl_data_device_manager_interface, (int)version, id);

    wl_resource_set_implementation(made, &manager_interface, NULL, NULL);
}

void bench_stub(const char *path)
{
    struct wl_display *display = wl_display_create();

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    wl_display_init_shm(display);
    wl_global_create(display, &wl_compositor_interface, 4, NULL,
                     bind_compositor);
    wl_global_create(display, &wl_seat_interface, 1, NULL, bind_seat);
    wl_global_create(display, &wl_data_device_manager_interface, 1, NULL,
                     bind_manager);
    bench_must(wl_display_add_socket_fd(display, bench_listen(path)) == 0,
               "the stub's socket");
    wl_display_run(display);
    exit(1);
}
