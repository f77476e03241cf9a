#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds: build.sh DIR JOBS [TARGET]... A live counter on a terminal, two lines elsewhere, nothing where nothing is to be done.
set -eu

dir=$1
jobs=$2
shift 2
# Where a meson.build has changed, the plan is made anew first.
plan=$(ninja -C "$dir" --quiet build.ninja 2>&1) || { echo "$plan" >&2; exit 1; }
plan=$(ninja -C "$dir" -n "$@" || true)
case $plan in *"no work to do"*) exit 0 ;; esac

begin=$(date +%s)
if [ -t 1 ]; then
    (cd "$dir" && NINJA_STATUS='building [%f/%t] %e s  ' ninja -j "$jobs" "$@")
else
    echo "building: $(echo "$plan" | sed -n 's/^\[1\/\([0-9]*\)\].*/\1/p' | head -n 1) steps"
    ninja -C "$dir" -j "$jobs" --quiet "$@"
fi
echo "built in $(($(date +%s) - begin)) s"
