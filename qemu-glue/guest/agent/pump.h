/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes from one descriptor to another until either ends. Programs get pipes
 * and terminals instead of the bridge's sockets: /dev/stdout of a socket
 * cannot be opened.
 */
#ifndef VWL_AGENT_PUMP_H
#define VWL_AGENT_PUMP_H

/* Takes both, also when it fails. at_end: what to write at the end of from, or
 * NULL (a terminal has no other end than its ^D). done: once, later. */
void vwl_pump_start(int from, int to, const char *at_end,
                    void (*done)(void *opaque), void *opaque);
/* Those under way. */
unsigned int vwl_pump_count(void);

#endif
