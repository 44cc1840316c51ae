#!/bin/sh
# usage: check_symbols.sh [BUILD [ROOT]]
# The library exports what the public header declares.  It must not hold: exported names other than quamba_*, calls that print, exit, read the
# environment or ask libm for what is not exact, variables that can be written.  And getenv stands in src/cli/env.c only.
set -eu
root=$(cd "${2:-$(dirname "$0")/..}" && pwd)
build=${1:-$root/build}
shared=$build/src/libquamba.so
static=$build/src/libquamba.a
bad=0

complain() { # complain HEADING < lines; nothing happens when there are none
    lines=$(cat)
    [ -n "$lines" ] || return 0
    printf '%s\n%s\n' "$1" "$lines" | sed '2,$s/^/    /'
    bad=1
}

for file in "$shared" "$static"; do
    [ -e "$file" ] || { echo "check_symbols: no $file (build first)" >&2; exit 2; }
done

complain "exported, but not quamba_*:" <<END
$(nm -D --defined-only "$shared" | awk '$3 !~ /^quamba_/ && $2 != "A" {print $3}')
END

complain "declared in the public header, but not exported:" <<END
$(cat "$root"/include/quamba/*.h | tr '\n' ' ' | grep -oE 'QUAMBA_API [^;(]*\(' |
    sed -n 's/.*[ *]\(quamba_[a-z0-9_]*\)($/\1/p' | while read -r name; do
        nm -D --defined-only "$shared" | grep -q " $name$" || echo "$name"
    done)
END

# Undefined symbols of the members; glibc's fortified twins (__printf_chk) count as their originals.
complain "called by the library (file: function):" <<END
$(nm -A -u "$static" | awk '
BEGIN {
    n = split("exit _exit _Exit quick_exit abort atexit getenv secure_getenv setenv putenv unsetenv " \
              "printf fprintf vprintf vfprintf dprintf vdprintf sprintf vsprintf puts fputs putchar " \
              "putc fputc perror psignal err errx warn warnx syslog stdin stdout stderr system popen " \
              "signal sigaction setlocale rand srand random srandom strtok strerror", word, " ")
    for (i = 1; i <= n; i++) forbidden[word[i]] = 1
    # libm differs from system to system; fma, sqrt, floor and the like are exact and stay allowed
    n = split("exp exp2 exp10 expm1 log log2 log10 log1p pow cbrt hypot sin cos tan sincos asin acos " \
              "atan atan2 sinh cosh tanh asinh acosh atanh erf erfc lgamma tgamma", word, " ")
    for (i = 1; i <= n; i++) forbidden[word[i]] = forbidden[word[i] "f"] = forbidden[word[i] "l"] = 1
}
{
    name = $NF
    sub(/@.*$/, "", name)
    sub(/^__/, "", name)
    sub(/_chk$/, "", name)
    if (name in forbidden) {
        split($1, part, ":")
        print part[2] ": " name
    }
}')
END

# Constant tables of pointers live in .data.rel.ro, which nm calls data too: look at the section.
complain "can be written (file: variable):" <<END
$(objdump -t "$static" | awk '
/file format/ { file = $1; sub(/:$/, "", file) }
/^[0-9a-f]+ / {
    at = index($0, " ") # then 7 columns of flags, the section, a tab, size and name
    flags = substr($0, at + 1, 7)
    section = substr($0, at + 9)
    sub(/[ \t].*$/, "", section)
    if (flags ~ /[df]/ || section ~ /^\.data\.rel\.ro/) next # d: the section itself
    if (section ~ /^(\.t?data|\.t?bss|\*COM\*)/) print file ": " $NF
}')
END

complain "getenv outside src/cli/env.c:" <<END
$(cd "$root" && grep -rnwE '(secure_)?getenv|environ' src include --include='*.[ch]' |
    grep -v '^src/cli/env\.c:' || true)
END
exit "$bad"
