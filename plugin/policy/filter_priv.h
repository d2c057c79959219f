/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to policy/: the state of a filter, and what its files call of each
 * other. filter.c frames the streams of Wayland, or has pulse/ do it for
 * PulseAudio's; request.c and event.c judge a message; globals, transfers,
 * pools and marks have a file each; all stand on filter_out.c.
 */
#ifndef VWL_POLICY_FILTER_PRIV_H
#define VWL_POLICY_FILTER_PRIV_H

#include <glib.h>

#include "policy/filter.h"
#include "policy/ids.h"
#include "wayland/table.h"
#include "wayland/wire.h"

/* Of wl_display.error. */
enum {
    ERROR_INVALID_OBJECT = 0,
    ERROR_INVALID_METHOD = 1,
    ERROR_NO_MEMORY = 2,
    ERROR_IMPLEMENTATION = 3,
};

#define DISPLAY_ID 1u

/* What becomes of a message. */
enum verdict {
    VERDICT_PASS,
    VERDICT_DROP,
    VERDICT_DONE, /* whoever judged it has seen to it */
    VERDICT_OVER, /* the connection has ended */
};

struct announced {
    uint32_t name;
    uint32_t version;                   /* 0: hidden */
    const struct vwl_table_row *global; /* NULL: not listed */
    bool gone;
};

/* A transfer that waits for the host's word. */
struct pending {
    uint32_t ticket;
    uint32_t object;
    enum vwl_way way; /* of the message */
    int fd;
    GBytes *message;
};

/* The file of a pool that can grow. */
struct kept {
    uint32_t pool;
    int fd;
};

struct stream {
    GByteArray *part; /* of a message that is not whole yet */
    GArray *fds;      /* int: came, and belong to no message yet */
    GByteArray *out;
    GArray *out_fds; /* struct vwl_passed_fd */
};

struct pulse;

struct vwl_filter {
    const struct vwl_rules *rules;
    const struct vwl_filter_ops *ops;
    void *opaque;
    struct stream stream[VWL_N_WAYS];
    struct pulse *pulse; /* NULL: it is one of Wayland, as what follows */
    struct vwl_ids ids;
    GArray *announced; /* struct announced */
    guint announced_hint;
    GArray *pending;     /* struct pending; NULL: none so far */
    GArray *kept;        /* struct kept; NULL: none so far */
    GArray *windows;     /* windows.c's; NULL: none so far */
    uint32_t n_creating; /* buffers that the server will make */
    uint32_t next_ticket;
    int over; /* 0, or why nothing is taken any more */
    const void *refused;
    char why[192];
};

/* ---- filter_out.c ---- */

/* Nothing more is taken, for this reason; filter->why says it. */
void filter_end(struct vwl_filter *filter, int err);
/* Ends the connection by an error of the guest's: nothing more is taken, and
 * filter.c drops what waits. Returns VERDICT_OVER. */
enum verdict filter_refuse(struct vwl_filter *filter, uint32_t object,
                           uint32_t code, const char *format, ...)
    G_GNUC_PRINTF(4, 5);
/* The same: the client may not give this id to a new object. */
enum verdict filter_refuse_id(struct vwl_filter *filter, uint32_t object,
                              const char *name, uint32_t id);
/* The same by one of the compositor's. */
enum verdict filter_break(struct vwl_filter *filter, const char *format, ...)
    G_GNUC_PRINTF(2, 3);

/* Lets bytes pass, with the next n_fds descriptors of that way. */
void filter_emit(struct vwl_filter *filter, enum vwl_way way, const void *data,
                 size_t len, unsigned int n_fds);
void filter_emit_fd(struct vwl_filter *filter, enum vwl_way way,
                    const void *data, size_t len, int fd);
/* A message without arguments, and one with a string. */
void filter_emit_empty(struct vwl_filter *filter, enum vwl_way way,
                       uint32_t object, uint16_t opcode);
void filter_emit_text(struct vwl_filter *filter, enum vwl_way way,
                      uint32_t object, uint16_t opcode, const char *text);
void filter_close_fds(struct vwl_filter *filter, const int *fds,
                      unsigned int n);
/* Closes the next n descriptors of that way. */
void filter_drop_fds(struct vwl_filter *filter, enum vwl_way way,
                     unsigned int n);
/* The next one, which is the caller's then. */
int filter_take_fd(struct vwl_filter *filter, enum vwl_way way);
/* Makes the part that long, or as long as it gets. Returns how much of data it
 * took. */
size_t filter_fill(GByteArray *part, size_t size, const uint8_t *data,
                   size_t len);

/* ---- request.c, event.c ---- */

/* A whole message. 0, or the reason for which it is over. */
int filter_request(struct vwl_filter *filter, const uint8_t *data, size_t size);
int filter_event(struct vwl_filter *filter, const uint8_t *data, size_t size);

/* ---- pools.c ---- */

/* To what makes a buffer of dmabufs; and that it has, or never will. */
enum verdict pools_params_request(struct vwl_filter *filter,
                                  const struct vwl_wire_message *message);
void pools_params_done(struct vwl_filter *filter, uint32_t params);

/* To wl_shm, or a pool of it. */
enum verdict pools_request(struct vwl_filter *filter,
                           const struct vwl_wire_message *message,
                           uint8_t kind);
void pools_forget(struct vwl_filter *filter, uint32_t pool);
void pools_finish(struct vwl_filter *filter);

/* ---- announced.c ---- */

enum verdict announced_bind(struct vwl_filter *filter, const uint8_t *data,
                            const struct vwl_wire_message *message);
enum verdict announced_event(struct vwl_filter *filter, const uint8_t *data,
                             const struct vwl_wire_message *message);

/* ---- transfer.c ---- */

enum verdict transfer_request(struct vwl_filter *filter, const uint8_t *data,
                              const struct vwl_wire_message *message,
                              uint8_t kind);
enum verdict transfer_event(struct vwl_filter *filter, const uint8_t *data,
                            const struct vwl_wire_message *message,
                            uint8_t kind);
/* The object is gone: what waits for it is refused. */
void transfer_forget(struct vwl_filter *filter, uint32_t object);
void transfer_finish(struct vwl_filter *filter);

/* ---- marks.c ---- */

/* Appends the guest's text, as much as makes out max bytes long at most: valid
 * UTF-8 without what ends or turns a line. */
void marks_clean(GString *out, const char *text, size_t len, size_t max);
/* A title or app id, with its prefix. */
enum verdict marks_text(struct vwl_filter *filter, const uint8_t *data,
                        const struct vwl_wire_message *message,
                        const char *prefix);
/* A window was made: it is marked even if it never says a title. */
void marks_window(struct vwl_filter *filter, uint32_t toplevel);

/* ---- windows.c ---- */

void windows_add(struct vwl_filter *filter, uint32_t toplevel);
/* Its title, or its app id. */
void windows_text(struct vwl_filter *filter, uint32_t toplevel, bool is_title,
                  const char *text, size_t len);
void windows_forget(struct vwl_filter *filter, uint32_t toplevel);
void windows_finish(struct vwl_filter *filter);

#endif
