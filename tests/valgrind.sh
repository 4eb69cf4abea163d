#!/bin/sh
# SPDX-License-Identifier: MIT
#
# valgrind.sh memcheck|helgrind|drd [TESTS]: the tests (those whose names match TESTS) under one of valgrind's tools,
# compiled at -O1. By default memcheck has all but those that take too long under it or run no program of ours, helgrind
# and drd have those with threads. A test fails if valgrind finds anything, blocks that are lost at the end included.
# Variables: JOBS, at a time (2); TIMEOUT, the seconds that each may take (900).
#
# helgrind and drd know locks alone; valgrind_atomics.h tells them what atomics order, so that they need no suppressions.
set -eu
cd "$(dirname "$0")/.."

# No program of ours; the system's own allocator replaced; too long; killed on purpose, and so with memory in hand; and
# refused command lines, which are alike.
skipped='^(includes|headers|interface|symbols|man|install|readme|five_slots|python_reads_checkpoint)$'
skipped="$skipped|^failing_allocations$|^bits$|bench|^kill_and_resume$|_stopped$|^refuses_.*_[0-9]+$"
build=build/valgrind
flags='-O1 -g -DMOST_THREADS=4'
tests=.
options=
case ${1:-} in
memcheck) options=';--leak-check=full;--errors-for-leak-kinds=definite' ;;
helgrind | drd)
    build=build/valgrind-threads
    flags="$flags -include $PWD/tests/valgrind_atomics.h"
    tests='^(base_threads|load_contexts)$'
    ;;
*)
    sed -n '4,6s/^# //p' "$0" >&2
    exit 2
    ;;
esac

# What CMake takes for an emulator is what starts the programs.
cmake -B $build -DCMAKE_BUILD_TYPE=Debug "-DCMAKE_C_FLAGS=$flags" \
    "-DCMAKE_CROSSCOMPILING_EMULATOR=valgrind;--tool=$1;--quiet;--error-exitcode=99;--fair-sched=yes$options" >/dev/null
cmake --build $build -j "${JOBS:-2}" >/dev/null
ctest --test-dir $build -j "${JOBS:-2}" --timeout "${TIMEOUT:-900}" -R "${2:-$tests}" -E "$skipped" --output-on-failure
