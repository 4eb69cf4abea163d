#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check_includes.sh SOURCE_DIR
#
# Fails, naming what offends, unless
#   - modules include only those below them;
#   - tests, but those named internal_*, and examples include nothing of the library's but its public headers.

# Module: what it may include besides itself.
layers='
    kernel: base
    base:   kernel
    file:   base
    tensor: base
    rng:    base kernel
    batch:  base tensor rng
    methods:
    optim:  base kernel tensor methods
    mlp:    base kernel tensor rng
    safetensors: base file tensor
    train:  base file tensor rng batch optim mlp safetensors
    data:   base file kernel tensor rng batch
    mpi:    base
'

cd "${1:?"usage: check_includes.sh SOURCE_DIR"}" || exit 2

# Prints "file <header>" or "file "header"" for every #include in the files given.
includes() {
    grep '^[[:space:]]*#[[:space:]]*include' "$@" /dev/null |
        sed 's/^\([^:]*\):[^<"]*\([<"][^>"]*[>"]\).*/\1 \2/'
}

library=$(find src include/opt -name '*.[ch]' -o -name '*.inc')
programs=$(find tests examples -name '*.[ch]' ! -name 'internal_*')
if [ -z "$library" ] || [ -z "$programs" ]; then
    echo "no sources in $1"
    exit 2
fi

layers_kept() {
    includes $library | LAYERS=$layers awk '
        BEGIN {
            n = split(ENVIRON["LAYERS"], word, /[ \t\n]+/)
            for (i = 1; i <= n; i++)
                if (word[i] ~ /:$/) {
                    module = substr(word[i], 1, length(word[i]) - 1)
                    known[module] = allowed[module, module] = 1
                } else if (word[i] != "")
                    allowed[module, word[i]] = 1
        }
        # src/mlp/loss.c, include/opt/mlp.h: mlp
        function module_of(file, part) {
            split(file, part, "/")
            sub(/\.h$/, "", part[3])
            return part[1] == "src" ? part[2] : part[3]
        }
        # "mlp/mlp.h" and <opt/mlp.h>, and among public headers "mlp.h": mlp; of the system: nothing
        function module_included(name, public, part) {
            gsub(/[<>"]/, "", name)
            sub(/^opt\//, "", name)
            if (split(name, part, "/") == 1)
                sub(/\.h$/, "", part[1])
            return part[1]
        }
        {
            from = module_of($1)
            to = module_included($2)
            ours = $2 ~ /^"/ || $2 ~ /^<opt[.\/]/ || to in known
            if (!(from in known)) {
                print $1 " belongs to no module in the table of layers"
                bad++
            } else if (ours && !allowed[from, to]) {
                print $1 " includes " $2
                bad++
            }
        }
        END { exit bad > 0 }'
}

# Theirs stand beside the file, or in examples, examples/common or tests; of the library they may see what is public.
programs_stay_outside() {
    bad=0
    while read -r file header; do
        name=${header#?}
        name=${name%?}
        case $header in
        ?opt.h? | ?opt/*) [ -f "include/$name" ] && continue ;;
        '<'*) [ -e "src/$name" ] || continue ;;
        *..*) ;;
        *) [ -f "${file%/*}/$name" ] || [ -f "examples/$name" ] || [ -f "examples/common/$name" ] ||
               [ -f "tests/$name" ] && continue ;;
        esac
        echo "$file includes $header"
        bad=1
    done <<EOT
$(includes $programs)
EOT
    return $bad
}

status=0
layers_kept || status=1
programs_stay_outside || status=1
exit $status
