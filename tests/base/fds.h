/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptors of a test: how many are open, files and sockets to pass on.
 * Whatever cannot be made fails the test; the caller closes what it gets.
 */
#ifndef TESTS_BASE_FDS_H
#define TESTS_BASE_FDS_H

#include <stdbool.h>
#include <stddef.h>

/* Entries of /proc/self/fd: only the difference of two counts means
 * anything. */
unsigned int count_fds(void);
/* Mappings of memfds in this process. */
unsigned int count_maps(void);

/* A memfd of that many bytes, all zero. */
int make_memfd(size_t size);
/* The same, with seals (F_SEAL_*). */
int sealed_file(size_t size, int seals);
/* Whether both descriptors stand for the same file. */
bool same_file(int a, int b);

/* A pair of stream sockets. */
void make_pair(int pair[2]);
/* Whether there is something to read now, an end of file included. */
bool is_readable(int fd);

#endif
