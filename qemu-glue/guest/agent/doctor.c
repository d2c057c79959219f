/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <gio/gio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "control.h"
#include "doctor.h"

#define CLOCK_S 2 /* further from the machine's clock is worth a word */

enum verdict { WELL, WARN, FAIL };

static enum verdict worst;

static void tell(enum verdict verdict, const char *what, const char *found,
                 const char *command)
{
    static const char *const words[] = { "ok  ", "warn", "FAIL" };

    printf("%s  %s: %s\n", words[verdict], what, found);
    if (verdict != WELL) {
        printf("      -> %s\n", command);
    }
    worst = MAX(worst, verdict);
}

static void check_module(void)
{
    bool there = access("/sys/module/virtio_wl", F_OK) == 0;

    tell(there ? WELL : FAIL, "kernel module", there ? "loaded" : "not loaded",
         "sudo modprobe virtio_wl; if there is none: qemu-glue/guest/setup");
}

static void check_device(void)
{
    if (access("/dev/wl0", F_OK) < 0) {
        tell(FAIL, "/dev/wl0", "not there",
             "start the machine with a vhost-user-wl device");
    } else if (access("/dev/wl0", R_OK | W_OK) < 0) {
        tell(FAIL, "/dev/wl0", g_strerror(errno),
             "sudo adduser $USER render, and log in again");
    } else {
        tell(WELL, "/dev/wl0", "yours to use", NULL);
    }
}

static bool takes_us(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok;

    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    ok = fd >= 0 &&
         connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

static void check_bridge(const char *socket)
{
    const char *name = g_getenv("WAYLAND_DISPLAY");
    g_autofree char *path = g_build_filename(g_get_user_runtime_dir(),
                                             name && name[0] ? name
                                                             : "wayland-0",
                                             NULL);

    if (name && name[0] == '/') {
        g_free(path);
        path = g_strdup(name);
    }
    tell(takes_us(path) ? WELL : FAIL, "bridge", path,
         "systemctl --user restart virtio-wl-bridge.socket");
    /* not connected to: the host would take us for another agent */
    tell(access(socket, F_OK) == 0 ? WELL : WARN, "bridge, for the agent",
         socket, "systemctl --user restart virtio-wl-bridge");
}

/* Of this machine or, by vwl-guest-sound.service, of the host. */
static void check_sound(void)
{
    g_autofree char *path = g_build_filename(g_get_user_runtime_dir(), "pulse",
                                             "native", NULL);

    tell(takes_us(path) ? WELL : WARN, "sound", path,
         "systemctl --user restart vwl-guest-sound");
}

static void check_agent(void)
{
    g_autofree char *path = vwl_control_path();
    g_autofree char *answer = vwl_control_ask(path, "status", NULL);

    if (!answer) {
        tell(FAIL, "agent", "not running",
             "systemctl --user restart vwl-guest");
    } else if (!g_str_has_prefix(answer, "ok ")) {
        tell(WARN, "agent", answer + MIN(strlen(answer), 3),
             "on the host: start this machine by `vwl run`");
    } else {
        tell(WELL, "agent", answer + 3, NULL);
    }
}

/* The machine's own clock is the host's, also after a sleep. */
static void check_clock(void)
{
    g_autofree char *text = NULL, *found = NULL;
    long long rtc, off;

    if (!g_file_get_contents("/sys/class/rtc/rtc0/since_epoch", &text, NULL,
                             NULL)) {
        tell(WARN, "clock", "no clock of the host to compare with",
             "give the machine an RTC in UTC (QEMU: -rtc base=utc)");
        return;
    }
    rtc = g_ascii_strtoll(text, NULL, 10);
    off = (long long)time(NULL) - rtc;
    found = g_strdup_printf("%lld s from the host's", off);
    tell(llabs(off) <= CLOCK_S ? WELL : WARN, "clock", found,
         "sudo hwclock --hctosys --utc");
}

int vwl_doctor_run(const char *socket)
{
    worst = WELL;
    check_module();
    check_device();
    check_bridge(socket);
    check_sound();
    check_agent();
    check_clock();
    if (worst == WELL) {
        printf("Everything is fine.\n");
    }
    return worst == FAIL;
}
