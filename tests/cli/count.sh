#!/bin/bash
# quamba count: figures of a shape and of a model, tables and JSON, prices; refusals.
. "$QUAMBA_SOURCE_DIR/tests/cli/common.bash"

# has FILE PYTHON: an assertion on the JSON document d.
has() {
    python3 -c "import json,sys; d=json.load(open(sys.argv[1])); sys.exit(not ($2))" "$1" || fail "$1: $2"
}

# refuse PATTERN OPTIONS...: status 2, one line "quamba: ..." on stderr that matches.
refuse() {
    local pattern=$1 got
    shift
    "$QUAMBA" count "$@" > "$dir/out" 2> "$dir/err" < /dev/null
    got=$?
    [ "$got" = 2 ] || fail "$*: status $got, expected 2"
    grep -Eq "^quamba: .*$pattern" "$dir/err" || fail "$*: $(cat "$dir/err") does not match $pattern"
}

"$QUAMBA" count --shape 130m --json > "$dir/130m.json" || fail "130m"
# 24 layers of 3735552 products, and the head's; the weights of test bench.sh
has "$dir/130m.json" 'd["mode"] == "0" and d["shape"]["d_inner"] == 1536'
has "$dir/130m.json" 'd["decode"]["total"]["mac_i8"] == 24 * (3735552 + 1536 * 4) + 50280 * 768'
has "$dir/130m.json" 'd["prefill"]["tokens"] == 512'
has "$dir/130m.json" 'd["prefill"]["total"]["mac_i8"] == 512 * 24 * (3735552 + 1536 * 4) + 50280 * 768'
has "$dir/130m.json" 'd["decode"]["total"]["dram_bytes"] == 24 * (3735552 + 125952) + 768 * 4 + 50280 * 768 + 772'
has "$dir/130m.json" 'd["storage"]["total"]["weights"] == 24 * (3735552 + 125952) + 768 * 4 + 50280 * (2 * 768 + 4)'
has "$dir/130m.json" 'd["pj"] is None and "energy_pj" not in d["decode"]["total"]'
has "$dir/130m.json" 'd["decode"]["layers"][0]["last"] == 23 and len(d["decode"]["layers"]) == 1'

# the knobs decide: FP32 into the scan costs state and edges, not products
"$QUAMBA" count --shape 130m --mode 2-4 --json > "$dir/24.json" || fail "2-4"
has "$dir/24.json" 'd["decode"]["total"]["mac_i8"] == 24 * (3735552 + 1536 * 4) + 50280 * 768'
has "$dir/24.json" 'd["storage"]["total"]["state"] == 24 * 1536 * (4 + 16 * 4)'
"$QUAMBA" count --shape 130m --datapath x_dt_proj=f32,dt_b_c=f32 --json > "$dir/lin.json" || fail "lin"
has "$dir/lin.json" 'd["decode"]["layers"][0]["operators"]["x_proj"]["mac_i8"] == 0'
has "$dir/lin.json" 'd["decode"]["layers"][0]["operators"]["x_proj"]["mac_f32"] == 80 * 1536'
"$QUAMBA" count --shape 2.8b --mode fp32 --prompt-len 1 --json > "$dir/fp32.json" || fail "fp32"
has "$dir/fp32.json" 'd["decode"]["total"]["mac_i8"] == 0 and d["decode"]["total"]["round_i8"] == 0'

# a model gives what bench says of it
"$QUAMBA" count "$QUAMBA_SOURCE_DIR/models/demo" --json > "$dir/demo.json" || fail "demo"
"$QUAMBA" bench "$QUAMBA_SOURCE_DIR/models/demo" --prompt-len 2 --gen-len 1 --repeat 1 --json > "$dir/bench.json" || fail "bench"
python3 - "$dir/demo.json" "$dir/bench.json" << 'PY' || fail "count and bench disagree"
import json, sys
count, bench = (json.load(open(p)) for p in sys.argv[1:])
step = count["decode"]
assert count["storage"]["total"]["weights"] == bench["weights_bytes"]
assert count["storage"]["total"]["state"] == bench["state_bytes"]
assert step["total"]["dram_bytes"] - step["outside"]["embedding"]["dram_bytes"] == bench["bytes_per_token"] - bench["state_bytes"]
PY

# energy: the sum of price times count, and the table says that it is an estimate
"$QUAMBA" count --shape 130m --pj mac_i8=0.5,dram_byte=20 --json > "$dir/pj.json" || fail "pj"
has "$dir/pj.json" 'd["pj"] == {"mac_i8": 0.5, "dram_byte": 20}'
has "$dir/pj.json" 'all(abs(r["energy_pj"] - (0.5 * r["mac_i8"] + 20 * r["dram_bytes"])) < 1e-6 * r["energy_pj"] for r in (d["prefill"]["total"], d["decode"]["total"]))'
"$QUAMBA" count --shape 130m --pj mac_i8=0.5,dram_byte=20 > "$dir/table" || fail "table"
grep -q "^Energy is an estimate: .*exp, log" "$dir/table" || fail "the estimate is not called one"
grep -Eq "^in_proj +1.21 G" "$dir/table" || fail "no in_proj row"
grep -Eq "^whole model +170110368" "$dir/table" || fail "no storage"
"$QUAMBA" count --shape 130m | grep -q "energy" && fail "energy without prices"

refuse "no price \"flop\"; prices: mac_i8, " --shape 130m --pj flop=1
refuse "exp=cheap: a price is a number" --shape 130m --pj exp=cheap
refuse "either a MODEL or --shape" --shape 130m "$QUAMBA_SOURCE_DIR/models/demo"
refuse "either a MODEL or --shape"
refuse "count: --no-quantize-lm-head is for --shape" --no-quantize-lm-head "$QUAMBA_SOURCE_DIR/models/demo"
refuse "count: --no-quantize-lm-head says how to quantize, mode fp16 does not" --shape 130m --mode fp16 --no-quantize-lm-head
refuse "scan_in=val does not go with|does not go with" --shape 130m --datapath u=val

finish
