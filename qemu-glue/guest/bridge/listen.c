/* SPDX-License-Identifier: BSD-3-Clause */
#include "listen.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static bool fail(GError **error, GFileError code, const char *path,
                 const char *why)
{
    g_set_error(error, G_FILE_ERROR, code, "cannot listen at %s: %s", path,
                why);
    return false;
}

/* ---- the lock ---- */

/* As libwayland's servers take it, so it has their mode, too. 0 or -errno;
 * -EWOULDBLOCK: another process has it. */
static int lock_take(struct vwl_listen *listen, const char *path)
{
    char *name = g_strconcat(path, ".lock", NULL);
    int fd = open(name, O_CREAT | O_CLOEXEC | O_RDWR | O_NONBLOCK, 0660);
    int r = fd < 0 ? -errno : 0;

    if (r == 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
        r = -errno;
        close(fd);
    }
    if (r < 0) {
        g_free(name);
        return r;
    }
    listen->lock = fd;
    listen->lock_path = name;
    return 0;
}

static void lock_drop(struct vwl_listen *listen)
{
    struct stat own, there;

    if (listen->lock < 0) {
        return;
    }
    if (fstat(listen->lock, &own) == 0 &&
        lstat(listen->lock_path, &there) == 0 && own.st_dev == there.st_dev &&
        own.st_ino == there.st_ino) {
        unlink(listen->lock_path);
    }
    close(listen->lock);
    listen->lock = -1;
    g_clear_pointer(&listen->lock_path, g_free);
}

/* ---- the socket ---- */

/* Whether somebody listens there; a full backlog (EAGAIN) is somebody, too. */
static bool is_served(const struct sockaddr_un *addr)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool served;

    if (fd < 0) {
        return true;
    }
    served = connect(fd, (const struct sockaddr *)addr, sizeof *addr) == 0 ||
             errno != ECONNREFUSED;
    close(fd);
    return served;
}

static const char served[] = "another process listens there";

static const char *replace(int fd, const struct sockaddr_un *addr)
{
    struct stat st;

    if (lstat(addr->sun_path, &st) < 0) {
        return g_strerror(errno);
    }
    if (!S_ISSOCK(st.st_mode)) {
        return "what is there is no socket";
    }
    if (is_served(addr)) {
        return served;
    }
    if (unlink(addr->sun_path) < 0 ||
        bind(fd, (const struct sockaddr *)addr, sizeof *addr) < 0) {
        return g_strerror(errno);
    }
    return NULL;
}

/* NULL, or why not. */
static const char *listen_at(struct vwl_listen *listening, const char *path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    const char *why = NULL;
    struct stat st;

    if (strlen(path) >= sizeof addr.sun_path) {
        return "this path is longer than a Unix socket's may be";
    }
    strcpy(addr.sun_path, path);
    listening->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                           0);
    if (listening->fd < 0) {
        return g_strerror(errno);
    }
    if (bind(listening->fd, (struct sockaddr *)&addr, sizeof addr) < 0) {
        why = errno == EADDRINUSE ? replace(listening->fd, &addr)
                                  : g_strerror(errno);
    }
    if (why != NULL) {
        return why;
    }
    if (lstat(path, &st) < 0) {
        return g_strerror(errno);
    }
    listening->path = g_strdup(path);
    listening->dev = st.st_dev;
    listening->ino = st.st_ino;
    listening->mtime = st.st_mtim;
    return listen(listening->fd, 128) < 0 ? g_strerror(errno) : NULL;
}

bool vwl_listen_open(struct vwl_listen *listen, const char *path, bool wayland,
                     GError **error)
{
    int r = wayland ? lock_take(listen, path) : 0;
    const char *why = r == 0              ? listen_at(listen, path)
                      : r == -EWOULDBLOCK ? "another compositor has its lock "
                                            "(the same name with .lock)"
                                          : g_strerror(-r);

    if (why != NULL) {
        vwl_listen_close(listen);
        return fail(error,
                    why == served ? G_FILE_ERROR_EXIST : G_FILE_ERROR_FAILED,
                    path, why);
    }
    return true;
}

bool vwl_listen_adopt(struct vwl_listen *listen, int fd)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    socklen_t len = sizeof addr - 1; /* a NUL stays behind the path */

    listen->fd = fd;
    if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0 ||
        addr.sun_family != AF_UNIX || addr.sun_path[0] != '/') {
        return true; /* there is no file that could be taken */
    }
    return lock_take(listen, addr.sun_path) != -EWOULDBLOCK;
}

void vwl_listen_close(struct vwl_listen *listen)
{
    struct stat st;

    if (listen->path != NULL && lstat(listen->path, &st) == 0 &&
        st.st_dev == listen->dev && st.st_ino == listen->ino &&
        st.st_mtim.tv_sec == listen->mtime.tv_sec &&
        st.st_mtim.tv_nsec == listen->mtime.tv_nsec) {
        unlink(listen->path);
    }
    g_clear_pointer(&listen->path, g_free);
    if (listen->fd >= 0) {
        close(listen->fd);
        listen->fd = -1;
    }
    lock_drop(listen);
}
