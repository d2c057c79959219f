/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A filter between a client and a compositor that are a test. Messages are
 * made from words and texts; descriptors are numbers, of files that are as
 * many pages long.
 */
#ifndef VWL_TESTS_POLICY_RIG_H
#define VWL_TESTS_POLICY_RIG_H

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "policy/filter.h"
#include "wayland/wire.h"

#define PAGE 4096u
#define SERVER_ID 0xff000000u

enum { DISPLAY = 1, REGISTRY = 2 };

struct policy_rig {
    struct vwl_log log;
    GString *said; /* log lines */
    struct vwl_rules *rules;
    struct vwl_filter *filter;
    GArray *closed; /* int: descriptors that did not pass */
    GArray *got;    /* int: that passed, in both ways */
    int ask_result;
    unsigned int asked;
    enum vwl_transfer_kind asked_kind;
    enum vwl_way asked_way;
    uint32_t ticket;
    int64_t charged, most; /* bytes; most 0: as many as are asked for */
    int kept; /* what a file that can grow is kept as; 0: none can */
};

void rig_log(void *opaque, enum vwl_log_level level, const char *line);

void rig_init(struct policy_rig *rig, const struct vwl_socket_policy *policy);
void rig_finish(struct policy_rig *rig);
void put_word(GByteArray *out, uint32_t word);
void put_text(GByteArray *out, const char *text);

/* One message: in args u is a uint32_t, s a text, in their order. */
GByteArray *message(uint32_t object, uint16_t opcode, const char *args, ...);
/* Pushes it, and unrefs it. */
int push_fds(struct policy_rig *rig, enum vwl_way way, GByteArray *data,
             const int *fds, unsigned int n_fds);
/* Pushes one message without descriptors. */
int push(struct policy_rig *rig, enum vwl_way way, uint32_t object,
         uint16_t opcode, const char *args, ...);
/* What passed, taken. */
GByteArray *take(struct policy_rig *rig, enum vwl_way way);
/* All that passed is this; takes it, and unrefs what was expected. */
void expect_bytes(struct policy_rig *rig, enum vwl_way way,
                  GByteArray *expected);
void expect(struct policy_rig *rig, enum vwl_way way, uint32_t object,
            uint16_t opcode, const char *args, ...);
void expect_nothing(struct policy_rig *rig, enum vwl_way way);
/* The next thing that passes to the guest is wl_display.error, and all is
 * over. */
void expect_error(struct policy_rig *rig, uint32_t object, uint32_t code,
                  const char *part);
/* Pushes one message, which passes as it is. */
void pass(struct policy_rig *rig, enum vwl_way way, uint32_t object,
          uint16_t opcode, const char *args, ...);
/* A registry with these globals, by names from 1. */
void announce(struct policy_rig *rig, const char *const *ifaces,
              uint32_t version);

#endif
