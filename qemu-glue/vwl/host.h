/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: find on this host what a machine needs: QEMU, the glue for exactly
 * that QEMU, the daemon, KVM, the compositor's socket, the sound server's, how
 * many processors and how much memory there is.
 *
 * What a machine's settings name is taken, and not looked for.
 * Ownership: the host owns its strings. It starts QEMU for a moment, to ask
 * for its version, and once for each boot to try KVM: call it where that may
 * take a second.
 */
#ifndef VWL_HOST_H
#define VWL_HOST_H

#include <glib.h>
#include <stdbool.h>

#include "machine.h"

/* In a machine's folder, while its guest is to be given the kit. */
#define VWL_KIT_DISK "kit.img"

struct vwl_host {
    char *qemu;    /* absolute */
    char *version; /* "7.2.22"; NULL if it does not say and glue is named */
    char *glue, *daemon;
    char *display;
    char *sound;              /* NULL: no server */
    char *share;              /* the folder, its links followed; NULL: none */
    char *virtiofsd, *sharer; /* with a share */
    char *kit;                /* a disk with the guest's kit; NULL: none */
    bool screen;      /* QEMU shows the machine's own, for the kit's sake */
    bool kvm;         /* is used */
    char *why_no_kvm; /* "WHAT; NEXT STEP", NULL with KVM or if not wanted */
    unsigned int cpus, memory; /* for the guest; memory in MiB */
};

/* Each of them alone, for `vwl doctor`; NULL or false with *error. The strings
 * are the caller's. */
char *vwl_host_qemu(const char *wanted, GError **error);
char *vwl_host_qemu_version(const char *qemu, GError **error);
char *vwl_host_glue(const char *version, GError **error);
char *vwl_host_daemon(const char *wanted, GError **error);
char *vwl_host_display(const char *wanted, GError **error);
char *vwl_host_sound(void);
char *vwl_host_share(const char *folder, GError **error);
char *vwl_host_virtiofsd(GError **error);
/* Whether QEMU can open windows: a package of its own. */
bool vwl_host_can_show(void);
bool vwl_host_kvm(const char *qemu, GError **error);

/* All of it. False with *error if something is missing that has to be there;
 * finish in any case. */
bool vwl_host_find(struct vwl_host *host, const struct vwl_machine *machine,
                   GError **error);
void vwl_host_finish(struct vwl_host *host);

#endif
