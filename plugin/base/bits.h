/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Masks of feature bits, which the specifications give as numbers.
 */
#ifndef VWL_BASE_BITS_H
#define VWL_BASE_BITS_H

#include <stdint.h>

#define BIT(n) (UINT64_C(1) << (n))

#endif
