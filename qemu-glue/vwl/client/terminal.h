/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: the terminal of standard input, handed through: keys as they are
 * (raw), and its size.
 */
#ifndef VWL_CLIENT_TERMINAL_H
#define VWL_CLIENT_TERMINAL_H

#include <stdbool.h>

/* Both standard input and output are one. */
bool vwl_terminal_is_there(void);

/* Raw until restored. */
void vwl_terminal_begin(void);
void vwl_terminal_end(void);

void vwl_terminal_size(unsigned int *rows, unsigned int *columns);

#endif
