/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A core without anything around it: host peers are sockets and pipes of the
 * test, the front-end is a table of answers that the test sets. One thread.
 * What the guest asks and is told stands in ask.h.
 */
#ifndef TESTS_UNIT_CORE_RIG_H
#define TESTS_UNIT_CORE_RIG_H

#include <glib.h>

#include "wl/core.h"

#include "wl_names.h"

/* Features that drivers negotiate. */
#define MODE_OLD 0u
#define MODE_TRANS (1u << VIRTIO_WL_F_TRANS_FLAGS)
#define MODE_FENCES (1u << VIRTIO_WL_F_SEND_FENCES)
#define MODE_SHMEM (1u << VIRTIO_WL_F_USE_SHMEM)
#define MODE_PAGES (1u << VIRTIO_WL_F_GUEST_PAGES)
#define MODE_NEWEST (MODE_TRANS | MODE_FENCES)
#define MODE_K23 (MODE_TRANS | MODE_FENCES | MODE_SHMEM)

struct core_rig_op {
    uint64_t cookie;
    uint64_t offset;
    uint64_t len;
    bool is_map;
};

struct core_rig {
    struct vwl_core *core;
    struct vwl_log log;
    GPtrArray *lines; /* of the log; none is an error */
    char *dir;
    char *path;
    int listener;       /* the compositor's, behind three of the four sockets */
    unsigned int n_fds; /* at the beginning */
    struct vwl_socket sockets[4];
    struct vwl_rules *rules[4]; /* what they are held to; NULL: to nothing */

    /* the front-end */
    bool map_later; /* it answers with vwl_core_map_done, _unmap_done */
    int map_err;    /* answered to the next maps */
    int unmap_err;
    uint64_t base; /* 0: not known */
    GArray *ops;   /* of struct core_rig_op, all that was asked */
    unsigned int n_maps, n_unmaps;
    int last_map_fd; /* a duplicate */
    bool connects;   /* the host connects: its end of the last pair */
    int connect_fd;
    int connect_err;
    size_t connect_index;
    unsigned int n_connects;
    int open_fd;  /* what the host has at once, for one context; 0: nothing */
    int open_err; /* or why it does not */
    unsigned int n_opens;
    unsigned int n_agains; /* times that it was asked again */
    int again_err;
    int foreign_err;    /* -EINPROGRESS: it answers later, on foreign_fd */
    int foreign_fd;     /* else what it gives (a duplicate is given) */
    int foreign_before; /* the foreign_fd before that */
    uint32_t foreign_kind;
    uint64_t foreign_value;
    unsigned int n_foreign;

    bool asks_host; /* about transfers: its end of the last pair */
    int transfer_fd;
    size_t transfer_index;
    uint32_t transfer_kind, transfer_way;
    unsigned int n_transfers;

    /* the allocator */
    bool has_buffers;
    int offer;                   /* what it says, if it is there */
    int alloc_err;               /* of the next ones */
    struct vwl_buffer buffer;    /* what the next one gets; fds are taken */
    struct vwl_buffer_wish wish; /* the last one */
    unsigned int n_allocs;

    /* the guest's pages */
    int pages_err;
    int pages_fd;  /* what it gives (a duplicate is given) */
    GArray *pages; /* of struct vwl_run, the last ones */

    GPtrArray *completed; /* of struct vwl_request */
    unsigned int n_ready; /* calls of message_ready */

    uint8_t message[4096]; /* the last one: see next_message */
    size_t message_room;
    uint64_t token;
};

/* The limits of core_rig_new: those of a device without options. */
extern const struct vwl_core_config core_rig_limits;

/* A core with these features and four sockets: the unnamed one, "other ü", one
 * of 32 bytes, and "gone", behind which nobody listens. */
struct core_rig *core_rig_new(uint64_t features);
/* The same with other limits; its sockets are the rig's. */
struct core_rig *core_rig_new_limits(uint64_t features,
                                     const struct vwl_core_config *limits);
/* Destroys the core; fails the test when a descriptor stays open. */
void core_rig_free(struct core_rig *rig);

#endif
