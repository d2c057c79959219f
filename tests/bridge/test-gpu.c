/* SPDX-License-Identifier: BSD-3-Clause */
/* The bridge while the device does not answer what it asks about the GPU: who
 * needs the answer waits, nobody else. */
#include <string.h>
#include <unistd.h>

#include "../../qemu-glue/guest/transport.h"
#include "../fuzz/bridge_run.h"
#include "bridge.h"

enum { WAITS, IS_FREE };

static struct {
    GMutex lock;
    GCond wake;
    bool answer; /* may be given */
    unsigned int asked;
    int result;
} device;

static int slow_gpu(struct vwl_transport *t, struct vwl_transport_gpu *gpu)
{
    int result;

    g_mutex_lock(&device.lock);
    device.asked++;
    while (!device.answer) {
        g_cond_wait(&device.wake, &device.lock);
    }
    result = device.result;
    g_mutex_unlock(&device.lock);
    *gpu = (struct vwl_transport_gpu){ .buffers = result == 0 };
    return result;
}

static void answer(bool may, int result)
{
    g_mutex_lock(&device.lock);
    device.answer = may;
    device.result = result;
    g_cond_broadcast(&device.wake);
    g_mutex_unlock(&device.lock);
}

static void begin(struct fuzz_run *run, struct vwl_transport_ops *ops)
{
    const uint32_t registry = 2;

    device.asked = 0;
    answer(false, 0);
    fuzz_run_init(run, 0);
    *ops = *run->world.transport->ops;
    ops->gpu = slow_gpu;
    ops->gpu_waits = true;
    run->world.transport->ops = ops;
    for (unsigned int i = 0; i < 2; i++) {
        fuzz_connect(run, &run->clients[i]);
        fuzz_words(run, &run->clients[i], 1, 1, 1, &registry, -1);
        fuzz_iterate(run, 20);
    }
}

static void end(struct fuzz_run *run)
{
    vwl_bridge_free(run->bridge);
    for (unsigned int i = 0; i < 2; i++) {
        close(run->clients[i].fd);
    }
    close(run->listener);
    close(run->file);
    fuzz_world_finish(&run->world);
}

/* How often the client has been told of a global of this name since the last
 * time; turns the loop until it was, at most for a while. */
static bool is_told(struct fuzz_run *run, unsigned int client, const char *name,
                    bool expected)
{
    gint64 until = g_get_monotonic_time() +
                   (expected ? 30 : 0) * G_USEC_PER_SEC;
    char data[4096];

    do {
        ssize_t n;

        fuzz_iterate(run, 50);
        n = recv(run->clients[client].fd, data, sizeof data, MSG_DONTWAIT);
        if (n > 0 && memmem(data, (size_t)n, name, strlen(name)) != NULL) {
            return true;
        }
        g_usleep(1000);
    } while (g_get_monotonic_time() < until);
    return false;
}

static void offer(struct fuzz_run *run, unsigned int client, uint32_t name,
                  const char *interface)
{
    struct fuzz_host *host = fuzz_world_host(&run->world, client);

    fuzz_host_offer(host, name, vwl_table_global(interface)->iface, 3);
}

static void test_waits(void)
{
    struct vwl_transport_ops ops;
    struct fuzz_run run;

    begin(&run, &ops);
    offer(&run, WAITS, 1, "wl_subcompositor");
    offer(&run, WAITS, 2, "zwp_linux_dmabuf_v1");
    offer(&run, WAITS, 3, "wl_compositor");
    g_assert_true(is_told(&run, WAITS, "wl_subcompositor", true));
    offer(&run, IS_FREE, 1, "wl_compositor");
    g_assert_true(is_told(&run, IS_FREE, "wl_compositor", true));
    g_assert_false(is_told(&run, WAITS, "wl_compositor", false));
    answer(true, 0);
    /* in the host's order: both in one piece */
    g_assert_true(is_told(&run, WAITS, "zwp_linux_dmabuf_v1", true));
    offer(&run, IS_FREE, 2, "zwp_linux_dmabuf_v1");
    g_assert_true(is_told(&run, IS_FREE, "zwp_linux_dmabuf_v1", true));
    g_assert_cmpuint(device.asked, ==, 1);
    end(&run);
}

/* There is none: nothing of it is offered, and all else is. */
static void test_no_answer(void)
{
    struct vwl_transport_ops ops;
    struct fuzz_run run;

    begin(&run, &ops);
    offer(&run, WAITS, 1, "zwp_linux_dmabuf_v1");
    offer(&run, WAITS, 2, "wl_compositor");
    fuzz_iterate(&run, 50);
    answer(true, -EIO);
    g_assert_true(is_told(&run, WAITS, "wl_compositor", true));
    end(&run);
}

/* The bridge ends, or its client, while it waits. */
static void test_end(void)
{
    struct vwl_transport_ops ops;
    struct fuzz_run run;

    begin(&run, &ops);
    offer(&run, WAITS, 1, "zwp_linux_dmabuf_v1");
    offer(&run, IS_FREE, 1, "zwp_linux_dmabuf_v1");
    fuzz_iterate(&run, 50);
    shutdown(run.clients[WAITS].fd, SHUT_RDWR);
    fuzz_iterate(&run, 50);
    answer(true, 0);
    end(&run);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bridge-gpu/waits", test_waits);
    g_test_add_func("/bridge-gpu/no-answer", test_no_answer);
    g_test_add_func("/bridge-gpu/end", test_end);
    return g_test_run();
}
