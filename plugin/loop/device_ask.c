/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "loop/device_priv.h"
#include "loop/pump.h"

/* What is asked for, as text or by its number, and what becomes of it. */
struct asking {
    char **text;
    uint32_t vfd;
    int err;
};

static void probe(struct vwl_device *device, struct vwl_pump *pump,
                  void *opaque)
{
    struct asking *asking = opaque;

    asking->err = pump ? vwl_pump_probe(pump, asking->text) : -ENOTCONN;
}

int vwl_device_probe(struct vwl_device *device, char **text)
{
    struct asking asking = { .text = text, .err = -ENOTCONN };

    vwl_device_with_pump(device, probe, &asking);
    return asking.err;
}

static void list_windows(struct vwl_device *device, struct vwl_pump *pump,
                         void *opaque)
{
    struct asking *asking = opaque;
    GString *lines;

    if (pump) {
        lines = g_string_new(NULL);
        vwl_pump_windows(pump, lines);
        *asking->text = g_string_free(lines, FALSE);
        asking->err = 0;
    }
}

int vwl_device_windows(struct vwl_device *device, char **text)
{
    struct asking asking = { .text = text, .err = -ENOTCONN };

    vwl_device_with_pump(device, list_windows, &asking);
    return asking.err;
}

static void open_pipe(struct vwl_device *device, struct vwl_pump *pump,
                      void *opaque)
{
    struct asking *asking = opaque;

    asking->err = pump ? vwl_pump_pipe(pump, asking->vfd) : -ENOTCONN;
}

int vwl_device_pipe(struct vwl_device *device, uint32_t vfd)
{
    struct asking asking = { .vfd = vfd, .err = -ENOTCONN };

    vwl_device_with_pump(device, open_pipe, &asking);
    return asking.err;
}
