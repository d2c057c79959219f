/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio-wl-x11-clipboard PROGRAM [ARGUMENT]...
 *
 * Becomes PROGRAM, and leaves behind a client of the same X server: the part of
 * its clipboard that speaks with X11 programs. (GTK does, rather: X11's
 * selections are a protocol of their own.) What the desktop has is offered to
 * them, and asked for when one pastes; what they have is offered to it. Run by
 * virtio-wl-x11 within cage, whose process has the other part; without that, it
 * is just PROGRAM.
 */
#include <fcntl.h>
#include <gio/gunixinputstream.h>
#include <gio/gunixoutputstream.h>
#include <glib-unix.h>
#include <gtk/gtk.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "message.h"

#define TEXT "text/plain;charset=utf-8"
/* Pastes that go on or wait at the same time; more are empty. */
#define COPIES_MAX 64
/* Who neither gives nor takes a byte for so long has given up. */
#define PATIENCE_MS 15000
#define US_PER_MS G_GINT64_CONSTANT(1000)
/* An owner that went away, and one whose types are still being asked for, look
 * the same. */
#define GONE_MS 1000

/* Other names of text, which programs ask for. */
static const char *const text_names[] = { TEXT, "UTF8_STRING", "text/plain",
                                          "TEXT", "STRING" };

struct clip {
    enum vwl_board board;
    GdkClipboard *clipboard;
    guint gone;       /* a timer */
    struct copy *now; /* of what the X11 programs have */
    GQueue waiting;
};

/* One paste, from a stream into another. */
struct copy {
    GInputStream *input;
    GOutputStream *output; /* NULL: nobody reads it any more */
    GCancellable *cancel;
    void (*done)(struct copy *copy, GError *error); /* takes the error */
    void *data;
    char *type;   /* of what the X11 programs have */
    bool drains;  /* is read to its end, even if nobody wants that */
    bool busy;    /* a call of GIO's has it: its end frees it */
    bool ended;   /* done was called */
    gint64 since; /* the last byte */
    guint timer;
    char bytes[65536];
};

static struct {
    int socket;
    GMainLoop *loop;
    unsigned copies;
    struct clip clips[VWL_BOARDS];
} us;

static bool is_text(const char *type)
{
    for (size_t i = 0; i < G_N_ELEMENTS(text_names); i++)
        if (!strcmp(type, text_names[i]))
            return true;
    return false;
}

/* ---- from a stream into another ---- */

static void copy_read(struct copy *copy);

static void copy_free(struct copy *copy)
{
    g_clear_handle_id(&copy->timer, g_source_remove);
    g_clear_object(&copy->input);
    g_clear_object(&copy->output);
    g_object_unref(copy->cancel);
    g_free(copy->type);
    g_free(copy);
}

/* Takes @error. What GIO has in its hands is freed when it gives it back: that
 * may be never, as an X11 program that is gone takes nothing. */
static void copy_end(struct copy *copy, GError *error)
{
    if (!copy->ended) {
        copy->ended = true;
        us.copies--;
        copy->done(copy, error);
    } else {
        g_clear_error(&error);
    }
    g_clear_handle_id(&copy->timer, g_source_remove);
    if (!copy->busy)
        copy_free(copy);
}

static gboolean copy_look(gpointer data)
{
    struct copy *copy = data;

    if (!copy->since ||
        g_get_monotonic_time() - copy->since < PATIENCE_MS * US_PER_MS)
        return G_SOURCE_CONTINUE;
    copy->timer = 0;
    g_cancellable_cancel(copy->cancel);
    copy_end(copy, g_error_new(G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "given up"));
    return G_SOURCE_REMOVE;
}

static struct copy *copy_new(void (*done)(struct copy *copy, GError *error),
                             void *data)
{
    struct copy *copy = g_new0(struct copy, 1);
    copy->cancel = g_cancellable_new();
    copy->done = done;
    copy->data = data;
    copy->timer = g_timeout_add_seconds(1, copy_look, copy);
    us.copies++;
    return copy;
}

static void copy_wrote(GObject *stream, GAsyncResult *result, gpointer data)
{
    struct copy *copy = data;
    GError *error = NULL;

    copy->busy = false;
    bool ok = g_output_stream_write_all_finish(G_OUTPUT_STREAM(stream), result,
                                               NULL, &error);
    if (!ok)
        g_clear_object(&copy->output);
    if (copy->ended || (!ok && !copy->drains)) {
        copy_end(copy, error);
        return;
    }
    g_clear_error(&error);
    copy_read(copy);
}

static void copy_had(GObject *stream, GAsyncResult *result, gpointer data)
{
    struct copy *copy = data;
    GError *error = NULL;

    copy->busy = false;
    gssize n = g_input_stream_read_finish(G_INPUT_STREAM(stream), result,
                                          &error);
    if (copy->ended || n <= 0) {
        copy_end(copy, error);
        return;
    }
    if (!copy->output) {
        copy_read(copy);
        return;
    }
    copy->since = g_get_monotonic_time();
    copy->busy = true;
    g_output_stream_write_all_async(copy->output, copy->bytes, n,
                                    G_PRIORITY_DEFAULT, copy->cancel,
                                    copy_wrote, copy);
}

static void copy_read(struct copy *copy)
{
    copy->since = g_get_monotonic_time();
    copy->busy = true;
    g_input_stream_read_async(copy->input, copy->bytes, sizeof copy->bytes,
                              G_PRIORITY_DEFAULT, copy->cancel, copy_had, copy);
}

/* ---- what the desktop has: a provider of content, for X11 programs ---- */

struct _VwlDesktop {
    GdkContentProvider parent;
    enum vwl_board board;
    struct vwl_types types;
};
G_DECLARE_FINAL_TYPE(VwlDesktop, vwl_desktop, VWL, DESKTOP, GdkContentProvider)
G_DEFINE_TYPE(VwlDesktop, vwl_desktop, GDK_TYPE_CONTENT_PROVIDER)

static GdkContentFormats *desktop_formats(GdkContentProvider *provider)
{
    VwlDesktop *desktop = VWL_DESKTOP(provider);
    GdkContentFormatsBuilder *b = gdk_content_formats_builder_new();

    for (const char *t = NULL; (t = vwl_types_next(&desktop->types, t));)
        gdk_content_formats_builder_add_mime_type(b, is_text(t) ? TEXT : t);
    return gdk_content_formats_builder_free_to_formats(b);
}

/* The desktop's own name of @type. */
static const char *desktop_name(VwlDesktop *desktop, const char *type)
{
    if (vwl_types_have(&desktop->types, type) || !is_text(type))
        return type;
    for (size_t i = 0; i < G_N_ELEMENTS(text_names); i++)
        if (vwl_types_have(&desktop->types, text_names[i]))
            return text_names[i];
    return type;
}

static void desktop_written(struct copy *copy, GError *error)
{
    GTask *task = copy->data;

    if (error)
        g_task_return_error(task, error);
    else
        g_task_return_boolean(task, TRUE);
    g_object_unref(task);
}

static void desktop_write(GdkContentProvider *provider, const char *type,
                          GOutputStream *stream, int priority,
                          GCancellable *cancellable, GAsyncReadyCallback done,
                          gpointer data)
{
    VwlDesktop *desktop = VWL_DESKTOP(provider);
    GTask *task = g_task_new(provider, cancellable, done, data);
    struct vwl_selection s = { .kind = VWL_SELECTION_WANT,
                               .board = desktop->board };
    int fds[2];

    if (us.copies >= COPIES_MAX || pipe2(fds, O_CLOEXEC) < 0) {
        g_task_return_new_error(task, G_IO_ERROR, G_IO_ERROR_BUSY,
                                "too many copies at once");
        g_object_unref(task);
        return;
    }
    g_unix_set_fd_nonblocking(fds[0], TRUE, NULL);
    s.fd = fds[1];
    vwl_types_add(&s.types, desktop_name(desktop, type));
    vwl_selection_send(us.socket, &s);
    struct copy *copy = copy_new(desktop_written, task);
    copy->input = g_unix_input_stream_new(fds[0], TRUE);
    copy->output = g_object_ref(stream);
    copy_read(copy);
}

static gboolean desktop_write_end(GdkContentProvider *provider,
                                  GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error);
}

static void vwl_desktop_class_init(VwlDesktopClass *class)
{
    GdkContentProviderClass *provider = GDK_CONTENT_PROVIDER_CLASS(class);
    provider->ref_formats = desktop_formats;
    provider->write_mime_type_async = desktop_write;
    provider->write_mime_type_finish = desktop_write_end;
}

static void vwl_desktop_init(VwlDesktop *desktop)
{
}

static void desktop_has(const struct vwl_selection *s)
{
    GdkClipboard *clipboard = us.clips[s->board].clipboard;

    if (!s->types.length) {
        if (gdk_clipboard_is_local(clipboard))
            gdk_clipboard_set_content(clipboard, NULL);
        return;
    }
    VwlDesktop *desktop = g_object_new(vwl_desktop_get_type(), NULL);
    desktop->board = s->board;
    desktop->types = s->types;
    gdk_clipboard_set_content(clipboard, GDK_CONTENT_PROVIDER(desktop));
    g_object_unref(desktop);
}

/* ---- what the X11 programs have ---- */

static void say_has(struct clip *clip, GdkContentFormats *formats)
{
    struct vwl_selection s = { .kind = VWL_SELECTION_HAS,
                               .board = clip->board,
                               .fd = -1 };
    gsize n = 0;
    const char *const *types = formats
                                   ? gdk_content_formats_get_mime_types(formats,
                                                                        &n)
                                   : NULL;
    bool text = false;

    for (gsize i = 0; i < n; i++)
        if (is_text(types[i]))
            text = true;
    for (size_t i = 0; text && i < G_N_ELEMENTS(text_names); i++)
        vwl_types_add(&s.types, text_names[i]);
    for (gsize i = 0; i < n; i++)
        if (strchr(types[i], '/')) // the others are names among X11 programs
            vwl_types_add(&s.types, types[i]);
    vwl_selection_send(us.socket, &s);
}

static gboolean owner_gone(gpointer data)
{
    struct clip *clip = data;
    clip->gone = 0;
    say_has(clip, NULL);
    return G_SOURCE_REMOVE;
}

/* Comes twice for a new owner: at first, its types are not known. */
static void clipboard_changed(GdkClipboard *clipboard, gpointer data)
{
    struct clip *clip = data;
    GdkContentFormats *formats = gdk_clipboard_get_formats(clipboard);
    gsize n;

    g_clear_handle_id(&clip->gone, g_source_remove);
    /* whom it was asked of may be gone, and nobody says so */
    if (clip->now && !clip->now->input)
        clip->now->since = MIN(clip->now->since,
                               g_get_monotonic_time() -
                                   (PATIENCE_MS - GONE_MS) * US_PER_MS);
    if (gdk_clipboard_is_local(clipboard))
        return;
    if (gdk_content_formats_get_mime_types(formats, &n) && n)
        say_has(clip, formats);
    else
        clip->gone = g_timeout_add(GONE_MS, owner_gone, clip);
}

static gboolean desktop_next(gpointer data);

static void desktop_got(struct copy *copy, GError *error)
{
    struct clip *clip = copy->data;

    g_clear_error(&error); // an empty paste, or half of one
    if (clip->now == copy) {
        clip->now = NULL;
        g_idle_add(desktop_next, clip);
    }
}

static void desktop_opened(GObject *clipboard, GAsyncResult *result,
                           gpointer data)
{
    struct copy *copy = data;
    GError *error = NULL;

    copy->input = gdk_clipboard_read_finish(GDK_CLIPBOARD(clipboard), result,
                                            NULL, &error);
    copy->busy = false;
    if (copy->input && !copy->ended)
        copy_read(copy);
    else
        copy_end(copy, error);
}

/* One after the other: there are programs that serve nobody else before what
 * they were asked for is read to its end. (And from the loop: GDK says that a
 * paste is at its end before it says so to the program, which would take that
 * for a word about the next.) */
static gboolean desktop_next(gpointer data)
{
    struct clip *clip = data;
    struct copy *copy = clip->now
                            ? NULL
                            : (clip->now = g_queue_pop_head(&clip->waiting));

    if (!copy)
        return G_SOURCE_REMOVE;
    const char *types[] = { is_text(copy->type) ? TEXT : copy->type, copy->type,
                            NULL };
    if (gdk_clipboard_is_local(clip->clipboard)) {
        copy_end(copy, NULL);
        return G_SOURCE_REMOVE;
    }
    copy->busy = true;
    copy->since = g_get_monotonic_time();
    gdk_clipboard_read_async(clip->clipboard, types, G_PRIORITY_DEFAULT,
                             copy->cancel, desktop_opened, copy);
    return G_SOURCE_REMOVE;
}

static void desktop_wants(const struct vwl_selection *s)
{
    struct clip *clip = &us.clips[s->board];

    if (us.copies >= COPIES_MAX ||
        !g_unix_set_fd_nonblocking(s->fd, TRUE, NULL)) {
        close(s->fd);
        return;
    }
    struct copy *copy = copy_new(desktop_got, clip);
    copy->drains = true;
    copy->type = g_strdup(s->types.text);
    copy->output = g_unix_output_stream_new(s->fd, TRUE);
    g_queue_push_tail(&clip->waiting, copy);
    desktop_next(clip);
}

/* ---- the client ---- */

static gboolean desktop_says(gint fd, GIOCondition condition, gpointer data)
{
    struct vwl_selection s;

    if (!vwl_selection_read(fd, &s)) {
        g_main_loop_quit(us.loop);
        return G_SOURCE_REMOVE;
    }
    if (s.kind == VWL_SELECTION_HAS)
        desktop_has(&s);
    else
        desktop_wants(&s);
    return G_SOURCE_CONTINUE;
}

static int serve(int socket)
{
    signal(SIGPIPE, SIG_IGN); // who pastes may go away
    /* Nothing of GTK's desktop is wanted: no bus, no settings, no input. */
    g_setenv("DBUS_SESSION_BUS_ADDRESS", "disabled:", TRUE);
    g_setenv("GSETTINGS_BACKEND", "memory", TRUE);
    g_setenv("GIO_USE_VFS", "local", TRUE);
    g_setenv("GTK_A11Y", "none", TRUE);
    g_setenv("GTK_IM_MODULE", "gtk-im-context-simple", TRUE);
    gdk_set_allowed_backends("x11");
    GdkDisplay *display = gtk_init_check() ? gdk_display_get_default() : NULL;
    if (!display) {
        g_printerr("virtio-wl-x11: no X server, so no copy and paste\n");
        return 1;
    }
    us.socket = socket;
    us.loop = g_main_loop_new(NULL, FALSE);
    us.clips[VWL_CLIPBOARD].clipboard = gdk_display_get_clipboard(display);
    us.clips[VWL_PRIMARY].clipboard = gdk_display_get_primary_clipboard(
        display);
    for (int i = 0; i < VWL_BOARDS; i++) {
        us.clips[i].board = i;
        g_signal_connect(us.clips[i].clipboard, "changed",
                         G_CALLBACK(clipboard_changed), &us.clips[i]);
    }
    g_unix_fd_add(socket, G_IO_IN | G_IO_HUP, desktop_says, NULL);
    g_main_loop_run(us.loop);
    return 0;
}

int main(int argc, char **argv)
{
    const char *number = g_getenv(VWL_SELECTION_ENV);
    int socket = number ? atoi(number) : -1;

    if (argc < 2) {
        g_printerr("usage: virtio-wl-x11-clipboard PROGRAM [ARGUMENT]...\n");
        return 1;
    }
    if (!strcmp(argv[1], "--version")) {
        g_print("virtio-wl-x11-clipboard " VWL_VERSION "\n");
        return 0;
    }
    unsetenv(VWL_SELECTION_ENV);
    /* Nobody's child: PROGRAM may count its own. */
    pid_t child = socket > 2 ? fork() : -1;
    if (child == 0) {
        if (fork() == 0) {
            fcntl(socket, F_SETFD, FD_CLOEXEC);
            _exit(serve(socket));
        }
        _exit(0);
    }
    if (child > 0)
        waitpid(child, NULL, 0);
    if (socket > 2)
        close(socket);
    execvp(argv[1], argv + 1);
    g_printerr("virtio-wl-x11: %s: %s\n", argv[1], g_strerror(errno));
    return errno == ENOENT ? 127 : 126;
}
