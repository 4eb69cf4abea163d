#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Compiles and runs every C program of the README, verbatim, and compares what it prints with the text block after it.
#
# usage: readme.sh README WORK_FOLDER COMPILER [ARGUMENT...]     the arguments end every compilation
# Variable: EMULATOR, what is to run the programs
set -eu
readme=$1 work=$2 cc=$3
shift 3
rm -rf "$work"
mkdir -p "$work"

# Program n goes to n.c, the first text block after it to n.txt.
awk -v work="$work" '
    /^```c$/    { n++; out = work "/" n ".c"; next }
    /^```text$/ { if (n && !(n in told)) { told[n] = 1; out = work "/" n ".txt" }; next }
    /^```/      { out = ""; next }
    out         { print > out }
' "$readme"

n=0
for program in "$work"/*.c; do
    base=${program%.c}
    "$cc" -std=c11 -Wall -Wextra -Wpedantic -Werror -Wno-misleading-indentation -o "$base" "$program" "$@"
    (cd "$work" && ${EMULATOR-} "$base") >"$base.out"
    diff -u "$base.txt" "$base.out"
    n=$((n + 1))
done
[ "$n" -ge 2 ] || { echo "only $n programs found in $readme"; exit 1; }
echo "$n programs of the README compiled, run and compared"
