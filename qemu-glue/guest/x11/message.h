/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the two parts of the X11 programs' clipboard say to each other, over a
 * socket of SOCK_SEQPACKET: the one in cage's process (cage.c) speaks for the
 * host's desktop, the client of the X server (clipboard.c) for the programs.
 * Both say the same two things: what their side has, and what they want of it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Its number, in cage's environment and in that of its programs. */
#define VWL_SELECTION_ENV "VWL_X11_CLIPBOARD"

enum vwl_board { VWL_CLIPBOARD, VWL_PRIMARY, VWL_BOARDS };

enum vwl_selection_kind {
    /* My side has something of these types; without one, it has nothing. */
    VWL_SELECTION_HAS,
    /* Write yours, of this one type, into the descriptor, and close it. */
    VWL_SELECTION_WANT,
};

/* Types of content: each with its NUL, one behind the other. */
struct vwl_types {
    size_t length; /* bytes of text */
    char text[8000];
};

struct vwl_selection {
    enum vwl_selection_kind kind;
    enum vwl_board board;
    int fd; /* of WANT, else -1 */
    struct vwl_types types;
};

/* Adds @type, unless it is there already or there is no room for it. */
void vwl_types_add(struct vwl_types *types, const char *type);

/* The type behind @type, the first for NULL; NULL behind the last. */
const char *vwl_types_next(const struct vwl_types *types, const char *type);

bool vwl_types_have(const struct vwl_types *types, const char *type);

/*
 * vwl_selection_send: says @s on @socket, and never waits: a side that does not
 * read loses it. Closes s->fd, whatever comes of it. Any thread.
 */
void vwl_selection_send(int socket, const struct vwl_selection *s);

/*
 * vwl_selection_read: waits for what the other side says. Returns false when it
 * is gone, or talks nonsense. The caller owns s->fd.
 */
bool vwl_selection_read(int socket, struct vwl_selection *s);
