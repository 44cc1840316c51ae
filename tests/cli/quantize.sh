#!/bin/bash
# quantize: a made-up model to the same bytes for any instruction set and number of threads, what is
# refused, and the trained demo model to the very tensors that the original program saved.
. "$QUAMBA_SOURCE_DIR/tests/cli/common.bash"
expect() { ends "$1" "$2" "$QUAMBA" "${@:3}"; } # STATUS PATTERN ARGS...
python=$(command -v python3 || true)

# ---- the repository's demo model with made-up scales ---------------------------------------------
model=$QUAMBA_SOURCE_DIR/models/demo
made_up_scales >"$dir/scales.json"
quantize() { expect "$1" "$2" quantize --threads 1 --act-scales "$dir/scales.json" "${@:3}"; }

quantize 0 "891 tensors" -o "$dir/a" "$model"
quantize 0 "layers" --cpu scalar --threads 3 -o "$dir/b/" "$model"
diff -r "$dir/a" "$dir/b" || fail "instruction set or threads change the files"
[ "$(cd "$dir/a" && ls -A | tr '\n' ' ')" = "act_scales.json config.json model.safetensors tokenizer.json " ] ||
    fail "files are $(ls -A "$dir/a")"
cmp "$model/tokenizer.json" "$dir/a/tokenizer.json" || fail "tokenizer.json changed"
quantize 0 '"tensors": 896' --json --quantize-embedding --quantize_lm_head -o "$dir/c" "$model"
grep -q '"layer": "W8O16Embedding"' "$dir/c/config.json" || fail "config.json does not name the embedding"
grep -q '"layer": "W8A8B16O16Linear"' "$dir/c/config.json" || fail "config.json does not name the head"
expect 0 "mamba1 w8a8" inspect "$dir/c"
expect 0 "missing     nothing" inspect "$dir/c"
# what it writes it reads: the scales, and the weights in another container
expect 0 "891 tensors" quantize --threads 2 --act-scales "$dir/a/act_scales.json" -o "$dir/d" "$model"
cmp "$dir/a/model.safetensors" "$dir/d/model.safetensors" || fail "scales change on the way through act_scales.json"
mkdir "$dir/there"
echo mine >"$dir/there/notes"
quantize 0 "" -o "$dir/there" "$model"
cmp "$dir/a/model.safetensors" "$dir/there/model.safetensors" || fail "an existing directory gets other bytes"

# ---- refusals ------------------------------------------------------------------------------------
quantize 2 "--output DIR says" "$model"
quantize 2 "where the source is" -o "$model" "$model"
quantize 2 "has a file model.safetensors already" -o "$dir/a" "$model"
quantize 1 "weights and activations can be 8 and 8" --w-bits 4 -o "$dir/x" "$model"
quantize 1 "w_bits 8 with a_bits 16" --a-bits 16 -o "$dir/x" "$model"
quantize 2 "neither auto nor a number above 0" --percentile-alpha 0 -o "$dir/x" "$model"
quantize 2 "--percentile-alpha" --percentile-alpha 1.5 -o "$dir/x" "$model"
quantize 2 "no such instruction set" --cpu mmx -o "$dir/x" "$model"
quantize 1 "no such file" -o "$dir/x" "$dir/nope"
quantize 1 "is quantized already" -o "$dir/x" "$dir/a"
expect 2 "--act-scales FILE" quantize -o "$dir/x" "$model"
expect 1 "nope.json: cannot open" quantize --act-scales "$dir/nope.json" -o "$dir/x" "$model"
printf '[{}, {}]' >"$dir/empty.json"
expect 1 'empty.json: layer 0: "dt_proj:output" is missing' quantize --act-scales "$dir/empty.json" -o "$dir/x" "$model"
sed 's/^\[{[^}]*}[^}]*}[^}]*}[^}]*}[^}]*}[^}]*}[^}]*}}, /[/' "$dir/scales.json" >"$dir/short.json"
expect 1 "scales of 23 layers, the model has 24" quantize --act-scales "$dir/short.json" -o "$dir/x" "$model"
[ ! -e "$dir/x" ] || fail "a failed run left something behind"
[ -z "$(find "$dir" -name '*.tmp')" ] || fail "temporary files are left"

# A full disk, by a limit on the size of files that config.json is below and the weights are not.
for target in "$dir/new" "$dir/there2"; do
    [ "$target" = "$dir/new" ] || { mkdir "$target"; echo mine >"$target/notes"; }
    (ulimit -f 1000; trap '' XFSZ; "$QUAMBA" quantize --act-scales "$dir/scales.json" -o "$target" "$model") >"$dir/out" 2>/dev/null
    [ $? = 1 ] || fail "a full disk does not end in status 1"
done
[ -z "$(find "$dir" -mindepth 1 -name 'new*')" ] || fail "a full disk leaves a directory behind"
[ "$(ls -A "$dir/there2")" = notes ] || fail "a full disk leaves files behind"

# ---- what the original program saved -------------------------------------------------------------
fork=$QUAMBA_SHARED_DIR/models/demo-fork-w8a8
golden=$QUAMBA_SHARED_DIR/golden/fork/demo
if [ ! -d "$fork" ] || [ ! -d "$golden" ] || [ -z "$python" ]; then
    echo "SKIPPED: the check against the original's checkpoint needs ../shared and python3"
    finish
fi
expect 0 "891 tensors" quantize --act-scales "$golden/act_scales_a9995.json" -o "$dir/demo" "$QUAMBA_SHARED_DIR/models/demo"
expect 0 "891 tensors" convert --to upstream -o "$dir/up" "$dir/demo"
for which in "$fork" "$dir/up"; do
    "$python" "$QUAMBA_SOURCE_DIR/tools/read_upstream.py" "$which/pytorch_model.bin" >"$dir/${which##*/}.json" ||
        fail "read_upstream.py on $which"
done
"$python" - "$dir"/{demo-fork-w8a8,up}.json "$fork/config.json" "$dir/up/config.json" <<'PY' || fail "the checkpoint differs from the original's"
import json, sys
want, got = (json.load(open(f)) for f in sys.argv[1:3])
assert len(want) == 891 and set(want) == set(got)
for name in want:  # type, shape, stride, hash of the bytes, value
    assert want[name] == got[name], (name, want[name], got[name])
want, got = (json.load(open(f)) for f in sys.argv[3:])
recipe = got.pop("quantization_config")
assert want == got, (want, got)
assert recipe["quant_method"] == "quamba" and recipe["percentile_alpha"] == 0.9995, recipe
PY
finish
