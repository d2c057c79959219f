/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: one security context at one compositor: a socket of which the
 * compositor knows that whoever connects to it is this guest. Made by whoever
 * connects for guests: the daemon's connector, or the plugin where it connects
 * itself.
 *
 * The listening socket is bound to a path that is gone again before anybody
 * else can have it: the file is ours alone (mode 0600), is opened as a place
 * (O_PATH) and removed; connections go through /proc/self/fd. So nothing is
 * left behind however the process ends, and the compositor forgets the context
 * then, since the other end of its pipe is closed.
 *
 * Nothing here waits and nothing allocates. Ownership: the struct owns its
 * descriptors. Thread: one at a time.
 */
#ifndef VWL_SECCTX_SECCTX_H
#define VWL_SECCTX_SECCTX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/watched.h"
#include "talk.h"
#include "vhost-user-wl/plugin.h"

/* How long a compositor may take over one, in milliseconds: a guest's connect
 * waits a little longer. */
#define VWL_SECCTX_PATIENCE_MS 700

/* After one that could not be made, none is tried for so long. */
#define VWL_SECCTX_PAUSE_MS 1000

struct vwl_secctx_names {
    char app_id[96];
    char instance_id[40];
};

/* app_id: a prefix of ours and the VM's name, other characters than letters,
 * digits, '-', '_' and '.' as '_'; NULL or empty: "unnamed". instance_id: the
 * process and a number of its own. */
void vwl_secctx_name(struct vwl_secctx_names *names, const char *vm_name,
                     uint32_t number);

/* What the host says of a socket's bytes, by its policy. */
enum vwl_secctx_bytes {
    VWL_SECCTX_UNTOLD,
    VWL_SECCTX_WAYLAND,
    VWL_SECCTX_OTHER, /* or Wayland that nobody reads */
};

/* Whether connections to that socket are to be made within a context. Where
 * nothing is told, it is a compositor's if it is unnamed or its file is called
 * wayland-*. Bytes that nobody reads may be no Wayland, and whoever gets them
 * would never answer: such a socket is asked only where a context is required.
 */
bool vwl_secctx_is_wanted(enum vwl_security_context mode,
                          const struct vwl_socket *socket,
                          enum vwl_secctx_bytes bytes);

/* The folder for the file that exists for a moment. Borrowed, or static. */
const char *vwl_secctx_folder(const char *or_else);

struct vwl_secctx {
    struct vwl_talk talk;
    const char *folder;         /* borrowed */
    struct vwl_watched display; /* the compositor, while it is made */
    int listener;               /* until it is sent */
    int read_end;               /* the same */
    int end;                    /* closing it ends the context */
    int place;                  /* O_PATH: where to connect to */
    bool made;
    bool missing; /* the compositor has no such protocol */
    /* which file the compositor's socket is: numbers are used again */
    dev_t dev;
    ino_t ino;
    struct timespec mtime;
};

/* Before anything else: nothing is open. */
void vwl_secctx_init(struct vwl_secctx *secctx);
/* Closes everything: the compositor forgets the context, connections stay. */
void vwl_secctx_finish(struct vwl_secctx *secctx);

/* Begins to make one; what was made before is finished. folder and names must
 * stay. 0, or -errno of the compositor's socket (-EAGAIN: its backlog is full,
 * -EINVAL: a name cannot be used). */
int vwl_secctx_start(struct vwl_secctx *secctx, const char *compositor,
                     const char *folder, const struct vwl_secctx_names *names);

/* Sends and receives what can be now. -EINPROGRESS: wait for vwl_secctx_events
 * on `display`; 0: it is made; -EOPNOTSUPP: the compositor has no such
 * protocol; -ECONNRESET: it ended the connection; else as vwl_talk_feed. In
 * all but the first two everything is closed. */
int vwl_secctx_run(struct vwl_secctx *secctx);
short vwl_secctx_events(const struct vwl_secctx *secctx);

/* Whether it is made, of what is at the compositor's path now. False too when
 * that was restarted; then start again. */
bool vwl_secctx_is_made(const struct vwl_secctx *secctx,
                        const char *compositor);

/* Whether what is at that path now was found to have no such protocol. */
bool vwl_secctx_is_missing(const struct vwl_secctx *secctx,
                           const char *compositor);

/* A connection to what listens at that path, whatever it is. -EAGAIN: its
 * backlog is full. */
int vwl_secctx_connect_plainly(const char *path, int *fd);

/* A connection within the context. -ECONNREFUSED: the compositor has forgotten
 * it. -EAGAIN: its backlog is full. */
int vwl_secctx_connect(const struct vwl_secctx *secctx, int *fd);

#endif
