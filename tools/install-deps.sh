#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what the build and the tests need and the machine lacks (Debian). Quiet when nothing is missing.
set -eu

packages="gcc make meson ninja-build pkg-config python3 libjansson-dev libxxhash-dev libinih-dev libcmocka-dev libssl-dev
libsystemd-dev gcc-mingw-w64-x86-64 clang spin iproute2 python3-jsonschema groff-base"

missing=
for package in $packages; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
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
echo "installing:$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# An old package list is the usual reason for a failed install: refresh it first.
$root env DEBIAN_FRONTEND=noninteractive apt-get update >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
# shellcheck disable=SC2086 # one word a package is what is wanted
$root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
