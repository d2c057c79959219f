/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A compositor that knows nothing but security contexts, in a thread: it counts
 * who connects how, checks each message by which a context is made, and
 * misbehaves when told so.
 */
#ifndef STORY_SECCTX_H
#define STORY_SECCTX_H

#include <glib.h>
#include <stdbool.h>

enum secctx_manner {
    SECCTX_GOOD,
    SECCTX_MISSING, /* has no such global */
    SECCTX_SILENT,  /* never answers */
    SECCTX_STUCK,   /* lists its globals, but never says that it is done */
    SECCTX_ERROR,   /* answers the context with an error */
    SECCTX_HANGUP,  /* ends the connection that asks for its globals */
    SECCTX_NONSENSE /* sends what is not Wayland */
};

struct secctx;

struct secctx *secctx_start(const char *path, enum secctx_manner manner);
/* Ends it with all its connections, as a crash would. */
void secctx_stop(struct secctx *secctx);

void secctx_set_manner(struct secctx *secctx, enum secctx_manner manner);
/* Forgets the contexts; who is connected stays. */
void secctx_forget(struct secctx *secctx);

/* So far: contexts made; connections within one, and without (those that asked
 * for globals are not counted); pipes of contexts that were closed. */
unsigned int secctx_made(struct secctx *secctx);
unsigned int secctx_inside(struct secctx *secctx);
unsigned int secctx_outside(struct secctx *secctx);
unsigned int secctx_ended(struct secctx *secctx);
/* Those that asked for globals. */
unsigned int secctx_asked(struct secctx *secctx);
/* The names of the last context, with a space between them. */
char *secctx_names(struct secctx *secctx);

/* Waits for a count; fails after half a minute. */
void secctx_wait(struct secctx *secctx,
                 unsigned int (*count)(struct secctx *secctx),
                 unsigned int want);

#endif
