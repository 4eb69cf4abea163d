#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Cross-compiles the library and checks golden/bits.txt under user-mode emulation: arm64, and big-endian s390x, whose
# emulation takes four times as long. With `all` nothing is left out, and where their compilers are there are riscv64 too,
# and musl, which needs no emulation.
# Debian: apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-s390x-linux-gnu libc6-dev-s390x-cross
# qemu-user-static, and gcc-riscv64-linux-gnu libc6-dev-riscv64-cross musl-tools
#
# usage: bits_everywhere.sh SOURCE_FOLDER [all]     without `all` f32 alone, and of that what is quick on s390x
set -eu
cd "$1"
all=${2:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# check NAME EXTENT COMPILER [EMULATOR]
check() {
    extent=$2
    [ -z "$all" ] || extent=
    "$3" -std=c11 -O2 -static -ffp-contract=off -fno-math-errno -fno-trapping-math \
        -fexcess-precision=fast -DOPT__ISA=baseline \
        -Iinclude -Isrc -o "$work/$1" tests/internal_bits*.c $(ls src/*/*.c | grep -v ^src/mpi/) -lm -pthread &&
        ${4:-} "$work/$1" tests/golden/bits.txt 2 $extent
}

# start NAME EXTENT COMPILER [EMULATOR]: beside the others
names=
start() {
    names="$names $1"
    { check "$@" || : >"$work/$1.failed"; } >"$work/$1.txt" 2>&1 &
}
start arm64 f32 aarch64-linux-gnu-gcc qemu-aarch64-static
start s390x quick s390x-linux-gnu-gcc qemu-s390x-static
if [ -n "$all" ] && command -v riscv64-linux-gnu-gcc >/dev/null; then
    start riscv64 '' riscv64-linux-gnu-gcc qemu-riscv64-static
fi
if [ -n "$all" ] && command -v musl-gcc >/dev/null; then
    start musl '' musl-gcc
fi
wait
status=0
for name in $names; do
    echo "$name:"
    cat "$work/$name.txt"
    [ ! -e "$work/$name.failed" ] || status=1
done
exit $status
