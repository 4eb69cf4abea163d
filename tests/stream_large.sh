#!/bin/sh
# SPDX-License-Identifier: MIT
#
# One epoch of a small network over files of 4 GiB, streamed: the time it takes, beside reading the file from end to
# end by dd, and the memory that is resident at most. Fails when that is 256 MiB or more. Takes half an hour, 5 GB of
# disk and, for figures with nothing cached, root.
#
# usage: stream_large.sh BUILD_FOLDER FOLDER_FOR_THE_FILES
set -eu
program=${1:?"usage: stream_large.sh BUILD_FOLDER FOLDER_FOR_THE_FILES"}/bin/stream_large
folder=${2:?"usage: stream_large.sh BUILD_FOLDER FOLDER_FOR_THE_FILES"}
if [ "$(df -Pk "$folder" | awk 'NR == 2 { print $4 }')" -lt 5000000 ]; then
    echo "$folder has less than 5 GB of space"
    exit 2
fi
trap 'rm -f "$folder"/[xy]-u1.tmp "$folder"/[xy]-f4.tmp' EXIT
trap 'exit 1' HUP INT TERM

uncache() {
    sync
    if { echo 3 >/proc/sys/vm/drop_caches; } 2>/dev/null; then
        printf 'nothing cached: '
    else
        printf 'perhaps cached: '
    fi
}

status=0
for kind in u1 f4; do
    "$program" make $kind "$folder"
    uncache
    printf 'dd: '
    dd if="$folder/x-$kind.tmp" of=/dev/null bs=1M 2>&1 | tail -n 1
    for how in "read 256 ordered" "read 256 shuffled" "train 64 shuffled" "train 256 shuffled"; do
        set -- $how
        uncache
        "$program" "$1" $kind "$folder" "$2" "$3" || status=1
    done
    dd if="$folder/x-$kind.tmp" of=/dev/null bs=1M 2>/dev/null
    for how in "read 256 ordered" "read 256 shuffled" "train 256 ordered" "train 256 shuffled"; do
        set -- $how
        printf 'cached: '
        "$program" "$1" $kind "$folder" "$2" "$3" || status=1
    done
    rm "$folder"/[xy]-$kind.tmp
done
exit $status
