/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs that the host has started by EXEC: each in a session of its own,
 * between pipes or at a terminal, until it ends and its status is told.
 */
#ifndef VWL_AGENT_JOBS_H
#define VWL_AGENT_JOBS_H

#include "channel/frame.h"

struct vwl_jobs;

/* The end of a job, or why it did not begin (126 or 127). */
typedef void (*vwl_jobs_answer_fn)(void *opaque, uint16_t job,
                                   unsigned int status, const char *text);

struct vwl_jobs *vwl_jobs_create(vwl_jobs_answer_fn answer, void *opaque);
/* Hangs up on all of them. */
void vwl_jobs_destroy(struct vwl_jobs *jobs);

/* Takes the frame's descriptors. */
void vwl_jobs_exec(struct vwl_jobs *jobs, struct vwl_frame *frame);
/* Of a job that is over: nothing. */
void vwl_jobs_signal(struct vwl_jobs *jobs, uint16_t job, int number);
void vwl_jobs_resize(struct vwl_jobs *jobs, uint16_t job, uint16_t rows,
                     uint16_t columns);
/* The host is gone: HUP for all, and nobody is told of their ends. */
void vwl_jobs_hang_up(struct vwl_jobs *jobs);

#endif
