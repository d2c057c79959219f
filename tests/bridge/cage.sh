# shellcheck shell=sh
# SPDX-License-Identifier: BSD-3-Clause
# For x11 and x11-clipboard, which read it: a folder, cage in it as
# virtio-wl-x11 starts it, and virtio-wl-loopback for it to connect to.
# The script has set $here and $glue.

work=$(mktemp -d "${TMPDIR:-/tmp}/vwl-x11.XXXXXX")
chmod 711 "$work"
mkdir -m 777 "$work/home"
pids= tool= nested=
guest=$work/home/wayland-0

# Only what this script started, each by its id.
clean_up()
{
    trap - EXIT HUP INT TERM
    for pid in $nested $pids $tool; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

fail()
{
    echo "FAILED: $*"
    tail -n 40 "$work"/*.log || true
    exit 1
}

# until_true COMMAND...: within 40 seconds
until_true()
{
    end=$(($(date +%s) + 40))
    until "$@" >"$work/last.log" 2>&1; do
        [ "$(date +%s)" -lt $end ] || return 1
        sleep 0.2
    done
}

# in_cage DISPLAY PROGRAM...: cage is for no root; nor are X11's sockets
in_cage()
{
    display=$1
    shift
    mkdir -p -m 1777 /tmp/.X11-unix
    become=
    if [ "$(id -u)" = 0 ]; then
        user=${VWL_HOST_USER:-nobody}
        become="setpriv --reuid=$(id -u "$user") --regid=$(id -g "$user")
            --clear-groups"
        chown "$user" "$work/home"
    fi
    # shellcheck disable=SC2086
    $become env -i PATH="$PATH" HOME="$work/home" \
        XDG_RUNTIME_DIR="$work/home" WAYLAND_DISPLAY="$display" \
        VWL_X11_PARTS="$work/parts" \
        "$work/virtio-wl-x11" "$@" >>"$work/cage.log" 2>&1 &
    nested=$!
}

stop_cage()
{
    kill "$nested" || fail 'cage is gone'
    wait "$nested" || true
    nested=
}

# start_tool TOOL: it listens where cage looks for a free name, too
start_tool()
{
    rm -f "$guest" "$guest.lock" # of the cage before
    "$1" --listen="$guest" --wayland-sock="$WAYLAND_DISPLAY" \
        2>"$work/tool.log" &
    tool=$!
    until_true test -S "$guest" || fail 'the tool does not listen'
    chmod 777 "$guest"
    inode=$(stat -c %i "$guest")
}

stop_tool()
{
    [ "$(stat -c %i "$guest")" = "$inode" ] || fail 'the socket is another one'
    kill "$tool"
    wait "$tool" || fail "the tool ended with $?"
    tool=
    ! grep -E 'our bug|ERROR|runtime error' "$work/tool.log" ||
        fail 'the tool complains'
}

# where that user may read, wherever this is
install -m 755 "$glue/guest/virtio-wl-x11" "$work/virtio-wl-x11"
