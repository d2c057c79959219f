/* SPDX-License-Identifier: BSD-3-Clause */
#include "desktop.h"
#include "links.h"
#include "notes.h"

struct vwl_desktop {
    const struct vwl_desktop_ops *ops;
    void *opaque;
    struct vwl_desktop_policy policy;
    struct vwl_apps *apps;
    struct vwl_notes *notes;
    struct vwl_rate links, refusals;
    char *asked; /* the link that is asked about, or NULL */
    unsigned int serial;
};

static void say(void *opaque, const char *line)
{
    struct vwl_desktop *desktop = opaque;

    if (desktop->ops->log) {
        desktop->ops->log(desktop->opaque, line);
    }
}

static void note_closed(void *opaque, uint32_t id)
{
    struct vwl_desktop *desktop = opaque;
    g_autofree char *number = g_strdup_printf("%u", id);
    g_autoptr(GByteArray) out = g_byte_array_new();

    if (vwl_frame_put(out, VWL_SIDE_HOST, VWL_FRAME_CLOSE, 0, number, NULL)) {
        desktop->ops->send(desktop->opaque, out->data, out->len);
    }
}

static const struct vwl_notes_ops notes_ops = {
    .closed = note_closed,
    .log = say,
};

struct vwl_desktop *vwl_desktop_create(const char *machine, const char *command,
                                       GDBusConnection *bus,
                                       const struct vwl_desktop_ops *ops,
                                       void *opaque)
{
    struct vwl_desktop *desktop = g_new0(struct vwl_desktop, 1);

    desktop->ops = ops;
    desktop->opaque = opaque;
    desktop->policy = (struct vwl_desktop_policy){ VWL_WISH_ALLOW,
                                                   VWL_WISH_ALLOW,
                                                   VWL_WISH_ALLOW };
    desktop->apps = vwl_apps_create(machine, command, say, desktop);
    desktop->notes = vwl_notes_create(bus, machine, &notes_ops, desktop);
    desktop->links = (struct vwl_rate){ .burst = VWL_LINK_BURST,
                                        .window_ms = VWL_LINK_MS };
    desktop->refusals = desktop->links;
    return desktop;
}

void vwl_desktop_destroy(struct vwl_desktop *desktop)
{
    if (!desktop) {
        return;
    }
    vwl_notes_destroy(desktop->notes);
    vwl_apps_destroy(desktop->apps);
    g_free(desktop->asked);
    g_free(desktop);
}

void vwl_desktop_set_policy(struct vwl_desktop *desktop,
                            const struct vwl_desktop_policy *policy)
{
    desktop->policy = *policy;
    vwl_apps_export(desktop->apps, policy->apps != VWL_WISH_DENY);
    if (policy->notifications == VWL_WISH_DENY) {
        vwl_notes_close_all(desktop->notes);
    }
    if (policy->links != VWL_WISH_ASK) {
        g_clear_pointer(&desktop->asked, g_free);
    }
}

unsigned int vwl_desktop_may(const struct vwl_desktop *desktop)
{
    const struct vwl_desktop_policy *policy = &desktop->policy;

    return (policy->apps != VWL_WISH_DENY ? VWL_MAY_LIST : 0u) |
           (policy->links != VWL_WISH_DENY ? VWL_MAY_OPEN : 0u) |
           (policy->notifications != VWL_WISH_DENY ? VWL_MAY_NOTIFY : 0u);
}

/* ---- links -------------------------------------------------------------- */

static void refuse_link(struct vwl_desktop *desktop, const char *why)
{
    g_autofree char *line = g_strdup_printf("a link was not opened: %s", why);
    bool tell;

    if (vwl_rate_take(&desktop->refusals, &tell)) {
        say(desktop, line);
    }
}

static void on_link(struct vwl_desktop *desktop, const char *link)
{
    const char *wrong = vwl_link_wrong(link);
    g_autofree char *detail = NULL;
    bool tell;

    if (desktop->policy.links == VWL_WISH_DENY) {
        refuse_link(desktop, "the policy has links=deny");
    } else if (wrong) {
        refuse_link(desktop, wrong);
    } else if (!vwl_rate_take(&desktop->links, &tell)) {
        if (tell) {
            say(desktop, "links: too many, some are not opened");
        }
    } else if (desktop->policy.links == VWL_WISH_ALLOW) {
        vwl_link_open(link);
    } else if (desktop->asked) {
        refuse_link(desktop, "another one is asked about");
    } else {
        desktop->asked = g_strdup(link);
        detail = vwl_link_detail(link);
        desktop->ops->ask(desktop->opaque, ++desktop->serial, "link", detail);
    }
}

void vwl_desktop_answer(struct vwl_desktop *desktop, unsigned int serial,
                        bool allow)
{
    g_autofree char *link = NULL;

    if (serial != desktop->serial) {
        return;
    }
    link = g_steal_pointer(&desktop->asked);
    if (link && allow) {
        vwl_link_open(link);
    } else if (link) {
        refuse_link(desktop, "the user said no");
    }
}

/* ---- frames ------------------------------------------------------------- */

static void on_note(struct vwl_desktop *desktop, const struct vwl_frame *frame)
{
    if (desktop->policy.notifications != VWL_WISH_DENY) {
        vwl_notes_show(desktop->notes, vwl_frame_number(frame, VWL_NOTIFY_ID),
                       frame->strings[VWL_NOTIFY_TITLE],
                       frame->strings[VWL_NOTIFY_BODY],
                       vwl_frame_number(frame, VWL_NOTIFY_URGENCY));
    }
}

bool vwl_desktop_frame(struct vwl_desktop *desktop,
                       const struct vwl_frame *frame)
{
    switch (frame->type) {
    case VWL_FRAME_APP:
        vwl_apps_app(desktop->apps, frame);
        return true;
    case VWL_FRAME_ICON:
        vwl_apps_icon(desktop->apps, frame);
        return true;
    case VWL_FRAME_DONE:
        if (vwl_apps_done(desktop->apps, frame) && desktop->ops->apps_changed) {
            desktop->ops->apps_changed(desktop->opaque);
        }
        return true;
    case VWL_FRAME_OPEN:
        on_link(desktop, frame->strings[0]);
        return true;
    case VWL_FRAME_NOTIFY:
        on_note(desktop, frame);
        return true;
    case VWL_FRAME_CLOSE:
        vwl_notes_close(desktop->notes, vwl_frame_number(frame, 0));
        return true;
    default:
        return false;
    }
}

void vwl_desktop_hang_up(struct vwl_desktop *desktop)
{
    vwl_apps_drop(desktop->apps);
    vwl_notes_close_all(desktop->notes);
    g_clear_pointer(&desktop->asked, g_free);
}

struct vwl_apps *vwl_desktop_apps(struct vwl_desktop *desktop)
{
    return desktop->apps;
}
