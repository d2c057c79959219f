/* SPDX-License-Identifier: BSD-3-Clause */
/* A home of its own for a test that writes into the user's folders. */
#ifndef TESTS_UNIT_TEMP_H
#define TESTS_UNIT_TEMP_H

#include <glib.h>

/* Before anything asks GLib for a folder. */
void temp_begin(void);
/* Removes it, with all that is in it. */
void temp_end(void);
const char *temp_path(void);
/* As many files are in that folder of $XDG_DATA_HOME; their names. */
GPtrArray *temp_expect_files(const char *folder, unsigned int n);

#endif
