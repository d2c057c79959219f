// SPDX-License-Identifier: GPL-2.0-only
/*
 * The number of a virtio-gpu buffer: its resource id, which the host knows.
 *
 * virtio-gpu tells other drivers a UUID instead, which the host makes; only
 * some hosts offer those, and only some of them put the id into it. So the id
 * itself is read where virtio-gpu keeps it. The kernel says where that is: BTF
 * describes each module's structures, for tracers, in a format that stays.
 * Kernels that were built without it are asked for the place that older ones
 * have, and last of all the UUID.
 */
#include <linux/dma-buf.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/module.h>
#include <linux/sizes.h>
#include <linux/vmalloc.h>
#include <linux/virtio_dma_buf.h>
#include <uapi/linux/btf.h>

#if IS_ENABLED(CONFIG_DRM_GEM_SHMEM_HELPER)
#include <drm/drm_gem_shmem_helper.h>
#endif

#include "compat.h"
#include "wl.h"

#define BTF_DIR "/sys/kernel/btf/"
#define BTF_MAX SZ_32M
#define OBJECT "virtio_gpu_object"
#define MEMBER "hw_res_handle"
/* What each has; newer headers have more. */
#define HEAD_LEN offsetofend(struct btf_header, str_len)

/* Kernels for clouds are without dmabufs. */
#ifdef CONFIG_DMA_SHARED_BUFFER

struct btf {
	const struct btf_type *types;
	u32 types_len;
	const char *strings;
	u32 strings_len;
	u32 base_len; /* of the strings that another file begins with */
};

/* data stays the caller's. */
static int btf_open(struct btf *btf, void *data, size_t size)
{
	const struct btf_header *head = data;
	const u8 *body;
	size_t left;

	if (size < HEAD_LEN || head->magic != BTF_MAGIC ||
	    head->hdr_len < HEAD_LEN || head->hdr_len > size)
		return -EINVAL;
	body = (const u8 *)data + head->hdr_len;
	left = size - head->hdr_len;
	if (head->type_off > left || head->type_len > left - head->type_off ||
	    head->str_off > left || head->str_len > left - head->str_off ||
	    !head->str_len || body[head->str_off + head->str_len - 1] ||
	    !IS_ALIGNED(head->type_off | head->hdr_len, 4))
		return -EINVAL;
	btf->types = (const struct btf_type *)(body + head->type_off);
	btf->types_len = head->type_len;
	btf->strings = (const char *)body + head->str_off;
	btf->strings_len = head->str_len;
	return 0;
}

static bool is_named(const struct btf *btf, u32 name, const char *want)
{
	return name >= btf->base_len &&
	       name - btf->base_len < btf->strings_len &&
	       !strcmp(btf->strings + (name - btf->base_len), want);
}

/* Bytes behind a type's first ones; -1: a kind that we do not know. */
static long tail_len(const struct btf_type *type)
{
	u32 n = BTF_INFO_VLEN(type->info);

	switch (BTF_INFO_KIND(type->info)) {
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case BTF_KIND_DECL_TAG:
		return 4;
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
	case BTF_KIND_DATASEC:
	case BTF_KIND_ENUM64:
		return 12 * n;
	case BTF_KIND_ENUM:
	case BTF_KIND_FUNC_PROTO:
		return 8 * n;
	case BTF_KIND_PTR:
	case BTF_KIND_FWD:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_FUNC:
	case BTF_KIND_FLOAT:
	case BTF_KIND_TYPE_TAG:
		return 0;
	default:
		return -1;
	}
}

/* Where the id is in that structure, which begins with what a dma_buf has, the
 * base of all buffers (whose name is one of the kernel's strings). */
static int find_member(const struct btf *btf, const struct btf_type *type)
{
	const struct btf_member *member = (const void *)(type + 1);
	u32 i, n = BTF_INFO_VLEN(type->info), at;

	for (i = 0; i < n; i++, member++) {
		if (!is_named(btf, member->name_off, MEMBER))
			continue;
		at = member->offset;
		if (BTF_INFO_KFLAG(type->info) && BTF_MEMBER_BITFIELD_SIZE(at))
			return -EINVAL;
		if (BTF_INFO_KFLAG(type->info))
			at = BTF_MEMBER_BIT_OFFSET(at);
		if (at % 32 || at / 8 + sizeof(u32) > type->size ||
		    type->size > PAGE_SIZE)
			return -EINVAL;
		return at / 8;
	}
	return -ENOENT;
}

static int find_in(const struct btf *btf)
{
	const u8 *at = (const u8 *)btf->types;
	u32 left = btf->types_len;

	while (left >= sizeof(struct btf_type)) {
		const struct btf_type *type = (const void *)at;
		long len = tail_len(type);

		if (len < 0 || len > left - sizeof(*type))
			return -EINVAL;
		if (BTF_INFO_KIND(type->info) == BTF_KIND_STRUCT &&
		    is_named(btf, type->name_off, OBJECT))
			return find_member(btf, type);
		len += sizeof(*type);
		at += len;
		left -= len;
	}
	return -ENOENT;
}

/* Only the kernel's own file will do, whoever mounted what where we look. */
static bool is_genuine(struct file *file, const char *name)
{
	const struct dentry *dentry = file->f_path.dentry;

	return file_inode(file)->i_sb->s_magic == SYSFS_MAGIC &&
	       !strcmp(dentry->d_name.name, name) &&
	       !strcmp(dentry->d_parent->d_name.name, "btf");
}

/* A read may give a page alone. */
static ssize_t read_all(struct file *file, void *data, size_t size)
{
	loff_t at = 0;
	ssize_t n = 1;

	while (at < size && n > 0)
		n = kernel_read(file, data + at, size - at, &at);
	return n < 0 ? n : at;
}

/* Its first bytes, at most so many, vmalloc'ed: how many. */
static ssize_t read_btf(const char *name, size_t most, void **data)
{
	char path[64];
	struct file *file;
	ssize_t n = -EINVAL;

	snprintf(path, sizeof(path), BTF_DIR "%s", name);
	file = filp_open(path, O_RDONLY, 0);
	if (IS_ERR(file))
		return PTR_ERR(file);
	*data = NULL;
	if (is_genuine(file, name)) {
		most = min_t(u64, most, i_size_read(file_inode(file)));
		*data = vmalloc(most ? most : 1);
		n = *data ? read_all(file, *data, most) : -ENOMEM;
	}
	if (n < 0) {
		vfree(*data);
		*data = NULL;
	}
	fput(file);
	return n;
}

/* The strings of a module's file go on where the kernel's end. */
static int kernel_strings_len(u32 *len)
{
	struct btf_header *head;
	void *data;
	ssize_t n = read_btf("vmlinux", HEAD_LEN, &data);
	int err = -EINVAL;

	if (n < 0)
		return n;
	head = data;
	if (n == HEAD_LEN && head->magic == BTF_MAGIC) {
		*len = head->str_len;
		err = 0;
	}
	vfree(data);
	return err;
}

static int find_in_file(const char *name, bool is_module)
{
	struct btf btf = { 0 };
	void *data;
	ssize_t n;
	int ret;

	if (is_module) {
		ret = kernel_strings_len(&btf.base_len);
		if (ret)
			return ret;
	}
	n = read_btf(name, BTF_MAX, &data);
	if (n < 0)
		return n;
	ret = btf_open(&btf, data, n);
	if (!ret)
		ret = find_in(&btf);
	vfree(data);
	return ret;
}

/* Looked for until it is found: it is the same for all buffers. A program may
 * not see /sys. */
static DEFINE_MUTEX(place_lock);
static int place;

static int find_place(void)
{
	int at;

	mutex_lock(&place_lock);
	at = place;
	if (!at) {
		at = find_in_file("virtio_gpu", true);
		if (at < 0) /* it is no module */
			at = find_in_file("vmlinux", false);
		if (at > 0)
			place = at;
	}
	mutex_unlock(&place_lock);
	return at > 0 ? at : WL_GPU_OBJECT_PLACE;
}

static int ask_uuid(struct dma_buf *buf, u64 *id)
{
	const struct virtio_dma_buf_ops *ops =
		container_of(buf->ops, struct virtio_dma_buf_ops, ops);
	uuid_t uuid;
	int err;

	err = ops->get_uuid(buf, &uuid);
	if (!err)
		*id = (u32)uuid.b[12] << 24 | uuid.b[13] << 16 |
		      uuid.b[14] << 8 | uuid.b[15];
	return err;
}

/* -errno: it cannot be had. */
int wl_gpu_number(struct dma_buf *buf, u64 *id)
{
	int at = find_place(), err;

	if (at > 0) {
		*id = *(const u32 *)((const u8 *)buf->priv + at);
		return 0;
	}
	err = ask_uuid(buf, id);
	if (err)
		pr_warn_once(KBUILD_MODNAME
			     ": buffers of virtio-gpu cannot be sent: this "
			     "kernel has no BTF that says where their numbers "
			     "are, and the host gives no UUIDs (%d)\n",
			     err);
	return err;
}

#endif
