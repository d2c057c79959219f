/* SPDX-License-Identifier: BSD-3-Clause */
/* vwl-paint: shows the pattern in a window until it is told to go. */
#include "painter.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef VWL_PAINT_LOOPBACK
#include "transport_daemon.h"
#endif

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    stop = 1;
}

static const char usage[] =
    "Usage: vwl-paint TRANSPORT [OPTION]...\n"
    "Shows a test pattern in a window; prints \"painted WxH\" when the\n"
    "compositor has shown it.\n"
    "\n"
#ifdef VWL_PAINT_LOOPBACK
    "  --daemon-socket=PATH  a vhost-user-wl daemon; this program is the VM\n"
#endif
    "  --wl0[=PATH]          the guest's device (/dev/wl0)\n"
    "  --wayland-socket=PATH a Wayland socket, without any device\n"
    "\n"
    "  --context=NAME        the host's socket of that name\n"
    "  --size=WxH            default 320x200\n"
    "  --title=TEXT  --app-id=TEXT\n"
    "  --dmabuf              paint a dmabuf rather than shared memory\n"
    "  --card=PATH           of a DRM card, without any device\n"
    "  --seconds=N           go after N seconds (0: once it is painted)\n"
    "  --stdin               go when standard input ends\n"
    "  --timeout=SECONDS     for the picture to appear, default 10\n"
    "Without --seconds and --stdin it stays until SIGTERM or SIGINT.\n";

struct settings {
    struct vwl_painter_options painter;
    struct vwl_transport *transport;
    const char *card;
    int seconds, timeout;
    int until_eof;
};

static struct vwl_transport *open_daemon(const char *path)
{
#ifdef VWL_PAINT_LOOPBACK
    return vwl_transport_daemon(path);
#else
    errno = ENOSYS;
    return NULL;
#endif
}

static int open_transport(struct settings *s, int option, const char *arg)
{
    if (s->transport != NULL) {
        fputs("vwl-paint: one transport, please\n", stderr);
        return -1;
    }
    s->transport = option == 'd'   ? open_daemon(arg)
                   : option == 'w' ? vwl_transport_wl0(arg)
                                   : vwl_transport_socket(arg);
    if (s->transport == NULL) {
        fprintf(stderr, "vwl-paint: %s: %s\n", arg != NULL ? arg : "/dev/wl0",
                strerror(errno));
        return -1;
    }
    return 0;
}

static const struct option options[] = {
    { "daemon-socket", required_argument, NULL, 'd' },
    { "wl0", optional_argument, NULL, 'w' },
    { "wayland-socket", required_argument, NULL, 's' },
    { "context", required_argument, NULL, 'c' },
    { "size", required_argument, NULL, 'z' },
    { "title", required_argument, NULL, 't' },
    { "app-id", required_argument, NULL, 'a' },
    { "dmabuf", no_argument, NULL, 'b' },
    { "card", required_argument, NULL, 'k' },
    { "seconds", required_argument, NULL, 'n' },
    { "stdin", no_argument, NULL, 'i' },
    { "timeout", required_argument, NULL, 'o' },
    { "help", no_argument, NULL, 'h' },
    { NULL, 0, NULL, 0 },
};

static int take_option(struct settings *s, int c, const char *value)
{
    struct vwl_painter_options *painter = &s->painter;

    switch (c) {
    case 'd':
    case 'w':
    case 's':
        return open_transport(s, c, value);
    case 'c':
        painter->context = value;
        return 0;
    case 't':
        painter->title = value;
        return 0;
    case 'a':
        painter->app_id = value;
        return 0;
    case 'n':
        s->seconds = atoi(value);
        return 0;
    case 'o':
        s->timeout = atoi(value);
        return 0;
    case 'b':
        painter->dmabuf = true;
        return 0;
    case 'k':
        s->card = value;
        return 0;
    case 'i':
        s->until_eof = 1;
        return 0;
    case 'z':
        return sscanf(value, "%ux%u", &painter->width, &painter->height) == 2
                   ? 0
                   : -1;
    case 'h':
        fputs(usage, stdout);
        exit(0);
    default:
        return -1;
    }
}

static int parse(struct settings *s, int argc, char **argv)
{
    int c, r = 0;

    while (r == 0 && (c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        r = take_option(s, c, optarg);
    }
    if (r < 0 || s->transport == NULL || optind != argc) {
        fputs(r < 0 ? "" : usage, stderr);
        return -1;
    }
    if (s->card != NULL &&
        vwl_transport_socket_use_card(s->transport, s->card) < 0) {
        fprintf(stderr, "vwl-paint: %s: no card for this transport\n", s->card);
        return -1;
    }
    s->painter.dmabuf |= s->card != NULL;
    return 0;
}

static int stay(struct vwl_painter *painter, const struct settings *s)
{
    time_t end = time(NULL) + s->seconds;
    struct pollfd in = { STDIN_FILENO, POLLIN, 0 };
    char byte;
    int r;

    while (!stop && !vwl_painter_is_closed(painter) &&
           (s->seconds < 0 || time(NULL) < end)) {
        if (s->until_eof && poll(&in, 1, 0) > 0 &&
            read(STDIN_FILENO, &byte, 1) <= 0) {
            break;
        }
        r = vwl_painter_dispatch(painter, 100);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct settings s = { .seconds = -1, .timeout = 10 };
    struct sigaction action = { .sa_handler = on_signal };
    struct vwl_painter *painter = NULL;
    int r;

    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    if (parse(&s, argc, argv) < 0) {
        vwl_transport_destroy(s.transport);
        return 2;
    }
    r = vwl_painter_create(s.transport, &s.painter, &painter);
    if (r == 0) {
        r = vwl_painter_paint(painter, s.timeout * 1000);
    }
    if (r == 0) {
        printf("painted %ux%u\n", s.painter.width != 0 ? s.painter.width : 320,
               s.painter.height != 0 ? s.painter.height : 200);
        fflush(stdout);
        r = stay(painter, &s);
    }
    vwl_painter_destroy(painter);
    vwl_transport_destroy(s.transport);
    return r == 0 ? 0 : 1;
}
