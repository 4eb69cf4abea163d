#!/bin/sh
# SPDX-License-Identifier: MIT
#
# amalgamation.sh SOURCE_DIR WORK_DIR COMPILER AWK
#
# Makes opt.h and opt.c, the library in two files, and uses them as one would who copies them: opt.h compiles alone, as C11
# and C++17; opt.c without a warning; and the example moons, built from these two, prints what the library's does, to the
# last bit of its weights, on every instruction set of this machine and by two threads. Compiled with what -march=native
# allows where the compiler has it: opt.c must not need a flag to keep the bits. Where there is a compiler for Windows, it
# takes both too, opt.h behind windows.h.
set -eu
usage="usage: amalgamation.sh SOURCE_DIR WORK_DIR COMPILER AWK"
source=$(cd "${1:?"$usage"}" && pwd) work=${2:?"$usage"} compiler=${3:?"$usage"} awk=${4:?"$usage"}
rm -rf "$work"
mkdir -p "$work"
work=$(cd "$work" && pwd)
(cd "$source" && LC_ALL=C "$awk" -v version=0 -v out="$work" -f src/cmake/amalgamate.awk $(ls src/*/*.c | grep -v ^src/mpi/))

cd "$work"
native=-march=native
echo 'int main(void) { return 0; }' >empty.c
$compiler $native -o empty empty.c 2>/dev/null || native=
echo '#include "opt.h"' >alone.c
$compiler -std=c11 -Wall -Wextra -Wpedantic -Werror -I. -fsyntax-only alone.c
if command -v "${CXX:-c++}" >/dev/null; then
    "${CXX:-c++}" -std=c++17 -Wall -Wextra -Wpedantic -Werror -I. -fsyntax-only -x c++ alone.c
fi
$compiler -std=c11 -O1 $native -Wall -Wextra -Wpedantic -Werror -c opt.c
windows=x86_64-w64-mingw32-gcc
if command -v $windows >/dev/null; then
    $windows -std=c11 -Wall -Wextra -Wpedantic -Werror -I. -include windows.h -fsyntax-only alone.c
    $windows -std=c11 -Wall -Wextra -Wpedantic -Werror -I. -fsyntax-only opt.c
fi
$compiler -std=c11 -I. -I"$source/examples/common" -o moons "$source/examples/moons.c" "$source/examples/moons_figures.c" \
    $(ls "$source"/examples/common/*.c | grep -v /ranks_mpi) opt.o -lm -pthread
for how in "" "--isa baseline" "--isa avx2 --threads 2"; do
    if ./moons $how --hash >out.txt 2>err.txt; then
        diff "$source/tests/expected/moons.txt" out.txt
    else
        grep "isa" err.txt # which this machine lacks
    fi
done
