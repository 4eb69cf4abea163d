#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Builds the library by gcc at -O0 and by clang, where there is one, at -O2, and checks golden/bits.txt on every instruction
# set of this machine, at -O0 on the baseline alone, with 2 threads (gcc's -O3 is ctest's `bits`). With `all` by each of them
# at -O0, -O2 and -O3, from -O2 on with 1, 2, 3 and 7 threads.
#
# usage: bits_builds.sh SOURCE_FOLDER [all]
set -eu
cd "$1"
extent=${2:-short}
threads=2
[ "$extent" = short ] || threads="1 2 3 7"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0
flags="-std=c11 -ffp-contract=off -fno-math-errno -fno-trapping-math -Iinclude -Isrc"
others=$(ls src/*/*.c | grep -v -e kernel/kernels.c -e ^src/mpi/)
case $(uname -m) in
x86_64) x86=-DOPT__HAS_X86 ;;
*) x86= ;;
esac

# kernels COMPILER LEVEL ISA FLAGS...
kernels() {
    compiler=$1 level=$2 isa=$3
    shift 3
    $compiler $flags "$level" "$@" -DOPT__ISA="$isa" -c -o "$work/$isa.o" src/kernel/kernels.c
}

# Where AVX-512 cannot run, its kernels need only link.
wide=no
! grep -qs avx512dq /proc/cpuinfo || wide=yes
not_wide() {
    [ -z "$x86" ] || [ "$wide" = yes ] ||
        objcopy --redefine-sym opt__kernels_baseline=opt__kernels_avx512 "$work/baseline.o" "$work/avx512.o"
}

# check COMPILER LEVEL THREADS...
check() {
    rm -f "$work"/*.o
    kernels "$1" "$2" baseline &
    jobs=$!
    if [ -n "$x86" ]; then
        kernels "$1" "$2" avx2 -mavx2 &
        jobs="$jobs $!"
        if [ "$wide" = yes ]; then
            kernels "$1" "$2" avx512 -mavx512f -mavx512vl -mavx512dq -mprefer-vector-width=512 &
            jobs="$jobs $!"
        fi
    fi
    for job in $jobs; do
        wait "$job"
    done
    not_wide
    $1 $flags "$2" $x86 -o "$work/bits" tests/internal_bits*.c $others "$work"/*.o -lm -pthread
    echo "$1 $2:"
    shift 2
    "$work/bits" tests/golden/bits.txt "$@" || status=1
}
# The code for AVX-512, of which most is its own tiles' sizes, compiled for AVX2: seen to be right where AVX-512 itself
# cannot run.
check_wide() {
    rm -f "$work"/*.o
    kernels "$1" "$2" baseline &
    kernels "$1" "$2" avx2 -mavx2 -D__AVX512F__ -Wno-psabi
    wait $!
    not_wide
    $1 $flags "$2" $x86 -o "$work/bits" tests/internal_bits*.c $others "$work"/*.o -lm -pthread
    echo "$1 $2, AVX-512's code as AVX2's:"
    "$work/bits" tests/golden/bits.txt 2 || status=1
}
if [ -n "$x86" ] && [ "$wide" = no ]; then
    check_wide gcc -O2
fi
if [ "$extent" = short ]; then
    check gcc -O0 2 baseline
else
    check gcc -O0 2
fi
if command -v clang >/dev/null; then
    check clang -O2 $threads
fi
if [ "$extent" = all ]; then
    check gcc -O2 $threads
    check gcc -O3 $threads
    check clang -O0 2
    check clang -O3 $threads
fi
exit $status
