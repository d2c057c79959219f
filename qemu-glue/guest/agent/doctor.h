/* SPDX-License-Identifier: BSD-3-Clause */
/* vwl-guest doctor: what this machine needs, and what to do about each thing
 * that is missing. */
#ifndef VWL_AGENT_DOCTOR_H
#define VWL_AGENT_DOCTOR_H

/* Prints a line for each check: "ok", "warn" or "FAIL", what, what was found;
 * below it "-> command". Returns 0, or 1 if one failed. */
int vwl_doctor_run(const char *socket);

#endif
