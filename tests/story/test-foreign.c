/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Buffers and fences of the guest's virtio-gpu, by number: from a host's
 * callbacks, and from a double of crosvm's resource bridge, whose packets are
 * written here as they are documented, the malformed ones included.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "story.h"

#define BUFFER 1u
#define FENCE 2u
#define SIGNALED 3u

/* One entry and two bytes of data, for the context 1. */
static struct vwl_drv_request *submit(struct rig *r, bool wide, uint32_t kind,
                                      uint64_t value)
{
    size_t entry = wide ? 16 : 8;
    uint8_t bytes[16 + 16 + 2];
    struct vwl_drv_request *req;

    memset(bytes, 0xcd, sizeof bytes); /* padding, upper halves */
    put32(bytes, CMD_VFD_SEND_FOREIGN_ID);
    put32(bytes + 4, 0);
    put32(bytes + 8, 1);
    put32(bytes + 12, 1);
    put32(bytes + 16, kind);
    put32(bytes + 16 + entry / 2, (uint32_t)value);
    if (wide && kind == FENCE) {
        put32(bytes + 28, (uint32_t)(value >> 32));
    }
    memcpy(bytes + 16 + entry, "fd", 2);
    req = vwl_drv_submit(r->drv, bytes, 16 + entry + 2, 8, NULL);
    g_assert_nonnull(req);
    return req;
}

static void expect_type(struct rig *r, struct vwl_drv_request *req,
                        uint32_t type)
{
    g_assert_cmpint(vwl_drv_wait(r->drv, req, RIG_TIMEOUT_MS), ==, 0);
    g_assert_cmphex(vwl_drv_request_type(req), ==, type);
    vwl_drv_request_free(r->drv, req);
}

/* The peer gets the two bytes and a file of that size. */
static void expect_file(struct rig *r, int peer, off_t size)
{
    unsigned int n = 1;
    char bytes[2];
    int fd = -1;

    rig_read(r, peer, bytes, 2, &fd, &n);
    g_assert_cmpmem(bytes, 2, "fd", 2);
    g_assert_cmpuint(n, ==, 1);
    g_assert_cmpint(lseek(fd, 0, SEEK_END), ==, size);
    close(fd);
}

static void expect_nothing(struct rig *r, int peer)
{
    char byte;

    rig_settle(r);
    g_assert_cmpint(peer_recv(peer, &byte, 1, NULL, NULL), ==, -EAGAIN);
}

/* ---- a host's callbacks -------------------------------------------------- */

static struct {
    unsigned int resources, fences;
    uint64_t last;
} calls;

static int on_resource(void *opaque, uint32_t id, struct vwl_resource *out)
{
    calls.resources++;
    calls.last = id;
    g_assert_cmpuint(out->size, >=, sizeof *out);
    if (id != 77) {
        return -ENOENT;
    }
    out->width = 16;
    out->height = 16;
    out->n_planes = 2;
    out->plane[0].fd = story_memfd(4096, 0, 1);
    out->plane[1].fd = story_memfd(8192, 0, 1); /* nobody wants it */
    return 0;
}

static int on_fence(void *opaque, uint64_t seqno, int *fd)
{
    calls.fences++;
    calls.last = seqno;
    if (seqno == 13) {
        return -ENOENT;
    }
    *fd = story_memfd(12288, 0, 1);
    return 0;
}

static void test_callbacks(gconstpointer data)
{
    const bool wide = GPOINTER_TO_INT(data) != 0;
    const struct vwl_host host = { .resource_export = on_resource,
                                   .fence_export = on_fence };
    struct rig_options options = {
        .n_peers = 1,
        .host = &host,
        .fe.no_send_fences = !wide,
    };
    struct rig *r = rig_new(&options);
    int peer = rig_open_ctx(r, 1, 0);

    memset(&calls, 0, sizeof calls);
    expect_type(r, submit(r, wide, BUFFER, 77), RESP_OK);
    expect_file(r, peer, 4096);
    g_assert_cmpuint(calls.last, ==, 77);
    expect_type(r, submit(r, wide, BUFFER, 78), RESP_INVALID_ID);
    expect_type(r, submit(r, wide, FENCE, 13), RESP_INVALID_ID);
    expect_type(r, submit(r, wide, FENCE, UINT64_C(0x700000001)), RESP_OK);
    expect_file(r, peer, 12288);
    g_assert_cmphex(calls.last, ==, wide ? UINT64_C(0x700000001) : 1);
    expect_type(r, submit(r, wide, SIGNALED, 13), RESP_OK);
    expect_type(r, submit(r, wide, SIGNALED, 13), RESP_OK);
    g_assert_cmphex(calls.last, ==, 0);
    g_assert_cmpuint(calls.fences, ==, 3);
    expect_file(r, peer, 12288);
    expect_file(r, peer, 12288);
    story_alive(r, 1, peer);
    close(peer);
    rig_free(r);
}

/* ---- crosvm's bridge ----------------------------------------------------- */

struct bridge {
    char *folder, *path, *option;
    int listener, fd;
    struct rig *r;
    int peer;
};

static bool available(void)
{
    if (!*g_getenv("VWL_RESOURCE_BRIDGE")) {
        g_test_skip("built without json-glib");
        return false;
    }
    return true;
}

static void bridge_begin(struct bridge *b)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    const char *args[2];
    struct rig_options options = { .device = RIG_DAEMON,
                                   .n_peers = 1,
                                   .daemon_args = args };

    b->folder = g_dir_make_tmp("vwl-bridge-XXXXXX", NULL);
    b->path = g_build_filename(b->folder, "bridge", NULL);
    b->option = g_strdup_printf("--resource-bridge=%s", b->path);
    args[0] = b->option;
    args[1] = NULL;
    b->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    g_strlcpy(sun.sun_path, b->path, sizeof sun.sun_path);
    g_assert_cmpint(bind(b->listener, (struct sockaddr *)&sun, sizeof sun), ==,
                    0);
    g_assert_cmpint(listen(b->listener, 1), ==, 0);
    b->r = rig_new(&options);
    b->fd = accept4(b->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    g_assert_cmpint(b->fd, >=, 0);
    b->peer = rig_open_ctx(b->r, 1, 0);
}

static void bridge_end(struct bridge *b)
{
    close(b->peer);
    if (b->fd >= 0) {
        close(b->fd);
    }
    rig_free(b->r);
    close(b->listener);
    g_unlink(b->path);
    g_rmdir(b->folder);
    g_free(b->folder);
    g_free(b->path);
    g_free(b->option);
}

static void expect_question(struct bridge *b, const char *text)
{
    char packet[256];
    ssize_t n;

    rig_wait_readable(b->r, b->fd);
    n = recv(b->fd, packet, sizeof packet - 1, 0);
    g_assert_cmpint(n, >=, 0);
    packet[n] = 0;
    g_assert_cmpstr(packet, ==, text);
}

static void give(struct bridge *b, const char *text, const off_t *sizes)
{
    int fds[16] = { 0 };
    unsigned int n = 0;

    for (; sizes && sizes[n]; n++) {
        fds[n] = story_memfd((size_t)sizes[n], 0, 1);
    }
    g_assert_cmpint(peer_send(b->fd, text, strlen(text), fds, n), ==,
                    (ssize_t)strlen(text));
    for (unsigned int i = 0; i < n; i++) {
        close(fds[i]);
    }
}

#define BUFFER_OF(handle, planes)                                          \
    "{\"Resource\":{\"Buffer\":{\"handle\":" handle ",\"planes\":[" planes \
    "],\"modifier\":0,\"guest_cpu_mappable\":false}}}"
#define PLANE(offset) "{\"offset\":" offset ",\"stride\":64}"
#define NO_PLANE ",{\"offset\":0,\"stride\":0}"
#define GOOD BUFFER_OF("0", PLANE("0") NO_PLANE NO_PLANE NO_PLANE)

static void test_bridge(void)
{
    struct vwl_drv_request *req[3];
    struct bridge b;

    if (!available()) {
        return;
    }
    bridge_begin(&b);
    req[0] = submit(b.r, true, BUFFER, 7);
    expect_question(&b, "{\"GetBuffer\":{\"id\":7}}");
    give(&b, GOOD, (const off_t[]){ 4096, 0 });
    expect_type(b.r, req[0], RESP_OK);
    expect_file(b.r, b.peer, 4096);
    /* the second plane is of the same buffer, at its very end */
    req[0] = submit(b.r, true, BUFFER, UINT32_MAX);
    expect_question(&b, "{\"GetBuffer\":{\"id\":4294967295}}");
    give(&b, BUFFER_OF("1", PLANE("0") "," PLANE("8191") NO_PLANE NO_PLANE),
         (const off_t[]){ 4096, 8192, 0 });
    expect_type(b.r, req[0], RESP_OK);
    expect_file(b.r, b.peer, 8192);
    req[0] = submit(b.r, true, FENCE, UINT64_MAX);
    expect_question(&b, "{\"GetFence\":{\"seqno\":18446744073709551615}}");
    give(&b, "{\"Resource\":{\"Fence\":{\"handle\":0}}}",
         (const off_t[]){ 12288, 0 });
    expect_type(b.r, req[0], RESP_OK);
    expect_file(b.r, b.peer, 12288);
    req[0] = submit(b.r, true, SIGNALED, 99);
    expect_question(&b, "{\"GetFence\":{\"seqno\":0}}");
    give(&b, "\"Invalid\"", NULL);
    expect_type(b.r, req[0], RESP_INVALID_ID);
    /* three at once are answered in their order */
    for (uint32_t i = 0; i < 3; i++) {
        req[i] = submit(b.r, true, BUFFER, 20 + i);
    }
    expect_question(&b, "{\"GetBuffer\":{\"id\":20}}");
    expect_question(&b, "{\"GetBuffer\":{\"id\":21}}");
    expect_question(&b, "{\"GetBuffer\":{\"id\":22}}");
    give(&b, GOOD, (const off_t[]){ 4096, 0 });
    give(&b, "\"Invalid\"", NULL);
    give(&b, GOOD, (const off_t[]){ 8192, 0 });
    expect_type(b.r, req[0], RESP_OK);
    expect_type(b.r, req[1], RESP_INVALID_ID);
    expect_type(b.r, req[2], RESP_OK);
    expect_file(b.r, b.peer, 4096);
    expect_file(b.r, b.peer, 8192);
    story_alive(b.r, 1, b.peer);
    bridge_end(&b);
}
struct left {
    int pid;
    unsigned int fds;
};

static bool are_closed(void *opaque)
{
    const struct left *left = opaque;

    return rig_count_fds(left->pid) <= left->fds;
}

/* What comes and is no good is closed by a thread of the device's. */
static void expect_closed(struct bridge *b, unsigned int fds)
{
    struct left left = { b->r->pid, fds };

    rig_wait(b->r, are_closed, &left);
}

static void test_malformed(void)
{
    static const char *const bad[] = {
        "x",
        "{",
        "[]",
        "null",
        "7",
        "\"Valid\"",
        "{}",
        "\xff\xfe",
        "\"\\u00\"",
        "{\"Resource\":[]}",
        "{\"Resource\":{}}",
        "{\"Resource\":\"Buffer\"}",
        "{\"Resource\":{\"Fence\":{\"handle\":0}}}",
        "{\"Resource\":{\"Buffer\":[]}}",
        "{\"Resource\":{\"Buffer\":{}}}",
        BUFFER_OF("1", PLANE("0")),
        BUFFER_OF("-1", PLANE("0")),
        BUFFER_OF("0.0", PLANE("0")),
        BUFFER_OF("\"0\"", PLANE("0")),
        BUFFER_OF("null", PLANE("0")),
        BUFFER_OF("4294967296", PLANE("0")),
        BUFFER_OF("18446744073709551616", PLANE("0")),
        BUFFER_OF("0", ""),
        BUFFER_OF("0", "7"),
        BUFFER_OF("0", "{}"),
        BUFFER_OF("0", PLANE("4096")),
        BUFFER_OF("0", PLANE("-1")),
        BUFFER_OF("0", PLANE("4294967296")),
        BUFFER_OF("0", PLANE("\"0\"")),
        BUFFER_OF("0", PLANE("0") NO_PLANE NO_PLANE NO_PLANE NO_PLANE),
        "{\"Resource\":{\"Buffer\":{\"handle\":0}}}",
    };
    struct vwl_drv_request *req;
    unsigned int fds;
    struct bridge b;
    GString *deep;

    if (!available()) {
        return;
    }
    bridge_begin(&b);
    req = submit(b.r, true, BUFFER, 1);
    expect_question(&b, "{\"GetBuffer\":{\"id\":1}}");
    give(&b, "\"Invalid\"", NULL);
    expect_type(b.r, req, RESP_INVALID_ID);
    fds = rig_count_fds(b.r->pid);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        req = submit(b.r, true, BUFFER, 1);
        expect_question(&b, "{\"GetBuffer\":{\"id\":1}}");
        give(&b, bad[i], (const off_t[]){ 4096, 0 });
        expect_type(b.r, req, RESP_INVALID_ID);
    }
    /* a handle, and nothing came with it */
    req = submit(b.r, true, BUFFER, 1);
    expect_question(&b, "{\"GetBuffer\":{\"id\":1}}");
    give(&b, GOOD, NULL);
    expect_type(b.r, req, RESP_INVALID_ID);
    /* more than a packet may hold, in bytes and in descriptors */
    deep = g_string_new(NULL);
    for (int i = 0; i < 4000; i++) {
        g_string_append_c(deep, '[');
    }
    for (size_t len = 2000; len <= 4000; len += 2000) {
        req = submit(b.r, true, BUFFER, 1);
        expect_question(&b, "{\"GetBuffer\":{\"id\":1}}");
        g_string_truncate(deep, 6000 - len);
        give(&b, deep->str, (const off_t[]){ 4096, 0 });
        expect_type(b.r, req, RESP_INVALID_ID);
    }
    g_string_free(deep, TRUE);
    req = submit(b.r, true, BUFFER, 1);
    expect_question(&b, "{\"GetBuffer\":{\"id\":1}}");
    give(&b, GOOD,
         (const off_t[]){ 4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096,
                          4096, 4096, 4096, 0 });
    expect_type(b.r, req, RESP_INVALID_ID);
    expect_closed(&b, fds);
    expect_nothing(b.r, b.peer);
    /* and it goes on */
    req = submit(b.r, true, BUFFER, 1);
    expect_question(&b, "{\"GetBuffer\":{\"id\":1}}");
    give(&b, GOOD, (const off_t[]){ 4096, 0 });
    expect_type(b.r, req, RESP_OK);
    expect_file(b.r, b.peer, 4096);
    bridge_end(&b);
}

/* It takes its time: only who asked waits, and the answer that comes too late
 * is nobody's. */
static void test_late(void)
{
    struct vwl_drv_request *req, *behind;
    struct bridge b;
    int other;

    if (!available()) {
        return;
    }
    bridge_begin(&b);
    other = rig_open_ctx(b.r, 2, 0);
    req = submit(b.r, true, FENCE, 5);
    expect_question(&b, "{\"GetFence\":{\"seqno\":5}}");
    behind = vwl_drv_send_async(b.r->drv, 1, NULL, 0, "z", 1);
    for (int i = 0; i < 50; i++) {
        story_alive(b.r, 2, other);
    }
    g_assert_false(req->done);
    g_assert_false(behind->done);
    expect_type(b.r, req, RESP_INVALID_ID);
    expect_type(b.r, behind, RESP_OK);
    give(&b, "{\"Resource\":{\"Fence\":{\"handle\":0}}}",
         (const off_t[]){ 12288, 0 });
    req = submit(b.r, true, FENCE, 6);
    expect_question(&b, "{\"GetFence\":{\"seqno\":6}}");
    give(&b, "{\"Resource\":{\"Fence\":{\"handle\":0}}}",
         (const off_t[]){ 8192, 0 });
    expect_type(b.r, req, RESP_OK);
    {
        char byte;

        rig_read(b.r, b.peer, &byte, 1, NULL, NULL);
        g_assert_cmpint(byte, ==, 'z');
    }
    expect_file(b.r, b.peer, 8192);
    close(other);
    bridge_end(&b);
}

static void test_death(gconstpointer data)
{
    const bool talks = GPOINTER_TO_INT(data) != 0;
    struct vwl_drv_request *req = NULL;
    struct bridge b;

    if (!available()) {
        return;
    }
    bridge_begin(&b);
    if (talks) { /* unasked: it cannot be told what that answers */
        char byte;

        give(&b, GOOD, (const off_t[]){ 4096, 0 });
        rig_wait_readable(b.r, b.fd);
        g_assert_cmpint(recv(b.fd, &byte, 1, 0), ==, 0);
    } else {
        req = submit(b.r, true, BUFFER, 1);
        expect_question(&b, "{\"GetBuffer\":{\"id\":1}}");
    }
    close(b.fd);
    b.fd = -1;
    if (req) {
        expect_type(b.r, req, RESP_INVALID_ID);
    }
    for (int i = 0; i < 3; i++) {
        expect_type(b.r, submit(b.r, true, BUFFER, 1), RESP_INVALID_ID);
    }
    g_assert_true(rig_logged(b.r, "the resource bridge is no longer used"));
    /* it was seen to go, not waited for */
    g_assert_false(rig_logged(b.r, "nobody answers"));
    story_alive(b.r, 1, b.peer);
    bridge_end(&b);
}

/* Whoever asked goes while the answer is under way. */
static void test_closed_meanwhile(void)
{
    struct vwl_drv_request *req;
    struct bridge b;

    if (!available()) {
        return;
    }
    bridge_begin(&b);
    req = submit(b.r, true, BUFFER, 1);
    expect_question(&b, "{\"GetBuffer\":{\"id\":1}}");
    g_assert_cmphex((unsigned)vwl_drv_close(b.r->drv, 1), ==, RESP_OK);
    expect_type(b.r, req, RESP_ERR);
    give(&b, GOOD, (const off_t[]){ 4096, 0 });
    close(b.peer);
    b.peer = rig_open_ctx(b.r, 1, 0);
    req = submit(b.r, true, BUFFER, 2);
    expect_question(&b, "{\"GetBuffer\":{\"id\":2}}");
    give(&b, GOOD, (const off_t[]){ 8192, 0 });
    expect_type(b.r, req, RESP_OK);
    expect_file(b.r, b.peer, 8192);
    bridge_end(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/foreign/callbacks/8-bytes", GINT_TO_POINTER(0),
                         test_callbacks);
    g_test_add_data_func("/foreign/callbacks/16-bytes", GINT_TO_POINTER(1),
                         test_callbacks);
    g_test_add_func("/foreign/bridge", test_bridge);
    g_test_add_func("/foreign/bridge/malformed", test_malformed);
    g_test_add_func("/foreign/bridge/late", test_late);
    g_test_add_data_func("/foreign/bridge/dies", GINT_TO_POINTER(0),
                         test_death);
    g_test_add_data_func("/foreign/bridge/talks-unasked", GINT_TO_POINTER(1),
                         test_death);
    g_test_add_func("/foreign/bridge/closed-meanwhile", test_closed_meanwhile);
    return g_test_run();
}
