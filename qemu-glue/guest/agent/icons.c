/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>
#include <sys/stat.h>

#include "icons.h"

#ifdef VWL_GDK_PIXBUF
#include <gdk-pixbuf/gdk-pixbuf.h>

#define MAX_FILE_BYTES (16 << 20)
#define SMALLEST 64u

/* Where programs put their own icon: the first is every program's, the others
 * have those of desktops. Best sizes first. */
static const char *const themes[] = { "hicolor", "Adwaita", "breeze", "gnome" };
static const char *const sizes[] = { "scalable", "256x256", "512x512",
                                     "128x128",  "96x96",   "72x72",
                                     "64x64",    "48x48",   "32x32" };

/* Not one that this machine has no decoder for: it may have the same in
 * another format. */
static char *if_there(char *path)
{
    struct stat st;

    if (stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
        st.st_size <= MAX_FILE_BYTES &&
        gdk_pixbuf_get_file_info(path, NULL, NULL)) {
        return path;
    }
    g_free(path);
    return NULL;
}

/* folder/name.png or .svg */
static char *in_folder(const char *folder, const char *name)
{
    char *path = if_there(g_strdup_printf("%s/%s.png", folder, name));

    return path ? path : if_there(g_strdup_printf("%s/%s.svg", folder, name));
}

static char *below(const char *data, const char *name)
{
    char *path = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(themes) && !path; i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(sizes) && !path; j++) {
            g_autofree char *folder = g_strdup_printf("%s/icons/%s/%s/apps",
                                                      data, themes[i],
                                                      sizes[j]);

            path = in_folder(folder, name);
        }
    }
    if (!path) {
        g_autofree char *folder = g_strdup_printf("%s/pixmaps", data);

        path = in_folder(folder, name);
    }
    return path;
}

static char *find_name(const char *name)
{
    const char *const *folders = g_get_system_data_dirs();
    char *path;

    if (strchr(name, '/')) {
        return NULL;
    }
    path = below(g_get_user_data_dir(), name);
    for (; *folders && !path; folders++) {
        path = below(*folders, name);
    }
    return path;
}

static char *find_icon(GIcon *icon)
{
    char *path = NULL;

    if (G_IS_FILE_ICON(icon)) {
        path = g_file_get_path(g_file_icon_get_file(G_FILE_ICON(icon)));
        path = path ? if_there(path) : NULL;
    } else if (G_IS_THEMED_ICON(icon)) {
        const char *const *names = g_themed_icon_get_names(G_THEMED_ICON(icon));

        for (; *names && !path; names++) {
            path = find_name(*names);
        }
    }
    return path;
}

/* In the middle of a square, with alpha. */
static guint8 *square_of(const GdkPixbuf *picture, unsigned int side)
{
    unsigned int width = (unsigned int)gdk_pixbuf_get_width(picture);
    unsigned int height = (unsigned int)gdk_pixbuf_get_height(picture);
    size_t stride = (size_t)gdk_pixbuf_get_rowstride(picture);
    const guint8 *from = gdk_pixbuf_read_pixels(picture);
    guint8 *to;

    if (width > side || height > side) {
        return NULL;
    }
    to = g_malloc0((size_t)side * side * 4);
    for (unsigned int y = 0; y < height; y++) {
        size_t row = y + (side - height) / 2, column = (side - width) / 2;

        memcpy(to + (row * side + column) * 4, from + y * stride,
               (size_t)width * 4);
    }
    return to;
}

guint8 *vwl_icons_pixels(GIcon *icon, unsigned int side)
{
    g_autofree char *path = icon ? find_icon(icon) : NULL;
    g_autoptr(GdkPixbuf) picture = NULL, with_alpha = NULL;
    int width = 0, height = 0;

    if (!path || !gdk_pixbuf_get_file_info(path, &width, &height)) {
        return NULL;
    }
    if (side > SMALLEST && !g_str_has_suffix(path, ".svg") &&
        MAX(width, height) < (int)side) {
        return NULL;
    }
    picture = gdk_pixbuf_new_from_file_at_scale(path, (int)side, (int)side,
                                                TRUE, NULL);
    if (!picture || gdk_pixbuf_get_bits_per_sample(picture) != 8) {
        return NULL;
    }
    with_alpha = gdk_pixbuf_add_alpha(picture, FALSE, 0, 0, 0);
    return with_alpha ? square_of(with_alpha, side) : NULL;
}

#else

guint8 *vwl_icons_pixels(GIcon *icon, unsigned int side)
{
    return NULL;
}

#endif
