/*
 * Vhost-user virtio-wl device: what QEMU's -plugin loads
 *
 * The device itself is a second file, which shares structs with the QEMU that
 * it was compiled for and is of no use to any other. This one decides whether
 * the second is loaded at all, so it knows nothing of QEMU's headers:
 *
 *  - is this the build of QEMU that the device was compiled for?  Asked by a
 *    constructor, since QEMU may refuse another version's glue on its own
 *    before it calls anything, with fewer words;
 *  - is the device's file whole?
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VISIBLE __attribute__((visibility("default")))

/* As QEMU's QAPI has them since 2.0. */
struct version_triple {
    int64_t major, minor, micro;
};

struct version_info {
    struct version_triple *qemu;
    char *package;
};

typedef struct version_info *(*query_version_fn)(void **errp);
typedef int (*device_start_fn)(int argc, char **argv);

VISIBLE int qemu_plugin_version = PLUGIN_API;
VISIBLE int qemu_plugin_install(uint64_t id, const void *info, int argc,
                                char **argv);

static void refuse(const char *what, const char *detail)
{
    dprintf(2,
            "%s: vhost-user-wl: %s%s; for this QEMU build the glue "
            "again: " REBUILD " --qemu=%s\n",
            program_invocation_short_name, what, detail,
            program_invocation_name);
    exit(1);
}

/* "7.2.22 (Debian 1:7.2+dfsg-7)", as --version has it. */
static void check_version(query_version_fn query)
{
    struct version_info *v = query(NULL);
    char banner[256];

    snprintf(banner, sizeof banner, *v->package ? "%d.%d.%d (%s)" : "%d.%d.%d",
             (int)v->qemu->major, (int)v->qemu->minor, (int)v->qemu->micro,
             v->package);
    if (strcmp(banner, BANNER) != 0) {
        refuse("this glue is for QEMU " BANNER ", and this is ", banner);
    }
}

/*
 * A build of QEMU holds a string that is like no other build's, by which it
 * knows its modules.  The program comes first of all objects.
 */
static int find_stamp(struct dl_phdr_info *program, size_t size, void *stamp)
{
    for (int i = 0; i < program->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &program->dlpi_phdr[i];

        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_R) &&
            memmem((void *)(program->dlpi_addr + segment->p_vaddr),
                   segment->p_filesz, stamp, strlen(stamp)) != NULL) {
            return 1;
        }
    }
    (void)size;
    return -1;
}

__attribute__((constructor)) static void check_qemu(void)
{
    query_version_fn query = dlsym(RTLD_DEFAULT, "qmp_query_version");

    /* Somebody else looks at this file. */
    if (query == NULL) {
        return;
    }
    check_version(query);
    if (*STAMP && dl_iterate_phdr(find_stamp, STAMP) < 0) {
        refuse("this glue is for another build of QEMU " BANNER, "");
    }
}

/* The usual CRC-32. */
static uint32_t file_crc(int fd, size_t *size)
{
    uint32_t crc = ~0u;
    uint8_t piece[4096];
    ssize_t n;

    while ((n = read(fd, piece, sizeof piece)) > 0) {
        *size += n;
        for (ssize_t i = 0; i < n; i++) {
            crc ^= piece[i];
            for (int bit = 0; bit < 8; bit++) {
                crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
            }
        }
    }
    return ~crc;
}

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
    char path[PATH_MAX];
    device_start_fn start;
    size_t size = 0;
    Dl_info self;
    char *slash;
    void *so;
    int fd;

    (void)id;
    (void)info;
    if (!dladdr((void *)refuse, &self) ||
        !(slash = strrchr(strncpy(path, self.dli_fname,
                                  sizeof path - sizeof DEVICE_FILE - 1),
                          '/'))) {
        refuse("no folder in the glue's name", "");
    }
    strcpy(slash + 1, DEVICE_FILE);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || file_crc(fd, &size) != DEVICE_CRC || size != DEVICE_SIZE) {
        refuse("missing or damaged: ", path);
    }
    close(fd);
    so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    start = so ? (device_start_fn)dlsym(so, "wl_glue_start") : NULL;
    if (start == NULL) {
        refuse("", dlerror());
    }
    return start(argc, argv);
}
