/* SPDX-License-Identifier: BSD-3-Clause */
#include "compositor.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <wayland-server.h>

#include "xdg-shell-server.h"

struct compositor {
    struct wl_display *display;
    struct wl_event_loop *loop;
    struct compositor_options options;
    GPtrArray *surfaces; /* of struct surface */
    char *path;
    uint32_t serial;
    unsigned int clients, pongs;
    struct wl_listener client_created;
};

struct client {
    struct compositor *compositor;
    struct wl_listener destroyed;
};

struct surface {
    struct compositor_surface seen; /* first: what tests get */
    struct compositor *compositor;
    struct wl_resource *xdg_surface, *toplevel, *buffer, *frame;
    struct wl_listener buffer_gone;
    bool new_buffer;
};

static void on_destroy(struct wl_client *client, struct wl_resource *resource)
{
    wl_resource_destroy(resource);
}

static void forget_buffer(struct surface *s)
{
    if (s->buffer != NULL) {
        wl_list_remove(&s->buffer_gone.link);
        s->buffer = NULL;
    }
}

static void on_buffer_gone(struct wl_listener *listener, void *data)
{
    struct surface *s = wl_container_of(listener, s, buffer_gone);

    forget_buffer(s);
}

static void attach(struct wl_client *client, struct wl_resource *resource,
                   struct wl_resource *buffer, int32_t x, int32_t y)
{
    struct surface *s = wl_resource_get_user_data(resource);

    forget_buffer(s);
    s->new_buffer = true;
    if (buffer != NULL) {
        s->buffer = buffer;
        s->buffer_gone.notify = on_buffer_gone;
        wl_resource_add_destroy_listener(buffer, &s->buffer_gone);
    }
}

static void on_frame_gone(struct wl_resource *resource)
{
    struct surface *s = wl_resource_get_user_data(resource);

    if (s != NULL && s->frame == resource) {
        s->frame = NULL;
    }
}

static void frame(struct wl_client *client, struct wl_resource *resource,
                  uint32_t id)
{
    struct surface *s = wl_resource_get_user_data(resource);

    if (s->frame != NULL) {
        wl_resource_destroy(s->frame);
    }
    s->frame = wl_resource_create(client, &wl_callback_interface, 1, id);
    wl_resource_set_implementation(s->frame, NULL, s, on_frame_gone);
}

static void send_frame(struct surface *s)
{
    if (s->frame != NULL) {
        wl_callback_send_done(s->frame, 1);
        wl_resource_destroy(s->frame);
    }
}

static void configure(struct surface *s)
{
    struct wl_array states;

    wl_array_init(&states);
    xdg_toplevel_send_configure(s->toplevel, 0, 0, &states);
    wl_array_release(&states);
    xdg_surface_send_configure(s->xdg_surface, ++s->compositor->serial);
    s->seen.configured = true;
}

static void take_pixels(struct surface *s)
{
    struct wl_shm_buffer *shm = wl_shm_buffer_get(s->buffer);
    size_t len;

    if (shm == NULL) {
        return;
    }
    s->seen.width = (uint32_t)wl_shm_buffer_get_width(shm);
    s->seen.height = (uint32_t)wl_shm_buffer_get_height(shm);
    s->seen.stride = (uint32_t)wl_shm_buffer_get_stride(shm);
    s->seen.format = wl_shm_buffer_get_format(shm);
    len = (size_t)s->seen.stride * s->seen.height;
    g_free(s->seen.pixels);
    s->seen.pixels = g_malloc(len);
    wl_shm_buffer_begin_access(shm);
    memcpy(s->seen.pixels, wl_shm_buffer_get_data(shm), len);
    wl_shm_buffer_end_access(shm);
    if (!s->compositor->options.keep_buffers) {
        wl_buffer_send_release(s->buffer);
    }
}

static void commit(struct wl_client *client, struct wl_resource *resource)
{
    struct surface *s = wl_resource_get_user_data(resource);

    s->seen.commits++;
    if (s->toplevel != NULL && !s->seen.configured) {
        configure(s);
    }
    if (s->new_buffer && s->buffer != NULL) {
        take_pixels(s);
    }
    s->new_buffer = false;
    if (!s->compositor->options.keep_frames) {
        send_frame(s);
    }
}

static void damage(struct wl_client *client, struct wl_resource *resource,
                   int32_t x, int32_t y, int32_t width, int32_t height)
{
}

static void set_region(struct wl_client *client, struct wl_resource *resource,
                       struct wl_resource *region)
{
}

static void set_number(struct wl_client *client, struct wl_resource *resource,
                       int32_t number)
{
}

static const struct wl_surface_interface surface_impl = {
    .destroy = on_destroy,
    .attach = attach,
    .damage = damage,
    .frame = frame,
    .set_opaque_region = set_region,
    .set_input_region = set_region,
    .commit = commit,
    .set_buffer_transform = set_number,
    .set_buffer_scale = set_number,
    .damage_buffer = damage,
};

static void on_surface_gone(struct wl_resource *resource)
{
    struct surface *s = wl_resource_get_user_data(resource);

    forget_buffer(s);
    if (s->frame != NULL) {
        wl_resource_set_user_data(s->frame, NULL);
    }
    if (s->xdg_surface != NULL) {
        wl_resource_set_user_data(s->xdg_surface, NULL);
    }
    if (s->toplevel != NULL) {
        wl_resource_set_user_data(s->toplevel, NULL);
    }
    g_ptr_array_remove(s->compositor->surfaces, s);
    g_free(s->seen.pixels);
    g_free(s->seen.title);
    g_free(s->seen.app_id);
    g_free(s);
}

static void create_surface(struct wl_client *client,
                           struct wl_resource *resource, uint32_t id)
{
    struct compositor *c = wl_resource_get_user_data(resource);
    struct surface *s = g_new0(struct surface, 1);
    struct wl_resource *made = wl_resource_create(
        client, &wl_surface_interface, wl_resource_get_version(resource), id);

    s->compositor = c;
    wl_resource_set_implementation(made, &surface_impl, s, on_surface_gone);
    g_ptr_array_add(c->surfaces, s);
}

static const struct wl_region_interface region_impl = {
    .destroy = on_destroy,
    .add = damage,
    .subtract = damage,
};

static void create_region(struct wl_client *client,
                          struct wl_resource *resource, uint32_t id)
{
    wl_resource_set_implementation(wl_resource_create(client,
                                                      &wl_region_interface, 1,
                                                      id),
                                   &region_impl, NULL, NULL);
}

static const struct wl_compositor_interface compositor_impl = {
    .create_surface = create_surface,
    .create_region = create_region,
};

static void set_title(struct wl_client *client, struct wl_resource *resource,
                      const char *title)
{
    struct surface *s = wl_resource_get_user_data(resource);

    if (s != NULL) {
        g_free(s->seen.title);
        s->seen.title = g_strdup(title);
    }
}

static void set_app_id(struct wl_client *client, struct wl_resource *resource,
                       const char *app_id)
{
    struct surface *s = wl_resource_get_user_data(resource);

    if (s != NULL) {
        g_free(s->seen.app_id);
        s->seen.app_id = g_strdup(app_id);
    }
}

static void set_size(struct wl_client *client, struct wl_resource *resource,
                     int32_t width, int32_t height)
{
}

static const struct xdg_toplevel_interface toplevel_impl = {
    .destroy = on_destroy,
    .set_parent = set_region,
    .set_title = set_title,
    .set_app_id = set_app_id,
    .set_max_size = set_size,
    .set_min_size = set_size,
};

static void on_toplevel_gone(struct wl_resource *resource)
{
    struct surface *s = wl_resource_get_user_data(resource);

    if (s != NULL) {
        s->toplevel = NULL;
        s->seen.has_toplevel = false;
    }
}

static void get_toplevel(struct wl_client *client, struct wl_resource *resource,
                         uint32_t id)
{
    struct surface *s = wl_resource_get_user_data(resource);
    struct wl_resource *made = wl_resource_create(
        client, &xdg_toplevel_interface, wl_resource_get_version(resource), id);

    wl_resource_set_implementation(made, &toplevel_impl, s, on_toplevel_gone);
    if (s != NULL) {
        s->toplevel = made;
        s->seen.has_toplevel = true;
    }
}

static void ack_configure(struct wl_client *client,
                          struct wl_resource *resource, uint32_t serial)
{
    struct surface *s = wl_resource_get_user_data(resource);

    if (s != NULL) {
        s->seen.acked = serial;
    }
}

static const struct xdg_surface_interface xdg_surface_impl = {
    .destroy = on_destroy,
    .get_toplevel = get_toplevel,
    .set_window_geometry = damage,
    .ack_configure = ack_configure,
};

static void on_xdg_surface_gone(struct wl_resource *resource)
{
    struct surface *s = wl_resource_get_user_data(resource);

    if (s != NULL) {
        s->xdg_surface = NULL;
    }
}

static void get_xdg_surface(struct wl_client *client,
                            struct wl_resource *resource, uint32_t id,
                            struct wl_resource *surface)
{
    struct surface *s = wl_resource_get_user_data(surface);

    s->xdg_surface = wl_resource_create(client, &xdg_surface_interface,
                                        wl_resource_get_version(resource), id);
    wl_resource_set_implementation(s->xdg_surface, &xdg_surface_impl, s,
                                   on_xdg_surface_gone);
}

static void pong(struct wl_client *client, struct wl_resource *resource,
                 uint32_t serial)
{
    struct compositor *c = wl_resource_get_user_data(resource);

    c->pongs++;
}

static const struct xdg_wm_base_interface wm_base_impl = {
    .destroy = on_destroy,
    .get_xdg_surface = get_xdg_surface,
    .pong = pong,
};

static void bind_compositor(struct wl_client *client, void *data,
                            uint32_t version, uint32_t id)
{
    wl_resource_set_implementation(wl_resource_create(client,
                                                      &wl_compositor_interface,
                                                      (int)version, id),
                                   &compositor_impl, data, NULL);
}

static void bind_wm_base(struct wl_client *client, void *data, uint32_t version,
                         uint32_t id)
{
    struct compositor *c = data;
    struct wl_resource *made = wl_resource_create(client,
                                                  &xdg_wm_base_interface,
                                                  (int)version, id);

    wl_resource_set_implementation(made, &wm_base_impl, c, NULL);
    if (c->options.ping) {
        xdg_wm_base_send_ping(made, ++c->serial);
    }
}

static void on_client_gone(struct wl_listener *listener, void *data)
{
    struct client *client = wl_container_of(listener, client, destroyed);

    client->compositor->clients--;
    g_free(client);
}

static void on_client(struct wl_listener *listener, void *data)
{
    struct compositor *c = wl_container_of(listener, c, client_created);
    struct client *client = g_new0(struct client, 1);

    client->compositor = c;
    client->destroyed.notify = on_client_gone;
    wl_client_add_destroy_listener(data, &client->destroyed);
    c->clients++;
}

static int listen_at(const char *path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpuint(strlen(path), <, sizeof addr.sun_path);
    strcpy(addr.sun_path, path);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&addr, sizeof addr), ==, 0);
    g_assert_cmpint(listen(fd, 128), ==, 0);
    return fd;
}

struct compositor *compositor_new(const char *path,
                                  const struct compositor_options *options)
{
    struct compositor *c = g_new0(struct compositor, 1);

    if (options != NULL) {
        c->options = *options;
    }
    c->path = g_strdup(path);
    c->surfaces = g_ptr_array_new();
    c->display = wl_display_create();
    g_assert_nonnull(c->display);
    c->loop = wl_display_get_event_loop(c->display);
    c->client_created.notify = on_client;
    wl_display_add_client_created_listener(c->display, &c->client_created);
    g_assert_cmpint(wl_display_init_shm(c->display), ==, 0);
    wl_global_create(c->display, &wl_compositor_interface, 4, c,
                     bind_compositor);
    wl_global_create(c->display, &xdg_wm_base_interface, 1, c, bind_wm_base);
    g_assert_cmpint(wl_display_add_socket_fd(c->display, listen_at(path)), ==,
                    0);
    return c;
}

void compositor_free(struct compositor *c)
{
    if (c == NULL) {
        return;
    }
    wl_display_destroy_clients(c->display);
    wl_list_remove(&c->client_created.link);
    wl_display_destroy(c->display);
    unlink(c->path);
    g_ptr_array_unref(c->surfaces);
    g_free(c->path);
    g_free(c);
}

int compositor_fd(const struct compositor *c)
{
    return wl_event_loop_get_fd(c->loop);
}

void compositor_dispatch(void *opaque)
{
    struct compositor *c = opaque;

    wl_event_loop_dispatch(c->loop, 0);
    wl_display_flush_clients(c->display);
}

unsigned int compositor_clients(const struct compositor *c)
{
    return c->clients;
}

unsigned int compositor_pongs(const struct compositor *c)
{
    return c->pongs;
}

const GPtrArray *compositor_surfaces(const struct compositor *c)
{
    return c->surfaces;
}

const struct compositor_surface *compositor_window(const struct compositor *c)
{
    for (guint i = 0; i < c->surfaces->len; i++) {
        const struct surface *s = c->surfaces->pdata[i];

        if (s->seen.pixels != NULL) {
            return &s->seen;
        }
    }
    return NULL;
}

void compositor_frame(struct compositor *c)
{
    for (guint i = 0; i < c->surfaces->len; i++) {
        send_frame(c->surfaces->pdata[i]);
    }
    wl_display_flush_clients(c->display);
}

uint32_t compositor_pixel(const struct compositor_surface *surface, uint32_t x,
                          uint32_t y)
{
    uint32_t pixel;

    memcpy(&pixel, surface->pixels + (size_t)surface->stride * y + 4 * x,
           sizeof pixel);
    return pixel & 0xffffff;
}
