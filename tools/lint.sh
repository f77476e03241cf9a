#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Everything that tells of mistakes without running the program. Each check that fails shows why; the rest goes on.
set -u
cd "$(dirname "$0")/.." || exit 1

jobs=$(nproc)
failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# run NAME COMMAND...: quiet unless it fails
run() {
    name=$1
    shift
    if "$@" >"$log" 2>&1 </dev/null; then
        echo "ok      $name"
    else
        failed=1
        cat "$log"
        echo "FAILED  $name"
    fi
}

# needs TOOL PACKAGE: a check whose tool is missing is told of, not passed over
needs() {
    command -v "$1" >/dev/null 2>&1 && return 0
    failed=1
    echo "FAILED  $1 is missing: apt-get install $2"
    return 1
}

# build COMPILER: all of it, warnings are errors
build() {
    if [ ! -f "build-$1/build.ninja" ]; then
        CC=$1 meson setup "build-$1" -Dwerror=true || return 1
    fi
    ninja -C "build-$1" -j "$jobs"
}

# The analyzers see the project's own files, not what the build generates.
tidy() {
    run-clang-tidy -p build-clang -j "$jobs" -quiet '^(?!.*abi_facts).*\.c$'
}

# Its leak checker knows no cleanup attribute and its initialisation checker no *out: the sanitizers and the compilers see to these.
check() {
    cppcheck --quiet --std=c17 --enable=warning,performance,portability --inline-suppr -j "$jobs" --error-exitcode=1 \
        --project=build-clang/compile_commands.json --template='{file}:{line}: {id}: {message}' \
        --library=tools/cppcheck.cfg \
        '--suppress=*:*abi_facts.c' --suppress=memleak --suppress=memleakOnRealloc --suppress=uninitvar \
        --suppress=sizeofDivisionMemfunc --suppress=preprocessorErrorDirective --suppress=internalAstError
}

scripts() {
    # SC2317: it takes functions that are called by name for dead
    git ls-files -z '*.sh' '.ci/*' | xargs -0 shellcheck -e SC2317
}

# shellcheck disable=SC2046 # no name of ours has a blank
python() {
    python3 -m py_compile $(git ls-files '*.py')
}

run "every file's licence, length and width" python3 tools/check_tree.py
run "python compiles" python
needs shellcheck shellcheck && run "shellcheck" scripts
run "gcc, warnings are errors" build gcc
needs clang clang && run "clang, warnings are errors" build clang
if [ -f build-clang/compile_commands.json ]; then
    needs cppcheck cppcheck && run "cppcheck" check
    needs run-clang-tidy clang-tidy && run "clang-tidy" tidy
fi
exit $failed
