#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Training by several ranks of MPI, on this machine.
#
# usage: mpi.sh MPIRUN BIN_FOLDER DIGITS_FOLDER WORK_FOLDER bits|resume|faults
#   bits    the moons and the digits by 1, 2, 4 and 8 ranks come to the weights of one program, with threads too
#   resume  a rank is killed in mid-training; from the checkpoint 1, 2 and 8 ranks, and the same job once restart.sh has
#           started it again, come to the weights of a run never disturbed
#   faults  ranks that differ, cannot read, hang or die end the job within seconds, with the rank's name
set -eu
mpirun=$1 bin=$2 digits=$3 work=$4 what=$5
restart=$(cd "$(dirname "$0")/../examples" && pwd)/restart.sh
rm -rf "$work"
mkdir -p "$work"
cd "$work"
# Of Open MPI: as root in a container, and more ranks than cores.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_mpi_yield_when_idle=1

fail() {
    echo "$*"
    exit 1
}

network="--data $digits --layers 64,32,10 --chunk 4 --patience 0 --hash"

# weights FILE: those that were printed, which are some
weights() {
    grep '^weights ' "$1" || { cat "$1" >&2; fail "no weights in $1"; }
}

bits() {
    "$bin/moons" --epochs 60 --chunk 4 --hash --quiet >moons.alone
    "$bin/images" $network --epochs 2 --checkpoint alone.safetensors >images.alone
    for ranks in 1 2 4 8; do
        "$mpirun" -n $ranks "$bin/moons_mpi" --epochs 60 --chunk 4 --hash --quiet --threads $((ranks % 3 + 1)) >moons.ranks
        cmp moons.alone moons.ranks || fail "moons differ on $ranks ranks"
        "$mpirun" -n $ranks "$bin/images_mpi" $network --epochs 2 --checkpoint ranks.safetensors >images.ranks
        cmp images.alone images.ranks || fail "images differ on $ranks ranks"
        cmp alone.safetensors ranks.safetensors || fail "checkpoints differ on $ranks ranks"
    done
    # With an optimizer whose state is shared out.
    "$mpirun" -n 3 "$bin/moons_mpi" --epochs 60 --chunk 4 --hash --quiet --sharded >moons.ranks
    cmp moons.alone moons.ranks || fail "moons differ on 3 ranks with a sharded optimizer"
    "$mpirun" -n 4 "$bin/images_mpi" $network --epochs 2 --checkpoint ranks.safetensors --sharded >images.ranks
    cmp images.alone images.ranks || fail "images differ on 4 ranks with a sharded optimizer"
    cmp alone.safetensors ranks.safetensors || fail "checkpoints differ with a sharded optimizer"
    # Faster, and not the same bits: but it ends.
    "$mpirun" -n 3 "$bin/moons_mpi" --epochs 20 --chunk 4 --any-order --quiet >moons.any
    [ "$(grep -c Accuracy moons.any)" = 3 ] || fail "--any-order has no result"
}

# under_way COMMAND...: starts a job of images_mpi and waits for its second epoch; $job, upset.out, upset.err
under_way() {
    : >upset.out
    "$@" $network --checkpoint upset.safetensors >upset.out 2>upset.err &
    job=$!
    while [ "$(wc -l <upset.out)" -lt 5 ]; do
        kill -0 $job 2>/dev/null || { cat upset.out upset.err; fail "it ended too early"; }
        sleep 0.02
    done
}

# last_of PROCESS: its last child's last child and so on, which is a rank
last_of() {
    child=$(pgrep -P "$1" | tail -n 1)
    if [ -n "$child" ]; then last_of "$child"; else echo "$1"; fi
}

# upset RANKS SIGNAL EPOCHS OPTION...: sends a signal to one rank of a job that is under way, and waits for the end
upset() {
    ranks=$1 signal=$2 epochs=$3
    shift 3
    under_way "$mpirun" -n "$ranks" "$bin/images_mpi" --epochs "$epochs" "$@"
    kill -s "$signal" "$(last_of $job)"
    sent=$(date +%s)
    status=0
    wait $job || status=$?
    took=$(($(date +%s) - sent))
    [ $status != 0 ] || fail "after SIG$signal to a rank the job ended with status 0"
    [ $took -le 15 ] || fail "after SIG$signal to a rank the job went on for $took seconds"
}

# The run of resume(), by examples/restart.sh. A stop meant for it, and options that are refused, it must not make good.
restart() {
    rm -f upset.safetensors*
    under_way sh "$restart" 3 upset.safetensors "$mpirun" -n 4 "$bin/images_mpi" --epochs $epochs
    kill -s KILL "$(last_of $job)"
    wait $job || { cat upset.err; fail "the job was not restarted"; }
    grep -q 'attempt 1 of 3 ended with status' upset.err || { cat upset.err; fail "the job was not upset"; }
    [ "$(grep -c '^    1 ' upset.out)" = 1 ] || { cat upset.out; fail "restarted it began anew"; }
    [ "$(weights upset.out)" = "$(weights alone)" ] || fail "restarted it comes to other weights"
    cmp upset.safetensors alone.safetensors || fail "restarted it ends with another checkpoint"

    rm -f upset.safetensors*
    under_way sh "$restart" 3 upset.safetensors "$mpirun" -n 2 "$bin/images_mpi" --epochs 1000
    kill $job
    ! wait $job || fail "stopped by SIGTERM, the restarted job ended with status 0"
    [ "$(grep -c '^epoch ' upset.out)" = 1 ] || fail "stopped by SIGTERM, the job was started again"

    for status in 2 3; do
        ended=0
        sh "$restart" 4 nothing sh -c "exit $status" 2>upset.$status || ended=$?
        [ $ended = $status ] || fail "restart.sh makes $ended of status $status"
    done
    [ "$(wc -l <upset.3)" = 4 ] || fail "four attempts were not made"
    [ ! -s upset.2 ] || fail "options that were refused were tried again"
}

resume() {
    epochs=30
    "$bin/images" $network --epochs $epochs --checkpoint alone.safetensors >alone
    upset 4 KILL $epochs
    mkdir left
    cp upset.safetensors* left
    for ranks in 1 2 8; do
        cp left/* .
        "$mpirun" -n $ranks "$bin/images_mpi" $network --epochs $epochs --checkpoint upset.safetensors --resume >resumed
        [ "$(weights resumed)" = "$(weights alone)" ] || fail "resumed by $ranks ranks it comes to other weights"
        cmp upset.safetensors alone.safetensors || fail "resumed by $ranks ranks it ends with another checkpoint"
    done
    restart
}

# refused TEXT COMMAND...: a job that is to fail with this on standard error
refused() {
    text=$1 start=$(date +%s)
    shift
    ! "$@" >refused.out 2>refused.err || fail "it did not fail: $*"
    grep -q -e "$text" refused.err || { cat refused.err; fail "no '$text' was said"; }
    [ $(($(date +%s) - start)) -le 15 ] || fail "it took more than 15 seconds to fail"
}

faults() {
    set -- --epochs 50 --quiet
    refused 'rank 1: lr is 0.1 where rank 0 has 0.0007' \
        "$mpirun" -n 1 "$bin/moons_mpi" "$@" : -n 1 "$bin/moons_mpi" "$@" --lr 0.1
    refused 'rank 2: train.epochs is 40 where rank 0 has 50' \
        "$mpirun" -n 2 "$bin/moons_mpi" "$@" : -n 1 "$bin/moons_mpi" --epochs 40 --quiet
    refused 'rank 1: batches.rows is 299 where rank 0 has 300' \
        "$mpirun" -n 1 "$bin/moons_mpi" "$@" : -n 1 "$bin/moons_mpi" "$@" --examples 299
    refused 'rank 1: W1 is f64 \[5, 2\] with checksum .* where rank 0 has f64 \[5, 2\] with checksum' \
        "$mpirun" -n 1 "$bin/moons_mpi" "$@" : -n 1 "$bin/moons_mpi" "$@" --seed 4
    refused 'any-order differ among ranks' \
        "$mpirun" -n 1 "$bin/moons_mpi" "$@" : -n 1 "$bin/moons_mpi" "$@" --any-order
    refused "images_mpi, rank 1: --data: 'nowhere' has no " \
        "$mpirun" -n 1 "$bin/images_mpi" $network : -n 1 "$bin/images_mpi" --data nowhere
    refused '--timeout: -1 is below 0' "$mpirun" -n 2 "$bin/moons_mpi" --timeout -1

    # The last rank hangs: it is named, and none that waits for it in its turn.
    for ranks in 3 6; do
        upset $ranks STOP 1000 --timeout 1
        grep -q "images_mpi, rank [0-9]: .* over ranks failed: rank $((ranks - 1)) has not answered for 1 seconds" \
            upset.err || { cat upset.err; fail "a rank that hangs is not named"; }
        ! grep 'not answered' upset.err | grep -v "rank $((ranks - 1)) has not" ||
            { cat upset.err; fail "a rank is named that does not hang"; }
    done
    "$bin/images" --data "$digits" --layers 64,32,10 --checkpoint upset.safetensors \
        --predict "$digits/t10k-images-idx3-ubyte" >predicted
    upset 3 KILL 1000
    grep -q 'rank [0-9]' upset.err || grep -q 'BAD TERMINATION' upset.out || # MPICH's mpirun knows no more
        { cat upset.err; fail "a rank that dies is not named"; }
}

"$what"
