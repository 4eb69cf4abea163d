# SPDX-License-Identifier: MIT
#
# LC_ALL=C awk -v version=VERSION -v out=FOLDER -f src/cmake/amalgamate.awk src/optim/step.c ...
#
# Writes the library as two files, opt.h and opt.c, into an existing folder; to be run in the source's. opt.h is the public
# headers in their order. opt.c is what src/cmake/opt.c.in says, where these lines stand for
#
#     @opening FILE@        the comment that either file begins with
#     @system@              the #includes of the system's headers, but for those within an #if, which stay where they are
#     @kernels ISA BYTES@   src/kernel/kernels.c for an instruction set with vectors of so many bytes
#     @sources@             the files given, without that one
#
# Before each file stand those private headers of its that no file before it has, and behind it #undefs of its macros.
#
# Names that two files have each for itself are changed: `update` in method_muon.c becomes method_muon__update. What a file
# declares is read off its layout, which clang-format sees to: a name stands on one line with the sign behind it that makes
# it a declaration. Members of structs stay as they are. All that kernels.c declares gets the instruction set behind it. A
# clash that is missed does not compile.

function fail(why)
{
    print "amalgamate.awk: " why >"/dev/stderr"
    exit 1
}

# ---- Files ---------------------------------------------------------------------------------------------------------

# line[file, 1 .. lines[file]]: without include guard, extern "C" and the licence's name, of which one will do for all.
function read(file, s, i, n)
{
    if (file in lines)
        return
    while ((getline s <file) > 0)
        line[file, ++n] = s
    close(file)
    if (line[file, 1] !~ /^\/[*] SPDX-License-Identifier: MIT( [*]\/)?$/)
        fail(file ": cannot be read, or does not begin with its licence")
    if (line[file, 2] == " *")
        sub(/^ /, "/", line[file, 3])
    line[file, 1] = ""
    line[file, 2] = line[file, 2] == " *" ? "" : line[file, 2]
    for (i = 2; i < n; i++) {
        s = line[file, i]
        if (s ~ /^#ifndef OPT_([A-Z0-9_]*_)?H$/ && line[file, n] == "#endif")
            line[file, i] = line[file, i + 1] = line[file, n] = ""
        else if (s == "#ifdef __cplusplus" && line[file, i + 2] == "#endif")
            line[file, i] = line[file, i + 1] = line[file, i + 2] = ""
    }
    lines[file] = n
}

# The path in an #include of `file`: a public header's stands beside it. Nothing for the system's, and opt.h's.
function included(s, file)
{
    if (!sub(/^#include "/, "", s))
        return ""
    sub(/".*/, "", s)
    if (file !~ /^include/)
        return "src/" s
    sub(/[^\/]*$/, "", file)
    return file s
}

function put(s)
{
    if (to != "" && !(s == "" && was_blank))
        print s >to
    was_blank = s == ""
}

function put_title(s)
{
    s = "/* ==== " s " "
    while (length(s) < 107)
        s = s "="
    put("")
    put(s " */")
    put("")
}

function put_opening(file, s)
{
    put("/* libopt " version " in two files, opt.h and opt.c; this is " file ". Generated from libopt's source; do not edit.")
    put(" *")
    put(" * SPDX-License-Identifier: MIT")
    put(" *")
    while ((getline s <"LICENSE") > 0)
        put(" *" (s == "" ? "" : " ") s)
    close("LICENSE")
    put(" */")
}

# ---- Reading C -----------------------------------------------------------------------------------------------------

# `section` is the file that declares; a .inc belongs to the .c that includes it. From one line to the next go
#     comment, directive   whether it is within one
#     depth, paren         of braces; of parentheses and brackets
#     opens, body          what the next braces at file scope hold, and what those hold that it is in: struct, enum or code
#     value                whether this is behind a declaration's `=`
#     before, before2      the last token, and that before it
# scan returns its line with names changed as newname[section, name] has it; coded: it was not comments alone.
function scan(s, r, t)
{
    coded = 0
    if (!comment && !directive && s ~ /^#/) {
        directive = 1
        before_directive = before
    }
    while (s != "") {
        t = ""
        if (!comment && match(s, /^[ \t]+/))
            t = substr(s, 1, RLENGTH)
        else if (comment || s ~ /^\/[*]/) {
            comment = !index(s, "*/")
            t = comment ? s : substr(s, 1, index(s, "*/") + 1)
        }
        if (t == "") {
            match(s, /^([A-Za-z_][A-Za-z0-9_]*|[.]?[0-9]([eEpP][-+]|[A-Za-z0-9_.])*|"([^"\\]|\\.)*"|'([^'\\]|\\.)*'|->|.)/)
            t = substr(s, 1, RLENGTH)
            s = substr(s, RLENGTH + 1)
            coded = 1
            r = r (t ~ /^[A-Za-z_]/ ? name(t, s) : t)
            if (!directive)
                sign(t)
            before2 = before
            before = t
        } else {
            s = substr(s, length(t) + 1)
            r = r t
        }
    }
    if (directive && r !~ /\\$/) {
        directive = 0
        before = before_directive
    }
    return r
}

# A name and the rest of its line: declares it if it is a declaration, and returns what it becomes.
function name(t, rest)
{
    sub(/^[ \t]+/, "", rest)
    if (!directive && !paren && !value) {
        if (!depth && t ~ /^(struct|union|enum)$/)
            opens = t == "enum" ? "enum" : "struct"
        else if (!depth && rest ~ /^([(=,;[]|__attribute__)/ && rest !~ /^\([*]/ || !depth && opens && rest ~ /^[{]/)
            declare(t)
        else if (depth == 1 && body == "enum" && before ~ /^[{,]$/)
            declare(t)
    } else if (!directive && !depth && paren == 1 && before2 before == "(*")
        declare(t) # a pointer to a function
    if (!((section, t) in newname) || before == "." || before == "->")
        return t
    if (depth && body == "struct" && !bracket && rest ~ /^[];,:)[]/)
        return t
    return newname[section, t]
}

function sign(t)
{
    if (t == "{" && depth++ == 0)
        body = opens && !value ? opens : "code"
    else if (t == "}")
        depth--
    else if (t ~ /^[(]$/)
        paren++
    else if (t == ")")
        paren--
    else if (t == "[") {
        paren++
        bracket++
    } else if (t == "]") {
        paren--
        bracket--
    }
    if (!depth && !paren) {
        if (t ~ /^[=,;]$/)
            value = t == "="
        if (t ~ /^[;})]$/) # a struct before a function's parentheses is what it returns
            opens = ""
    }
}

# What begins with opt_ is one file's alone as it is, but for kernels.c, which comes more than once.
function declare(t)
{
    if (surveyed || t ~ /^(inline|__attribute__)$/ || (section, t) in macro || t ~ /^opt_/ && section != kernels)
        return
    if (index(owners[t] " ", " " section " ") == 0)
        owners[t] = owners[t] " " section
}

# ---- Putting it together -------------------------------------------------------------------------------------------

function put_file(file, i, s, t, conditions, again)
{
    read(file)
    again = (file, to) in done
    done[file, to] = 1
    for (i = 1; i <= lines[file]; i++) {
        s = line[file, i]
        if (s ~ /^#(if|endif)/)
            conditions += s ~ /^#if/ ? 1 : -1
        if (s ~ /^#include/ && (t = included(s, file)) != "") {
            if (t ~ /[.]inc$/)
                put_file(t)
            else if (conditions)
                fail(file ": " s " within an #if")
        } else if (s ~ /^#include/ && (s ~ /<opt[.\/]/ || !conditions)) {
            if (s !~ /<opt[.\/]/ && !(s in placed)) {
                placed[s] = 1
                system_headers[part] = system_headers[part] s "\n"
            }
        } else if (s ~ /^#define _[A-Z_]*SOURCE/) {
            if (s !~ /^#define (_DEFAULT_SOURCE|_POSIX_C_SOURCE 200809L) /)
                fail(file ": opt.c.in does not have it: " s)
        } else {
            t = s
            if (sub(/^#(define|undef) /, "", t)) {
                sub(/[^A-Za-z0-9_].*/, "", t)
                macro[section, t] = s ~ /^#define/
                macros = macros " " t
            }
            s = scan(s)
            if (coded || s == "" || !again) # a second time it comes without comments
                put(s)
        }
    }
    if (depth || paren || comment || conditions)
        fail(file ": braces, comments or conditions that go on behind its end")
}

# The headers that a file includes and that are not there yet.
function put_headers(file, i, t)
{
    read(file)
    for (i = 1; i <= lines[file]; i++) {
        t = included(line[file, i], file)
        if (t ~ /[.]h$/ && !((t, to) in done))
            put_section(t, t)
    }
}

# A file as a section of its own, behind its headers.
function put_section(file, title, i, n, word)
{
    put_headers(file)
    section = file
    macros = ""
    put_title(title)
    put_file(file)
    if (file ~ /[.]c$/) {
        put("")
        n = split(macros, word, " ")
        for (i = 1; i <= n; i++)
            if (macro[section, word[i]]) {
                put("#undef " word[i])
                macro[section, word[i]] = 0
            }
    }
}

function put_kernels(isa, bytes, t)
{
    for (t in owners)
        if (index(owners[t] " ", " " kernels " "))
            newname[kernels, t] = t "_" isa
    # what its macros make names of
    for (t in dtype)
        newname[kernels, t] = t "_" isa
    put("")
    put("#define OPT__ISA " isa)
    put("#define VECTOR_BYTES " bytes)
    put_section(kernels, kernels ", " isa)
    put("#undef OPT__ISA")
}

function put_sources(i)
{
    for (i = 1; i < ARGC; i++)
        if (ARGV[i] != kernels)
            put_section(ARGV[i], ARGV[i])
}

# Reads everything, and settles what names clash.
function survey(t, n, i, file, stem)
{
    part = "opt.h"
    put_headers("include/opt.h")
    part = "opt.c"
    put_section(kernels)
    put_sources()
    surveyed = 1
    for (t in owners) {
        n = split(owners[t], file, " ")
        for (i = 1; n > 1 && i <= n; i++)
            if (file[i] ~ /[.]c$/) {
                stem = file[i]
                gsub(/^.*\/|[.]c$/, "", stem)
                newname[file[i], t] = stem "__" t
            }
    }
}

BEGIN {
    kernels = "src/kernel/kernels.c"
    dtype["f32"] = dtype["f64"] = dtype["_f32"] = dtype["_f64"] = 1
    survey()

    to = out "/opt.h"
    put_opening("opt.h")
    put("#ifndef OPT_H\n#define OPT_H\n")
    put_file("include/opt.h")
    put(system_headers["opt.h"])
    put("#ifdef __cplusplus\nextern \"C\" {\n#endif")
    put_headers("include/opt.h")
    put("")
    put("#ifdef __cplusplus\n}\n#endif\n#endif")
    close(to)

    to = out "/opt.c"
    template = "src/cmake/opt.c.in"
    while ((getline s <template) > 0) {
        split(s, word, /[ @]/)
        if (s !~ /^@/)
            put(s)
        else if (word[2] == "opening")
            put_opening(word[3])
        else if (word[2] == "system")
            put(system_headers["opt.c"])
        else if (word[2] == "kernels")
            put_kernels(word[3], word[4])
        else if (word[2] == "sources")
            put_sources()
        else
            fail(template ": " s)
    }
    close(to)
}
