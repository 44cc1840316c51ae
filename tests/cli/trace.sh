#!/usr/bin/env bash
# quamba trace: traces of the demo model in several modes and forms are verified; whatever is changed
# in one is found where it was changed.
set -eu
unset QUAMBA_MODE QUAMBA_CPU
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }

model=$work/w8a8
scales=$QUAMBA_SOURCE_DIR/tests/golden/act_scales_demo.json
"$QUAMBA" quantize "$QUAMBA_SOURCE_DIR/models/demo" --output "$model" --quiet \
    --act-scales "$scales" > /dev/null
text="It was a dark winter evening, and it seemed as if the frost had swept it away. Then,
suddenly, the sea was foaming over the thick, heavy, wet lake, and nobody knew where it would end."
printf '%s' "$text" > "$work/text.txt"

# expect STATUS PATTERN COMMAND...: exit status, and what stdout and stderr together contain.
expect() {
    local want=$1 pattern=$2 got=0
    shift 2
    "$@" > "$work/out" 2>&1 || got=$?
    [ "$got" = "$want" ] || { cat "$work/out" >&2; fail "$*: status $got, expected $want"; }
    grep -Eq -e "$pattern" "$work/out" || { cat "$work/out" >&2; fail "$*: nothing matches $pattern"; }
}

trace() { # DIR OPTIONS...
    rm -rf "$1"
    "$QUAMBA" trace --threads 1 --text "$work/text.txt" --quiet --output "$@" "$model" || fail "trace $*"
    ls "$work" | grep tmp && fail "something is left behind"
    "$QUAMBA" trace --threads 1 --verify "$1" "$model" > "$work/out" 2>&1 ||
        { cat "$work/out"; fail "verify $*"; }
}

# ---- every form, several modes, prefill and steps ----
trace "$work/t" --layers 0,head --tokens 3:20 --prefill 8
for format in safetensors bin hex; do
    trace "$work/t" --layers 0,23 --tokens 3:12 --edges conv_out,state,scan_out --format $format
done
for mode in 2-4 3 6-1; do # whatever is written, every edge of the layers is compared on the way
    trace "$work/t" --mode $mode --layers 1:3 --tokens 30: --prefill 40 --edges delta,state_kept
done
"$QUAMBA" trace --mode 6-4 --outlier-scales "$scales" --layers 3 --edges conv_out,scan_out --quiet \
    --text "$work/text.txt" --output "$work/6-4" "$model"
expect 2 'outlier' "$QUAMBA" trace --verify "$work/6-4" "$model"
"$QUAMBA" trace --verify "$work/6-4" --outlier-scales "$scales" "$model" > /dev/null || fail "6-4"
trace "$work/t" --datapath conv_out=half,scan_in=val,x_proj_in=req --layers 5 --edges conv_out
for mode in fp32 fp16; do
    "$QUAMBA" trace --mode $mode --reference "$QUAMBA_SOURCE_DIR/models/demo" --prefill 4 --quiet \
        --text "$work/text.txt" --layers 7 --edges scan_out --tokens :12 --output "$work/$mode" "$model"
    "$QUAMBA" trace --verify "$work/$mode" "$QUAMBA_SOURCE_DIR/models/demo" > /dev/null ||
        fail "$mode"
done

# ---- names and words that others rely on ----
trace "$work/hw" --layers 0 --edges conv_in,conv_acc,conv_pre,conv_silu,conv_out --format hex
for name in conv_in conv_weight conv_bias conv_factor u_scale conv_acc conv_pre conv_silu conv_out; do
    [ -s "$work/hw/layer00.$name.hex" ] || fail "no layer00.$name.hex"
done
[ "$(sort -u "$work/hw/layer00.conv_in.hex" | awk '{ print length }' | sort -u)" = 2 ] || fail "codes"
[ "$(wc -l < "$work/hw/layer00.conv_weight.hex")" = 2048 ] || fail "weights: 4 taps of 512 channels"
[ "$(wc -l < "$work/hw/layer00.u_scale.hex")" = 1 ] || fail "a number is one line"
trace "$work/t" --layers 0 --edges conv_in,conv_out --format mem --word-bits 12 --lanes 16
[ "$(head -1 "$work/t/layer00.conv_in.mem" | tr -d '\n' | wc -c)" = 48 ] || fail "16 words of 12 bits"
expect 2 'layer00.conv_acc.hex: token 0, channel [0-9]+ does not fit 8 bits' "$QUAMBA" trace \
    --text "$work/text.txt" --layers 0 --edges conv_acc --format hex --word-bits 8 \
    --output "$work/none" "$model"
[ ! -e "$work/none" ] || fail "a directory of a trace that failed"

# ---- damage ----
flip() { # FILE BYTE: another value there
    python3 - "$1" "$2" << 'PY'
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(int(sys.argv[2])); byte = f.read(1)[0]
    f.seek(int(sys.argv[2])); f.write(bytes([byte ^ 1]))
PY
}
damaged() { # PATTERN: verify finds exactly one fault, this
    expect 1 "$1" "$QUAMBA" trace --threads 1 --verify "$work/d" "$model"
    [ "$(grep -c 'must\|sha256\|cannot\|header' "$work/out")" = 1 ] || { cat "$work/out"; fail "more than $1"; }
    rm -rf "$work/d"; cp -r "$work/keep" "$work/d"
}
trace "$work/keep" --layers 0,1 --tokens 2:12 --edges conv_in,state,conv_out,in_proj_x
rm -rf "$work/d"; cp -r "$work/keep" "$work/d"
flip "$work/d/layer01.conv_out.npy" $((128 + 3 * 512 + 17)) # of rows of 512 codes
damaged '^layer01.conv_out.npy: token 5, channel 17: is -?[0-9]+, must be -?[0-9]+$'
flip "$work/d/layer00.state.npy" $((128 + 4 * ((4 * 16 + 6) * 512 + 100)))
damaged '^layer00.state.npy: token 6, state 6, channel 100: is '
flip "$work/d/layer00.u_scale.npy" 128
damaged '^layer00.u_scale.npy: row 0, column 0: is '
flip "$work/d/tokens.npy" $((128 + 8))
damaged '^tokens.npy: token 4: is '
flip "$work/d/layer00.conv_in.npy" 20
damaged '^layer00.conv_in.npy: its header of 128 bytes'
rm "$work/d/layer00.conv_in.npy"
damaged 'layer00.conv_in.npy: cannot open'
truncate -s -1 "$work/d/layer01.conv_in.npy"
damaged '^layer01.conv_in.npy: has 5247 bytes, must have 5248'
sed -i '0,/"sha256": "[0-9a-f]/s//"sha256": "x/' "$work/d/manifest.json"
damaged '^tokens.npy: its sha256 is '
sed -i '0,/"scale": 0/s//"scale": 1/' "$work/d/manifest.json"
damaged '^manifest.json: in_proj_x of layer00.in_proj_x.npy: "scale" is 1'
sed -i '0,/"d_state": 16/s//"d_state": 8/' "$work/d/manifest.json"
damaged '^manifest.json: "model" is '
sed -i 's/"n_prefill": [0-9]*/"n_prefill": 11/' "$work/d/manifest.json"
expect 1 '^layer0[01].state.npy: token 11, ' "$QUAMBA" trace --threads 1 --verify "$work/d" "$model"
sed -i 's/"edges"/"edgse"/' "$work/d/manifest.json"
expect 1 'manifest.json: "edges" is no list' "$QUAMBA" trace --threads 1 --verify "$work/d" "$model"
expect 1 'is not the model of the trace' "$QUAMBA" trace --verify "$work/keep" \
    "$QUAMBA_SOURCE_DIR/models/demo"
"$QUAMBA" trace --verify "$work/keep" --json "$model" | python3 -c '
import json, sys
found = json.load(sys.stdin)
assert found["holds"] and found["faults"] == [] and found["arrays"] > 8, found'

# ---- mistakes ----
run=("$QUAMBA" trace --text "$work/text.txt" --output "$work/none")
expect 2 'there is no edge "conv_ou"; did you mean conv_out' "${run[@]}" --edges conv_ou "$model"
expect 2 'mode 0 has no edge grid_scale: ' "${run[@]}" --edges grid_scale "$model"
expect 2 'edge logits belongs to the head' "${run[@]}" --layers 1 --edges logits "$model"
expect 2 '"24" is none of the layers 0 .. 23' "${run[@]}" --layers 0,24 "$model"
expect 2 '"5:3" is no range' "${run[@]}" --tokens 5:3 "$model"
expect 2 'is no range A:B within the text' "${run[@]}" --tokens 0:100000 "$model"
expect 2 '100 tokens, but the trace ends after 9' "${run[@]}" --tokens 0:9 --prefill 100 "$model"
expect 2 'which text' "$QUAMBA" trace --output "$work/none" "$model"
expect 2 'of which model' "$QUAMBA" trace --output "$work/none"
expect 2 'is there already' "$QUAMBA" trace --text "$work/text.txt" --output "$work/keep" "$model"
expect 1 'cannot open' "$QUAMBA" trace --verify "$work/none" "$model"
expect 2 'the manifest says which mode' "$QUAMBA" trace --verify "$work/keep" --mode 0 "$model"
[ ! -e "$work/none" ] || fail "a directory of a trace that failed"
expect 0 '^conv_acc +token, d_inner' "$QUAMBA" trace --list-edges
expect 0 '^conv_out +f32 +conv_silu' "$QUAMBA" trace --list-edges --mode 2-4 "$model"

# ---- Ctrl-C leaves nothing ----
for i in $(seq 300); do cat "$work/text.txt"; done > "$work/long.txt"
"$QUAMBA" trace --text "$work/long.txt" --layers 0 --edges conv_out --quiet --output "$work/long" \
    "$model" 2> "$work/err" &
pid=$!
for i in $(seq 100); do # until it has begun to write
    ls -d "$work"/long.*.tmp > /dev/null 2>&1 && break
    sleep 0.05
done
kill -INT $pid
status=0
wait $pid || status=$?
[ $status = 130 ] || fail "interrupted: status $status: $(cat "$work/err")"
[ ! -e "$work/long" ] || fail "half a trace"
ls -d "$work"/long.*.tmp 2> /dev/null && fail "a temporary directory is left"

# ---- an independent reader ----
python=
for candidate in "$QUAMBA_SOURCE_DIR/.venv/bin/python3" python3 /usr/bin/python3; do
    "$candidate" -c 'import numpy' 2> /dev/null && { python=$candidate; break; }
done
if [ -z "$python" ]; then
    echo "SKIPPED: tools/read_trace.py needs python3 with numpy (python3 -m venv .venv; .venv/bin/pip install numpy)"
    exit 77
fi
for format in npy safetensors bin hex; do
    trace "$work/t" --layers 1 --tokens 0:12 --prefill 9 --format $format --lanes 3
    "$python" "$QUAMBA_SOURCE_DIR/tools/read_trace.py" "$work/t" > "$work/out" ||
        { cat "$work/out"; fail "read_trace.py $format"; }
    grep -q ' 11 of them computed again' "$work/out" || { cat "$work/out"; fail "read_trace.py"; }
done
trace "$work/t" --mode 2-4 --layers 2 --tokens 4:12 --format hex --word-bits 27 \
    --edges conv_in,conv_acc
"$python" "$QUAMBA_SOURCE_DIR/tools/read_trace.py" "$work/t" > "$work/out" || fail "read_trace.py 2-4"
at=$((3 * 512 * 8 + 6)) # of the first token whose taps are all there
flip "$work/t/layer02.conv_acc.hex" $at
sum=$(sha256sum "$work/t/layer02.conv_acc.hex" | cut -d' ' -f1)
"$python" - "$work/t/manifest.json" "$sum" << 'PY'
import json, sys
manifest = json.load(open(sys.argv[1]))
for entry in manifest["tensors"]:
    if entry["name"] == "conv_acc": entry["sha256"] = sys.argv[2]
json.dump(manifest, open(sys.argv[1], "w"))
PY
"$python" "$QUAMBA_SOURCE_DIR/tools/read_trace.py" "$work/t" > "$work/out" 2>&1 &&
    fail "read_trace.py takes a wrong sum"
grep -q 'conv_acc \[0 0\]: computed' "$work/out" || { cat "$work/out"; fail "where it is wrong"; }
