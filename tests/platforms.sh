#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Builds the library for each platform and runs its whole suite there, the bits included: on this machine where its
# processor can, by an emulator where not. cmocka and zlib are built from Debian's sources, for each platform anew.
# A longer campaign, not for every change: minutes on this machine's own processor, an hour where emulated.
#
# Debian: apt-get install cmake make python3-numpy clang musl-tools gcc-i686-linux-gnu libc6-dev-i386-cross
# gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-s390x-linux-gnu libc6-dev-s390x-cross gcc-riscv64-linux-gnu
# libc6-dev-riscv64-cross qemu-user-static gcc-mingw-w64-x86-64-posix wine64
#
# usage: platforms.sh [PLATFORM...]     gcc clang musl i386 arm64 riscv64 s390x windows; without any, all of them
# Variables: WORK, the folder (build/platforms); JOBS, at a time (2); SUITE, WITHOUT, regular expressions of tests:
# only these, not these.
set -eu
cd "$(dirname "$0")/.."
source=$PWD
work=${WORK:-$source/build/platforms}
jobs=${JOBS:-2}
OPTIONS=
mkdir -p "$work"
work=$(cd "$work" && pwd)

# ---- Debian's sources of what the tests and the library use --------------------------------------------------------

# get_source PACKAGE: unpacked as $work/PACKAGE. apt checks the signatures; the machine's own lists are left alone.
get_source() {
    [ ! -d "$work/$1" ] || return 0
    apt=$work/apt
    mkdir -p "$apt/lists/partial" "$apt/$1"
    key=/usr/share/keyrings/debian-archive-keyring.gpg
    site=$(apt-get indextargets --format "\$(SITE)" "Created-By: Packages" "Codename: bookworm" | head -n 1)
    echo "deb-src [signed-by=$key] $site bookworm main" >"$apt/sources.list"
    set -- "$1" -q -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$apt/lists" -o Dir::Cache="$apt" -o APT::Sandbox::User=root
    package=$1
    shift
    apt-get "$@" update >/dev/null
    (cd "$apt/$package" && apt-get "$@" source --download-only "$package" >/dev/null)
    mkdir "$work/$package.part"
    tar -x -C "$work/$package.part" --strip-components=1 -f "$apt/$package"/*.orig.tar.*[!c]
    mv "$work/$package.part" "$work/$package"
}

# build_libraries FOLDER COMPILER AR
build_libraries() {
    root=$1 compiler=$2 ar=$3
    mkdir -p "$root/usr/include" "$root/usr/lib" "$root/objects"
    cp "$work/zlib/zlib.h" "$work/zlib/zconf.h" "$work/cmocka/include/cmocka.h" "$root/usr/include"
    for file in adler32 crc32 deflate gzclose gzlib gzread gzwrite inffast inflate inftrees trees zutil; do
        "$compiler" -O2 -w -D_LARGEFILE64_SOURCE=1 -DHAVE_UNISTD_H -c -o "$root/objects/$file.o" "$work/zlib/$file.c"
    done
    "$ar" rcs "$root/usr/lib/libz.a" "$root"/objects/*.o
    "$compiler" -O2 -w -I "$work/cmocka/include" -DHAVE_INTTYPES_H -DHAVE_MALLOC_H -DHAVE_SIGNAL_H -DHAVE_STRINGS_H \
        -DHAVE_STRUCT_TIMESPEC -DHAVE_CLOCK_REALTIME -DHAVE_GCC_THREAD_LOCAL_STORAGE -c -o "$root/cmocka.o" \
        "$work/cmocka/src/cmocka.c"
    "$ar" rcs "$root/usr/lib/libcmocka.a" "$root/cmocka.o"
}

# ---- One platform --------------------------------------------------------------------------------------------------

# run NAME EXCLUDED CMAKE_ARGUMENT...: EXCLUDED is a regular expression of tests. A line of the table goes to NAME.line.
run() {
    name=$1 excluded=$2
    shift 2
    build=$work/$name/build
    cmake -S "$source" -B "$build" "$@" -DCMAKE_BUILD_TYPE=Release
    cmake --build "$build" -j "$jobs"
    rm -rf "$build/Testing"
    status=0
    ctest --test-dir "$build" -j "$jobs" --timeout 3000 --output-on-failure ${SUITE:+-R "$SUITE"} \
        -E "${excluded:-^$}|${WITHOUT:-^$}" >"$work/$name/ctest.txt" 2>&1 || status=1
    bits=$(sed -n 's/.* bits \.\.* *Passed .*/equal/p; s/.* bits \.\.*[* ].*/DIFFER/p' "$work/$name/ctest.txt")
    sed -n 's/^[0-9]*% tests passed, \([0-9]*\) tests failed out of \([0-9]*\)$/\1 \2/p' "$work/$name/ctest.txt" |
        while read -r bad all; do
            printf '%-8s  %-9s  %s\n' "$name" $((all - bad))/"$all" "${bits:-not run}" >"$work/$name.line"
        done
    [ $status = 0 ] || grep -A 30 'The following tests FAILED' "$work/$name/ctest.txt"
    return $status
}

# cross NAME PROCESSOR COMPILER AR EMULATOR EXCLUDED: everything is static, so that no foreign loader is needed.
# Warnings are no errors there: gcc for arm64 sees overflows in loops that have none, and mingw's isfinite converts.
cross() {
    root=$work/$1
    [ -f "$root/usr/lib/libcmocka.a" ] || build_libraries "$root" "$3" "$4"
    set -- "$1" "$6" -DCMAKE_SYSTEM_NAME="${system:-Linux}" $OPTIONS -DCMAKE_SYSTEM_PROCESSOR="$2" -DCMAKE_C_COMPILER="$3" \
        -DCMAKE_EXE_LINKER_FLAGS=-static -DCMAKE_FIND_ROOT_PATH="$root" -DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY \
        -DCMAKE_FIND_ROOT_PATH_MODE_LIBRARY=ONLY -DCMAKE_FIND_ROOT_PATH_MODE_PACKAGE=ONLY \
        ${5:+-DCMAKE_CROSSCOMPILING_EMULATOR="$5"}
    name=$1 excluded=$2
    shift 2
    run "$name" "$excluded" "$@"
}

platform() {
    case $1 in
    gcc) run gcc '' -DCMAKE_C_COMPILER=gcc -DOPT_WERROR=ON ;;
    clang) run clang '' -DCMAKE_C_COMPILER=clang -DOPT_WERROR=ON ;;
    # Nothing is preloaded into a static program, and of i386 the sources alone want flags that headers.sh does not give.
    musl) cross musl x86_64 musl-gcc ar '' '^failing_allocations$' ;;
    i386) cross i386 i686 i686-linux-gnu-gcc i686-linux-gnu-ar '' '^(headers|failing_allocations)$' ;;
    arm64) cross arm64 aarch64 aarch64-linux-gnu-gcc aarch64-linux-gnu-ar qemu-aarch64-static '' ;;
    riscv64) cross riscv64 riscv64 riscv64-linux-gnu-gcc riscv64-linux-gnu-ar qemu-riscv64-static '' ;;
    s390x) cross s390x s390x s390x-linux-gnu-gcc s390x-linux-gnu-ar qemu-s390x-static '' ;;
    windows)
        # Neither the examples, whose signals and terminals are POSIX's, nor the README's programs, which print \r\n.
        system=Windows OPTIONS=-DOPT_EXAMPLES=OFF
        cross windows x86_64 x86_64-w64-mingw32-gcc x86_64-w64-mingw32-ar /usr/lib/wine/wine64 '^readme$'
        ;;
    *) echo "no such platform: $1" && return 2 ;;
    esac
}

[ $# -gt 0 ] || set -- gcc clang musl i386 arm64 riscv64 s390x windows
get_source cmocka
get_source zlib
failed=0
for name in "$@"; do
    mkdir -p "$work/$name"
    printf '%-8s  not built\n' "$name" >"$work/$name.line"
    platform "$name" >"$work/$name/log.txt" 2>&1 & # beside us, so that set -e holds in it
    wait $! || { failed=1; tail -n 40 "$work/$name/log.txt"; }
done
printf '%-8s  %-9s  %s\n' platform passed bits
for name in "$@"; do
    cat "$work/$name.line"
done
exit $failed
