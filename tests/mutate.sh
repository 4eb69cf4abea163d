#!/bin/sh
# SPDX-License-Identifier: MIT
#
# mutate.sh COUNT TESTS FILE... [seed=N]: changes the source files in COUNT ways, one at a time and spread evenly over
# all that mutate.awk finds, and sees whether a test notices. TESTS, a pattern, names the tests that are run first; then
# come all others that take no longer than a second, and last what holds the library's objects and is linked anew for it:
# failing_calls, failing_elsewhere and internal_bits. Example, from the repository's root:
#
#     sh tests/mutate.sh 150 '^(tensor|tensor_matmul)$' src/tensor/*.c
#
# Prints each survivor and how many mutants were killed. A mutant that cannot be compiled or makes the same code as
# before is none. One that hangs, twenty seconds and ten times as long as the test takes, is killed. The build, in
# build/mutate, is of a shared library, so that only it is linked again for most tests.
set -eu
cd "$(dirname "$0")/.."
root=$(pwd) build=$(pwd)/build/mutate count=$1 first=$2 seed=0
shift 2

cmake -B "$build" -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS_RELEASE=-O2 -DBUILD_SHARED_LIBS=ON -DOPT_EXAMPLES=OFF \
    -DOPT_INSTALL=OFF -DCMAKE_EXPORT_COMPILE_COMMANDS=ON >/dev/null
find "$build" -name '*.o.whole' | while read -r whole; do # left by a run that was broken off
    rm -f "$whole" "${whole%.whole}"
done
cmake --build "$build" >/dev/null
mkdir -p "$build/run"
cd "$build/run"

# The tests' programs as they are to be run, by what they take unchanged: "order milliseconds name".
now() { date +%s%N; }
arguments() { case $1 in internal_bits) echo "$root/tests/golden/bits.txt 2" ;; esac }
: >"$build/times"
for program in "$build"/tests/test_* "$build"/tests/failing_* "$build/tests/internal_bits"; do
    [ -x "$program" ] && [ -f "$program" ] || continue
    file=$(basename "$program") most=1 order=2
    name=${file#test_}
    case $name in failing_* | internal_*) most=600 order=3 ;; esac
    if echo "$name" | grep -qE "$first"; then most=600 order=1; fi
    start=$(now) status=0
    timeout "$most" "$program" $(arguments "$file") >/dev/null 2>&1 || status=$?
    [ "$status" -ne 124 ] || continue
    [ "$status" -eq 0 ] || { echo "mutate: $program fails before anything is changed" >&2; exit 1; }
    echo "$order $((($(now) - start) / 1000000)) $name" >>"$build/times"
done
# And the seconds that each may take.
sort -n -k 1,1 -k 2,2 "$build/times" | awk '{ print 20 + int($2 / 100), $3 }' >"$build/order"

# Whether any test notices the objects that there are.
killed() {
    (cd "$build" && sh CMakeFiles/opt.dir/link.txt >/dev/null 2>&1) || return 0
    while read -r limit program; do
        path=test_$program
        case $program in
        failing_* | internal_*)
            path=$program
            (cd "$build/tests" && sh "CMakeFiles/$program.dir/link.txt" >/dev/null 2>&1)
            ;;
        esac
        timeout "$limit" "$build/tests/$path" $(arguments "$program") >/dev/null 2>&1 </dev/null || return 0
    done <"$build/order"
    return 1
}

# All mutants of all files, of which every so manieth is taken.
all=$build/mutants
: >"$all"
for file; do
    case $file in seed=*) seed=${file#seed=} ;; *)
        (cd "$root" && awk -f tests/mutate.awk "$file") | sed "s|^|$file	|" >>"$all"
        ;;
    esac
done
total=$(wc -l <"$all")
awk -v total="$total" -v count="$count" -v seed="$seed" '
    BEGIN { step = total > count ? total / count : 1; next_one = 1 + seed % step }
    NR >= int(next_one) { print; next_one += step }' "$all" >"$build/sample"

# Makes the object of $source from mutant.c.
compile() { (cd "$build" && eval "$(echo "$command -w" | sed "s|-c $source|-c $build/mutant.c|")" 2>/dev/null); }

tried=0 dead=0
while IFS='	' read -r file line column length by; do
    source=$root/$file
    object=$build/CMakeFiles/opt.dir/$file.o
    command=$(grep -F -A 2 "\"command\"" "$build/compile_commands.json" | grep -F -e "-c $source" | head -n 1 |
        sed 's/^ *"command": "//; s/",$//; s/\\"/"/g')
    if ! [ -f "$object.whole" ]; then # by the mutants' name, which is in the object
        cp "$source" "$build/mutant.c"
        compile
        cp "$object" "$object.whole"
    fi
    awk -v line="$line" -v column="$column" -v len="$length" -v by="$by" '
        NR == line { $0 = substr($0, 1, column - 1) by substr($0, column + len) } { print }' "$source" >"$build/mutant.c"
    if compile && ! cmp -s "$object" "$object.whole"; then
        tried=$((tried + 1))
        if killed; then
            dead=$((dead + 1))
        else
            echo "survives: $file:$line: $(sed -n "${line}p" "$build/mutant.c" | sed 's/^ *//')"
        fi
    fi
    cp "$object.whole" "$object"
done <"$build/sample"
find "$build" -name '*.o.whole' -exec rm {} +
(cd "$build" && sh CMakeFiles/opt.dir/link.txt)
echo "$dead of $tried killed ($total in all)"
