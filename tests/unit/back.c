/* SPDX-License-Identifier: BSD-3-Clause */
#include "back.h"

#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "fds.h"
#include "socket.h"

static void sink(void *opaque, enum vwl_log_level level, const char *line)
{
    ((struct back *)opaque)->lines++;
}

void back_on_done(void *opaque, uint64_t cookie, int err)
{
    g_string_append_printf(((struct back *)opaque)->done, "%u:%d ",
                           (unsigned int)cookie, err);
}

void back_connect(struct back *b)
{
    int pair[2];

    make_pair(pair);
    b->front = pair[0];
    vwl_backchan_set_fd(b->chan, &pair[1]);
    g_assert_cmpint(pair[1], ==, -1);
}

void back_init(struct back *b, enum vwl_shm_dialect dialect, bool ack)
{
    memset(b, 0, sizeof *b);
    b->fds_before = count_fds();
    vwl_log_init(&b->log, sink, b);
    b->done = g_string_new(NULL);
    b->chan = vwl_backchan_create(&b->log);
    vwl_backchan_configure(b->chan, dialect, ack);
    back_connect(b);
}

void back_finish(struct back *b)
{
    vwl_backchan_destroy(b->chan);
    if (b->front >= 0) {
        close(b->front);
    }
    g_string_free(b->done, TRUE);
    g_assert_cmpuint(count_fds(), ==, b->fds_before);
}

void back_expect_done(struct back *b, const char *text)
{
    g_assert_cmpstr(b->done->str, ==, text);
    g_string_truncate(b->done, 0);
}

int back_map(struct back *b, int fd, unsigned int cookie, bool writable)
{
    return vwl_backchan_shmem_map(b->chan, 0, fd, 0x3000, 0x123456000, 0x2000,
                                  writable, back_on_done, b, cookie);
}

int back_unmap(struct back *b, unsigned int cookie)
{
    return vwl_backchan_shmem_unmap(b->chan, 0, 0x123456000, 0x2000,
                                    back_on_done, b, cookie);
}

void back_expect(struct back *b, const char *text, int file)
{
    int fd = expect_hex(b->front, text);

    if (file < 0) {
        g_assert_cmpint(fd, ==, -1);
    } else {
        g_assert_true(same_file(fd, file));
        close(fd);
    }
    expect_silence(b->front);
}

void back_reply(struct back *b, const char *text)
{
    send_hex(b->front, text, NULL, 0);
    g_assert_cmpint(vwl_backchan_dispatch(b->chan), ==, 0);
}
