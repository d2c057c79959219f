/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Front-ends of all kinds on running rings: an IOMMU, a dirty log, messages
 * for kicks and calls, memory slots, each shared-memory dialect and none.
 */
#include "rig.h"
#include "wl_names.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define MANY 3000000
#define BIT(n) (UINT64_C(1) << (n))

static void check_works(struct rig *r, uint32_t id)
{
    int peer = rig_open_ctx(r, id, 0);
    char data[3];

    g_assert_cmpint(vwl_drv_send(r->drv, id, NULL, 0, "abc", 3), ==, RESP_OK);
    rig_read(r, peer, data, 3, NULL, NULL);
    g_assert_cmpmem(data, 3, "abc", 3);
    rig_write(r, peer, "def", 3, NULL, 0);
    g_assert_cmpint(vwl_drv_recv(r->drv, id, data, 3, NULL, NULL,
                                 RIG_TIMEOUT_MS),
                    ==, 3);
    g_assert_cmpmem(data, 3, "def", 3);
    g_assert_cmpint(vwl_drv_close(r->drv, id), ==, RESP_OK);
    g_assert_cmpuint(rig_read_to_end(r, peer), ==, 0);
    close(peer);
}

static void iotlb(struct vwl_fe *fe, uint8_t type, uint64_t iova, uint64_t size,
                  uint64_t user, uint64_t expected)
{
    struct vhost_user_iotlb wire = { .iova = iova,
                                     .size = size,
                                     .user_addr = user,
                                     .permission = 3,
                                     .type = type };
    uint64_t reply = UINT64_MAX;
    struct vwl_fe_message msg = {
        .request = VHOST_USER_IOTLB_MSG,
        .payload = &wire,
        .len = sizeof wire,
        .answer = true,
        .reply = &reply,
        .reply_len = sizeof reply,
    };

    g_assert_cmpint(vwl_fe_request(fe, &msg), ==, 0);
    g_assert_cmpuint(reply, ==, expected);
}

static struct vwl_drv_request *send_pattern(struct rig *r, uint32_t id,
                                            uint8_t *data, size_t len)
{
    struct vwl_drv_request *req;

    for (size_t i = 0; i < len; i++) {
        data[i] = (uint8_t)(i * 2654435761u >> 20);
    }
    req = vwl_drv_send_async(r->drv, id, NULL, 0, data, len);
    rig_settle(r);
    g_assert_false(req->done);
    return req;
}

/* An invalidation of everything does not mean that a buffer is gone. */
static void test_iommu(gconstpointer packed)
{
    struct vwl_config config = { .size = sizeof config,
                                 .max_queued_bytes = MANY };
    struct rig_options options = {
        .n_peers = 1,
        .config = &config,
        .fe = { .iommu = true,
                .record = true,
                .packed = GPOINTER_TO_INT(packed) != 0 },
    };
    struct rig *r = rig_new(&options);
    int peer = rig_open_ctx(r, 1, 0), second;
    uint8_t *data = g_malloc(MANY), *got = g_malloc(MANY);
    struct vwl_drv_request *req, *more;
    uint64_t start = vwl_fe_bus_address(r->fe, 0);

    g_assert_cmpuint(r->fe->backend_requests, >, 0); /* misses */
    req = send_pattern(r, 1, data, MANY - 100000);
    /* twice, with the rings' own memory */
    iotlb(r->fe, VHOST_USER_IOTLB_INVALIDATE, start, r->fe->ram_size, 0, 0);
    iotlb(r->fe, VHOST_USER_IOTLB_INVALIDATE, start, r->fe->ram_size, 0, 0);
    rig_settle(r);
    g_assert_false(req->done);
    /* one more is too much to keep: it fails, alone */
    second = rig_open_ctx(r, 9, 0);
    more = send_pattern(r, 9, data, MANY - 100000);
    iotlb(r->fe, VHOST_USER_IOTLB_INVALIDATE, start, r->fe->ram_size, 0, 0);
    g_assert_cmpint(vwl_drv_wait(r->drv, more, RIG_TIMEOUT_MS), ==, 0);
    g_assert_cmphex(vwl_drv_request_type(more), ==, VIRTIO_WL_RESP_ERR);
    g_assert_true(rig_logged(r, "there is no room for more than"));
    g_assert_false(req->done);
    vwl_drv_request_free(r->drv, more);
    close(second);
    rig_read(r, peer, got, MANY - 100000, NULL, NULL);
    g_assert_cmpmem(got, MANY - 100000, data, MANY - 100000);
    g_assert_cmpint(vwl_drv_wait(r->drv, req, RIG_TIMEOUT_MS), ==, 0);
    g_assert_cmphex(vwl_drv_request_type(req), ==, RESP_OK);
    vwl_drv_request_free(r->drv, req);
    g_free(got);
    close(peer);
    check_works(r, 2);
    for (unsigned int i = 0; i < 2; i++) {
        iotlb(r->fe, VHOST_USER_IOTLB_INVALIDATE,
              vwl_fe_bus_address(r->fe, r->fe->ring[1].device), 4096, 0, 0);
        check_works(r, 3);
    }
    /* all of it, unasked: no miss is left to ask for */
    iotlb(r->fe, VHOST_USER_IOTLB_INVALIDATE, start, r->fe->ram_size, 0, 0);
    iotlb(r->fe, VHOST_USER_IOTLB_UPDATE, start, r->fe->ram_size,
          (uint64_t)(uintptr_t)r->fe->ram, 0);
    check_works(r, 4);
    g_free(data);
    rig_free(r);
}

static void test_dirty(gconstpointer packed)
{
    struct rig_options options = {
        .n_peers = 1, .fe = {
            .packed = GPOINTER_TO_INT(packed) != 0, .ram_gpa = 0,
            .protocol_features_on = BIT(VHOST_USER_PROTOCOL_F_LOG_SHMFD),
        },
    };
    struct rig *r = rig_new(&options);
    struct vwl_fe *fe = r->fe;
    int peer = rig_open_ctx(r, 1, 0), fd = memfd_create("log", MFD_CLOEXEC);
    uint64_t bits = fe->features | BIT(VHOST_F_LOG_ALL), reply = 1;
    struct vhost_user_log where = { .size = 4096 };
    struct vwl_fe_message base = {
        .request = VHOST_USER_SET_LOG_BASE,
        .payload = &where,
        .fds = &fd,
        .n_fds = 1,
        .len = sizeof where,
        .answer = true,
        .reply = &reply,
        .reply_len = sizeof reply,
    };
    struct vwl_fe_message features = {
        .request = VHOST_USER_SET_FEATURES,
        .payload = &bits,
        .len = 8,
    };
    int told = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct vwl_fe_message tell = {
        .request = VHOST_USER_SET_LOG_FD,
        .fds = &told,
        .n_fds = 1,
        .ack = true,
    };
    const uint8_t *log;
    uint8_t *before;
    unsigned int marked = 0;
    uint64_t times = 0;

    g_assert_cmpint(ftruncate(fd, 4096), ==, 0);
    log = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    g_assert_cmpint(vwl_fe_request(fe, &base), ==, 0);
    g_assert_cmpint(vwl_fe_request(fe, &tell), ==, 0);
    g_assert_cmpint(vwl_fe_request(fe, &features), ==, 0);
    for (unsigned int i = 0; i < 2; i++) {
        struct vwl_fe_ring *ring = &fe->ring[i];
        uint64_t uva = (uint64_t)(uintptr_t)fe->ram;
        struct vhost_user_vring_addr addr = {
            i,
            VHOST_USER_VRING_ADDR_F_LOG,
            uva + ring->desc,
            uva + ring->device,
            uva + ring->driver,
            ring->device,
        };
        struct vwl_fe_message msg = { .request = VHOST_USER_SET_VRING_ADDR,
                                      .payload = &addr,
                                      .len = sizeof addr };

        g_assert_cmpint(vwl_fe_request(fe, &msg), ==, 0);
    }
    g_assert_cmpint(vwl_fe_set_mem_table(fe), ==, 0);
    before = g_memdup2(fe->ram, fe->ram_size);
    rig_settle(r);
    g_assert_true(read(told, &times, sizeof times) == sizeof times ||
                  errno == EAGAIN);
    rig_write(r, peer, "marked", 6, NULL, 0);
    check_works(r, 2);
    rig_settle(r);
    g_assert_cmpint(read(told, &times, sizeof times), ==, sizeof times);
    for (unsigned int i = 0; i < 2; i++) {
        uint64_t page = (options.fe.packed ? fe->ring[i].desc
                                           : fe->ring[i].device) /
                        4096;

        g_assert_true(log[page / 8] >> page % 8 & 1);
    }
    /* What was received stands in a page that is marked. */
    for (uint64_t page = 0; page < fe->ram_size / 4096; page++) {
        bool is = (log[page / 8] >> page % 8 & 1) != 0;

        marked += is;
        if (memmem(fe->ram + page * 4096, 4096, "marked", 6) != NULL &&
            memmem(before + page * 4096, 4096, "marked", 6) == NULL) {
            g_assert_true(is);
        }
    }
    g_assert_cmpuint(marked, >=, 4);
    g_assert_cmpuint(marked, <, fe->ram_size / 4096 / 2);
    bits &= ~BIT(VHOST_F_LOG_ALL); /* and off again */
    g_assert_cmpint(vwl_fe_request(fe, &features), ==, 0);
    rig_settle(r);
    (void)!read(told, &times, sizeof times);
    check_works(r, 3);
    rig_settle(r);
    g_assert_cmpint(read(told, &times, sizeof times), ==, -1);
    close(told);
    g_free(before);
    munmap((void *)(uintptr_t)log, 4096);
    close(fd);
    close(peer);
    rig_free(r);
}

static void test_in_band(gconstpointer packed)
{
    struct rig_options options = {
        .n_peers = 1,
        .fe = { .in_band = true,
                .record = true,
                .no_event_idx = true,
                .packed = GPOINTER_TO_INT(packed) != 0 },
    };
    struct rig *r = rig_new(&options);
    unsigned int calls = 0;

    check_works(r, 1);
    for (guint i = 0; i < r->fe->backend_seen->len; i++) {
        gsize len;
        const uint8_t *bytes = g_bytes_get_data(r->fe->backend_seen->pdata[i],
                                                &len);

        if (bytes[0] == 4) {
            g_assert_cmpuint(len, ==, 20);
            g_assert_cmphex(bytes[4], ==, 9); /* it wants a reply */
            g_assert_cmpuint(bytes[12], <=, 1);
            calls++;
        }
    }
    g_assert_cmpuint(calls, >=, 2);
    rig_free(r);
}

static void slot(struct vwl_fe *fe, uint32_t request, uint64_t gpa,
                 uint64_t size, int fd, int expected)
{
    struct vhost_user_single_memory_region wire = {
        0,
        { gpa, size, UINT64_C(0x7000000000) + gpa, 0 },
    };
    struct vwl_fe_message msg = {
        .request = request,
        .payload = &wire,
        .len = sizeof wire,
        .fds = &fd,
        .n_fds = fd >= 0 ? 1 : 0,
        .ack = true,
    };

    g_assert_cmpint(vwl_fe_request(fe, &msg), ==, expected);
}

static void test_slots(void)
{
    struct vwl_config config = {
        .size = sizeof config,
        .protocol_features_on = BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS),
    };
    struct rig_options options = {
        .n_peers = 1, .config = &config, .fe = {
            .protocol_features_on =
                BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS),
        },
    };
    struct rig *r = rig_new(&options);
    uint64_t far = UINT64_C(0x100000000);
    int fd = memfd_create("more", MFD_CLOEXEC);

    g_assert_cmpint(ftruncate(fd, 1 << 20), ==, 0);
    for (unsigned int i = 0; i < 3; i++) {
        slot(r->fe, VHOST_USER_ADD_MEM_REG, far, 1 << 20, fd, 0);
        check_works(r, 1);
        slot(r->fe, VHOST_USER_ADD_MEM_REG, far + 4096, 4096, fd, -EPROTO);
        slot(r->fe, VHOST_USER_REM_MEM_REG, far, 1 << 20, -1, 0);
        slot(r->fe, VHOST_USER_REM_MEM_REG, far, 1 << 20, -1, -EPROTO);
        slot(r->fe, VHOST_USER_ADD_MEM_REG, far, 2 << 20, fd, -EPROTO);
        check_works(r, 1);
    }
    close(fd);
    rig_free(r);
    options.config = NULL; /* by option only */
    r = rig_new(&options);
    g_assert_false(r->fe->device_protocol &
                   BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS));
    rig_free(r);
}

static void test_dialect(gconstpointer data)
{
    struct rig_options options = {
        .n_peers = 1,
        .fe.dialect = GPOINTER_TO_INT(data),
    };
    struct rig *r = rig_new(&options);
    bool none = options.fe.dialect == VWL_FE_NONE;
    const uint32_t id = 5;
    int peer, end = -1;
    unsigned int n = 1;
    char byte;

    g_assert_cmpint(none, !=, vwl_fe_has(r->fe, VIRTIO_WL_F_USE_SHMEM));
    check_works(r, 1);
    peer = rig_open_ctx(r, 2, 0);
    g_assert_cmpint(vwl_drv_new_pipe(r->drv, id, VIRTIO_WL_VFD_WRITE), ==,
                    RESP_VFD_NEW);
    g_assert_cmpint(vwl_drv_send(r->drv, 2, &id, 1, "p", 1), ==, RESP_OK);
    rig_read(r, peer, &byte, 1, &end, &n);
    g_assert_cmpint(vwl_drv_send(r->drv, id, NULL, 0, "q", 1), ==, RESP_OK);
    rig_read(r, end, &byte, 1, NULL, NULL);
    g_assert_cmpint(byte, ==, 'q');
    close(end);
    if (none) {
        g_assert_cmpint(vwl_drv_new(r->drv, 9, 4096), !=, RESP_VFD_NEW);
        g_assert_cmpuint(r->fe->backend_requests, ==, 0);
    } else {
        g_assert_cmpint(vwl_drv_new(r->drv, 9, 4096), ==, RESP_VFD_NEW);
    }
    check_works(r, 1);
    close(peer);
    rig_free(r);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*test)(gconstpointer);
    } tests[] = {
        { "iommu", test_iommu },
        { "dirty", test_dirty },
        { "in-band", test_in_band },
    };

    g_test_init(&argc, &argv, NULL);
    for (unsigned int i = 0; i < 2 * G_N_ELEMENTS(tests); i++) {
        char *path = g_strdup_printf("/front-ends/%s/%s", tests[i / 2].name,
                                     i % 2 != 0 ? "packed" : "split");

        g_test_add_data_func(path, GINT_TO_POINTER(i % 2), tests[i / 2].test);
        g_free(path);
    }
    g_test_add_func("/front-ends/slots", test_slots);
    g_test_add_data_func("/front-ends/dialect/standard",
                         GINT_TO_POINTER(VWL_FE_STANDARD), test_dialect);
    g_test_add_data_func("/front-ends/dialect/private",
                         GINT_TO_POINTER(VWL_FE_PRIVATE), test_dialect);
    g_test_add_data_func("/front-ends/dialect/none",
                         GINT_TO_POINTER(VWL_FE_NONE), test_dialect);
    return g_test_run();
}
