/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/inbox/share.h"

#include "wl/state.h"
#include "wl/vfd.h"

struct vwl_lend {
    struct vwl_list link;   /* of vwl_share.lent or unlent */
    struct vwl_list of_vfd; /* of vwl_vfd.lends */
    struct vwl_lend *next;  /* in its bucket */
    struct vwl_vfd *vfd;
    uint64_t token;
};

static struct vwl_lend **share_bucket(struct vwl_share *share, uint64_t token)
{
    uint64_t hash = token * UINT64_C(0x9e3779b97f4a7c15);

    return &share->buckets[(hash >> 32) & (share->n_buckets - 1)];
}

static void lend_end(struct vwl_share *share, struct vwl_lend *lend)
{
    struct vwl_lend **at = share_bucket(share, lend->token);

    while (*at != lend) {
        at = &(*at)->next;
    }
    *at = lend->next;
    lend->vfd->n_lent--;
    lend->vfd = NULL;
    vwl_list_remove(&lend->of_vfd);
    vwl_list_remove(&lend->link);
    vwl_list_insert(&share->unlent, &lend->link);
    share->n_lent--;
}

static void lend_oldest_end(struct vwl_share *share)
{
    lend_end(share, vwl_list_entry(share->lent.next, struct vwl_lend, link));
}

static struct vwl_lend *lend_find(struct vwl_share *share, uint64_t token)
{
    struct vwl_lend *lend;

    if (!share->ring_size) {
        return NULL;
    }
    for (lend = *share_bucket(share, token); lend; lend = lend->next) {
        if (lend->token == token) {
            return lend;
        }
    }
    return NULL;
}

void vwl_share_use(struct vwl_share *share, struct vwl_vfd *vfd, uint64_t token)
{
    struct vwl_lend *lend = lend_find(share, token), **bucket;

    if (share->n_free > 0) {
        share->n_free--;
    }
    if (!vfd || !share->ring_size) {
        return;
    }
    if (lend) {
        lend_end(share, lend);
    } else if (vwl_list_is_empty(&share->unlent)) {
        lend_oldest_end(share);
    }
    lend = vwl_list_entry(share->unlent.next, struct vwl_lend, link);
    bucket = share_bucket(share, token);
    lend->token = token;
    lend->vfd = vfd;
    lend->next = *bucket;
    *bucket = lend;
    vwl_list_remove(&lend->link);
    vwl_list_insert(&share->lent, &lend->link);
    vwl_list_insert(&vfd->lends, &lend->of_vfd);
    vfd->n_lent++;
    share->n_lent++;
}

bool vwl_share_is_used_up(const struct vwl_share *share,
                          const struct vwl_vfd *vfd)
{
    return share->ring_size && vfd->n_lent > 0 && vfd->n_lent >= share->n_free;
}

void vwl_share_take_entitled(struct vwl_share *share, struct vwl_list *entitled)
{
    struct vwl_list *link = share->paused.next;

    while (link != &share->paused) {
        struct vwl_vfd *vfd = vwl_list_entry(link, struct vwl_vfd, paused);

        link = link->next;
        /* not at the first buffer, or each would register it again */
        if (vfd->n_lent == 0 || vfd->n_lent * 2 <= share->n_free) {
            vwl_list_remove(&vfd->paused);
            vwl_list_insert(entitled, &vfd->paused);
        }
    }
}

bool vwl_share_return(struct vwl_share *share, uint64_t token)
{
    struct vwl_lend *lend = lend_find(share, token);

    if (lend) {
        lend_end(share, lend);
    }
    return lend;
}

static void lends_free(struct vwl_share *share)
{
    while (share->n_lent > 0) {
        lend_oldest_end(share);
    }
    g_free(share->lends);
    g_free(share->buckets);
    share->lends = NULL;
    share->buckets = NULL;
    share->ring_size = 0;
    vwl_list_init(&share->unlent);
}

static void lends_resize(struct vwl_share *share, unsigned int ring_size)
{
    lends_free(share);
    share->n_buckets = 16;
    while (share->n_buckets < ring_size) {
        share->n_buckets *= 2;
    }
    share->lends = g_try_new0(struct vwl_lend, ring_size);
    share->buckets = g_try_new0(struct vwl_lend *, share->n_buckets);
    if (!share->lends || !share->buckets) {
        lends_free(share);
        return;
    }
    for (unsigned int i = 0; i < ring_size; i++) {
        vwl_list_init(&share->lends[i].of_vfd);
        vwl_list_insert(&share->unlent, &share->lends[i].link);
    }
    share->ring_size = ring_size;
}

void vwl_share_set_free(struct vwl_share *share, unsigned int n_free,
                        unsigned int ring_size)
{
    if (ring_size > 32768) {
        return;
    }
    if (ring_size != share->ring_size) {
        lends_resize(share, ring_size);
    }
    share->n_free = MIN(n_free, ring_size);
    /* fresh addresses came instead of old ones: nobody returns those */
    while (share->n_lent > share->ring_size - share->n_free) {
        lend_oldest_end(share);
    }
}

void vwl_share_forget(struct vwl_vfd *vfd)
{
    while (!vwl_list_is_empty(&vfd->lends)) {
        lend_end(&vfd->core->share,
                 vwl_list_entry(vfd->lends.next, struct vwl_lend, of_vfd));
    }
}

void vwl_share_init(struct vwl_share *share)
{
    vwl_list_init(&share->lent);
    vwl_list_init(&share->unlent);
    vwl_list_init(&share->paused);
}

void vwl_share_reset(struct vwl_share *share)
{
    lends_free(share);
    share->n_free = 0;
}
