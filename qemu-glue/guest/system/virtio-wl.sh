# Shells on a console or from the network find the host's desktop, unless they
# have one of their own.
if [ -z "${WAYLAND_DISPLAY:-}${DISPLAY:-}" ] && [ -n "${XDG_RUNTIME_DIR:-}" ] &&
    [ -S "$XDG_RUNTIME_DIR/wayland-0" ]; then
    case ${XDG_SESSION_TYPE:-tty} in
    tty | unspecified) export WAYLAND_DISPLAY=wayland-0 ;;
    esac
fi
