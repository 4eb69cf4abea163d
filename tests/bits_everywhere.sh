#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Cross-compiles the library and checks golden/bits.txt under user-mode emulation: arm64, and big-endian s390x.
# Debian: apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-s390x-linux-gnu libc6-dev-s390x-cross
# qemu-user-static
#
# usage: bits_everywhere.sh SOURCE_FOLDER [all]     without `all` f32 alone, which takes half as long
set -eu
cd "$1"
extent=f32
[ "${2:-}" != all ] || extent=
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# check NAME COMPILER EMULATOR
check() {
    "$2" -std=c11 -O2 -static -ffp-contract=off -fno-math-errno -fno-trapping-math \
        -fexcess-precision=fast -DOPT__ISA=baseline \
        -Iinclude -Isrc -o "$work/$1" tests/internal_bits*.c $(ls src/*/*.c | grep -v ^src/mpi/) -lm -pthread &&
        "$3" "$work/$1" tests/golden/bits.txt 2 $extent
}
check arm64 aarch64-linux-gnu-gcc qemu-aarch64-static >"$work/arm64.txt" 2>&1 &
arm64=$!
check s390x s390x-linux-gnu-gcc qemu-s390x-static >"$work/s390x.txt" 2>&1 &
s390x=$!
status=0
wait $arm64 || status=1
wait $s390x || status=1
for name in arm64 s390x; do
    echo "$name:"
    cat "$work/$name.txt"
done
exit $status
