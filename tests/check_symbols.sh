#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check_symbols.sh ARCHIVE [NM]
#
# Fails, naming what offends, unless in the archive (of a build without sanitizers, which bring their own)
#   - every external name begins with opt_;
#   - nothing can exit, abort or print;
#   - memory is taken and released by base/context.c alone;
#   - no data is writable: there is no state outside a context. Constant tables of addresses are, until they
#     are relocated, in .data.rel.ro.

archive=${1:?"usage: check_symbols.sh ARCHIVE [NM]"}
symbols=$("${2:-nm}" -A -f sysv "$archive") || exit 2

# Lines of nm: path:member:name | value | class | type | size | line | section
printf '%s\n' "$symbols" | awk -F '[ \t]*[|][ \t]*' '
    BEGIN {
        ends   = "^(_?exit|_Exit|quick_exit|abort|raise|__assert.*)$"
        prints = "^(_*v?printf(_chk)?|puts|putchar|perror|stdout|stderr)$"
        memory = "^(malloc|calloc|realloc|reallocarray|aligned_alloc|posix_memalign|strdup|strndup|free)$"
    }
    function offends(why) {
        print where ": " name " " why
        bad++
    }
    NF >= 7 && split($1, path, ":") >= 3 {
        n = split($1, path, ":")
        name = path[n]
        where = path[n - 1]
        sub(/^[ \t]+/, "", name)
        class = $3
        if (class == "U" && name ~ ends)
            offends("ends the program")
        else if (class == "U" && name ~ prints)
            offends("prints")
        else if (class == "U" && name ~ memory && where !~ /^context\./)
            offends("goes past the context'"'"'s allocator")
        if (class ~ /^[A-TV-Zu]$/ && name !~ /^opt_/)
            offends("is external and does not begin with opt_")
        if (class ~ /^[BbCDdGgSsuVv]$/ && $7 !~ /^\.data\.rel\.ro/)
            offends("is writable data (" $7 ")")
        if (class ~ /^[TDR]$/ && name ~ /^opt_/)
            found++
    }
    END {
        if (!found)
            print "no opt_ symbols found: not the library, or not the output of nm that was expected"
        exit bad || !found
    }'
