/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Everything that a whole conversation needs: the device (the built plugin in
 * this process, or a daemon), a front-end double, a guest driver, a
 * compositor double behind the unnamed socket, and told-what-to-do peers
 * behind the sockets "peer0", "peer1", ... One thread; while the rig waits it
 * serves all of them, and the device as well unless that has a thread or a
 * process of its own.
 *
 * A test fails at rig_free when the device logged "our bug: ", when front-end
 * or driver have complaints about it, when it did not notice that the
 * front-end went, or when a descriptor stayed open.
 */
#ifndef RIG_RIG_H
#define RIG_RIG_H

#include "compositor.h"
#include "driver.h"
#include "frontend.h"
#include "peer.h"

#define RIG_MAX_PEERS 8
#define RIG_TIMEOUT_MS 60000

enum rig_device {
    RIG_CONTEXT, /* the plugin, on a GMainContext that the rig iterates */
    RIG_THREAD,  /* the plugin, in a thread of its own */
    RIG_DAEMON,  /* a process */
};

struct rig_options {
    enum rig_device device;
    struct vwl_fe_options fe; /* its context is the rig's */
    struct vwl_drv_options drv;
    struct compositor_options compositor;
    /* In-process shm_map, shm_unmap and shm_base; no dialect then. */
    bool host_map;
    /* Limits and masks; its sockets are the rig's. May be NULL. Not for a
     * daemon: that has daemon_args. */
    const struct vwl_config *config;
    /* In-process: what else of the host there is (its first argument stays
     * the rig). May be NULL. */
    const struct vwl_host *host;
    /* In-process: of the compositor; NULL: the default. Of the peers; NULL:
     * none. */
    const struct vwl_socket_policy *policy, *peer_policy;
    const char *const *daemon_args; /* NULL-terminated; may be NULL */
    unsigned int n_peers;
    int backlog;       /* of the peers; 0 = 64 */
    bool no_driver;    /* stop after the handshake: drv is NULL */
    bool no_handshake; /* stop after the connection: and no message */
    bool no_front_end; /* the device alone, not started: fe is NULL */
};

struct rig {
    struct rig_options options;
    struct vwl_fe *fe;
    struct vwl_drv *drv;
    struct compositor *compositor;
    struct peer peers[RIG_MAX_PEERS];
    unsigned int n_peers;
    char *dir; /* of all sockets */

    /* the plugin in this process */
    const struct vwl_plugin *plugin;
    struct vwl_device *device;
    struct vwl_host host;
    GMainContext *context; /* NULL but with RIG_CONTEXT */
    GMutex lock;           /* of the next three */
    GPtrArray *log;        /* lines */
    unsigned int disconnected, broken;
    unsigned int states; /* of device_save and device_load that ended */
    int state_err;       /* of the last one */

    /* the daemon */
    GPid pid;
    int daemon_log; /* a file that it writes its standard error to */
    char *daemon_socket;

    bool our_bug_expected, complaints_expected, daemon_gone;
    unsigned int fds_before;
};

/* options NULL: all defaults. */
struct rig *rig_new(const struct rig_options *options);
void rig_free(struct rig *r);

/* Serves everybody until nothing moves. */
void rig_settle(struct rig *r);

/* Serves everybody until fd is readable; fails the test after
 * RIG_TIMEOUT_MS. */
void rig_wait_readable(struct rig *r, int fd);
/* The same, but says false after timeout_ms. */
bool rig_is_readable_within(struct rig *r, int fd, int timeout_ms);

/* Serves everybody until done(opaque) says so; fails the test else. */
void rig_wait(struct rig *r, bool (*done)(void *opaque), void *opaque);

/* Peer connections. */
int rig_accept(struct rig *r, unsigned int peer);
/* Exactly len bytes, however they come; *n_fds: room, then count. */
void rig_read(struct rig *r, int fd, void *data, size_t len, int *fds,
              unsigned int *n_fds);
/* Waits for the end of a connection or pipe; data before it is dropped.
 * Returns its bytes. */
size_t rig_read_to_end(struct rig *r, int fd);
void rig_write(struct rig *r, int fd, const void *data, size_t len,
               const int *fds, unsigned int n_fds);

/* A context with a peer in one step: VFD id; returns the connection. */
int rig_open_ctx(struct rig *r, uint32_t id, unsigned int peer);

/* The front-end goes (as a killed VMM does) and a new one comes, handshake
 * and driver included as the options say. */
void rig_disconnect(struct rig *r);
void rig_reconnect(struct rig *r);

/* Whether any line logged so far holds the text. */
bool rig_logged(struct rig *r, const char *text);
/* Statistics of the in-process device. */
struct vwl_stats rig_stats(struct rig *r);

/* Entries of /proc/self/fd, or of another process. */
unsigned int rig_count_fds(GPid pid);

#endif
