#!/bin/bash
# quamba compare: the same run twice, an unquantized run beside quantized ones, planted faults, records and resume, the three
# forms of the result, refusals.
. "$QUAMBA_SOURCE_DIR/tests/cli/common.bash"
demo=$QUAMBA_SOURCE_DIR/models/demo
cd "$QUAMBA_SOURCE_DIR" || exit 1 # for data/cloze.jsonl
w8a8=$dir/w8a8
"$QUAMBA" quantize -q --act-scales tests/golden/act_scales_demo.json -o "$w8a8" "$demo" >/dev/null || fail "quantize"
quick=(--limit 3 --edge-tokens 48)

# has FILE PYTHON: an assertion on the JSON document d; e(run, layer, edge) is its row of the edges.
has() {
    python3 - "$1" "$2" <<'PY' || fail "$1: $2"
import json, sys
d = json.load(open(sys.argv[1]))
rows = {(e["run"], e["layer"], e["edge"]): e for e in d["edges"]}
e = lambda run, layer, edge: rows[run, layer, edge]
sys.exit(not eval(sys.argv[2], globals()))
PY
}
command -v python3 >/dev/null || { echo "SKIPPED: all of it needs python3"; exit 77; }

# ---- the same run twice, and modes that are equal by construction: nothing differs, and the table says so ----
"$QUAMBA" compare "${quick[@]}" --modes 0,0,2-0 --first-divergence --json "$w8a8" >"$dir/same.json" || fail "0,0,2-0"
has "$dir/same.json" 'len(d["runs"]) == 3 and d["first_divergence"] == []'
has "$dir/same.json" 'all(x["max_error"] == 0 and x["rms_error"] == 0 and x["code_flips"] in (0, None) for x in d["edges"])'
has "$dir/same.json" 'all(x["cosine"] == 1 and x["sqnr_db"] is None for x in d["edges"])'
has "$dir/same.json" 'all(r["kl_mean"] == 0 and r["kl_max"] == 0 and r["top1_agreement"] == 1 for r in d["positions"]["runs"])'
has "$dir/same.json" 'all(r["against_first"]["mean_difference"] == 0 and r["against_first"]["mcnemar_p"] == 1 for r in d["tasks"][0]["runs"][1:])'
has "$dir/same.json" 'd["items"] == {"source": "cloze", "n_items": 3, "n_pieces": 1, "n_tokens": 48}'
has "$dir/same.json" 'd["edge_names"][0] == "norm_out" and d["layers"] == 24 and d["runs"][2]["mode"] == "2-0"'
ends 0 'First divergence of 2-0 from 0: none' "$QUAMBA" compare "${quick[@]}" --modes 0,2-0 --first-divergence "$w8a8"

# ---- an unquantized run beside quantized ones: every edge is brought together ----
"$QUAMBA" compare "${quick[@]}" --modes fp32,0,2-4 --reference "$demo" --json --csv "$dir/edges.csv" "$w8a8" >"$dir/fp32.json" ||
    fail "fp32,0,2-4"
has "$dir/fp32.json" 'd["rotated"] and d["runs"][0]["model"].endswith("models/demo") and d["runs"][0]["formats"] == []'
has "$dir/fp32.json" 'len(rows) == len(d["edges"]) and all(x["n_compared"] == x["n"] for x in d["edges"])'
has "$dir/fp32.json" 'all(x["sqnr_db"] > 6 and x["cosine"] > 0.9 for x in d["edges"] if x["run"] > 0)'
has "$dir/fp32.json" 'e(0, 3, "conv_out")["kind"] == "numbers" and e(0, 3, "conv_out")["scale"] is None and e(0, 3, "conv_out")["saturated"] is None'
has "$dir/fp32.json" 'e(1, 3, "conv_out")["kind"] == "codes" and e(1, 3, "conv_out")["range_share"] <= 128 / 127'
has "$dir/fp32.json" 'e(2, 3, "conv_out")["kind"] == "numbers" and e(2, 3, "conv_out")["scale"] == e(1, 3, "conv_out")["scale"]'
has "$dir/fp32.json" 'all(sum(h["counts"]) == e(h["run"], h["layer"], h["edge"])["n"] and len(h["counts"]) == 64 for h in d["histograms"])'
has "$dir/fp32.json" 'd["first_divergence"] is None'
python3 - "$dir/edges.csv" "$dir/fp32.json" <<'PY' || fail "the CSV does not hold what the JSON does"
import csv, json, sys
lines = list(csv.DictReader(open(sys.argv[1])))
d = json.load(open(sys.argv[2]))
names = [r["name"] for r in d["runs"]]
table = {(l["run"], l["layer"], l["edge"], l["measure"]): l["value"] for l in lines}
assert len(table) == len(lines)
for e in d["edges"]:
    for key in ("max_error", "rms_error", "sqnr_db", "cosine", "code_flips", "saturated", "scale", "range_share"):
        text = table[names[e["run"]], str(e["layer"]), e["edge"], key]
        assert (float(text) if text else None) == e[key], (e, key, text)
task = d["tasks"][0]["runs"][2]
assert float(table["2-4", "", "cloze", "difference_low_95"]) == task["against_first"]["low"]
assert float(table["2-4", "", "positions", "kl_mean"]) == d["positions"]["runs"][1]["kl_mean"]
PY

# ---- the same whatever the threads, the instruction set ----
for options in "--threads 2" "--cpu scalar"; do
    # shellcheck disable=SC2086
    "$QUAMBA" compare --limit 2 --edge-tokens 16 --modes 0,3,2-4 $options --json "$w8a8" >"$dir/other.json" || fail "$options"
    [ -e "$dir/one.json" ] || "$QUAMBA" compare --limit 2 --edge-tokens 16 --modes 0,3,2-4 --threads 1 --json "$w8a8" >"$dir/one.json"
    cmp "$dir/one.json" "$dir/other.json" || fail "$options changes the result"
done

# ---- planted: one weight code in one layer, one scale in another ----
mkdir "$dir/fault" "$dir/shift"
cp "$w8a8"/* "$dir/fault" && cp "$w8a8"/* "$dir/shift"
python3 - "$dir" <<'PY' || fail "planting"
import json, struct, sys
def tensor(path, name):
    f = open(path, "r+b")
    n = struct.unpack("<Q", f.read(8))[0]
    t = json.loads(f.read(n))[name]
    return f, 8 + n + t["data_offsets"][0], t["shape"]
f, at, shape = tensor(sys.argv[1] + "/fault/model.safetensors", "backbone.layers.11.mixer.x_proj.weight")
assert shape == [512, 48]
f.seek(at + 200 * 48 + 33) # input 200 to output 33
code = f.read(1)[0]
f.seek(-1, 1)
f.write(bytes([code ^ 0x40]))
f.close()
f, at, _ = tensor(sys.argv[1] + "/shift/model.safetensors", "backbone.layers.7.mixer.selective_scan.D_scale")
f.seek(at)
scale = struct.unpack("<f", f.read(4))[0]
f.seek(-4, 1)
f.write(struct.pack("<f", 1.05 * scale))
PY
for mode in 0 2-4; do
    "$QUAMBA" compare "${quick[@]}" --modes $mode,B:$mode --model "B:$dir/fault" --first-divergence --json "$w8a8" \
        >"$dir/fault.json" || fail "the planted fault"
    has "$dir/fault.json" '[(p["run"], p["layer"], p["edge"], p["channel"]) for p in d["first_divergence"]] == [(1, 11, "x_proj_out", 33)]'
    has "$dir/fault.json" '(lambda p: p["unit"] == "codes" and 0 < p["n_differ"] <= 48 and sum(h["count"] for h in p["histogram"]) == p["n_differ"])(d["first_divergence"][0])'
    has "$dir/fault.json" '(lambda p: p["first"]["code"] != p["other"]["code"] and int(p["other"]["hex"], 16) == p["other"]["code"] % 256)(d["first_divergence"][0])'
    has "$dir/fault.json" 'd["runs"][0]["weights"] != d["runs"][1]["weights"]'
done
ends 0 'First divergence of B:0 from 0: layer 11, x_proj_out, piece 0, token [0-9]+, channel 33' \
    "$QUAMBA" compare "${quick[@]}" --modes 0,B:0 --model "B:$dir/fault" --first-divergence "$w8a8"
"$QUAMBA" compare "${quick[@]}" --model "B:$dir/shift" --first-divergence --json "$w8a8" >"$dir/shift.json" || fail "the planted scale"
has "$dir/shift.json" '[r["name"] for r in d["runs"]] == ["0", "B"]'
has "$dir/shift.json" 'next(x for x in d["edges"] if x["max_error"] > 0) == e(1, 7, "scan_out")'
has "$dir/shift.json" '(lambda p: (p["layer"], p["edge"], p["unit"]) == (7, "scan_out", "ulp"))(d["first_divergence"][0])'

# ---- knobs in a list of runs; a text; no edges; every layer ----
"$QUAMBA" compare --limit 1 --edge-tokens 16 --modes 0,0:conv_out=f32,x_proj_in=req,scan_in=req,2-3 --first-divergence --json "$w8a8" \
    >"$dir/knobs.json" || fail "knobs"
has "$dir/knobs.json" '[r["name"] for r in d["runs"]] == ["0", "0:conv_out=f32,x_proj_in=req,scan_in=req", "2-3"]'
ends 0 'LICENSE, 1 items' "$QUAMBA" compare --text LICENSE --limit 1 --modes 0,2-4 --edge-tokens 0 "$w8a8"
grep -q 'SQNR' "$dir/out" && fail "--edge-tokens 0 shows edges"
ends 0 '^residual +23 ' "$QUAMBA" compare --limit 1 --edge-tokens 16 --modes 0,2-4 --verbose "$w8a8"

# ---- records: killed, then resumed: nothing is lost, nothing differs ----
keep=(--limit 30 --edge-tokens 16 --modes 0,2-4 --threads 1)
start_slow() { # until some records of the second run are there
    "$QUAMBA" compare "${keep[@]}" --log-dir "$1" "$w8a8" >"$dir/out" 2>"$dir/err" &
    slow=$!
    for ((i = 0; i < 12000; i++)); do
        [ "$(cat "$1"/w8a8.2-4.*.jsonl 2>/dev/null | wc -l)" -ge 2 ] && return
        sleep 0.01
    done
    fail "no record was written"
}
"$QUAMBA" compare "${keep[@]}" --json --log-dir "$dir/logs" "$w8a8" >"$dir/long.json" || fail "30 items"
start_slow "$dir/killed"
kill -9 $slow
wait $slow 2>/dev/null
ends 2 'unfinished run; --resume goes on with it' "$QUAMBA" compare "${keep[@]}" --log-dir "$dir/killed" "$w8a8"
ends 0 '30 items were taken from' "$QUAMBA" compare "${keep[@]}" --json --resume --log-dir "$dir/killed" "$w8a8"
cmp "$dir/out" "$dir/long.json" || fail "the result after a resume differs"
cmp "$dir/killed/w8a8.2-4.cloze.limit30.jsonl" "$dir/logs/w8a8.2-4.cloze.limit30.jsonl" || fail "records after a resume differ"
start_slow "$dir/stopped"
kill -INT $slow
wait $slow
status=$?
[ $status = 130 ] || fail "Ctrl-C: status $status"
grep -q 'interrupted after [0-9]* of 30 items of cloze; .*--resume' "$dir/err" || fail "Ctrl-C is not explained: $(cat "$dir/err")"
grep -q '^ *0  *0\.' "$dir/out" || fail "Ctrl-C: the scores of the run that is through are not shown"
grep -q '^ *2-4' "$dir/out" && fail "Ctrl-C: scores of a run that is not through"
ends 0 'items were taken from' "$QUAMBA" compare "${keep[@]}" --json --resume --log-dir "$dir/stopped" "$w8a8"
cmp "$dir/out" "$dir/long.json" || fail "the result after Ctrl-C and a resume differs"

# ---- mistakes: named, nothing scored ----
ends 2 '--modes 7: there is no mode "7": modes: fp32 fp16 0 2-0' "$QUAMBA" compare --modes 0,7 "$w8a8"
ends 2 '--modes C:0: there is no mode or --model "C"' "$QUAMBA" compare --modes 0,C:0 "$w8a8"
ends 2 '--modes 1: mode 1 was removed' "$QUAMBA" compare --modes 0,1 "$w8a8"
ends 2 'one run alone' "$QUAMBA" compare --modes 0 "$w8a8"
ends 2 'there is no mode ""' "$QUAMBA" compare --modes 0, "$w8a8"
ends 2 'must be NAME:PATH' "$QUAMBA" compare --model "$demo" "$w8a8"
ends 2 '0 is a mode' "$QUAMBA" compare --model "0:$demo" "$w8a8"
ends 2 'B is named twice' "$QUAMBA" compare --model "B:$demo" --model "B:$w8a8" "$w8a8"
ends 2 'not quantized, mode 2-4 needs INT8 weights' "$QUAMBA" compare --modes fp32,2-4 "$demo"
ends 2 'name that checkpoint \(--reference DIR\)' "$QUAMBA" compare --modes 0,fp32 "$w8a8"
ends 2 'u' "$QUAMBA" compare --modes 0,0:u=nothing "$w8a8"
ends 2 'no task "nothing"' "$QUAMBA" compare --tasks nothing "$w8a8"
ends 2 'needs the --log-dir' "$QUAMBA" compare --resume "$w8a8"
ends 2 'not with --edge-tokens 0' "$QUAMBA" compare --first-divergence --edge-tokens 0 "$w8a8"
ends 1 'none-such' "$QUAMBA" compare --model B:none-such "$w8a8"
ends 1 'cannot|No such' "$QUAMBA" compare --limit 1 --edge-tokens 16 --modes 0,0 --csv "$dir/none/x.csv" "$w8a8"
# a checkpoint whose tokenizer names two tokens the other way round, another vocabulary
mkdir "$dir/swapped"
cp "$w8a8"/* "$dir/swapped"
python3 - "$dir/swapped/tokenizer.json" <<'PY'
import json, sys
t = json.load(open(sys.argv[1]))
v = t["model"]["vocab"]
a, b = [k for k in v if v[k] in (300, 301)]
v[a], v[b] = v[b], v[a]
json.dump(t, open(sys.argv[1], "w"))
PY
ends 1 'another vocabulary' "$QUAMBA" compare --model "B:$dir/swapped" "$w8a8"
finish
