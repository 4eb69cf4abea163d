#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The bench's jobs beside what others would use, all taking turns: NumPy, PyTorch and FANN from Debian's packages.
# Each prints the seconds of the work alone, without its start; here are their medians, least and spread, and how many
# times as long as ours they took.
#
# Debian: apt-get install python3-torch python3-numpy libfann-dev; those missing are left out.
# usage: tests/bench/peers.sh [TURNS]      in the source folder, after cmake --workflow --preset test; default 5
set -eu
turns=${1:-5}
bench=tests/bench
job=build/release/bin/job
python=${PYTHON:-/usr/bin/python3} # which has the packages of Debian
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
# PyTorch gives its memory back to the system after each step, unless told not to
torch="env MALLOC_MMAP_THRESHOLD_=4000000000 MALLOC_TRIM_THRESHOLD_=16000000000 $python $bench/peer_torch.py"
numpy="env OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $python $bench/moons_numpy.py"
$python -c 'import torch' 2>/dev/null || torch=
$python -c 'import numpy' 2>/dev/null || numpy=
fann=
if cc -O3 -march=native -o "$work/fann" $bench/peer_fann.c -lfann -lm 2>/dev/null && [ -n "$numpy" ]; then
    fann=$work/fann
    $python -c "
import numpy as np
x, y = np.load('tests/golden/moons/X.npy'), np.load('tests/golden/moons/Y.npy')
np.savetxt('$work/moons.csv', np.vstack([x, y]).T, delimiter=',', fmt='%.9g')"
fi

# add NAME COMMAND...: a program of the comparison at hand; the first is ours
add() {
    [ -n "$2" ] || return 0
    n=$((n + 1))
    echo "$1" >"$work/name$n"
    shift
    echo "$*" >"$work/command$n"
    : >"$work/times$n"
}

# compare TITLE: runs what was added, in turn
compare() {
    i=0
    while [ $i -lt "$turns" ]; do
        k=1
        while [ $k -le $n ]; do
            sh -c "$(cat "$work/command$k")" | sed -n 's/^seconds //p' >>"$work/times$k"
            k=$((k + 1))
        done
        i=$((i + 1))
    done
    printf '\n%s\n%-40s %10s %10s %7s %9s\n' "$1" "" "median s" "least" "spread" "x ours"
    k=1
    while [ $k -le $n ]; do
        sort -g "$work/times$k" | awk -v name="$(cat "$work/name$k")" -v first="$work/first" -v k=$k '
            { t[NR] = $1 }
            END {
                m = t[int(NR / 2) + 1]
                if (k == 1) print m >first; else getline ours <first
                printf "%-40s %10.4g %10.4g %6.0f%% %9s\n", name, m, t[1], 100 * (t[NR] - t[1]) / m,
                    k == 1 ? "" : sprintf("%.2f", m / ours)
            }'
        k=$((k + 1))
    done
    n=0
}

n=0
add libopt $job moons
add "NumPy" "$numpy"
add "PyTorch" "${torch:+$torch moons}"
add "FANN, incremental (another method)" "${fann:+$fann incremental $work/moons.csv}"
add "FANN, RPROP (another method)" "${fann:+$fann rprop $work/moons.csv}"
compare "moons: 2-5-2-1, Adam, f64, 10,000 epochs of batches of 64"
for batch in 64 256 1; do
    add libopt $job wide $batch 1
    add "libopt, 2 threads" $job wide $batch 2
    add "PyTorch" "${torch:+$torch wide $batch 1}"
    add "PyTorch, 2 threads" "${torch:+$torch wide $batch 2}"
    compare "wide: 784-128-64-10, Adam, f32, an epoch of 60,000 in batches of $batch"
done
for count in 100000 50000000; do
    add libopt $job adam $count 1
    add "libopt, 2 threads" $job adam $count 2
    add "PyTorch" "${torch:+$torch adam $count 1}"
    add "PyTorch, 2 threads" "${torch:+$torch adam $count 2}"
    compare "Adam, f32, a step over $count parameters"
done
