/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between the files of the transport over /dev/wl0 alone.
 *
 * Nothing here waits for a peer of the host: our own driver queues what is
 * sent and says EAGAIN when that is too much. Other drivers with these ioctls
 * wait in SEND until the device has taken it all; for them (and for
 * connecting, with any driver) there are threads, one for each call that
 * waits, WL0_MAX_THREADS at most.
 */
#ifndef VWL_GUEST_WL0_H
#define VWL_GUEST_WL0_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/ioctl.h>

#include "transport.h"

#define WL0_NEW_CTX 0u
#define WL0_NEW_ALLOC 1u
#define WL0_NEW_PIPE_READ 2u
#define WL0_NEW_PIPE_WRITE 3u
#define WL0_NEW_DMABUF 4u
#define WL0_NEW_CTX_NAMED 5u

struct wl0_new {
    uint32_t type;
    int32_t fd; /* out */
    uint32_t flags;
    union {
        uint32_t size;
        char name[32];
        uint32_t dmabuf[9]; /* width, height, format; strides, offsets */
    };
};

struct wl0_txn {
    int32_t fds[VWL_TRANSPORT_MAX_VFDS]; /* a negative one ends the list */
    uint32_t len;
    uint8_t data[];
};

_Static_assert(sizeof(struct wl0_new) == 48, "the ioctl's number says so");
_Static_assert(sizeof(struct wl0_txn) == 116, "the ioctl's number says so");

#define WL0_IOC_NEW _IOWR('w', 0x00, struct wl0_new)
#define WL0_IOC_SEND _IOR('w', 0x01, struct wl0_txn)
#define WL0_IOC_RECV _IOW('w', 0x02, struct wl0_txn)
#define WL0_IOC_DMABUF_SYNC _IOR('w', 0x03, uint32_t)

/* Of our own driver alone. */
struct wl0_new_pages {
    int32_t fd; /* out */
    uint32_t flags;
    uint64_t address, length; /* of whole pages */
};
#define WL0_IOC_NEW_PAGES _IOWR('w', 0x40, struct wl0_new_pages)
#define WL0_IOC_PAGES_INTACT _IO('w', 0x41)

/* One SEND: what every driver takes, and what ours does at one go. */
#define WL0_MAX_SEND 3980u
#define WL0_MAX_SEND_OWN 65536u

#define WL0_MAX_THREADS 64u
#define WL0_MAX_SENDS 8u /* of one VFD, waiting */

/* What is known of a VFD, by its number. */
struct wl0_vfd {
    bool watched, ready; /* ready: a RECV might not wait */
    bool out;            /* EPOLLOUT is asked for */
    uint8_t n_sends;     /* waiting */
};

struct wl0_job;
struct wl0_pool;

struct wl0_list {
    struct wl0_job *first, **last;
};

struct wl0 {
    struct vwl_transport base;
    char *path;
    int fd, epoll;
    bool known, own; /* which driver it is is known; it is ours */
    struct wl0_vfd *vfds;
    size_t n_vfds;
    struct wl0_list waiting; /* for room, with our driver */
    struct wl0_list ended;   /* to be told */
    struct wl0_pool *pool;   /* NULL until it is needed */
};

/* wl0_vfd.c */
/* NULL: no memory. */
struct wl0_vfd *wl0_vfd(struct wl0 *wl0, int vfd);
/* A VFD's number, or -errno; *fd may be exchanged for one of the same path. */
int wl0_make(const char *path, int *fd, struct wl0_new *new);
int wl0_fill_ctx(struct wl0_new *new, const char *name);
void wl0_learn_driver(struct wl0 *wl0, int vfd);
void wl0_set_events(struct wl0 *wl0, int vfd);

/* wl0_jobs.c */
void wl0_jobs_init(struct wl0 *wl0);
int wl0_send_async(struct vwl_transport *t, int vfd, const void *data,
                   size_t len, const int *vfds, unsigned int n_vfds,
                   vwl_transport_done_fn done, void *opaque);
int wl0_send_checked(struct vwl_transport *t, int vfd, const void *data,
                     size_t len, const int *vfds, unsigned int n_vfds,
                     vwl_transport_done_fn done, void *opaque);
int wl0_new_ctx_async(struct vwl_transport *t, const char *name,
                      vwl_transport_done_fn done, void *opaque);
/* The VFD has room again, or never will. */
void wl0_jobs_go_on(struct wl0 *wl0, int vfd);
/* It is about to be closed: what waits fails. */
void wl0_jobs_forget(struct wl0 *wl0, int vfd);
/* What threads have ended. */
void wl0_jobs_collect(struct wl0 *wl0);
int wl0_jobs_fd(const struct wl0 *wl0); /* -1: no threads */
void wl0_jobs_tell(struct wl0 *wl0);
void wl0_jobs_finish(struct wl0 *wl0);

/* wl0_pages.c */
int wl0_pages(struct vwl_transport *t, int fd, uint64_t offset, size_t size,
              struct vwl_transport_mem *mem);
int wl0_pages_intact(struct vwl_transport *t, int vfd);

/* wl0_gpu.c */
int wl0_gpu(struct vwl_transport *t, struct vwl_transport_gpu *gpu);
int wl0_import(struct vwl_transport *t, bool fence, int *fd, int *handle);
int wl0_export_fence(struct vwl_transport *t, int *vfd, int *fd);

#endif
