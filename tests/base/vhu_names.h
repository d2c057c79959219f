/* SPDX-License-Identifier: BSD-3-Clause */
/* The header flags of vhost-user messages, as tests send and expect them. */
#ifndef TESTS_BASE_VHU_NAMES_H
#define TESTS_BASE_VHU_NAMES_H

#include "vhost-user-wl/vhost_user.h"

/* A message, one that wants an answer, and an answer. */
#define PLAIN VHOST_USER_VERSION
#define NEED_REPLY (VHOST_USER_VERSION | VHOST_USER_NEED_REPLY_MASK)
#define REPLY (VHOST_USER_VERSION | VHOST_USER_REPLY_MASK)

#endif
