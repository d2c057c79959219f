/* SPDX-License-Identifier: BSD-3-Clause */
/* linux-dmabuf: planes are kept here until a buffer is made of them; then all
 * goes to the host in one message of its own, which may be refused. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gpu.h"
#include "handler.h"
#include "part.h"

enum { DESTROY = 0, ADD = 1, CREATE = 2, CREATE_IMMED = 3 };
enum { FAILED = 1 };
enum { FORMAT_TABLE = 1, MAIN_DEVICE = 2, TARGET_DEVICE = 4 };
enum {
    ALREADY_USED = 0,
    PLANE_IDX = 1,
    PLANE_SET = 2,
    INCOMPLETE = 3,
    INVALID_DIMENSIONS = 5,
    OUT_OF_BOUNDS = 6,
    INVALID_BUFFER = 7,
};

#define MAX_PLANES 4u
#define WITHOUT_FEEDBACK 3u

struct plane {
    int fd; /* -1: not set */
    uint32_t offset, stride, modifier_hi, modifier_lo;
};

struct params {
    struct plane planes[MAX_PLANES];
    bool used;
};

/* Of each client: how many descriptors its params hold. */
struct held {
    unsigned int n;
};

static const struct vwl_part held_part = {
    .size = sizeof(struct held),
};

static struct held *held_of(struct vwl_client *client)
{
    return vwl_part_of(client, &held_part);
}

static struct params *params_of(struct vwl_object *object)
{
    struct params *params = object->data;

    if (params == NULL) {
        params = g_new0(struct params, 1);
        for (unsigned int i = 0; i < MAX_PLANES; i++) {
            params->planes[i].fd = -1;
        }
        object->data = params;
    }
    return params;
}

static void planes_drop(struct vwl_client *client, struct params *params)
{
    for (unsigned int i = 0; i < MAX_PLANES; i++) {
        if (params->planes[i].fd >= 0) {
            close(params->planes[i].fd);
            params->planes[i].fd = -1;
            held_of(client)->n--;
            client->n_fds--;
        }
    }
}

static void plane_add(struct vwl_client *client, struct vwl_object *object,
                      const struct vwl_wire_message *msg)
{
    struct params *params = params_of(object);
    uint32_t index = msg->args[1].value;
    struct plane plane = {
        .fd = vwl_queue_take(&client->from_client),
        .offset = msg->args[2].value,
        .stride = msg->args[3].value,
        .modifier_hi = msg->args[4].value,
        .modifier_lo = msg->args[5].value,
    };

    if (params->used) {
        vwl_client_error(client, object->client_id, ALREADY_USED,
                         "params was already used to create a wl_buffer");
    } else if (index >= MAX_PLANES) {
        vwl_client_error(client, object->client_id, PLANE_IDX,
                         "plane index %u is too high", index);
    } else if (params->planes[index].fd >= 0) {
        vwl_client_error(client, object->client_id, PLANE_SET,
                         "plane %u was already set", index);
    } else if (held_of(client)->n >= vwl_limit_of(client, VWL_LIMIT_PLANES)) {
        vwl_limit_reached(client->bridge, client, VWL_LIMIT_PLANES);
        vwl_client_error(client, 1, WL_ERROR_NO_MEMORY, "too many planes");
    } else {
        params->planes[index] = plane;
        held_of(client)->n++;
        client->n_fds++;
        return;
    }
    close(plane.fd);
}

/* Of a dma-buf, or memory; 0: of something that is better not asked. */
static uint64_t plane_size(int fd)
{
    char path[64], target[16] = "";
    struct stat st;

    g_snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (readlink(path, target, sizeof target - 1) < 0 ||
        (!g_str_has_prefix(target, "/dmabuf:") &&
         !g_str_has_prefix(target, "/memfd:")) ||
        fstat(fd, &st) < 0) {
        return 0;
    }
    return (uint64_t)st.st_size;
}

/* Planes behind the first may have fewer lines. */
static bool plane_is_within(const struct plane *plane, unsigned int index,
                            uint32_t height)
{
    uint64_t size = plane_size(plane->fd);
    uint64_t bytes = index == 0 ? (uint64_t)plane->stride * height
                                : plane->stride;

    return size == 0 || (plane->offset < size && bytes <= size - plane->offset);
}

/* The number of planes; 0: the client failed. */
static unsigned int planes_check(struct vwl_client *client,
                                 const struct vwl_object *object,
                                 const struct params *params, int32_t width,
                                 int32_t height)
{
    unsigned int n = 0, all = 0;

    for (unsigned int i = 0; i < MAX_PLANES; i++) {
        all += params->planes[i].fd >= 0;
        n += n == i && params->planes[i].fd >= 0;
    }
    if (n == 0 || n != all) {
        vwl_client_error(client, object->client_id, INCOMPLETE,
                         "a plane is missing");
        return 0;
    }
    if (width <= 0 || height <= 0) {
        vwl_client_error(client, object->client_id, INVALID_DIMENSIONS,
                         "invalid width %d or height %d", width, height);
        return 0;
    }
    for (unsigned int i = 0; i < n; i++) {
        if (!plane_is_within(&params->planes[i], i, (uint32_t)height)) {
            vwl_client_error(client, object->client_id, OUT_OF_BOUNDS,
                             "plane %u is not within its dmabuf", i);
            return 0;
        }
    }
    return n;
}

static void buffer_refused(struct vwl_client *client,
                           const struct vwl_object *params, bool fatal)
{
    if (params->client_id == 0) {
        return;
    }
    if (fatal) {
        vwl_client_error(client, params->client_id, INVALID_BUFFER,
                         "the host cannot use this dmabuf");
    } else {
        vwl_client_event(client, params->client_id, FAILED, -1);
    }
}

/* All of them, or none. */
static bool planes_import(struct vwl_client *client, struct params *params,
                          unsigned int n, int *handles)
{
    struct vwl_transport *t = client->bridge->transport;
    unsigned int i = 0;

    while (i < n && vwl_transport_import(t, false, &params->planes[i].fd,
                                         &handles[i]) == 0) {
        held_of(client)->n--;
        client->n_fds--;
        params->planes[i++].fd = -1;
    }
    if (i == n) {
        return true;
    }
    while (i > 0) {
        vwl_transport_close(t, handles[--i]);
    }
    return false;
}

static void planes_send(struct vwl_client *client, uint32_t host_id,
                        const struct params *params, unsigned int n,
                        const int *handles)
{
    for (unsigned int i = 0; i < n; i++) {
        const struct plane *plane = &params->planes[i];
        const uint32_t args[5] = {
            i,
            plane->offset,
            plane->stride,
            plane->modifier_hi,
            plane->modifier_lo,
        };

        vwl_uplink_request(&client->uplink, host_id, ADD, args, 5, handles[i]);
    }
}

/* The new buffer's host id is written there. */
static bool buffer_new(struct vwl_client *client,
                       const struct vwl_wire_arg *arg, uint32_t *host_id)
{
    struct vwl_object *buffer = vwl_objects_new(&client->objects, arg->iface, 1,
                                                arg->value, true);

    if (buffer == NULL) {
        vwl_client_bad_id(client, arg->value);
        return false;
    }
    *host_id = buffer->host_id;
    return true;
}

static void buffer_create(struct vwl_client *client, struct vwl_object *object,
                          const struct vwl_wire_message *msg)
{
    bool immed = msg->opcode == CREATE_IMMED;
    const struct vwl_wire_arg *rest = msg->args + immed;
    struct params *params = params_of(object);
    struct vwl_lone lone = {
        .begin = vwl_uplink_len(&client->uplink),
        .fatal = immed,
        .spare = -1,
    };
    uint32_t args[5];

    if (params->used) {
        vwl_client_error(client, object->client_id, ALREADY_USED,
                         "params was already used to create a wl_buffer");
        return;
    }
    params->used = true;
    lone.n = planes_check(client, object, params, (int32_t)rest[0].value,
                          (int32_t)rest[1].value);
    if (lone.n == 0 || (immed && !buffer_new(client, &msg->args[0], args))) {
        return;
    }
    if (!planes_import(client, params, lone.n, lone.handles)) {
        planes_drop(client, params);
        buffer_refused(client, object, immed);
        return;
    }
    for (unsigned int i = 0; i < 4; i++) {
        args[i + immed] = rest[i].value;
    }
    planes_send(client, object->host_id, params, lone.n, lone.handles);
    vwl_uplink_request(&client->uplink, object->host_id, msg->opcode, args,
                       4u + immed, -1);
    vwl_uplink_alone(&client->uplink, object->host_id, &lone);
}

static enum vwl_outcome params_request(struct vwl_client *client,
                                       struct vwl_object *params,
                                       const struct vwl_wire_message *msg,
                                       void *data)
{
    switch (msg->opcode) {
    case ADD:
        plane_add(client, params, msg);
        return VWL_DONE;
    case CREATE:
    case CREATE_IMMED:
        buffer_create(client, params, msg);
        return VWL_DONE;
    default:
        planes_drop(client, params_of(params));
        return VWL_PASS;
    }
}

static void params_refused(struct vwl_client *client, struct vwl_object *params,
                           struct vwl_lone *lone)
{
    buffer_refused(client, params, lone->fatal);
}

static void params_freed(struct vwl_client *client, struct vwl_object *params)
{
    if (params->data != NULL) {
        planes_drop(client, params->data);
        g_free(params->data);
    }
}

const struct vwl_handler vwl_handle_dmabuf_params = {
    .request = params_request,
    .refused = params_refused,
    .freed = params_freed,
};

/* ---- zwp_linux_dmabuf_v1 and its feedback ---- */

static enum vwl_outcome dmabuf_offers(struct vwl_client *client,
                                      uint32_t *version)
{
    const struct vwl_transport_gpu *gpu = vwl_gpu_of(client->bridge);

    if (gpu == NULL) {
        return VWL_LATER;
    }
    if (!gpu->feedback) {
        *version = MIN(*version, WITHOUT_FEEDBACK);
    }
    return gpu->buffers ? VWL_PASS : VWL_DROP;
}

const struct vwl_handler vwl_handle_dmabuf = {
    .offers = dmabuf_offers,
};

/* The host's devices become the guest's. */
static enum vwl_outcome feedback_event(struct vwl_client *client,
                                       struct vwl_object *feedback,
                                       const struct vwl_wire_message *msg,
                                       void *data)
{
    const struct vwl_transport_gpu *gpu = vwl_gpu_of(client->bridge);
    uint64_t device = gpu != NULL ? gpu->device : 0;

    if ((msg->opcode == MAIN_DEVICE || msg->opcode == TARGET_DEVICE) &&
        device != 0 && msg->args[0].value == sizeof device) {
        memcpy((char *)data + msg->args[0].at, &device, sizeof device);
    }
    return VWL_PASS;
}

const struct vwl_handler vwl_handle_dmabuf_feedback = {
    .event = feedback_event,
    .memory_events = 1u << FORMAT_TABLE,
};
