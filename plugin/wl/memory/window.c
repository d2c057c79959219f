/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/memory/window.h"

#include <errno.h>
#include <glib.h>
#include <stdbool.h>

#include "base/page.h"

struct vwl_window_range {
    uint64_t offset;
    uint64_t len;
    uint64_t longest; /* in the subtree */
    uint32_t priority;
    struct vwl_window_range *left;
    struct vwl_window_range *right;
};

static uint64_t node_longest(const struct vwl_window_range *node)
{
    return node ? node->longest : 0;
}

static void node_refresh(struct vwl_window_range *node)
{
    uint64_t longest = node->len;

    longest = MAX(longest, node_longest(node->left));
    longest = MAX(longest, node_longest(node->right));
    node->longest = longest;
}

static struct vwl_window_range *node_merge(struct vwl_window_range *low,
                                           struct vwl_window_range *high)
{
    if (!low || !high) {
        return low ? low : high;
    }
    if (low->priority >= high->priority) {
        low->right = node_merge(low->right, high);
        node_refresh(low);
        return low;
    }
    high->left = node_merge(low, high->left);
    node_refresh(high);
    return high;
}

static void node_split(struct vwl_window_range *node, uint64_t offset,
                       struct vwl_window_range **low,
                       struct vwl_window_range **high)
{
    if (!node) {
        *low = NULL;
        *high = NULL;
    } else if (node->offset < offset) {
        node_split(node->right, offset, &node->right, high);
        *low = node;
        node_refresh(node);
    } else {
        node_split(node->left, offset, low, &node->left);
        *high = node;
        node_refresh(node);
    }
}

static struct vwl_window_range *node_pop_last(struct vwl_window_range **tree)
{
    struct vwl_window_range *node = *tree;

    if (node->right) {
        struct vwl_window_range *last = node_pop_last(&node->right);

        node_refresh(node);
        return last;
    }
    *tree = node->left;
    return node;
}

static struct vwl_window_range *node_pop_first(struct vwl_window_range **tree)
{
    struct vwl_window_range *node = *tree;

    if (node->left) {
        struct vwl_window_range *first = node_pop_first(&node->left);

        node_refresh(node);
        return first;
    }
    *tree = node->right;
    return node;
}

static struct vwl_window_range *window_cut(struct vwl_window_range *node,
                                           uint64_t len, uint64_t *offset)
{
    if (node_longest(node->left) >= len) {
        node->left = window_cut(node->left, len, offset);
    } else if (node->len >= len) {
        *offset = node->offset;
        node->offset += len;
        node->len -= len;
        if (node->len == 0) {
            struct vwl_window_range *rest = node_merge(node->left, node->right);

            g_free(node);
            return rest;
        }
    } else {
        node->right = window_cut(node->right, len, offset);
    }
    node_refresh(node);
    return node;
}

static struct vwl_window_range *range_create(struct vwl_window *window,
                                             uint64_t offset, uint64_t len)
{
    struct vwl_window_range *node = g_new0(struct vwl_window_range, 1);

    /* xorshift32: balance does not depend on the order of requests */
    window->seed ^= window->seed << 13;
    window->seed ^= window->seed >> 17;
    window->seed ^= window->seed << 5;
    node->offset = offset;
    node->len = len;
    node->longest = len;
    node->priority = window->seed;
    return node;
}

static void node_free_all(struct vwl_window_range *node)
{
    if (node) {
        node_free_all(node->left);
        node_free_all(node->right);
        g_free(node);
    }
}

void vwl_window_init(struct vwl_window *window, uint64_t size_bytes)
{
    *window = (struct vwl_window){
        .size_bytes = size_bytes,
        .free_bytes = size_bytes,
        .seed = g_random_int() | 1,
    };
    window->root = range_create(window, 0, size_bytes);
}

void vwl_window_finish(struct vwl_window *window)
{
    node_free_all(window->root);
    window->root = NULL;
}

int vwl_window_alloc(struct vwl_window *window, uint64_t len_bytes,
                     uint64_t *offset)
{
    if (len_bytes == 0 || !vwl_page_is_aligned(len_bytes)) {
        return -EINVAL;
    }
    if (node_longest(window->root) < len_bytes) {
        return -ENOSPC;
    }
    window->root = window_cut(window->root, len_bytes, offset);
    window->free_bytes -= len_bytes;
    return 0;
}

static bool window_has_range(const struct vwl_window *window, uint64_t offset,
                             uint64_t len_bytes)
{
    return len_bytes > 0 && vwl_page_is_aligned(offset | len_bytes) &&
           offset <= window->size_bytes &&
           len_bytes <= window->size_bytes - offset;
}

int vwl_window_take(struct vwl_window *window, uint64_t offset,
                    uint64_t len_bytes)
{
    struct vwl_window_range *low, *high, *node = NULL;
    uint64_t end = offset + len_bytes, free_end;

    if (!window_has_range(window, offset, len_bytes)) {
        return -EINVAL;
    }
    node_split(window->root, offset + 1, &low, &high);
    if (low) {
        node = node_pop_last(&low);
        node->left = node->right = NULL;
        node_refresh(node);
    }
    if (!node || node->offset + node->len < end) {
        window->root = node_merge(node_merge(low, node), high);
        return -EEXIST;
    }
    free_end = node->offset + node->len;
    if (node->offset < offset) {
        low = node_merge(low, range_create(window, node->offset,
                                           offset - node->offset));
    }
    if (end < free_end) {
        low = node_merge(low, range_create(window, end, free_end - end));
    }
    g_free(node);
    window->root = node_merge(low, high);
    window->free_bytes -= len_bytes;
    return 0;
}

int vwl_window_free(struct vwl_window *window, uint64_t offset,
                    uint64_t len_bytes)
{
    struct vwl_window_range *low, *high, *before = NULL, *after = NULL;
    uint64_t end = offset + len_bytes;

    if (!window_has_range(window, offset, len_bytes)) {
        return -EINVAL;
    }
    node_split(window->root, offset, &low, &high);
    if (low) {
        before = node_pop_last(&low);
    }
    if (high) {
        after = node_pop_first(&high);
    }
    if ((before && before->offset + before->len > offset) ||
        (after && after->offset < end)) {
        if (before) {
            before->left = before->right = NULL;
            node_refresh(before);
            low = node_merge(low, before);
        }
        if (after) {
            after->left = after->right = NULL;
            node_refresh(after);
            high = node_merge(after, high);
        }
        window->root = node_merge(low, high);
        return -EINVAL;
    }
    window->free_bytes += len_bytes;
    if (before) {
        before->left = before->right = NULL;
        if (before->offset + before->len == offset) {
            offset = before->offset;
            g_free(before);
        } else {
            node_refresh(before);
            low = node_merge(low, before);
        }
    }
    if (after) {
        after->left = after->right = NULL;
        if (after->offset == end) {
            end += after->len;
            g_free(after);
        } else {
            node_refresh(after);
            high = node_merge(after, high);
        }
    }
    window->root = node_merge(node_merge(low, range_create(window, offset,
                                                           end - offset)),
                              high);
    return 0;
}
