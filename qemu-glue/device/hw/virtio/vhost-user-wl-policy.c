/*
 * Vhost-user virtio-wl device: the host's sockets and what guests may do there
 *
 * Properties as words: wayland-sock, which has a grammar of its own (the one
 * of the daemon's --wayland-sock), and those of the Wayland policy.  Only for
 * a plugin in this process; a daemon has options.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/virtio/vhost-user-wl.h"

static const struct vwl_socket_policy no_policy = {
    .size = sizeof(no_policy),
    .kind = VWL_POLICY_NONE,
};

static const struct vwl_socket_policy play_policy = {
    .size = sizeof(play_policy),
    .kind = VWL_POLICY_PULSE,
};

static const struct vwl_socket_policy record_policy = {
    .size = sizeof(record_policy),
    .kind = VWL_POLICY_PULSE,
    .flags = VWL_POLICY_MAY_RECORD,
};

/* ---- sockets ---- */

/*
 * Up to a comma or semicolon that no backslash stands before; *at is then
 * there, or at the end.
 */
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
    *at = c;
    return g_string_free(word, false);
}

/* What was said of a socket. */
struct said {
    int kind; /* enum vwl_policy_kind, or -1 */
    bool record;
};

/* One word after the path. */
static bool property_take(struct vwl_socket *s, struct said *said,
                          const char *word, Error **errp)
{
    static const char *const kinds[] = {
        [VWL_POLICY_WAYLAND] = "policy=wayland",
        [VWL_POLICY_NONE] = "policy=none",
        [VWL_POLICY_PULSE] = "policy=pulse",
    };

    if (g_str_has_prefix(word, "name=") && !s->name) {
        s->name = g_strdup(word + strlen("name="));
        return true;
    }
    if (g_str_equal(word, "record") && !said->record) {
        said->record = true;
        return true;
    }
    for (int i = 0; said->kind < 0 && i < ARRAY_SIZE(kinds); i++) {
        if (g_str_equal(word, kinds[i])) {
            said->kind = i;
            return true;
        }
    }
    error_setg(errp,
               "wayland-sock: '%s' after '%s': expected one name=NAME, one "
               "policy= with wayland, pulse or none, or one record",
               word, s->path);
    return false;
}

/* What is said; else a Wayland display is held to the policy. */
static bool policy_find(const VHostUserWLPolicy *p, const struct vwl_socket *s,
                        const struct said *said,
                        const struct vwl_socket_policy **policy, Error **errp)
{
    g_autofree char *file = g_path_get_basename(s->path);

    *policy = said->kind == VWL_POLICY_NONE    ? &no_policy
              : said->kind != VWL_POLICY_PULSE ? &p->policy
              : said->record                   ? &record_policy
                                               : &play_policy;
    if (said->record && said->kind != VWL_POLICY_PULSE) {
        error_setg(errp,
                   "wayland-sock: record after '%s' goes with policy=pulse",
                   s->path);
        return false;
    }
    if (said->kind >= 0 || !*s->name || g_str_has_prefix(file, "wayland-")) {
        return true;
    }
    error_setg(errp,
               "wayland-sock: '%s' has a name, and is not called wayland-*: "
               "say policy=wayland if it is a compositor's, policy=pulse if "
               "it is PulseAudio's, or policy=none, and guests may do all "
               "that its clients may",
               s->path);
    return false;
}

static bool socket_take(VHostUserWLPolicy *p, const char **at, Error **errp)
{
    struct vwl_socket s = { .path = word_take(at) };
    const struct vwl_socket_policy *policy = &p->policy;
    struct said said = { .kind = -1 };
    bool ok = *s.path;

    if (!ok) {
        error_setg(errp, "wayland-sock: empty path");
    }
    while (ok && **at == ',') {
        g_autofree char *word = NULL;

        (*at)++;
        word = word_take(at);
        ok = property_take(&s, &said, word, errp);
    }
    if (!s.name) {
        s.name = g_strdup("");
    }
    ok = ok && policy_find(p, &s, &said, &policy, errp);
    g_array_append_val(p->sockets, s);
    g_array_append_val(p->policies, policy);
    return ok;
}

static bool sockets_parse(VHostUserWLPolicy *p, const char *list, Error **errp)
{
    while (socket_take(p, &list, errp)) {
        if (!*list) {
            return true;
        }
        list++;
    }
    return false;
}

/* As a Wayland client finds its compositor. */
static bool sockets_default(VHostUserWLPolicy *p, Error **errp)
{
    const struct vwl_socket_policy *policy = &p->policy;
    const char *display = getenv("WAYLAND_DISPLAY");
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    struct vwl_socket s;

    if (!display || !*display) {
        display = "wayland-0";
    }
    if (*display != '/' && (!runtime || !*runtime)) {
        error_setg(errp, "vhost-user-wl: no compositor is known: give "
                         "wayland-sock=PATH, or set XDG_RUNTIME_DIR");
        return false;
    }
    s.name = g_strdup("");
    s.path = *display == '/' ? g_strdup(display)
                             : g_build_filename(runtime, display, NULL);
    g_array_append_val(p->sockets, s);
    g_array_append_val(p->policies, policy);
    return true;
}

/* ---- the policy ---- */

static bool word_find(const char *property, const char *value,
                      const char *const *words, uint32_t *found, Error **errp)
{
    g_autofree char *all = NULL;

    if (!value) {
        return true;
    }
    for (uint32_t i = 0; words[i]; i++) {
        if (g_str_equal(words[i], value)) {
            *found = i;
            return true;
        }
    }
    all = g_strjoinv(", ", (char **)words);
    error_setg(errp, "vhost-user-wl: %s=%s: expected one of %s", property,
               value, all);
    return false;
}

/* A comma in a property would have to be doubled: semicolons will do, too. */
static char *list_of(const char *given)
{
    return given ? g_strdelimit(g_strdup(given), ";", ',') : NULL;
}

bool vhost_user_wl_policy_init(VHostUserWLPolicy *p,
                               const VHostUserWLConf *conf, Error **errp)
{
    /* In the order of enum vwl_transfer_way and vwl_security_context. */
    static const char *const ways[] = { "both", "to-guest", "from-guest",
                                        "off",  "ask",      NULL };
    static const char *const contexts[] = { "off", "auto", "require", NULL };

    *p = (VHostUserWLPolicy){
        .sockets = g_array_new(true, true, sizeof(struct vwl_socket)),
        .policies = g_array_new(true, true, sizeof(void *)),
        .security_context = VWL_SECURITY_CONTEXT_AUTO,
        .policy = {
            .size = sizeof(p->policy),
            .allow = list_of(conf->allow),
            .deny = list_of(conf->deny),
            .title_prefix = conf->title_prefix,
            .app_id_prefix = conf->app_id_prefix,
            .file = conf->policy_file,
        },
    };
    return word_find("clipboard", conf->clipboard, ways, &p->policy.clipboard,
                     errp) &&
           word_find("primary", conf->primary, ways, &p->policy.primary,
                     errp) &&
           word_find("drag", conf->drag, ways, &p->policy.drag, errp) &&
           word_find("security-context", conf->security_context, contexts,
                     &p->security_context, errp) &&
           (conf->wayland_sock ? sockets_parse(p, conf->wayland_sock, errp)
                               : sockets_default(p, errp));
}

void vhost_user_wl_policy_finish(VHostUserWLPolicy *p)
{
    for (guint i = 0; i < p->sockets->len; i++) {
        struct vwl_socket *s = &g_array_index(p->sockets, struct vwl_socket, i);

        g_free((char *)s->name);
        g_free((char *)s->path);
    }
    g_array_unref(p->sockets);
    g_array_unref(p->policies);
    g_free((char *)p->policy.allow);
    g_free((char *)p->policy.deny);
}

/* A daemon has its own options; what is said here would not count. */
bool vhost_user_wl_policy_is_said(const VHostUserWLConf *conf)
{
    return conf->wayland_sock || conf->allow || conf->deny ||
           conf->policy_file || conf->title_prefix || conf->app_id_prefix ||
           conf->clipboard || conf->primary || conf->drag || conf->vm_name ||
           conf->security_context;
}
