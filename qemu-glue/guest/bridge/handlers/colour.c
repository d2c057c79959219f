/* SPDX-License-Identifier: BSD-3-Clause */
/* Colour management: profiles are files, which cross as memory. */
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "handler.h"

enum { SET_ICC_FILE = 1 };
enum { BAD_FD = 2, BAD_SIZE = 3, OUT_OF_FILE = 4 };
enum { ICC_FILE = 1 };

#define MAX_ICC_BYTES (32u << 20) /* the protocol's */

/* -EBADF: not a file whose reads cannot wait; -ENODATA: it is shorter. */
static int file_read(int fd, uint32_t offset, uint32_t length, char *to)
{
    struct statfs fs;
    struct stat st;
    uint32_t at = 0;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || fstatfs(fd, &fs) < 0 ||
        fs.f_type == FUSE_SUPER_MAGIC) {
        return -EBADF;
    }
    while (at < length) {
        ssize_t n = pread(fd, to + at, length - at, (off_t)offset + at);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? -EBADF : -ENODATA;
        }
        at += (uint32_t)n;
    }
    return 0;
}

static void icc_send(struct vwl_client *client, struct vwl_object *creator,
                     int fd, uint32_t offset, uint32_t length)
{
    struct vwl_transport *t = client->bridge->transport;
    const uint32_t args[2] = { 0, length };
    struct vwl_transport_mem mem;
    int r;

    if (length == 0 || length > MAX_ICC_BYTES) {
        vwl_client_error(client, creator->client_id, BAD_SIZE,
                         "a profile of %u bytes", length);
        return;
    }
    if (vwl_transport_alloc(t, length, &mem) < 0) {
        vwl_client_error(client, 1, WL_ERROR_NO_MEMORY,
                         "no memory for a profile of %u bytes", length);
        return;
    }
    r = file_read(fd, offset, length, mem.ptr);
    vwl_transport_unmap(t, &mem);
    if (r < 0) {
        vwl_transport_close(t, mem.vfd);
        vwl_client_error(client, creator->client_id,
                         r == -ENODATA ? OUT_OF_FILE : BAD_FD,
                         r == -ENODATA ? "the profile's file is shorter"
                                       : "no file to read a profile from");
        return;
    }
    vwl_uplink_request(&client->uplink, creator->host_id, SET_ICC_FILE, args, 2,
                       mem.vfd);
    vwl_uplink_close(&client->uplink, mem.vfd);
}

static enum vwl_outcome icc_request(struct vwl_client *client,
                                    struct vwl_object *creator,
                                    const struct vwl_wire_message *msg,
                                    void *data)
{
    int fd;

    if (msg->opcode != SET_ICC_FILE) {
        return VWL_PASS;
    }
    fd = vwl_queue_take(&client->from_client);
    icc_send(client, creator, fd, msg->args[1].value, msg->args[2].value);
    close(fd);
    return VWL_DONE;
}

const struct vwl_handler vwl_handle_icc = {
    .request = icc_request,
};

const struct vwl_handler vwl_handle_colour_info = {
    .memory_events = 1u << ICC_FILE,
};
