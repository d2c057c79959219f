/* SPDX-License-Identifier: BSD-3-Clause */
/* Device state out of one device and into another, by vhost-user's messages. */
#ifndef SAVED_H
#define SAVED_H

#include "rig.h"

/* A request of up to two words, and its answer. */
uint64_t saved_ask(struct rig *r, uint32_t request, const uint32_t *payload,
                   const int *fd);
/* Our end of a transfer. */
int saved_transfer(struct rig *r, bool load);
/* All of the device, whose rings stand still. */
GByteArray *saved_save(struct rig *r);
/* What CHECK_DEVICE_STATE answers. */
uint64_t saved_load(struct rig *r, const uint8_t *bytes, size_t len);
/* Another device, which knows nothing; the guest and its memory stay. */
void saved_replace_device(struct rig *r);

#endif
