/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_ABI_V1_H
#define TESTS_ABI_V1_H

#include <stddef.h>

/* Bytes of the plugin's table in version 1, with all that was added. */
extern const size_t abi_v1_plugin_bytes;

#endif
