/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * framelook SOCKET [FILE]: a compositor as small as can be that looks at every
 * pixel of what framepaint shows, and says for each frame whether it is right,
 * and whether it lies in memory of its own or in the client's: in a dmabuf or,
 * by noudmabuf.c, in the guest's memory, whose path stands in the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <wayland-server.h>

#include "frame.h"

static struct wl_resource *attached;
static unsigned int n_clients, n_frames;
static const char *ram_file;

/* ---- what the kernel would do if it had udmabuf -------------------------- */

static void *map_plain(void *at, size_t len, int prot, int flags, int fd,
                       off_t offset)
{
    return (void *)syscall(SYS_mmap, at, len, prot, flags, fd, offset);
}

static int open_ram(void)
{
    FILE *file = fopen(ram_file, "r");
    char path[128] = "";

    if (!file || !fgets(path, sizeof path, file)) {
        abort();
    }
    fclose(file);
    path[strcspn(path, "\n")] = 0;
    return open(path, O_RDWR | O_CLOEXEC);
}

static void *map_parts(const struct frame_list *list, size_t len, int prot)
{
    char *area = map_plain(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
                           -1, 0);
    int ram = open_ram();
    size_t at = 0;

    if (ram < 0 || area == MAP_FAILED) {
        abort();
    }
    for (uint64_t i = 0; i < list->n && at < len; i++) {
        size_t n = list->parts[i].bytes < len - at ? list->parts[i].bytes
                                                   : len - at;

        if (map_plain(area + at, n, prot, MAP_SHARED | MAP_FIXED, ram,
                      (off_t)list->parts[i].offset) == MAP_FAILED) {
            abort();
        }
        at += n;
    }
    close(ram);
    return area;
}

/* Instead of the C library's: libwayland maps pools by it. */
__attribute__((visibility("default"))) void *mmap(void *at, size_t len,
                                                  int prot, int flags, int fd,
                                                  off_t offset)
{
    static struct frame_list list;
    struct stat st;

    if (ram_file && fd >= 0 && (flags & MAP_SHARED) && fstat(fd, &st) == 0 &&
        st.st_size > (off_t)sizeof list &&
        pread(fd, &list, sizeof list, st.st_size - (off_t)sizeof list) ==
            sizeof list &&
        list.magic == FRAME_MAGIC) {
        if ((off_t)len > st.st_size - (off_t)sizeof list) {
            errno = EINVAL;
            return MAP_FAILED;
        }
        return map_parts(&list, len, prot);
    }
    return map_plain(at, len, prot, flags, fd, offset);
}

/* ---- looking ------------------------------------------------------------- */

/* In whose memory an address is. */
static bool is_in_place(const void *at)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned long begin, end;
    char line[512];
    bool found = false;

    while (maps && fgets(line, sizeof line, maps)) {
        if (sscanf(line, "%lx-%lx", &begin, &end) == 2 &&
            begin <= (unsigned long)at && (unsigned long)at < end) {
            found = strstr(line, "dmabuf") || strstr(line, "memory-backend");
        }
    }
    if (maps) {
        fclose(maps);
    }
    return found;
}

static unsigned int count_wrong(struct wl_shm_buffer *buffer, uint32_t frame)
{
    const char *data = wl_shm_buffer_get_data(buffer);
    int32_t stride = wl_shm_buffer_get_stride(buffer);
    int32_t width = wl_shm_buffer_get_width(buffer);
    int32_t height = wl_shm_buffer_get_height(buffer);
    unsigned int wrong = 0;

    for (int32_t y = 0; y < height; y++) {
        const uint32_t *row = (const void *)(data + y * stride);

        for (int32_t x = 0; x < width; x++) {
            wrong += row[x] != frame_pixel(frame, (uint32_t)x, (uint32_t)y);
        }
    }
    return wrong;
}

static void on_destroy(struct wl_client *client, struct wl_resource *resource)
{
    wl_resource_destroy(resource);
}

static void on_attach(struct wl_client *client, struct wl_resource *resource,
                      struct wl_resource *buffer, int32_t x, int32_t y)
{
    attached = buffer;
}

static void on_damage(struct wl_client *client, struct wl_resource *resource,
                      int32_t x, int32_t y, int32_t width, int32_t height)
{
}

static void on_commit(struct wl_client *client, struct wl_resource *resource)
{
    struct wl_shm_buffer *buffer = attached ? wl_shm_buffer_get(attached)
                                            : NULL;
    unsigned int wrong;

    if (!buffer) {
        return;
    }
    n_frames++;
    wl_shm_buffer_begin_access(buffer);
    wrong = count_wrong(buffer, n_frames);
    printf("client %u frame %u: %u wrong, %s\n", n_clients, n_frames, wrong,
           is_in_place(wl_shm_buffer_get_data(buffer)) ? "in place" : "copied");
    wl_shm_buffer_end_access(buffer);
    fflush(stdout);
    wl_buffer_send_release(attached);
    attached = NULL;
}

static const struct wl_surface_interface surface = {
    .destroy = on_destroy,
    .attach = on_attach,
    .damage = on_damage,
    .commit = on_commit,
};

static void on_create_surface(struct wl_client *client,
                              struct wl_resource *resource, uint32_t id)
{
    struct wl_resource *made = wl_resource_create(client, &wl_surface_interface,
                                                  1, id);

    wl_resource_set_implementation(made, &surface, NULL, NULL);
    n_clients++;
    n_frames = 0;
    attached = NULL;
}

static const struct wl_compositor_interface compositor = {
    .create_surface = on_create_surface,
};

static void on_bind(struct wl_client *client, void *data, uint32_t version,
                    uint32_t id)
{
    struct wl_resource *made = wl_resource_create(client,
                                                  &wl_compositor_interface,
                                                  (int)version, id);

    wl_resource_set_implementation(made, &compositor, NULL, NULL);
}

int main(int argc, char **argv)
{
    struct wl_display *display = wl_display_create();

    ram_file = argc > 2 ? argv[2] : NULL;
    if (argc < 2 || !display || wl_display_add_socket(display, argv[1]) < 0 ||
        wl_display_init_shm(display) < 0) {
        return 1;
    }
    wl_global_create(display, &wl_compositor_interface, 1, NULL, on_bind);
    printf("ready\n");
    fflush(stdout);
    wl_display_run(display);
    return 0;
}
