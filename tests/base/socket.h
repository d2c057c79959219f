/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages with descriptors over Unix sockets, and what must come out of one:
 * exactly these bytes, nothing, or the end. None of these waits.
 */
#ifndef TESTS_BASE_SOCKET_H
#define TESTS_BASE_SOCKET_H

#include <stddef.h>
#include <sys/types.h>

/* The kernel's own limit for one message. */
#define SOCKET_MAX_FDS 253

/* Sends all of it in one message, with n_fds descriptors, which stay the
 * caller's; fails the test when it does not fit. */
void socket_send(int sock, const void *data, size_t len, const int *fds,
                 size_t n_fds);
/* Receives at most len bytes: recvmsg's result. The descriptors that came
 * along are the caller's: fds has room for SOCKET_MAX_FDS of them, *n_fds is
 * their count. Both may be NULL where the test knows that none come. */
ssize_t socket_receive(int sock, void *data, size_t len, int *fds,
                       unsigned int *n_fds);

/* The same with the bytes as hexadecimal text. */
void send_hex(int sock, const char *text, const int *fds, size_t n_fds);
/* Exactly these bytes come next, with one descriptor at most, at their
 * beginning: it, or -1. */
int expect_hex(int sock, const char *text);

/* Nothing is there to read, and the other end is open. */
void expect_silence(int sock);
/* The other end closed, and everything was read. */
void expect_end(int sock);

#endif
