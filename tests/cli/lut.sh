#!/bin/bash
# lut: tables from formats and from a model, and what is refused.
. "$QUAMBA_SOURCE_DIR/tests/cli/common.bash"
expect() { ends "$1" "$2" "$QUAMBA" "${@:3}"; } # STATUS PATTERN ARGS...
same() { cmp -s "$1" "$2" || fail "$3"; }

# ---- formats --------------------------------------------------------------------------------------
expect 0 "at most 0.[0-9]+ steps, at code" lut silu --in i8:0.05 --out i8:0.04
expect 0 "256 entries of 8 bits: 256 bytes" lut silu --in i8:0.05 --out i8:0.04
expect 0 "at most 0.9103 ulp, at code 50658: exp\(-5.88" lut exp --in f16
expect 0 "ties away" lut sigmoid --in i8:0.05 --out i16:0.0001 --round away
expect 0 "plus -1.5; numbers -7.9" lut softplus --in i8:0.05 --bias -1.5 --out f16
expect 0 "none: no entry" lut exp --in i8:1e-20 --out i8:1e-30
expect 0 '"fused": false' lut silu --in i8:0.05 --out i8:0.04 --json
if python=$(command -v python3); then
    "$QUAMBA" lut silu --in i8:0.05 --out i8:0.04 --json | "$python" -c '
import json, math, sys
t = json.load(sys.stdin)
assert len(t["bits"]) == 1 and len(t["bits"][0]) == 256, "size"
for i, bits in enumerate(t["bits"][0]):
    x = 0.05 * (i - 256 * (i > 127)); y = x / (1 + math.exp(-x)) / 0.04
    code = bits - 256 * (bits > 127)
    assert code == max(-128, min(127, round(y))) or abs(y % 1 - 0.5) < 1e-4, (i, y, code)
assert t["worst"]["error"] < 0.5 and t["lost"] == 25, t["worst"]
' || fail "the JSON table is not SiLU"
else
    echo "SKIPPED: the JSON table is not looked at without python3"
fi

# ---- files ----------------------------------------------------------------------------------------
for ending in mem hex npy csv h; do
    expect 0 "" lut exp2 --in i8:0.1 --out f16 -o "$dir/t.$ending"
    [ -s "$dir/t.$ending" ] || fail "t.$ending is not there"
done
[ "$(grep -cv '^//' "$dir/t.mem")" = 256 ] || fail "t.mem has not 256 entries"
[ "$(sed -n '/^\/\//d; p' "$dir/t.mem" | head -n 1)" = 3c00 ] || fail "2^0 is not the half 3c00"
same "$dir/t.mem" "$dir/t.hex" ".mem and .hex differ"
printf '#include "t.h"\nint main(void) { return lut_exp2[0] != 0x3c00; }\n' >"$dir/t.c"
if cc=$(command -v cc); then
    "$cc" -std=c99 -Wall -Werror -o "$dir/t" "$dir/t.c" && "$dir/t" || fail "t.h is no C"
fi

# ---- refusals -------------------------------------------------------------------------------------
expect 2 "functions are exp, exp2, silu" lut tanh --in f16
expect 2 "FUNCTION" lut
expect 2 "--in FORMAT is missing" lut exp
expect 2 "no number format" lut exp --in u8:1
expect 2 "needs a scale" lut exp --in i8
expect 2 "f16 has no scale" lut exp --in f16:1
expect 2 "2\^32 entries" lut exp --in f32
expect 2 "needs a scale" lut exp --in f16 --out i8:0
expect 2 "ending: .mem" lut exp --in f16 -o "$dir/t.txt"
expect 2 "needs the MODEL" lut silu --layer 0
expect 2 "without --layer" lut silu --in f16 "$dir"
expect 2 "no layer has codes that go into exp" lut exp --layer 0 "$dir"
expect 2 "both say" lut silu --layer 0 --in f16 "$dir"
expect 2 "both say" lut softplus --layer 0 --bias 1 "$dir"
expect 2 "--channel is for" lut silu --layer 0 --channel 3 "$dir"
expect 1 "no such file" lut silu --layer 0 "$dir/nope"
expect 1 "cannot" lut exp --in f16 -o "$dir/no/where.mem"
expect 1 "is not quantized" lut silu --layer 0 "$QUAMBA_SOURCE_DIR/models/demo"

# ---- scales of a model ----------------------------------------------------------------------------
model=$dir/w8a8
"$QUAMBA" quantize --quiet --act-scales "$QUAMBA_SOURCE_DIR/tests/golden/act_scales_demo.json" -o "$model" \
    "$QUAMBA_SOURCE_DIR/models/demo" >/dev/null || fail "quantize"
expect 1 "has no layer 24" lut silu --layer 24 "$model"
expect 1 "has no channel 512" lut softplus --layer 2 --channel 512 "$model"
expect 0 "512 tables of 256 entries of 32 bits" lut softplus --layer 2 -o "$dir/all.npy" "$model"
expect 0 ", fused; numbers" lut softplus --layer 2 --channel 7 -o "$dir/one.npy" "$model"
same <(tail -c +$((129 + 7 * 1024)) "$dir/all.npy" | head -c 1024) <(tail -c +129 "$dir/one.npy") \
    "channel 7 of all is not channel 7 alone"
expect 0 "rounded before" lut softplus-log --layer 2 -o "$dir/step.npy" "$model"
cmp -s "$dir/all.npy" "$dir/step.npy" && fail "both softplus give one table"
expect 0 "input     i8:" lut silu --layer 2 --out f16 -o "$dir/gate.mem" "$model"
scale=$(sed -n 's/^input     i8:\([^;]*\);.*/\1/p' "$dir/out")
expect 0 "" lut silu --in "i8:$scale" --out f16 -o "$dir/same.mem"
same "$dir/gate.mem" "$dir/same.mem" "the scale that is shown makes another table"
"$QUAMBA" inspect --layer 2 "$model" | grep -q "selective_scan.z_scale.*$scale" || fail "$scale is not z's scale"
finish
