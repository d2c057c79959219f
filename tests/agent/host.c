/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small host for tests: takes the connection of one machine's agent and
 * gives what it says to the desktop module, as the service does. Prints a line
 * for what happens, on a notification server of its own, too, and does what
 * standard input says ("list", "launch ID").
 *
 *     agent-host SOCKET MACHINE COMMAND
 */
#include <gio/gio.h>
#include <gio/gunixinputstream.h>
#include <gio/gunixsocketaddress.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel/parser.h"
#include "desktop/desktop.h"
#include "notifier.h"

struct host {
    GMainLoop *loop;
    GSocketConnection *connection;
    struct vwl_parser *parser;
    struct vwl_desktop *desktop;
    uint16_t job;
};

static void tell(const char *format, ...) G_GNUC_PRINTF(1, 2);

static void tell(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

static void on_send(void *opaque, const void *data, size_t len)
{
    struct host *host = opaque;

    if (host->connection) {
        g_output_stream_write_all(g_io_stream_get_output_stream(
                                      G_IO_STREAM(host->connection)),
                                  data, len, NULL, NULL, NULL);
    }
}

static void on_log(void *opaque, const char *line)
{
    tell("log %s", line);
}

static void on_apps(void *opaque)
{
    struct host *host = opaque;

    tell("apps %u", vwl_apps_list(vwl_desktop_apps(host->desktop))->len);
}

static void on_heard(const char *line)
{
    tell("note %s", line);
}

static void on_ask(void *opaque, unsigned int serial, const char *what,
                   const char *detail)
{
    tell("ask %u %s %s", serial, what, detail);
}

static const struct vwl_desktop_ops ops = {
    .log = on_log,
    .send = on_send,
    .apps_changed = on_apps,
    .ask = on_ask,
};

/* ---- the agent ---------------------------------------------------------- */

static void send_out(struct host *host, GByteArray *out)
{
    on_send(host, out->data, out->len);
    g_byte_array_unref(out);
}

static void on_frame(struct host *host, const struct vwl_frame *frame)
{
    if (vwl_desktop_frame(host->desktop, frame)) {
        return;
    }
    if (frame->type == VWL_FRAME_HELLO) {
        tell("hello %s", frame->strings[VWL_HELLO_USER]);
    } else {
        tell("answer %u %s %s", frame->job, frame->strings[VWL_ANSWER_STATUS],
             frame->strings[VWL_ANSWER_TEXT]);
    }
}

static void hang_up(struct host *host)
{
    vwl_desktop_hang_up(host->desktop);
    g_clear_pointer(&host->parser, vwl_parser_destroy);
    g_clear_object(&host->connection);
}

static gboolean on_bytes(GSocket *socket, GIOCondition condition, gpointer data)
{
    struct host *host = data;
    char bytes[65536];
    gssize n = g_socket_receive(socket, bytes, sizeof bytes, NULL, NULL);
    struct vwl_frame frame;
    int status = 0;

    if (n > 0) {
        vwl_parser_feed(host->parser, bytes, (size_t)n, NULL, 0);
        while ((status = vwl_parser_next(host->parser, &frame)) > 0) {
            on_frame(host, &frame);
        }
    }
    if (n > 0 && status == 0) {
        return G_SOURCE_CONTINUE;
    }
    tell("end %s", vwl_parser_why(host->parser));
    hang_up(host);
    return G_SOURCE_REMOVE;
}

static gboolean on_agent(GSocketService *service, GSocketConnection *connection,
                         GObject *source, gpointer data)
{
    struct host *host = data;
    GByteArray *out = g_byte_array_new();
    g_autofree char *may = NULL;
    GSource *reads;

    if (host->connection) {
        g_byte_array_unref(out);
        return TRUE;
    }
    host->connection = g_object_ref(connection);
    host->parser = vwl_parser_create(VWL_SIDE_GUEST);
    reads = g_socket_create_source(g_socket_connection_get_socket(connection),
                                   G_IO_IN, NULL);
    g_source_set_callback(reads, G_SOURCE_FUNC(on_bytes), host, NULL);
    g_source_attach(reads, NULL);
    g_source_unref(reads);
    may = g_strdup_printf("%u", vwl_desktop_may(host->desktop));
    vwl_frame_put(out, VWL_SIDE_HOST, VWL_FRAME_HELLO, 0, "1", "agent-host",
                  "de:en", may, NULL);
    send_out(host, out);
    return TRUE;
}

/* ---- the test ----------------------------------------------------------- */

static void on_words(struct host *host, char **words)
{
    GByteArray *out = g_byte_array_new();
    struct vwl_desktop_policy policy = { VWL_WISH_ALLOW, VWL_WISH_ALLOW,
                                         VWL_WISH_ALLOW };

    if (g_str_equal(words[0], "list")) {
        vwl_frame_put(out, VWL_SIDE_HOST, VWL_FRAME_LIST, 0, NULL);
    } else if (g_str_equal(words[0], "launch")) {
        vwl_frame_put(out, VWL_SIDE_HOST, VWL_FRAME_LAUNCH, ++host->job,
                      words[1], "", NULL);
    } else if (g_str_equal(words[0], "ask")) {
        policy.links = VWL_WISH_ASK;
        vwl_desktop_set_policy(host->desktop, &policy);
        tell("asks");
    } else if (g_str_equal(words[0], "answer")) {
        vwl_desktop_answer(host->desktop, (unsigned int)atoi(words[1]), true);
    } else if (g_str_equal(words[0], "forget")) {
        vwl_apps_forget(NULL);
        tell("forgot");
    }
    send_out(host, out);
}

static void read_line(GDataInputStream *stream, struct host *host);

static void on_line(GObject *stream, GAsyncResult *result, gpointer data)
{
    struct host *host = data;
    g_autofree char *line = g_data_input_stream_read_line_finish(
        G_DATA_INPUT_STREAM(stream), result, NULL, NULL);
    g_auto(GStrv) words = line ? g_strsplit(line, " ", 2) : NULL;

    if (!words) {
        g_main_loop_quit(host->loop);
        return;
    }
    on_words(host, words);
    read_line(G_DATA_INPUT_STREAM(stream), host);
}

static void read_line(GDataInputStream *stream, struct host *host)
{
    g_data_input_stream_read_line_async(stream, G_PRIORITY_DEFAULT, NULL,
                                        on_line, host);
}

int main(int argc, char **argv)
{
    struct host host = { .loop = g_main_loop_new(NULL, FALSE) };
    GSocketService *service = g_socket_service_new();
    GSocketAddress *address = g_unix_socket_address_new(argv[1]);
    GInputStream *input = g_unix_input_stream_new(STDIN_FILENO, FALSE);
    GDataInputStream *lines = g_data_input_stream_new(input);
    GDBusConnection *bus = notifier_connect();
    GDBusConnection *server = notifier_start(on_heard);

    g_assert_true(argc == 4);
    host.desktop = vwl_desktop_create(argv[2], argv[3], bus, &ops, &host);
    g_assert_true(g_socket_listener_add_address(G_SOCKET_LISTENER(service),
                                                address, G_SOCKET_TYPE_STREAM,
                                                G_SOCKET_PROTOCOL_DEFAULT, NULL,
                                                NULL, NULL));
    g_signal_connect(service, "incoming", G_CALLBACK(on_agent), &host);
    read_line(lines, &host);
    tell("listens");
    g_main_loop_run(host.loop);
    hang_up(&host);
    vwl_desktop_destroy(host.desktop);
    g_object_unref(service);
    g_object_unref(address);
    g_object_unref(lines);
    g_object_unref(input);
    g_object_unref(bus);
    notifier_stop(server);
    g_main_loop_unref(host.loop);
    return 0;
}
