/* SPDX-License-Identifier: BSD-3-Clause */
#include "target.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fail.h"
#include "folders.h"
#include "given.h"

char *vwl_target_name(const char *name, GError **error)
{
    char **names, *only = NULL;

    if (name) {
        if (!vwl_name_check(name, error)) {
            return NULL;
        }
        if (vwl_folder_has(name)) {
            return g_strdup(name);
        }
        vwl_fail(error, VWL_FAIL_NOT_FOUND,
                 "there is no machine '%s'; see: vwl list, or run: vwl create "
                 "%s",
                 name, name);
        return NULL;
    }
    names = vwl_folder_names();
    if (g_strv_length(names) == 1) {
        only = g_strdup(names[0]);
    } else if (!names[0]) {
        vwl_fail(error, VWL_FAIL_NOT_FOUND,
                 "there are no machines; run: vwl create test");
    } else {
        vwl_fail(error, VWL_FAIL_USAGE,
                 "there are several machines; name one of them: vwl list");
    }
    g_strfreev(names);
    return only;
}

/* Said once and kept: a guest can write whatever it likes into a raw disk, the
 * head of a qcow2 image that names files of the host, too. */
static const char *format_of(const char *path, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char head[4] = { 0 };
    ssize_t n = fd < 0 ? -1 : read(fd, head, sizeof head);

    if (fd >= 0) {
        close(fd);
    }
    if (n != sizeof head) {
        vwl_fail(error, VWL_FAIL_NOT_FOUND,
                 "%s cannot be read as a disk; is it an image of one, and "
                 "yours?",
                 path);
        return NULL;
    }
    return memcmp(head, "QFI\xfb", 4) == 0 ? "qcow2" : "raw";
}

/* The machine that has this disk, for the second time that it is named. */
static struct vwl_machine *load_same(const char *name, const char *disk,
                                     GError **error)
{
    char *folder = vwl_folder_data(name);
    struct vwl_machine *machine = vwl_machine_load(folder, error);
    char *its = machine ? vwl_machine_path(machine, machine->disk) : NULL;

    if (machine && g_strcmp0(its, disk) != 0) {
        vwl_fail(error, VWL_FAIL_EXISTS,
                 "the machine '%s' has another disk; give this one a name: "
                 "--name=NAME",
                 name);
        vwl_machine_free(machine);
        machine = NULL;
    }
    g_free(its);
    g_free(folder);
    return machine;
}

static struct vwl_machine *for_disk(const char *path, const char *new_name,
                                    GError **error)
{
    char *disk = g_canonicalize_filename(path, NULL);
    char *name = new_name ? g_strdup(new_name) : vwl_name_of_file(disk);
    char *folder = vwl_folder_data(name);
    const char *format = format_of(disk, error);
    struct vwl_machine *machine = NULL;

    if (format && vwl_name_check(name, error)) {
        if (vwl_folder_has(name)) {
            machine = load_same(name, disk, error);
        } else {
            machine = vwl_machine_new(name, folder);
            machine->disk = g_strdup(disk);
            machine->format = g_strdup(format);
        }
    }
    g_free(folder);
    g_free(name);
    g_free(disk);
    return machine;
}

static struct vwl_machine *for_name(const char *name, GError **error)
{
    char *found = vwl_target_name(name, error);
    char *folder = found ? vwl_folder_data(found) : NULL;
    struct vwl_machine *machine = folder ? vwl_machine_load(folder, error)
                                         : NULL;

    g_free(folder);
    g_free(found);
    return machine;
}

struct vwl_machine *vwl_target_machine(const char *name_or_disk,
                                       const char *new_name, GError **error)
{
    char *const *given = vwl_given_settings();
    bool is_disk = name_or_disk &&
                   (strchr(name_or_disk, '/') || new_name ||
                    (!vwl_folder_has(name_or_disk) &&
                     g_file_test(name_or_disk, G_FILE_TEST_EXISTS)));
    struct vwl_machine *machine = is_disk
                                      ? for_disk(name_or_disk, new_name, error)
                                      : for_name(name_or_disk, error);

    for (size_t i = 0; machine && given[i]; i += 2) {
        const char *key = given[i], *value = given[i + 1];
        char *full = NULL;

        if (value[0] &&
            (strcmp(key, "kernel") == 0 || strcmp(key, "initrd") == 0 ||
             strcmp(key, "share") == 0)) {
            full = g_canonicalize_filename(value, NULL);
        }
        vwl_machine_set(machine, key, full ? full : value, NULL);
        g_free(full);
    }
    return machine;
}
