/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How much a machine may say on its channel, and how often: all of it here.
 * What goes beyond a limit of the frames ends the connection; what goes beyond
 * one of the host's is left out, with one line that says so.
 */
#ifndef VWL_CHANNEL_BOUNDS_H
#define VWL_CHANNEL_BOUNDS_H

/* ---- frames: bytes of payload ---- */

#define VWL_MAX_HELLO_BYTES 1024u
#define VWL_MAX_APP_BYTES 4096u
#define VWL_MAX_LAUNCH_BYTES 1024u
#define VWL_MAX_EXEC_BYTES 65536u
#define VWL_MAX_ANSWER_BYTES 1024u
#define VWL_MAX_OPEN_BYTES 2049u /* its NUL is one of them */
#define VWL_MAX_NOTIFY_BYTES 4096u
#define VWL_MAX_NUMBERS_BYTES 32u /* a few numbers as text */
#define VWL_MAX_ID_CHARS 128u     /* of a program's id */
#define VWL_MAX_STRINGS 1024u     /* arguments and variables of one EXEC */
/* An icon of the largest size, its id and the two numbers. */
#define VWL_MAX_ICON_PIXELS 256u
#define VWL_MAX_FRAME_BYTES                                                   \
    (VWL_MAX_ICON_PIXELS * VWL_MAX_ICON_PIXELS * 4u + VWL_MAX_ID_CHARS + 1u + \
     VWL_MAX_NUMBERS_BYTES)

/* ---- the connection ---- */

#define VWL_EXEC_FDS 3u    /* standard input, output and error */
#define VWL_MAX_JOBS 32u   /* under way at a time */
#define VWL_HELLO_MS 5000u /* until the other side must have said HELLO */
#define VWL_MIN_BACKOFF_MS 1000u
#define VWL_MAX_BACKOFF_MS 30000u
#define VWL_COALESCE_MS 3000u /* the guest gathers changes of its programs */

/* ---- what the host takes ---- */

#define VWL_MAX_APPS 512u
#define VWL_MAX_ICON_TOTAL (32u << 20) /* bytes of pixels in one list */
#define VWL_LIST_BURST 8u              /* whole lists in that time */
#define VWL_LIST_MS 12000u
#define VWL_MAX_NAME_CHARS 64u
#define VWL_MAX_COMMENT_CHARS 128u
#define VWL_MAX_KEYWORDS 10u
#define VWL_MAX_KEYWORD_CHARS 32u
#define VWL_MAX_CATEGORIES 8u
#define VWL_MAX_ANSWER_CHARS 256u
#define VWL_LINK_BURST 10u /* links in that time */
#define VWL_LINK_MS 15000u
#define VWL_MAX_TITLE_CHARS 64u
#define VWL_MAX_BODY_CHARS 512u
#define VWL_NOTE_BURST 5u /* notifications in that time */
#define VWL_NOTE_MS 10000u
#define VWL_MAX_NOTES 20u /* open ones */

#endif
