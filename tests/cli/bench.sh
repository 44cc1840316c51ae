#!/bin/bash
# quamba bench: what a random model is and how large, in every kind; refusals.
. "$QUAMBA_SOURCE_DIR/tests/cli/common.bash"
short=(--prompt-len 2 --gen-len 1 --repeat 1)

# sizes MODE FORMAT WEIGHTS PER_TOKEN STATE OPTIONS...: of the 130m shape, in bytes.
sizes() {
    local want="\"mode\": \"$1\", \"weight_format\": \"$2\", \"weights_bytes\": $3, \"bytes_per_token\": $4, \"state_bytes\": $5,"
    shift 5
    "$QUAMBA" bench --shape 130m "${short[@]}" --json "$@" > "$dir/out" 2> "$dir/err" || fail "$*: $(cat "$dir/err")"
    local got
    got=$(grep -E '"(mode|weight_format|weights_bytes|bytes_per_token|state_bytes)":' "$dir/out" | tr -s ' \n' ' ')
    [ "$got" = " $want " ] || fail "$*: got $got, expected $want"
}

# refuse PATTERN OPTIONS...: status 2, one line "quamba: ..." on stderr that matches.
refuse() {
    local pattern=$1 got
    shift
    "$QUAMBA" bench "${short[@]}" "$@" > "$dir/out" 2> "$dir/err" < /dev/null
    got=$?
    [ "$got" = 2 ] || fail "$*: status $got, expected 2"
    grep -Eq "^quamba: .*$pattern" "$dir/err" || fail "$*: $(cat "$dir/err") does not match $pattern"
}

# 24 layers of 3735552 codes in matrices and 125952 bytes of vectors; head and embedding 50280 x 768,
# the embedding with a scale per row; state: 24 x 1536 channels of 4 codes and 16 floats.
layers=$((24 * (3735552 + 125952) + 768 * 4))
matrix=$((50280 * 768))
state=$((24 * 1536 * (4 + 16 * 4)))
sizes 0 i8 $((layers + 2 * matrix + 50280 * 4)) $((layers + matrix + state)) $state
sizes 0 i8 $((layers + 3 * matrix)) $((layers + matrix + state)) $state --no-quantize-embedding
sizes 0 i8 $((layers + 2 * matrix)) $((layers + 2 * matrix + state)) $state --no-quantize-embedding --no-quantize-lm-head
sizes 3 i8 $((layers + 3 * matrix + 50280 * 4)) $((layers + 2 * matrix + state)) $state --mode 3 --no-quantize-lm-head \
    --w-bits 8 --a-bits 8
# half matrices; the convolution's weight is four floats instead of codes
layers=$((24 * (2 * 3735552 + 125952 + 3 * 4 * 1536) + 768 * 4))
state=$((24 * 1536 * (4 + 16) * 4))
sizes fp32 f16 $((layers + 2 * matrix)) $((layers + 2 * matrix + state)) $state --mode fp32

# as many threads as the process may use cores, and no more
cores() { "$@" "$QUAMBA" bench "$QUAMBA_SOURCE_DIR/models/demo" "${short[@]}" --json | grep -o '"threads": [0-9]*'; }
one=$(cores taskset -c "$(taskset -cp $$ | sed 's/.*: //; s/[-,].*//')")
[ "$one" = '"threads": 1' ] || fail "on one core: $one"
[ "$(cores env)" = "\"threads\": $(nproc)" ] || fail "$(cores env), nproc says $(nproc)"

# --sessions: tokens of all of them
"$QUAMBA" bench "$QUAMBA_SOURCE_DIR/models/demo" "${short[@]}" --sessions 3 --json > "$dir/sessions.json" || fail "--sessions"
python3 - "$dir/sessions.json" << 'PY' || fail "--sessions 3: not three tokens per step"
import json, sys
bench = json.load(open(sys.argv[1]))
assert bench["sessions"] == 3
assert abs(bench["decode_tokens_per_s"] * bench["tpot_ms"] / 3000 - 1) < 1e-9
PY
refuse "--sessions" --shape 130m --sessions 0

# --per-operator: every operator has its time and the work that quamba count gives it
"$QUAMBA" bench "$QUAMBA_SOURCE_DIR/models/demo" --prompt-len 300 --gen-len 2 --repeat 1 --per-operator --json > "$dir/stages.json" ||
    fail "--per-operator"
"$QUAMBA" count "$QUAMBA_SOURCE_DIR/models/demo" --prompt-len 300 --json > "$dir/count.json" || fail "count"
python3 - "$dir/stages.json" "$dir/count.json" << 'PY' || fail "--per-operator and count disagree"
import json, sys
bench, count = (json.load(open(p)) for p in sys.argv[1:])
for phase in ("prefill", "decode"):
    stages, total = bench["per_operator"][phase], count[phase]["total"]
    assert sum(s["mac_f32"] for s in stages) == total["mac_f32"] > 0
    assert sum(s["exp"] for s in stages) == total["exp"]
    assert all(s["ms"] > 0 for s in stages if s["operator"] != "hadamard"), stages
steps = bench["per_operator"]["decode"]
moved = count["decode"]["total"]
embedding = count["decode"]["outside"]["embedding"]
assert sum(s["bytes"] for s in steps) == sum(moved[k] - embedding[k] for k in ("dram_bytes", "state_bytes", "edge_bytes"))
# 300 tokens go through the layers in two pieces, each of which reads the weights
in_proj = count["prefill"]["layers"][0]["operators"]["in_proj"]
stage = next(s for s in bench["per_operator"]["prefill"] if s["operator"] == "in_proj")
assert stage["bytes"] == 24 * (2 * in_proj["dram_bytes"] + in_proj["edge_bytes"])
PY
"$QUAMBA" bench "$QUAMBA_SOURCE_DIR/models/demo" "${short[@]}" --per-operator > "$dir/out" || fail "--per-operator as a table"
grep -Eq "^in_proj .* ms .* ms " "$dir/out" || fail "no time of in_proj: $(cat "$dir/out")"
"$QUAMBA" bench "$QUAMBA_SOURCE_DIR/models/demo" "${short[@]}" --json | grep -q per_operator && fail "operators timed unasked"

# the picture of it
python3 "$QUAMBA_SOURCE_DIR/bench/roofline.py" "$dir/stages.json" -o "$dir/roofline.svg" --peak-f32 105 || fail "roofline.py"
python3 - "$dir/roofline.svg" << 'PY' || fail "roofline.svg"
import sys, xml.etree.ElementTree as tree
circles = [c for c in tree.parse(sys.argv[1]).iter() if c.tag.endswith("circle") and len(c)]
assert len(circles) >= 12, len(circles)
assert all(70 <= float(c.get("cx")) <= 730 and 50 <= float(c.get("cy")) <= 500 for c in circles)
PY

# the script that holds quamba against others: ratios within a turn, targets met and missed
(cd "$QUAMBA_SOURCE_DIR/bench" && PYTHONDONTWRITEBYTECODE=1 python3 - << 'PY') || fail "peers.py"
import types, peers
def turn(ours, theirs):
    run = {"prefill_tokens_per_s": 10 * ours, "decode_tokens_per_s": ours, "bandwidth_share": 0.5,
           "weights_bytes": 90, "state_bytes": 10, "peak_rss_bytes": 110}
    return {"quamba-w8a8": run, "llama-q8_0": {"prefill_tokens_per_s": theirs, "decode_tokens_per_s": theirs}}
turns = [turn(20, 10), turn(60, 30), turn(9, 10)]  # a drifting machine
found = {t["target"]: t for t in peers.judge(types.SimpleNamespace(shape="130m"), turns)}
decode = found["decode W8A8 / llama.cpp Q8_0"]
assert (decode["median"], decode["min"], decode["max"], decode["met"]) == (2, 0.9, 2, True), decode
assert not found["decode W8A8: share of read bandwidth"]["met"]
assert found["peak memory W8A8 / (weights as used + state)"]["met"]
assert not any("F32" in name or "mamba.c" in name for name in found), "peers that did not run"
assert [t["target"] for t in peers.judge(types.SimpleNamespace(shape="2.8b"), turns)][0] == "decode W8A8 / llama.cpp Q8_0"
PY

refuse "--w-bits 4 with --a-bits 8 is not supported yet" --shape 130m --w-bits 4
refuse "--w-bits 8 with --a-bits 16 is not supported yet" --shape 130m --mode 2-4 --a-bits 16
refuse "--w-bits says how to quantize, mode fp16 does not" --shape 130m --mode fp16 --w-bits 8
refuse "--no-quantize-lm-head is for --shape" --no-quantize-lm-head "$QUAMBA_SOURCE_DIR/models/demo"
refuse "--datapath and --outlier-scales need a MODEL" --shape 130m --datapath u=val
refuse "either a MODEL or --shape" --shape 130m "$QUAMBA_SOURCE_DIR/models/demo"
refuse "either a MODEL or --shape"

finish
