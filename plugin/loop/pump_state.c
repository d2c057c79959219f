/* SPDX-License-Identifier: BSD-3-Clause */
#include "loop/pump_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bits.h"
#include "base/clock.h"
#include "base/fd.h"
#include "vhost-user-wl/vhost_user.h"
#include "wl/peer/peer.h"
#include "wl/snapshot/snapshot.h"

/* Bytes of one dispatch: then the other sources have a turn. */
#define BUDGET (1u << 20)
#define READ_BYTES 65536u
/* A front-end whose rings run has the channel at hand. A guest that stands
 * still for so long loses less than one whose memory is gone. */
#define CHANNEL_WAIT_MS 5000u

struct vwl_transfer {
    struct vwl_watched file;
    enum vwl_peer_how how;
    struct vwl_bounce bounce;
    bool by_host;            /* who is told */
    struct vwl_saver *saver; /* one of the two */
    struct vwl_loader *loader;
    const uint8_t *piece;
    size_t left;
};

/* ---- transfers -------------------------------------------------------- */

static void transfer_free(struct vwl_pump *pump)
{
    struct vwl_transfer *transfer = g_steal_pointer(&pump->transfer);

    if (transfer) {
        vwl_saver_destroy(transfer->saver);
        vwl_loader_destroy(transfer->loader);
        vwl_watched_clear(&transfer->file);
        vwl_bounce_finish(&transfer->bounce);
        g_free(transfer);
    }
}

void vwl_pump_state_drop(struct vwl_pump *pump)
{
    transfer_free(pump);
}

static void end(struct vwl_pump *pump, int err, const char *why)
{
    bool by_host = pump->transfer->by_host;

    if (err < 0) {
        log_host_bug(pump->log, "%s refused: %s",
                     pump->transfer->saver ? "snapshot" : "restore",
                     why ? why : g_strerror(-err));
    }
    transfer_free(pump);
    pump->state_err = err;
    vwl_session_state_done(pump->session, err);
    if (by_host && pump->host->state_done) {
        pump->host->state_done(pump->host->opaque, err);
    }
}

void vwl_pump_state_cancel(struct vwl_pump *pump, bool save_only)
{
    if (pump->transfer && (pump->transfer->saver || !save_only)) {
        end(pump, -ECANCELED, "the device changed under it");
    }
}

static uint64_t negotiated(const struct vwl_pump *pump)
{
    return pump->acked.bits &
           ~(BIT(VHOST_F_LOG_ALL) | BIT(VHOST_USER_F_PROTOCOL_FEATURES));
}

static bool is_as_restored(const struct vwl_pump *pump)
{
    return pump->restored == VWL_RESTORED_NONE ||
           pump->restored_features == negotiated(pump);
}

static const uint64_t own_features = 1u << VIRTIO_WL_F_TRANS_FLAGS |
                                     1u << VIRTIO_WL_F_SEND_FENCES |
                                     1u << VIRTIO_WL_F_USE_SHMEM |
                                     1u << VIRTIO_WL_F_GUEST_PAGES;

static bool has_shm(const struct vwl_pump *pump)
{
    return pump->host->shm_map ||
           vwl_backchan_dialect(vwl_session_backchan(pump->session)) !=
               VWL_SHM_NONE;
}

void vwl_pump_note_features(struct vwl_pump *pump, uint64_t features)
{
    pump->told.known = true;
    pump->told.bits = features & own_features;
    pump->told.shm = has_shm(pump);
}

bool vwl_pump_is_noted(const struct vwl_pump *pump)
{
    return pump->told.bits == (pump->acked.bits & own_features) &&
           pump->told.shm == has_shm(pump) && is_as_restored(pump);
}

static int check_load(struct vwl_pump *pump, struct vwl_loader *loader,
                      const char **why)
{
    const uint8_t *extra;
    size_t len;
    int err = vwl_loader_end(loader, why);

    if (err < 0) {
        return err;
    }
    if (!vwl_session_is_still(pump->session)) {
        *why = "the guest runs";
        return -EBUSY;
    }
    if (pump->acked.known &&
        vwl_loader_negotiated(loader) != negotiated(pump)) {
        *why = "other features are negotiated";
        return -EINVAL;
    }
    extra = vwl_loader_extra(loader, &len);
    if (!vwl_pump_extra_check(extra, len)) {
        *why = "rings that cannot be";
        return -EINVAL;
    }
    return 0;
}

static int apply_load(struct vwl_pump *pump, struct vwl_loader *loader)
{
    uint64_t bits = vwl_loader_negotiated(loader);
    size_t len;
    int err;

    vwl_pump_note_features(pump, bits);
    err = vwl_loader_apply(loader, pump->told.bits, pump->told.shm,
                           pump->host->shm_map != NULL);
    vwl_pump_drop_all(pump);
    if (err < 0) {
        pump->told.known = false;
        return err;
    }
    pump->restored = VWL_RESTORED_LOADED;
    pump->channel_end_us = 0;
    pump->restored_features = bits;
    vwl_pump_extra_apply(pump, vwl_loader_extra(loader, &len));
    return 0;
}

/* Whoever maps has to be there. */
static bool has_mapper(const struct vwl_pump *pump)
{
    return pump->host->shm_map || !pump->told.shm ||
           vwl_backchan_socket(vwl_session_backchan(pump->session))->fd >= 0;
}

void vwl_pump_restored_start(struct vwl_pump *pump)
{
    pump->restored = VWL_RESTORED_LOADED;
    if (!pump->channel_end_us) {
        pump->channel_end_us = vwl_clock_us() +
                               CHANNEL_WAIT_MS * UINT64_C(1000);
    }
}

void vwl_pump_restored_go_on(struct vwl_pump *pump)
{
    bool runs = !pump->suspended &&
                vwl_session_ring_runs(pump->session, VIRTIO_WL_QUEUE_OUT);

    if (pump->restored == VWL_RESTORED_LOADED && pump->channel_end_us && runs) {
        if (!has_mapper(pump) && vwl_clock_us() < pump->channel_end_us) {
            vwl_source_wake_in(pump->again, CHANNEL_WAIT_MS);
            return;
        }
        pump->restored = VWL_RESTORED_REMAKING;
        vwl_core_remake(pump->core);
    }
    if (pump->restored == VWL_RESTORED_REMAKING &&
        !vwl_core_is_restoring(pump->core)) {
        pump->restored = VWL_RESTORED_OPEN;
        pump->channel_end_us = 0;
        vwl_pump_answer_done(pump);
        vwl_pump_set_due(pump);
    }
}

static void run_save(struct vwl_pump *pump)
{
    struct vwl_transfer *transfer = pump->transfer;
    size_t done = 0;

    while (done < BUDGET) {
        struct iovec iov;
        ssize_t n;

        if (transfer->left == 0) {
            const void *piece = NULL;

            n = vwl_saver_next(transfer->saver, &piece);
            if (n <= 0) {
                end(pump, (int)n, NULL);
                return;
            }
            transfer->piece = piece;
            transfer->left = (size_t)n;
        }
        iov.iov_base = (void *)(uintptr_t)transfer->piece;
        iov.iov_len = transfer->left;
        n = vwl_peer_write(transfer->how, transfer->file.fd, &transfer->bounce,
                           &iov, 1, NULL, 0);
        if (n == -EAGAIN) {
            return;
        }
        if (n < 0) {
            end(pump, (int)n, NULL);
            return;
        }
        transfer->piece += n;
        transfer->left -= (size_t)n;
        done += (size_t)n;
    }
}

static void run_load(struct vwl_pump *pump)
{
    struct vwl_transfer *transfer = pump->transfer;
    size_t done = 0;

    while (done < BUDGET) {
        uint8_t bytes[READ_BYTES];
        const char *why = NULL;
        struct iovec iov = { bytes, sizeof bytes };
        ssize_t n = vwl_peer_read(transfer->how, transfer->file.fd,
                                  &transfer->bounce, &iov, 1, pump->closer);
        int err;

        if (n == -EAGAIN) {
            return;
        }
        if (n < 0) {
            end(pump, (int)n, NULL);
            return;
        }
        if (n > 0) {
            err = vwl_loader_feed(transfer->loader, bytes, (size_t)n, &why);
        } else {
            err = check_load(pump, transfer->loader, &why);
            err = err < 0 ? err : apply_load(pump, transfer->loader);
        }
        if (err < 0 || n == 0) {
            end(pump, err, why);
            return;
        }
        done += (size_t)n;
    }
}

void vwl_pump_state_run(struct vwl_pump *pump)
{
    if (pump->transfer && pump->transfer->saver) {
        run_save(pump);
    } else if (pump->transfer) {
        run_load(pump);
    }
}

static int begin_save(struct vwl_pump *pump, struct vwl_transfer *transfer)
{
    size_t len = vwl_pump_extra_bytes(pump);
    uint8_t *extra = g_try_malloc0(len);
    int err;

    if (!extra) {
        return -ENOMEM;
    }
    vwl_pump_extra_put(pump, extra);
    err = vwl_saver_create(pump->core, negotiated(pump), extra, len,
                           &transfer->saver);
    g_free(extra);
    return err;
}

/* Its flags are also the front-end's, which may change them: no call of ours
 * depends on O_NONBLOCK. */
static int look_at_file(struct vwl_transfer *transfer, int fd)
{
    struct stat st;
    int err = vwl_bounce_init(&transfer->bounce);

    if (err == 0 && fstat(fd, &st) < 0) {
        err = -errno;
    }
    if (err == 0) {
        transfer->how = S_ISFIFO(st.st_mode)   ? VWL_PEER_SHARED_PIPE
                        : S_ISSOCK(st.st_mode) ? VWL_PEER_SOCKET
                                               : VWL_PEER_OWN_PIPE;
    }
    return err;
}

int vwl_pump_state_start(struct vwl_pump *pump, bool save, bool by_host,
                         int *fd)
{
    struct vwl_transfer *transfer;
    int err;

    if (!pump->session) {
        log_host_bug(pump->log, "%s refused: the front-end is gone",
                     save ? "snapshot" : "restore");
        return -ENOTCONN;
    }
    if (!vwl_session_is_still(pump->session) || vwl_pump_is_restoring(pump)) {
        log_host_bug(pump->log, "%s refused: %s", save ? "snapshot" : "restore",
                     vwl_pump_is_restoring(pump)
                         ? "what was restored is not mapped yet"
                         : "the guest is neither suspended nor are its rings "
                           "stopped");
        return -EBUSY;
    }
    vwl_pump_state_cancel(pump, false);
    transfer = g_new0(struct vwl_transfer, 1);
    vwl_watched_init(&transfer->file);
    err = look_at_file(transfer, *fd);
    if (err == 0 && save) {
        err = begin_save(pump, transfer);
    } else if (err == 0) {
        transfer->loader = vwl_loader_create(pump->core);
    }
    if (err < 0) {
        log_host_bug(pump->log, "%s refused: cannot begin: %s",
                     save ? "snapshot" : "restore", g_strerror(-err));
        vwl_bounce_finish(&transfer->bounce);
        g_free(transfer);
        return err;
    }
    vwl_watched_set(&transfer->file, vwl_fd_steal(fd));
    transfer->by_host = by_host;
    pump->transfer = transfer;
    vwl_source_watch(pump->state, &transfer->file, save ? G_IO_OUT : G_IO_IN);
    return 0;
}

int vwl_pump_state_check(struct vwl_pump *pump)
{
    return pump->transfer ? -EINPROGRESS : pump->state_err;
}
