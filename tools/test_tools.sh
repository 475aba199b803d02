#!/bin/sh
# The programs that tests talk to, beside Python's packages: a real MQTT broker, a real browser, a real RTSP server.
# Installs what is missing through apt where that is possible, else says exactly what to install.
set -eu

missing=
need() { # need PROBE PACKAGE...
    probe=$1
    shift
    eval "$probe" >/dev/null 2>&1 || missing="$missing $*"
}
PATH=$PATH:/usr/sbin:/sbin
need 'command -v mosquitto' mosquitto
need 'command -v mosquitto_sub' mosquitto-clients
need 'command -v chromium' chromium
need '/usr/bin/python3 -c "import gi; gi.require_version(\"GstRtspServer\", \"1.0\"); from gi.repository import GstRtspServer"' \
    python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good
need 'command -v systemd-analyze' systemd
need 'ls /usr/lib/*/libEGL_mesa.so.0 /usr/lib/*/libGL.so.1' libegl1 libgl1 libgl1-mesa-dri
need 'ls /usr/lib/postgresql/*/bin/initdb' postgresql

[ -z "$missing" ] && exit 0
echo "Installing what tests need:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq
    # shellcheck disable=SC2086  # a list of words on purpose
    apt-get install -y -qq --no-install-recommends $missing >/dev/null && exit 0
elif command -v apt-get >/dev/null && sudo -n true 2>/dev/null; then
    sudo -n apt-get update -qq
    # shellcheck disable=SC2086
    sudo -n apt-get install -y -qq --no-install-recommends $missing >/dev/null && exit 0
fi
if [ "${CI:-}" = true ]; then
    echo "CI runs every test, and these could not be installed:$missing" >&2
    exit 1
fi
echo "These could not be installed; tests that need them will be skipped. Do: sudo apt-get install$missing" >&2
