/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * importer SOCKET: a compositor double that looks at the pixels of each dma-buf
 * which it is given as a plane, and releases buffers by fences that are pending
 * until the next commit. It says what it saw, a line for each.
 */
#include <linux/dma-buf.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <wayland-server.h>

#include "explicit-sync-server.h"
#include "linux-dmabuf-server.h"
#include "vgem.h"

#ifndef DMA_BUF_MAGIC
#define DMA_BUF_MAGIC 0x444d4142
#endif

static struct vgem vgem;
static bool is_pending;              /* vgem's fence */
static struct wl_resource *released; /* asked for before this commit */
static int plane_fd = -1;
static uint32_t plane_offset, plane_stride;

/* What tests/vm/dmabuftest.c paints. */
static uint32_t pixel(uint32_t x, uint32_t y)
{
    return 0xff000000u | x << 16 | y << 8 | (x ^ y);
}

static bool is_dmabuf(int fd)
{
    struct statfs st;

    return fstatfs(fd, &st) == 0 && st.f_type == DMA_BUF_MAGIC;
}

static unsigned int count_wrong(uint32_t width, uint32_t height)
{
    size_t size = plane_offset + (size_t)plane_stride * height;
    struct dma_buf_sync sync = { DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ };
    uint8_t *at = mmap(NULL, size, PROT_READ, MAP_SHARED, plane_fd, 0);
    unsigned int wrong = 0;

    if (at == MAP_FAILED || ioctl(plane_fd, DMA_BUF_IOCTL_SYNC, &sync) < 0) {
        return width * height;
    }
    for (uint32_t y = 0; y < height; y++) {
        const uint32_t *row = (const void *)(at + plane_offset +
                                             (size_t)y * plane_stride);

        for (uint32_t x = 0; x < width; x++) {
            wrong += row[x] != pixel(x, y);
        }
    }
    sync.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ;
    ioctl(plane_fd, DMA_BUF_IOCTL_SYNC, &sync);
    munmap(at, size);
    return wrong;
}

static void look(int32_t width, int32_t height)
{
    printf("plane: %s, %dx%d, %u wrong\n",
           is_dmabuf(plane_fd) ? "a dma-buf" : "something else", width, height,
           count_wrong((uint32_t)width, (uint32_t)height));
    close(plane_fd);
    plane_fd = -1;
}

static void destroy(struct wl_client *client, struct wl_resource *resource)
{
    wl_resource_destroy(resource);
}

static struct wl_resource *make(struct wl_client *client,
                                const struct wl_interface *interface,
                                uint32_t version, uint32_t id,
                                const void *implementation)
{
    struct wl_resource *made = wl_resource_create(client, interface,
                                                  (int)version, id);

    wl_resource_set_implementation(made, implementation, NULL, NULL);
    return made;
}

/* ---- buffers ------------------------------------------------------------ */

static const struct wl_buffer_interface buffer = { .destroy = destroy };

static void on_add(struct wl_client *client, struct wl_resource *params, int fd,
                   uint32_t index, uint32_t offset, uint32_t stride,
                   uint32_t modifier_hi, uint32_t modifier_lo)
{
    plane_fd = fd;
    plane_offset = offset;
    plane_stride = stride;
}

static void on_create(struct wl_client *client, struct wl_resource *params,
                      int32_t width, int32_t height, uint32_t format,
                      uint32_t flags)
{
    look(width, height);
    zwp_linux_buffer_params_v1_send_created(params,
                                            make(client, &wl_buffer_interface,
                                                 1, 0, &buffer));
}

static void on_create_immed(struct wl_client *client,
                            struct wl_resource *params, uint32_t id,
                            int32_t width, int32_t height, uint32_t format,
                            uint32_t flags)
{
    look(width, height);
    make(client, &wl_buffer_interface, 1, id, &buffer);
}

static const struct zwp_linux_buffer_params_v1_interface params_calls = {
    .destroy = destroy,
    .add = on_add,
    .create = on_create,
    .create_immed = on_create_immed,
};

static void on_create_params(struct wl_client *client,
                             struct wl_resource *dmabuf, uint32_t id)
{
    make(client, &zwp_linux_buffer_params_v1_interface, 3, id, &params_calls);
}

static const struct zwp_linux_dmabuf_v1_interface dmabuf_calls = {
    .destroy = destroy,
    .create_params = on_create_params,
};

/* ---- fences ------------------------------------------------------------- */

static void on_acquire(struct wl_client *client, struct wl_resource *sync,
                       int fd)
{
    close(fd);
}

static void on_get_release(struct wl_client *client, struct wl_resource *sync,
                           uint32_t id)
{
    released = make(client, &zwp_linux_buffer_release_v1_interface, 1, id,
                    NULL);
}

static const struct zwp_linux_surface_synchronization_v1_interface
    sync_calls = {
        .destroy = destroy,
        .set_acquire_fence = on_acquire,
        .get_release = on_get_release,
    };

static void on_synchronize(struct wl_client *client,
                           struct wl_resource *factory, uint32_t id,
                           struct wl_resource *surface)
{
    make(client, &zwp_linux_surface_synchronization_v1_interface, 2, id,
         &sync_calls);
}

static const struct zwp_linux_explicit_synchronization_v1_interface
    factory_calls = {
        .destroy = destroy,
        .get_synchronization = on_synchronize,
    };

static void on_commit(struct wl_client *client, struct wl_resource *surface)
{
    int fence;

    if (is_pending) {
        printf("%s\n", vgem_signal(&vgem) ? "signalled" : "too late");
        is_pending = false;
    }
    if (released) {
        fence = vgem_attach(&vgem);
        is_pending = true;
        zwp_linux_buffer_release_v1_send_fenced_release(released, fence);
        close(fence);
        wl_resource_destroy(released);
        released = NULL;
        printf("released\n");
    }
}

static const struct wl_surface_interface surface_calls = {
    .destroy = destroy,
    .commit = on_commit,
};

static void on_create_surface(struct wl_client *client,
                              struct wl_resource *compositor, uint32_t id)
{
    make(client, &wl_surface_interface, 4, id, &surface_calls);
}

static const struct wl_compositor_interface compositor_calls = {
    .create_surface = on_create_surface,
};

/* ---- globals: in the order in which dmabuftest expects them -------------- */

static void bind_compositor(struct wl_client *client, void *data,
                            uint32_t version, uint32_t id)
{
    make(client, &wl_compositor_interface, version, id, &compositor_calls);
}

static void bind_dmabuf(struct wl_client *client, void *data, uint32_t version,
                        uint32_t id)
{
    make(client, &zwp_linux_dmabuf_v1_interface, version, id, &dmabuf_calls);
}

static void bind_sync(struct wl_client *client, void *data, uint32_t version,
                      uint32_t id)
{
    make(client, &zwp_linux_explicit_synchronization_v1_interface, version, id,
         &factory_calls);
}

int main(int argc, char **argv)
{
    struct wl_display *display = wl_display_create();

    setvbuf(stdout, NULL, _IOLBF, 0);
    vgem_init(&vgem);
    wl_global_create(display, &wl_compositor_interface, 4, NULL,
                     bind_compositor);
    wl_global_create(display, &zwp_linux_dmabuf_v1_interface, 3, NULL,
                     bind_dmabuf);
    wl_global_create(display, &zwp_linux_explicit_synchronization_v1_interface,
                     2, NULL, bind_sync);
    if (argc != 2 || wl_display_add_socket(display, argv[1]) < 0) {
        return 1;
    }
    printf("ready\n");
    wl_display_run(display);
    return 0;
}
