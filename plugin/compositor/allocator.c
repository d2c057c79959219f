/* SPDX-License-Identifier: BSD-3-Clause */
#include "compositor/allocator.h"

#include <glib.h>
#include <string.h>
#include <sys/stat.h>
#include <xf86drm.h>

#include "base/fd.h"
#include "compositor/alloc.h"

#define FIRST_RENDER_NODE 128
#define MAX_NODES 16

struct vwl_allocators {
    struct vwl_log *log;
    GPtrArray *list; /* of struct vwl_allocator, best first */
    bool is_auto;
};

static const struct vwl_allocator_ops *const kinds[] = {
#ifdef HAVE_GBM
    &vwl_allocator_gbm,
#endif
    &vwl_allocator_dumb,
    &vwl_allocator_udmabuf,
    &vwl_allocator_heap,
};

/* ---- opening ------------------------------------------------------------ */

static void allocator_free(gpointer data)
{
    struct vwl_allocator *allocator = data;

    if (allocator->ops->close) {
        allocator->ops->close(allocator);
    }
    vwl_fd_clear(&allocator->fd);
    g_free(allocator);
}

/* A compositor may name its GPU by either node. */
static void find_nodes(struct vwl_allocator *allocator)
{
    const int kinds_of_node[2] = { DRM_NODE_PRIMARY, DRM_NODE_RENDER };
    drmDevicePtr device;

    if (drmGetDevice2(allocator->fd, 0, &device) != 0) {
        return;
    }
    for (unsigned int i = 0; i < 2; i++) {
        struct stat st;

        if ((device->available_nodes & 1 << kinds_of_node[i]) &&
            stat(device->nodes[kinds_of_node[i]], &st) == 0) {
            allocator->nodes[i] = st.st_rdev;
        }
    }
    drmFreeDevice(&device);
}

static bool is_on_drm(const struct vwl_allocator_ops *ops)
{
    return ops != &vwl_allocator_udmabuf && ops != &vwl_allocator_heap;
}

static int add(struct vwl_allocators *set, const struct vwl_allocator_ops *ops,
               const char *path)
{
    struct vwl_allocator *allocator = g_new0(struct vwl_allocator, 1);
    int err;

    allocator->ops = ops;
    allocator->fd = -1;
    err = ops->open(allocator, path);
    if (err < 0) {
        g_free(allocator);
        return err;
    }
    if (is_on_drm(ops)) {
        find_nodes(allocator);
    }
    g_ptr_array_add(set->list, allocator);
    return 0;
}

static void node_path(char *path, size_t size, bool render, unsigned int index)
{
    g_snprintf(path, (gulong)size, "/dev/dri/%s%u", render ? "renderD" : "card",
               index + (render ? FIRST_RENDER_NODE : 0));
}

/* The first node that this kind can use, or all of them. */
static int add_nodes(struct vwl_allocators *set,
                     const struct vwl_allocator_ops *ops, bool all)
{
    bool render = ops != &vwl_allocator_dumb;
    int err = -ENODEV;
    char path[64];

    for (unsigned int i = 0; i < MAX_NODES; i++) {
        int one;

        node_path(path, sizeof path, render, i);
        one = add(set, ops, path);
        if (one == 0) {
            err = 0;
            if (!all) {
                break;
            }
        } else if (one != -ENOENT && err != 0) {
            err = one;
        }
    }
    return err;
}

static int open_kind(struct vwl_allocators *set,
                     const struct vwl_allocator_ops *ops, const char *path,
                     bool all)
{
    return !path && is_on_drm(ops) ? add_nodes(set, ops, all)
                                   : add(set, ops, path);
}

static int open_word(struct vwl_allocators *set, const char *word)
{
    const char *path = strchr(word, '=');
    size_t len = path ? (size_t)(path - word) : strlen(word);

    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (strlen(kinds[i]->name) == len &&
            memcmp(kinds[i]->name, word, len) == 0) {
            int err = open_kind(set, kinds[i], path ? path + 1 : NULL, false);

            if (err < 0) {
                log_host_bug(set->log, "dmabufs: %s cannot be opened: %s", word,
                             g_strerror(-err));
            }
            return err;
        }
    }
    log_host_bug(set->log, "dmabufs: '%s' is no allocator of this build", word);
    return -EINVAL;
}

static void open_all(struct vwl_allocators *set)
{
    set->is_auto = true;
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        open_kind(set, kinds[i], NULL, true);
    }
}

/* A copy of what stands before a comma or a semicolon; a backslash takes these,
 * and itself, as part of the word. *at is then behind it; NULL: all is read. */
static char *word_take(const char **at)
{
    GString *word = g_string_new(NULL);
    const char *c = *at;

    for (; *c && *c != ',' && *c != ';'; c++) {
        if (*c == '\\' && c[1] && strchr(",;\\", c[1])) {
            c++;
        }
        g_string_append_c(word, *c);
    }
    *at = *c ? c + 1 : NULL;
    return g_string_free(word, FALSE);
}

int vwl_allocators_open(const char *words, struct vwl_log *log,
                        struct vwl_allocators **out)
{
    struct vwl_allocators *set = g_new0(struct vwl_allocators, 1);
    int err = 0;

    set->log = log;
    set->list = g_ptr_array_new_with_free_func(allocator_free);
    if (words && strcmp(words, "auto") == 0) {
        open_all(set);
    } else if (words && *words && strcmp(words, "off") != 0) {
        while (words && err == 0) {
            char *word = word_take(&words);

            err = open_word(set, word);
            g_free(word);
        }
    }
    if (err < 0) {
        vwl_allocators_close(set);
        return err;
    }
    *out = set;
    return 0;
}

void vwl_allocators_close(struct vwl_allocators *set)
{
    if (set) {
        g_ptr_array_unref(set->list);
        g_free(set);
    }
}

/* ---- use ---------------------------------------------------------------- */

bool vwl_allocators_any(const struct vwl_allocators *set)
{
    return set && set->list->len > 0;
}

bool vwl_allocators_are_auto(const struct vwl_allocators *set)
{
    return set && set->is_auto;
}

const char *vwl_allocators_name(const struct vwl_allocators *set,
                                unsigned int index)
{
    const struct vwl_allocator *one;

    if (!set || index >= set->list->len) {
        return NULL;
    }
    one = g_ptr_array_index(set->list, index);
    return one->ops->name;
}

static int alloc_by(const struct vwl_allocators *set,
                    bool (*wanted)(const struct vwl_allocator *, dev_t),
                    dev_t device, const struct vwl_format *format,
                    const struct vwl_buffer_wish *wish, struct vwl_buffer *out)
{
    int err = -ENODEV;

    for (guint i = 0; i < set->list->len; i++) {
        struct vwl_allocator *one = g_ptr_array_index(set->list, i);

        if (wanted(one, device)) {
            err = one->ops->alloc(one, format, wish, out);
            if (err == 0 || err == -EMFILE) {
                return err;
            }
        }
    }
    return err;
}

static bool is_any(const struct vwl_allocator *one, dev_t device)
{
    return true;
}

static bool is_of(const struct vwl_allocator *one, dev_t device)
{
    return one->nodes[0] == device || one->nodes[1] == device;
}

static bool is_plain(const struct vwl_allocator *one, dev_t device)
{
    return !is_on_drm(one->ops);
}

int vwl_allocators_alloc(struct vwl_allocators *set, dev_t device,
                         const struct vwl_buffer_wish *wish,
                         struct vwl_buffer *out)
{
    const struct vwl_format *format = vwl_format_find(wish->format);
    struct vwl_buffer unused;
    int err;

    if (!format) {
        return -EINVAL;
    }
    err = vwl_format_layout(format, wish, 0, &unused);
    if (err < 0) {
        return err;
    }
    if (!set->is_auto || device == 0) {
        return alloc_by(set, is_any, device, format, wish, out);
    }
    err = alloc_by(set, is_of, device, format, wish, out);
    if (err < 0 && err != -EMFILE) {
        err = alloc_by(set, is_plain, device, format, wish, out);
    }
    return err;
}
