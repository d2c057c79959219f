/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What no front-end may say, for the fuzz target of the vhost-user session:
 * messages that end the connection, requests that must be refused while it
 * goes on, and replies on the back-end channel that end that. The target sees
 * to it that each is the only thing under way.
 */
#ifndef VWL_TEST_FUZZ_VHU_ABUSE_H
#define VWL_TEST_FUZZ_VHU_ABUSE_H

#include "vhu_front.h"

/* A message that ends the connection, which of them `how` says. True: once
 * that is read, abuse_tail must follow. */
bool abuse_stream(struct vhu_front *front, unsigned int how);
void abuse_tail(struct vhu_front *front);

/* With NEED_REPLY; returns the request that is to be refused. */
uint32_t abuse_request(struct vhu_front *front, unsigned int how);

/* A reply to nothing, or a wrong one to what was asked. */
void abuse_reply(struct vhu_front *front, unsigned int how);

#endif
