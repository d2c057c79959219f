/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The frames of the channel between a machine's session (the program
 * vwl-guest) and the host's service. No main loop, no descriptors of its own:
 * both sides use it.
 *
 * A frame is, little endian, u32 length of the payload, u16 type, u16 job;
 * then the payload: as many NUL-ended UTF-8 strings as its type has, numbers
 * as decimal text. An ICON ends in its pixels. A job is a number of the host's
 * choice other than 0, while an answer to it is due; in frames that belong to
 * no job it is 0.
 *
 * type     sender  strings
 * HELLO    host    "1", software, languages ("de:en"), VWL_MAY_ bits
 *          guest   "1", software, user, home
 * LIST     host    -
 * APP      guest   id, class, name, comment, keywords and categories (";")
 * ICON     guest   id, width, height; then width * height * 4 bytes: R G B A
 * DONE     guest   how many APPs this list had
 * LAUNCH   host    id, activation token or ""                            job
 * EXEC     host    see struct vwl_exec; three descriptors come along     job
 * SIGNAL   host    number: HUP, INT, QUIT, KILL or TERM                  job
 * RESIZE   host    rows, columns                                         job
 * ANSWER   guest   exit status, what is to say about it or ""            job
 * OPEN     guest   link
 * NOTIFY   guest   id, title, body, urgency (0 to 2)
 * CLOSE    both    id of a notification
 *
 * LAUNCH is answered when the program was started or could not be, EXEC at its
 * end, by the program's status: 128 and more for a signal, 126 if it cannot
 * be run, 127 if there is none (then with a reason).
 */
#ifndef VWL_CHANNEL_FRAME_H
#define VWL_CHANNEL_FRAME_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "bounds.h"

enum vwl_side {
    VWL_SIDE_HOST,
    VWL_SIDE_GUEST,
};

enum vwl_frame_type {
    VWL_FRAME_HELLO = 1,
    VWL_FRAME_LIST,
    VWL_FRAME_APP,
    VWL_FRAME_ICON,
    VWL_FRAME_DONE,
    VWL_FRAME_LAUNCH,
    VWL_FRAME_EXEC,
    VWL_FRAME_SIGNAL,
    VWL_FRAME_RESIZE,
    VWL_FRAME_ANSWER,
    VWL_FRAME_OPEN,
    VWL_FRAME_NOTIFY,
    VWL_FRAME_CLOSE,
    VWL_N_FRAMES,
};

/* Strings by their place. */
enum {
    VWL_HELLO_VERSION,
    VWL_HELLO_SOFTWARE,
    VWL_HELLO_LANGUAGES,
    VWL_HELLO_MAY
};
enum { VWL_HELLO_USER = 2, VWL_HELLO_HOME };
enum {
    VWL_APP_ID,
    VWL_APP_CLASS,
    VWL_APP_NAME,
    VWL_APP_COMMENT,
    VWL_APP_KEYWORDS,
    VWL_APP_CATEGORIES
};
enum { VWL_ICON_ID, VWL_ICON_WIDTH, VWL_ICON_HEIGHT };
enum { VWL_LAUNCH_ID, VWL_LAUNCH_TOKEN };
enum { VWL_RESIZE_ROWS, VWL_RESIZE_COLUMNS };
enum { VWL_ANSWER_STATUS, VWL_ANSWER_TEXT };
enum { VWL_NOTIFY_ID, VWL_NOTIFY_TITLE, VWL_NOTIFY_BODY, VWL_NOTIFY_URGENCY };

/* What the host would do if asked, so that the guest need not try. */
enum vwl_may {
    VWL_MAY_LIST = 1 << 0,
    VWL_MAY_OPEN = 1 << 1,
    VWL_MAY_NOTIFY = 1 << 2,
};

#define VWL_CHANNEL_VERSION "1"
#define VWL_FRAME_HEAD_BYTES 8u

/* A frame that keeps all rules of its type. Its strings and pixels are the
 * parser's, until that is called again; the descriptors are the reader's. */
struct vwl_frame {
    enum vwl_frame_type type;
    uint16_t job;
    const char *const *strings;
    size_t n_strings;
    const uint8_t *pixels; /* ICON's */
    size_t n_pixel_bytes;
    int fds[VWL_EXEC_FDS]; /* EXEC's, otherwise -1 */
};

/* EXEC's strings: flags, rows, columns, user, folder, number of arguments,
 * arguments, number of variables, variables (A=B). At least one argument; an
 * empty user or folder is the session's own. */
struct vwl_exec {
    bool tty;
    uint16_t rows, columns; /* 0 without a tty */
    const char *user, *folder;
    const char *const *argv; /* argc of them, no NULL behind */
    size_t argc;
    const char *const *env;
    size_t n_env;
};

const char *vwl_frame_name(unsigned int type); /* "?" if there is none */

/* For the encoder and the parser: whether type, sender, job, number of strings
 * and each of them are as they must be; else says why in a few words. */
const char *vwl_frame_wrong(enum vwl_side from, const struct vwl_frame *frame);
/* How long a payload of that type may be; NULL, and *cap, or why not. */
const char *vwl_frame_cap(enum vwl_side from, unsigned int type, size_t *cap);

/* Appends a frame, its strings up to a NULL. Returns false and appends nothing
 * if the other side would refuse it: text was too long, say. */
bool vwl_frame_put(GByteArray *out, enum vwl_side from,
                   enum vwl_frame_type type, unsigned int job,
                   ...) G_GNUC_NULL_TERMINATED;
/* The same for any frame, but for its descriptors. */
bool vwl_frame_encode(GByteArray *out, enum vwl_side from,
                      const struct vwl_frame *frame);
/* And for EXEC. */
bool vwl_frame_put_exec(GByteArray *out, uint16_t job,
                        const struct vwl_exec *exec);

/* Of an EXEC; false if it is none that a parser gave. */
bool vwl_frame_exec(const struct vwl_frame *frame, struct vwl_exec *exec);
/* A string that is a number by its type. */
uint32_t vwl_frame_number(const struct vwl_frame *frame, size_t index);

/* 1 to 128 of A-Z a-z 0-9 _ . -, no dot first, no two dots together: safe as
 * a part of a file's name. */
bool vwl_frame_is_id(const char *text);

#endif
