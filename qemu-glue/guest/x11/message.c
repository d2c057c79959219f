/* SPDX-License-Identifier: BSD-3-Clause */
#include "message.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct head {
    uint8_t kind;
    uint8_t board;
};

const char *vwl_types_next(const struct vwl_types *types, const char *type)
{
    const char *next = type ? type + strlen(type) + 1 : types->text;
    return next < types->text + types->length ? next : NULL;
}

bool vwl_types_have(const struct vwl_types *types, const char *type)
{
    for (const char *t = NULL; (t = vwl_types_next(types, t));)
        if (!strcmp(t, type))
            return true;
    return false;
}

void vwl_types_add(struct vwl_types *types, const char *type)
{
    size_t length = strlen(type) + 1;
    if (length > sizeof types->text - types->length ||
        vwl_types_have(types, type))
        return;
    memcpy(types->text + types->length, type, length);
    types->length += length;
}

void vwl_selection_send(int socket, const struct vwl_selection *s)
{
    struct head head = { .kind = s->kind, .board = s->board };
    struct iovec iov[] = { { &head, sizeof head },
                           { (void *)s->types.text, s->types.length } };
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { { 0 } };
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

    if (s->fd >= 0) {
        msg.msg_control = &control;
        msg.msg_controllen = sizeof control;
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        *c = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
                               .cmsg_type = SCM_RIGHTS,
                               .cmsg_len = CMSG_LEN(sizeof(int)) };
        memcpy(CMSG_DATA(c), &s->fd, sizeof s->fd);
    }
    while (sendmsg(socket, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
           errno == EINTR)
        ;
    if (s->fd >= 0)
        close(s->fd);
}

bool vwl_selection_read(int socket, struct vwl_selection *s)
{
    struct head head;
    struct iovec iov[] = { { &head, sizeof head },
                           { s->types.text, sizeof s->types.text } };
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct msghdr msg = { .msg_iov = iov,
                          .msg_iovlen = 2,
                          .msg_control = &control,
                          .msg_controllen = sizeof control };
    ssize_t n;

    s->fd = -1;
    while ((n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
        ;
    struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(&s->fd, CMSG_DATA(c), sizeof s->fd);
    s->types.length = n >= (ssize_t)sizeof head ? n - sizeof head : 0;
    s->kind = head.kind;
    s->board = head.board;
    if (n >= (ssize_t)sizeof head && head.board < VWL_BOARDS &&
        (s->types.length == 0 || !s->types.text[s->types.length - 1]) &&
        (head.kind == VWL_SELECTION_HAS ||
         (head.kind == VWL_SELECTION_WANT && s->fd >= 0 && s->types.length)))
        return true;
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    return false;
}
