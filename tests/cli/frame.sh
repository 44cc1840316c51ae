#!/bin/bash
# The program's frame: help, options, exit statuses, output that cannot be written.
. "$QUAMBA_SOURCE_DIR/tests/cli/common.bash"

# check NAME COMMAND...: the command must succeed.
check() {
    local name=$1
    shift
    "$@" > "$dir/log" 2>&1 && return
    cat "$dir/log"
    fail "$name"
}

# The program's own list is the list of commands here.
commands=$("$QUAMBA" help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
[ -n "$commands" ] || { echo "FAILED: no command in quamba help"; exit 1; }

# ---- help ----
ends 2 '^usage: quamba COMMAND' "$QUAMBA"
check "without a command nothing goes to stdout" test ! -s "$dir/out"
ends 0 '^usage: quamba COMMAND' "$QUAMBA" --help
ends 0 '^usage: quamba COMMAND' "$QUAMBA" -h
ends 0 '^quamba [0-9]+\.[0-9]+\.[0-9]+$' "$QUAMBA" --version
for command in $commands; do
    ends 0 "^usage: quamba $command" "$QUAMBA" "$command" --help
    check "$command --help says nothing on stderr" test ! -s "$dir/err"
    check "$command --help is at most 80 columns wide" \
        awk 'length > 80 { print; bad = 1 } END { exit bad }' "$dir/out"
    cp "$dir/out" "$dir/long"
    ends 0 . "$QUAMBA" help "$command"
    check "help $command equals $command --help" cmp "$dir/out" "$dir/long"
    ends 0 '^\.TH QUAMBA' "$QUAMBA" help --man "$command"
    ends 0 '^quamba [0-9]' "$QUAMBA" "$command" --version
done
ends 0 '' "$QUAMBA" help --man all --output "$dir/man/man1"
for page in quamba $(printf 'quamba-%s ' $commands); do
    check "$page.1 exists" test -s "$dir/man/man1/$page.1"
done
if command -v mandoc > /dev/null; then
    check "mandoc finds nothing to say" mandoc -Tlint -Wall "$dir"/man/man1/*.1
else
    echo "SKIPPED: the check of man pages needs mandoc"
fi

# ---- mistakes ----
ends 2 'unknown command mods: did you mean modes' "$QUAMBA" mods
ends 2 'unknown command xyzzy: .*quamba help' "$QUAMBA" xyzzy
ends 2 'unknown command : ' "$QUAMBA" ''
ends 2 'the command comes first' "$QUAMBA" --json modes list
ends 2 'no command hlep: did you mean help' "$QUAMBA" help hlep
ends 2 'unknown option --jsno: did you mean --json' "$QUAMBA" modes list --jsno
ends 2 'did you mean --progress' "$QUAMBA" modes list --prog=always
ends 2 'unknown option --xyzzy: .*--help' "$QUAMBA" modes list --xyzzy
ends 2 'unknown option -x' "$QUAMBA" modes list -x
ends 2 'unknown option -qv' "$QUAMBA" modes list -qv
ends 2 'takes no option --output \(.*help' "$QUAMBA" modes list --output x
ends 2 '--json takes no value, but got "1"' "$QUAMBA" modes list --json=1
ends 2 '--man needs a value' "$QUAMBA" help --man
ends 2 '--progress: "perhaps" is none of auto, always, never' "$QUAMBA" modes list --progress perhaps
ends 2 'argument is missing: quamba modes list' "$QUAMBA" modes
ends 2 'unexpected argument "more"' "$QUAMBA" modes list more
ends 2 'unexpected argument "--json"' "$QUAMBA" modes list -- --json
ends 2 'no such mode|"lits" is not known' "$QUAMBA" modes lits

# ---- forms that must be understood ----
ends 0 '^fp32 ' "$QUAMBA" modes list
ends 0 '"id": "fp32"' "$QUAMBA" modes --json list
ends 0 '"id": "fp32"' "$QUAMBA" modes list --json --progress=never -q
ends 0 '^fp32 ' "$QUAMBA" modes -- list
ends 0 '^\.TH QUAMBA 1' "$QUAMBA" help --man=quamba
ends 0 '' "$QUAMBA" help --man quamba -o "$dir/short"
ends 0 '' "$QUAMBA" help --man quamba -o"$dir/glued"
check "-o DIR and -oDIR" cmp "$dir/short/quamba.1" "$dir/glued/quamba.1"

# ---- output that cannot be written ----
for arguments in 'modes list' 'modes list --json' '--help' '--version' 'help modes' 'help --man all'; do
    ends 1 'standard output: No space left' bash -c "'$QUAMBA' $arguments > /dev/full"
    ends 1 'standard output: Bad file' bash -c "'$QUAMBA' $arguments >&-"
done
# The reader is gone before anything is written: the pipe is closed as soon as bash has opened it.
ends 1 'standard output: Broken pipe' \
    bash -c "{ sleep 0.2; '$QUAMBA' modes list; echo \$? > '$dir/status'; } | true; exit \$(cat '$dir/status')"
ends 1 'quamba: ' "$QUAMBA" help --man all --output /dev/null/x

finish
