/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes of one connection into frames, strictly: HELLO comes first and once,
 * and whatever breaks a rule of frame.h ends the connection. A reader takes
 * all frames after each read of at most 64 KiB; if it cannot (its queue is
 * full), it reads no more until it has:
 *
 *     vwl_parser_feed(parser, bytes, len, fds, n_fds);
 *     while ((status = vwl_parser_next(parser, &frame)) > 0) { ... }
 *     if (status < 0) { log(vwl_parser_why(parser)); hang up; }
 */
#ifndef VWL_CHANNEL_PARSER_H
#define VWL_CHANNEL_PARSER_H

#include "frame.h"

struct vwl_parser;

/* Of what that side sends. */
struct vwl_parser *vwl_parser_create(enum vwl_side from);
void vwl_parser_destroy(struct vwl_parser *parser);

/* Takes bytes and the descriptors that came along, which are the parser's from
 * now on. Only EXEC has descriptors. */
void vwl_parser_feed(struct vwl_parser *parser, const void *data, size_t len,
                     const int *fds, size_t n_fds);
/* The next frame: 1; 0 if more bytes are needed; -EPROTO, and for ever. */
int vwl_parser_next(struct vwl_parser *parser, struct vwl_frame *frame);
/* After -EPROTO, for a log: no word of it comes from outside. */
const char *vwl_parser_why(const struct vwl_parser *parser);

#endif
