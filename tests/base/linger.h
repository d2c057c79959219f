/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A descriptor whose close takes as long as somebody likes: a TCP socket with
 * SO_LINGER, and data that its other end does not read.
 */
#ifndef TESTS_BASE_LINGER_H
#define TESTS_BASE_LINGER_H

#include <stdbool.h>

/* As long as closing it would take, if nobody ends it: what a test that fails
 * waits for. */
#define LINGER_S 60

struct linger_pair {
    int fd;    /* the one that lingers; the caller passes it on and closes its
                  own by linger_hand_over */
    int other; /* closing this one ends it */
};

/* False, and the test is skipped: valgrind lets no other thread run during a
 * close. */
bool linger_is_possible(void);
void linger_make(struct linger_pair *pair);
/* Puts fd into the queue of a socket, with these bytes, and nowhere else. */
void linger_hand_over(struct linger_pair *pair, int to, const char *bytes);
/* Whether a thread of the closer is at work. */
bool linger_closes(void);
/* Waits until one is. */
void linger_expect(void);
/* Ends it, for one, or n; and waits until no thread closes any more. */
void linger_end(struct linger_pair *pairs, unsigned int n);

#endif
