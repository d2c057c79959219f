/* SPDX-License-Identifier: BSD-3-Clause */
#undef _GNU_SOURCE
#include "vhost-user-wl/plugin.h"

typedef int abi_is_not_empty;
