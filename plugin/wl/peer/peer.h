/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Moving bytes to and from a host peer without ever waiting, without touching
 * the flags of a descriptor that others share, and without SIGPIPE.
 *
 * A pipe that came from the host may be in blocking mode and must stay so
 * (its flags belong to everybody who holds it): bytes go through a pipe of our
 * own and are spliced with SPLICE_F_NONBLOCK, which does not look at them.
 */
#ifndef VWL_WL_PEER_PEER_H
#define VWL_WL_PEER_PEER_H

#include <sys/types.h>
#include <sys/uio.h>

#include "base/fd.h"

#define VWL_PEER_MAX_FDS VWL_FDS_MAX

struct vwl_closer;

enum vwl_peer_how {
    VWL_PEER_NONE,        /* nothing can be moved */
    VWL_PEER_SOCKET,      /* stream socket, any flags */
    VWL_PEER_OWN_PIPE,    /* our own open file, O_NONBLOCK */
    VWL_PEER_SHARED_PIPE, /* somebody else's open file */
};

/* A pipe of our own, for the splices of one core. */
struct vwl_bounce {
    int fd[2];
};

int vwl_bounce_init(struct vwl_bounce *bounce);
void vwl_bounce_finish(struct vwl_bounce *bounce);

/* How much was taken (never 0 for a non-empty iov), or -errno: -EAGAIN, or the
 * peer is broken. Descriptors, for sockets alone, ride with the first byte. */
ssize_t vwl_peer_write(enum vwl_peer_how how, int fd, struct vwl_bounce *bounce,
                       const struct iovec *iov, unsigned int n_iov,
                       const int *fds, unsigned int n_fds);

/* How much there was (0: end of file), or -errno. Descriptors that come with
 * it are closed. -EBUSY: as below. */
ssize_t vwl_peer_read(enum vwl_peer_how how, int fd, struct vwl_bounce *bounce,
                      const struct iovec *iov, unsigned int n_iov,
                      struct vwl_closer *closer);

/* The same for a socket whose descriptors are wanted: up to VWL_PEER_MAX_FDS,
 * all CLOEXEC. -EMFILE: this process has none to spare; -EBUSY: some come,
 * and the closer is full. Who reads on finds those that came, or not. */
ssize_t vwl_peer_read_fds(int fd, const struct iovec *iov, unsigned int n_iov,
                          int *fds, unsigned int *n_fds,
                          struct vwl_closer *closer);

/* Whether a read of so many bytes, 4096 at most, would come with any. */
bool vwl_peer_has_fds(int fd, size_t bytes);

#endif
