/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool.h"
#include "part.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Maps are few in a process; smaller pools are read nearly as fast. */
#define MAP_MIN_BYTES (256 << 10)
#define MAX_MAPPED 16u
/* Addresses that are free beside a map when it is made: a process that has too
 * few of them ends. */
#define LEFT_BYTES ((size_t)256 << 20)

/* Of each client. */
struct shm {
    unsigned int n_pools;
    unsigned int n_mapped;
};

static const struct vwl_part shm_part = {
    .size = sizeof(struct shm),
};

static struct shm *shm_of(struct vwl_client *client)
{
    return vwl_part_of(client, &shm_part);
}

bool vwl_pool_has_room(struct vwl_client *client)
{
    bool room = shm_of(client)->n_pools < vwl_limit_of(client, VWL_LIMIT_POOLS);

    if (!room) {
        vwl_limit_reached(client->bridge, client, VWL_LIMIT_POOLS);
    }
    return room;
}

struct vwl_pool *vwl_pool_new(struct vwl_client *client, int fd, int64_t size)
{
    struct vwl_pool *pool = g_new0(struct vwl_pool, 1);

    pool->refs = 1;
    pool->fd = fd;
    pool->size = size;
    shm_of(client)->n_pools++;
    client->n_fds++;
    return pool;
}

static void pool_unmap(struct vwl_client *client, struct vwl_pool *pool)
{
    if (pool->map != NULL) {
        munmap((void *)(uintptr_t)pool->map, pool->map_bytes);
        pool->map = NULL;
        shm_of(client)->n_mapped--;
    }
}

void vwl_pool_unref(struct vwl_client *client, struct vwl_pool *pool)
{
    if (--pool->refs == 0) {
        pool_unmap(client, pool);
        close(pool->fd);
        g_free(pool);
        shm_of(client)->n_pools--;
        client->n_fds--;
    }
}

static bool is_tmpfs(int fd)
{
    struct statfs fs;

    return fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

bool vwl_pool_file_stays(int fd, int64_t bytes)
{
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat st;

    return seals >= 0 && (seals & F_SEAL_SHRINK) != 0 && fstat(fd, &st) == 0 &&
           st.st_size >= bytes && is_tmpfs(fd);
}

static const char *map_file(int fd, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t whole = (bytes + page - 1) & ~(page - 1);
    char *at = mmap(NULL, whole + LEFT_BYTES, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (at == MAP_FAILED) {
        return NULL;
    }
    if (mmap(at, bytes, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) ==
        MAP_FAILED) {
        munmap(at, whole + LEFT_BYTES);
        return NULL;
    }
    munmap(at + whole, LEFT_BYTES);
    return at;
}

/* Elsewhere than in tmpfs a page may be a disk's, or a device's register. */
void vwl_pool_map(struct vwl_client *client, struct vwl_pool *pool)
{
    pool_unmap(client, pool);
    if (pool->torn || pool->size < MAP_MIN_BYTES ||
        shm_of(client)->n_mapped >= MAX_MAPPED || !is_tmpfs(pool->fd)) {
        return;
    }
    pool->map = map_file(pool->fd, (size_t)pool->size);
    if (pool->map != NULL) {
        pool->map_bytes = (size_t)pool->size;
        shm_of(client)->n_mapped++;
    }
}

void vwl_pool_tear(struct vwl_client *client, struct vwl_pool *pool)
{
    pool_unmap(client, pool);
    pool->torn = true;
}
