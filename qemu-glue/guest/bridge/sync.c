/* SPDX-License-Identifier: BSD-3-Clause */
/* linux-explicit-synchronization: fences to the host and back. One that the
 * host cannot use is waited for here, before anything else is sent; one of
 * the host's that cannot be a descriptor here, too, and then the buffer was
 * released without. */
#include "shm.h"

#include <fcntl.h>
#include <unistd.h>

enum { GET_SYNCHRONIZATION = 1 };
enum { DESTROY = 0, SET_ACQUIRE_FENCE = 1, GET_RELEASE = 2 };
enum { FENCED_RELEASE = 0, IMMEDIATE_RELEASE = 1 };
enum {
    INVALID_FENCE = 0,
    DUPLICATE_FENCE = 1,
    DUPLICATE_RELEASE = 2,
    NO_SURFACE = 3,
};
enum { SYNCHRONIZATION_EXISTS = 0 };

#define MAX_RELEASES 1024u

/* A fence of the host's that is not signalled yet. */
struct vwl_release {
    struct vwl_object *object;
    int vfd;
    bool deleted; /* the host is done with the id */
};

static struct vwl_release *release_at(struct vwl_client *client, guint i)
{
    return &g_array_index(client->releases, struct vwl_release, i);
}

GArray *vwl_sync_releases_new(void)
{
    return g_array_new(FALSE, FALSE, sizeof(struct vwl_release));
}

static struct vwl_surface *surface_at(struct vwl_client *client, uint32_t id)
{
    struct vwl_object *object = vwl_objects_client(&client->objects, id);

    return object != NULL && vwl_kind_of(object) == VWL_KIND_SURFACE
               ? vwl_surface_of(object)
               : NULL;
}

/* A sync object's data is its surface's client id. */
void vwl_sync_made(struct vwl_client *client, struct vwl_object *sync,
                   uint32_t surface)
{
    surface_at(client, surface)->sync = sync->client_id;
    sync->data = GUINT_TO_POINTER(surface);
}

void vwl_sync_surface_gone(struct vwl_client *client, uint32_t sync)
{
    struct vwl_object *object = vwl_objects_client(&client->objects, sync);

    if (object != NULL && vwl_kind_of(object) == VWL_KIND_SYNC) {
        object->data = NULL;
    }
}

static bool exists(struct vwl_client *client, const struct vwl_object *factory,
                   uint32_t id)
{
    const struct vwl_surface *surface = surface_at(client, id);

    if (surface == NULL || surface->sync == 0) {
        return false;
    }
    vwl_client_error(client, factory->client_id, SYNCHRONIZATION_EXISTS,
                     "the surface has a synchronization object");
    return true;
}

static void set_fence(struct vwl_client *client, struct vwl_object *sync,
                      struct vwl_surface *surface)
{
    struct vwl_transport *t = client->bridge->transport;
    struct vwl_lone lone = { .begin = client->to_host.bytes->len };
    int fd = vwl_client_take_fd(client);

    if (surface->fenced) {
        vwl_client_error(client, sync->client_id, DUPLICATE_FENCE,
                         "there is a fence already");
        close(fd);
        return;
    }
    lone.fence = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (lone.fence >= 0 &&
        vwl_transport_import(t, true, &fd, &lone.handles[0]) == 0) {
        surface->fenced = true;
        lone.n = 1;
        vwl_client_request(client, sync->host_id, SET_ACQUIRE_FENCE, NULL, 0,
                           lone.handles[0]);
        vwl_client_alone(client, sync, &lone);
        return;
    }
    vwl_client_error(client, 1, WL_ERROR_NO_MEMORY, "no more fences");
    if (lone.fence >= 0) {
        close(lone.fence);
    }
    if (fd >= 0) {
        close(fd);
    }
}

bool vwl_sync_request(struct vwl_client *client, struct vwl_object *object,
                      const struct vwl_wire_message *msg)
{
    struct vwl_surface *surface;

    if (vwl_kind_of(object) == VWL_KIND_SYNC_FACTORY) {
        return msg->opcode == GET_SYNCHRONIZATION &&
               exists(client, object, msg->args[1].value);
    }
    surface = surface_at(client, GPOINTER_TO_UINT(object->data));
    if (msg->opcode == DESTROY) {
        if (surface != NULL) {
            surface->sync = 0;
        }
        object->data = NULL;
        return false;
    }
    if (surface == NULL) {
        vwl_client_error(client, object->client_id, NO_SURFACE,
                         "the surface is gone");
        return true;
    }
    if (msg->opcode == SET_ACQUIRE_FENCE) {
        set_fence(client, object, surface);
        return true;
    }
    if (surface->released) {
        vwl_client_error(client, object->client_id, DUPLICATE_RELEASE,
                         "a release was asked for already");
    }
    surface->released = true;
    return false;
}

/* ---- fences that the host does not know ---- */

static gboolean on_signalled(gint fd, GIOCondition condition, gpointer data)
{
    struct vwl_client *client = data;

    client->fence_watch = 0;
    close(client->fence);
    client->fence = -1;
    vwl_client_flush(client);
    return G_SOURCE_REMOVE;
}

static bool is_fence(int fd)
{
    char path[64], target[64] = "";

    g_snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return readlink(path, target, sizeof target - 1) > 0 &&
           g_str_equal(target, "anon_inode:sync_file");
}

void vwl_sync_refused(struct vwl_client *client, struct vwl_object *sync,
                      int *fd)
{
    if (!is_fence(*fd)) {
        vwl_client_error(client, sync->client_id, INVALID_FENCE,
                         "not a fence that the host can use");
        return;
    }
    client->fence = *fd;
    *fd = -1;
    client->fence_watch = vwl_bridge_watch(client->fence, G_IO_IN, on_signalled,
                                           client);
}

/* ---- releases ---- */

static void say(struct vwl_client *client, const struct vwl_object *object,
                unsigned int opcode, int fd)
{
    uint32_t event[2] = { object->client_id, 8u << 16 | opcode };

    if (fd >= 0) {
        struct vwl_attached entry = { fd, client->to_client.bytes->len };

        g_array_append_val(client->to_client.fds, entry);
    }
    g_byte_array_append(client->to_client.bytes, (const guint8 *)event,
                        sizeof event);
}

bool vwl_sync_released(struct vwl_client *client, struct vwl_object *object,
                       const struct vwl_wire_message *msg)
{
    struct vwl_transport *t = client->bridge->transport;
    struct vwl_release release = { .object = object };
    GArray *vfds = client->from_host.fds;
    int fd = -1;

    if (msg->opcode != FENCED_RELEASE) {
        return false;
    }
    release.vfd = g_array_index(vfds, struct vwl_attached, 0).fd;
    g_array_remove_index(vfds, 0);
    if (object->client_id == 0 || object->data != NULL) {
        vwl_transport_close(t, release.vfd);
    } else if (vwl_transport_export_fence(t, &release.vfd, &fd) == 0) {
        say(client, object, FENCED_RELEASE, fd);
    } else if (client->releases->len >= MAX_RELEASES) {
        vwl_transport_close(t, release.vfd);
        vwl_client_fail(client, "the host releases too much at a time");
    } else {
        object->data = object; /* one at a time */
        vwl_transport_watch(t, release.vfd, 1);
        g_array_append_val(client->releases, release);
    }
    return true;
}

bool vwl_sync_delete_id(struct vwl_client *client, struct vwl_object *object)
{
    for (guint i = 0; i < client->releases->len; i++) {
        if (release_at(client, i)->object == object) {
            release_at(client, i)->deleted = true;
            return true;
        }
    }
    return false;
}

static void end(struct vwl_client *client, struct vwl_release release)
{
    uint32_t id = release.object->client_id;

    vwl_transport_close(client->bridge->transport, release.vfd);
    say(client, release.object, IMMEDIATE_RELEASE, -1);
    release.object->data = NULL;
    if (release.deleted) {
        vwl_objects_drop_client(&client->objects, release.object);
        vwl_client_delete_id(client, id);
    }
}

void vwl_sync_serve(struct vwl_client *client)
{
    struct vwl_transport *t = client->bridge->transport;

    for (guint i = 0; i < client->releases->len;) {
        struct vwl_release release = *release_at(client, i);

        if (vwl_transport_poll(t, release.vfd, 0) == 0) {
            i++;
            continue;
        }
        g_array_remove_index(client->releases, i);
        end(client, release);
    }
}

void vwl_sync_finish(struct vwl_client *client)
{
    for (guint i = 0; i < client->releases->len; i++) {
        vwl_transport_close(client->bridge->transport,
                            release_at(client, i)->vfd);
    }
    g_array_unref(client->releases);
    if (client->fence_watch != 0) {
        g_source_remove(client->fence_watch);
    }
    if (client->fence >= 0) {
        close(client->fence);
    }
}
