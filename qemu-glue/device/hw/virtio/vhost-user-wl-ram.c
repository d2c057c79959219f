/*
 * Vhost-user virtio-wl device: the guest's RAM
 *
 * The back-end maps the guest's RAM by descriptors.  RAM that has none, or that
 * is not shared, would break the first ring or request that lies in it, so a
 * device does not start with such RAM, and says so when some is plugged later,
 * which nothing lets it refuse.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/units.h"
#include "hw/virtio/vhost-user-wl.h"

/* RAM of the guest's, unlike a device's own, comes from a memory backend. */
static bool ram_is_unshared(MemoryRegion *mr)
{
    return memory_region_is_ram(mr) &&
           object_dynamic_cast(memory_region_owner(mr), TYPE_MEMORY_BACKEND) &&
           (memory_region_get_fd(mr) < 0 || !qemu_ram_is_shared(mr->ram_block));
}

static void ram_added(MemoryListener *listener, MemoryRegionSection *section)
{
    VHostUserWL *s = container_of(listener, VHostUserWL, ram_listener);
    const char *id;

    if (!ram_is_unshared(section->mr)) {
        return;
    }
    /* One region may come in many sections, and again at each change. */
    id = object_get_canonical_path_component(memory_region_owner(section->mr));
    if (g_hash_table_add(s->unshared_ram, g_strdup(id)) && s->ram_checked) {
        error_report("%s: memory '%s' was plugged that is not shared with the "
                     "back-end: the device breaks when the guest's driver uses "
                     "it. It needs memory-backend-memfd (or -file) with "
                     "share=on",
                     s->name, id);
    }
}

bool vhost_user_wl_ram_watch(VHostUserWL *s, Error **errp)
{
    MachineState *machine = MACHINE(qdev_get_machine());
    GHashTableIter iter;
    gpointer id;

    s->unshared_ram = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                            NULL);
    s->ram_checked = false;
    s->ram_listener = (MemoryListener){
        .name = "vhost-user-wl",
        .region_add = ram_added,
        .priority = 10, /* that of other back-ends */
    };
    memory_listener_register(&s->ram_listener, &address_space_memory);
    s->ram_checked = true;
    if (g_hash_table_size(s->unshared_ram) == 0) {
        return true;
    }

    g_hash_table_iter_init(&iter, s->unshared_ram);
    g_hash_table_iter_next(&iter, &id, NULL);
    error_setg(errp,
               "vhost-user-wl: guest RAM is not shared with the back-end: '%s'",
               (char *)id);
    if (machine->ram && ram_is_unshared(machine->ram)) {
        error_append_hint(errp,
                          "Add: -object memory-backend-memfd,id=mem,"
                          "size=%" PRIu64 "M,share=on -machine "
                          "memory-backend=mem\n",
                          (uint64_t)machine->ram_size / MiB);
    } else {
        error_append_hint(errp, "It needs memory-backend-memfd (or -file) with "
                                "share=on.\n");
    }
    vhost_user_wl_ram_unwatch(s);
    return false;
}

void vhost_user_wl_ram_unwatch(VHostUserWL *s)
{
    memory_listener_unregister(&s->ram_listener);
    g_clear_pointer(&s->unshared_ram, g_hash_table_destroy);
}
