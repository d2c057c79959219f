/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file system in this process, of one file, whose server answers what it
 * takes to open the file and never a question for its size or its bytes.
 */
#ifndef STORY_FUSE_H
#define STORY_FUSE_H

struct fuse;

/* NULL, or why there can be none here. */
const char *fuse_start(struct fuse **out);
int fuse_open(struct fuse *fuse, int flags);
/* While held, a close of its file waits: the question is not answered before
 * the release. */
void fuse_hold_close(struct fuse *fuse, int hold);
/* How many closes wait. */
unsigned int fuse_held(struct fuse *fuse);
/* Unmounts it; what still waits for the server fails. */
void fuse_stop(struct fuse *fuse);

#endif
