#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check_symbols.sh SOURCE_DIR LIBRARY [NM]
#
# Fails, naming what offends, unless in the library (of a build without sanitizers, which bring their own)
#   - every function and constant that the public headers declare is found, and no other that users could call: external
#     in an archive, where private names begin with opt__, exported from a shared library, where there are none;
#   - nothing can exit, abort or print;
#   - memory is taken and released by base/context.c alone (of a shared library there is no telling);
#   - no data is writable: there is no state outside a context. Constant tables of addresses are, until they
#     are relocated, in .data.rel.ro.

usage="usage: check_symbols.sh SOURCE_DIR LIBRARY [NM]"
source=${1:?"$usage"} library=${2:?"$usage"}
case $library in
*.a) shared='' dynamic='' ;;
*) shared=1 dynamic=-D ;;
esac
symbols=$("${3:-nm}" $dynamic -A -f sysv "$library") || exit 2
headers=$(ls "$source"/include/opt/*.h | grep -v '/mpi[.]h$') # which is of another library
declared=$(sed -n '
    /^typedef/d
    s/^extern const .*[ *]\(opt_[a-z0-9_]*\);.*/\1/p
    s/^[a-z][a-z0-9_ *]*[ *]\(opt_[a-z0-9_]*\)(.*/\1/p' $headers)

# Lines of nm: path:member:name | value | class | type | size | line | section; a shared library has no members.
printf '%s\n' "$symbols" | SHARED=$shared DECLARED=$declared awk -F '[ \t]*[|][ \t]*' '
    BEGIN {
        ends   = "^(_?exit|_Exit|quick_exit|abort|raise|__assert.*)$"
        prints = "^(_*v?printf(_chk)?|puts|putchar|perror|stdout|stderr)$"
        memory = "^(malloc|calloc|realloc|reallocarray|aligned_alloc|posix_memalign|strdup|strndup|free)$"
        private = ENVIRON["SHARED"] ? "^$" : "^(opt__|__x86[.]get_pc_thunk[.]|[.]refptr[.])" # the latter two by gcc
        n = split(ENVIRON["DECLARED"], word, /[ \t\n]+/)
        for (i = 1; i <= n; i++)
            declared[word[i]] = 1
    }
    function offends(why) {
        print where ": " name " " why
        bad++
    }
    NF >= 7 {
        n = split($1, path, ":")
        name = path[n]
        where = path[n - 1]
        sub(/^[ \t]+/, "", name)
        sub(/@.*/, "", name)
        class = $3
        if (class == "U" && name ~ ends)
            offends("ends the program")
        else if (class == "U" && name ~ prints)
            offends("prints")
        else if (class == "U" && name ~ memory && where !~ /^context\./ && !ENVIRON["SHARED"])
            offends("goes past the context'"'"'s allocator")
        if (class ~ /^[A-TV-Zu]$/) {
            if (name in declared)
                found[name] = 1
            else if (name !~ private)
                offends("is external and in no public header")
        }
        # Windows names the sections themselves, which are in every object; what is in them has names of its own.
        if (class ~ /^[BbCDdGgSsuVv]$/ && $7 !~ /^\.data\.rel\.ro/ && name !~ /^[.](bss|data)$/)
            offends("is writable data (" $7 ")")
    }
    END {
        where = "declared"
        for (name in declared)
            if (!(name in found))
                offends("is not in the library")
        exit bad > 0
    }'
