/* SPDX-License-Identifier: BSD-3-Clause */
/* A PNG file of pixels: written only, so that the host decodes no picture. */
#ifndef VWL_DESKTOP_PNG_H
#define VWL_DESKTOP_PNG_H

#include <glib.h>
#include <stdint.h>

/* Square, side * side * 4 bytes: R G B A, not premultiplied. */
GBytes *vwl_png(const uint8_t *pixels, unsigned int side);

#endif
