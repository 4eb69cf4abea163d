#!/bin/sh
# SPDX-License-Identifier: MIT
#
# coverage.sh [TESTS]: builds with gcov's counters, runs the tests (those whose names match TESTS; all but "bits" and the
# campaigns' long ones by default), and prints how many lines and branches of src/ they covered, by file, then each line
# missed or with a branch missed. Needs gcovr. Counters of earlier runs count too, unless build/coverage is removed.
#
# The loops of src/kernel are compiled once for each instruction set and type; their counters are added up, line by line.
# The preset has helpers of theirs not inlined (-Dalways_inline=), each of which would have counters of its own. What
# cannot be covered is marked in the source, with the reason: grep -r GCOVR_EXCL src.
set -eu
cd "$(dirname "$0")/.."

cmake --preset coverage >/dev/null
cmake --build --preset coverage >/dev/null
if [ $# -gt 0 ]; then
    ctest --test-dir build/coverage -j 2 -R "$1" --output-on-failure | tail -n 3
else
    ctest --test-dir build/coverage -j 2 -E '^bits$|_stopped|bench' --output-on-failure | tail -n 3
fi

found=$(mktemp -d)
trap 'rm -rf "$found"' EXIT
gcovr -r . -f src/ --exclude-unreachable-branches --json "$found/all.json" --txt "$found/lines" build/coverage
gcovr -r . -a "$found/all.json" --branches --txt "$found/branches"
cat "$found/lines" "$found/branches"

# "src/a.c  10  9  90%  4-5,7": those lines' text. A long list of them may go on in the next line.
cat "$found/lines" "$found/branches" | awk '
    $1 ~ /^src\// { file = $1 }
    $NF ~ /^[0-9][0-9,-]*$/ && file != "" && (NF == 5 || NF == 1) {
        n = split($NF, range, ",")
        for (i = 1; i <= n; i++) {
            split(range[i] "-" range[i], end, "-")
            for (line = end[1]; line <= end[2]; line++) missed[file ":" line] = 1
        }
    }
    END { for (at in missed) print at }' | sort -t : -k 1,1 -k 2,2n |
    while IFS=: read -r file line; do
        printf '%s:%s: %s\n' "$file" "$line" "$(sed -n "${line}p" "$file")"
    done
