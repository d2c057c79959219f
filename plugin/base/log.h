/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Log lines by blame. One sink per device; whoever detects a fault says once
 * who caused it. What a guest, a compositor or a front-end can cause is
 * rate-limited. Lines name their object and never hold payload bytes; text
 * from outside goes through vwl_log_escape. Device thread, but any thread may
 * log before start.
 */
#ifndef VWL_BASE_LOG_H
#define VWL_BASE_LOG_H

#include <stdint.h>

#include "vhost-user-wl/plugin.h"

enum vwl_blame {
    VWL_BLAME_GUEST,      /* the guest's driver or programs: WARN, limited */
    VWL_BLAME_COMPOSITOR, /* a host peer: WARN, limited */
    VWL_BLAME_HOST,       /* front-end or host system: WARN, limited */
    VWL_BLAME_OUR,        /* our own broken invariant: ERROR */
    VWL_BLAME_NOTE,       /* nobody: INFO, limited */
    VWL_BLAME_DEBUG,      /* nobody: DEBUG, limited, too, but to more lines */
    VWL_BLAME_COUNT,
};

struct vwl_log {
    void (*sink)(void *opaque, enum vwl_log_level level, const char *line);
    void *opaque;
    struct {
        uint64_t window_us; /* start of the running window, monotonic */
        unsigned int count; /* lines in it */
        unsigned int dropped;
    } limit[VWL_BLAME_COUNT];
};

/* sink may be NULL: lines are dropped. */
void vwl_log_init(struct vwl_log *log,
                  void (*sink)(void *, enum vwl_log_level, const char *),
                  void *opaque);

void vwl_log_blame(struct vwl_log *log, enum vwl_blame blame,
                   const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void vwl_log_write(struct vwl_log *log, enum vwl_log_level level,
                   const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Writes text of length len into out (capacity cap, NUL-terminated), bytes
 * outside printable ASCII, quotes and backslashes as \xNN. Returns out. */
const char *vwl_log_escape(const char *text, size_t len, char *out, size_t cap);

#define log_guest_bug(log, ...) \
    vwl_log_blame((log), VWL_BLAME_GUEST, __VA_ARGS__)
#define log_compositor_bug(log, ...) \
    vwl_log_blame((log), VWL_BLAME_COMPOSITOR, __VA_ARGS__)
#define log_host_bug(log, ...) vwl_log_blame((log), VWL_BLAME_HOST, __VA_ARGS__)
#define log_our_bug(log, ...) vwl_log_blame((log), VWL_BLAME_OUR, __VA_ARGS__)
#define log_info(log, ...) vwl_log_write((log), VWL_LOG_INFO, __VA_ARGS__)
/* INFO that somebody outside can cause again and again. */
#define log_note(log, ...) vwl_log_blame((log), VWL_BLAME_NOTE, __VA_ARGS__)
#define log_debug(log, ...) vwl_log_blame((log), VWL_BLAME_DEBUG, __VA_ARGS__)

#endif
