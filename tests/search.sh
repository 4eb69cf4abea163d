#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The example `search`, stopped by SIGINT and killed by SIGKILL at moments of their own choosing, and run again: it prints
# the same bytes as a search never stopped, and its file has the same lines. Files that are not this search's are refused.
#
# usage: search.sh PROGRAM DIGITS_FOLDER WORK_FOLDER EPOCHS
set -eu
search=$1 digits=$2 work=$3 epochs=$4
rm -rf "$work"
mkdir -p "$work"
cd "$work"

options="--trials 12 --epochs $epochs --patience 0 --seed 3"
# Where a script leaves SIGINT ignored for what it starts in the background, the program does so too.
start=
env --default-signal=INT true 2>/dev/null && start="env --default-signal=INT"

# stop SIGNAL STATUS LINES [OPTION...]: runs until the file has so many lines, then sends the signal. Of more trials than
# are ever waited for: a search of fewer goes on from those all the same.
stop() {
    signal=$1 want=$2 lines=$3
    shift 3
    $start "$search" $options --trials 2000 --results part.csv "$@" >part.out 2>part.err &
    while [ ! -f part.csv ] || [ "$(wc -l <part.csv)" -lt "$lines" ]; do
        kill -0 $! || { cat part.err; exit 1; }
        sleep 0.01
    done
    kill -s "$signal" $!
    status=0
    wait $! 2>/dev/null || status=$?
    [ "$status" = "$want" ] || { echo "SIG$signal: exit status $status, not $want"; cat part.err; exit 1; }
    [ ! -s part.out ]
}

# same FILE: of the header and trials 1 to 12 it has the lines of whole.csv, in any order
same() {
    grep -E '^(trial|[1-9]|1[0-2]),' "$1" | sort >sorted.csv
    sort whole.csv | cmp - sorted.csv
}

# refuses STATUS TEXT OPTION...
refuses() {
    want=$1 text=$2
    shift 2
    status=0
    "$search" "$@" >refused.out 2>refused.err || status=$?
    if [ "$status" != "$want" ] || [ "$(wc -l <refused.err)" != 1 ] || [ -s refused.out ] ||
        ! grep -q -e "$text" refused.err; then
        echo "$*: exit status $status, not $want, or not one line with '$text':"
        cat refused.err
        exit 1
    fi
}

"$search" $options --results whole.csv >whole.out
[ "$(wc -l <whole.csv)" = 13 ]

# ---- Stopped, killed, and run again ----

interrupt=INT status_then=130
[ -n "$start" ] || { interrupt=TERM status_then=143; }
stop $interrupt $status_then 3
grep -q 'stopped after [1-9][0-9]* of 2000 trials; .* part.csv$' part.err
stop KILL 137 6 --threads 2
cp part.csv killed.csv
"$search" $options --results part.csv --threads 3 >part.out
cmp part.out whole.out
same part.csv

# A line cut short, wherever, and a header.
for bytes in 0 1 50 150 151 160 400; do
    head -c $bytes killed.csv >part.csv
    "$search" $options --results part.csv --threads 2 >part.out
    cmp part.out whole.out
    same part.csv
done

# ---- A search that is over ----

"$search" $options --results whole.csv --out pictures >part.out
cmp part.out whole.out
[ -s pictures/search.svg ]
same part.csv

# Fewer trials are those it has, and more go on from them.
"$search" $options --results whole.csv --trials 8 >fewer.out
"$search" $options --results fewer.csv --trials 8 | cmp - fewer.out
"$search" $options --results fewer.csv | cmp - whole.out
same fewer.csv

# ---- What is refused, and then left as it was ----

cp whole.csv before.csv
refuses 2 "of another search: its seed is 3, not 4" $options --results whole.csv --seed 4
refuses 2 "its epochs is" $options --results whole.csv --epochs 7
refuses 2 "its patience is 0, not 5" $options --results whole.csv --patience 5
refuses 2 "its batch is 64, not 32" $options --results whole.csv --batch 32
refuses 2 "its validation is 0.3, not 0.25" $options --results whole.csv --validation 0.25
refuses 2 "its lr_min is 0.0001, not 0.001" $options --results whole.csv --lr-min 0.001
refuses 2 "its lr_max is 1, not 2" $options --results whole.csv --lr-max 2
for other in "--optimizer adamw" "--optimizer lion" "--layers 2,16,1" "--noise 0.1" "--examples 501" "--data $digits --layers 64,10"; do
    refuses 2 "its optimizer, layers or data are not these" $options --results whole.csv $other
done
for other in gd momentum nesterov rmsprop; do
    refuses 2 "of another search: its hyper-parameters are not those of $other" $options --results whole.csv --optimizer $other
done
cmp whole.csv before.csv

printf 'notes of mine' >notes
refuses 2 "'notes' is there, but not a file of search" $options --results notes
[ "$(cat notes)" = 'notes of mine' ]
refuses 2 "'pictures'" $options --results pictures
refuses 2 "'/dev/null' is not a regular file" $options --results /dev/null
refuses 2 "'nowhere/x.csv'" $options --results nowhere/x.csv

sed '3s/^\([0-9]*\),[^,]*/\1,0.5/' whole.csv >changed.csv
refuses 1 "changed.csv: trial [0-9]* has other hyper-parameters" $options --results changed.csv
sed '3s/^[0-9]*/0/' whole.csv >changed.csv
refuses 1 "changed.csv: 0 is no trial's number" $options --results changed.csv
sed '3s/^/x/' whole.csv >changed.csv
refuses 1 "changed.csv: line 3" $options --results changed.csv

# ---- Every method, as --help lists them ----

methods=$("$search" --help | sed -n 's/,//g; s/^ *--optimizer NAME *\(.*\) (default adam)$/\1/p')
for method in $(sed -n 's/^extern const opt_method opt_\(.*\);$/\1/p' "$digits/../../../include/opt/methods.h"); do
    case " $methods " in *" $method "*) ;; *) echo "--help: no $method"; exit 1 ;; esac
done
for method in $methods; do
    few="--optimizer $method --trials 2 --epochs 20 --batch 0"
    "$search" $few --results "$method.csv" >"$method.out"
    grep -q "^$method, 2 trials" "$method.out"
    grep -q '^Best: trial [12]: lr' "$method.out"
    "$search" $few --results "$method.csv" --out pictures | cmp - "$method.out"
    [ "$(wc -l <"$method.csv")" = 3 ]
done
