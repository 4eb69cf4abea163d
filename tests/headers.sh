#!/bin/sh
# SPDX-License-Identifier: MIT
#
# headers.sh SOURCE_DIR [CC]
#
# Fails, naming what offends, unless with each compiler there is of CC, gcc and clang
#   - each public header compiles alone, as C11 and C17 and nothing beyond, and as C++11 and C++17, without a warning;
#   - clang has nothing to say of them with all the warnings it knows;
#   - the library's sources are C11 and C17 and nothing beyond.

cd "${1:?"usage: headers.sh SOURCE_DIR [CC]"}" || exit 2
cc=${2:-cc}
warnings='-pedantic-errors -Wall -Wextra -Werror'

# What is of no use, with clang's -Weverything: that fields leave gaps between them, which stand in the order that reads
# well, and that C++98 lacks what C++11 has.
everything='-Weverything -Werror -Wno-padded -Wno-c++98-compat -Wno-c++98-compat-pedantic'

there() {
    command -v "$1" >/dev/null
}

# headers COMPILER ARGUMENTS...
headers() {
    for header in include/opt.h include/opt/*.h; do
        [ $header != include/opt/mpi.h ] || continue # it wants MPI's own, and src/mpi/mpi.c begins with it
        echo "#include <${header#include/}>" | "$@" -fsyntax-only -Iinclude - && continue
        echo "$header does not compile alone with $*"
        bad=1
    done
}

# Those of the library as it is built here: with zlib where it is, with x86's instruction sets where they are.
sources() {
    defines='-D_FILE_OFFSET_BITS=64 -DOPT__ISA=baseline'
    ! echo '#include <zlib.h>' | "$1" -fsyntax-only -x c - 2>/dev/null || defines="$defines -DOPT__ZLIB"
    case $("$1" -dumpmachine) in
    x86_64-*-linux*) defines="$defines -DOPT__HAS_X86" ;;
    esac
    "$@" $warnings $defines -fsyntax-only -Iinclude -Isrc $(ls src/*/*.c | grep -v '^src/mpi/') && return
    echo "src does not compile with $* $warnings"
    bad=1
}

# Where to find it, past links to it: cc is often gcc.
place() {
    readlink -f "$(command -v "$1")"
}

bad=0
seen=
for compiler in "$cc" gcc clang; do
    case "$seen " in
    *" $(place "$compiler") "*) continue ;;
    esac
    there "$compiler" || continue
    seen="$seen $(place "$compiler")"
    for standard in c11 c17; do
        headers "$compiler" -x c -std=$standard $warnings
        sources "$compiler" -std=$standard
    done
done
for compiler in "${CXX:-c++}" clang++; do
    there "$compiler" || continue
    for standard in c++11 c++17; do
        headers "$compiler" -x c++ -std=$standard $warnings
    done
done
if there clang; then
    headers clang -x c -std=c11 $everything
fi
if there clang++; then
    headers clang++ -x c++ -std=c++11 $everything
fi
exit $bad
