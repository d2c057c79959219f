/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device in its steady state takes nothing from the heap: the malloc family
 * is counted in the device's thread while messages of every kind go both ways,
 * a thousand each.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "story.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FOREIGN_HEAP 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FOREIGN_HEAP 1
#endif

#define WARM_UP 1000 /* every page of a small guest was seen once */
#define TIMES 1000

static __thread bool is_ours; /* the test's own thread */
static int counting;
static unsigned int n_allocations;

#ifndef FOREIGN_HEAP
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t align, size_t size);
int posix_memalign(void **out, size_t align, size_t size);

static void count(void)
{
    if (!is_ours && __atomic_load_n(&counting, __ATOMIC_RELAXED)) {
        __atomic_fetch_add(&n_allocations, 1, __ATOMIC_RELAXED);
    }
}

void *malloc(size_t size)
{
    count();
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    count();
    return __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
    count();
    return __libc_realloc(old, size);
}

int posix_memalign(void **out, size_t align, size_t size)
{
    count();
    *out = __libc_memalign(align, size);
    return *out ? 0 : ENOMEM;
}
#endif

typedef void (*round_fn)(struct rig *r, int fd);

static void ping(struct rig *r, int peer)
{
    story_alive(r, 1, peer);
}

static void send_only(struct rig *r, int peer)
{
    char data[3000] = { 0 };

    g_assert_cmphex((unsigned)vwl_drv_send(r->drv, 1, NULL, 0, data,
                                           sizeof data),
                    ==, RESP_OK);
    rig_read(r, peer, data, sizeof data, NULL, NULL);
}

static void receive_only(struct rig *r, int peer)
{
    char data[9000] = { 0 };
    size_t got = 0;

    rig_write(r, peer, data, sizeof data, NULL, 0);
    while (got < sizeof data) {
        int64_t n = vwl_drv_recv(r->drv, 1, data, sizeof data, NULL, NULL,
                                 RIG_TIMEOUT_MS);

        g_assert_cmpint(n, >, 0);
        got += (size_t)n;
    }
}

static void pipe_to_guest(struct rig *r, int fd)
{
    char byte = 0;

    g_assert_cmpint(write(fd, "p", 1), ==, 1);
    g_assert_cmpint(vwl_drv_recv(r->drv, 2, &byte, 1, NULL, NULL,
                                 RIG_TIMEOUT_MS),
                    ==, 1);
}

static void pipe_to_host(struct rig *r, int fd)
{
    char byte = 0;

    g_assert_cmphex((unsigned)vwl_drv_send(r->drv, 3, NULL, 0, "p", 1), ==,
                    RESP_OK);
    rig_wait_readable(r, fd);
    g_assert_cmpint(read(fd, &byte, 1), ==, 1);
}

static void expect_none(struct rig *r, const char *what, round_fn round, int fd)
{
    unsigned int n;

    for (unsigned int i = 0; i < WARM_UP; i++) {
        round(r, fd);
    }
    __atomic_store_n(&n_allocations, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&counting, 1, __ATOMIC_SEQ_CST);
    for (unsigned int i = 0; i < TIMES; i++) {
        round(r, fd);
    }
    __atomic_store_n(&counting, 0, __ATOMIC_SEQ_CST);
    n = __atomic_load_n(&n_allocations, __ATOMIC_SEQ_CST);
    g_test_message("%s: %u allocations", what, n);
    g_assert_cmpuint(n, ==, 0);
}

static int open_pipe(struct rig *r, uint32_t id, uint32_t flags, int peer)
{
    g_assert_cmphex((unsigned)vwl_drv_new_pipe(r->drv, id, flags), ==,
                    RESP_VFD_NEW);
    return story_take(r, 1, peer, id);
}

/* The counter itself: what is made is counted. */
static void expect_some(struct rig *r)
{
    __atomic_store_n(&counting, 1, __ATOMIC_SEQ_CST);
    for (uint32_t id = 100; id < 140; id++) {
        close(rig_open_ctx(r, id, 0));
    }
    __atomic_store_n(&counting, 0, __ATOMIC_SEQ_CST);
    g_assert_cmpuint(__atomic_load_n(&n_allocations, __ATOMIC_SEQ_CST), >, 20);
}

static void run(const struct vwl_fe_options *fe)
{
    struct rig_options options = { .device = RIG_THREAD,
                                   .n_peers = 1,
                                   .fe = *fe };
    struct rig *r;
    int peer, out, in;

#ifdef FOREIGN_HEAP
    g_test_skip("the sanitizer has a heap of its own");
    return;
#endif
    is_ours = true;
    r = rig_new(&options);
    peer = rig_open_ctx(r, 1, 0);
    in = open_pipe(r, 2, VIRTIO_WL_VFD_READ, peer);
    out = open_pipe(r, 3, VIRTIO_WL_VFD_WRITE, peer);
    expect_none(r, "pings", ping, peer);
    expect_none(r, "sends", send_only, peer);
    expect_none(r, "receives", receive_only, peer);
    expect_none(r, "a pipe to the guest", pipe_to_guest, in);
    expect_none(r, "a pipe to the host", pipe_to_host, out);
    expect_some(r);
    close(in);
    close(out);
    close(peer);
    rig_settle(r);
    rig_free(r);
}

static void test_split(void)
{
    run(&(struct vwl_fe_options){ .dialect = VWL_FE_STANDARD });
}

static void test_packed(void)
{
    run(&(struct vwl_fe_options){ .dialect = VWL_FE_STANDARD, .packed = true });
}

static void test_iommu(void)
{
    run(&(struct vwl_fe_options){
        .dialect = VWL_FE_STANDARD, .iommu = true, .ram_mib = 4 });
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/allocations/split", test_split);
    g_test_add_func("/allocations/packed", test_packed);
    g_test_add_func("/allocations/iommu", test_iommu);
    return g_test_run();
}
