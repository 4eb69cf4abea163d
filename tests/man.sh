#!/bin/sh
# SPDX-License-Identifier: MIT
#
# man.sh SOURCE_DIR LIBRARY AWK [NM]
#
# Makes the manual pages, and first those of a small header that has every difficulty. Fails, naming what offends, unless
#   - every awk that is found makes the same pages without a word;
#   - groff and mandoc, where they are found, have nothing to say about them;
#   - every function and constant in the library has a page of its name;
#   - every line of the public headers' code, and so every type, enumerator and macro, is in that header's page;
#   - every item there has a comment.
usage="usage: man.sh SOURCE_DIR LIBRARY AWK [NM]"
source=${1:?"$usage"} library=${2:?"$usage"} awk=${3:?"$usage"} nm=${4:-nm}
version=$(sed -n 's/^#define OPT_VERSION "\(.*\)"$/\1/p' "$source/include/opt/base.h")
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
status=0

offends() {
    echo "$*"
    status=1
}

# ---- Making and checking -------------------------------------------------------------------------------------------

# make_pages INCLUDE_DIR FOLDER AWK...
make_pages() {
    include=$1 to=$2
    shift 2
    mkdir -p "$to/man3"
    said=$(cd "$include" && LC_ALL=C "$@" -v version="$version" -v out="$to/man3" \
        -f "$source/src/cmake/man.awk" opt.h 2>&1) && [ -z "$said" ] || offends "$*: failed, or said: $said"
}

# make_alike INCLUDE_DIR FOLDER: by $awk, and the same by others
make_alike() {
    make_pages "$1" "$2" "$awk"
    for other in mawk gawk "gawk --posix" original-awk "busybox awk"; do
        if command -v ${other%% *} >/dev/null; then
            rm -rf "$work/other"
            make_pages "$1" "$work/other" $other
            diff -r "$2" "$work/other" || offends "$awk and $other do not make the same pages"
        fi
    done
}

# The pages that are not just a reference to another.
own_pages() {
    grep -L '^[.]so ' "$1"/man3/*.3
}

# lint FOLDER. There is no date on purpose.
lint() {
    for page in $(own_pages "$1"); do
        if command -v groff >/dev/null; then
            said=$(groff -man -ww -z "$page" 2>&1) || said="failed $said"
            [ -z "$said" ] || offends "groff: $said"
        fi
        if command -v mandoc >/dev/null; then
            said=$(mandoc -T lint "$page" 2>&1 | grep -v 'WARNING: missing date')
            [ -z "$said" ] || offends "$said"
        fi
    done
}

# as_typed: roff's lines of code as C has them
as_typed() {
    sed -e 's/^\\&//' -e 's/\\f[BR]//g' -e 's/\\-/-/g' -e "s/\\\\(aq/'/g" -e 's/\\(ga/`/g' -e 's/\\(ha/^/g' \
        -e 's/\\(ti/~/g' -e 's/\\(rs/\\/g'
}

# undocumented FOLDER: items, in a .SS of their names, with no comment in the declarations, which end at the first .fi,
# and nothing after them.
undocumented() {
    awk '
        function told() {
            if (names != "" && !comments)
                print header ": " names ": no comment"
        }
        FNR == 1 || /^[.]S[HS]/ {
            told()
            names = /^[.]SS (opt|OPT)_/ ? substr($0, 5) : ""
            comments = after = 0
            header = FILENAME
            sub(/.*opt_/, "opt/", header)
            sub(/3$/, "h", header)
            next
        }
        after || /\/[*]/ { comments++ }
        /^[.]fi/ { after = 1 }
        END { told() }' $(own_pages "$1")
}

# ---- A header that has every difficulty ----------------------------------------------------------------------------

mkdir -p "$work/include/opt"
cat >"$work/include/opt.h" <<'EOT'
/* SPDX-License-Identifier: MIT
 *
 * libopt: a sample.
 *
 *     odd.h     what is odd
 *
 * Rules:
 *   - One, which goes on
 *     here.
 *   - Two.
 */
#ifndef OPT_H
#define OPT_H
#include "opt/odd.h"
#endif
EOT
cat >"$work/include/opt/odd.h" <<'EOT'
/* SPDX-License-Identifier: MIT
 *
 * A naïve café: l = 1 .. L, e.g. "\n" and
 * 'quoted' one-hot n-1 `code`, OPT_X's. Then:
 *
 *     .5 \alpha ^ 2 ~ it's
 *     'tis - well
 */
#ifndef OPT_ODD_H
#define OPT_ODD_H

#ifdef __cplusplus
extern "C" {
#endif

/* ---- One half ---- */

/* Notes. These stand alone. */

/* About both. */
#define OPT_X(a) \
    ((a) * 2)
typedef int (*opt_call)(int x, void (*then)(void)); /* trailing */

typedef struct opt_odd_opts {
    int a; /* {0}: a default;
              of two lines */

    struct { int b; } c;
} opt_odd_opts;

/* .Begins with a point. */
extern const opt_odd_opts opt_sample;

const char *opt_bare(const opt_odd_opts *o,
                     int n);
typedef struct opt_hidden opt_hidden;
/* ... and follows at once */
void opt_odd(void);

#ifdef __cplusplus
}
#endif
#endif
EOT
cat >"$work/expected" <<'EOT'
.TH OPT_ODD 3 "" "libopt VERSION" "libopt"
.nh
.ad l
.SH NAME
opt_odd, opt_sample, opt_bare \- what is odd
.SH SYNOPSIS
.nf
\fB#include <opt.h>\fR

\fB#define OPT_X(a) \(rs\fR
\fB    ((a) * 2)\fR
\fBtypedef int (*opt_call)(int x, void (*then)(void)); /* trailing */\fR
\fBtypedef struct opt_odd_opts { ... } opt_odd_opts;\fR
\fBextern const opt_odd_opts opt_sample;\fR
\fBconst char *opt_bare(const opt_odd_opts *o,\fR
\fB                     int n);\fR
\fBtypedef struct opt_hidden opt_hidden;\fR
\fBvoid opt_odd(void);\fR
.fi
.SH DESCRIPTION
A na\[u00EF]ve caf\[u00E9]: l = 1 .. L, e.g. "\(rsn" and 'quoted' one-hot n\-1
\fBcode\fR, \fBOPT_X\fR's.
Then:
.PP
.RS 4
.nf
\&.5 \(rsalpha \(ha 2 \(ti it\(aqs
\(aqtis \- well
.fi
.RE
.SH ONE HALF
.SS Notes
These stand alone.
.SS OPT_X, opt_call
.nf
\fB#define OPT_X(a) \(rs\fR
\fB    ((a) * 2)\fR
\fBtypedef int (*opt_call)(int x, void (*then)(void)); /* trailing */\fR
.fi
.PP
About both.
.SS opt_odd_opts
.nf
typedef struct opt_odd_opts {
    int a; /* {0}: a default;
              of two lines */

    struct { int b; } c;
} opt_odd_opts;
.fi
.SS opt_sample
.nf
\fBextern const opt_odd_opts opt_sample;\fR
.fi
.PP
\&.Begins with a point.
.SS opt_bare, opt_hidden
.nf
\fBconst char *opt_bare(const opt_odd_opts *o,\fR
\fB                     int n);\fR
\fBtypedef struct opt_hidden opt_hidden;\fR
.fi
.SS opt_odd
.nf
\fBvoid opt_odd(void);\fR
.fi
.PP
\&... and follows at once
.SH SEE ALSO
.BR libopt (3)
EOT

make_alike "$work/include" "$work/sample"
sed "s/VERSION/$version/" "$work/expected" | diff - "$work/sample/man3/opt_odd.3" ||
    offends "the sample's page is not as expected"
[ "$(cat "$work/sample/man3/opt_bare.3")" = ".so man3/opt_odd.3" ] || offends "opt_bare.3 does not stand for opt_odd.3"
grep -qx '[.]IP .*' "$work/sample/man3/libopt.3" || offends "libopt.3 has no list"
lint "$work/sample"
said=$(undocumented "$work/sample")
[ "$said" = "opt/odd.h: opt_bare, opt_hidden: no comment" ] || offends "items without a comment in the sample: $said"

# ---- The library's headers -----------------------------------------------------------------------------------------

pages=$work/pages
make_alike "$source/include" "$pages"
lint "$pages"

symbols=$("$nm" "$library" | awk '$2 ~ /^[A-TV-Z]$/ && $3 ~ /^opt_[a-z]/ { print $3 }')
[ -n "$symbols" ] || offends "no symbols found in $library"
for name in $symbols; do
    page=$(sed -n 's/^[.]so //p' "$pages/man3/$name.3" 2>/dev/null)
    sed -n '/^[.]SH SYNOPSIS/,/^[.]SH DESCRIPTION/p' "$pages/${page:-man3/$name.3}" 2>/dev/null |
        grep -q "[ *]$name[(;]" || offends "$name has no page"
done

for header in "$source"/include/opt/*.h; do
    name=${header##*/}
    page=$pages/man3/opt_${name%.h}.3
    sed -n '/^[.]SH DESCRIPTION/,$p' "$page" | as_typed >"$work/there"
    missing=$(grep -vxFf "$work/there" "$header" |
        grep -vE '^( [*]|/[*]|$|#(if|undef|endif|include)|#define OPT_[A-Z0-9_]*_H$|extern "C" [{]$|[}]$)')
    [ -z "$missing" ] || offends "opt/$name, not in ${page##*/}: $missing"
done

said=$(undocumented "$pages")
[ -z "$said" ] || offends "$said"
exit $status
