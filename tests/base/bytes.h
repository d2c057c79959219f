/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Little-endian numbers at any address, and bytes as hexadecimal text. Nothing
 * of the device's: what a test expects must not be made by what it tests.
 */
#ifndef TESTS_BASE_BYTES_H
#define TESTS_BASE_BYTES_H

#include <glib.h>
#include <stdint.h>

/* Writes value at `at`. */
void put16(void *at, uint16_t value);
void put32(void *at, uint32_t value);
void put64(void *at, uint64_t value);

/* The number that stands at `at`. */
uint16_t get16(const void *at);
uint32_t get32(const void *at);
uint64_t get64(const void *at);

/* The bytes of a text of hexadecimal digits and spaces; fails the test when
 * there is anything else in it. The caller unrefs. */
GByteArray *unhex(const char *text);
/* The text of len bytes, without spaces. The caller frees. */
char *tohex(const void *data, size_t len);

#endif
