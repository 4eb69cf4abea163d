# SPDX-License-Identifier: MIT
#
# Lists the mutants of a C file as "line TAB column TAB length TAB by": those many characters there are to be replaced.
# Only code within functions is looked at, without comments and texts.

# The line with comments and texts blanked, so that columns stay.
function blank(line,    out, i, c, two) {
    out = ""
    for (i = 1; i <= length(line); i++) {
        c = substr(line, i, 1)
        two = substr(line, i, 2)
        if (comment) {
            if (two == "*/") { comment = 0; out = out "  "; i++ } else out = out " "
        } else if (quote != "") {
            if (c == "\\") { out = out "  "; i++; continue }
            if (c == quote) quote = ""
            out = out " "
        } else if (two == "/*") { comment = 1; out = out "  "; i++
        } else if (c == "\"" || c == "'") { quote = c; out = out "@"
        } else out = out c
    }
    quote = ""
    return out
}

function mutant(column, len, by) { print NR "\t" column "\t" len "\t" by }

# Where the bracket that opens at i is closed, on this line; 0: it is not.
function closing(code, i,    depth, c) {
    for (depth = 0; i <= length(code); i++) {
        c = substr(code, i, 1)
        depth += c == "("
        depth -= c == ")"
        if (depth == 0) return i
    }
    return 0
}

BEGIN {
    n = split("<= >= == != && || += -= ++ -- < >", token, " ")
    split("< > != == || && -= += -- ++ <= >=", other, " ")
}

{ code = blank($0) }

/^[^ \t]/ { ends = 1 } # a function's head, a brace or a declaration
/^#/ || code !~ /^[ \t]+[^ \t]/ { next }
code ~ /^[ \t]+(static|enum|typedef|case)/ { next }

{
    for (i = 1; i <= length(code); i++) {
        rest = substr(code, i)
        before = i > 1 ? substr(code, i - 1, 1) : " "
        if (rest ~ /^(->|<<|>>)/) { i++; continue }
        for (t = 1; t <= n; t++)
            if (substr(rest, 1, length(token[t])) == token[t]) break
        if (t <= n) { mutant(i, length(token[t]), other[t]); i += length(token[t]) - 1; continue }
        if (before == " " && rest ~ /^[-+*\/] /) {
            c = substr(rest, 1, 1)
            mutant(i, 1, c == "+" ? "-" : c == "-" ? "+" : c == "*" ? "/" : "*")
        } else if (before !~ /[A-Za-z_0-9.]/ && match(rest, /^[0-9]+/) && substr(rest, RLENGTH + 1, 1) !~ /[A-Za-z_0-9.]/) {
            number = substr(rest, 1, RLENGTH)
            mutant(i, RLENGTH, number == "0" ? "1" : number == "1" ? "0" : number + 1)
            if (number == "1") mutant(i, RLENGTH, "2")
        } else if (before !~ /[A-Za-z_0-9]/ && match(rest, /^(if|while) \(/) && (close_at = closing(code, i + RLENGTH - 1))) {
            first = i + RLENGTH
            mutant(first, close_at - first, "!(" substr($0, first, close_at - first) ")")
        }
    }
    # a call or an assignment that is a statement, and all on this line
    if (ends && code ~ /^[ \t]+\*?\(*[A-Za-z_][][A-Za-z_0-9.>+*-]*( [-+*\/|&^]?= |\(|\+\+;|--;).*;[ \t]*$/ &&
        code !~ /^[ \t]+(return|if|for|while|switch|do|else)[^A-Za-z_0-9]/) {
        match(code, /[^ \t]/)
        mutant(RSTART, length(code) - RSTART + 1, ";")
    }
    ends = code ~ /([;{}:]|else|^[ \t]+(if|for|while) \(.*\))[ \t]*$/
}
