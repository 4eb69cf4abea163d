#!/bin/sh
# SPDX-License-Identifier: MIT
#
# failing_allocations.sh BUILD [RUNS]: every example with a short job, each of its allocations failed in turn; with more
# than RUNS (12) of them only so many, and with RUNS 0 all. See failing_allocations.c for what must come of it.
set -eu
build=$(cd "${1:?"usage: failing_allocations.sh BUILD [RUNS]"}" && pwd)
runs=${2:-12}
digits=$(cd "$(dirname "$0")" && pwd)/data/digits
bin=$build/bin
status=0

# with PROGRAM ARGUMENTS...: in a folder of the program's own.
with() {
    program=$1
    shift
    "$build/tests/failing_allocations" "$build/tests/failing_malloc.so" "$build/tests/failing-$program" "$runs" \
        "$bin/$program" "$@" || status=1
}

with gradient_descent
with mini_batches
with momentum
with adam
with linear_regression
with custom_optimizer --threads 2
with descent_paths --out paths.svg
with resume --epochs 4
with moons --epochs 20 --threads 2 --out .
with images --data "$digits" --layers 64,10 --epochs 2 --out .
with search --data "$digits" --layers 64,10 --trials 3 --epochs 2 --threads 2 --results results.csv --out .
with compare --data "$digits" --layers 64,10 --moons-epochs 3 --digits-epochs 1 --no-times --out .
exit $status
