/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A double of a desktop's notification server on the session's bus. It numbers
 * what it shows from 1 on, and tells each call in a line (without its end):
 *
 *     NUMBER APP|ICON|TITLE|BODY|URGENCY
 *     close NUMBER
 */
#ifndef TESTS_UNIT_NOTIFIER_H
#define TESTS_UNIT_NOTIFIER_H

#include <gio/gio.h>

/* Its connection, with the name; of one process only one. */
GDBusConnection *notifier_start(void (*heard)(const char *line));
void notifier_stop(GDBusConnection *bus);
/* The next number is 1 again. */
void notifier_forget(void);
/* As if a user closed it. */
void notifier_close(GDBusConnection *bus, guint32 number);

/* Another connection to the same bus. */
GDBusConnection *notifier_connect(void);

#endif
