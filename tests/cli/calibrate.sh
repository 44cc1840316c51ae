#!/bin/bash
# quantize with a calibration of its own: the same bytes however it is run and wherever it was cut
# short, the search for alpha, and what is refused.
. "$QUAMBA_SOURCE_DIR/tests/cli/common.bash"
model=$QUAMBA_SOURCE_DIR/models/demo
texts=$QUAMBA_SOURCE_DIR/data/calibration.jsonl
expect() { ends "$1" "$2" "$QUAMBA" quantize "${@:3}"; } # STATUS PATTERN OPTIONS...
same() { # same A B: two results
    diff -r "$1" "$2" >/dev/null || { diff -rq "$1" "$2"; fail "$1 and $2 differ"; }
}
few=(--calibration "$texts" --calib-data-num 6 --calib-seqlen 24)

# ---- the same bytes ------------------------------------------------------------------------------
expect 0 "891 tensors" "${few[@]}" -o "$dir/a" "$model"
expect 0 "891 tensors" "${few[@]}" --threads 3 --cpu scalar -o "$dir/b" "$model"
same "$dir/a" "$dir/b"
grep -q '"n_texts": 6' "$dir/a/config.json" || fail "config.json does not count the texts"
grep -qE '"ids_hash": "[0-9a-f]{16}"' "$dir/a/config.json" || fail "config.json has no hash of the ids"
[ ! -e "$dir/a.calibration" ] || fail "a finished run leaves its record"
# measured scales are those that --act-scales takes
expect 0 "891 tensors" --act-scales "$dir/a/act_scales.json" -o "$dir/c" "$model"
cmp "$dir/a/model.safetensors" "$dir/c/model.safetensors" || fail "act_scales.json gives other weights"
# the default text is the repository's
(cd "$QUAMBA_SOURCE_DIR" && "$QUAMBA" quantize --calib-data-num 6 --calib-seqlen 24 -o "$dir/d" "$model") >/dev/null 2>&1 ||
    fail "the default text is not found in the repository"
same "$dir/a" "$dir/d"
# a plain text comes in pieces
head -c 4000 "$QUAMBA_SOURCE_DIR/README.md" >"$dir/plain.txt"
expect 0 '"n_texts": 3' --json --calibration "$dir/plain.txt" --calib-data-num 3 --calib-seqlen 32 -o "$dir/plain" "$model"

# ---- cut short -----------------------------------------------------------------------------------
slow=(--calibration "$texts" --calib-data-num 40 --calib-seqlen 64)
expect 0 "891 tensors" "${slow[@]}" -o "$dir/whole" "$model"
size_of() { stat -c %s "$1" 2>/dev/null || echo 0; }
for signal in KILL INT; do
    before=$(size_of "$dir/cut.calibration")
    "$QUAMBA" quantize "${slow[@]}" --threads 2 -o "$dir/cut" "$model" >"$dir/out" 2>"$dir/err" &
    run=$!
    while kill -0 "$run" 2>/dev/null && [ "$(size_of "$dir/cut.calibration")" -le $((before + 1500)) ]; do
        sleep 0.01 # until some texts more are written
    done
    kill -s "$signal" "$run" 2>/dev/null
    wait "$run" 2>/dev/null
    got=$?
    [ ! -e "$dir/cut" ] || break # it was faster than the signal
    if [ "$signal" = INT ]; then
        [ "$got" = 130 ] || fail "SIGINT: status $got"
        grep -q "goes on from there" "$dir/err" || { cat "$dir/err"; fail "SIGINT: no word on going on"; }
    fi
    [ -s "$dir/cut.calibration" ] || fail "SIG$signal leaves no record"
done
if [ ! -e "$dir/cut" ]; then
    cp "$dir/cut.calibration" "$dir/b.calibration"
    truncate -s $(($(size_of "$dir/cut.calibration") - 100)) "$dir/cut.calibration" # a torn block
    expect 0 "calibrate" "${slow[@]}" --progress always --threads 3 -o "$dir/cut" "$model"
    grep -q "calibrate *0%" "$dir/err" && fail "the run did not go on from its record"
fi
same "$dir/whole" "$dir/cut"
[ ! -e "$dir/cut.calibration" ] || fail "a record stays behind"

# a record of other texts is no help, a file that is none is not touched
rm -r "$dir/b"
expect 0 "891 tensors" "${few[@]}" -o "$dir/b" "$model"
same "$dir/a" "$dir/b"
echo "my notes" >"$dir/f.calibration"
expect 2 "f.calibration: is not the record of a calibration" "${few[@]}" -o "$dir/f" "$model"
[ "$(cat "$dir/f.calibration")" = "my notes" ] || fail "a foreign file was changed"
rm "$dir/f.calibration"

# ---- alpha ---------------------------------------------------------------------------------------
expect 0 "chosen" "${few[@]}" --percentile-alpha auto -o "$dir/auto" "$model"
[ "$(grep -cE '^ *(0\.999|0\.9995|0\.9999|0\.99999|1) +[0-9.]+' "$dir/out")" = 5 ] || { cat "$dir/out"; fail "not five candidates"; }
alpha=$(sed -n 's/^ *"percentile_alpha": \([0-9.]*\),.*/\1/p' "$dir/auto/config.json")
expect 0 "891 tensors" "${few[@]}" --percentile-alpha "$alpha" -o "$dir/given" "$model"
cmp "$dir/auto/model.safetensors" "$dir/given/model.safetensors" || fail "auto differs from alpha $alpha"
grep -q '"scoring": "prefill"' "$dir/auto/config.json" || fail "config.json does not tell of the search"

# ---- refusals ------------------------------------------------------------------------------------
printf '{"text": "a text"}\n{"txt": "another"}\n' >"$dir/key.jsonl"
printf '{"text": "a text"}\n{"text": "torn' >"$dir/torn.jsonl"
printf '\n\n' >"$dir/none.jsonl"
: >"$dir/none.txt"
expect 1 "nope.jsonl: cannot open" --calibration "$dir/nope.jsonl" -o "$dir/x" "$model"
expect 1 'key.jsonl:2: must be a JSON object with a string "text"' --calibration "$dir/key.jsonl" -o "$dir/x" "$model"
expect 1 "torn.jsonl:2: " --calibration "$dir/torn.jsonl" -o "$dir/x" "$model"
expect 1 "none.jsonl: holds no text" --calibration "$dir/none.jsonl" -o "$dir/x" "$model"
expect 1 "none.txt: holds no text" --calibration "$dir/none.txt" -o "$dir/x" "$model"
expect 1 "not a regular file" --calibration "$dir" -o "$dir/x" "$model"
expect 2 "exclude each other" "${few[@]}" --act-scales "$dir/a/act_scales.json" -o "$dir/x" "$model"
expect 2 "--act-scales are given" --percentile-alpha auto --act-scales "$dir/a/act_scales.json" -o "$dir/x" "$model"
expect 2 "too few to choose alpha" --calibration "$texts" --calib-data-num 1 --calib-seqlen 8 --percentile-alpha auto -o "$dir/x" "$model"
for alpha in 0 1.0001 -0.5 nan 0.9x "" automatic; do
    expect 2 "neither auto nor a number" "${few[@]}" --percentile-alpha "$alpha" -o "$dir/x" "$model"
done
expect 2 "calib-data-num" "${few[@]}" --calib-data-num 0 -o "$dir/x" "$model"
expect 2 "calib-seqlen" "${few[@]}" --calib-seqlen 100000 -o "$dir/x" "$model"
[ ! -e "$dir/x" ] || fail "a refused run left something behind"
[ -z "$(find "$dir" -name '*.calibration' -o -name '*.tmp')" ] || fail "a record or temporary file stays behind"
finish
