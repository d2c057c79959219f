/* SPDX-License-Identifier: BSD-3-Clause */
#include "sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
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

#define say(...) vwl_say("sandbox: " __VA_ARGS__)

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

static void drop_capabilities(void)
{
    struct __user_cap_header_struct header = {
        .version = _LINUX_CAPABILITY_VERSION_3,
    };
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capset, &header, none) < 0) {
        say("capabilities are kept: %s", g_strerror(errno));
    }
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

static void enter_landlock(void)
{
    int abi = vwl_landlock_enter(NULL);

    if (abi < 0) {
        say("this kernel has no Landlock (%s): only the system call filter "
            "keeps the daemon from files",
            g_strerror(-abi));
    } else if (abi < VWL_LANDLOCK_ALL_ABI) {
        say("this kernel's Landlock is version %d: only the system call "
            "filter keeps the daemon from %s%s%s",
            abi, abi < 3 ? "truncating files, " : "", abi < 4 ? "TCP, " : "",
            "other processes and abstract sockets");
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

static void enter_filter(unsigned int may_use)
{
    int err = vwl_filter_enter(VWL_FILTER_DAEMON, may_use);

    if (err < 0) {
        say("%s (%s): Unix sockets that were not given, and system calls, "
            "are not kept from the daemon",
            err == -ENOSYS ? "this was built without libseccomp"
                           : "this kernel refuses the system call filter",
            g_strerror(-err));
    }
}

void vwl_sandbox_enter(const struct vwl_options *options)
{
    unsigned int may_use;

    /* it loads what it needs to speak, once */
    (void)g_strerror(EPERM);
    limit_daemon(&options->config);
    drop_capabilities();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        say("no_new_privs: %s", g_strerror(errno));
    }
    if (SANITIZED) {
        say("a sanitizer is built in: files and system calls are not kept "
            "from the daemon");
        return;
    }
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    may_use = devices(options->dmabufs);
    enter_landlock();
    enter_filter(may_use);
}

void vwl_sandbox_enter_connector(const struct vwl_options *options)
{
    char *folder = options->socket_path
                       ? g_path_get_dirname(options->socket_path)
                       : NULL;

    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_FSIZE, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (!SANITIZED) {
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        vwl_landlock_enter(folder);
        vwl_filter_enter(VWL_FILTER_CONNECTOR, 0);
    }
    g_free(folder);
}
