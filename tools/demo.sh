#!/bin/bash
# `make demo`: the small trained model writes a paragraph and is scored, with nothing but what the
# repository holds.  Every command is printed as it can be typed.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
quamba=${BUILD:-build}/quamba
model=models/demo

bold='' dim='' plain=''
if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; fi

heading() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
run() { # run ARGUMENTS: shows the command, quoted where the shell needs it, and runs it
    local argument line=$quamba
    for argument in "$@"; do
        case $argument in
        *[!A-Za-z0-9._/,=-]*) line+=" \"$argument\"" ;;
        *) line+=" $argument" ;;
        esac
    done
    printf '%s$ %s%s\n\n' "$dim" "$line" "$plain"
    "$quamba" "$@"
}

heading "1. A paragraph"
run generate $model --prompt "It was a dark winter evening, and" --max-tokens 87 --temperature 0.8 \
    --top-p 0.9 --seed 6

heading "2. The last word of $(wc -l <data/cloze.jsonl) short stories: how many does it guess?"
run eval $model --tasks cloze
echo
echo "acc: the share of last words that it guesses (about one in eight, with 11.6 million parameters);"
echo "perplexity: how many words it hesitates between.  Every machine gets the same numbers."

heading "What next"
next() { printf '  %-62s %s\n' "$1" "$2"; }
next "$quamba generate $model --prompt \"Once upon a time\"" "write something else"
next "$quamba help" "all commands"
next "make test" "the tests"
next "less README.md" "what works, and where things are"
