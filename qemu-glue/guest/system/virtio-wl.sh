# Shells on a console or from the network find the host's desktop, unless they
# have one of their own.
if [ -z "${WAYLAND_DISPLAY:-}${DISPLAY:-}" ] && [ -n "${XDG_RUNTIME_DIR:-}" ] &&
    [ -S "$XDG_RUNTIME_DIR/wayland-0" ]; then
    case ${XDG_SESSION_TYPE:-tty} in
    tty | unspecified)
        export WAYLAND_DISPLAY=wayland-0
        # X11 programs: virtio-wl-x11.socket's, if it is this user's
        if [ -x /usr/bin/xwayland-satellite ] &&
            [ -S /tmp/.X11-unix/X0 ] && [ -O /tmp/.X11-unix/X0 ]; then
            export DISPLAY=:0
        fi ;;
    esac
fi
