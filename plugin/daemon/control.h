/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: the socket by which whoever looks after the machine (the service of
 * vwl) changes its policy while guests are connected, answers for its user
 * which content may be handed over, and sees windows and figures. Lines of
 * text, whose words are separated by spaces:
 *
 *     in   clipboard WAY, primary WAY, drag WAY     as the options of that name
 *          answer NUMBER yes|no
 *          look
 *     out  ask NUMBER clipboard|primary|drag to-guest|from-guest
 *          over NUMBER                  that question needs no answer any more
 *          figures NAME=NUMBER...       } the answer
 *          window APP-ID TAB TITLE      } to look
 *          end                          }
 *
 * A new connection ends the one before it. Without one nothing is allowed that
 * has to be asked about. A line of more than 128 bytes, or one that is none of
 * these, ends the connection; so does a reader who lets 1 MiB wait.
 *
 * Ownership: the struct owns its descriptors. Thread: the main one, whose
 * context it uses.
 */
#ifndef VWL_DAEMON_CONTROL_H
#define VWL_DAEMON_CONTROL_H

#include "listener.h"
#include "options.h"

struct vwl_control {
    const struct vwl_plugin *plugin;
    struct vwl_device *device;
    size_t n_sockets;
    struct vwl_listener listener;
    int fd; /* -1: nobody is connected */
    unsigned int accepts, reads, writes;
    GByteArray *in, *out;
    GPtrArray *asks; /* struct ask */
    unsigned int last;
};

/* Unused: every function below may be called. */
void vwl_control_init(struct vwl_control *control);

/* False with *error. The device is the caller's, and stays. */
bool vwl_control_open(struct vwl_control *control, const char *path,
                      const struct vwl_plugin *plugin,
                      struct vwl_device *device, size_t n_sockets,
                      GError **error);
/* Before the device is freed. */
void vwl_control_close(struct vwl_control *control);

/* As vwl_host's transfer_request. */
int vwl_control_ask(struct vwl_control *control, uint32_t kind, uint32_t way,
                    int *fd);

#endif
