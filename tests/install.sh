#!/bin/sh
# SPDX-License-Identifier: MIT
#
# install.sh SOURCE_DIR BUILD_DIR C_COMPILER
#
# Installs a built tree into a temporary folder and moves it elsewhere, builds and runs programs with what lies there (by
# find_package, by pkg-config, by a bare command) and with the source (add_subdirectory; FetchContent, as a shared library),
# and uninstalls. $CXX or c++, if there is one, builds a program in C++ as well. Where MPI was found two ranks run. Projects
# that it is a part of have settings that it must not share, and files that it must not remove.
set -eu
usage="usage: install.sh SOURCE_DIR BUILD_DIR C_COMPILER"
source=${1:?"$usage"} build=${2:?"$usage"} cc=${3:?"$usage"}
cxx=${CXX:-c++}
outside=$source/tests/outside
manifests="install_manifest.txt opt_install_manifest.txt"
warnings='-Wall -Wextra -Wpedantic -Werror'

# from_cache NAME
from_cache() {
    sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"
}
cmake=$(from_cache CMAKE_COMMAND)
version=$(from_cache CMAKE_PROJECT_VERSION)

# An installation of the user's keeps its lists of files.
work=$(mktemp -d)
for name in $manifests; do
    [ ! -e "$build/$name" ] || mv "$build/$name" "$build/$name.kept"
done
clean_up() {
    rm -rf "$work"
    for name in $manifests; do
        rm -f "$build/$name"
        [ ! -e "$build/$name.kept" ] || mv "$build/$name.kept" "$build/$name"
    done
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

fail() {
    echo "$*"
    exit 1
}

# quietly COMMAND...: shows what it said only if it fails
quietly() {
    "$@" >"$work/log" 2>&1 || { cat "$work/log"; fail "failed: $*"; }
}

# exports_opt_only LIBRARY
exports_opt_only() {
    strange=$(nm -D --defined-only "$1" | awk '$3 !~ /^opt_[a-z]/ { print $3 }')
    [ -z "$strange" ] || fail "$1 exports" $strange
    nm -D --defined-only "$1" | grep -q ' opt_train$' || fail "$1 does not export opt_train"
}

# cmake_project HOW ARGUMENT...
cmake_project() {
    echo "$1"
    how=$1 to=$work/$1
    shift
    quietly "$cmake" -S "$outside" -B "$to" -DCMAKE_C_COMPILER="$cc" -DVERSION="$version" -DHOW="$how" "$@"
    quietly "$cmake" --build "$to" --parallel 2
    (cd "$to" && quietly "${cmake%cmake}ctest" --output-on-failure --no-tests=error)
}

# leaves_only FILE...: of what was below $installed only these are left, and no folder of ours but around them
leaves_only() {
    for file in "$@"; do
        [ -f "$file" ] || fail "lost: $file"
        rm "$file"
        rmdir "${file%/*}" 2>/dev/null || :
    done
    left=$(find "$installed/." ! -type d -o -name '*opt')
    [ -z "$left" ] || fail "left behind:" $left
}

# ---- Installed -----------------------------------------------------------------------------------------------------

quietly "$cmake" --install "$build" --prefix "$work/first"
mv "$work/first" "$work/moved"
for file in include/opt.h include/opt/base.h share/doc/libopt/LICENSE; do
    [ -f "$work/moved/$file" ] || fail "$file was not installed"
done
if grep -rIlF -e "$source" -e "$build" -e "$work" -e opt_flags -e opt_kernels "$work/moved"; then
    fail "files above name folders or targets of the build"
fi
case $(from_cache OPT_AWK) in
/*) find "$work/moved" -path '*/man3/opt_adam.3' | grep -q . || fail "no manual pages were installed" ;;
*) echo "manual pages: skipped, no awk was found" ;;
esac
pc=$(find "$work/moved" -name opt.pc)
libraries=${pc%/*/*}
export LD_LIBRARY_PATH="$libraries" # for a shared one
[ ! -e "$libraries/libopt.so" ] || exports_opt_only "$libraries/libopt.so"

with_mpi=OFF mpirun=$(from_cache MPIEXEC_EXECUTABLE)
[ ! -e "$build/libopt_mpi.a" ] || with_mpi=ON
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 # of Open MPI

cmake_project package -DCMAKE_PREFIX_PATH="$work/moved" -DWITH_MPI=$with_mpi \
    -DMPI_C_COMPILER="$(from_cache MPI_C_COMPILER)" -DMPIEXEC_EXECUTABLE="$mpirun"

echo "a project from before CMake 3.3"
mkdir "$work/old"
cat >"$work/old/CMakeLists.txt" <<EOT
cmake_minimum_required(VERSION 2.8.12)
project(old C)
find_package(opt REQUIRED)
find_package(opt QUIET COMPONENTS mpi)
add_executable(old "$outside/main.c")
set_property(TARGET old PROPERTY C_STANDARD 11)
set_property(TARGET old PROPERTY COMPILE_DEFINITIONS VERSION="$version")
target_link_libraries(old opt::opt)
EOT
quietly "$cmake" -S "$work/old" -B "$work/old/build" -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$work/moved" \
    -DCMAKE_POLICY_VERSION_MINIMUM=3.5 # without which CMake 4 refuses it
quietly "$cmake" --build "$work/old/build"
quietly "$work/old/build/old"

if command -v pkg-config >/dev/null; then
    export PKG_CONFIG_PATH="${pc%/*}"
    if command -v "$cxx" >/dev/null; then
        compile="$cxx -std=c++17" program=$outside/main.cpp
    else
        compile="$cc -std=c11" program=$outside/main.c
    fi
    for static in "" --static; do
        echo "pkg-config $static"
        flags=$(pkg-config $static --cflags --libs opt)
        quietly $compile $warnings -DVERSION="\"$(pkg-config --modversion opt)\"" -o "$work/program" "$program" $flags
        quietly "$work/program"
        [ $with_mpi = ON ] || continue
        flags=$(pkg-config $static --cflags --libs opt_mpi)
        quietly "$cc" -std=c11 $warnings -DVERSION="\"$(pkg-config --modversion opt_mpi)\"" -o "$work/program" "$outside/mpi.c" $flags
        quietly "$mpirun" -n 2 "$work/program"
    done
else
    echo "pkg-config: skipped, it is not installed"
fi

# What a reader of the README would type. -lz is for those alone who read compressed files: the linker takes from an
# archive no more than a program calls.
echo "bare command"
quietly "$cc" -std=c11 $warnings -DVERSION="\"$version\"" -o "$work/program" "$outside/main.c" \
    -I "$work/moved/include" -L "$libraries" -lopt -lm -pthread
quietly "$work/program"
unset LD_LIBRARY_PATH

# ---- Uninstalled ---------------------------------------------------------------------------------------------------

mv "$work/moved" "$work/first"
: >"$work/first/include/theirs.h"
: >"$work/first/include/opt/theirs.h"
quietly "$cmake" --build "$build" --target uninstall
installed=$work/first
leaves_only "$installed/include/theirs.h" "$installed/include/opt/theirs.h"

# What lists and patterns of CMake's would not take as it is.
for name in josé 'v[1]' 'a [b*?'; do
    installed=$work/$name
    quietly "$cmake" --install "$build" --prefix "$installed"
    : >"$installed/include/opt/theirs.h"
    quietly "$cmake" --build "$build" --target uninstall
    leaves_only "$installed/include/opt/theirs.h"
done

# ---- As a part of another project, unoptimised to be quick -----------------------------------------------------------

for project in "subdirectory -DCMAKE_UNITY_BUILD=ON -DCMAKE_C_FLAGS=-ffast-math" "fetch -DBUILD_SHARED_LIBS=ON"; do
    cmake_project $project -DSOURCE="$source"
    quietly "$cmake" --install "$to" --prefix "$work/host"
    left=$(find "$work/host" ! -type d 2>/dev/null || :)
    [ -z "$left" ] || fail "a guest installed" $left
done
library=$(find "$work/fetch" -name libopt.so)
[ -z "$library" ] || exports_opt_only "$library"

# The guest is installed with it and uninstalled without it, in a folder called as its own.
echo "host"
to=$work/subdirectory
installed=$work/host/opt
quietly "$cmake" -DOPT_INSTALL=ON -DHOST_INSTALLS=ON "$to"
quietly "$cmake" --build "$to"
quietly "$cmake" --install "$to" --prefix "$installed"
[ -f "$installed/include/opt/base.h" ] || fail "the guest was not installed"
for name in first last; do
    grep -q "/opt/$name/main.c$" "$to/install_manifest.txt" || fail "the list of what was installed lacks $name/main.c"
done
quietly "$cmake" --build "$to" --target opt_uninstall
leaves_only "$installed/first/main.c" "$installed/main.c" "$installed/last/main.c"

# ---- What is built, without building it ------------------------------------------------------------------------------

# configured NAME COMPILER ARGUMENT...
configured() {
    echo "$1"
    to=$work/$1 compiler=$2
    shift 2
    quietly "$cmake" -S "$source" -B "$to" -DCMAKE_C_COMPILER="$compiler" -DOPT_TESTS=OFF -DOPT_EXAMPLES=OFF -DOPT_MPI=OFF "$@"
    "$cmake" --build "$to" --target help >"$work/targets"
}

# The compiler says what it compiles for, not the machine it runs on: and not by the name that BSDs have for it.
if echo | "$cc" -dM -E -x c - | grep -q '__x86_64__'; then
    configured amd64 "$cc" -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=amd64
    grep -q opt_kernels_avx512 "$work/targets" || fail "no kernels for AVX-512 on amd64"
fi
if command -v aarch64-linux-gnu-gcc >/dev/null; then
    configured aarch64 aarch64-linux-gnu-gcc
    ! grep opt_kernels_avx "$work/targets" || fail "kernels for AVX on aarch64"
fi

# A zlib where the linker does not look.
zlib=$(from_cache ZLIB_LIBRARY_RELEASE)
if [ -e "$zlib" ]; then
    mkdir "$work/elsewhere"
    ln -s "$zlib" "$work/elsewhere/libz.so"
    configured zlib "$cc" -DZLIB_LIBRARY="$work/elsewhere/libz.so"
    grep -q " $work/elsewhere/libz.so" "$to/package/opt.pc" || fail "opt.pc does not say where zlib is"
fi
