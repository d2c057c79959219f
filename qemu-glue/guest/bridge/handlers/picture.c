/* SPDX-License-Identifier: BSD-3-Clause */
/* Objects that are given buffers of pixels without a surface's commit, which
 * would say when they are complete: the icon of a window, parts of its shadow.
 * They are read when they are given. */
#include "shmbuf.h"

static enum vwl_outcome picture_request(struct vwl_client *client,
                                        struct vwl_object *object,
                                        const struct vwl_wire_message *msg,
                                        void *data)
{
    for (unsigned int i = 0; i < msg->n_args; i++) {
        struct vwl_object *named = msg->args[i].type == 'o'
                                       ? vwl_objects_client(&client->objects,
                                                            msg->args[i].value)
                                       : NULL;
        struct vwl_shmbuf *buffer = vwl_shmbuf_of(named);

        if (buffer == NULL) {
            continue;
        }
        if (vwl_handle_buffer.named(client, named) != VWL_PASS) {
            return VWL_FAILED;
        }
        buffer->surface = NULL;
        buffer->settled = true; /* nobody says when the host has let go */
        buffer->stale.all = true;
        if (vwl_copy_stale(client, buffer) < 0) {
            vwl_client_error(client, buffer->pool->shm, 2,
                             "error accessing SHM buffer");
            return VWL_FAILED;
        }
    }
    return VWL_PASS;
}

const struct vwl_handler vwl_handle_picture = {
    .request = picture_request,
};
