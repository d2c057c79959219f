/* SPDX-License-Identifier: BSD-3-Clause */
#include "secctx.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "process.h"

#define MANAGER "wp_security_context_manager_v1"
#define MANAGER_NAME 7u
#define MAX_FDS 128

enum kind { PLAIN, OF_CONTEXT, CLIENT, INSIDE, PIPE };

struct end {
    int fd;
    enum kind kind;
    bool asked; /* a client that wants the globals */
    GByteArray *in;
    unsigned int n_messages;
    int fds[2];
    unsigned int n_fds;
    char *names;
};

struct secctx {
    GThread *thread;
    int wake;
    char *path;
    GMutex lock; /* of what follows */
    enum secctx_manner manner;
    bool stop, forget;
    unsigned int made, inside, connected, asked, ended;
    char *names;
    /* the thread's own */
    GPtrArray *ends;
};

/* ---- messages ----------------------------------------------------------- */

static void put(GByteArray *out, uint32_t value)
{
    g_byte_array_append(out, (const guint8 *)&value, sizeof value);
}

static void event(int fd, uint32_t object, uint32_t opcode,
                  const GByteArray *body)
{
    GByteArray *out = g_byte_array_new();

    put(out, object);
    put(out, (body->len + 8) << 16 | opcode);
    g_byte_array_append(out, body->data, body->len);
    (void)!send(fd, out->data, out->len, MSG_NOSIGNAL);
    g_byte_array_unref(out);
}

static void put_text(GByteArray *out, const char *text)
{
    static const guint8 zeros[4];
    uint32_t len = (uint32_t)strlen(text) + 1;

    put(out, len);
    g_byte_array_append(out, (const guint8 *)text, len);
    g_byte_array_append(out, zeros, -len & 3);
}

static void global(int fd, uint32_t name, const char *interface)
{
    GByteArray *body = g_byte_array_new();

    put(body, name);
    put_text(body, interface);
    put(body, 1);
    event(fd, 2, 0, body);
    g_byte_array_unref(body);
}

static void done(int fd, uint32_t callback)
{
    GByteArray *body = g_byte_array_new();

    put(body, 99);
    event(fd, callback, 0, body);
    g_byte_array_set_size(body, 0);
    put(body, callback);
    event(fd, 1, 1, body);
    g_byte_array_unref(body);
}

static void error(int fd)
{
    GByteArray *body = g_byte_array_new();

    put(body, 5);
    put(body, 3);
    put_text(body, "no such context");
    event(fd, 1, 0, body);
    g_byte_array_unref(body);
}

static uint32_t word(const guint8 *message, size_t at)
{
    uint32_t value;

    memcpy(&value, message + at, sizeof value);
    return value;
}

static char *text_at(const guint8 *message, size_t at)
{
    uint32_t len = word(message, at);

    g_assert_cmpuint(len, >, 1);
    g_assert_cmpuint(8 + 4 + ((len + 3) & ~3u), ==, word(message, 4) >> 16);
    g_assert_cmpint(message[at + 4 + len - 1], ==, 0);
    return g_strndup((const char *)message + at + 4, len - 1);
}

/* ---- one that makes a context ------------------------------------------- */

static struct end *add(struct secctx *secctx, int fd, enum kind kind)
{
    struct end *end = g_new0(struct end, 1);

    end->fd = fd;
    end->kind = kind;
    end->in = g_byte_array_new();
    end->fds[0] = end->fds[1] = -1;
    g_ptr_array_add(secctx->ends, end);
    return end;
}

static void end_free(gpointer data)
{
    struct end *end = data;

    close(end->fd);
    for (unsigned int i = 0; i < end->n_fds; i++) {
        if (end->fds[i] >= 0) {
            close(end->fds[i]);
        }
    }
    g_free(end->names);
    g_byte_array_unref(end->in);
    g_free(end);
}

/* What the protocol asks of the two descriptors. */
static void check_fds(const struct end *end)
{
    int listening = 0, type = 0;
    socklen_t size = sizeof listening;
    char byte;

    g_assert_cmpuint(end->n_fds, ==, 2);
    g_assert_cmpint(getsockopt(end->fds[0], SOL_SOCKET, SO_ACCEPTCONN,
                               &listening, &size),
                    ==, 0);
    g_assert_cmpint(listening, ==, 1);
    g_assert_cmpint(getsockopt(end->fds[0], SOL_SOCKET, SO_TYPE, &type, &size),
                    ==, 0);
    g_assert_cmpint(type, ==, SOCK_STREAM);
    g_assert_true(fcntl(end->fds[0], F_GETFL) & O_NONBLOCK);
    g_assert_cmpint(fcntl(end->fds[1], F_GETFL) & O_ACCMODE, ==, O_RDONLY);
    g_assert_cmpint(read(end->fds[1], &byte, 1), <, 0); /* no end of file */
    g_assert_cmpint(errno, ==, EAGAIN);
}

static void finish(struct secctx *secctx, struct end *end)
{
    if (secctx->manner == SECCTX_ERROR) {
        error(end->fd);
        return;
    }
    secctx->made++;
    g_free(secctx->names);
    secctx->names = g_steal_pointer(&end->names);
    add(secctx, end->fds[0], OF_CONTEXT);
    add(secctx, end->fds[1], PIPE);
    end->fds[0] = end->fds[1] = -1;
    done(end->fd, 6);
}

/* The whole of what the device may say, in this order. */
static void on_request(struct secctx *secctx, struct end *end,
                       const guint8 *message)
{
    static const struct {
        uint32_t object, opcode;
    } order[] = { { 1, 1 }, { 1, 0 }, { 2, 0 }, { 4, 1 }, { 5, 1 }, { 5, 2 },
                  { 5, 3 }, { 5, 4 }, { 5, 0 }, { 4, 0 }, { 1, 0 } };
    unsigned int n = end->n_messages++;
    char *text = NULL;

    g_assert_cmpuint(n, <, G_N_ELEMENTS(order));
    g_assert_cmpuint(word(message, 0), ==, order[n].object);
    g_assert_cmpuint(word(message, 4) & 0xffff, ==, order[n].opcode);
    switch (n) {
    case 0:
        g_assert_cmpuint(word(message, 8), ==, 2);
        global(end->fd, 1, "wl_compositor");
        if (secctx->manner != SECCTX_MISSING) {
            global(end->fd, MANAGER_NAME, MANAGER);
        }
        global(end->fd, 9, "wp_security_context_manager_v10");
        break;
    case 1:
        g_assert_cmpuint(word(message, 8), ==, 3);
        if (secctx->manner != SECCTX_STUCK) {
            done(end->fd, 3);
        }
        break;
    case 2:
        g_assert_cmpuint(word(message, 8), ==, MANAGER_NAME);
        g_assert_cmpstr((const char *)message + 16, ==, MANAGER);
        g_assert_cmpuint(word(message, 48), ==, 1);
        g_assert_cmpuint(word(message, 52), ==, 4);
        break;
    case 3:
        g_assert_cmpuint(word(message, 8), ==, 5);
        check_fds(end);
        break;
    case 4:
    case 5:
    case 6:
        text = text_at(message, 8);
        if (n == 4) {
            end->names = g_strdup(text);
        } else {
            char *both = g_strdup_printf("%s %s", end->names, text);

            g_free(end->names);
            end->names = both;
        }
        g_free(text);
        break;
    case 10:
        g_assert_cmpuint(word(message, 8), ==, 6);
        finish(secctx, end);
        break;
    }
}

/* ---- connections -------------------------------------------------------- */

/* Descriptors come with the bytes of the message that they belong to. */
static ssize_t receive(struct end *end)
{
    char buffer[4096], control[CMSG_SPACE(8 * sizeof(int))];
    struct iovec iov = { buffer, sizeof buffer };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control,
                          .msg_controllen = sizeof control };
    ssize_t n = recvmsg(end->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (n > 0) {
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

        g_byte_array_append(end->in, (const guint8 *)buffer, (guint)n);
        if (c) {
            /* both at once, and never again */
            g_assert_cmpuint(c->cmsg_len, ==, CMSG_LEN(2 * sizeof(int)));
            g_assert_cmpuint(end->n_fds, ==, 0);
            memcpy(end->fds, CMSG_DATA(c), 2 * sizeof(int));
            end->n_fds = 2;
        }
    }
    return n;
}

/* False: it has ended. */
static bool on_client(struct secctx *secctx, struct end *end)
{
    ssize_t n = receive(end);

    if (n <= 0) {
        return n < 0 && errno == EAGAIN;
    }
    while (end->in->len >= 8 && end->in->len >= word(end->in->data, 4) >> 16) {
        uint32_t size = word(end->in->data, 4) >> 16;

        if (!end->asked) {
            if (word(end->in->data, 0) != 1 ||
                (word(end->in->data, 4) & 0xffff) != 1) {
                return true; /* a guest's: it is not answered */
            }
            end->asked = true;
            secctx->asked++;
        }
        if (secctx->manner == SECCTX_HANGUP) {
            return false;
        }
        if (secctx->manner == SECCTX_NONSENSE) {
            (void)!send(end->fd, "nonsense\0\0\0\0", 12, MSG_NOSIGNAL);
        } else if (secctx->manner != SECCTX_SILENT) {
            on_request(secctx, end, end->in->data);
        }
        g_byte_array_remove_range(end->in, 0, size);
    }
    return true;
}

static bool on_end(struct secctx *secctx, struct end *end, short revents)
{
    int fd;

    switch (end->kind) {
    case PLAIN:
    case OF_CONTEXT:
        fd = accept4(end->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            secctx->connected += end->kind == PLAIN;
            secctx->inside += end->kind == OF_CONTEXT;
            add(secctx, fd, end->kind == PLAIN ? CLIENT : INSIDE);
        }
        return true;
    case CLIENT:
        return on_client(secctx, end);
    case INSIDE:
        return !(revents & POLLHUP);
    case PIPE:
        g_assert_false(revents & POLLIN); /* nobody writes */
        secctx->ended += (revents & POLLHUP) != 0;
        return false;
    }
    return false;
}

static void forget(struct secctx *secctx)
{
    for (guint i = secctx->ends->len; i-- > 0;) {
        const struct end *end = g_ptr_array_index(secctx->ends, i);

        if (end->kind == OF_CONTEXT || end->kind == PIPE) {
            g_ptr_array_remove_index(secctx->ends, i);
        }
    }
    secctx->forget = false;
}

static gpointer run(gpointer data)
{
    struct secctx *secctx = data;

    g_mutex_lock(&secctx->lock);
    while (!secctx->stop) {
        struct pollfd p[MAX_FDS] = { { .fd = secctx->wake, .events = POLLIN } };
        guint n = secctx->ends->len;
        eventfd_t value;

        g_assert_cmpuint(n + 1, <, MAX_FDS);
        for (guint i = 0; i < n; i++) {
            const struct end *end = g_ptr_array_index(secctx->ends, i);

            p[i + 1] = (struct pollfd){ .fd = end->fd, .events = POLLIN };
        }
        g_mutex_unlock(&secctx->lock);
        poll(p, n + 1, -1);
        g_mutex_lock(&secctx->lock);
        if (p[0].revents) {
            eventfd_read(secctx->wake, &value);
        }
        for (guint i = n; i-- > 0;) {
            if (p[i + 1].revents &&
                !on_end(secctx, g_ptr_array_index(secctx->ends, i),
                        p[i + 1].revents)) {
                g_ptr_array_remove_index(secctx->ends, i);
            }
        }
        if (secctx->forget) {
            forget(secctx);
        }
    }
    g_mutex_unlock(&secctx->lock);
    return NULL;
}

/* ---- for the test ------------------------------------------------------- */

struct secctx *secctx_start(const char *path, enum secctx_manner manner)
{
    struct secctx *secctx = g_new0(struct secctx, 1);

    secctx->path = g_strdup(path);
    secctx->manner = manner;
    g_mutex_init(&secctx->lock);
    secctx->wake = eventfd(0, EFD_CLOEXEC);
    secctx->ends = g_ptr_array_new_with_free_func(end_free);
    add(secctx, process_listen(path, 16), PLAIN);
    secctx->thread = g_thread_new("compositor", run, secctx);
    return secctx;
}

static void wake(struct secctx *secctx, bool *what)
{
    g_mutex_lock(&secctx->lock);
    *what = true;
    g_mutex_unlock(&secctx->lock);
    eventfd_write(secctx->wake, 1);
}

void secctx_stop(struct secctx *secctx)
{
    wake(secctx, &secctx->stop);
    g_thread_join(secctx->thread);
    g_ptr_array_unref(secctx->ends);
    close(secctx->wake);
    g_unlink(secctx->path);
    g_mutex_clear(&secctx->lock);
    g_free(secctx->path);
    g_free(secctx->names);
    g_free(secctx);
}

void secctx_set_manner(struct secctx *secctx, enum secctx_manner manner)
{
    g_mutex_lock(&secctx->lock);
    secctx->manner = manner;
    g_mutex_unlock(&secctx->lock);
}

void secctx_forget(struct secctx *secctx)
{
    bool over;

    wake(secctx, &secctx->forget);
    do {
        g_usleep(1000);
        g_mutex_lock(&secctx->lock);
        over = !secctx->forget;
        g_mutex_unlock(&secctx->lock);
    } while (!over);
}

static unsigned int read_count(struct secctx *secctx, const unsigned int *count)
{
    unsigned int value;

    g_mutex_lock(&secctx->lock);
    value = *count;
    g_mutex_unlock(&secctx->lock);
    return value;
}

unsigned int secctx_made(struct secctx *secctx)
{
    return read_count(secctx, &secctx->made);
}

unsigned int secctx_inside(struct secctx *secctx)
{
    return read_count(secctx, &secctx->inside);
}

unsigned int secctx_outside(struct secctx *secctx)
{
    unsigned int value;

    g_mutex_lock(&secctx->lock);
    value = secctx->connected - secctx->asked;
    g_mutex_unlock(&secctx->lock);
    return value;
}

unsigned int secctx_asked(struct secctx *secctx)
{
    return read_count(secctx, &secctx->asked);
}

unsigned int secctx_ended(struct secctx *secctx)
{
    return read_count(secctx, &secctx->ended);
}

char *secctx_names(struct secctx *secctx)
{
    char *names;

    g_mutex_lock(&secctx->lock);
    names = g_strdup(secctx->names);
    g_mutex_unlock(&secctx->lock);
    return names;
}

void secctx_wait(struct secctx *secctx,
                 unsigned int (*count)(struct secctx *secctx),
                 unsigned int want)
{
    for (int i = 0; count(secctx) != want; i++) {
        g_assert_cmpint(i, <, 30000);
        g_usleep(1000);
    }
}
