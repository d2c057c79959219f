/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A circular doubly-linked list that lives in its members. An empty link
 * points at itself, so removing one that is on no list is harmless.
 */
#ifndef VWL_BASE_LIST_H
#define VWL_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct vwl_list {
    struct vwl_list *next;
    struct vwl_list *prev;
};

#define vwl_list_entry(link, type, member) \
    ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void vwl_list_init(struct vwl_list *list)
{
    list->next = list;
    list->prev = list;
}

static inline bool vwl_list_is_empty(const struct vwl_list *list)
{
    return list->next == list;
}

/* Inserts link before `before`: at the end, when that is the list's head. */
static inline void vwl_list_insert(struct vwl_list *before,
                                   struct vwl_list *link)
{
    link->prev = before->prev;
    link->next = before;
    before->prev->next = link;
    before->prev = link;
}

static inline void vwl_list_remove(struct vwl_list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    vwl_list_init(link);
}

#endif
