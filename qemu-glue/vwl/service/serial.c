/* SPDX-License-Identifier: BSD-3-Clause */
#include "serial.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "socket.h"

#define RETRY_MS 50
#define MOST_LOG (1 << 20)

struct vwl_serial {
    char *path, *log;
    int fd, file;
    gint64 length; /* of the file */
    unsigned int retry, watch;
};

static void open_file(struct vwl_serial *serial)
{
    struct stat st;

    serial->file = open(serial->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
                        0600);
    serial->length = serial->file >= 0 && fstat(serial->file, &st) == 0
                         ? st.st_size
                         : 0;
}

static void begin_anew(struct vwl_serial *serial)
{
    char *old = g_strconcat(serial->log, ".old", NULL);

    close(serial->file);
    g_rename(serial->log, old);
    g_free(old);
    open_file(serial);
}

static void keep(struct vwl_serial *serial, const char *text, size_t length)
{
    if (serial->file < 0) {
        return;
    }
    if (serial->length + (gint64)length > MOST_LOG) {
        begin_anew(serial);
    }
    /* A disk that is full loses lines of a log, no more. */
    if (write(serial->file, text, length) > 0) {
        serial->length += (gint64)length;
    }
}

static gboolean on_readable(int fd, GIOCondition condition, gpointer data)
{
    struct vwl_serial *serial = data;
    char buffer[4096];
    ssize_t n = recv(fd, buffer, sizeof buffer, 0);

    if (n > 0) {
        keep(serial, buffer, (size_t)n);
        return G_SOURCE_CONTINUE;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return G_SOURCE_CONTINUE;
    }
    serial->watch = 0;
    return G_SOURCE_REMOVE;
}

static gboolean on_retry(gpointer data)
{
    struct vwl_serial *serial = data;
    int fd = vwl_socket_connect(serial->path);

    if (fd < 0) {
        return G_SOURCE_CONTINUE;
    }
    serial->fd = fd;
    serial->retry = 0;
    serial->watch = g_unix_fd_add(fd, G_IO_IN, on_readable, serial);
    return G_SOURCE_REMOVE;
}

struct vwl_serial *vwl_serial_create(const char *path, const char *log)
{
    struct vwl_serial *serial = g_new0(struct vwl_serial, 1);

    serial->path = g_strdup(path);
    serial->log = g_strdup(log);
    serial->fd = -1;
    open_file(serial);
    serial->retry = g_timeout_add(RETRY_MS, on_retry, serial);
    return serial;
}

void vwl_serial_destroy(struct vwl_serial *serial)
{
    if (!serial) {
        return;
    }
    g_clear_handle_id(&serial->retry, g_source_remove);
    g_clear_handle_id(&serial->watch, g_source_remove);
    if (serial->fd >= 0) {
        close(serial->fd);
    }
    if (serial->file >= 0) {
        close(serial->file);
    }
    g_free(serial->log);
    g_free(serial->path);
    g_free(serial);
}
