// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VFD as memory: pages of the device's shared-memory region.
 *
 * They are put in place when they are touched, so that they can be taken away
 * again when the device goes, and all VFDs of a device are mapped through one
 * inode of ours, so that they can be found then: the address may belong to
 * another device later.
 *
 * Pages of the region have no struct page, so the kernel cannot copy them when
 * somebody writes to a private mapping. Such mappings have copies from the
 * start: a page is copied when it is touched first.
 */
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>
#include <linux/virtio_config.h>

#include "compat.h"
#include "wl.h"

#define FAULT_AROUND (512UL << 10)
#define FS_MAGIC 0x776c3066

static struct vfsmount *mnt;

static int fs_init_context(struct fs_context *fc)
{
	return init_pseudo(fc, FS_MAGIC) ? 0 : -ENOMEM;
}

/* No owner: our own mount would keep the module loaded. */
static struct file_system_type fs_type = {
	.name = "virtwl",
	.init_fs_context = fs_init_context,
	.kill_sb = kill_anon_super,
};

int wl_map_module_init(void)
{
	mnt = kern_mount(&fs_type);
	return PTR_ERR_OR_ZERO(mnt);
}

void wl_map_module_exit(void)
{
	kern_unmount(mnt);
}

struct inode *wl_map_inode_create(void)
{
	return alloc_anon_inode(mnt->mnt_sb);
}

/* -ENODEV: the session needs the region and it is not there. */
int wl_map_find_region(struct wl_device *wd)
{
	struct virtio_shm_region region;

	wd->shm_len = 0;
	wd->shm_mem = NULL;
	if (!virtio_get_shm_region(wd->vdev, &region,
				   VIRTIO_WL_SHM_REGION_ID) ||
	    !region.len || !PAGE_ALIGNED(region.addr | region.len) ||
	    region.addr + region.len < region.addr) {
		if (wl_has_feature(wd, VIRTIO_WL_F_USE_SHMEM))
			return -ENODEV;
		return 0;
	}
	wd->shm_addr = region.addr;
	wd->shm_len = region.len;
	/*
	 * Never touched: as long as it is there, user mappings of the same
	 * pages are write-back, too, where the hardware lets them. Without
	 * it they work, but may be slow.
	 */
	wd->shm_mem = memremap(region.addr, region.len, MEMREMAP_WB);
	return 0;
}

void wl_map_lose_region(struct wl_device *wd)
{
	if (wd->shm_mem)
		memunmap(wd->shm_mem);
	wd->shm_mem = NULL;
	wd->shm_len = 0;
}

/* *mem: where it is, or 0 if there is none. */
int wl_map_check(struct wl_device *wd, u64 pfn, u32 size, phys_addr_t *mem)
{
	const u64 pages = wd->shm_len >> VIRTIO_WL_PFN_SHIFT;
	u64 first = 0;

	*mem = 0;
	if (wl_has_feature(wd, VIRTIO_WL_F_USE_SHMEM)) {
		if (pfn == pages)
			return 0;
	} else {
		if (!pfn)
			return 0;
		first = wd->shm_addr >> VIRTIO_WL_PFN_SHIFT;
	}
	if (!size)
		return 0;
	if (pfn < first || pfn - first >= pages)
		return -EPROTO;
	pfn -= first;
	if (PAGE_ALIGN((u64)size) > wd->shm_len - (pfn << VIRTIO_WL_PFN_SHIFT))
		return -EPROTO;
	*mem = wd->shm_addr + (pfn << VIRTIO_WL_PFN_SHIFT);
	return PAGE_ALIGNED(*mem) ? 0 : -EPROTO;
}

static vm_fault_t insert(struct vm_area_struct *vma, const struct wl_vfd *vfd,
			 unsigned long address)
{
	unsigned long pfn = (vfd->mem >> PAGE_SHIFT) + vma->vm_pgoff +
			    ((address - vma->vm_start) >> PAGE_SHIFT);

	return vmf_insert_pfn(vma, address, pfn);
}

static vm_fault_t map_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct wl_vfd *vfd = wl_vfd_of_file(vma->vm_file);
	struct wl_device *wd = vfd->wd;
	unsigned long address, end;
	vm_fault_t ret;

	down_read(&wd->map_lock);
	ret = VM_FAULT_SIGBUS;
	if (READ_ONCE(wd->session) != vfd->session)
		goto out;
	ret = insert(vma, vfd, vmf->address);
	if (ret != VM_FAULT_NOPAGE)
		goto out;
	address = max(vmf->address & ~(FAULT_AROUND - 1), vma->vm_start);
	end = min((vmf->address | (FAULT_AROUND - 1)) + 1, vma->vm_end);
	for (; address < end; address += PAGE_SIZE) {
		if (insert(vma, vfd, address) != VM_FAULT_NOPAGE)
			break;
	}
out:
	up_read(&wd->map_lock);
	return ret;
}

static const struct vm_operations_struct map_ops = {
	.fault = map_fault,
};

static int copy_page_of(struct wl_device *wd, phys_addr_t from, void *to)
{
	void *mem;

	if (wd->shm_mem) {
		memcpy(to, wd->shm_mem + (from - wd->shm_addr), PAGE_SIZE);
		return 0;
	}
	mem = memremap(from, PAGE_SIZE, MEMREMAP_WB);
	if (!mem)
		return -ENOMEM;
	memcpy(to, mem, PAGE_SIZE);
	memunmap(mem);
	return 0;
}

static vm_fault_t copy_fault(struct vm_fault *vmf)
{
	struct wl_vfd *vfd = wl_vfd_of_file(vmf->vma->vm_file);
	struct wl_device *wd = vfd->wd;
	vm_fault_t ret = VM_FAULT_SIGBUS;
	struct page *page = alloc_page(GFP_KERNEL_ACCOUNT);

	if (!page)
		return VM_FAULT_OOM;
	down_read(&wd->map_lock);
	if (READ_ONCE(wd->session) == vfd->session &&
	    !copy_page_of(wd,
			  vfd->mem + ((phys_addr_t)vmf->pgoff << PAGE_SHIFT),
			  page_address(page)))
		ret = 0;
	up_read(&wd->map_lock);
	if (ret)
		__free_page(page);
	else
		vmf->page = page;
	return ret;
}

static const struct vm_operations_struct copy_ops = {
	.fault = copy_fault,
};

/* The session is over (wl_out_stop was called): its memory goes away. */
void wl_map_zap(struct wl_device *wd)
{
	down_write(&wd->map_lock);
	unmap_mapping_range(wd->inode->i_mapping, 0, 0, 1);
	up_write(&wd->map_lock);
}

int wl_vfd_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct wl_vfd *vfd = wl_vfd_of_file(file);
	unsigned long pages;

	if (!vfd->mem)
		return -EACCES;
	pages = PAGE_ALIGN((u64)vfd->size) >> PAGE_SHIFT;
	if (vma->vm_pgoff > pages || vma_pages(vma) > pages - vma->vm_pgoff)
		return -EINVAL;
	if (!(vma->vm_flags & VM_SHARED)) {
		if (vma->vm_flags & VM_WRITE) {
			vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);
			vma->vm_ops = &copy_ops;
			return 0;
		}
		/* who only reads sees what changes, and cannot write later */
		vm_flags_clear(vma, VM_MAYWRITE);
	}
	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_page_prot = pgprot_decrypted(vma->vm_page_prot);
	vma->vm_ops = &map_ops;
	return 0;
}
