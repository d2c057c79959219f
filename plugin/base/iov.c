/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/iov.h"

#include <string.h>

size_t vwl_iov_bytes(const struct iovec *iov, unsigned int n)
{
    size_t bytes = 0;

    for (unsigned int i = 0; i < n; i++) {
        bytes += iov[i].iov_len;
    }
    return bytes;
}

unsigned int vwl_iov_slice(const struct iovec *iov, unsigned int n, size_t skip,
                           size_t max, struct iovec *out, unsigned int cap,
                           size_t *bytes)
{
    unsigned int used = 0;
    size_t total = 0;

    for (unsigned int i = 0; i < n && used < cap && total < max; i++) {
        size_t len = iov[i].iov_len;

        if (skip >= len) {
            skip -= len;
            continue;
        }
        len -= skip;
        if (len > max - total) {
            len = max - total;
        }
        out[used].iov_base = (char *)iov[i].iov_base + skip;
        out[used].iov_len = len;
        used++;
        total += len;
        skip = 0;
    }
    if (bytes) {
        *bytes = total;
    }
    return used;
}

static size_t copy(const struct iovec *iov, unsigned int n, size_t skip,
                   void *to, const void *from, size_t len)
{
    size_t done = 0;

    for (unsigned int i = 0; i < n && done < len; i++) {
        size_t piece = iov[i].iov_len;
        char *at = iov[i].iov_base;

        if (skip >= piece) {
            skip -= piece;
            continue;
        }
        at += skip;
        piece -= skip;
        skip = 0;
        if (piece > len - done) {
            piece = len - done;
        }
        if (to) {
            memcpy((char *)to + done, at, piece);
        } else {
            memcpy(at, (const char *)from + done, piece);
        }
        done += piece;
    }
    return done;
}

size_t vwl_iov_read(const struct iovec *iov, unsigned int n, size_t skip,
                    void *to, size_t len)
{
    return copy(iov, n, skip, to, NULL, len);
}

size_t vwl_iov_write(const struct iovec *iov, unsigned int n, size_t skip,
                     const void *from, size_t len)
{
    return copy(iov, n, skip, NULL, from, len);
}
