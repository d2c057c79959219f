/* SPDX-License-Identifier: BSD-3-Clause */
#include "soak.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define RANGE(guest, from, to) \
    ((uint32_t)g_rand_int_range((guest)->random, (from), (to)))

static struct stream *pipe_new(struct guest *guest, bool from_guest)
{
    struct stream *pipe = g_new0(struct stream, 1);

    pipe->guest = guest;
    pipe->seed = soak_seed(guest);
    pipe->from_guest = from_guest;
    pipe->fd = -1;
    pipe->goal = RANGE(guest, 0, 300000);
    return pipe;
}

static struct parcel *parcel_new(struct guest *guest, struct stream *pipe)
{
    struct parcel *parcel = g_new0(struct parcel, 1);

    parcel->is_pipe = pipe != NULL;
    parcel->pipe = pipe;
    parcel->seed = soak_seed(guest);
    parcel->size = RANGE(guest, 1, 6) * 4096;
    return parcel;
}

/* ---- from the guest ---- */

static uint32_t guest_memory(struct guest *guest, struct parcel *parcel)
{
    struct vwl_drv *drv = guest->rig->drv;
    uint32_t id = vwl_drv_free_id(drv);

    soak_check(vwl_drv_new(drv, id, parcel->size) == VIRTIO_WL_RESP_VFD_NEW,
               guest, "no shared memory");
    soak_fill(vwl_drv_map(drv, id), parcel->seed, 0, parcel->size);
    return id;
}

static uint32_t guest_pipe(struct guest *guest, struct stream *pipe)
{
    struct vwl_drv *drv = guest->rig->drv;
    uint32_t id = vwl_drv_free_id(drv);

    soak_check(vwl_drv_new_pipe(drv, id,
                                pipe->from_guest ? VIRTIO_WL_VFD_WRITE
                                                 : VIRTIO_WL_VFD_READ) ==
                   VIRTIO_WL_RESP_VFD_NEW,
               guest, "no pipe");
    return id;
}

static void send_from_guest(struct channel *channel, bool is_pipe)
{
    struct guest *guest = channel->guest;
    struct stream *pipe = is_pipe ? pipe_new(guest, RANGE(guest, 0, 2)) : NULL;
    struct parcel *parcel = parcel_new(guest, pipe);
    uint32_t id = pipe ? guest_pipe(guest, pipe) : guest_memory(guest, parcel);

    if (!soak_guest_send(&channel->out, RANGE(guest, 1, 200), &id, 1)) {
        soak_guest_close(guest, &id);
        g_free(pipe);
        g_free(parcel);
        return;
    }
    g_queue_push_tail(&channel->to_host, parcel);
    if (pipe) {
        pipe->id = id;
        g_ptr_array_add(guest->pipes, pipe);
    } else {
        channel->out.memory[0] = id;
    }
}

void soak_host_took(struct channel *channel, int fd)
{
    struct guest *guest = channel->guest;
    struct parcel *parcel = g_queue_pop_head(&channel->to_host);
    struct stat st;
    void *at;

    soak_check(parcel != NULL, guest, "a descriptor that nobody sent");
    soak_check(fstat(fd, &st) == 0, guest, "not a descriptor");
    if (parcel->is_pipe) {
        soak_check(S_ISFIFO(st.st_mode), guest, "not a pipe");
        parcel->pipe->fd = fd;
        fcntl(fd, F_SETFL, O_NONBLOCK);
    } else {
        soak_check(st.st_size >= parcel->size, guest, "memory too small");
        at = mmap(NULL, parcel->size, PROT_READ, MAP_SHARED, fd, 0);
        soak_check(at != MAP_FAILED &&
                       soak_is(at, parcel->seed, 0, parcel->size),
                   guest, "wrong bytes in memory");
        munmap(at, parcel->size);
        close(fd);
        guest->tally.memory_bytes += parcel->size;
    }
    guest->tally.parcels++;
    g_free(parcel);
}

/* ---- from the host ---- */

static int host_memory(struct guest *guest, struct parcel *parcel)
{
    int fd = memfd_create("soak", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    g_autofree uint8_t *bytes = g_malloc(parcel->size);

    soak_fill(bytes, parcel->seed, 0, parcel->size);
    soak_check(write(fd, bytes, parcel->size) == (ssize_t)parcel->size, guest,
               "no memory for a file");
    if (RANGE(guest, 0, 2)) { /* else a private copy is made */
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
    }
    return fd;
}

static void send_from_host(struct channel *channel, bool is_pipe)
{
    struct guest *guest = channel->guest;
    struct stream *pipe = is_pipe ? pipe_new(guest, RANGE(guest, 0, 2)) : NULL;
    struct parcel *parcel = parcel_new(guest, pipe);
    int ends[2] = { -1, -1 }, fd;

    if (pipe) {
        soak_check(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0, guest, "no pipe");
        fd = ends[pipe->from_guest];
        pipe->fd = ends[!pipe->from_guest];
    } else {
        fd = host_memory(guest, parcel);
    }
    if (soak_host_send(&channel->in, RANGE(guest, 1, 200), &fd, 1)) {
        g_queue_push_tail(&channel->to_guest, parcel);
        if (pipe) {
            g_ptr_array_add(guest->pipes, pipe);
        }
    } else {
        if (pipe) {
            soak_pipe_free(pipe);
        }
        g_free(parcel);
    }
    close(fd);
}

void soak_guest_took(struct channel *channel, uint32_t id)
{
    struct guest *guest = channel->guest;
    struct parcel *parcel = g_queue_pop_head(&channel->to_guest);
    struct vwl_drv_vfd *vfd = vwl_drv_find(guest->rig->drv, id);
    const uint8_t *at;

    soak_check(parcel != NULL && vfd != NULL, guest, "a VFD that nobody sent");
    if (parcel->is_pipe) {
        parcel->pipe->id = id;
    } else {
        at = vwl_drv_map(guest->rig->drv, id);
        soak_check(vfd->size == parcel->size && at &&
                       soak_is(at, parcel->seed, 0, parcel->size),
                   guest, "wrong bytes in received memory");
        soak_guest_close(guest, &id);
        guest->tally.memory_bytes += parcel->size;
    }
    guest->tally.parcels++;
    g_free(parcel);
}

/* ---- both ---- */

void soak_send_parcel(struct channel *channel)
{
    struct guest *guest = channel->guest;
    bool is_pipe = RANGE(guest, 0, 2) && guest->pipes->len < SOAK_PIPES;

    if (!RANGE(guest, 0, 2)) {
        send_from_host(channel, is_pipe);
    } else if (!channel->out.request && !channel->out.ended) {
        send_from_guest(channel, is_pipe);
    }
}

void soak_lose_parcels(GQueue *parcels)
{
    struct parcel *parcel;

    while ((parcel = g_queue_pop_head(parcels))) {
        if (parcel->is_pipe) {
            parcel->pipe->cut = true;
        }
        g_free(parcel);
    }
}
