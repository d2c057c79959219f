/* SPDX-License-Identifier: BSD-3-Clause */
#include "socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4

static int open_socket(const char *path, struct sockaddr_un *address)
{
    int fd;

    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address->sun_path) {
        return -ENAMETOOLONG;
    }
    strcpy(address->sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd < 0 ? -errno : fd;
}

int vwl_socket_connect(const char *path)
{
    struct sockaddr_un address;
    int fd = open_socket(path, &address), why;

    if (fd < 0 || connect(fd, (void *)&address, sizeof address) == 0) {
        return fd;
    }
    why = -errno;
    close(fd);
    return why;
}

int vwl_socket_listen(const char *path)
{
    struct sockaddr_un address;
    int fd = open_socket(path, &address), why;

    if (fd < 0) {
        return fd;
    }
    unlink(path);
    /* The folder is this user's alone, so the socket is, too. */
    if (bind(fd, (void *)&address, sizeof address) == 0 &&
        listen(fd, BACKLOG) == 0) {
        return fd;
    }
    why = -errno;
    close(fd);
    return why;
}
