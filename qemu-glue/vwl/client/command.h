/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: one command of `vwl`: its row says what it is called, which options
 * it has and what it does; main.c reads the options and calls it.
 *
 * A command returns the exit status: 0, 1 (it failed), 2 (asked wrongly),
 * and what command_exec.c says of its own.
 */
#ifndef VWL_CLIENT_COMMAND_H
#define VWL_CLIENT_COMMAND_H

#include <glib.h>
#include <stdbool.h>

struct vwl_command {
    const char *name;
    const char *arguments; /* "NAME PROGRAM..." */
    const char *summary;   /* one line */
    const GOptionEntry *entries;
    bool settings;  /* those of a machine are options, too */
    bool is_prefix; /* what follows the first words is not for vwl */
    bool hidden;    /* from the list of commands */
    int (*run)(int argc, char **argv);
};

extern const struct vwl_command vwl_command_apps, vwl_command_create,
    vwl_command_delete, vwl_command_doctor, vwl_command_exec,
    vwl_command_launch, vwl_command_list, vwl_command_logs, vwl_command_policy,
    vwl_command_run, vwl_command_stop;

#endif
