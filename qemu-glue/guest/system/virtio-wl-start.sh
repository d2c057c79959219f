# Where no service manager does it, the first shell starts the bridge. Another
# one ends by itself: the socket is served already.
if [ -n "${XDG_RUNTIME_DIR:-}" ] && [ -w /dev/wl0 ] &&
    [ -z "${WAYLAND_DISPLAY:-}${DISPLAY:-}" ]; then
    virtio-wl-bridge ${OPTIONS:-} >/dev/null 2>&1 &
    export WAYLAND_DISPLAY=wayland-0
fi
