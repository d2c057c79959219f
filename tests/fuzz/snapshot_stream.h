/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A reader and a writer of snapshots of their own, after the description of the
 * format, for the fuzz target of snapshots: nothing of the device's is used.
 */
#ifndef VWL_TEST_FUZZ_SNAPSHOT_STREAM_H
#define VWL_TEST_FUZZ_SNAPSHOT_STREAM_H

#include <glib.h>

#include "wl_world.h"

/* Bytes of the parts that have a fixed size. */
#define HEADER 24u
#define STATE 40u
#define VFD 40u
#define MESSAGE 16u
#define SUM 32u
#define MAX_PARTS 256

/* Kinds and bits of a VFD, kinds of a message. */
enum { CTX = 1, PIPE, SOCKET, SHM, OPAQUE };
enum { KNOWN = 1, HUNG = 2, UNSENT = 4, FILE_FOLLOWS = 8, MAPPED = 16 };
enum { M_NEW, M_RECV, M_HUP };

/* Where the parts of a stream of ours stand. */
struct layout {
    size_t vfd[MAX_PARTS], message[MAX_PARTS];
    uint32_t n_vfds, n_messages;
    size_t end; /* of the state */
};

/* Finds the parts; whatever does not fit together is a broken promise. */
void stream_read(const GByteArray *stream, struct layout *layout);
/* Makes the checksum at the stream's end fit what stands before. */
void stream_sum_up(GByteArray *stream);
/* What a save says after this was loaded: connections are over. The caller
 * unrefs. */
GByteArray *stream_expected(const GByteArray *stream);

/* snapshot_change.c: n fields and maybe more are changed as the input says, by
 * somebody who knows the format. */
void stream_change(struct world *world, GByteArray *stream, unsigned int n);

/* snapshot_check.c: what a stream must be to be accepted, in itself and by a
 * core with these limits. */
void stream_check(const GByteArray *stream);
void stream_check_limits(const GByteArray *stream,
                         const struct vwl_core_config *limits);

#endif
