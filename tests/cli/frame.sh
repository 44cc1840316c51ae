#!/bin/bash
# The program's frame: help, options, exit statuses, output that cannot be written.
set -u
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
unset QUAMBA_MODE QUAMBA_CPU
failures=0

# expect STATUS PATTERN COMMAND...: the exit status, and an extended regular expression that stdout
# and stderr together must contain.
expect() {
    local want=$1 pattern=$2 got
    shift 2
    "$@" > "$dir/out" 2> "$dir/err"
    got=$?
    if [ "$got" != "$want" ]; then
        echo "FAILED: $*: status $got, expected $want"
        cat "$dir/out" "$dir/err"
        failures=$((failures + 1))
    elif [ -n "$pattern" ] && ! cat "$dir/out" "$dir/err" | grep -Eq -e "$pattern"; then
        echo "FAILED: $*: nothing matches $pattern in"
        cat "$dir/out" "$dir/err"
        failures=$((failures + 1))
    fi
}

# check NAME COMMAND...: the command must succeed.
check() {
    local name=$1
    shift
    "$@" > "$dir/log" 2>&1 && return
    echo "FAILED: $name"
    cat "$dir/log"
    failures=$((failures + 1))
}

# The program's own list is the list of commands here.
commands=$("$QUAMBA" help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
[ -n "$commands" ] || { echo "FAILED: no command in quamba help"; exit 1; }

# ---- help ----
expect 2 '^usage: quamba COMMAND' "$QUAMBA"
check "without a command nothing goes to stdout" test ! -s "$dir/out"
expect 0 '^usage: quamba COMMAND' "$QUAMBA" --help
expect 0 '^usage: quamba COMMAND' "$QUAMBA" -h
expect 0 '^quamba [0-9]+\.[0-9]+\.[0-9]+$' "$QUAMBA" --version
for command in $commands; do
    expect 0 "^usage: quamba $command" "$QUAMBA" "$command" --help
    check "$command --help says nothing on stderr" test ! -s "$dir/err"
    check "$command --help is at most 80 columns wide" \
        awk 'length > 80 { print; bad = 1 } END { exit bad }' "$dir/out"
    cp "$dir/out" "$dir/long"
    expect 0 . "$QUAMBA" help "$command"
    check "help $command equals $command --help" cmp "$dir/out" "$dir/long"
    expect 0 '^\.TH QUAMBA' "$QUAMBA" help --man "$command"
    expect 0 '^quamba [0-9]' "$QUAMBA" "$command" --version
done
expect 0 '' "$QUAMBA" help --man all --output "$dir/man/man1"
for page in quamba $(printf 'quamba-%s ' $commands); do
    check "$page.1 exists" test -s "$dir/man/man1/$page.1"
done
if command -v mandoc > /dev/null; then
    check "mandoc finds nothing to say" mandoc -Tlint -Wall "$dir"/man/man1/*.1
else
    echo "SKIPPED: the check of man pages needs mandoc"
fi

# ---- mistakes ----
expect 2 'unknown command mods: did you mean modes' "$QUAMBA" mods
expect 2 'unknown command xyzzy: .*quamba help' "$QUAMBA" xyzzy
expect 2 'unknown command : ' "$QUAMBA" ''
expect 2 'the command comes first' "$QUAMBA" --json modes list
expect 2 'no command hlep: did you mean help' "$QUAMBA" help hlep
expect 2 'unknown option --jsno: did you mean --json' "$QUAMBA" modes list --jsno
expect 2 'did you mean --progress' "$QUAMBA" modes list --prog=always
expect 2 'unknown option --xyzzy: .*--help' "$QUAMBA" modes list --xyzzy
expect 2 'unknown option -x' "$QUAMBA" modes list -x
expect 2 'unknown option -qv' "$QUAMBA" modes list -qv
expect 2 'takes no option --output \(.*help' "$QUAMBA" modes list --output x
expect 2 '--json takes no value, but got "1"' "$QUAMBA" modes list --json=1
expect 2 '--man needs a value' "$QUAMBA" help --man
expect 2 '--progress: "perhaps" is none of auto, always, never' "$QUAMBA" modes list --progress perhaps
expect 2 'argument is missing: quamba modes list' "$QUAMBA" modes
expect 2 'unexpected argument "more"' "$QUAMBA" modes list more
expect 2 'unexpected argument "--json"' "$QUAMBA" modes list -- --json
expect 2 'no such mode|"lits" is not known' "$QUAMBA" modes lits

# ---- forms that must be understood ----
expect 0 '^fp32 ' "$QUAMBA" modes list
expect 0 '"id": "fp32"' "$QUAMBA" modes --json list
expect 0 '"id": "fp32"' "$QUAMBA" modes list --json --progress=never -q
expect 0 '^fp32 ' "$QUAMBA" modes -- list
expect 0 '^\.TH QUAMBA 1' "$QUAMBA" help --man=quamba
expect 0 '' "$QUAMBA" help --man quamba -o "$dir/short"
expect 0 '' "$QUAMBA" help --man quamba -o"$dir/glued"
check "-o DIR and -oDIR" cmp "$dir/short/quamba.1" "$dir/glued/quamba.1"

# ---- output that cannot be written ----
for arguments in 'modes list' 'modes list --json' '--help' '--version' 'help modes' 'help --man all'; do
    expect 1 'standard output: No space left' bash -c "'$QUAMBA' $arguments > /dev/full"
    expect 1 'standard output: Bad file' bash -c "'$QUAMBA' $arguments >&-"
done
# The reader is gone before anything is written: the pipe is closed as soon as bash has opened it.
expect 1 'standard output: Broken pipe' \
    bash -c "{ sleep 0.2; '$QUAMBA' modes list; echo \$? > '$dir/status'; } | true; exit \$(cat '$dir/status')"
expect 1 'quamba: ' "$QUAMBA" help --man all --output /dev/null/x

[ "$failures" = 0 ] || { echo "$failures failures"; exit 1; }
