#!/bin/bash
# quamba generate with the demo model: reproducible, greedy equals the reference, stop texts, forms
# of output, state files, Ctrl-C, bad input.
. "$QUAMBA_SOURCE_DIR/tests/cli/common.bash"
model=$QUAMBA_SOURCE_DIR/models/demo
[ -e "$model/config.json" ] || model=$QUAMBA_SHARED_DIR/models/demo
[ -e "$model/config.json" ] || { echo "SKIPPED: needs models/demo or ../shared/models/demo"; exit 77; }
# same NAME WANTED GOT
same() {
    [ "$2" = "$3" ] || fail "$1: wanted [$2], got [$3]"
}

# refused STATUS PATTERN ARGUMENTS...: the exit status, and what stderr must say.
refused() {
    local want=$1 pattern=$2 got
    shift 2
    "$QUAMBA" generate --threads 1 "$@" > "$dir/out" 2> "$dir/err" < /dev/null
    got=$?
    [ "$got" = "$want" ] || fail "generate $*: status $got, expected $want: $(cat "$dir/err")"
    grep -Eq -e "$pattern" "$dir/err" || fail "generate $*: no $pattern in: $(cat "$dir/err")"
}

# One thread: the tests run side by side, and 24 tokens need no more.
run() { "$QUAMBA" generate "$model" --threads 1 --threads 1 "$@" 2> "$dir/err" < /dev/null; }

prompt='The old lighthouse keeper'

# ---- the same text from the same seed, and only from it ----
first=$(run --quiet --prompt "$prompt" --seed 7 --max-tokens 24)
[ -n "$first" ] || fail "nothing was generated: $(cat "$dir/err")"
same "--quiet says nothing on stderr" '' "$(cat "$dir/err")"
same "the same seed again" "$first" "$(run --quiet --prompt "$prompt" --seed 7 --max-tokens 24)"
same "--threads 2" "$first" "$(run --quiet --prompt "$prompt" --seed 7 --max-tokens 24 --threads 2)"
same "--threads 3" "$first" "$(run --quiet --prompt "$prompt" --seed 7 --max-tokens 24 --threads 3)"
same "--cpu scalar" "$first" "$(run --quiet --prompt "$prompt" --seed 7 --max-tokens 24 --cpu scalar)"
[ "$first" != "$(run --quiet --prompt "$prompt" --seed 8 --max-tokens 24)" ] ||
    fail "another seed draws the same text"

# ---- forms of input and output ----
same "the prompt comes first" "$prompt$first" "$(run --prompt "$prompt" --seed 7 --max-tokens 24)"
grep -q '^quamba: 24 tokens up to the limit at ' "$dir/err" || fail "no statistics: $(cat "$dir/err")"
same "the prompt from standard input" "$first" \
    "$(echo "$prompt" | "$QUAMBA" generate "$model" --threads 1 --quiet --seed 7 --max-tokens 24)"
echo "$prompt" > "$dir/prompt"
same "the prompt from a file" "$first" \
    "$(run --quiet --prompt-file "$dir/prompt" --seed 7 --max-tokens 24)"
same "the prompt from -" "$first" \
    "$("$QUAMBA" generate "$model" --threads 1 --quiet --prompt-file - --seed 7 --max-tokens 24 < "$dir/prompt")"
same "no token" "$prompt" "$(run --prompt "$prompt" --max-tokens 0)"
same "a name under --pretrained-dir" "$first" \
    "$("$QUAMBA" generate demo --threads 1 --pretrained_dir "$model/.." --quiet --prompt "$prompt" --seed 7 \
        --max-tokens 24)"

run --json --prompt "$prompt" --seed 7 --max-tokens 24 > "$dir/json" || fail "--json: status $?"
python=$(command -v python3 || true)
if [ -n "$python" ]; then
    "$python" - "$dir/json" "$prompt" "$first" <<'EOF' || fail "--json"
import json, sys
d = json.load(open(sys.argv[1]))
assert list(d)[:3] == ["prompt", "text", "ids"], list(d)
assert d["prompt"] == sys.argv[2] and d["text"].rstrip("\n") == sys.argv[3].rstrip("\n"), d["text"]
assert len(d["ids"]) == d["n_generated"] == 24 and d["n_prompt"] > 0 and d["seed"] == 7
assert d["stop_reason"] == "length" and d["mode"] == "fp32"
assert d["ttft_ms"] > 0 and d["prefill_tokens_per_s"] > 0 and d["decode_tokens_per_s"] > 0
EOF
else
    echo "SKIPPED: the check of --json needs python3"
fi

# ---- an empty prompt ----
run --max-tokens 4 > "$dir/out" || fail "an empty prompt: status $?"
grep -q 'prompt is empty: starting from the end-of-text token' "$dir/err" ||
    fail "an empty prompt is not mentioned"
same "an empty prompt" "$(run --quiet --max-tokens 4 --prompt '')" "$(cat "$dir/out")"
same "the end-of-text token as prompt" "$(cat "$dir/out")" \
    "$(run --quiet --max-tokens 4 --prompt '<|endoftext|>')"

# ---- stop texts: cut at the first, wherever token borders are ----
greedy=$(run --quiet --temperature 0 --prompt "$prompt" --max-tokens 24)
same "top-k 1 is greedy" "$greedy" "$(run --quiet --top-k 1 --prompt "$prompt" --max-tokens 24)"
for at in 1 4 7 12 20; do
    stop=${greedy:at:5}
    same "--stop \"$stop\"" "${greedy%%"$stop"*}" \
        "$(run --quiet --temperature 0 --prompt "$prompt" --max-tokens 24 --stop "$stop")"
    same "--stop \"$stop\" among others" "${greedy%%"$stop"*}" \
        "$(run --quiet --temperature 0 --prompt "$prompt" --max-tokens 24 --stop @@ --stop "$stop" \
            --stop "${stop}x")"
done
same "a stop text that never comes" "$greedy" \
    "$(run --quiet --temperature 0 --prompt "$prompt" --max-tokens 24 --stop @@@)"
run --json --temperature 0 --prompt "$prompt" --stop "${greedy:7:5}" > "$dir/json"
grep -q '"stop_reason": "stop"' "$dir/json" || fail "stop_reason is not stop"

# ---- a saved state goes on where it was ----
whole=$(run --quiet --temperature 0 --prompt "$prompt was" --max-tokens 12)
run --prompt "$prompt" --max-tokens 0 --save-state "$dir/state" > /dev/null || fail "--save-state: $?"
same "--load-state" "$whole" \
    "$(run --quiet --temperature 0 --load-state "$dir/state" --prompt ' was' --max-tokens 12)"
head -c 100 "$dir/state" > "$dir/short"
refused 1 "$dir/short: " "$model" --load-state "$dir/short" --prompt x
refused 1 "$dir/prompt: " "$model" --load-state "$dir/prompt" --prompt x
refused 1 "$dir/none" "$model" --load-state "$dir/none" --prompt x
refused 2 'prompt is empty' "$model" --load-state "$dir/state"
refused 1 '/dev/null/x' "$model" --save-state /dev/null/x --prompt x

# ---- Ctrl-C: what was generated, a clean end, status 130 ----
"$QUAMBA" generate "$model" --threads 1 --prompt "$prompt" --max-tokens 2000000000 --ignore-eos \
    > "$dir/out" 2> "$dir/err" < /dev/null &
pid=$!
for _ in $(seq 100); do
    [ "$(wc -c < "$dir/out")" -gt 60 ] && break
    sleep 0.1
done
kill -TERM "$pid" # a background job of a script ignores SIGINT; both are handled alike
wait "$pid"
same "the status after an interrupt" 130 $?
same "a last line that ends" 1 "$(tail -c 1 "$dir/out" | wc -l)"
grep -q 'up to an interrupt' "$dir/err" || fail "interrupt: $(cat "$dir/err")"

# ---- output that cannot be written ----
"$QUAMBA" generate "$model" --threads 1 --prompt "$prompt" --max-tokens 4 > /dev/full 2> "$dir/err" < /dev/null
same "the status on a full disk" 1 $?
grep -q 'standard output: No space left' "$dir/err" || fail "full disk: $(cat "$dir/err")"
{
    "$QUAMBA" generate "$model" --threads 1 --prompt "$prompt" --max-tokens 2000000000 --ignore-eos \
        2> "$dir/err" < /dev/null
    echo $? > "$dir/status"
} | head -c 40 > "$dir/out"
same "the status after a closed pipe" 1 "$(cat "$dir/status")"
grep -q 'standard output: Broken pipe' "$dir/err" || fail "closed pipe: $(cat "$dir/err")"

# ---- what is said on stderr ----
yes 'One two three.' | head -100 > "$dir/long"
run --prompt-file "$dir/long" --max-tokens 0 > /dev/null
same "no progress into a file" '' "$(cat "$dir/err")"
run --prompt-file "$dir/long" --max-tokens 0 --progress always > /dev/null
grep -Eq '^reading the prompt  100% [0-9]+/[0-9]+' "$dir/err" || fail "--progress always: $(cat "$dir/err")"
run --prompt x --max-tokens 0 --verbose > /dev/null
grep -q '24 layers, 1[0-9.]* M parameters' "$dir/err" || fail "--verbose: $(cat "$dir/err")"

# ---- bad input ----
refused 2 'argument is missing' --prompt x
refused 2 'not both' "$model" --prompt x --prompt-file "$dir/prompt"
refused 2 '--stop: the text is empty' "$model" --prompt x --stop ''
refused 2 'from 0 to 100' "$model" --prompt x --temperature 101
refused 2 'from 0 to 1$' "$model" --prompt x --top_p 1.5
refused 2 'not quantized, mode 2-4 needs INT8 weights: quantize' "$model" --prompt x --mode 2-4
refused 2 'no such instruction set.*scalar' "$model" --prompt x --cpu sse9
refused 1 "$dir/nothing" "$dir/nothing" --prompt x
refused 1 "$dir/nothing" "$model" --prompt-file "$dir/nothing"
refused 1 'Is a directory' "$model" --prompt-file "$dir"
refused 1 "quamba: " "$dir" --prompt x
mkdir "$dir/other"
ln -s "$model"/* "$dir/other"
rm "$dir/other/tokenizer.json"
sed 's/"<|endoftext|>"/"<|nothing|>"/g' "$model/tokenizer.json" > "$dir/other/tokenizer.json"
refused 2 'prompt is empty and the tokenizer has no end-of-text' "$dir/other"
QUAMBA_MODE=24 refused 2 'QUAMBA_MODE: there is no mode "24": did you mean 2-4' "$model" --prompt x
# A tokenizer of another vocabulary, larger and smaller.
sed 's/\("added_tokens": *\[\)/\1{"id": 5000, "content": "<|more|>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},/' \
    "$model/tokenizer.json" > "$dir/other/tokenizer.json"
refused 1 'another vocabulary: it has 5001 ids, the model 4096' "$dir/other" --prompt x

# ---- the reference ----
golden=$QUAMBA_SHARED_DIR/golden/demo/golden_fp32.json
if [ -e "$golden" ] && [ -n "$python" ]; then
    "$python" - "$golden" "$dir" <<'EOF'
import json, sys
for i, p in enumerate(json.load(open(sys.argv[1]))["prompts"]):
    open(f"{sys.argv[2]}/p{i}", "w", newline="").write(p["prompt"])
    open(f"{sys.argv[2]}/g{i}", "w", newline="").write(p["greedy32"] + "\n")
EOF
    for file in "$dir"/p[0-9]*; do
        number=${file##*/p}
        printf '\n' >> "$file" # the end of the last line, which generate leaves out
        run --quiet --temperature 0 --max-tokens 32 --ignore-eos --prompt-file "$file" > "$dir/got"
        cmp -s "$dir/got" "$dir/g$number" ||
            fail "prompt $number: wanted [$(cat "$dir/g$number")], got [$(cat "$dir/got")]"
    done
else
    echo "SKIPPED: the comparison with reference texts needs ../shared and python3"
fi

finish
