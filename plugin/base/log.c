/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/log.h"

#include <glib.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

/* Lines of one blame per window; what is above is counted and reported with
 * the first line of the next window. */
#define LIMIT_WINDOW_US (5 * G_USEC_PER_SEC)
#define LINE_MAX_BYTES 512

static const struct {
    const char *prefix;
    enum vwl_log_level level;
    unsigned int lines; /* 0: any number */
} blames[VWL_BLAME_COUNT] = {
    [VWL_BLAME_GUEST] = { "guest bug: ", VWL_LOG_WARN, 10 },
    [VWL_BLAME_COMPOSITOR] = { "host peer bug: ", VWL_LOG_WARN, 10 },
    [VWL_BLAME_HOST] = { "host bug: ", VWL_LOG_WARN, 10 },
    [VWL_BLAME_OUR] = { "our bug: ", VWL_LOG_ERROR, 0 },
    [VWL_BLAME_NOTE] = { "", VWL_LOG_INFO, 10 },
    [VWL_BLAME_DEBUG] = { "", VWL_LOG_DEBUG, 200 },
};

void vwl_log_init(struct vwl_log *log,
                  void (*sink)(void *, enum vwl_log_level, const char *),
                  void *opaque)
{
    *log = (struct vwl_log){ .sink = sink, .opaque = opaque };
}

static void G_GNUC_PRINTF(4, 0)
    write_line(struct vwl_log *log, enum vwl_log_level level,
               const char *prefix, const char *format, va_list args)
{
    char line[LINE_MAX_BYTES];
    int n = snprintf(line, sizeof line, "%s", prefix);

    vsnprintf(line + n, sizeof line - (size_t)n, format, args);
    log->sink(log->opaque, level, line);
}

void vwl_log_write(struct vwl_log *log, enum vwl_log_level level,
                   const char *format, ...)
{
    va_list args;

    if (!log->sink) {
        return;
    }
    va_start(args, format);
    write_line(log, level, "", format, args);
    va_end(args);
}

void vwl_log_blame(struct vwl_log *log, enum vwl_blame blame,
                   const char *format, ...)
{
    va_list args;

    if (!log->sink) {
        return;
    }
    if (blames[blame].lines) {
        uint64_t now = vwl_clock_us();

        if (now - log->limit[blame].window_us > LIMIT_WINDOW_US ||
            log->limit[blame].window_us == 0) {
            unsigned int dropped = log->limit[blame].dropped;

            log->limit[blame].window_us = now;
            log->limit[blame].count = 0;
            log->limit[blame].dropped = 0;
            if (dropped) {
                vwl_log_write(log, blames[blame].level,
                              "%s%u lines like the next were dropped",
                              blames[blame].prefix, dropped);
            }
        }
        if (log->limit[blame].count >= blames[blame].lines) {
            log->limit[blame].dropped++;
            return;
        }
        log->limit[blame].count++;
    }
    va_start(args, format);
    write_line(log, blames[blame].level, blames[blame].prefix, format, args);
    va_end(args);
}

const char *vwl_log_escape(const char *text, size_t len, char *out, size_t cap)
{
    size_t o = 0;

    for (size_t i = 0; i < len && o + 5 <= cap; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c >= 0x20 && c < 0x7f && c != '\\' && c != '\'' && c != '"') {
            out[o++] = (char)c;
        } else {
            o += (size_t)snprintf(out + o, cap - o, "\\x%02x", c);
        }
    }
    out[o] = '\0';
    return out;
}
