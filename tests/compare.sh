#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The example `compare`, stopped by SIGINT in the middle of a training: it says so in one line, with the status that shells
# give a signal, and leaves no picture or numbers of half a comparison; the rows that are there are whole.
#
# usage: compare.sh PROGRAM DIGITS_FOLDER WORK_FOLDER
set -eu
compare=$1 digits=$2 work=$3
rm -rf "$work"
mkdir -p "$work"
cd "$work"

# Where a script leaves SIGINT ignored for what it starts in the background, the program does so too.
start= interrupt=TERM want=143
env --default-signal=INT true 2>/dev/null && start="env --default-signal=INT" interrupt=INT want=130

: >part.out
$start "$compare" --data "$digits" --moons-epochs 20 --digits-epochs 100000 --out pictures >part.out 2>part.err &
while ! grep -q '^lbfgs ' part.out; do # the last row of the moons; the digits would take many minutes
    kill -0 $! || { cat part.err; exit 1; }
    sleep 0.02
done
kill -s $interrupt $!
status=0
wait $! || status=$?
[ "$status" = "$want" ] || { echo "SIG$interrupt: exit status $status, not $want"; cat part.err; exit 1; }
[ "$(wc -l <part.err)" = 1 ]
grep -q 'stopped while it trained the digits by gd; nothing is drawn$' part.err
grep -q '^gd  .* 16$' part.out
[ -z "$(ls pictures)" ]
