#!/bin/bash
# `make demo`: the small trained model is quantized, writes a paragraph and is scored in seven modes,
# which are then compared edge by edge on a page; with nothing but what the repository holds.  Every command is printed as it can be typed.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
quamba=${BUILD:-build}/quamba
model=models/demo
demo=${BUILD:-build}/demo
w8a8=$demo/w8a8

bold='' dim='' plain=''
if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; fi

heading() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
show() { # show ARGUMENTS: the command, quoted where the shell needs it
    local argument line=$quamba
    for argument in "$@"; do
        case $argument in
        *[!A-Za-z0-9._/,=-]*) line+=" \"$argument\"" ;;
        *) line+=" $argument" ;;
        esac
    done
    printf '%s$ %s%s\n\n' "$dim" "$line" "$plain"
}
run() {
    show "$@"
    "$quamba" "$@"
}

heading "1. Quantize: 8-bit weights and activations, calibrated on data/calibration.jsonl"
if [ -e "$w8a8"/config.json ]; then
    echo "$w8a8 is there from an earlier run; remove it to see this step again."
else
    run quantize -o "$w8a8" $model
fi

heading "2. A paragraph, in INT8 throughout (mode 0)"
run generate "$w8a8" --prompt "It was a dark winter evening, and" --max-tokens 87 --temperature 0.8 \
    --top-p 0.9 --seed 6

heading "3. The last word of $(wc -l <data/cloze.jsonl) short stories, in the seven modes and unquantized (fp16)"
printf '%s$ ./QUICK_RUN.sh all --full --model %s --reference %s --task_list cloze%s\n\n' \
    "$dim" "$w8a8" $model "$plain"
QUAMBA=$quamba ./QUICK_RUN.sh all --full --model "$w8a8" --reference $model --task_list cloze \
    --log_dir "$demo/logs"
echo
echo "A mode says in which number format values travel from the convolution to the scan; 'log-lik. minus 0' is"
echo "what it gains per word against mode 0, 'p' whether its guesses differ by more than chance.  Every"
echo "machine gets the same numbers.  With 11.6 million parameters it guesses about one word in eight."

heading "4. Every edge of every layer, against mode 0: a page to look at"
# It takes over what step 3 scored, so that only fp32 is scored here.
rm -rf "$demo/compare" && mkdir "$demo/compare" && cp "$demo"/logs/mode*/*.jsonl "$demo/compare"
compare=(compare --modes "0,2-0,2-1,2-2,2-3,2-4,3,fp32" --reference $model --edge-tokens 1024
    --first-divergence --log-dir "$demo/compare" --resume --html "$demo/compare.html" --quiet "$w8a8")
show "${compare[@]}"
"$quamba" "${compare[@]}" >"$demo/compare.txt"
echo "Open $demo/compare.html in a browser: scores with intervals, the number format at every edge, a heat map of"
echo "the errors by layer and edge, and distributions with their clip range.  Tables: $demo/compare.txt"

heading "What next"
next() { printf '  %-62s %s\n' "$1" "$2"; }
next "$quamba generate $model --prompt \"Once upon a time\"" "write something else"
next "$quamba modes show 2-4" "the number format at every edge"
next "$quamba help" "all commands"
next "make test" "the tests"
next "less README.md" "what works, and where things are"
