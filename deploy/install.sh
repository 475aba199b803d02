#!/bin/sh
# Puts the agent onto a device, brings it up to date, takes it off again. Safe to run twice.
#
#   deploy/install.sh [install] [--from WHEEL_OR_CHECKOUT] [--extra litert|legacy] [--python PYTHON]
#   deploy/install.sh rollback           back to the release before
#   deploy/install.sh uninstall [--purge]   keeps configuration and state unless --purge
#
# --root DIR puts all files below DIR and leaves accounts and systemd alone (packaging, tests).
# Each release is an environment of its own; the switch is one rename, made only after the new agent has accepted the
# configuration. Configuration and state are never overwritten.
set -eu
umask 022 # the service's account reads what root installs

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
action=install from=$here/.. extra=litert python=python3 root= purge=no pip_options=
case "${1:-}" in install | rollback | uninstall) action=$1; shift ;; esac
while [ $# -gt 0 ]; do
    case $1 in
        --from) from=${2:?--from needs a wheel or a checkout}; shift 2 ;;
        --extra) extra=${2:?--extra needs litert or legacy}; shift 2 ;;
        --python) python=${2:?--python needs an interpreter}; shift 2 ;;
        --root) root=${2:?--root needs a folder}; shift 2 ;;
        --pip-options) pip_options=${2?}; shift 2 ;;
        --purge) purge=yes; shift ;;
        -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) echo "install.sh: $1 is unknown; see --help" >&2; exit 2 ;;
    esac
done

program=$root/opt/maskwatch config=$root/etc/maskwatch state=$root/var/lib/maskwatch
unit=$root/etc/systemd/system/edge-agent.service

say() { echo "install.sh: $*"; }
fail() { echo "install.sh: $*" >&2; exit 1; }
remove_half() { rm -rf "${program:?}/$release"; }
with_systemd() { [ -z "$root" ] && [ -d /run/systemd/system ]; }

[ -n "$root" ] || [ "$(id -u)" = 0 ] || fail "run it as root: sudo $0 $action"

switch_to() {
    # one rename: there is no moment without an agent
    ln -s "$1" "$program/.current.$$"
    mv -T "$program/.current.$$" "$program/current"
    [ -e "$program/bin" ] || ln -s current/bin "$program/bin"
}

restart() {
    with_systemd || { say "systemd is not running here; start the service on the device"; return; }
    systemctl daemon-reload
    systemctl enable --quiet edge-agent.service
    systemctl restart --no-block edge-agent.service
    say "started; see: systemctl status edge-agent, journalctl -u edge-agent"
}

install_release() {
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$python is older than 3.11; give --python"
    [ -e "$from" ] || fail "there is no $from; give --from a wheel or a checkout"
    # the unit has ProtectHome=yes: an interpreter of pyenv or conda in a home folder would be refused as 203/EXEC
    home=$("$python" -c 'import os, sys; print(os.path.realpath(sys.base_prefix))')
    case $home/ in
        /root/* | /home/*) [ -n "$root" ] ||
            fail "$python lies in $home, which the service cannot see; give --python /usr/bin/python3" ;;
    esac
    release=releases/$(date -u +%Y%m%dT%H%M%S)-$$
    mkdir -p "$program/releases" "$config" "$state" "$(dirname "$unit")"
    install -d -m 0700 "$config/credentials"
    trap remove_half EXIT
    trap 'exit 130' INT TERM
    agent_python=$program/$release/bin/python
    # The host's pip serves where there is one: a pip in each release would cost minutes on an SD card.
    if "$python" -m pip --python "$python" --version >/dev/null 2>&1; then
        "$python" -m venv --without-pip "$program/$release"
        set -- "$python" -m pip --python "$agent_python"
    else
        "$python" -m venv "$program/$release" || fail "no environment can be made; apt-get install python3-venv"
        set -- "$agent_python" -m pip
    fi
    # shellcheck disable=SC2086  # several options in one word
    "$@" install --quiet --disable-pip-version-check $pip_options "$from[$extra]" ||
        fail "the packages could not be installed; nothing was changed"
    "$program/$release/bin/edge-agent" version >/dev/null || fail "the new agent does not start; nothing was changed"
    if [ -e "$config/agent.toml" ]; then
        "$program/$release/bin/edge-agent" check-config --quiet "$config/agent.toml" ||
            fail "the new agent refuses $config/agent.toml; nothing was changed"
        say "kept $config/agent.toml"
    else
        install -m 0644 "$here/agent.toml" "$config/agent.toml"
        say "wrote $config/agent.toml; name your camera and broker there"
    fi
    if [ -z "$root" ]; then
        id maskwatch >/dev/null 2>&1 ||
            useradd --system --home-dir "$state" --shell /usr/sbin/nologin --gid video maskwatch
        chown -R maskwatch:video "$state"
    fi
    chmod 0750 "$state"
    install -m 0644 "$here/../systemd/edge-agent.service" "$unit"
    before=
    if [ -L "$program/current" ]; then before=$(readlink "$program/current"); fi
    switch_to "$release"
    trap - EXIT INT TERM
    [ -z "$before" ] || echo "$before" >"$program/previous"
    for old in "$program"/releases/*; do
        case $old in *"/$release" | *"/${before:-none}") ;; *) rm -rf "$old" ;; esac
    done
    restart
    say "installed $("$program/bin/edge-agent" version | head -n 1)"
}

roll_back() {
    before=$(cat "$program/previous" 2>/dev/null) || fail "there is no release before this one"
    [ -d "$program/$before" ] || fail "$program/$before is gone; install again"
    now=$(readlink "$program/current")
    switch_to "$before"
    echo "$now" >"$program/previous"
    restart
    say "back to $before"
}

uninstall() {
    if with_systemd; then systemctl disable --quiet --now edge-agent.service 2>/dev/null || say "it was not running"; fi
    rm -rf "$program" "$unit"
    if with_systemd; then systemctl daemon-reload; fi
    if [ $purge = yes ]; then
        rm -rf "$config" "$state"
        if [ -z "$root" ] && id maskwatch >/dev/null 2>&1; then userdel maskwatch; fi
        say "removed, with configuration and state"
    else
        say "removed; $config and $state are kept (--purge removes them)"
    fi
}

case $action in
    install) install_release ;;
    rollback) roll_back ;;
    uninstall) uninstall ;;
esac
