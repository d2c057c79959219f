/* SPDX-License-Identifier: BSD-3-Clause */
#include "options.h"

#include <fcntl.h>
#include <grp.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "vhost-user-wl/vhost_user.h"

enum kind {
    FLAG,    /* bool */
    TEXT,    /* char * */
    PATH,    /* char *, as the file system has it */
    FD,      /* int */
    COUNT,   /* uint32_t */
    BYTES,   /* uint64_t */
    MODE,    /* mode_t, octal */
    NAMES,   /* char *: lists with commas, joined */
    CHOICE,  /* unsigned int: the place of the word among those of `value` */
    SOCKETS, /* struct vwl_socket_list */
};

#define AT(field) offsetof(struct vwl_options, field)

static const struct row {
    const char *name;
    char letter; /* 0: none */
    enum kind kind;
    size_t offset; /* of the value, in struct vwl_options */
    const char *help, *value;
} rows[] = {
    { "socket-path", 0, PATH, AT(socket_path), "Listen on this Unix socket",
      "PATH" },
    { "socket-mode", 0, MODE, AT(access.mode),
      "Permissions of that socket, octal (0600; with a group 0660)", "MODE" },
    { "socket-group", 0, TEXT, AT(group),
      "Group of that socket, whose members may be front-ends", "GROUP" },
    { "fd", 0, FD, AT(fd),
      "Use this descriptor: a listening or a connected socket (default: the "
      "one of a service manager, by LISTEN_FDS)",
      "N" },
    { "wayland-sock", 0, SOCKETS, AT(sockets),
      "Host sockets that guests may open (repeatable; default: "
      "$WAYLAND_DISPLAY)",
      "PATH[,name=NAME][,policy=wayland|pulse|none][,record][;...]" },
    { "name", 0, TEXT, AT(name),
      "The VM's name, for the compositor's app id org.vhost_user_wl.vm.NAME "
      "(unnamed)",
      "NAME" },
    { "security-context", 0, CHOICE, AT(config.security_context),
      "Whether compositors are told which connections are a guest's; "
      "'require' connects nowhere else (auto)",
      "off|auto|require" },
    { "allow", 0, NAMES, AT(allow),
      "Wayland interfaces that guests may use although they are off by default "
      "(repeatable)",
      "INTERFACE[,...]" },
    { "deny", 0, NAMES, AT(deny),
      "Wayland interfaces that guests may not use although they are on by "
      "default (repeatable)",
      "INTERFACE[,...]" },
    { "policy-file", 0, PATH, AT(policy.file),
      "A key file with the Wayland policy of this guest", "PATH" },
    { "title-prefix", 0, TEXT, AT(policy.title_prefix),
      "Put this before the titles of guests' windows", "TEXT" },
    { "app-id-prefix", 0, TEXT, AT(policy.app_id_prefix),
      "Put this before the application ids of guests' windows", "TEXT" },
    { "clipboard", 0, CHOICE, AT(policy.clipboard),
      "Which way the clipboard's content may go; 'ask' needs --control (both)",
      "both|to-guest|from-guest|off|ask" },
    { "primary", 0, CHOICE, AT(policy.primary),
      "The same of the middle button's (both)",
      "both|to-guest|from-guest|off|ask" },
    { "drag", 0, CHOICE, AT(policy.drag),
      "The same of what is dragged and dropped (both)",
      "both|to-guest|from-guest|off|ask" },
    { "control", 0, PATH, AT(control),
      "Listen here for who changes the policy at run time, answers what "
      "'ask' asks, and looks at windows and figures",
      "PATH" },
    { "plugin", 0, PATH, AT(plugin),
      "Load this plugin instead of the installed one", "PATH" },
    { "exit-on-disconnect", 0, FLAG, AT(exit_on_disconnect),
      "Serve one front-end, then end", NULL },
    { "max-vfds", 0, COUNT, AT(config.max_vfds),
      "Most virtual file descriptors (16384)", "N" },
    { "max-contexts", 0, COUNT, AT(config.max_contexts),
      "Most connections to host sockets (1024)", "N" },
    { "max-in-flight", 0, COUNT, AT(config.max_in_flight),
      "Most requests that wait for a peer (half a queue)", "N" },
    { "poll-us", 0, COUNT, AT(config.poll_us),
      "Look at the rings for so long before sleeping (0)", "MICROSECONDS" },
    { "max-shm-bytes", 0, BYTES, AT(config.max_shm_bytes),
      "Most shared memory, private copies included (the window)", "BYTES" },
    { "max-queued-bytes", 0, BYTES, AT(config.max_queued_bytes),
      "Most data held back for the guest (16 MiB)", "BYTES" },
    { "shm-window", 0, BYTES, AT(config.shm_window),
      "Length of the shared-memory region, a power of two (4 GiB)", "BYTES" },
    { "resource-bridge", 0, PATH, AT(resources),
      "Socket of crosvm's resource bridge: buffers and fences of this guest's "
      "virtio-gpu",
      "PATH" },
    { "dmabuf", 0, TEXT, AT(dmabufs),
      "What makes dmabufs for guests: auto, off, or a list of gbm[=PATH], "
      "dumb[=PATH], udmabuf, heap (auto)",
      "WORDS" },
    { "guest-pages", 0, FLAG, AT(guest_pages),
      "Let guests give pages of theirs to host peers without a copy, where "
      "this host has udmabuf",
      NULL },
    { "mem-slots", 0, FLAG, AT(mem_slots),
      "Offer memory slots (not for QEMU: it aborts)", NULL },
    { "sandbox", 0, CHOICE, AT(sandbox),
      "'off' keeps all rights of the user, to debug; 'require' does not start "
      "where a part of the sandbox is missing (on)",
      "on|off|require" },
    { "probe", 0, FLAG, AT(probe), "Print what the compositor offers and end",
      NULL },
    { "verbose", 'v', FLAG, AT(verbose), "Log debugging lines, too", NULL },
    { "print-capabilities", 0, FLAG, AT(print_capabilities),
      "Print the back-end's capabilities as JSON and end", NULL },
    { "version", 0, FLAG, AT(print_version), "Print the version and end",
      NULL },
};

static bool refuse(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

static bool refuse(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_propagate_error(error, g_error_new_valist(G_OPTION_ERROR,
                                                G_OPTION_ERROR_BAD_VALUE,
                                                format, args));
    va_end(args);
    return false;
}

/* ---- one value ---------------------------------------------------------- */

static bool set_number(const struct row *row, void *to, const char *text,
                       GError **error)
{
    guint64 most = row->kind == FD      ? G_MAXINT
                   : row->kind == COUNT ? G_MAXUINT32
                                        : G_MAXINT64;
    guint64 value;

    if (!g_ascii_string_to_unsigned(text, 10, 0, most, &value, NULL)) {
        return refuse(error,
                      "--%s=%s: out of range, or not a number: it must be 0 "
                      "to %" G_GUINT64_FORMAT,
                      row->name, text, most);
    }
    if (row->kind == FD) {
        *(int *)to = (int)value;
    } else if (row->kind == COUNT) {
        *(uint32_t *)to = (uint32_t)value;
    } else {
        *(uint64_t *)to = value;
    }
    return true;
}

static bool set_mode(const struct row *row, mode_t *to, const char *text,
                     GError **error)
{
    guint64 value;

    if (strspn(text, "01234567") != strlen(text) ||
        !g_ascii_string_to_unsigned(text, 8, 1, 0777, &value, NULL)) {
        return refuse(error, "--%s=%s: it must be octal, 1 to 777", row->name,
                      text);
    }
    *to = (mode_t)value;
    return true;
}

static void set_names(char **to, const char *text)
{
    char *joined = *to ? g_strconcat(*to, ",", text, NULL) : g_strdup(text);

    g_free(*to);
    *to = joined;
}

static bool set_choice(const struct row *row, unsigned int *to,
                       const char *text, GError **error)
{
    char **words = g_strsplit(row->value, "|", -1);
    bool found = false;

    for (unsigned int i = 0; words[i] && !found; i++) {
        found = strcmp(words[i], text) == 0;
        *to = found ? i : *to;
    }
    g_strfreev(words);
    return found || refuse(error, "--%s=%s: it must be one of %s", row->name,
                           text, row->value);
}

static bool set_sockets(const struct row *row, struct vwl_socket_list *to,
                        const char *text, GError **error)
{
    if (!vwl_socket_list_add(to, text, error)) {
        g_prefix_error(error, "--%s=%s: it must be %s: ", row->name, text,
                       row->value);
        return false;
    }
    return true;
}

static bool set(const struct row *row, struct vwl_options *options,
                const char *text, GError **error)
{
    void *to = (char *)options + row->offset;

    switch (row->kind) {
    case FLAG:
        *(bool *)to = true;
        return true;
    case TEXT:
    case PATH:
        g_free(*(char **)to);
        *(char **)to = g_strdup(text);
        return true;
    case NAMES:
        set_names(to, text);
        return true;
    case FD:
    case COUNT:
    case BYTES:
        return set_number(row, to, text, error);
    case MODE:
        return set_mode(row, to, text, error);
    case CHOICE:
        return set_choice(row, to, text, error);
    case SOCKETS:
        return set_sockets(row, to, text, error);
    }
    return false;
}

/* name is as it was typed: "--name", or "-l" of a letter. */
static gboolean on_option(const gchar *name, const gchar *value, gpointer data,
                          GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        bool is_it = name[1] == '-' ? strcmp(name + 2, rows[i].name) == 0
                                    : name[1] == rows[i].letter;

        if (is_it) {
            return set(&rows[i], data, value, error);
        }
    }
    return refuse(error, "'%s' is no option", name);
}

/* ---- all of them -------------------------------------------------------- */

static bool parse(int argc, char **argv, struct vwl_options *options,
                  GError **error)
{
    GOptionEntry entries[G_N_ELEMENTS(rows) + 1] = { { .long_name = NULL } };
    GOptionContext *context = g_option_context_new(NULL);
    GOptionGroup *group = g_option_group_new(NULL, NULL, NULL, options, NULL);
    bool ok;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const struct row *row = &rows[i];

        entries[i] = (GOptionEntry){
            .long_name = row->name,
            .short_name = row->letter,
            .flags = row->kind == FLAG ? G_OPTION_FLAG_NO_ARG
                     : row->kind == PATH || row->kind == SOCKETS
                         ? G_OPTION_FLAG_FILENAME
                         : 0,
            .arg = G_OPTION_ARG_CALLBACK,
            .arg_data = (gpointer)on_option,
            .description = row->help,
            .arg_description = row->value,
        };
    }
    g_option_group_add_entries(group, entries);
    g_option_context_set_main_group(context, group);
    g_option_context_set_summary(
        context,
        "A vhost-user device that connects a virtual machine's Wayland "
        "clients to this host.");
    ok = g_option_context_parse(context, &argc, &argv, error);
    g_option_context_free(context);
    if (ok && argc > 1) {
        ok = refuse(error, "'%s' is no option", argv[1]);
    }
    return ok;
}

/* As sd_listen_fds(3) has it: descriptor 3 is the first of so many, if they
 * are meant for this process. */
static bool adopt_activated(struct vwl_options *options, GError **error)
{
    const char *pid = g_getenv("LISTEN_PID"), *n = g_getenv("LISTEN_FDS");

    if (!pid || !n || g_ascii_strtoll(pid, NULL, 10) != getpid()) {
        return refuse(error, "give --socket-path=PATH or --fd=N");
    }
    if (strcmp(n, "1") != 0) {
        return refuse(error,
                      "LISTEN_FDS=%s: the service manager must hand over one "
                      "socket",
                      n);
    }
    options->fd = 3;
    return true;
}

static bool find_group(struct vwl_options *options, GError **error)
{
    const struct group *group;
    guint64 number;

    options->access.group = (gid_t)-1;
    if (!options->group) {
        options->access.mode = options->access.mode ? options->access.mode
                                                    : 0600;
        return true;
    }
    options->access.mode = options->access.mode ? options->access.mode : 0660;
    group = getgrnam(options->group);
    if (group) {
        options->access.group = group->gr_gid;
        return true;
    }
    if (!g_ascii_string_to_unsigned(options->group, 10, 0, G_MAXUINT32 - 1,
                                    &number, NULL)) {
        return refuse(error, "--socket-group=%s: there is no such group",
                      options->group);
    }
    options->access.group = (gid_t)number;
    return true;
}

static bool is_short(const char *name, const char *path, GError **error)
{
    return !path || strlen(path) < sizeof((struct sockaddr_un *)0)->sun_path ||
           refuse(error, "--%s: '%s' is too long for a socket", name, path);
}

static bool check_front_end(struct vwl_options *options, GError **error)
{
    bool access = options->group || options->access.mode;

    if (options->probe) {
        return true;
    }
    if (access && !options->socket_path) {
        return refuse(error, "--socket-group and --socket-mode are for "
                             "--socket-path");
    }
    if (!find_group(options, error)) {
        return false;
    }
    if (!options->socket_path && options->fd < 0 &&
        !adopt_activated(options, error)) {
        return false;
    }
    if (options->socket_path && options->fd >= 0) {
        return refuse(error, "--socket-path and --fd exclude each other");
    }
    if (!is_short("socket-path", options->socket_path, error) ||
        !is_short("control", options->control, error)) {
        return false;
    }
    if (options->fd >= 0 && fcntl(options->fd, F_GETFD) < 0) {
        return refuse(error, "--fd=%d: no such descriptor is open",
                      options->fd);
    }
    return true;
}

/* All Wayland sockets have the same one. */
static void complete_policies(struct vwl_options *options)
{
    guint n = options->sockets.sockets->len;

    options->policy.size = sizeof options->policy;
    options->policy.allow = options->allow;
    options->policy.deny = options->deny;
    options->policies = g_new(const struct vwl_socket_policy *, n);
    for (guint i = 0; i < n; i++) {
        options->policies[i] = vwl_socket_list_policy(&options->sockets, i,
                                                      &options->policy);
    }
    options->config.socket_policies = options->policies;
}

static bool complete(struct vwl_options *options, GError **error)
{
    struct vwl_config *config = &options->config;
    char *folder;

    if (options->sockets.sockets->len == 0 &&
        !vwl_socket_list_add_default(&options->sockets, error)) {
        return false;
    }
    config->size = sizeof *config;
    config->sockets = (const void *)options->sockets.sockets->data;
    config->n_sockets = options->sockets.sockets->len;
    complete_policies(options);
    config->dmabufs = options->dmabufs;
    config->guest_pages = options->guest_pages;
    config->name = options->name;
    vwl_secctx_name(&options->context_names, options->name, g_random_int());
    folder = options->socket_path ? g_path_get_dirname(options->socket_path)
                                  : NULL;
    options->context_folder = g_strdup(vwl_secctx_folder(folder));
    g_free(folder);
    if (options->mem_slots) {
        config->protocol_features_on |=
            UINT64_C(1) << VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS;
    }
    return true;
}

bool vwl_options_parse(int argc, char **argv, struct vwl_options *out,
                       GError **error)
{
    *out = (struct vwl_options){
        .fd = -1,
        .dmabufs = g_strdup("auto"),
        .config.security_context = VWL_SECURITY_CONTEXT_AUTO,
    };
    vwl_socket_list_init(&out->sockets);
    if (!parse(argc, argv, out, error)) {
        return false;
    }
    if (out->print_capabilities || out->print_version) {
        return true;
    }
    return check_front_end(out, error) && complete(out, error);
}

bool vwl_options_wants_context(const struct vwl_options *options, size_t index)
{
    const struct vwl_config *config = &options->config;
    bool wayland = config->socket_policies[index]->kind == VWL_POLICY_WAYLAND;

    return vwl_secctx_is_wanted(config->security_context,
                                &config->sockets[index],
                                wayland ? VWL_SECCTX_WAYLAND
                                        : VWL_SECCTX_OTHER);
}

void vwl_options_finish(struct vwl_options *options)
{
    g_free(options->socket_path);
    g_free(options->group);
    g_free(options->control);
    g_free(options->plugin);
    g_free(options->resources);
    g_free(options->dmabufs);
    g_free(options->name);
    g_free(options->context_folder);
    g_free(options->allow);
    g_free(options->deny);
    g_free((char *)(uintptr_t)options->policy.file);
    g_free((char *)(uintptr_t)options->policy.title_prefix);
    g_free((char *)(uintptr_t)options->policy.app_id_prefix);
    g_free(options->policies);
    vwl_socket_list_finish(&options->sockets);
}
