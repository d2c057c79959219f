/* SPDX-License-Identifier: BSD-3-Clause */
/* Icons of this machine's programs as pixels: no file of a guest is decoded
 * on the host. */
#ifndef VWL_AGENT_ICONS_H
#define VWL_AGENT_ICONS_H

#include <gio/gio.h>

/* side * side * 4 bytes R G B A (g_free), or NULL: there is none, none that
 * can be read, or a larger size is none but a blurred one. Without gdk-pixbuf
 * always NULL. */
guint8 *vwl_icons_pixels(GIcon *icon, unsigned int side);

#endif
