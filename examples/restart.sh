#!/bin/sh
# SPDX-License-Identifier: MIT
#
# restart.sh ATTEMPTS CHECKPOINT COMMAND [ARGUMENT...]
#
# Runs a command that writes checkpoints until it succeeds, at most so many times, with --resume behind its arguments
# whenever CHECKPOINT is there; so a file that an earlier job left is gone on with, and to begin anew is to remove it.
# Signals INT and TERM end the command and this. Nor is it run again if its options were refused (status 2), if it is not
# there (126, 127) or if somebody has stopped it (130 and 143; 15 is what MPICH's mpirun makes of that). Ends with the status
# of the last attempt. Programs get no standard input.
set -u
usage="usage: restart.sh ATTEMPTS CHECKPOINT COMMAND [ARGUMENT...]"
attempts=${1:?"$usage"} checkpoint=${2:?"$usage"}
: "${3:?"$usage"}"
shift 2

job= stopped=
stop() {
    stopped=yes
    [ -z "$job" ] || kill "$job" 2>/dev/null
}
trap stop INT TERM

attempt=1
while :; do
    resume=
    [ ! -e "$checkpoint" ] || resume=--resume
    "$@" $resume & # which a shell waits for only until a signal comes
    job=$!
    [ -z "$stopped" ] || kill "$job"
    wait "$job"
    status=$?
    while kill -0 "$job" 2>/dev/null; do
        wait "$job"
        status=$?
    done
    case $status in 0 | 2 | 15 | 126 | 127 | 130 | 143) exit $status ;; esac
    echo "restart.sh: attempt $attempt of $attempts ended with status $status" >&2
    [ -z "$stopped" ] && [ "$attempt" -lt "$attempts" ] || exit $status
    attempt=$((attempt + 1))
done
