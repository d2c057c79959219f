/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: programs that clients on the bus had started in a machine: Exec,
 * Signal, Resize and Exited of the interface Machine. A client that leaves the
 * bus has its programs hung up (SIGHUP).
 */
#ifndef VWL_SERVICE_JOBS_H
#define VWL_SERVICE_JOBS_H

#include "box.h"
#include "vwl-bus.h"

struct vwl_jobs;

/* Connects to the skeleton's signals; both outlive it. */
struct vwl_jobs *vwl_jobs_create(VwlBusMachine *skeleton, struct vwl_box *box);
/* After the box: that ends all jobs. */
void vwl_jobs_destroy(struct vwl_jobs *jobs);

#endif
