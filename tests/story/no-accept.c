/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Preloaded into a daemon: accept4 fails for half a second with the error that
 * VWL_NO_ACCEPT_ERRNO names by number; then standard error is told how often.
 * In its child, which connects for it, the first calls of recvmsg fail so, if
 * that is an error of theirs.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#define FOR_MS 500
#define RECEIVE_TIMES 5

static int receive_errno, receive_left;

static long long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

__attribute__((visibility("default"))) int accept4(int fd,
                                                   struct sockaddr *from,
                                                   socklen_t *len, int flags)
{
    static int (*next)(int, struct sockaddr *, socklen_t *, int);
    static long long end_ms;
    static unsigned int tries;
    int got;

    if (!next) {
        *(void **)&next = dlsym(RTLD_NEXT, "accept4");
        end_ms = now_ms() + FOR_MS;
    }
    if (now_ms() < end_ms) {
        tries++;
        errno = atoi(getenv("VWL_NO_ACCEPT_ERRNO"));
        return -1;
    }
    got = next(fd, from, len, flags);
    if (got >= 0 && tries) {
        fprintf(stderr, "accept failed %u times\n", tries);
        tries = 0;
    }
    return got;
}

static void in_child(void)
{
    const char *number = getenv("VWL_NO_ACCEPT_ERRNO");

    receive_errno = number ? atoi(number) : 0;
    if (receive_errno == ENOMEM || receive_errno == ENOBUFS) {
        receive_left = RECEIVE_TIMES;
    }
}

__attribute__((constructor)) static void begin(void)
{
    pthread_atfork(NULL, NULL, in_child);
}

__attribute__((visibility("default"))) ssize_t recvmsg(int fd,
                                                       struct msghdr *msg,
                                                       int flags)
{
    static ssize_t (*next)(int, struct msghdr *, int);

    if (!next) {
        *(void **)&next = dlsym(RTLD_NEXT, "recvmsg");
    }
    if (receive_left > 0) {
        receive_left--;
        errno = receive_errno;
        return -1;
    }
    return next(fd, msg, flags);
}
