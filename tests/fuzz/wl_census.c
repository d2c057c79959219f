/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counts again what the core keeps in sums: between any two operations they
 * agree with the parts, stay within the limits, and the core has no VFD that
 * nobody can name any more.
 */
#include "wl_world.h"

#include "wl/inbox/messages.h"
#include "wl/kinds/ctx.h"
#include "wl/kinds/kinds.h"
#include "wl/kinds/memory.h"
#include "wl/outbox/outbox.h"
#include "wl/outbox/parcel.h"
#include "wl/state.h"
#include "wl/vfd.h"

struct sums {
    unsigned int vfds, contexts, waiting;
    uint64_t shm_bytes, pages_bytes, outbox_bytes;
};

static void count_outbox(const struct vwl_outbox *outbox, struct sums *sums)
{
    unsigned int n = outbox->held ? outbox->held->n : 0;

    for (const struct vwl_parcel *p = outbox->first; p; p = p->next) {
        fuzz_check(p->at >= outbox->at && p->at <= outbox->at + outbox->len);
        n += p->n;
    }
    fuzz_check(n == outbox->n_fds && n <= VWL_OUTBOX_FDS);
    fuzz_check(outbox->start + outbox->len <= outbox->cap);
    sums->outbox_bytes += outbox->len;
}

static void count_vfd(const struct vwl_vfd *vfd, struct sums *sums)
{
    unsigned int n = 0;

    for (const struct vwl_request *r = vfd->first_wait; r; r = r->next) {
        n++;
    }
    fuzz_check(n == vfd->n_waiting);
    sums->vfds++;
    sums->contexts += vfd->ops->is_context;
    sums->waiting += n + (vfd->creating != NULL);
    if (vfd->ops == &vwl_shm_ops || vfd->ops == &vwl_dmabuf_ops ||
        vfd->ops == &vwl_pages_ops) {
        sums->shm_bytes += vwl_memory_of_const(vfd)->charged_bytes;
    }
    if (vfd->ops == &vwl_pages_ops) {
        sums->pages_bytes += vwl_memory_of_const(vfd)->charged_bytes;
    }
    count_outbox(&vfd->outbox, sums);
}

static void on_message(void *opaque, const struct vwl_message_view *view)
{
    if (view->kind == VWL_MESSAGE_NEW) {
        g_hash_table_add(opaque, view->fresh);
    }
}

static bool any_message_waits(const struct vwl_core *core)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, core->vfds);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        struct vwl_vfd *vfd = value;

        if (vfd->ops == &vwl_ctx_ops && vwl_ctx_of(vfd)->received) {
            return true;
        }
    }
    return false;
}

/* The guest has it, has asked for it, or will be told. */
static void check_names(struct world *world, GHashTable *told)
{
    bool waits = any_message_waits(world->core);
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_iter_init(&iter, world->core->vfds);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        const struct vwl_vfd *vfd = value;

        fuzz_check(GPOINTER_TO_UINT(key) == vfd->id);
        if (vfd->life == VWL_VFD_KNOWN) {
            fuzz_check(world->lost_track ||
                       g_hash_table_contains(world->known, key));
        } else {
            fuzz_check(vfd->creating || waits ||
                       g_hash_table_contains(told, vfd));
        }
    }
}

/* What the front-end has mapped for this life of the guest is what is taken of
 * the window, unless it was asked for something and did not answer yet. */
static void check_window(struct world *world)
{
    const struct vwl_maps *maps = &world->core->maps;
    uint64_t used = 0;

    if (world->front.answers->len > 0 || maps->n_restored > 0) {
        return;
    }
    for (guint i = 0; i < world->front.ranges->len; i++) {
        const struct wl_front_range *range = &g_array_index(
            world->front.ranges, struct wl_front_range, i);

        used += range->old ? 0 : range->len;
    }
    fuzz_check(maps->window.size_bytes - maps->window.free_bytes == used);
}

void world_census(struct world *world)
{
    struct vwl_core *core = world->core;
    struct sums sums = { 0 };
    GHashTable *told = g_hash_table_new(NULL, NULL);
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, core->vfds);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        count_vfd(value, &sums);
    }
    for (struct vwl_list *l = core->lingering.next; l != &core->lingering;
         l = l->next) {
        count_vfd(vwl_list_entry(l, struct vwl_vfd, lingering), &sums);
    }
    fuzz_check(core->n_vfds == sums.vfds);
    fuzz_check(core->n_vfds <= core->config.max_vfds);
    fuzz_check(core->n_contexts == sums.contexts);
    fuzz_check(core->n_contexts <= core->config.max_contexts);
    fuzz_check(core->shm_bytes == sums.shm_bytes);
    fuzz_check(core->pages_bytes == sums.pages_bytes);
    fuzz_check(core->outbox_bytes == sums.outbox_bytes);
    fuzz_check(core->in_flight == sums.waiting);
    fuzz_check(core->in_flight == world->n_pending);
    vwl_messages_visit(&core->messages, on_message, told);
    check_names(world, told);
    g_hash_table_unref(told);
    check_window(world);
}
