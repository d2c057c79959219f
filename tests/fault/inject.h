/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls of the plugin that fail: each system call and each checkable
 * allocation of libvhost-user-wl.so, and of nobody else in the process, goes
 * through a wrapper here, which counts it and, when told so, refuses it as a
 * kernel might, or does less than was asked for.
 */
#ifndef VWL_TEST_INJECT_H
#define VWL_TEST_INJECT_H

#include <stdbool.h>

enum inject_call {
    CALL_OPEN,
    CALL_SOCKET,
    CALL_CONNECT,
    CALL_GETSOCKOPT,
    CALL_SENDMSG,
    CALL_RECVMSG,
    CALL_RECV,
    CALL_READ,
    CALL_READV,
    CALL_PREADV2,
    CALL_PREAD,
    CALL_WRITE,
    CALL_WRITEV,
    CALL_PWRITE,
    CALL_SPLICE,
    CALL_TEE,
    CALL_MMAP,
    CALL_MUNMAP,
    CALL_FTRUNCATE,
    CALL_MEMFD,
    CALL_FCNTL,
    CALL_IOCTL,
    CALL_EPOLL_CREATE,
    CALL_EPOLL_CTL,
    CALL_EPOLL_WAIT,
    CALL_TIMERFD,
    CALL_TIMERFD_SET,
    CALL_FSTAT,
    CALL_STATX,
    CALL_CLOSE,
    CALL_PIPE,
    CALL_POLL,
    CALL_THREAD,
    CALL_MALLOC,
    CALL_REALLOC,
    CALL_COUNT,
};

/* Finds the plugin, which is loaded. False: it is not there. */
bool inject_init(const char *plugin);

const char *inject_name(enum inject_call call);
/* The n-th error (from 0) that the call may have; 0: no more. */
int inject_error(enum inject_call call, unsigned int n);
/* An error that nobody but the caller may notice: interrupted, or not now. */
bool inject_is_passing(enum inject_call call, int error);
/* Whether the call may do less than it was asked for. */
bool inject_can_be_short(enum inject_call call);

/* From now on calls are counted, and that one fails from its first-th time on
 * (from 1), every-th times, times times. error 0: it is short. for_ms: and no
 * longer than that after it failed first; 0: without an end. */
struct inject_plan {
    enum inject_call call; /* CALL_COUNT: none fails */
    unsigned int first, every, times;
    int error;
    unsigned int for_ms;
};
void inject_arm(const struct inject_plan *plan);
void inject_disarm(void);
/* Since then: how often the plugin made that call, how often one failed. */
unsigned int inject_calls(enum inject_call call);
unsigned int inject_hits(void);

/* For the wrappers (calls.c). Counts a call; whether it is one that is to go
 * wrong: from is where it returns to. */
bool inject_hit(enum inject_call call, void *from);
/* The error of the plan; 0: the call is short. */
int inject_error_now(void);

#endif
