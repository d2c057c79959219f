/* SPDX-License-Identifier: BSD-3-Clause */
#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static bool fail(GError **error, const char *path, const char *what)
{
    int err = errno;

    g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(err), "%s: %s: %s",
                path, what, g_strerror(err));
    return false;
}

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    return address;
}

/* Somebody answers there? A full backlog (EAGAIN) is somebody, too. */
static bool is_live(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool live;

    if (fd < 0) {
        return true;
    }
    live = connect(fd, (const struct sockaddr *)address, sizeof *address) ==
               0 ||
           errno != ECONNREFUSED;
    close(fd);
    return live;
}

/* The mode comes with the file: a chmod would follow a link that somebody put
 * there in between. */
static bool bind_with_mode(int fd, const struct sockaddr_un *address,
                           mode_t mode)
{
    mode_t before = umask(~mode & 0777);
    bool ok = bind(fd, (const struct sockaddr *)address, sizeof *address) == 0;
    int saved = errno;

    umask(before);
    errno = saved;
    return ok;
}

static void keep_reserve(struct vwl_listener *listener)
{
    if (listener->reserve < 0) {
        listener->reserve = fcntl(listener->fd, F_DUPFD_CLOEXEC, 0);
    }
}

bool vwl_listener_open(struct vwl_listener *listener, const char *path,
                       const struct vwl_listener_access *access, GError **error)
{
    struct sockaddr_un address = address_of(path);
    struct stat st;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    *listener = (struct vwl_listener){ .fd = fd, .reserve = -1 };
    if (fd < 0) {
        return fail(error, path, "no socket");
    }
    if (!bind_with_mode(fd, &address, access->mode)) {
        if (errno != EADDRINUSE) {
            fail(error, path, "cannot bind");
            goto out;
        }
        if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode)) {
            errno = EEXIST;
            fail(error, path, "not a socket, left alone");
            goto out;
        }
        if (is_live(&address)) {
            errno = EADDRINUSE;
            fail(error, path, "another process listens there");
            goto out;
        }
        if (unlink(path) < 0 || !bind_with_mode(fd, &address, access->mode)) {
            fail(error, path, "cannot replace the old socket");
            goto out;
        }
    }
    if (lstat(path, &st) < 0) {
        fail(error, path, "the socket is not there");
        goto out;
    }
    listener->path = g_strdup(path);
    listener->bound = (struct vwl_bound){ st.st_dev, st.st_ino, st.st_mtim };
    if (access->group != (gid_t)-1 &&
        lchown(path, (uid_t)-1, access->group) < 0) {
        fail(error, path, "cannot give the socket to that group");
        goto out;
    }
    if (listen(fd, 8) < 0) {
        fail(error, path, "cannot listen");
        goto out;
    }
    keep_reserve(listener);
    return true;
out:
    vwl_listener_close(listener);
    return false;
}

bool vwl_listener_adopt(struct vwl_listener *listener, int fd, GError **error)
{
    *listener = (struct vwl_listener){ .fd = fd, .reserve = -1 };
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0) {
        return fail(error, "--fd", "cannot set its flags");
    }
    keep_reserve(listener);
    return true;
}

void vwl_listener_close(struct vwl_listener *listener)
{
    if (listener->fd >= 0) {
        close(listener->fd);
        listener->fd = -1;
    }
    if (listener->reserve >= 0) {
        close(listener->reserve);
        listener->reserve = -1;
    }
    if (listener->path) {
        vwl_bound_unlink(&listener->bound, listener->path);
        g_clear_pointer(&listener->path, g_free);
    }
}

void vwl_bound_unlink(const struct vwl_bound *bound, const char *path)
{
    struct stat st;

    if (lstat(path, &st) == 0 && st.st_dev == bound->dev &&
        st.st_ino == bound->ino && st.st_mtim.tv_sec == bound->mtime.tv_sec &&
        st.st_mtim.tv_nsec == bound->mtime.tv_nsec) {
        unlink(path);
    }
}

int vwl_listener_accept(struct vwl_listener *listener)
{
    int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0 && (errno == EMFILE || errno == ENFILE) &&
        listener->reserve >= 0) {
        close(listener->reserve);
        listener->reserve = -1;
        fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    }
    if (fd < 0) {
        int err = errno;

        keep_reserve(listener);
        return err == EINTR || err == ECONNABORTED ? -EAGAIN : -err;
    }
    keep_reserve(listener);
    return fd;
}
