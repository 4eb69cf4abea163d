# SPDX-License-Identifier: MIT
#
# LC_ALL=C awk -v version=VERSION -v out=FOLDER -f man.awk include/opt.h
#
# Writes manual pages from what the public headers say: libopt.3 from opt.h, opt_<name>.3 from each header that it lists,
# and for each function and constant a page that stands for its header's, so that `man opt_adam` finds opt_methods.3.
#
# A header has the licence and the comment that opens it, then groups between blank lines. A group is a comment and what it
# is about, or a comment alone; "---- Title ----" begins a section. In comments, lines indented by four spaces stay as they
# are, "  - " begins a point of a list, and everything else is filled. The C locale makes every character one byte.

BEGIN {
    for (i = 128; i < 256; i++)
        byte[sprintf("%c", i)] = i
    # What roff would change, or take for its own.
    special["\\"] = "\\(rs"
    special["-"] = "\\-"
    special["'"] = "\\(aq"
    special["`"] = "\\(ga"
    special["^"] = "\\(ha"
    special["~"] = "\\(ti"
}

# ---- Text as roff --------------------------------------------------------------------------------------------------

# The character that begins at byte i of s; how many bytes it has goes to `width`.
function character(s, i, code, c)
{
    c = substr(s, i, 1)
    width = 1
    if (!(c in byte))
        return c in special ? special[c] : c
    if (byte[c] < 192)
        return fail("a stray byte in \"" s "\"")
    width = byte[c] < 224 ? 2 : byte[c] < 240 ? 3 : 4
    code = byte[c] % (width == 2 ? 32 : width == 3 ? 16 : 8)
    for (c = 1; c < width; c++)
        code = code * 64 + byte[substr(s, i + c, 1)] % 64
    return sprintf("\\[u%04X]", code)
}

# As it stands: for code and formulas.
function verbatim(s, i, r)
{
    for (i = 1; i <= length(s); i += width)
        r = r character(s, i)
    return r ~ /^[.]/ ? "\\&" r : r
}

# A hyphen in a word stays one; any other is a minus that can be pasted into a program. Apostrophes may curl.
function words(s, i, c, r)
{
    for (i = 1; i <= length(s); i += width) {
        c = character(s, i)
        if (c == "\\-" && substr(s, i - 1, 1) ~ /[A-Za-z0-9]/ && substr(s, i + 1, 1) ~ /[A-Za-z]/)
            c = "-"
        r = r (c == "\\(aq" ? "'" : c)
    }
    return r
}

# A sentence; our names and what stands between grave accents in bold.
function sentence(s, r, name)
{
    while (match(s, /`[^`]*`|(opt|OPT)_[A-Za-z0-9_]*/)) {
        name = substr(s, RSTART, RLENGTH)
        gsub(/`/, "", name)
        r = r words(substr(s, 1, RSTART - 1)) "\\fB" verbatim(name) "\\fR"
        s = substr(s, RSTART + RLENGTH)
    }
    r = r words(s)
    return r ~ /^[.']/ ? "\\&" r : r
}

# A sentence's roff in lines of up to 80 characters. Not to be taken for its end, a full stop at a line's end gets a \&.
function folded(s, i, line, r)
{
    while (length(s) > 80) {
        for (i = 80; i > 1 && substr(s, i, 1) != " "; i--)
            ;
        if (i == 1)
            break
        line = substr(s, 1, i - 1)
        s = substr(s, i + 1)
        r = r line (line ~ /[.?!]$/ ? "\\&" : "") "\n" (s ~ /^[.']/ ? "\\&" : "")
    }
    return r s "\n"
}

# A paragraph: each sentence begins a line, for roff to space.
function paragraph(s, rest, r)
{
    while (match(s, /[^. ][.?!][)"]? [A-Z`]/)) {
        rest = RSTART + RLENGTH - 1
        r = r folded(sentence(substr(s, 1, rest - 2)))
        s = substr(s, rest)
    }
    return r folded(sentence(s))
}

# A comment's lines. `between` is what goes before the first paragraph.
function text(s, between, line, n, i, kind, now, p, r)
{
    n = split(s "\n\n", line, "\n")
    for (i = 1; i <= n; i++) {
        now = line[i] == "" ? "" : line[i] ~ /^  - / ? "point" : line[i] !~ /^    / ? "plain" : \
            kind == "point" ? kind : "formula"
        if (p != "" && (now != kind || line[i] ~ /^  - /)) {
            r = r between (kind == "point" ? ".IP \\(bu 2\n" : "") paragraph(p)
            between = ".PP\n"
            p = ""
        }
        if (now == "formula" && kind != now) {
            r = r between ".RS 4\n.nf\n"
            between = ".PP\n"
        }
        if (kind == "formula" && now != kind)
            r = r ".fi\n.RE\n"
        kind = now
        if (kind == "formula")
            r = r verbatim(substr(line[i], 5)) "\n"
        else if (kind != "") {
            sub(/^ *(- )?/, "", line[i])
            p = p (p == "" ? "" : " ") line[i]
        }
        if (kind == "point")
            between = ""
    }
    return r
}

# Lines of code, in bold but for structs of many lines.
function listing(s, line, n, i, bold, r)
{
    bold = s !~ /[{].*\n/
    n = split(s, line, "\n")
    for (i = 1; i <= n; i++)
        r = r (bold ? "\\fB" verbatim(line[i]) "\\fR" : verbatim(line[i])) "\n"
    return r
}

function unfilled(lines)
{
    return ".nf\n" lines ".fi\n"
}

# ---- Reading the headers -------------------------------------------------------------------------------------------

function fail(why)
{
    if (!failed)
        print "man.awk: " FILENAME ": " why >"/dev/stderr"
    failed = 1
    exit 1
}

# `s` without comments; one that goes on is remembered in `within`.
function without_comments(s, r, end)
{
    for (;;) {
        if (within) {
            end = index(s, "*/")
            if (!end)
                return r
            s = substr(s, end + 2)
            within = 0
        }
        end = index(s, "/*")
        if (!end)
            return r s
        r = r substr(s, 1, end - 1)
        s = substr(s, end + 2)
        within = 1
    }
}

function count(s, c)
{
    return gsub(c, "", s)
}

# The name that a declaration, without its comments, is about; its kind goes to `kind`.
function name_of(s)
{
    kind = "type"
    if (s ~ /^#/) {
        kind = "macro"
        sub(/^# *define +/, "", s)
    } else if (s ~ /^typedef [^{]*\([*]/)
        s = substr(s, index(s, "(*") + 2)
    else if (s ~ /^(typedef )?(struct|enum|union) [A-Za-z0-9_]+ *[{;]/)
        sub(/^(typedef )?(struct|enum|union) /, "", s)
    else if (s ~ /^typedef/)
        sub(/.*[ *]/, "", s)
    else if (s ~ /^extern/) {
        kind = "object"
        sub(/.*[ *]/, "", s)
    } else {
        kind = "function"
        sub(/\(.*/, "", s)
        sub(/.*[ *]/, "", s)
    }
    sub(/[^A-Za-z0-9_].*/, "", s)
    if (s !~ /^(opt|OPT)_/)
        fail("cannot read \"" item "\"")
    return s
}

function end_of_item(name)
{
    name = name_of(bare)
    if (name ~ /_H$/ && kind == "macro") {
        item = bare = ""
        return
    }
    if (index(", " names ", ", ", " name ", ") == 0)
        names = names (names == "" ? "" : ", ") name
    items = items listing(item)
    if (item ~ /[{].*\n/)
        sub(/[{].*[}]/, "{ ... }", item)
    synopsis[page] = synopsis[page] listing(item)
    if (kind == "function" || kind == "object") {
        stands_for[name] = page
        alias[++aliases] = name
    }
    item = bare = ""
}

function end_of_group()
{
    if (item != "")
        fail("no end of \"" item "\"")
    sub(/\n+$/, "", comment)
    if (names != "")
        body[page] = body[page] ".SS " names "\n" unfilled(items) text(comment, ".PP\n")
    else if (comment ~ /^---- /) {
        sub(/^---- /, "", comment)
        sub(/ -*$/, "", comment)
        body[page] = body[page] ".SH " toupper(words(comment)) "\n"
    } else if (comment != "" && !(page in opening))
        opening[page] = comment
    else if (match(comment, /^[A-Z][a-z ]*[.] /)) # "Readers. They ...": a title
        body[page] = body[page] ".SS " substr(comment, 1, RLENGTH - 2) "\n" text(substr(comment, RLENGTH + 1), "")
    else if (comment != "")
        body[page] = body[page] (body[page] ~ /\n[.]SH [^\n]*\n$/ ? "" : ".PP\n") text(comment, "")
    comment = names = items = ""
}

FNR == 1 {
    end_of_group()
    page = FILENAME
    sub(/.*\//, "", page)
    sub(/[.]h$/, "", page)
    page = page == "opt" ? "libopt" : "opt_" page
    pages[++npages] = page
}

# opt.h's own list of the headers says what each is about.
page == "libopt" && /^ \*     [a-z]+[.]h / {
    header = $2
    sub(/[.]h$/, "", header)
    about["opt_" header] = $0
    sub(/^ \*     [a-z]+[.]h */, "", about["opt_" header])
    folder = FILENAME
    sub(/[^\/]*$/, "", folder)
    ARGV[ARGC++] = folder "opt/" header ".h"
}
page == "libopt" && /^# *include "/ {
    header = $2
    gsub(/^.*\/|[.]h"$/, "", header)
    if (!("opt_" header in about))
        fail("opt.h does not list it: " header)
    included["opt_" header] = 1
}

# Comments between items
item == "" && (in_comment || /^\/\*/) {
    if (!in_comment && names != "")
        end_of_group()
    in_comment = !/\*\/$/
    line = $0
    sub(/ *\*\/$/, "", line)
    sub(/^(\/\*| \*) ?/, "", line)
    if (line !~ /^SPDX-License-Identifier/)
        comment = comment (comment == "" || line == "" && comment ~ /\n$/ ? "" : "\n") line
    sub(/^\n+/, "", comment)
    next
}

item == "" && /^$/ {
    end_of_group()
    next
}
item == "" && (/^# *(if|ifdef|ifndef|else|elif|endif|include|undef)/ || /^extern "C"/ || /^[}]$/) {
    next
}
{
    item = item (item == "" ? "" : "\n") $0
    bare = bare (bare == "" ? "" : " ") without_comments($0)
    if (item ~ /^#/ ? !/\\$/ : !within && bare ~ /; *$/ && count(bare, "[{]") == count(bare, "[}]"))
        end_of_item()
}

# ---- Writing the pages ---------------------------------------------------------------------------------------------

# The first sentence of a header's opening comment.
function first_sentence(s)
{
    sub(/\n\n.*/, "", s)
    gsub(/\n/, " ", s)
    if (match(s, /[.] [A-Z]/))
        s = substr(s, 1, RSTART)
    sub(/:$/, ".", s)
    return s
}

function see_also(page, i, r)
{
    for (i = 1; i <= npages; i++)
        if (pages[i] != page)
            r = r ".BR " pages[i] " (3)" (i == npages || i == npages - 1 && pages[npages] == page ? "" : ",") "\n"
    return r
}

# write_page NAME ABOUT SYNOPSIS DESCRIPTION
function write_page(page, about, synopsis, description, i, r)
{
    r = page
    for (i = 1; i <= aliases; i++)
        if (stands_for[alias[i]] == page && alias[i] != page)
            r = r ", " alias[i]
    r = ".SH NAME\n" folded(r " \\- " words(about)) ".SH SYNOPSIS\n" synopsis ".SH DESCRIPTION\n" description
    r = ".TH " toupper(page) " 3 \"\" \"libopt " version "\" \"libopt\"\n.nh\n.ad l\n" r ".SH SEE ALSO\n" see_also(page)
    printf "%s", r >(out "/" page ".3")
    close(out "/" page ".3")
}

function overview(i, r, about)
{
    about = first_sentence(opening["libopt"])
    sub(/^libopt: /, "", about)
    sub(/[.]$/, "", about)
    r = text(substr(opening["libopt"], index(opening["libopt"], "\n\n") + 2), "") ".SH PAGES\n"
    for (i = 2; i <= npages; i++)
        r = r ".TP\n.BR " pages[i] " (3)\n" paragraph(first_sentence(opening[pages[i]]))
    r = r ".PP\nEach function has a page of its name as well.\n"
    r = r ".SH LINKING\n" text("With a compiler alone:\n\n    cc file.c -lopt -lm -pthread\n\n" \
        "With pkg-config, which knows what else the library was built to need:\n\n" \
        "    cc file.c $(pkg-config --cflags --libs opt)\n\nWith CMake:\n\n    find_package(opt REQUIRED)\n" \
        "    target_link_libraries(program PRIVATE opt::opt)", "")
    write_page("libopt", about, unfilled(listing("#include <opt.h>")), r)
}

END {
    if (failed)
        exit 1
    end_of_group()
    if (npages < 2)
        fail("includes no headers")
    for (i = 2; i <= npages; i++) {
        page = pages[i]
        how = "#include <opt.h>"
        if (!(page in included))
            how = how "\n#include <opt/" substr(page, 5) ".h>"
        write_page(page, about[page], unfilled(listing(how) "\n" synopsis[page]),
            text(opening[page], "") body[page])
        stands_for[page] = page
    }
    for (i = 1; i <= aliases; i++)
        if (stands_for[alias[i]] != alias[i]) {
            print ".so man3/" stands_for[alias[i]] ".3" >(out "/" alias[i] ".3")
            close(out "/" alias[i] ".3")
        }
    overview()
}
