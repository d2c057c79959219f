/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vhost-user front-end double: what a VMM does for a virtio-wl device,
 * without a VM. It shares guest memory (one memfd), hands over two rings in
 * the order of QEMU's or crosvm's messages, and serves the back-end channel
 * with a window of its own for shared-memory region 0.
 *
 * One thread owns it. Nothing waits without a time-out; while it waits it
 * polls, and when it was given a GMainContext (the device may run on it) it
 * iterates that. While it waits for an answer on the main channel it leaves
 * the back-end channel alone, as QEMU does.
 *
 * Functions return 0 or -errno; -ETIMEDOUT, and -EPIPE when the device has
 * closed the connection.
 */
#ifndef VWL_LOOPBACK_FRONTEND_H
#define VWL_LOOPBACK_FRONTEND_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "vhost-user-wl/plugin.h"
#include "vhost-user-wl/vhost_user.h"
#include "vhost-user-wl/virtio_wl.h"
#include "window.h"

enum vwl_fe_dialect {
    VWL_FE_STANDARD, /* protocol bit 22 */
    VWL_FE_PRIVATE,  /* protocol bit 31 */
    VWL_FE_NONE,     /* no shared-memory messages: the host's callbacks, or a
                        device without USE_SHMEM */
};

struct vwl_fe;

enum vwl_fe_order { VWL_FE_QEMU, VWL_FE_CROSVM };

/* How MAP and UNMAP are answered. */
enum vwl_fe_shm_policy {
    VWL_FE_SHM_ANSWER,
    VWL_FE_SHM_HOLD,   /* until vwl_fe_shm_release */
    VWL_FE_SHM_REFUSE, /* map nothing, answer 1 */
    VWL_FE_SHM_SILENT, /* map nothing, never answer */
};

struct vwl_fe_options {
    /* Bits not to accept though they are offered, and protocol bits to accept
     * beyond those that this double knows. */
    bool no_use_shmem, no_trans_flags, no_send_fences;
    bool no_indirect, no_event_idx, no_reply_ack;
    bool packed;  /* accept RING_PACKED */
    bool in_band; /* accept INBAND_NOTIFICATIONS; kicks and calls are then
                     messages */
    bool iommu;   /* accept ACCESS_PLATFORM: addresses are iovas, and misses
                     are answered */
    uint64_t protocol_features_on;
    enum vwl_fe_dialect dialect;
    enum vwl_fe_order order;
    bool plain_table;     /* never list mapped pieces in the memory table */
    bool no_table_update; /* never send it anew after a map */
    bool late_channel;    /* vwl_fe_give_channel is called by somebody else */
    bool record;          /* keep every back-end request in backend_seen */
    bool warm;            /* guest memory that was free'd is soon used again, as
                             it is: the processor has it at hand */
    uint32_t ram_mib;     /* 0 = 32 */
    uint64_t ram_gpa;     /* of guest memory */
    uint64_t window_size; /* with in-process callbacks; else the device is
                             asked. 0 = 4 GiB */
    uint64_t window_gpa;  /* 0 = 0xfe00000000 */
    /* Somebody else's messages in place of those of vwl_fe_start and
     * vwl_fe_stop; may be NULL. */
    int (*start)(struct vwl_fe *fe);
    int (*stop)(struct vwl_fe *fe);
    int timeout_ms;        /* for every wait of its own; 0 = 10000 */
    GMainContext *context; /* may be NULL */
};

/* Filled by the driver before the start; addresses are guest-physical. */
struct vwl_fe_ring {
    uint32_t num, base;
    uint64_t desc, driver, device;
    int kick, call, err; /* eventfds of ours */
    unsigned int calls;  /* seen so far, in band or not */
    bool broken;         /* err was signalled */
};

/* Called when fd is readable, in a turn. */
typedef void (*vwl_fe_ready_fn)(void *opaque);

struct vwl_fe {
    struct vwl_fe_options options;
    int fd;      /* main channel */
    int backend; /* our end of the back-end channel; -1: none */
    bool gone;   /* the device has closed the main channel */
    bool started;
    bool awaiting; /* an answer on the main channel */
    uint64_t device_features, device_protocol; /* offered */
    uint64_t features, protocol;               /* accepted */
    enum vwl_fe_dialect dialect;               /* that was agreed */

    int ram_fd;
    uint8_t *ram;
    size_t ram_size;
    size_t ram_used;  /* bytes */
    uint8_t *pages;   /* one flag for each page of ram */
    size_t page_hint; /* where to look first; with `warm` the first free one */

    struct vwl_window window;
    enum vwl_fe_shm_policy shm_policy;
    GQueue held;             /* of struct held, under VWL_FE_SHM_HOLD */
    GPtrArray *backend_seen; /* of GBytes: header and payload as received */
    unsigned int backend_requests;
    uint32_t table_pieces; /* pieces in the last table that was sent */

    struct vwl_fe_ring ring[VIRTIO_WL_QUEUE_COUNT];
    unsigned int kicks;    /* so far */
    GArray *watches;       /* of struct vwl_fe_watch */
    GPtrArray *complaints; /* what the device did wrong, in words */
};

struct vwl_fe_watch {
    int fd;
    vwl_fe_ready_fn ready;
    void *opaque;
};

/* Sets *fe up; no message is sent. Takes *fd, the connected main channel (it
 * becomes non-blocking; nobody else uses it). */
int vwl_fe_create(const struct vwl_fe_options *options, int *fd,
                  struct vwl_fe **out);

/* Connects to a daemon's socket; retries while it is not there yet. */
int vwl_fe_connect(const char *path, int timeout_ms, int *fd);

/* Closes everything. NULL is fine. */
void vwl_fe_destroy(struct vwl_fe *fe);

/* Features, protocol features, back-end channel, owner, region sizes: what
 * happens before a driver is there. */
int vwl_fe_handshake(struct vwl_fe *fe);
/* The back-end channel, or another in its place. */
int vwl_fe_give_channel(struct vwl_fe *fe);

/* DRIVER_OK: features, memory table and both rings. */
int vwl_fe_start(struct vwl_fe *fe);

/* Stops both rings; their `base` is what the device answered. A start after
 * it is a resume. */
int vwl_fe_stop(struct vwl_fe *fe);

/* After a stop: what a VMM does at a device reset (all maps vanish; the next
 * bases are fresh). */
void vwl_fe_reset(struct vwl_fe *fe);

/* One message. want: the answer is awaited, because the request is always
 * answered or because NEED_REPLY is set here when that was negotiated (with
 * ack). fds are borrowed. reply (may be NULL) holds *reply_len bytes at most
 * and gets the payload; reply_fd (may be NULL) one descriptor. A u64 answer
 * that is not 0 to an ack is -EPROTO. */
struct vwl_fe_message {
    uint32_t request;
    const void *payload;
    size_t len;
    const int *fds;
    unsigned int n_fds;
    bool ack;    /* set NEED_REPLY if that was negotiated, check the u64 */
    bool answer; /* always answered */
    void *reply;
    size_t reply_len; /* room; the bytes received afterwards */
    int *reply_fd;
};
int vwl_fe_request(struct vwl_fe *fe, struct vwl_fe_message *msg);

/* Anything at all on the main or back-end channel. */
int vwl_fe_send_raw(int fd, const void *bytes, size_t len, const int *fds,
                    unsigned int n_fds);

int vwl_fe_set_mem_table(struct vwl_fe *fe);
int vwl_fe_set_vring_fd(struct vwl_fe *fe, uint32_t request, unsigned int index,
                        int fd);
int vwl_fe_set_enable(struct vwl_fe *fe, unsigned int index, bool on);

/* Kicks a ring, by its eventfd or in band. */
int vwl_fe_kick(struct vwl_fe *fe, unsigned int index);

/* Waits up to timeout_ms (0: not at all) for anything to happen, and serves
 * it. 1: something happened; 0: nothing; or -EPIPE. */
int vwl_fe_turn(struct vwl_fe *fe, int timeout_ms);

/* Turns until nothing has happened for quiet_ms. */
int vwl_fe_settle(struct vwl_fe *fe, int quiet_ms);

/* Something else to poll in every turn. ready may be NULL: the turn only
 * ends. */
void vwl_fe_watch(struct vwl_fe *fe, int fd, vwl_fe_ready_fn ready,
                  void *opaque);
void vwl_fe_unwatch(struct vwl_fe *fe, int fd);

/* Answers what VWL_FE_SHM_HOLD kept back, in order; returns how many. */
unsigned int vwl_fe_shm_release(struct vwl_fe *fe);

/* struct vwl_host's callbacks over the same window; opaque is the front-end.
 * For a device in this process, which may run in a thread of its own. */
int vwl_fe_host_map(void *fe, int fd, uint64_t fd_offset, uint64_t shm_offset,
                    uint64_t len, int writable);
int vwl_fe_host_unmap(void *fe, uint64_t shm_offset, uint64_t len);
int vwl_fe_host_base(void *fe, uint64_t *gpa);

/* Guest memory in whole pages, zeroed unless it is `warm`; 0 bytes left:
 * UINT64_MAX. */
uint64_t vwl_fe_alloc(struct vwl_fe *fe, size_t len);
void vwl_fe_free(struct vwl_fe *fe, uint64_t gpa, size_t len);
void *vwl_fe_at(struct vwl_fe *fe, uint64_t gpa);

/* The address that a descriptor carries for a guest-physical one. */
uint64_t vwl_fe_bus_address(struct vwl_fe *fe, uint64_t gpa);

void vwl_fe_complain(struct vwl_fe *fe, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static inline bool vwl_fe_has(const struct vwl_fe *fe, unsigned int bit)
{
    return (fe->features >> bit & 1) != 0;
}

static inline bool vwl_fe_has_protocol(const struct vwl_fe *fe,
                                       unsigned int bit)
{
    return (fe->protocol >> bit & 1) != 0;
}

#endif
