/* SPDX-License-Identifier: BSD-3-Clause */
/* linux-explicit-synchronization: fences to the host and back. One that the
 * host cannot use is waited for here, before anything else is sent; one of
 * the host's that cannot be a descriptor here, too, and then the buffer was
 * released without. */
#include <fcntl.h>
#include <unistd.h>

#include "gpu.h"
#include "part.h"
#include "surface.h"

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
struct release {
    struct vwl_object *object;
    int vfd;
    bool deleted; /* the host is done with the id */
};

/* Of each client. */
struct sync {
    GArray *releases; /* of struct release */
};

static void sync_begin(void *part)
{
    struct sync *sync = part;

    sync->releases = g_array_new(FALSE, FALSE, sizeof(struct release));
}

static void sync_serve(struct vwl_client *client, void *part);
static void sync_finish(struct vwl_client *client, void *part);

static const struct vwl_part sync_part = {
    .size = sizeof(struct sync),
    .begin = sync_begin,
    .serve = sync_serve,
    .finish = sync_finish,
};

static GArray *releases_of(struct vwl_client *client)
{
    struct sync *sync = vwl_part_of(client, &sync_part);

    return sync->releases;
}

static struct release *release_at(GArray *releases, guint i)
{
    return &g_array_index(releases, struct release, i);
}

/* ---- fences to the host ---- */

extern const struct vwl_handler vwl_handle_sync;

static void sync_orphan(struct vwl_client *client, uint32_t sync)
{
    struct vwl_object *object = vwl_objects_client(&client->objects, sync);

    if (vwl_handles(&vwl_handle_sync, object)) {
        object->data = NULL;
    }
}

/* A sync object's data is its surface's client id. */
static void sync_made(struct vwl_client *client, struct vwl_object *maker,
                      struct vwl_object *object,
                      const struct vwl_wire_message *msg)
{
    struct vwl_surface *surface = vwl_surface_find(client, msg->args[1].value);

    surface->sync = object->client_id;
    surface->sync_orphan = sync_orphan;
    object->data = GUINT_TO_POINTER(msg->args[1].value);
}

static bool exists(struct vwl_client *client, const struct vwl_object *factory,
                   uint32_t id)
{
    const struct vwl_surface *surface = vwl_surface_find(client, id);

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
    struct vwl_lone lone = { .begin = vwl_uplink_len(&client->uplink) };
    int fd = vwl_queue_take(&client->from_client);

    if (surface->fenced) {
        vwl_client_error(client, sync->client_id, DUPLICATE_FENCE,
                         "there is a fence already");
        close(fd);
        return;
    }
    lone.spare = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (lone.spare >= 0 &&
        vwl_transport_import(t, true, &fd, &lone.handles[0]) == 0) {
        surface->fenced = true;
        lone.n = 1;
        vwl_uplink_request(&client->uplink, sync->host_id, SET_ACQUIRE_FENCE,
                           NULL, 0, lone.handles[0]);
        vwl_uplink_alone(&client->uplink, sync->host_id, &lone);
        return;
    }
    vwl_client_error(client, 1, WL_ERROR_NO_MEMORY, "no more fences");
    if (lone.spare >= 0) {
        close(lone.spare);
    }
    if (fd >= 0) {
        close(fd);
    }
}

static enum vwl_outcome factory_offers(struct vwl_client *client,
                                       uint32_t *version)
{
    const struct vwl_transport_gpu *gpu = vwl_gpu_of(client->bridge);

    if (gpu == NULL) {
        return VWL_LATER;
    }
    return gpu->buffers ? VWL_PASS : VWL_DROP;
}

static enum vwl_outcome factory_request(struct vwl_client *client,
                                        struct vwl_object *factory,
                                        const struct vwl_wire_message *msg,
                                        void *data)
{
    return msg->opcode == GET_SYNCHRONIZATION &&
                   exists(client, factory, msg->args[1].value)
               ? VWL_FAILED
               : VWL_PASS;
}

const struct vwl_handler vwl_handle_sync_factory = {
    .offers = factory_offers,
    .request = factory_request,
};

static enum vwl_outcome sync_request(struct vwl_client *client,
                                     struct vwl_object *object,
                                     const struct vwl_wire_message *msg,
                                     void *data)
{
    struct vwl_surface *surface = vwl_surface_find(client, GPOINTER_TO_UINT(
                                                               object->data));

    if (msg->opcode == DESTROY) {
        if (surface != NULL) {
            surface->sync = 0;
        }
        object->data = NULL;
        return VWL_PASS;
    }
    if (surface == NULL) {
        vwl_client_error(client, object->client_id, NO_SURFACE,
                         "the surface is gone");
        return VWL_FAILED;
    }
    if (msg->opcode == SET_ACQUIRE_FENCE) {
        set_fence(client, object, surface);
        return VWL_DONE;
    }
    if (surface->released) {
        vwl_client_error(client, object->client_id, DUPLICATE_RELEASE,
                         "a release was asked for already");
        return VWL_FAILED;
    }
    surface->released = true;
    return VWL_PASS;
}

static bool is_fence(int fd)
{
    char path[64], target[64] = "";

    g_snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return readlink(path, target, sizeof target - 1) > 0 &&
           g_str_equal(target, "anon_inode:sync_file");
}

/* The host cannot use a fence: it is waited for here. */
static void sync_refused(struct vwl_client *client, struct vwl_object *object,
                         struct vwl_lone *lone)
{
    if (!is_fence(lone->spare)) {
        vwl_client_error(client, object->client_id, INVALID_FENCE,
                         "not a fence that the host can use");
        return;
    }
    vwl_client_hold(client, lone->spare);
    lone->spare = -1;
}

const struct vwl_handler vwl_handle_sync = {
    .request = sync_request,
    .made = sync_made,
    .refused = sync_refused,
};

/* ---- fences of the host's ---- */

static enum vwl_outcome release_event(struct vwl_client *client,
                                      struct vwl_object *object,
                                      const struct vwl_wire_message *msg,
                                      void *data)
{
    struct vwl_transport *t = client->bridge->transport;
    struct release release = { .object = object };
    GArray *releases = releases_of(client);
    int fd = -1;

    if (msg->opcode != FENCED_RELEASE) {
        return VWL_PASS;
    }
    release.vfd = vwl_queue_take(&client->from_host);
    if (object->client_id == 0 || object->data != NULL) {
        vwl_transport_close(t, release.vfd);
    } else if (vwl_transport_export_fence(t, &release.vfd, &fd) == 0) {
        vwl_client_event(client, object->client_id, FENCED_RELEASE, fd);
    } else if (releases->len >= MAX_RELEASES) {
        vwl_transport_close(t, release.vfd);
        vwl_client_fail(client, "too many fences of the host are pending");
    } else {
        object->data = object; /* one at a time */
        vwl_transport_watch(t, release.vfd, 1);
        g_array_append_val(releases, release);
    }
    return VWL_DONE;
}

static enum vwl_outcome release_delete_id(struct vwl_client *client,
                                          struct vwl_object *object)
{
    GArray *releases = releases_of(client);

    for (guint i = 0; i < releases->len; i++) {
        if (release_at(releases, i)->object == object) {
            release_at(releases, i)->deleted = true;
            return VWL_DONE;
        }
    }
    return VWL_PASS;
}

const struct vwl_handler vwl_handle_buffer_release = {
    .event = release_event,
    .delete_id = release_delete_id,
};

static void release_end(struct vwl_client *client, struct release release)
{
    struct vwl_object *object = release.object;
    uint32_t id = object->client_id;

    vwl_transport_close(client->bridge->transport, release.vfd);
    vwl_client_event(client, id, IMMEDIATE_RELEASE, -1);
    object->data = NULL;
    if (release.deleted) {
        vwl_objects_drop_client(&client->objects, object);
        vwl_client_delete_id(client, id);
    }
}

/* Tells of the fences that are signalled. */
static void sync_serve(struct vwl_client *client, void *part)
{
    struct vwl_transport *t = client->bridge->transport;
    GArray *releases = ((struct sync *)part)->releases;

    for (guint i = 0; i < releases->len;) {
        struct release release = *release_at(releases, i);

        if (vwl_transport_poll(t, release.vfd, 0) == 0) {
            i++;
            continue;
        }
        g_array_remove_index(releases, i);
        release_end(client, release);
    }
}

static void sync_finish(struct vwl_client *client, void *part)
{
    GArray *releases = ((struct sync *)part)->releases;

    for (guint i = 0; i < releases->len; i++) {
        vwl_transport_close(client->bridge->transport,
                            release_at(releases, i)->vfd);
    }
    g_array_unref(releases);
}
