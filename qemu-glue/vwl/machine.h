/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: what a machine is told to be: the settings that stand in its key
 * file, ~/.local/share/vwl/NAME/machine.conf. The same words are options of
 * `vwl run` and `vwl policy`, and keys of what goes over the bus: one table
 * serves them all, and checks each value.
 *
 * Ownership: a machine owns its strings. Thread: one at a time.
 */
#ifndef VWL_MACHINE_H
#define VWL_MACHINE_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

enum vwl_accel {
    VWL_ACCEL_AUTO,
    VWL_ACCEL_KVM,
    VWL_ACCEL_TCG,
};

enum vwl_net {
    VWL_NET_USER,
    VWL_NET_NONE,
};

enum vwl_sound {
    VWL_SOUND_ON,
    VWL_SOUND_RECORD,
    VWL_SOUND_OFF,
};

enum vwl_answer {
    VWL_ANSWER_ASK,
    VWL_ANSWER_ALLOW,
    VWL_ANSWER_DENY,
};

struct vwl_machine {
    char *name;
    char *folder; /* absolute; paths in the file are relative to it */
    char *disk, *format;
    char *kernel, *initrd, *append;   /* NULL: the disk boots by itself */
    char *system;                     /* what is in it, for people */
    char *user;                       /* whose session the agent runs in */
    char *qemu, *glue, *daemon;       /* NULL: found */
    char *display;                    /* NULL: the desktop's */
    char *share;                      /* a folder; NULL: none */
    unsigned int memory;              /* MiB; 0: by the host */
    unsigned int cpus;                /* 0: by the host */
    unsigned int accel;               /* enum vwl_accel */
    unsigned int net;                 /* enum vwl_net */
    unsigned int sound;               /* enum vwl_sound */
    char *clipboard, *primary, *drag; /* NULL: the daemon's default */
    char *allow, *deny;               /* interfaces, with commas */
    unsigned int links;               /* enum vwl_answer */
    bool notifications, apps;
};

enum vwl_setting_group {
    VWL_SETTING_MACHINE, /* of the machine itself: next start */
    VWL_SETTING_POLICY,  /* of what its guest may do */
};

struct vwl_setting {
    const char *name;
    enum vwl_setting_group group;
    bool at_once; /* a machine that runs takes it without a new start */
    const char *value, *initial, *help;
};

/* The table, ended by one without a name. */
const struct vwl_setting *vwl_settings(void);

/* The setting of that name, else NULL with *error, which names the nearest. */
const struct vwl_setting *vwl_setting_find(const char *name, GError **error);

/* A machine with nothing set; free with vwl_machine_free. */
struct vwl_machine *vwl_machine_new(const char *name, const char *folder);
void vwl_machine_free(struct vwl_machine *machine);

/* Sets one from text; "" is the default again. False with *error, which says
 * what it must be, and then nothing has changed. */
bool vwl_machine_set(struct vwl_machine *machine, const char *name,
                     const char *text, GError **error);

/* The text of a setting; the caller frees. "" where nothing was set. */
char *vwl_machine_get(const struct vwl_machine *machine, const char *name);

/* Its file. Reading fails with *error, which names file, line or key. */
struct vwl_machine *vwl_machine_load(const char *folder, GError **error);
bool vwl_machine_save(const struct vwl_machine *machine, GError **error);

/* A path of the settings, made absolute; the caller frees. NULL for NULL. */
char *vwl_machine_path(const struct vwl_machine *machine, const char *path);

#endif
