/* SPDX-License-Identifier: BSD-3-Clause */
#include <gio/gio.h>
#include <stdbool.h>
#include <string.h>

#include "channel/bounds.h"
#include "channel/text.h"
#include "links.h"

static bool is_plain(const char *link)
{
    size_t len = 0;

    for (; link[len]; len++) {
        if (!g_ascii_isgraph(link[len]) || strchr("\"<>\\^`{|}", link[len])) {
            return false;
        }
    }
    return len > 0 && len < VWL_MAX_OPEN_BYTES;
}

static const char *web_wrong(GUri *uri)
{
    const char *host = g_uri_get_host(uri);

    if (!host || !host[0]) {
        return "without a host";
    }
    return g_uri_get_userinfo(uri) ? "with a user in it" : NULL;
}

/* attach= and the like would send files of the host. */
static const char *mail_wrong(GUri *uri)
{
    static const char *const allowed[] = { "subject", "body", "cc",
                                           "bcc",     "to",   NULL };
    const char *query = g_uri_get_query(uri);
    g_auto(GStrv) fields = g_strsplit(query ? query : "", "&", -1);

    for (char **field = fields; *field; field++) {
        g_autofree char *key = g_ascii_strdown(*field,
                                               (gssize)strcspn(*field, "="));

        if (key[0] && !g_strv_contains(allowed, key)) {
            return "with more than a subject and a body";
        }
    }
    return NULL;
}

static bool is_scheme(GUri *uri, const char *scheme)
{
    return g_str_equal(g_uri_get_scheme(uri), scheme);
}

const char *vwl_link_wrong(const char *link)
{
    g_autoptr(GUri) uri = NULL;

    if (!is_plain(link)) {
        return "not a link";
    }
    uri = g_uri_parse(link, G_URI_FLAGS_ENCODED | G_URI_FLAGS_HAS_PASSWORD,
                      NULL);
    if (!uri) {
        return "not a link";
    }
    if (is_scheme(uri, "mailto")) {
        return mail_wrong(uri);
    }
    if (!is_scheme(uri, "http") && !is_scheme(uri, "https")) {
        return "neither http, https nor mailto";
    }
    return web_wrong(uri);
}

char *vwl_link_detail(const char *link)
{
    g_autoptr(GUri) uri = g_uri_parse(link, G_URI_FLAGS_ENCODED, NULL);
    const char *what = uri ? g_uri_get_host(uri) : NULL;

    if (uri && !what) {
        what = g_uri_get_path(uri);
    }
    return vwl_text(what, VWL_MAX_TITLE_CHARS);
}

static void on_opened(GObject *source, GAsyncResult *result, gpointer data)
{
    if (!g_app_info_launch_default_for_uri_finish(result, NULL)) {
        g_message("a link was not opened: the host has no program for it");
    }
}

void vwl_link_open(const char *link)
{
    g_app_info_launch_default_for_uri_async(link, NULL, NULL, on_opened, NULL);
}
