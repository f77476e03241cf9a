#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what a purpose needs and the machine lacks (Debian): install-deps.sh [build|test|model|fuzz|lint]
# Quiet when nothing is missing; otherwise it names what comes, how much of it, and how far it is.
set -eu

purpose=${1:-build}
build="gcc libc6-dev make meson ninja-build pkg-config python3 libjansson-dev libxxhash-dev liblz4-dev libzstd-dev libinih-dev libsqlite3-dev libcmocka-dev libssl-dev
libsystemd-dev systemtap-sdt-dev"
case $purpose in
build) packages=$build ;;
test) packages="$build gcc-mingw-w64-x86-64 clang spin iproute2 python3-jsonschema groff-base" ;;
model) packages="gcc libc6-dev python3 spin" ;;
fuzz) packages="$build clang libclang-rt-14-dev" ;;
lint) packages="$build git clang clang-tidy cppcheck shellcheck" ;;
*)
    echo "install-deps.sh: \"$purpose\" is no purpose: build, test, model, fuzz or lint" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "no Debian machine: what is needed here cannot be looked up; docs/dependencies.md names it" >&2
    exit 0
fi
missing=
count=0
for package in $packages; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || { missing="$missing $package" && count=$((count + 1)); }
done
[ -n "$missing" ] || exit 0

root=
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "missing packages:$missing; install them as root: apt-get install$missing" >&2
        exit 1
    fi
    root=sudo
fi

begin=$(date +%s)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# tell WHAT: apt-get's own account of how far it is, from standard input: one live line on a terminal, a line each quarter elsewhere.
tell() {
    quarter=0
    while IFS=: read -r kind name percent text; do
        case $kind in
        dlstatus | pmstatus) ;;
        *)
            echo "$kind${name:+:$name}${percent:+:$percent}${text:+:$text}" >>"$work/log"
            continue
            ;;
        esac
        percent=${percent%%.*}
        step=download
        [ "$kind" = dlstatus ] || step=install
        if [ -t 1 ]; then
            printf '\r%.79s\033[K' "  $1: $step $percent % · $(($(date +%s) - begin)) s · $text"
        elif [ "$step$((percent / 25))" != "$quarter" ]; then
            quarter="$step$((percent / 25))"
            echo "  $1: $step $percent % · $(($(date +%s) - begin)) s"
        fi
    done
    [ ! -t 1 ] || printf '\r\033[K'
}

# apt WHAT ARGUMENT...: apt-get, told of while it works; what it says besides is shown if it fails.
apt() {
    what=$1
    shift
    : >"$work/log"
    {
        $root env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -o APT::Status-Fd=1 "$@" 2>&1 </dev/null ||
            echo $? >"$work/failed"
    } | tell "$what"
    [ -f "$work/failed" ] || return 0
    tail -n 30 "$work/log" >&2
    echo "apt-get $1 failed: put right what it says above, then run the same command again" >&2
    exit 1
}

echo "missing for $purpose ($count):$missing"
# An old package list is the usual reason for a failed install: refresh it first.
apt "package lists" update
# shellcheck disable=SC2086 # one word a package is what is wanted
all=$(apt-get -s install -y --no-install-recommends $missing 2>/dev/null | grep -c '^Inst' || true)
# shellcheck disable=SC2086
bytes=$(apt-get install -y --no-install-recommends --print-uris -qq $missing 2>/dev/null |
    awk '/^\047/ { sum += $3 } END { printf "%.0f", sum / 1e6 }' || true)
echo "with what they need: $all packages, $bytes MB to download"
# shellcheck disable=SC2086
apt "packages" install -y --no-install-recommends $missing
echo "$all packages installed in $(($(date +%s) - begin)) s"
