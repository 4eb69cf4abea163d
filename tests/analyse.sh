#!/bin/sh
# SPDX-License-Identifier: MIT
#
# analyse.sh [gcc|cppcheck]: gcc's -fanalyzer over src, and cppcheck over src, include and examples; both without an
# argument. Prints what they find and how long they took, and fails if they find anything. False alarms are suppressed in
# place, with the reason: grep -r cppcheck-suppress src examples.
set -u
cd "$(dirname "$0")/.." || exit 2

macros='-D_FILE_OFFSET_BITS=64 -DOPT__ZLIB -DOPT__ISA=baseline'
found=0

# report NAME FILE SECONDS: what stands in the file was found.
report() {
    cat "$2"
    count=$(grep -cE '(warning|error|performance|portability)[ :]' "$2")
    [ "$count" = 0 ] || found=1
    echo "$1: $count found, $3 s"
}

# The inner loops, all inlined into one another, take 40 s at -O1 and minutes otherwise.
gcc_analyzer() {
    start=$(date +%s)
    for file in $(ls src/*/*.c | grep -v ^src/mpi/); do
        level=-O2
        [ "$file" != src/kernel/kernels.c ] || level=-O1
        gcc -std=c11 $level -Wall -Wextra -fanalyzer $macros -I include -I src -c -o "$out/object" "$file" 2>&1
    done >"$out/gcc"
    report "gcc -fanalyzer" "$out/gcc" $(($(date +%s) - start))
}

# All it finds in the ways that the sources can be compiled (--force). _Noreturn it does not know.
cppcheck_all() {
    start=$(date +%s)
    cppcheck --enable=warning,performance,portability --inline-suppr --std=c11 --force --quiet --suppress=missingIncludeSystem \
        $macros '-D_Noreturn=__attribute__((noreturn))' -I include -I src -I examples/common src include examples \
        --template='{file}:{line}: {severity} {id}: {message}' >"$out/cppcheck" 2>&1
    report cppcheck "$out/cppcheck" $(($(date +%s) - start))
}

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
case ${1:-both} in
gcc) gcc_analyzer ;;
cppcheck) cppcheck_all ;;
both)
    gcc_analyzer
    cppcheck_all
    ;;
*)
    sed -n '4,6s/^# //p' "$0" >&2
    exit 2
    ;;
esac
exit $found
