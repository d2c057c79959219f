/* SPDX-License-Identifier: BSD-3-Clause */
#include "saved.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"

uint64_t saved_ask(struct rig *r, uint32_t request, const uint32_t *payload,
                   const int *fd)
{
    uint64_t reply = ~UINT64_C(0);
    struct vwl_fe_message msg = {
        .request = request,
        .payload = payload,
        .len = payload ? 8 : 0,
        .fds = fd,
        .n_fds = fd ? 1 : 0,
        .answer = true,
        .reply = &reply,
        .reply_len = sizeof reply,
    };

    g_assert_cmpint(vwl_fe_request(r->fe, &msg), ==, 0);
    g_assert_cmpuint(msg.reply_len, ==, 8);
    return reply;
}

int saved_transfer(struct rig *r, bool load)
{
    const uint32_t payload[2] = { load, 0 };
    int fds[2];

    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    g_assert_cmphex(saved_ask(r, VHOST_USER_SET_DEVICE_STATE_FD, payload,
                              &fds[load ? 0 : 1]),
                    ==, VHOST_USER_VRING_NOFD_MASK);
    close(fds[load ? 0 : 1]);
    g_assert_cmpint(fcntl(fds[load ? 1 : 0], F_SETFL, O_NONBLOCK), ==, 0);
    return fds[load ? 1 : 0];
}

GByteArray *saved_save(struct rig *r)
{
    GByteArray *stream = g_byte_array_new();
    int fd = saved_transfer(r, false);
    uint8_t bytes[5000];
    ssize_t n;

    do {
        rig_wait_readable(r, fd);
        n = read(fd, bytes, sizeof bytes);
        g_assert_cmpint(n, >=, 0);
        g_byte_array_append(stream, bytes, (guint)n);
    } while (n > 0);
    close(fd);
    g_assert_cmphex(saved_ask(r, VHOST_USER_CHECK_DEVICE_STATE, NULL, NULL), ==,
                    0);
    return stream;
}

uint64_t saved_load(struct rig *r, const uint8_t *bytes, size_t len)
{
    int fd = saved_transfer(r, true);
    size_t at = 0;

    while (at < len) {
        ssize_t n = write(fd, bytes + at, MIN(len - at, 3000));

        if (n < 0 && errno == EPIPE) {
            break; /* refused already */
        }
        if (n < 0) {
            g_assert_cmpint(errno, ==, EAGAIN);
            vwl_fe_turn(r->fe, 5);
        } else {
            at += (size_t)n;
        }
    }
    close(fd);
    return saved_ask(r, VHOST_USER_CHECK_DEVICE_STATE, NULL, NULL);
}

void saved_replace_device(struct rig *r)
{
    if (r->options.device == RIG_DAEMON) {
        g_assert_cmpint(kill(r->pid, SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(r->pid, NULL, 0), ==, r->pid);
        g_spawn_close_pid(r->pid);
        close(r->daemon_log);
        unlink(r->daemon_socket);
        g_free(r->daemon_socket);
    } else {
        r->plugin->device_free(r->device);
        g_clear_pointer(&r->context, g_main_context_unref);
    }
    rig_device_create(r);
    close(r->fe->fd);
    close(r->fe->backend);
    r->fe->backend = -1;
    r->fe->fd = rig_device_connect(r);
    g_assert_cmpint(fcntl(r->fe->fd, F_SETFL, O_NONBLOCK), ==, 0);
    r->fe->options.context = r->context;
    r->fe->gone = false;
    vwl_window_drop_all(&r->fe->window);
    rig_device_start(r);
    g_assert_cmpint(vwl_fe_handshake(r->fe), ==, 0);
}
