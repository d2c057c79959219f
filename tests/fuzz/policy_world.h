/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to fuzz-policy: a filter between two ends, and what is known of it.
 */
#ifndef VWL_TEST_FUZZ_POLICY_WORLD_H
#define VWL_TEST_FUZZ_POLICY_WORLD_H

#include <glib.h>

#include "fuzz.h"
#include "policy/filter_priv.h"

#define MAX_NUMBERS 4096 /* of descriptors, which are numbers here */
#define FIRST_FD 10
#define KEPT 0x10000 /* in the number of one that is kept */
#define MAX_TICKETS 4096

enum { FD_UNUSED, FD_INSIDE, FD_PASSED, FD_CLOSED };
enum { TICKET_UNUSED, TICKET_OPEN, TICKET_OVER };

struct policy_world {
    struct fuzz_input in;
    struct vwl_log log;
    struct vwl_rules *rules;
    struct vwl_filter *filter;
    struct vwl_filter *twin; /* gets the same in pieces */
    uint8_t fds[MAX_NUMBERS];
    uint8_t kept[MAX_NUMBERS];   /* how many are, of each */
    uint16_t grown[MAX_NUMBERS]; /* pages that came later */
    int next_fd;
    uint8_t tickets[MAX_TICKETS];
    unsigned int n_open;
    bool busy; /* the host hears no more questions */
    int64_t charged, twin_charged, most;
    GHashTable *pools;      /* id: the descriptor of its file */
    GHashTable *ended;      /* ids of the server's, which the client gave up */
    GHashTable *registries; /* ids, as the checker sees them */
    bool over;
};

uint64_t policy_file_bytes(const struct policy_world *world, int fd);

/* What has passed that way, in one and in pieces, is as it must be; takes it.
 */
void policy_check_way(struct policy_world *world, enum vwl_way way);

#endif
