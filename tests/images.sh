#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The example `images` on the small digits: stopped by signals and resumed, it ends with the same bytes, printed and
# in its file, as when never stopped; the file predicts; what is wrong is refused with one line and the right status.
#
# usage: images.sh PROGRAM DIGITS_FOLDER WORK_FOLDER EPOCHS     enough of them to be stopped in time, twice
set -eu
images=$1 digits=$2 work=$3 epochs=$4
rm -rf "$work"
mkdir -p "$work"
cd "$work"

options="--layers 64,128,64,10 --epochs $epochs --batch 4 --patience 0"
# Where a script leaves SIGINT ignored for what it starts in the background, the program does so too.
start=
env --default-signal=INT true 2>/dev/null && start="env --default-signal=INT"

# stop SIGNAL STATUS [OPTION...]: runs until two epochs have been printed, then sends the signal
stop() {
    signal=$1 want=$2
    shift 2
    : >part.out
    $start "$images" --data "$digits" $options --checkpoint part.safetensors "$@" >>part.out 2>part.err &
    while [ "$(wc -l <part.out)" -lt 5 ]; do
        kill -0 $! || { cat part.err; exit 1; }
        sleep 0.02
    done
    kill -s "$signal" $!
    status=0
    wait $! || status=$?
    [ "$status" = "$want" ] || { echo "SIG$signal: exit status $status, not $want"; cat part.err; exit 1; }
    grep -q 'stopped after step .* --resume .* part.safetensors$' part.err
}

# refuses STATUS TEXT OPTION...
refuses() {
    want=$1 text=$2
    shift 2
    status=0
    "$images" --data "$digits" "$@" >refused.out 2>refused.err || status=$?
    if [ "$status" != "$want" ] || [ "$(wc -l <refused.err)" != 1 ] || ! grep -q -e "$text" refused.err; then
        echo "$*: exit status $status, not $want, or not one line with '$text':"
        cat refused.err
        exit 1
    fi
}

"$images" --data "$digits" $options --checkpoint whole.safetensors >whole.out

interrupt=INT status_then=130
[ -n "$start" ] || { interrupt=TERM status_then=143; }
stop $interrupt $status_then
cp part.out joined.out
stop TERM 143 --resume --threads 2
tail -n +4 part.out >>joined.out
"$images" --data "$digits" $options --checkpoint part.safetensors --resume >part.out
tail -n +4 part.out >>joined.out
cmp joined.out whole.out
cmp part.safetensors whole.safetensors

# A run that is over can only be tested again.
"$images" --data "$digits" $options --checkpoint part.safetensors --resume >part.out
tail -n 14 whole.out >tail.out
tail -n 14 part.out | cmp - tail.out
cmp part.safetensors whole.safetensors

set -- --layers 64,128,64,10 --checkpoint whole.safetensors
"$images" "$@" --predict "$digits/t10k-images-idx3-ubyte" --labels "$digits/t10k-labels-idx1-ubyte" >predicted.out
[ "$(grep -c '^[0-9]$' predicted.out)" = 360 ]
[ "Test $(tail -n 1 predicted.out | sed s/A/a/)" = "$(tail -n 1 whole.out)" ]
"$images" "$@" --predict "$digits/t10k-images-idx3-ubyte" --dtype f64 >wide.out
[ "$(wc -l <wide.out)" = 360 ]

# No decay is none, also of a method that has one of its own.
for optimizer in adam adamw; do
    "$images" --data "$digits" --layers 64,10 --epochs 1 --weight-decay 0 --optimizer $optimizer \
        --checkpoint undecayed.safetensors >$optimizer.out
done
cmp adam.out adamw.out

refuses 1 'nowhere.safetensors' --layers 64,10 --checkpoint nowhere.safetensors --resume
refuses 1 'whole.safetensors' --layers 64,32,10 --checkpoint whole.safetensors --resume
refuses 1 'whole.safetensors' $options --checkpoint whole.safetensors --resume --seed 2
refuses 1 'whole.safetensors' $options --checkpoint whole.safetensors --resume --batch 8
refuses 2 '--lr' --layers 64,128,64,10 --epochs $((epochs + 1)) --batch 4 --checkpoint whole.safetensors --resume --lr 0.1
head -c 1000 whole.safetensors >short.safetensors
refuses 1 'short.safetensors' $options --checkpoint short.safetensors --resume
refuses 1 'short.safetensors' "$@" --checkpoint short.safetensors --predict "$digits/t10k-images-idx3-ubyte"
refuses 1 'labels-idx1-ubyte: not images' "$@" --predict "$digits/t10k-labels-idx1-ubyte"
refuses 1 'not a label for each' "$@" --predict "$digits/t10k-images-idx3-ubyte" \
    --labels "$digits/train-labels-idx1-ubyte"

mkdir broken
cp "$digits"/*-ubyte broken
printf x >broken/t10k-labels-idx1-ubyte
refuses 1 'broken/t10k-labels-idx1-ubyte' --layers 64,10 --data broken
rm broken/t10k-labels-idx1-ubyte
refuses 2 'broken.*t10k-labels-idx1-ubyte' --layers 64,10 --data broken
cp "$digits"/train-labels-idx1-ubyte broken/t10k-labels-idx1-ubyte
refuses 1 'broken/t10k-labels-idx1-ubyte: not a label for each' --layers 64,10 --data broken
cmp part.safetensors whole.safetensors # refused before anything was written
