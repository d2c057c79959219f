/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host's own limits, for real: no descriptor, no mapping and no memory
 * left in the device's process. What the guest asks for is refused, what it
 * has goes on, the front-end may come back, and all is well when there is room
 * again.
 */
#include "rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define FIRST_ID 100u
#define MOST 600u

static void alive(struct rig *r, uint32_t id, int peer)
{
    char byte = 0;

    g_assert_cmpint(vwl_drv_send(r->drv, id, NULL, 0, "g", 1), ==,
                    VIRTIO_WL_RESP_OK);
    rig_read(r, peer, &byte, 1, NULL, NULL);
    g_assert_cmpint(byte, ==, 'g');
    rig_write(r, peer, "h", 1, NULL, 0);
    g_assert_cmpint(vwl_drv_recv(r->drv, id, &byte, 1, NULL, NULL,
                                 RIG_TIMEOUT_MS),
                    ==, 1);
    g_assert_cmpint(byte, ==, 'h');
}

/* Contexts that were refused may have been connected already, or still be:
 * theirs is not the connection that says something. */
static int open_ctx(struct rig *r, uint32_t id)
{
    unsigned int n_fds = 0;
    char byte;
    int peer;

    g_assert_cmpint(vwl_drv_new_ctx(r->drv, id, "peer0"), ==,
                    VIRTIO_WL_RESP_VFD_NEW);
    g_assert_cmpint(vwl_drv_send(r->drv, id, NULL, 0, "o", 1), ==,
                    VIRTIO_WL_RESP_OK);
    for (;;) {
        peer = rig_accept(r, 0);
        rig_wait_readable(r, peer);
        if (peer_recv(peer, &byte, 1, NULL, &n_fds) == 1) {
            return peer;
        }
        close(peer);
    }
}

/* Whatever the guest can make works. */
static void all_works(struct rig *r, uint32_t base)
{
    int peer = open_ctx(r, base);

    alive(r, base, peer);
    g_assert_cmpint(vwl_drv_new(r->drv, base + 1, 65536), ==,
                    VIRTIO_WL_RESP_VFD_NEW);
    memset(vwl_drv_map(r->drv, base + 1), 7, 65536);
    g_assert_cmpint(vwl_drv_new_pipe(r->drv, base + 2, VIRTIO_WL_VFD_READ), ==,
                    VIRTIO_WL_RESP_VFD_NEW);
    for (uint32_t id = base; id < base + 3; id++) {
        g_assert_cmpint(vwl_drv_close(r->drv, id), ==, VIRTIO_WL_RESP_OK);
    }
    close(peer);
}

static void is_refusal(int result)
{
    g_assert_true(result == VIRTIO_WL_RESP_ERR ||
                  result == VIRTIO_WL_RESP_OUT_OF_MEMORY);
}

/* Until one is refused; the id of that one. */
static uint32_t make_until_refused(struct rig *r, uint32_t from, bool memory)
{
    for (uint32_t id = from; id < FIRST_ID + MOST; id++) {
        int result = memory ? vwl_drv_new(r->drv, id, 4096)
                            : vwl_drv_new_pipe(r->drv, id, VIRTIO_WL_VFD_READ);

        if (result != VIRTIO_WL_RESP_VFD_NEW) {
            is_refusal(result);
            return id;
        }
    }
    g_error("nothing was refused");
}

static void close_all(struct rig *r, uint32_t end)
{
    for (uint32_t id = FIRST_ID; id < end; id++) {
        g_assert_cmpint(vwl_drv_close(r->drv, id), ==, VIRTIO_WL_RESP_OK);
    }
}

static void limit(struct rig *r, int what, rlim_t soft)
{
    pid_t pid = r->options.device == RIG_DAEMON ? r->pid : 0;
    struct rlimit old;

    g_assert_cmpint(prlimit(pid, (__rlimit_resource_t)what, NULL, &old), ==, 0);
    old.rlim_cur = MIN(soft, old.rlim_max);
    g_assert_cmpint(prlimit(pid, (__rlimit_resource_t)what, &old, NULL), ==, 0);
}

static rlim_t limit_of(struct rig *r, int what)
{
    pid_t pid = r->options.device == RIG_DAEMON ? r->pid : 0;
    struct rlimit now;

    g_assert_cmpint(prlimit(pid, (__rlimit_resource_t)what, NULL, &now), ==, 0);
    return now.rlim_cur;
}

/* ---- no descriptor ---- */

static void test_descriptors(gconstpointer data)
{
    struct rig_options options = {
        .device = (enum rig_device)GPOINTER_TO_UINT(data),
        .n_peers = 1,
    };
    struct rig *r = rig_new(&options);
    int peer = open_ctx(r, 1);
    rlim_t before = limit_of(r, RLIMIT_NOFILE);
    unsigned int open = rig_count_fds(options.device == RIG_DAEMON ? r->pid
                                                                   : 0);

    limit(r, RLIMIT_NOFILE, open + 100);
    for (unsigned int i = 0; i < 2; i++) {
        uint32_t end = make_until_refused(r, FIRST_ID, i == 1);

        g_assert_cmpuint(end, >, FIRST_ID + 8);
        end = make_until_refused(r, end, true); /* which takes less */
        is_refusal(vwl_drv_new_ctx(r->drv, 90, "peer0"));
        alive(r, 1, peer);
        g_assert_cmpint(vwl_drv_close(r->drv, --end), ==, VIRTIO_WL_RESP_OK);
        g_assert_cmpint(vwl_drv_new(r->drv, end, 4096), ==,
                        VIRTIO_WL_RESP_VFD_NEW);
        close_all(r, end + 1);
    }
    /* what a front-end needs is kept for it */
    make_until_refused(r, FIRST_ID, false);
    close(peer);
    rig_reconnect(r);
    all_works(r, 1);
    make_until_refused(r, FIRST_ID, true);
    g_assert_cmpint(vwl_drv_reset(r->drv), ==, 0);
    all_works(r, 1);
    limit(r, RLIMIT_NOFILE, before);
    all_works(r, 1);
    rig_free(r);
}

/* ---- no mapping ---- */

static size_t max_map_count(void)
{
    g_autofree char *text = NULL;

    g_assert_true(
        g_file_get_contents("/proc/sys/vm/max_map_count", &text, NULL, NULL));
    return strtoul(text, NULL, 10);
}

/* Every other page of it is a mapping of its own. */
static void use_up(uint8_t *at, size_t pages)
{
    for (size_t i = 1; i < pages; i += 2) {
        if (mprotect(at + i * 4096, 4096, PROT_READ) < 0) {
            g_assert_cmpint(errno, ==, ENOMEM);
            return;
        }
    }
    g_error("mappings do not run out");
}

static bool is_sanitized(const char *why)
{
    const char *sanitized = g_getenv("VWL_SANITIZED");

    if (sanitized && *sanitized) {
        g_test_skip(why);
        return true;
    }
    return false;
}

/* The host maps for the device, in its own process. */
static void test_mappings(void)
{
    struct rig_options options = { .n_peers = 1, .host_map = true };
    size_t pages = max_map_count() + 100;
    struct rig *r;
    uint8_t *at;
    int peer;

    if (is_sanitized("a sanitizer needs mappings, too")) {
        return;
    }
    if (pages > 200000) {
        g_test_skip("this kernel allows more mappings than one wants to make");
        return;
    }
    r = rig_new(&options);
    peer = open_ctx(r, 1);
    g_assert_cmpint(vwl_drv_new(r->drv, 2, 4096), ==, VIRTIO_WL_RESP_VFD_NEW);
    at = mmap(NULL, pages * 4096, PROT_NONE,
              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    g_assert_true(at != MAP_FAILED);
    use_up(at, pages);
    for (uint32_t id = 3; id < 20; id++) {
        int result = vwl_drv_new(r->drv, id, 4096);

        if (result == VIRTIO_WL_RESP_VFD_NEW) {
            continue; /* it needed no more than there was */
        }
        is_refusal(result);
    }
    is_refusal(vwl_drv_new(r->drv, 30, 4096));
    alive(r, 1, peer);
    munmap(at, pages * 4096);
    all_works(r, 40);
    g_assert_cmpint(vwl_drv_close(r->drv, 2), ==, VIRTIO_WL_RESP_OK);
    g_assert_cmpint(vwl_drv_reset(r->drv), ==, 0);
    all_works(r, 1);
    close(peer);
    rig_free(r);
}

/* ---- no memory ---- */

static rlim_t address_space(GPid pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/statm", (int)pid);
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return strtoul(text, NULL, 10) * 4096;
}

/* A guest whose memory does not fit is refused, and the next one served. */
static void test_memory(void)
{
    struct rig_options options = { .device = RIG_DAEMON, .n_peers = 1 };
    static uint8_t bytes[60000];
    struct vwl_fe *big = NULL;
    struct vwl_fe_options fe = { .ram_mib = 512 };
    struct vwl_drv *drv = NULL;
    struct rig *r;
    rlim_t before;
    int peer, fd = -1;

    if (is_sanitized("a sanitizer needs all the address space there is")) {
        return;
    }
    r = rig_new(&options);
    peer = open_ctx(r, 1);
    before = limit_of(r, RLIMIT_AS);
    limit(r, RLIMIT_AS, address_space(r->pid) + (2u << 20));
    /* more than that, for a peer that reads nothing */
    for (unsigned int i = 0; i < 60; i++) {
        struct vwl_drv_request *request = vwl_drv_send_async(r->drv, 1, NULL, 0,
                                                             bytes,
                                                             sizeof bytes);

        if (!request) {
            break;
        }
        rig_settle(r);
        vwl_drv_request_free(r->drv, request);
    }
    close(peer);
    all_works(r, 10);
    rig_disconnect(r);
    g_assert_cmpint(vwl_fe_connect(r->daemon_socket, RIG_TIMEOUT_MS, &fd), ==,
                    0);
    g_assert_cmpint(vwl_fe_create(&fe, &fd, &big), ==, 0);
    g_assert_cmpint(vwl_fe_handshake(big), ==, 0);
    g_assert_cmpint(vwl_drv_create(big, NULL, &drv), <, 0);
    vwl_fe_destroy(big);
    rig_reconnect(r);
    all_works(r, 1);
    limit(r, RLIMIT_AS, before);
    all_works(r, 1);
    rig_free(r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/limits/descriptors/plugin",
                         GUINT_TO_POINTER(RIG_CONTEXT), test_descriptors);
    g_test_add_data_func("/limits/descriptors/daemon",
                         GUINT_TO_POINTER(RIG_DAEMON), test_descriptors);
    g_test_add_func("/limits/mappings", test_mappings);
    g_test_add_func("/limits/memory", test_memory);
    return g_test_run();
}
