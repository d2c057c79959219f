/* SPDX-License-Identifier: BSD-3-Clause */
#include "guest/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/page.h"

struct mapping {
    unsigned int refs;
    void *addr;
    size_t len;
    int fd; /* of the file, if it is kept; -1 */
};

struct entry {
    uint64_t key;  /* gpa or uva, by the array it stands in */
    uint64_t last; /* the last byte's */
    uint64_t gpa;
    uint64_t uva;
    uint64_t offset; /* in the file */
    unsigned char *base;
    struct mapping *mapping;
};

struct vwl_mem {
    unsigned int refs;
    unsigned int n;
    bool keeps_files;
    struct entry *by_gpa; /* sorted by key; owns the references to mappings */
    struct entry *by_uva;
};

static struct vwl_mem *mem_sized(unsigned int n, bool keeps_files)
{
    struct vwl_mem *mem = g_new0(struct vwl_mem, 1);

    mem->refs = 1;
    mem->n = n;
    mem->keeps_files = keeps_files;
    mem->by_gpa = g_new0(struct entry, n);
    mem->by_uva = g_new0(struct entry, n);
    return mem;
}

struct vwl_mem *vwl_mem_new(void)
{
    return mem_sized(0, false);
}

void vwl_mem_keep_files(struct vwl_mem *mem)
{
    mem->keeps_files = true;
}

struct vwl_mem *vwl_mem_ref(struct vwl_mem *mem)
{
    mem->refs++;
    return mem;
}

static void mapping_unref(struct mapping *mapping)
{
    if (--mapping->refs == 0) {
        munmap(mapping->addr, mapping->len);
        vwl_fd_clear(&mapping->fd);
        g_free(mapping);
    }
}

void vwl_mem_unref(struct vwl_mem *mem)
{
    if (!mem || --mem->refs > 0) {
        return;
    }
    for (unsigned int i = 0; i < mem->n; i++) {
        mapping_unref(mem->by_gpa[i].mapping);
    }
    g_free(mem->by_gpa);
    g_free(mem->by_uva);
    g_free(mem);
}

unsigned int vwl_mem_count(const struct vwl_mem *mem)
{
    return mem->n;
}

/* How many entries begin at or before key. */
static unsigned int upper_bound(const struct entry *entries, unsigned int n,
                                uint64_t key)
{
    unsigned int lo = 0, hi = n;

    while (lo < hi) {
        unsigned int mid = lo + (hi - lo) / 2;

        if (entries[mid].key <= key) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static bool overlaps(const struct entry *entries, unsigned int n, uint64_t key,
                     uint64_t last)
{
    unsigned int at = upper_bound(entries, n, last);

    return at > 0 && entries[at - 1].last >= key;
}

static bool piece_at(const struct entry *entries, unsigned int n, uint64_t key,
                     uint64_t max, struct vwl_span *out)
{
    unsigned int at = upper_bound(entries, n, key);
    const struct entry *entry;
    uint64_t offset, left;

    if (at == 0 || max == 0 || entries[at - 1].last < key) {
        return false;
    }
    entry = &entries[at - 1];
    offset = key - entry->key;
    left = entry->last - key; /* one less, so that 2^64 fits */
    out->base = entry->base + offset;
    out->len = max - 1 < left ? max : left + 1;
    out->gpa = entry->gpa + offset;
    return true;
}

bool vwl_mem_at_gpa(const struct vwl_mem *mem, uint64_t gpa, uint64_t max,
                    struct vwl_span *out)
{
    return piece_at(mem->by_gpa, mem->n, gpa, max, out);
}

bool vwl_mem_at_uva(const struct vwl_mem *mem, uint64_t uva, uint64_t max,
                    struct vwl_span *out)
{
    return piece_at(mem->by_uva, mem->n, uva, max, out);
}

bool vwl_mem_file_at(const struct vwl_mem *mem, uint64_t gpa, uint64_t max,
                     struct vwl_extent *out)
{
    unsigned int at = upper_bound(mem->by_gpa, mem->n, gpa);
    struct vwl_span span;

    if (!mem->keeps_files || !vwl_mem_at_gpa(mem, gpa, max, &span)) {
        return false;
    }
    out->fd = mem->by_gpa[at - 1].mapping->fd;
    out->offset = mem->by_gpa[at - 1].offset + (gpa - mem->by_gpa[at - 1].gpa);
    out->bytes = span.len;
    return true;
}

static int map_region(const struct vwl_mem_region *region, int fd,
                      struct mapping **out, unsigned char **base)
{
    uint64_t align = vwl_page_host_bytes();
    uint64_t lead, len;
    struct stat st;
    struct statfs fs;
    void *addr;

    vwl_fd_seal_length(fd); /* before its length is asked for */
    if (fstat(fd, &st) < 0) {
        return -errno;
    }
    if (!S_ISREG(st.st_mode) || st.st_size < 0 ||
        region->mmap_offset > (uint64_t)st.st_size ||
        region->size > (uint64_t)st.st_size - region->mmap_offset) {
        return -EINVAL;
    }
    /* Huge pages map, and unmap, in whole pages of theirs only. */
    if (fstatfs(fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC &&
        st.st_blksize > 0) {
        align = (uint64_t)st.st_blksize;
    }
    lead = region->mmap_offset % align;
    len = region->size + lead;
    len += (align - len % align) % align;
    addr = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                fd, (off_t)(region->mmap_offset - lead));
    if (addr == MAP_FAILED) {
        return -errno;
    }
    *out = g_new0(struct mapping, 1);
    (*out)->addr = addr;
    (*out)->len = len;
    (*out)->fd = -1;
    *base = (unsigned char *)addr + lead;
    return 0;
}

/* Copies all of one sorted array but the entry at skip (or none, when it is n)
 * and, if there is one, puts insert where it belongs. */
static void copy_entries(struct entry *to, const struct entry *from,
                         unsigned int n, unsigned int skip,
                         const struct entry *insert)
{
    unsigned int at = insert ? upper_bound(from, n, insert->key) : n;

    for (unsigned int i = 0; i <= n; i++) {
        if (insert && i == at) {
            *to++ = *insert;
        }
        if (i < n && i != skip) {
            *to++ = from[i];
        }
    }
}

static void ref_mappings(struct vwl_mem *mem)
{
    for (unsigned int i = 0; i < mem->n; i++) {
        mem->by_gpa[i].mapping->refs++;
    }
}

/* 0, or -errno, and it is not mapped any more. */
static int keep_file(struct entry *entry, int fd)
{
    int err;

    entry->mapping->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (entry->mapping->fd >= 0) {
        return 0;
    }
    err = -errno;
    entry->mapping->refs = 1;
    mapping_unref(entry->mapping);
    return err;
}

int vwl_mem_add(const struct vwl_mem *old, const struct vwl_mem_region *region,
                int fd, struct vwl_mem **out)
{
    struct entry entry = { .gpa = region->gpa,
                           .uva = region->uva,
                           .offset = region->mmap_offset };
    uint64_t more = region->size - 1;
    struct vwl_mem *mem;
    int rc;

    if (region->size == 0 || more > UINT64_MAX - region->gpa ||
        more > UINT64_MAX - region->uva ||
        more > UINT64_MAX - region->mmap_offset) {
        return -EINVAL;
    }
    if (overlaps(old->by_gpa, old->n, region->gpa, region->gpa + more) ||
        overlaps(old->by_uva, old->n, region->uva, region->uva + more)) {
        return -EEXIST;
    }
    if (old->n >= VWL_MEM_MAX_REGIONS) {
        return -ENOSPC;
    }
    rc = map_region(region, fd, &entry.mapping, &entry.base);
    if (rc == 0 && old->keeps_files) {
        rc = keep_file(&entry, fd);
    }
    if (rc < 0) {
        return rc;
    }
    mem = mem_sized(old->n + 1, old->keeps_files);
    entry.key = region->gpa;
    entry.last = region->gpa + more;
    copy_entries(mem->by_gpa, old->by_gpa, old->n, old->n, &entry);
    entry.key = region->uva;
    entry.last = region->uva + more;
    copy_entries(mem->by_uva, old->by_uva, old->n, old->n, &entry);
    ref_mappings(mem);
    *out = mem;
    return 0;
}

/* The entry that is exactly this region, or n. */
static unsigned int find(const struct entry *entries, unsigned int n,
                         uint64_t key, const struct vwl_mem_region *region)
{
    unsigned int at = upper_bound(entries, n, key);

    if (at == 0 || region->size == 0) {
        return n;
    }
    at--;
    if (entries[at].gpa != region->gpa || entries[at].uva != region->uva ||
        entries[at].last - entries[at].key != region->size - 1) {
        return n;
    }
    return at;
}

int vwl_mem_remove(const struct vwl_mem *old,
                   const struct vwl_mem_region *region, struct vwl_mem **out)
{
    unsigned int gpa_at = find(old->by_gpa, old->n, region->gpa, region);
    unsigned int uva_at = find(old->by_uva, old->n, region->uva, region);
    struct vwl_mem *mem;

    if (gpa_at == old->n || uva_at == old->n) {
        return -ENOENT;
    }
    mem = mem_sized(old->n - 1, old->keeps_files);
    copy_entries(mem->by_gpa, old->by_gpa, old->n, gpa_at, NULL);
    copy_entries(mem->by_uva, old->by_uva, old->n, uva_at, NULL);
    ref_mappings(mem);
    *out = mem;
    return 0;
}
