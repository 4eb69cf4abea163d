#!/bin/sh
# SPDX-License-Identifier: MIT
#
# interface.sh SOURCE_DIR WORK_DIR COMPILER
#
# Compares the public interface with expected/interface.txt: every declaration of the headers as the compiler sees it, every
# macro and, on machines of 64 bits, the size of every struct (check_symbols.sh compares them with what the library exports).
# What differs is printed. A change that is meant is made by copying WORK_DIR/interface.txt there, and told in CHANGELOG.md:
# before 1.0 it asks for a new minor version, afterwards for a new major one, unless it only adds.
usage="usage: interface.sh SOURCE_DIR WORK_DIR COMPILER"
source=${1:?"$usage"} work=${2:?"$usage"} compiler=${3:?"$usage"}
LC_ALL=C
export LC_ALL
mkdir -p "$work" || exit 2

# What comes from our headers, a declaration or member a line.
printf '#include <opt.h>\n' >"$work/all.c"
"$compiler" -std=c11 -E -I "$source/include" "$work/all.c" >"$work/all.i" || exit 2
awk '/^# [0-9]+ "/ { ours = $3 ~ /include\/opt(\/[a-z]+)?[.]h"$/; next }
     ours { print }' "$work/all.i" |
    tr -s ' \t\n' ' ' | sed 's/\([;{]\) */\1\n/g; s/ *} */\n}/g; s/\n}\([^;]*;\)/\n}\1/g' |
    sed 's/^ *//; s/ *$//; /^$/d; s/_Bool/bool/g' >"$work/declarations"
sed -n 's/^#define \(OPT_[A-Z_0-9]* .*\)/\1/p' "$source"/include/opt/*.h | grep -v '_H$' |
    sed 's,/\*.*,,; s/  */ /g; s/ *$//' | grep ' ' >"$work/macros"

structs=$(sed -n 's/^typedef struct \(opt_[a-z_0-9]*\) {$/\1/p; s/^struct \(opt_[a-z_0-9]*\) {$/\1/p' "$work/declarations" | sort)
{
    printf '#include <opt.h>\n#include <stdio.h>\nint main(void)\n{\n'
    for struct in $structs; do
        printf '    printf("%s %%zu\\n", sizeof(struct %s));\n' "$struct" "$struct"
    done
    printf '    return sizeof(void *) != 8;\n}\n'
} >"$work/sizes.c"
status=0
{
    echo "# Declarations"
    cat "$work/declarations"
    echo "# Macros"
    cat "$work/macros"
    echo "# Sizes of structs, 64 bits"
    if "$compiler" -std=c11 -I "$source/include" -o "$work/sizes" "$work/sizes.c" &&
        "$work/sizes" >"$work/sizes.txt" 2>/dev/null; then
        cat "$work/sizes.txt"
    else
        sed -n '/^# Sizes/,$p' "$source/tests/expected/interface.txt" | sed 1d
    fi
} >"$work/interface.txt"
diff "$source/tests/expected/interface.txt" "$work/interface.txt" || status=1

exit $status
