// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program's own shared memory as a VFD: its pages are pinned, and the device
 * is told where they are. Host peers that get the VFD read them in place.
 *
 * Nobody tells when such a peer has let go. The program destroys there what it
 * made of the VFD before it closes it; the pages rest for a moment after the
 * device has answered that (or after its reset), then they are the program's
 * alone again.
 *
 * What is pinned can be neither moved nor swapped out, so it has limits: of
 * each user, and of all. The limit of locked memory is no use: its default is
 * less than two pictures of a usual screen.
 */
#include <linux/cred.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "wl.h"

#define REST (2 * HZ)
/* What rests has no more than this; the oldest go first. */
#define REST_MAX_PAGES ((64UL << 20) >> PAGE_SHIFT)
/* What one counts for at least, so that there are never many. */
#define LEAST_PAGES ((256UL << 10) >> PAGE_SHIFT)
/* Pages of the protocol in one of this machine's. */
#define PARTS (PAGE_SIZE >> VIRTIO_WL_PFN_SHIFT)
#define RUN_MAX (1UL << VIRTIO_WL_PFN_SHIFT)

static unsigned int pin_limit = 512;
module_param(pin_limit, uint, 0644);
MODULE_PARM_DESC(pin_limit,
		 "MiB of programs' memory that may be pinned; a user's half");

static unsigned long pinned_pages;
module_param(pinned_pages, ulong, 0444);
MODULE_PARM_DESC(pinned_pages, "pages of programs that are pinned now");

struct wl_pages {
	struct list_head link; /* of `pinned`, or of `resting` */
	kuid_t owner;
	unsigned long n;
	unsigned long charge; /* what they count for */
	unsigned long n_pinned;
	unsigned long until; /* jiffies; of those that rest */
	struct address_space *mapping; /* whose they were; only compared */
	struct page *page[];
};

static DEFINE_MUTEX(pages_lock); /* all that follows, and pinned_pages */
static LIST_HEAD(pinned);
static LIST_HEAD(resting); /* oldest first */
static unsigned long n_resting;
static void rest_work_fn(struct work_struct *work);
static DECLARE_DELAYED_WORK(rest_work, rest_work_fn);

/* pages_lock is held. */
static void unpin(struct wl_pages *pages)
{
	list_del(&pages->link);
	pinned_pages -= pages->charge;
	/* those of other files are let go as they are */
	unpin_user_pages_dirty_lock(pages->page, pages->n_pinned,
				    pages->mapping);
	kvfree(pages);
}

/* pages_lock is held. */
static unsigned long count_own(const struct list_head *list, kuid_t owner)
{
	struct wl_pages *one;
	unsigned long n = 0;

	list_for_each_entry (one, list, link) {
		if (uid_eq(one->owner, owner))
			n += one->charge;
	}
	return n;
}

/* Those that rest count, too: they are pinned. */
static bool take_room(struct wl_pages *pages)
{
	unsigned long limit = (unsigned long)READ_ONCE(pin_limit)
			      << (20 - PAGE_SHIFT);
	unsigned long own;
	bool fits;

	mutex_lock(&pages_lock);
	own = count_own(&pinned, pages->owner) +
	      count_own(&resting, pages->owner);
	fits = pinned_pages + pages->charge <= limit &&
	       own + pages->charge <= limit / 2;
	if (fits) {
		list_add_tail(&pages->link, &pinned);
		pinned_pages += pages->charge;
	}
	mutex_unlock(&pages_lock);
	return fits;
}

/* The device never had them: they need no rest. */
void wl_pages_drop(struct wl_pages *pages)
{
	mutex_lock(&pages_lock);
	unpin(pages);
	mutex_unlock(&pages_lock);
}

/* Ends the rest of those that had enough of it, or of all. */
static void end_rest(bool all)
{
	struct wl_pages *one;
	unsigned long now = jiffies;

	mutex_lock(&pages_lock);
	while ((one = list_first_entry_or_null(&resting, struct wl_pages,
					       link))) {
		if (!all && n_resting <= REST_MAX_PAGES &&
		    time_before(now, one->until)) {
			queue_delayed_work(system_freezable_wq, &rest_work,
					   one->until - now);
			break;
		}
		n_resting -= one->charge;
		unpin(one);
	}
	mutex_unlock(&pages_lock);
}

static void rest_work_fn(struct work_struct *work)
{
	end_rest(false);
}

/* The device does not know their VFD any more. NULL is fine, and then any
 * context is. */
void wl_pages_put(struct wl_pages *pages)
{
	if (!pages)
		return;
	mutex_lock(&pages_lock);
	pages->until = jiffies + REST;
	list_move_tail(&pages->link, &resting);
	n_resting += pages->charge;
	if (n_resting > REST_MAX_PAGES)
		mod_delayed_work(system_freezable_wq, &rest_work, 0);
	else
		queue_delayed_work(system_freezable_wq, &rest_work, REST);
	mutex_unlock(&pages_lock);
}

void wl_pages_module_exit(void)
{
	cancel_delayed_work_sync(&rest_work);
	end_rest(true);
}

static struct address_space *mapping_of(struct page *page)
{
	return READ_ONCE(page_folio(page)->mapping);
}

/* Whether they are still what their file has: not if it was truncated. A page
 * that is pinned is nobody else's meanwhile. */
bool wl_pages_are_intact(const struct wl_pages *pages)
{
	unsigned long i;

	for (i = 0; i < pages->n; i++) {
		if (mapping_of(pages->page[i]) != pages->mapping)
			return false;
	}
	return true;
}

/*
 * One file of shared memory alone: pages of other files must not be pinned for
 * long, and private ones would be copied by a fork.
 */
static bool is_shared_memory(struct wl_pages *pages)
{
	struct address_space *mapping =
		folio_mapping(page_folio(pages->page[0]));

	if (!mapping || !wl_is_shmem(mapping))
		return false;
	pages->mapping = mapping;
	return wl_pages_are_intact(pages);
}

static int pin(struct wl_pages *pages, unsigned long address)
{
	int got;

	while (pages->n_pinned < pages->n) {
		got = pin_user_pages_fast(
			address + (pages->n_pinned << PAGE_SHIFT),
			pages->n - pages->n_pinned, FOLL_WRITE | FOLL_LONGTERM,
			pages->page + pages->n_pinned);
		if (got <= 0)
			return got ? got : -EFAULT;
		pages->n_pinned += got;
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	return is_shared_memory(pages) ? 0 : -EINVAL;
}

struct wl_pages *wl_pages_create(unsigned long address, unsigned long n)
{
	struct wl_pages *pages;
	int err;

	pages = kvzalloc(struct_size(pages, page, n), GFP_KERNEL_ACCOUNT);
	if (!pages)
		return ERR_PTR(-ENOMEM);
	pages->owner = current_uid();
	pages->n = n;
	pages->charge = max(n, LEAST_PAGES);
	if (!take_room(pages)) {
		kvfree(pages);
		return ERR_PTR(-EDQUOT);
	}
	err = pin(pages, address);
	if (err) {
		wl_pages_drop(pages);
		return ERR_PTR(err);
	}
	return pages;
}

/* How many runs; with words NULL they are only counted. */
static unsigned int find_runs(const struct wl_pages *pages, __le64 *words)
{
	unsigned long i = 0, parts, first;
	unsigned int n = 0;

	while (i < pages->n) {
		first = page_to_pfn(pages->page[i]);
		parts = 0;
		do {
			parts += PARTS;
			i++;
		} while (i < pages->n && parts + PARTS <= RUN_MAX &&
			 page_to_pfn(pages->page[i]) == first + parts / PARTS);
		if (words)
			words[n] = cpu_to_le64(PFN_PHYS(first) | (parts - 1));
		n++;
	}
	return n;
}

/* The request has the list as its data. */
int wl_pages_add_runs(struct wl_req *req, const struct wl_pages *pages)
{
	struct virtio_wl_ctrl_vfd_new_pages *head = (void *)req->head;
	unsigned int n = find_runs(pages, NULL);
	__le64 *words;

	if (n > VIRTIO_WL_PAGES_MAX_RUNS)
		return -E2BIG;
	words = kmalloc_array(n, sizeof(*words), GFP_KERNEL_ACCOUNT);
	req->segs = kmalloc(sizeof(*req->segs), GFP_KERNEL_ACCOUNT);
	if (!words || !req->segs) {
		kfree(words);
		return -ENOMEM;
	}
	find_runs(pages, words);
	sg_init_one(req->segs, words, n * sizeof(*words));
	req->n_segs = 1;
	head->run_count = cpu_to_le32(n);
	return 0;
}
