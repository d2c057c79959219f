/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the fuzz targets share. A target decodes its input into a bounded
 * program of operations and runs it; the same input always does the same.
 * Time stands still unless a program moves it (the clock and the timer
 * descriptor are replaced at link time). Each target links with libFuzzer, or
 * with replay.c, which runs files.
 */
#ifndef VWL_TEST_FUZZ_H
#define VWL_TEST_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include "vhost-user-wl/plugin.h"

#include "bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A broken promise of the device: says so and aborts. */
#define fuzz_check(cond) \
    ((cond) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #cond))
void fuzz_fail(const char *file, int line, const char *text)
    __attribute__((noreturn));

/* Around each run: the clock starts anew; descriptors must be as before. */
void fuzz_begin(void);
void fuzz_end(void);

/* For vwl_log_init: a line of blame for the device itself is a broken
 * promise. */
void fuzz_log(void *opaque, enum vwl_log_level level, const char *line);

/* ---- input ---- */

struct fuzz_input {
    const uint8_t *at;
    size_t left;
};

/* All of them give zeroes after the end. */
uint8_t take8(struct fuzz_input *in);
uint16_t take16(struct fuzz_input *in);
uint32_t take32(struct fuzz_input *in);
uint64_t take64(struct fuzz_input *in);
/* 0 to n - 1 */
unsigned int pick(struct fuzz_input *in, unsigned int n);
/* Up to cap bytes, their number first. */
size_t take_bytes(struct fuzz_input *in, void *to, size_t cap);

/* ---- descriptors ---- */

#define FUZZ_MAX_FDS 40

/* Closes *fd, if there is one, and resets it. */
void fuzz_close(int *fd);
/* A memfd, an eventfd, an end of a pipe or socket pair, ... as the input
 * says; never -1. The other end of a pipe or socket goes to *other, if that is
 * not NULL (-1: there is none), else it is closed. */
int fuzz_make_fd(struct fuzz_input *in, int *other);
int fuzz_memfd(uint64_t size);
void fuzz_socketpair(int pair[2]);

/* Neither blocks. Receive: descriptors are the caller's (room for
 * FUZZ_MAX_FDS; more are lost). */
ssize_t fuzz_send(int sock, const void *data, size_t len, const int *fds,
                  unsigned int n_fds);
ssize_t fuzz_receive(int sock, void *data, size_t cap, int *fds,
                     unsigned int *n_fds);
/* write(), which may find that nobody reads; SIGPIPE from anywhere else is a
 * broken promise. */
void fuzz_write(int fd, const void *data, size_t len);
bool fuzz_readable(int fd);

/* Two listening sockets that exist as long as the process: [0] has room, [1]
 * is full after one. */
const char *fuzz_listener_path(unsigned int index);
int fuzz_accept(unsigned int index); /* -1: nobody */

/* ---- time ---- */

void fuzz_advance_ms(unsigned int ms);

#endif
