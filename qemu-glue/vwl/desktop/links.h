/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Links that a machine wants to have opened: which ones may be, and the host's
 * own program for them.
 */
#ifndef VWL_DESKTOP_LINKS_H
#define VWL_DESKTOP_LINKS_H

/*
 * NULL if it may be opened, or why not, in a few words. http and https with a
 * host and without a user; mailto with a subject and a body, and nothing like
 * an attachment. Printable ASCII, up to 2048 bytes.
 */
const char *vwl_link_wrong(const char *link);
/* What a person is asked about: the host, or the address (g_free). */
char *vwl_link_detail(const char *link);
/* By the program that the user has chosen for it; does not wait. */
void vwl_link_open(const char *link);

#endif
