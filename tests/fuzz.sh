#!/bin/sh
# SPDX-License-Identifier: MIT
#
# fuzz.sh SOURCE_DIR WORK_DIR SECONDS [NAME...]
#
# Runs libFuzzer (clang) over the harnesses of fuzz/, under the address and undefined-behaviour sanitizers, for so many seconds
# of processor time each, starting from fuzz/corpus/NAME and the golden files; then makes the corpus as small as it can be, in WORK_DIR/NAME.min,
# to be copied back. What it finds is in WORK_DIR/NAME.found; each find becomes a regression test.
set -eu
usage="usage: fuzz.sh SOURCE_DIR WORK_DIR SECONDS [NAME...]"
source=$(cd "${1:?"$usage"}" && pwd) work=${2:?"$usage"} seconds=${3:?"$usage"}
shift 3
[ $# -gt 0 ] || set -- npy idx csv stream safetensors calls
mkdir -p "$work"
work=$(cd "$work" && pwd)
cd "$source"

flags="-std=c11 -O1 -g -ffp-contract=off -fno-math-errno -fno-trapping-math -fno-omit-frame-pointer -Iinclude -Isrc
    -fsanitize=address,undefined -fno-sanitize-recover=all"
for file in $(ls src/*/*.c | grep -v ^src/mpi/); do
    object=$work/$(echo "$file" | tr / _ | sed 's/c$/o/')
    isa=
    [ "$file" != src/kernel/kernels.c ] || isa=-DOPT__ISA=baseline
    clang $flags -DOPT__ZLIB -fsanitize=fuzzer-no-link $isa -c "$file" -o "$object"
done

for name in "$@"; do
    clang $flags -fsanitize=fuzzer -o "$work/$name" "tests/fuzz/fuzz_$name.c" tests/fuzz/fuzz.c "$work"/src_*.o -lm -lz -pthread
    mkdir -p "$work/$name.corpus" "$work/$name.min" "$work/$name.found"
    cp tests/fuzz/corpus/"$name"/* "$work/$name.corpus/" 2>/dev/null || true
    echo "==== $name"
    "$work/$name" -timeout=20 -rss_limit_mb=2048 -max_len=8192 -print_final_stats=1 \
        -artifact_prefix="$work/$name.found/" "$work/$name.corpus" 2>"$work/$name.log" &
    process=$!
    while used=$(ps -o cputimes= -p $process) && [ "$used" -lt "$seconds" ]; do sleep 1; done
    kill -INT $process 2>/dev/null || true # it says what it has done and ends well
    wait $process || true # the status says that it was stopped
    [ -z "$(ls "$work/$name.found")" ] && ! grep -q ERROR "$work/$name.log" || echo "FOUND: see $work/$name.log"
    echo "${used:-fewer} seconds of processor time"
    grep -E "stat::number_of_executed|cov:" "$work/$name.log" | tail -2
    "$work/$name" -merge=1 -max_len=8192 "$work/$name.min" "$work/$name.corpus" 2>/dev/null || true
    echo "$(ls "$work/$name.min" | wc -l) files in the smallest corpus"
done
