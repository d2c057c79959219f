/* SPDX-License-Identifier: BSD-3-Clause */
/* VFDs as the driver makes them, and what is known of each: what the other
 * files of this transport stand on. */
#include "wl0.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

struct wl0_vfd *wl0_vfd(struct wl0 *wl0, int vfd)
{
    size_t n = wl0->n_vfds;
    struct wl0_vfd *vfds;

    if (vfd < 0) {
        return NULL;
    }
    if ((size_t)vfd >= n) {
        n = ((size_t)vfd | 63) + 1;
        vfds = realloc(wl0->vfds, n * sizeof *vfds);
        if (vfds == NULL) {
            return NULL;
        }
        memset(vfds + wl0->n_vfds, 0, (n - wl0->n_vfds) * sizeof *vfds);
        wl0->vfds = vfds;
        wl0->n_vfds = n;
    }
    return &wl0->vfds[vfd];
}

/* Only our driver tells about its VFDs in /proc. */
void wl0_learn_driver(struct wl0 *wl0, int vfd)
{
    char path[64], text[512];
    int fd;
    ssize_t n;

    if (wl0->known) {
        return;
    }
    wl0->known = true;
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", vfd);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    n = read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    wl0->own = strstr(text, "virtwl-unsent:") != NULL;
    close(fd);
}

/* Whether the path leads to another device than the one that is open: that
 * was unplugged, and one has come in its place. */
static bool is_another(const char *path, int fd)
{
    struct stat now, then;

    return stat(path, &now) == 0 && fstat(fd, &then) == 0 &&
           (now.st_ino != then.st_ino || now.st_rdev != then.st_rdev);
}

int wl0_make(const char *path, int *fd, struct wl0_new *new)
{
    struct wl0_new again = *new;
    int other, r;

    new->fd = -1;
    if (ioctl(*fd, WL0_IOC_NEW, new) == 0) {
        return new->fd;
    }
    r = -errno;
    if (r != -ENODEV || !is_another(path, *fd)) {
        return r;
    }
    other = open(path, O_RDWR | O_CLOEXEC);
    if (other < 0) {
        return r;
    }
    if (ioctl(other, WL0_IOC_NEW, &again) < 0) {
        r = -errno;
        close(other);
        return r;
    }
    close(*fd);
    *fd = other;
    return again.fd;
}

int wl0_fill_ctx(struct wl0_new *new, const char *name)
{
    *new = (struct wl0_new){
        .type = name != NULL ? WL0_NEW_CTX_NAMED : WL0_NEW_CTX,
    };
    if (name != NULL) {
        size_t len = strlen(name);

        if (len > sizeof new->name) {
            return -ENAMETOOLONG;
        }
        memcpy(new->name, name, len);
    }
    return 0;
}

void wl0_set_events(struct wl0 *wl0, int vfd)
{
    struct wl0_vfd *v = wl0_vfd(wl0, vfd);
    struct epoll_event event = { .events = EPOLLET, .data.fd = vfd };
    bool out = v->n_sends != 0 && wl0->own;

    if (!v->watched && !out && !v->out) {
        return;
    }
    event.events |= v->watched ? EPOLLIN : 0;
    event.events |= out ? EPOLLOUT : 0;
    v->out = out;
    if (epoll_ctl(wl0->epoll, EPOLL_CTL_MOD, vfd, &event) < 0 &&
        errno == ENOENT) {
        epoll_ctl(wl0->epoll, EPOLL_CTL_ADD, vfd, &event);
    }
}
