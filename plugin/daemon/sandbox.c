/* SPDX-License-Identifier: BSD-3-Clause */
#include "sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "filter.h"
#include "landlock.h"
#include "say.h"

/* A sanitizer's runtime reads /proc, maps code and traces its own process. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define MIB (UINT64_C(1) << 20)
#define DEFAULT_WINDOW (4096 * MIB)
#define DEFAULT_VFDS 16384
#define DEFAULT_QUEUED (16 * MIB)
#define BASE_DATA (512 * MIB)
#define DATA_OF_VFD 8192
#define LEAST_FILE (64 * MIB)

/* Never more than it was. */
static void limit(int resource, uint64_t most)
{
    struct rlimit limit;

    if (getrlimit(resource, &limit) == 0) {
        limit.rlim_cur = MIN(limit.rlim_cur, (rlim_t)most);
        limit.rlim_max = limit.rlim_cur;
        setrlimit(resource, &limit);
    }
}

/* All of them, but those of the mask: 0, or -errno. */
static int drop_capabilities(uint32_t keep)
{
    struct __user_cap_header_struct header = {
        .version = _LINUX_CAPABILITY_VERSION_3,
    };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };
    struct __user_cap_data_struct had[_LINUX_CAPABILITY_U32S_3] = { 0 };

    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capget, &header, had) < 0) {
        return -errno;
    }
    data[0].effective = had[0].effective & keep;
    data[0].permitted = had[0].permitted & keep;
    return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static int set_no_new_privs(void)
{
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

static void limit_daemon(const struct vwl_config *config)
{
    uint64_t window = config->shm_window ? config->shm_window : DEFAULT_WINDOW;
    uint64_t shm = config->max_shm_bytes ? config->max_shm_bytes : window;
    uint64_t vfds = config->max_vfds ? config->max_vfds : DEFAULT_VFDS;
    uint64_t queued = config->max_queued_bytes ? config->max_queued_bytes
                                               : DEFAULT_QUEUED;
    /* queued bytes: to the guest, to its peers, and of requests whose memory
     * an IOMMU took away */
    uint64_t heap = BASE_DATA + vfds * DATA_OF_VFD;

    signal(SIGXFSZ, SIG_IGN);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_MEMLOCK, 0);
    limit(RLIMIT_MSGQUEUE, 0);
    limit(RLIMIT_NICE, 0);
    limit(RLIMIT_RTPRIO, 0);
    limit(RLIMIT_NOFILE, RLIM_INFINITY);
    limit(RLIMIT_FSIZE, MAX(shm, LEAST_FILE));
    if (!SANITIZED) {
        limit(RLIMIT_DATA, heap + 3 * MIN(queued, UINT64_MAX / 4));
    }
}

/* What --dmabuf may have opened. A GPU's own buffers need requests that no
 * list of ours can name, so they are let through where there is a GPU alone. */
static unsigned int devices(const char *words)
{
    bool is_auto = strcmp(words, "auto") == 0;
    unsigned int mask = 0;

    if (is_auto || strstr(words, "udmabuf") || strstr(words, "heap")) {
        mask |= VWL_FILTER_MEMORY;
    }
    if (is_auto || strstr(words, "dumb")) {
        mask |= VWL_FILTER_DUMB;
    }
    if (strstr(words, "gbm") ||
        (is_auto && access("/dev/dri/renderD128", F_OK) == 0)) {
        mask |= VWL_FILTER_GPU;
    }
    return mask;
}

/* Looking for it never takes long, whoever is dead. */
static bool is_in_memory(const char *path)
{
    struct statfs fs;

    return statfs(path, &fs) == 0 &&
           (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

/* The sockets without a security context, which the connector makes. */
static int enter_landlock(const struct vwl_options *options, uint64_t *connects)
{
    const struct vwl_config *config = &options->config;
    const char *paths[64];
    struct vwl_landlock_wishes wishes = { .sockets = paths };
    int abi;

    for (size_t i = 0; i < MIN(config->n_sockets, G_N_ELEMENTS(paths)); i++) {
        const char *path = config->sockets[i].path;

        if (!vwl_options_wants_context(options, i) && is_in_memory(path)) {
            paths[wishes.n_sockets++] = path;
            *connects |= UINT64_C(1) << i;
        }
    }
    abi = vwl_landlock_enter(&wishes);
    if (abi < VWL_LANDLOCK_SOCKETS_ABI) {
        *connects = 0;
    }
    return abi;
}

void vwl_sandbox_enter(const struct vwl_options *options, int listener,
                       int control, struct vwl_sandbox_report *report)
{
    struct vwl_filter_wishes wishes = {
        .which = VWL_FILTER_DAEMON,
        .devices = devices(options->dmabufs) |
                   (options->guest_pages ? VWL_FILTER_PAGES : 0),
        .listener = listener,
        .control = control,
    };

    /* it loads what it needs to speak, once */
    (void)g_strerror(EPERM);
    limit_daemon(&options->config);
    *report = (struct vwl_sandbox_report){ .sanitized = SANITIZED };
    report->capabilities = drop_capabilities(0);
    report->no_new_privs = set_no_new_privs();
    if (!SANITIZED) {
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        report->landlock = enter_landlock(options, &report->connects);
        wishes.may_connect = report->connects != 0;
        report->filter = vwl_filter_enter(&wishes);
    }
}

void vwl_sandbox_enter_connector(const struct vwl_options *options,
                                 struct vwl_sandbox_report *report)
{
    bool makes_contexts = options->config.security_context !=
                          VWL_SECURITY_CONTEXT_OFF;
    const struct vwl_filter_wishes wishes = {
        .which = VWL_FILTER_CONNECTOR,
        .listener = -1,
        .control = -1,
        .may_bind = makes_contexts,
    };
    char *folder = options->socket_path
                       ? g_path_get_dirname(options->socket_path)
                       : NULL;
    const struct vwl_landlock_wishes landlock = {
        .may_remove_in = folder,
        .may_bind_in = makes_contexts ? options->context_folder : NULL,
    };

    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_FSIZE, 0);
    *report = (struct vwl_sandbox_report){ .sanitized = SANITIZED };
    report->capabilities = drop_capabilities(UINT32_C(1) << CAP_DAC_OVERRIDE);
    report->no_new_privs = set_no_new_privs();
    if (!SANITIZED) {
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        report->landlock = vwl_landlock_enter(&landlock);
        report->filter = vwl_filter_enter(&wishes);
    }
    g_free(folder);
}

/* ---- what is said of it ------------------------------------------------- */

static bool is_missing(int err, const char *whose, const char *what)
{
    if (err >= 0) {
        return false;
    }
    vwl_say("sandbox: %s %s: %s", whose, what, g_strerror(-err));
    return true;
}

bool vwl_sandbox_judge(const struct vwl_sandbox_report *report,
                       const char *whose)
{
    bool missing = is_missing(report->capabilities, whose,
                              "keeps its capabilities");

    missing |= is_missing(report->no_new_privs, whose,
                          "can gain privileges (no_new_privs)");
    if (report->sanitized) {
        vwl_say("sandbox: a sanitizer is built in: %s keeps files and system "
                "calls",
                whose);
        return false;
    }
    if (report->filter == -ENOSYS) {
        vwl_say("sandbox: %s has no system call filter: built without "
                "libseccomp",
                whose);
        missing = true;
    } else {
        missing |= is_missing(report->filter, whose,
                              "has no system call filter: the kernel refuses "
                              "it");
    }
    missing |= is_missing(report->landlock, whose,
                          "has no Landlock: the system call filter alone keeps "
                          "it from files");
    if (report->landlock > 0 && report->landlock < VWL_LANDLOCK_ALL_ABI) {
        vwl_say("sandbox: this kernel has Landlock version %d of %d: the "
                "system call filter alone keeps %s from %s%sother processes "
                "and abstract sockets",
                report->landlock, VWL_LANDLOCK_ALL_ABI, whose,
                report->landlock < 3 ? "truncating files, " : "",
                report->landlock < 4 ? "TCP, " : "");
    }
    return !missing;
}
