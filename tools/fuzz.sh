#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fuzzes every target of fuzz/ (or those named) for FUZZ_SECONDS each, 20 by default, with clang's libFuzzer under the address and
# undefined behaviour sanitizers. What fails is kept in build-fuzz/found/NAME/ and shown with the command that repeats it.
set -eu
cd "$(dirname "$0")/.."

seconds=${FUZZ_SECONDS:-20}
seed=${FUZZ_SEED:-$(date +%s)}
build='build-fuzz'
tools/install-deps.sh fuzz

if [ ! -f $build/build.ninja ]; then
    CC=clang meson setup $build -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false -Dbuildtype=debugoptimized \
        -Dc_args="-fsanitize=fuzzer-no-link -fno-sanitize-recover=undefined" >$build.log 2>&1 ||
        { cat $build.log >&2; exit 1; }
    rm -f $build.log
fi
names=${*:-$(sed -n "s/^  '\([a-z-]*\)': \[files.*/\1/p" fuzz/meson.build)}
targets=
for name in $names; do
    targets="$targets fuzz/fuzz-$name fuzz/fuzz-replay-$name"
done
# shellcheck disable=SC2086 # one word a target
ninja -C $build -j "$(nproc)" $targets devices/softgpu.so drivers/softgpu.so drivers/softgpu-umed.so >$build/build.log 2>&1 ||
    { cat $build/build.log >&2; exit 1; }

export VFERRY_LOG=error
export VF_DEVICE_DIR="$PWD/$build/devices" VF_DRIVER_DIR="$PWD/$build/drivers"
export UBSAN_OPTIONS=print_stacktrace=1
failed=0
for name in $names; do
    corpus=$build/corpus/$name
    found=$build/found/$name
    log=$build/$name.log
    mkdir -p "$corpus" "$found"
    "$build/fuzz/fuzz-replay-$name" --seeds "$corpus"
    regressions=
    [ -d "fuzz/regressions/$name" ] && regressions=fuzz/regressions/$name
    # shellcheck disable=SC2086 # none or one
    if "$build/fuzz/fuzz-$name" -max_total_time="$seconds" -seed="$seed" -max_len=65536 -timeout=60 -rss_limit_mb=4096 \
        -print_final_stats=1 -artifact_prefix="$found/" "$corpus" $regressions >"$log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
        cover=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
        kept=$(find "$corpus" -type f | wc -l)
        echo "$name: $runs inputs ($rate/s), $cover edges, corpus of $kept, FUZZ_SEED=$seed"
    else
        failed=1
        tail -n 40 "$log"
        echo "$name: FAILED, FUZZ_SEED=$seed"
        sed -n "s,.*Test unit written to \(.*\),  repeat: VF_DEVICE_DIR=$VF_DEVICE_DIR VF_DRIVER_DIR=$VF_DRIVER_DIR \
$build/fuzz/fuzz-$name \1,p" "$log"
        echo "  once it is mended, keep the input in fuzz/regressions/$name/"
    fi
done
exit $failed
