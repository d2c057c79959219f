/* SPDX-License-Identifier: BSD-3-Clause */
#include "loop/sockets.h"

#include <errno.h>
#include <string.h>
#include <sys/un.h>

static int check(const struct vwl_socket *socket, struct vwl_log *log)
{
    const char *name = socket->name ? socket->name : "";

    if (!socket->path || !socket->path[0]) {
        log_host_bug(log, "socket '%s' has no path", name);
        return -EINVAL;
    }
    if (strlen(socket->path) >= sizeof((struct sockaddr_un *)0)->sun_path) {
        log_host_bug(log,
                     "socket path '%s' is longer than a Unix "
                     "socket's may be",
                     socket->path);
        return -EINVAL;
    }
    if (strlen(name) > 32 || !g_utf8_validate(name, -1, NULL)) {
        log_host_bug(log,
                     "socket name '%s' is not at most 32 bytes "
                     "of UTF-8",
                     name);
        return -EINVAL;
    }
    return 0;
}

int vwl_sockets_copy(const struct vwl_config *config, struct vwl_log *log,
                     GPtrArray *strings, const struct vwl_socket **out)
{
    struct vwl_socket *sockets = g_new0(struct vwl_socket,
                                        config->n_sockets + 1);

    g_ptr_array_add(strings, sockets);
    for (size_t i = 0; i < config->n_sockets; i++) {
        const struct vwl_socket *from = &config->sockets[i];
        char *name, *path;

        if (check(from, log) < 0) {
            return -EINVAL;
        }
        name = g_strdup(from->name ? from->name : "");
        path = g_strdup(from->path);
        g_ptr_array_add(strings, name);
        g_ptr_array_add(strings, path);
        for (size_t j = 0; j < i; j++) {
            if (strcmp(sockets[j].name, name) == 0) {
                log_host_bug(log, "two sockets of the name '%s'", name);
                return -EINVAL;
            }
        }
        sockets[i] = (struct vwl_socket){ name, path };
    }
    *out = sockets;
    return 0;
}
