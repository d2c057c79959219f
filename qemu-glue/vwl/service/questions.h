/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: what a machine's user is asked, by policy "ask": each question is a
 * signal Asked of the machine on the bus and, where this process is an
 * application, a notification with the buttons Allow and Deny, whose action is
 * app.answer(NAME, serial, allow). Nobody answers in half a minute: no.
 *
 * A question that is open already is not asked twice: who asks the same again
 * gets its answer. After a no the same is refused for a few seconds, so that a
 * guest does not fill the desktop with them.
 *
 * Thread: the main context's.
 */
#ifndef VWL_SERVICE_QUESTIONS_H
#define VWL_SERVICE_QUESTIONS_H

#include <stdbool.h>

#include "vwl-bus.h"

struct vwl_questions;

/* Connects to the skeleton's signals; it outlives this. */
struct vwl_questions *vwl_questions_create(VwlBusMachine *skeleton,
                                           const char *name);
/* Questions that are open get no answer. */
void vwl_questions_destroy(struct vwl_questions *questions);

/* Called once, also from within vwl_questions_ask. */
typedef void (*vwl_answered_fn)(void *data, unsigned int ticket, bool allow);

/* what: of the signal, and the same for the same question; title and detail
 * are shown. ticket: the caller's, for answered. */
void vwl_questions_ask(struct vwl_questions *questions, const char *what,
                       const char *title, const char *detail,
                       vwl_answered_fn answered, void *data,
                       unsigned int ticket);

/* Whoever asked does not want to know any more. */
void vwl_questions_drop(struct vwl_questions *questions,
                        vwl_answered_fn answered, void *data,
                        unsigned int ticket);
/* All that he asked. */
void vwl_questions_drop_all(struct vwl_questions *questions,
                            vwl_answered_fn answered, void *data);

void vwl_questions_answer(struct vwl_questions *questions, unsigned int serial,
                          bool allow);

#endif
