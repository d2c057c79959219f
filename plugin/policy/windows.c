/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What windows the client has: for a person who asks what a guest shows. Text
 * is clean, short and counted; a window for which there is no memory is shown
 * as the others, and not listed.
 */
#include "policy/filter_priv.h"

#define MAX_TEXT_BYTES 128u
#define MAX_WINDOWS 256u

struct shown {
    uint32_t toplevel;
    char *title, *app_id; /* NULL: not said yet */
};

/* Whatever it says: so much is counted for each. */
#define WINDOW_BYTES ((int64_t)sizeof(struct shown) + 2 * (MAX_TEXT_BYTES + 1))

static bool charge(struct vwl_filter *filter, int64_t bytes)
{
    return !filter->ops->charge || filter->ops->charge(filter->opaque, bytes);
}

static struct shown *find(const struct vwl_filter *filter, uint32_t toplevel,
                          guint *at)
{
    for (guint i = 0; filter->windows && i < filter->windows->len; i++) {
        struct shown *one = &g_array_index(filter->windows, struct shown, i);

        if (one->toplevel == toplevel) {
            *at = i;
            return one;
        }
    }
    return NULL;
}

void windows_add(struct vwl_filter *filter, uint32_t toplevel)
{
    const struct shown one = { .toplevel = toplevel };

    windows_forget(filter, toplevel);
    if (!filter->windows) {
        filter->windows = g_array_new(FALSE, FALSE, sizeof one);
    }
    if (filter->windows->len < MAX_WINDOWS && charge(filter, WINDOW_BYTES)) {
        g_array_append_val(filter->windows, one);
    }
}

void windows_text(struct vwl_filter *filter, uint32_t toplevel, bool is_title,
                  const char *text, size_t len)
{
    guint at;
    struct shown *one = find(filter, toplevel, &at);
    char **to = one ? (is_title ? &one->title : &one->app_id) : NULL;
    GString *clean;

    if (to) {
        clean = g_string_new(NULL);
        marks_clean(clean, text, len, MAX_TEXT_BYTES);
        g_free(*to);
        *to = g_string_free(clean, FALSE);
    }
}

static void drop(struct vwl_filter *filter, guint at)
{
    struct shown *one = &g_array_index(filter->windows, struct shown, at);

    g_free(one->title);
    g_free(one->app_id);
    g_array_remove_index(filter->windows, at);
    charge(filter, -WINDOW_BYTES);
}

void windows_forget(struct vwl_filter *filter, uint32_t toplevel)
{
    guint at;

    if (find(filter, toplevel, &at)) {
        drop(filter, at);
    }
}

void windows_finish(struct vwl_filter *filter)
{
    while (filter->windows && filter->windows->len) {
        drop(filter, filter->windows->len - 1);
    }
    g_clear_pointer(&filter->windows, g_array_unref);
}

void vwl_filter_windows(const struct vwl_filter *filter, GString *lines)
{
    for (guint i = 0; filter->windows && i < filter->windows->len; i++) {
        const struct shown *one = &g_array_index(filter->windows, struct shown,
                                                 i);

        g_string_append_printf(lines, "%s\t%s\n",
                               one->app_id ? one->app_id : "",
                               one->title ? one->title : "");
    }
}
