/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest of the soak and all that it has open. Every byte that is sent is a
 * function of its stream's seed, which holds the guest's number, and of its
 * place: whoever receives it knows whether it is the right one.
 */
#ifndef VWL_SOAK_H
#define VWL_SOAK_H

#include "rig.h"

#define SOAK_CONTEXTS 20
#define SOAK_PIPES 24

struct channel;
struct guest;

/* Bytes one way between the guest and a host peer. */
struct stream {
    struct guest *guest;
    uint64_t seed;
    bool from_guest;
    uint32_t id;   /* the guest's end; 0: none */
    int fd;        /* the host's end; -1: none */
    uint64_t goal; /* pipes: bytes, and then its end */
    uint64_t sent, received;
    uint64_t answered; /* of the guest's sent bytes: taken by the device */
    struct vwl_drv_request *request; /* a SEND that is not answered */
    size_t request_len;
    uint32_t memory[2]; /* VFDs to close when it is */
    bool ended;         /* its writer has closed */
    bool cut;           /* somebody was killed: it may stop anywhere */
};

/* A descriptor on its way. */
struct parcel {
    bool is_pipe;
    struct stream *pipe;
    uint64_t seed; /* of memory */
    uint32_t size;
};

enum channel_state {
    CHANNEL_NONE,
    CHANNEL_OPEN,
    CHANNEL_DRAIN,
    CHANNEL_HOST_KILLED,
    CHANNEL_GUEST_KILLED
};

struct channel {
    struct guest *guest;
    enum channel_state state;
    unsigned int peer;
    struct stream out, in;    /* seen from the guest */
    GQueue to_host, to_guest; /* of struct parcel */
    int64_t until_us;         /* the end of its life, or of our patience */
    int64_t lazy_until_us;    /* the host reads nothing before */
};

struct tally {
    uint64_t out_bytes, in_bytes; /* received and right */
    uint64_t pipe_bytes, memory_bytes;
    unsigned int parcels, drained, host_kills, guest_kills, compositor_kills;
    unsigned int front_end_kills, pauses, refused;
};

struct guest {
    unsigned int number;
    struct rig *rig;
    struct peer *peers; /* listening sockets, perhaps of both guests */
    unsigned int n_peers;
    bool shared; /* they are; the other guest's kills end ours, too */
    struct channel channels[SOAK_CONTEXTS];
    GPtrArray *pipes; /* of struct stream */
    GRand *random;
    uint64_t serial;
    struct tally tally;
    unsigned int fds_at_rest; /* of the daemon; 0: not known yet */
};

void soak_fail(const char *format, ...)
    __attribute__((noreturn, format(printf, 1, 2)));
#define soak_check(cond, guest, what)                                        \
    ((cond) ? (void)0                                                        \
            : soak_fail("guest %u: %s (%s:%d: %s)", (guest)->number, (what), \
                        __FILE__, __LINE__, #cond))

/* stream.c */
uint64_t soak_seed(struct guest *guest);
void soak_fill(uint8_t *to, uint64_t seed, uint64_t at, size_t len);
bool soak_is(const uint8_t *bytes, uint64_t seed, uint64_t at, size_t len);
/* Sends up to len bytes and these; whether anything was sent. */
bool soak_guest_send(struct stream *stream, size_t len, const uint32_t *ids,
                     unsigned int n_ids);
bool soak_host_send(struct stream *stream, size_t len, const int *fds,
                    unsigned int n_fds);
/* Looks whether a SEND was answered; whether it was. */
bool soak_answered(struct stream *stream);
void soak_arrived(struct stream *stream, const uint8_t *bytes, size_t len);
/* One piece to read: bytes, 0 at the end, -EAGAIN. */
ssize_t soak_guest_read(struct stream *stream, uint32_t *ids,
                        unsigned int *n_ids);
ssize_t soak_host_read(struct stream *stream, int *fds, unsigned int *n_fds);
void soak_guest_close(struct guest *guest, uint32_t *id);
/* Moves a pipe on; true: it is over, and freed. */
bool soak_pipe_turn(struct stream *pipe);
void soak_pipe_free(struct stream *pipe);

/* parcel.c */
void soak_send_parcel(struct channel *channel);
void soak_host_took(struct channel *channel, int fd);
void soak_guest_took(struct channel *channel, uint32_t id);
/* Nobody gets these any more. */
void soak_lose_parcels(GQueue *parcels);

/* channel.c */
void soak_channel_init(struct guest *guest, struct channel *channel);
void soak_channel_turn(struct channel *channel);
/* The host's peers behind this socket are killed, or one of them. */
void soak_channel_host_kill(struct channel *channel);
/* The guest's front-end was killed: ends must be seen at the host. */
void soak_channel_gone(struct channel *channel);

#endif
