/* SPDX-License-Identifier: BSD-3-Clause */
#include "notes.h"
#include "channel/bounds.h"
#include "channel/text.h"
#include "rate.h"

#define SERVER "org.freedesktop.Notifications"
#define SERVER_PATH "/org/freedesktop/Notifications"

struct vwl_notes {
    GDBusConnection *bus;
    char *machine;
    const struct vwl_notes_ops *ops;
    void *opaque;
    guint on_closed;
    GPtrArray *open; /* oldest first */
    struct vwl_rate rate;
};

/*
 * ASKED: the server was asked for it and has not told its number.
 *   ASKED -> OPEN by its answer, -> gone if that is an error
 *   ASKED -> LEAVING by a close, which waits for the answer -> gone
 */
enum state { ASKED, OPEN, LEAVING };

struct note {
    gatomicrefcount refs;    /* the list's, and that of a call */
    struct vwl_notes *notes; /* NULL: they are gone */
    enum state state;
    uint32_t id;     /* the guest's */
    uint32_t number; /* the server's */
};

static void note_unref(gpointer data)
{
    struct note *note = data;

    if (g_atomic_ref_count_dec(&note->refs)) {
        g_free(note);
    }
}

static struct note *find(struct vwl_notes *notes, uint32_t id)
{
    for (guint i = 0; i < notes->open->len; i++) {
        struct note *note = notes->open->pdata[i];

        if (note->id == id && note->state != LEAVING) {
            return note;
        }
    }
    return NULL;
}

static void on_closed(GDBusConnection *bus, const char *sender,
                      const char *path, const char *interface, const char *name,
                      GVariant *args, gpointer data)
{
    struct vwl_notes *notes = data;
    uint32_t number;

    if (!g_variant_is_of_type(args, G_VARIANT_TYPE("(uu)"))) {
        return;
    }
    g_variant_get(args, "(uu)", &number, NULL);
    for (guint i = 0; i < notes->open->len; i++) {
        struct note *note = notes->open->pdata[i];

        if (note->state == OPEN && note->number == number) {
            uint32_t id = note->id;

            g_ptr_array_remove_index(notes->open, i);
            notes->ops->closed(notes->opaque, id);
            return;
        }
    }
}

struct vwl_notes *vwl_notes_create(GDBusConnection *bus, const char *machine,
                                   const struct vwl_notes_ops *ops,
                                   void *opaque)
{
    struct vwl_notes *notes = g_new0(struct vwl_notes, 1);

    notes->machine = g_strdup(machine);
    notes->ops = ops;
    notes->opaque = opaque;
    notes->open = g_ptr_array_new_with_free_func(note_unref);
    notes->rate = (struct vwl_rate){ .burst = VWL_NOTE_BURST,
                                     .window_ms = VWL_NOTE_MS };
    if (bus) {
        notes->bus = g_object_ref(bus);
        notes->on_closed = g_dbus_connection_signal_subscribe(
            bus, SERVER, SERVER, "NotificationClosed", SERVER_PATH, NULL,
            G_DBUS_SIGNAL_FLAGS_NONE, on_closed, notes, NULL);
    }
    return notes;
}

static void close_number(struct vwl_notes *notes, uint32_t number)
{
    g_dbus_connection_call(notes->bus, SERVER, SERVER_PATH, SERVER,
                           "CloseNotification", g_variant_new("(u)", number),
                           NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL, NULL);
}

static void leave(struct vwl_notes *notes, struct note *note)
{
    if (note->state == OPEN) {
        close_number(notes, note->number);
        g_ptr_array_remove(notes->open, note);
    } else {
        note->state = LEAVING;
    }
}

void vwl_notes_close(struct vwl_notes *notes, uint32_t id)
{
    struct note *note = find(notes, id);

    if (note) {
        leave(notes, note);
    }
}

void vwl_notes_close_all(struct vwl_notes *notes)
{
    for (guint i = notes->open->len; i-- > 0;) {
        leave(notes, notes->open->pdata[i]);
    }
}

void vwl_notes_destroy(struct vwl_notes *notes)
{
    if (!notes) {
        return;
    }
    vwl_notes_close_all(notes);
    for (guint i = 0; i < notes->open->len; i++) {
        ((struct note *)notes->open->pdata[i])->notes = NULL;
    }
    if (notes->bus) {
        g_dbus_connection_signal_unsubscribe(notes->bus, notes->on_closed);
        g_object_unref(notes->bus);
    }
    g_ptr_array_unref(notes->open);
    g_free(notes->machine);
    g_free(notes);
}

/* ---- one more ----------------------------------------------------------- */

static void on_shown(GObject *bus, GAsyncResult *result, gpointer data)
{
    struct note *note = data;
    struct vwl_notes *notes = note->notes;
    g_autoptr(GVariant)
        answer = g_dbus_connection_call_finish(G_DBUS_CONNECTION(bus), result,
                                               NULL);

    if (answer) {
        g_variant_get(answer, "(u)", &note->number);
    }
    if (!notes && answer) {
        struct vwl_notes gone = { .bus = G_DBUS_CONNECTION(bus) };

        close_number(&gone, note->number);
    } else if (notes && !answer) {
        notes->ops->log(notes->opaque, "notifications: the desktop shows none");
        g_ptr_array_remove(notes->open, note);
    } else if (notes && note->state == LEAVING) {
        note->state = OPEN;
        leave(notes, note);
    } else if (notes) {
        note->state = OPEN;
    }
    note_unref(note);
}

static struct note *note_for(struct vwl_notes *notes, uint32_t id)
{
    struct note *note = find(notes, id);

    if (note && note->state == ASKED) {
        note->state = LEAVING; /* it cannot be replaced yet */
        note = NULL;
    }
    if (note) {
        note->state = ASKED;
        return note;
    }
    if (notes->open->len == VWL_MAX_NOTES) {
        return NULL;
    }
    note = g_new0(struct note, 1);
    g_atomic_ref_count_init(&note->refs);
    note->notes = notes;
    note->id = id;
    g_ptr_array_add(notes->open, note);
    return note;
}

/* The oldest makes place. */
static void make_place(struct vwl_notes *notes, uint32_t id)
{
    struct note *oldest;

    if (notes->open->len == VWL_MAX_NOTES && !find(notes, id)) {
        oldest = notes->open->pdata[0];
        if (oldest->state == OPEN) {
            notes->ops->closed(notes->opaque, oldest->id);
        }
        leave(notes, oldest);
    }
}

void vwl_notes_show(struct vwl_notes *notes, uint32_t id, const char *title,
                    const char *body, uint32_t urgency)
{
    g_autofree char *of_guest = vwl_text(title, VWL_MAX_TITLE_CHARS);
    g_autofree char *plain = vwl_text(body, VWL_MAX_BODY_CHARS);
    g_autofree char *escaped = g_markup_escape_text(plain, -1);
    g_autofree char *summary = g_strdup_printf("%s: %s", notes->machine,
                                               of_guest);
    struct note *note;
    GVariantBuilder hints;
    bool tell;

    if (!vwl_rate_take(&notes->rate, &tell)) {
        if (tell) {
            notes->ops->log(notes->opaque,
                            "notifications: too many, some are left out");
        }
        return;
    }
    if (!notes->bus) {
        return;
    }
    make_place(notes, id);
    note = note_for(notes, id);
    if (!note) {
        return;
    }
    g_variant_builder_init(&hints, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&hints, "{sv}", "urgency",
                          g_variant_new_byte(urgency == 0 ? 0 : 1));
    g_atomic_ref_count_inc(&note->refs);
    g_dbus_connection_call(notes->bus, SERVER, SERVER_PATH, SERVER, "Notify",
                           g_variant_new("(susssasa{sv}i)", notes->machine,
                                         note->number, "computer", summary,
                                         escaped, NULL, &hints, -1),
                           G_VARIANT_TYPE("(u)"), G_DBUS_CALL_FLAGS_NONE, -1,
                           NULL, on_shown, note);
}
