/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host of docs/porting.md, run: a guest makes shared memory, which appears
 * in the host's window, is the same for both, and is harmless once it is
 * closed, whatever the guest still writes there.
 */
#include "example_host.h"

#include <dlfcn.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "driver.h"
#include "frontend.h"
#include "rig.h"

#define WINDOW (UINT64_C(1) << 24)
#define LEN 8192

static const struct vwl_plugin *load(void)
{
    void *module = dlopen(g_getenv("VWL_PLUGIN"), RTLD_NOW | RTLD_LOCAL);
    vwl_plugin_get_fn get;

    if (!module) {
        g_error("%s", dlerror());
    }
    *(void **)&get = dlsym(module, VWL_PLUGIN_ENTRY);
    g_assert_cmpuint(get()->abi, ==, VWL_PLUGIN_ABI);
    return get();
}

static uint8_t *shared(struct example *host, struct vwl_drv *drv, uint32_t id)
{
    const struct vwl_drv_vfd *vfd;

    g_assert_cmpint(vwl_drv_new(drv, id, LEN), ==, VIRTIO_WL_RESP_VFD_NEW);
    vfd = g_hash_table_lookup(drv->vfds, GUINT_TO_POINTER(id));
    g_assert_nonnull(vfd);
    g_assert_cmpuint((vfd->pfn << VIRTIO_WL_PFN_SHIFT) + LEN, <=, WINDOW);
    return host->window + (vfd->pfn << VIRTIO_WL_PFN_SHIFT);
}

static void check_memory(struct example *host, struct vwl_drv *drv,
                         const struct vwl_plugin *plugin)
{
    struct vwl_stats stats = { .size = sizeof stats };
    uint8_t *one = shared(host, drv, 1), *two = shared(host, drv, 2);

    g_assert_true(one != two);
    g_assert_cmpuint(one[0] | one[LEN - 1] | two[0], ==, 0);
    memset(one, 'x', LEN);
    g_assert_cmpuint(two[0], ==, 0);
    g_assert_cmpint(plugin->device_stats(host->device, &stats), ==, 0);
    g_assert_cmpuint(stats.shm_mappings, ==, 2);

    g_assert_cmpint(vwl_drv_close(drv, 1), ==, VIRTIO_WL_RESP_OK);
    g_assert_cmpuint(one[0], ==, 0); /* the file has gone from there */
    memset(one, 'y', LEN);           /* harmless */
    g_assert_cmpuint(shared(host, drv, 3)[0], ==, 0);
}

static void test_memory(void)
{
    const struct vwl_plugin *plugin = load();
    struct vwl_fe_options options = { .dialect = VWL_FE_NONE };
    struct vwl_drv_options drv_options = { 0 };
    struct example host = { .window_size = WINDOW };
    struct vwl_fe *fe;
    struct vwl_drv *drv;
    unsigned int before = rig_count_fds(getpid());
    int sv[2];

    host.window = mmap(NULL, WINDOW, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    g_assert_true(host.window != MAP_FAILED);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), ==,
                    0);
    g_assert_cmpint(example_start(&host, plugin, "/nowhere", &sv[1]), ==, 0);
    g_assert_cmpint(sv[1], ==, -1);
    g_assert_cmpint(vwl_fe_create(&options, &sv[0], &fe), ==, 0);
    g_assert_cmpint(vwl_fe_handshake(fe), ==, 0);
    g_assert_cmpint(vwl_drv_create(fe, &drv_options, &drv), ==, 0);
    check_memory(&host, drv, plugin);
    g_assert_cmpuint(fe->complaints->len, ==, 0);

    vwl_drv_destroy(drv);
    vwl_fe_destroy(fe);
    plugin->device_free(host.device);
    munmap(host.window, WINDOW);
    g_assert_cmpuint(rig_count_fds(getpid()), ==, before);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/example-host/memory", test_memory);
    return g_test_run();
}
