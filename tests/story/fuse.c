/* SPDX-License-Identifier: BSD-3-Clause */
#include "fuse.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NODE 2
#define FILE_BYTES 100000
/* Whoever has waited for so long fails the test, which must get to its end:
 * not even SIGKILL ends a process that waits for this server. */
#define WATCHDOG_US (60 * G_USEC_PER_SEC)

struct fuse {
    int fd;
    int stop;
    int hold, n_held; /* atomic; `held` is the server thread's */
    uint64_t held[16];
    bool aborted;
    char *dir;
    GThread *thread;
};

static void answer(struct fuse *fuse, uint64_t unique, int error,
                   const void *body, size_t len)
{
    struct fuse_out_header head = {
        .len = (uint32_t)(sizeof head + len),
        .error = error,
        .unique = unique,
    };
    char bytes[512];

    memcpy(bytes, &head, sizeof head);
    if (len != 0) {
        memcpy(bytes + sizeof head, body, len);
    }
    if (write(fuse->fd, bytes, sizeof head + len) < 0) {
        g_test_message("fuse: %s", g_strerror(errno));
    }
}

static void answer_init(struct fuse *fuse, uint64_t unique)
{
    struct fuse_init_out out = {
        .major = FUSE_KERNEL_VERSION,
        .minor = 31,
        .max_write = 4096,
    };

    answer(fuse, unique, 0, &out, sizeof out);
}

static void serve(struct fuse *fuse, const struct fuse_in_header *in)
{
    struct fuse_entry_out entry = {
        .nodeid = FILE_NODE, /* its attributes are good for no time */
        .attr = { .ino = FILE_NODE,
                  .size = FILE_BYTES,
                  .nlink = 1,
                  .mode = S_IFREG | 0666 },
    };
    struct fuse_attr_out root = {
        .attr = { .ino = 1, .nlink = 1, .mode = S_IFDIR | 0777 },
    };
    struct fuse_open_out opened = { .fh = 1 };

    switch (in->opcode) {
    case FUSE_INIT:
        answer_init(fuse, in->unique);
        break;
    case FUSE_LOOKUP:
        answer(fuse, in->unique, 0, &entry, sizeof entry);
        break;
    case FUSE_OPEN:
        answer(fuse, in->unique, 0, &opened, sizeof opened);
        break;
    case FUSE_GETATTR:
        if (in->nodeid == 1) {
            answer(fuse, in->unique, 0, &root, sizeof root);
        }
        break;
    case FUSE_READ:
    case FUSE_LSEEK:
    case FUSE_STATFS:
        break;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
        break; /* are not answered */
    case FUSE_FLUSH:
        if (g_atomic_int_get(&fuse->hold) && fuse->n_held < 16) {
            fuse->held[fuse->n_held] = in->unique;
            g_atomic_int_inc(&fuse->n_held);
        } else {
            answer(fuse, in->unique, 0, NULL, 0);
        }
        break;
    case FUSE_RELEASE:
        answer(fuse, in->unique, 0, NULL, 0);
        break;
    default:
        answer(fuse, in->unique, -ENOSYS, NULL, 0);
        break;
    }
}

static gpointer run(gpointer data)
{
    static union {
        struct fuse_in_header head;
        char space[65536];
    } in;
    struct fuse *fuse = data;
    int64_t end = g_get_monotonic_time() + WATCHDOG_US;

    while (!g_atomic_int_get(&fuse->stop)) {
        struct pollfd p = { fuse->fd, POLLIN, 0 };

        if (poll(&p, 1, 20) == 1 && read(fuse->fd, &in, sizeof in) > 0) {
            serve(fuse, &in.head);
        }
        while (!g_atomic_int_get(&fuse->hold) && fuse->n_held > 0) {
            answer(fuse, fuse->held[fuse->n_held - 1], 0, NULL, 0);
            g_atomic_int_add(&fuse->n_held, -1);
        }
        if (!fuse->aborted && g_get_monotonic_time() > end) {
            fuse->aborted = true;
            umount2(fuse->dir, MNT_FORCE);
            umount2(fuse->dir, MNT_DETACH);
        }
    }
    return NULL;
}

const char *fuse_start(struct fuse **out)
{
    struct fuse *fuse = g_new0(struct fuse, 1);
    char options[128];

    fuse->fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fuse->fd < 0) {
        g_free(fuse);
        return "/dev/fuse cannot be opened";
    }
    fuse->dir = g_dir_make_tmp("vwl-fuse-XXXXXX", NULL);
    g_snprintf(options, sizeof options,
               "fd=%d,rootmode=40000,user_id=%u,group_id=%u", fuse->fd,
               (unsigned int)getuid(), (unsigned int)getgid());
    if (mount("story", fuse->dir, "fuse", MS_NOSUID | MS_NODEV, options) < 0) {
        close(fuse->fd);
        g_rmdir(fuse->dir);
        g_free(fuse->dir);
        g_free(fuse);
        return "mounting a FUSE file system is not permitted";
    }
    fuse->thread = g_thread_new("fuse", run, fuse);
    *out = fuse;
    return NULL;
}

int fuse_open(struct fuse *fuse, int flags)
{
    char *path = g_build_filename(fuse->dir, "file", NULL);
    int fd = open(path, flags | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    g_free(path);
    return fd;
}

void fuse_hold_close(struct fuse *fuse, int hold)
{
    g_atomic_int_set(&fuse->hold, hold);
}

unsigned int fuse_held(struct fuse *fuse)
{
    return (unsigned int)g_atomic_int_get(&fuse->n_held);
}

void fuse_stop(struct fuse *fuse)
{
    g_atomic_int_set(&fuse->stop, 1);
    g_thread_join(fuse->thread);
    umount2(fuse->dir, MNT_FORCE);
    umount2(fuse->dir, MNT_DETACH);
    close(fuse->fd);
    g_assert_cmpint(g_rmdir(fuse->dir), ==, 0);
    g_assert_false(fuse->aborted);
    g_free(fuse->dir);
    g_free(fuse);
}
