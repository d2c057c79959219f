/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhu/backchan_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>

#include "base/fd.h"

#define CALL_INDEXES 256
/* Replies of one dispatch: then the other sources have a turn. */
#define BUDGET 256

struct request {
    uint32_t number;        /* on the wire */
    int fd;                 /* a duplicate of our own while it waits; else -1 */
    vwl_backchan_done done; /* may be NULL */
    void *opaque;
    uint64_t cookie;
    uint32_t index; /* of VRING_CALL */
    uint32_t size;
    uint8_t payload[];
};

/* One call of a ring on its way is enough:
 *
 *     IDLE --a call--> WAITING --sent--> SENT --another call--> AGAIN
 *      ^                                  |                       |
 *      +------------- answered -----------+     answered: WAITING +
 *
 * What is not answered (no REPLY_ACK) is IDLE as soon as it is sent. */
enum call {
    CALL_IDLE,
    CALL_WAITING,
    CALL_SENT,
    CALL_AGAIN,
};

struct vwl_backchan {
    struct vwl_log *log;
    struct vwl_watched socket;
    enum vwl_shm_dialect dialect;
    bool reply_ack;
    bool held;
    bool dead; /* found out by a write; the next dispatch closes */
    bool flushing;
    struct vwl_vhu_reader reader;
    struct vwl_vhu_writer *writer;
    GQueue waiting; /* struct request, not sent */
    GQueue sent;    /* struct request, a reply is due */
    GQueue ending;  /* struct request, of a channel that is gone */
    unsigned int waiting_fds;
    enum call calls[CALL_INDEXES];
};

static void request_free(void *data)
{
    struct request *request = data;

    vwl_fd_clear(&request->fd);
    g_free(request);
}

static void request_end(struct request *request, int err)
{
    if (request->done) {
        request->done(request->opaque, request->cookie, err);
    }
    request_free(request);
}

struct vwl_backchan *vwl_backchan_create(struct vwl_log *log)
{
    struct vwl_backchan *chan = g_new0(struct vwl_backchan, 1);

    chan->log = log;
    vwl_watched_init(&chan->socket);
    vwl_vhu_reader_init(&chan->reader);
    chan->reader.least = sizeof(uint64_t); /* nothing but replies comes */
    chan->writer = vwl_vhu_writer_create();
    g_queue_init(&chan->waiting);
    g_queue_init(&chan->sent);
    g_queue_init(&chan->ending);
    return chan;
}

void vwl_backchan_destroy(struct vwl_backchan *chan)
{
    if (!chan) {
        return;
    }
    g_queue_clear_full(&chan->waiting, request_free);
    g_queue_clear_full(&chan->sent, request_free);
    g_queue_clear_full(&chan->ending, request_free);
    vwl_vhu_reader_finish(&chan->reader);
    vwl_vhu_writer_destroy(chan->writer);
    vwl_watched_clear(&chan->socket);
    g_free(chan);
}

static void move_all(GQueue *to, GQueue *from)
{
    struct request *request;

    while ((request = g_queue_pop_head(from))) {
        g_queue_push_tail(to, request);
    }
}

/* Everything pending ends, oldest first; callbacks may make requests. */
static void end_channel(struct vwl_backchan *chan)
{
    struct request *request;

    vwl_vhu_reader_finish(&chan->reader);
    vwl_vhu_writer_destroy(chan->writer);
    chan->writer = vwl_vhu_writer_create();
    vwl_watched_clear(&chan->socket);
    chan->dead = false;
    chan->waiting_fds = 0;
    memset(chan->calls, 0, sizeof chan->calls);
    move_all(&chan->ending, &chan->sent);
    move_all(&chan->ending, &chan->waiting);
    while ((request = g_queue_pop_head(&chan->ending))) {
        request_end(request, -ECONNRESET);
    }
}

void vwl_backchan_set_fd(struct vwl_backchan *chan, int *fd)
{
    end_channel(chan);
    vwl_watched_set(&chan->socket, vwl_fd_steal(fd));
}

struct vwl_watched *vwl_backchan_socket(struct vwl_backchan *chan)
{
    return &chan->socket;
}

bool vwl_backchan_wants_write(const struct vwl_backchan *chan)
{
    return chan->socket.fd >= 0 &&
           (chan->dead || vwl_vhu_writer_pending(chan->writer));
}

bool vwl_backchan_is_starved(const struct vwl_backchan *chan)
{
    return chan->socket.fd >= 0 && !chan->dead &&
           (chan->reader.starved || vwl_vhu_writer_starved(chan->writer));
}

void vwl_backchan_configure(struct vwl_backchan *chan,
                            enum vwl_shm_dialect dialect, bool reply_ack)
{
    chan->dialect = dialect;
    chan->reply_ack = reply_ack;
}

enum vwl_shm_dialect vwl_backchan_dialect(const struct vwl_backchan *chan)
{
    return chan->dialect;
}

unsigned int vwl_backchan_pending(const struct vwl_backchan *chan)
{
    return chan->waiting.length + chan->sent.length;
}

static bool always_answered(uint32_t number)
{
    return number == VHOST_USER_BACKEND_PRIVATE_SHMEM_MAP ||
           number == VHOST_USER_BACKEND_PRIVATE_SHMEM_UNMAP ||
           number == VHOST_USER_BACKEND_GPU_MAP ||
           number == VHOST_USER_BACKEND_EXTERNAL_MAP;
}

static bool may_send(const struct vwl_backchan *chan)
{
    return chan->socket.fd >= 0 && !chan->held && !chan->dead &&
           !vwl_vhu_writer_pending(chan->writer);
}

static int transmit(struct vwl_backchan *chan, uint32_t number,
                    const void *payload, uint32_t size, int fd)
{
    uint32_t flags = VHOST_USER_VERSION;

    if (chan->reply_ack) {
        flags |= VHOST_USER_NEED_REPLY_MASK;
    }
    return vwl_vhu_write(chan->writer, chan->socket.fd, number, flags, payload,
                         size, fd);
}

static bool is_reply_due(const struct vwl_backchan *chan, uint32_t number)
{
    return chan->reply_ack || always_answered(number);
}

/* A request went to the socket. */
static void note_sent(struct vwl_backchan *chan, uint32_t number,
                      uint32_t index, bool reply_due)
{
    if (number == VHOST_USER_BACKEND_VRING_CALL) {
        chan->calls[index] = reply_due ? CALL_SENT : CALL_IDLE;
    }
}

/* A request that waited is with the socket, or err says why not. */
static void settle(struct vwl_backchan *chan, struct request *request, int err)
{
    bool reply_due = err == 0 && is_reply_due(chan, request->number);

    note_sent(chan, request->number, request->index, reply_due);
    if (reply_due) {
        g_queue_push_tail(&chan->sent, request);
    } else {
        request_end(request, err);
    }
}

static void flush_waiting(struct vwl_backchan *chan)
{
    struct request *request;

    if (chan->flushing) {
        return;
    }
    chan->flushing = true;
    while (may_send(chan) && (request = g_queue_peek_head(&chan->waiting))) {
        int err = transmit(chan, request->number, request->payload,
                           request->size, request->fd);

        if (err == -ECONNRESET) {
            chan->dead = true;
            break;
        }
        g_queue_pop_head(&chan->waiting);
        if (request->fd >= 0) {
            chan->waiting_fds--;
            vwl_fd_clear(&request->fd);
        }
        settle(chan, request, err);
    }
    chan->flushing = false;
}

void vwl_backchan_hold(struct vwl_backchan *chan, bool hold)
{
    chan->held = hold;
    if (!hold) {
        flush_waiting(chan);
    }
}

static int check_request(const struct vwl_backchan *chan, uint32_t number,
                         uint32_t size, int fd)
{
    const struct vwl_vhu_row *row = vwl_backchan_row(number);
    unsigned int n_fds = fd >= 0 ? 1 : 0;

    if (!row || size < row->min_size || size > row->max_size ||
        n_fds < row->min_fds || n_fds > row->max_fds) {
        return -EINVAL;
    }
    if (number >= VHOST_USER_BACKEND_PRIVATE_SHMEM_MAP &&
        chan->dialect != VWL_SHM_PRIVATE) {
        return -EOPNOTSUPP;
    }
    if (chan->socket.fd < 0 || chan->dead) {
        return -ENOTCONN;
    }
    if (vwl_backchan_pending(chan) >= VWL_BACKCHAN_MAX_PENDING ||
        (fd >= 0 && chan->waiting_fds >= VWL_BACKCHAN_MAX_WAITING_FDS)) {
        return -ENOBUFS;
    }
    return 0;
}

/* The request as it waits on a queue; takes *own. */
static struct request *request_new(uint32_t number, uint32_t index,
                                   const void *payload, uint32_t size, int *own)
{
    struct request *request = g_malloc(sizeof *request + size);

    *request = (struct request){
        .number = number,
        .fd = vwl_fd_steal(own),
        .index = index,
        .size = size,
    };
    if (size) {
        memcpy(request->payload, payload, size);
    }
    return request;
}

int vwl_backchan_submit(struct vwl_backchan *chan, uint32_t number,
                        uint32_t index, const void *payload, uint32_t size,
                        int fd, vwl_backchan_done done, void *opaque,
                        uint64_t cookie)
{
    bool now = g_queue_is_empty(&chan->waiting) && may_send(chan);
    struct request *request;
    int own = -1;
    int err = check_request(chan, number, size, fd);

    if (err < 0) {
        return err;
    }
    if (now) {
        err = transmit(chan, number, payload, size, fd);
        if (err < 0) {
            chan->dead |= err == -ECONNRESET;
            return err == -ECONNRESET ? -ENOTCONN : err;
        }
        note_sent(chan, number, index, is_reply_due(chan, number));
        if (!is_reply_due(chan, number)) {
            return 0;
        }
    } else if (fd >= 0) {
        own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (own < 0) {
            return -errno;
        }
        chan->waiting_fds++;
    }
    request = request_new(number, index, payload, size, &own);
    request->done = done;
    request->opaque = opaque;
    request->cookie = cookie;
    g_queue_push_tail(now ? &chan->sent : &chan->waiting, request);
    return -EINPROGRESS;
}

int vwl_backchan_vring_call(struct vwl_backchan *chan, uint32_t index)
{
    struct vhost_user_vring_state state = { .index = index };
    int err;

    if (index >= CALL_INDEXES) {
        return -EINVAL;
    }
    if (chan->calls[index] != CALL_IDLE) {
        if (chan->calls[index] == CALL_SENT) {
            chan->calls[index] = CALL_AGAIN;
        }
        return 0;
    }
    chan->calls[index] = CALL_WAITING;
    err = vwl_backchan_submit(chan, VHOST_USER_BACKEND_VRING_CALL, index,
                              &state, sizeof state, -1, NULL, NULL, 0);
    if (err < 0 && err != -EINPROGRESS) {
        chan->calls[index] = CALL_IDLE;
        return err;
    }
    return 0;
}

static void on_reply(struct vwl_backchan *chan, struct request *request,
                     uint64_t value)
{
    int err = 0;

    if (value != 0) {
        int64_t number = (int64_t)value;

        err = number < 0 && number >= -4095 ? (int)number : -EIO;
    }
    if (request->number == VHOST_USER_BACKEND_VRING_CALL) {
        bool again = chan->calls[request->index] == CALL_AGAIN;

        chan->calls[request->index] = CALL_IDLE;
        if (again && err == 0) {
            vwl_backchan_vring_call(chan, request->index);
        }
    }
    request_end(request, err);
}

static const char *check_reply(const struct vwl_backchan *chan,
                               const struct vwl_vhu_msg *msg)
{
    const struct request *request = g_queue_peek_head((GQueue *)&chan->sent);

    if (!request) {
        return "a reply that nobody waits for";
    }
    if (msg->request != request->number) {
        return "a reply to another request";
    }
    if (msg->flags != (VHOST_USER_VERSION | VHOST_USER_REPLY_MASK)) {
        return "a reply with wrong flags";
    }
    if (msg->size != sizeof(uint64_t)) {
        return "a reply of wrong size";
    }
    if (msg->n_fds || msg->fds_lost) {
        return "a reply with descriptors";
    }
    return NULL;
}

int vwl_backchan_dispatch(struct vwl_backchan *chan)
{
    struct vwl_vhu_msg msg;
    const char *why = NULL;
    int got = 0;

    if (chan->socket.fd < 0) {
        return 0;
    }
    vwl_vhu_msg_init(&msg);
    /* with none that is due another look would find nothing */
    for (int i = 0;
         i < BUDGET && !chan->dead && (i == 0 || chan->sent.length > 0) &&
         (got = vwl_vhu_read(&chan->reader, chan->socket.fd, &msg, &why)) > 0;
         i++) {
        uint64_t value;

        why = check_reply(chan, &msg);
        if (why) {
            vwl_vhu_msg_finish(&msg);
            got = -EPROTO;
            break;
        }
        memcpy(&value, msg.payload, sizeof value);
        on_reply(chan, g_queue_pop_head(&chan->sent), value);
    }
    if (got >= 0 && !chan->dead) {
        if (vwl_vhu_flush(chan->writer, chan->socket.fd) < 0) {
            chan->dead = true;
        } else {
            flush_waiting(chan);
        }
    }
    if (got == -EPROTO) {
        log_host_bug(chan->log, "back-end channel: %s; closed", why);
    }
    if (got < 0 || chan->dead) {
        end_channel(chan);
        return -ECONNRESET;
    }
    return 0;
}

static void forget_in(GQueue *queue, const void *opaque)
{
    for (GList *l = queue->head; l; l = l->next) {
        struct request *request = l->data;

        if (request->opaque == opaque) {
            request->done = NULL;
        }
    }
}

void vwl_backchan_forget(struct vwl_backchan *chan, void *opaque)
{
    forget_in(&chan->waiting, opaque);
    forget_in(&chan->sent, opaque);
    forget_in(&chan->ending, opaque);
}
