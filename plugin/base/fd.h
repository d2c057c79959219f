/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptors: -1 is the only "no descriptor"; 0 is one. An `int fd` argument
 * is borrowed, an `int *fd` is taken and reset to -1 on success.
 */
#ifndef VWL_BASE_FD_H
#define VWL_BASE_FD_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

struct vwl_closer;
struct vwl_log;

/* Closes *fd, if there is one, and resets it; errno survives. close is never
 * retried: on Linux the number is free whatever it returns. */
static inline void vwl_fd_clear(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;

        close(*fd);
        *fd = -1;
        errno = saved;
    }
}

static inline void vwl_fds_clear(int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        vwl_fd_clear(&fds[i]);
    }
}

/* Moves a descriptor out of a variable. */
static inline int vwl_fd_steal(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}

/* Descriptors that guests may not use up: what the front-end hands over at a
 * start, and the next front-end, need some. */
#define VWL_FD_RESERVE 48

#define VWL_FD_FEW 4096

/* Says so if this process may have no more than a few, before guests run into
 * that. */
void vwl_fd_say_if_few(struct vwl_log *log);

/* Whether a new descriptor may be kept for a guest: 0, or -EMFILE when its
 * number is among the last VWL_FD_RESERVE below this process's limit. The
 * kernel gives the lowest free number, so that says how full the table is. */
int vwl_fd_admit(int fd);

/* Whether VWL_FDS_MAX more than are there surely have a place: what a message
 * brings beyond that the kernel drops, in the thread that reads it. Known from
 * the numbers that were admitted, and from a duplicate of fd now and then: who
 * takes so many in between, or lowers the limit, is seen a little later. */
bool vwl_fd_has_room(int fd);

/* A zeroed file of that size that nobody can shrink, grow or seal further:
 * a peer must not be able to take the guest's memory away. */
int vwl_sealed_memfd(const char *name, uint64_t size_bytes, int *fd);

/* Seals a file against shrinking, if it is shared memory that can be sealed.
 * Whether nobody can cut it: what is mapped of another file may be taken away
 * by whoever has it, and using it then ends this process. */
bool vwl_fd_seal_length(int fd);

/* The most descriptors that the kernel passes in one message (SCM_MAX_FD): with
 * room for all of them a cut means this process's limit and nothing else. */
#define VWL_FDS_MAX 253

/* One message of a socket, without waiting, and the descriptors that come with
 * it, closed on exec: its bytes, 0 at the end, or -errno. fds has room for
 * VWL_FDS_MAX; *n_fds: how many came, with an error none. *lost: some that came
 * had no place in this process. flags: 0, or MSG_PEEK. */
ssize_t vwl_fds_receive(int socket, int flags, const struct iovec *iov,
                        size_t n_iov, int *fds, unsigned int *n_fds,
                        bool *lost);

/* One message to a socket, without waiting and without a signal, with n_fds
 * descriptors, at most VWL_FDS_MAX: its bytes, or -errno. */
ssize_t vwl_fds_send(int socket, const struct iovec *iov, size_t n_iov,
                     const int *fds, unsigned int n_fds);

/* What a host answers to a question for a descriptor (vwl_host): one int32_t,
 * 0 with the descriptor, or -errno without. 0; -EINPROGRESS: nothing
 * yet; -ECONNREFUSED: nobody answers any more; -EPROTO: that is no answer; or
 * what it said. Through the closer go those that came with no answer. */
int vwl_fd_take_answer(int socket, int *fd, struct vwl_closer *closer);

/* Scope cleanup: `vwl_autofd int fd = -1;` */
#define vwl_autofd __attribute__((cleanup(vwl_fd_clear)))

#endif
