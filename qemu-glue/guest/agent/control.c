/* SPDX-License-Identifier: BSD-3-Clause */
#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <string.h>

#include "channel/bounds.h"
#include "control.h"

#define MAX_LINE (VWL_MAX_OPEN_BYTES + 16)
#define MAX_CLIENTS 8u
#define ANSWER_S 10

struct vwl_control {
    GSocketService *service;
    char *path;
    vwl_control_fn answer;
    void *opaque;
    unsigned int n_clients;
};

struct client {
    struct vwl_control *control;
    GSocketConnection *connection;
    char line[MAX_LINE + 1], *answer;
};

char *vwl_control_path(void)
{
    return g_build_filename(g_get_user_runtime_dir(), "vwl-guest", NULL);
}

static void client_free(struct client *client)
{
    client->control->n_clients--;
    g_object_unref(client->connection);
    g_free(client->answer);
    g_free(client);
}

static void on_told(GObject *stream, GAsyncResult *result, gpointer data)
{
    g_output_stream_write_all_finish(G_OUTPUT_STREAM(stream), result, NULL,
                                     NULL);
    client_free(data);
}

static void on_line(GObject *stream, GAsyncResult *result, gpointer data)
{
    struct client *client = data;
    gssize n = g_input_stream_read_finish(G_INPUT_STREAM(stream), result, NULL);
    char *end = n > 0 ? memchr(client->line, '\n', (size_t)n) : NULL;

    if (!end) { /* a whole line comes at once */
        client_free(client);
        return;
    }
    *end = '\0';
    client->answer = client->control->answer(client->control->opaque,
                                             client->line);
    g_output_stream_write_all_async(g_io_stream_get_output_stream(
                                        G_IO_STREAM(client->connection)),
                                    client->answer, strlen(client->answer),
                                    G_PRIORITY_DEFAULT, NULL, on_told, client);
}

static gboolean on_client(GSocketService *service,
                          GSocketConnection *connection, GObject *source,
                          gpointer data)
{
    struct vwl_control *control = data;
    struct client *client;

    if (control->n_clients == MAX_CLIENTS) {
        return TRUE; /* closes it */
    }
    control->n_clients++;
    client = g_new0(struct client, 1);
    client->control = control;
    client->connection = g_object_ref(connection);
    g_socket_set_timeout(g_socket_connection_get_socket(connection), ANSWER_S);
    g_input_stream_read_async(g_io_stream_get_input_stream(
                                  G_IO_STREAM(connection)),
                              client->line, MAX_LINE, G_PRIORITY_DEFAULT, NULL,
                              on_line, client);
    return TRUE;
}

struct vwl_control *vwl_control_create(const char *path, vwl_control_fn answer,
                                       void *opaque, GError **error)
{
    g_autoptr(GSocketService) service = g_socket_service_new();
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);
    struct vwl_control *control;

    g_unlink(path); /* of an agent before this one */
    if (!g_socket_listener_add_address(G_SOCKET_LISTENER(service), address,
                                       G_SOCKET_TYPE_STREAM,
                                       G_SOCKET_PROTOCOL_DEFAULT, NULL, NULL,
                                       error)) {
        return NULL;
    }
    g_chmod(path, 0600);
    control = g_new0(struct vwl_control, 1);
    control->service = g_steal_pointer(&service);
    control->path = g_strdup(path);
    control->answer = answer;
    control->opaque = opaque;
    g_signal_connect(control->service, "incoming", G_CALLBACK(on_client),
                     control);
    return control;
}

/* At the end of the process: clients under way are not waited for. */
void vwl_control_destroy(struct vwl_control *control)
{
    if (!control) {
        return;
    }
    g_socket_service_stop(control->service);
    g_signal_handlers_disconnect_by_data(control->service, control);
    g_object_unref(control->service);
    g_unlink(control->path);
    if (control->n_clients == 0) {
        g_free(control->path);
        g_free(control);
    }
}

char *vwl_control_ask(const char *path, const char *line, GError **error)
{
    g_autoptr(GSocketClient) client = g_socket_client_new();
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);
    g_autoptr(GSocketConnection) connection = NULL;
    g_autofree char *text = g_strconcat(line, "\n", NULL);
    char answer[256];
    gsize n;

    g_socket_client_set_timeout(client, ANSWER_S);
    connection = g_socket_client_connect(client, G_SOCKET_CONNECTABLE(address),
                                         NULL, error);
    if (!connection ||
        !g_output_stream_write_all(g_io_stream_get_output_stream(
                                       G_IO_STREAM(connection)),
                                   text, strlen(text), NULL, NULL, error) ||
        !g_input_stream_read_all(g_io_stream_get_input_stream(
                                     G_IO_STREAM(connection)),
                                 answer, sizeof answer, &n, NULL, error)) {
        return NULL;
    }
    return g_strndup(answer, n);
}
