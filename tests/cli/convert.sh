#!/bin/bash
# inspect and convert: the way there and back, and what is refused.  python3, where there is one,
# checks our files with a reader of its own.
. "$QUAMBA_SOURCE_DIR/tests/cli/common.bash"
expect() { ends "$1" "$2" "$QUAMBA" "${@:3}"; } # STATUS PATTERN ARGS...
read_upstream=$QUAMBA_SOURCE_DIR/tools/read_upstream.py
python=$(command -v python3 || true)

# ---- a small checkpoint: a strided tensor, a 0-dim one, a Python float, a None -------------------
mkdir "$dir/src"
cp "$QUAMBA_SOURCE_DIR/tests/fuzz/corpus/torch_zip/checked" "$dir/src/pytorch_model.bin"
printf '{"d_model": 3,  "odd": "bytes"}' >"$dir/src/config.json"
printf '{"not": "parsed"}\n' >"$dir/src/tokenizer.json"
expect 0 "3 tensors" convert --output "$dir/st" "$dir/src"
grep -q "1 entries that are no numbers" "$dir/err" || fail "the left-out None is not mentioned"
expect 0 "pytorch_model.bin" convert --json --to upstream -o "$dir/up/deep" "$dir/st"
expect 0 "model.safetensors" convert -o "$dir/st2/" "$dir/up/deep/pytorch_model.bin"
for file in config.json tokenizer.json; do
    cmp "$dir/src/$file" "$dir/st/$file" && cmp "$dir/src/$file" "$dir/st2/$file" || fail "$file changed"
done
cmp "$dir/st/model.safetensors" "$dir/st2/model.safetensors" || fail "the way there and back changes the file"
[ -z "$(find "$dir" -mindepth 1 -name '*.tmp')" ] || fail "temporary files are left"
expect 0 "1 Python floats" inspect "$dir/src"
expect 0 "\[1, 2\]" inspect "$dir/src"
expect 0 "not a Mamba" inspect "$dir/src"
expect 0 '"python_float": true' inspect --json --tensor f "$dir/st"
expect 0 "absmax   0.5" inspect --tensor f "$dir/src/pytorch_model.bin"

# ---- refusals ------------------------------------------------------------------------------------
expect 2 "--output DIR says" convert "$dir/src"
expect 2 "where the source is" convert -o "$dir/src" "$dir/src"
expect 2 "where the source is" convert -o "$dir/st/../src/" "$dir/src/pytorch_model.bin"
expect 2 "has a file model.safetensors already" convert -o "$dir/st" "$dir/src"
expect 2 "has a file model.safetensors already" convert --to upstream -o "$dir/st" "$dir/src"
expect 2 "is a file" convert -o "$dir/src/config.json" "$dir/st"
expect 2 "--to" convert --to gguf -o "$dir/x" "$dir/src"
expect 1 "has no tensor \"nope\"" inspect --tensor nope "$dir/src"
expect 1 "no such file" inspect "$dir/nope"
expect 1 "cannot create directory" convert -o "$dir/src/config.json/x" "$dir/src"
head -c 700 "$dir/src/pytorch_model.bin" >"$dir/cut.bin"
expect 1 "truncated" convert -o "$dir/x" "$dir/cut.bin"
expect 1 "truncated" inspect "$dir/cut.bin"
cp "$QUAMBA_SOURCE_DIR/tests/fuzz/corpus/torch_zip/system" "$dir/system.bin"
expect 1 "os.system; only tensors are read here" inspect "$dir/system.bin"
[ ! -e "$dir/x" ] || fail "a failed conversion left something behind"

# A full disk, by a limit on the size of files that config.json is below and the weights are not:
# nothing is left, and an existing directory is as it was.
mkdir "$dir/there"
echo mine >"$dir/there/notes"
for target in "$dir/new" "$dir/there"; do
    (ulimit -f 1; trap '' XFSZ; "$QUAMBA" convert --to upstream -o "$target" "$dir/src") >"$dir/out" 2>/dev/null
    [ $? = 1 ] || fail "a full disk does not end in status 1"
done
[ -z "$(find "$dir" -mindepth 1 -name 'new*')" ] || fail "a full disk leaves a directory behind"
[ "$(ls -A "$dir/there")" = notes ] || fail "a full disk leaves files behind"
expect 0 "3 tensors" convert -o "$dir/there" "$dir/src"
if [ "$(id -u)" != 0 ]; then
    mkdir "$dir/locked"; chmod 500 "$dir/locked"
    expect 1 "Permission denied" convert -o "$dir/locked/x" "$dir/src"
fi

# ---- the second reader ---------------------------------------------------------------------------
if [ -z "$python" ]; then
    echo "SKIPPED: python3 is not there, tools/read_upstream.py was not run"
else
    "$python" "$read_upstream" "$dir/src/pytorch_model.bin" w h f >"$dir/a.json" || fail "read_upstream.py on the source"
    "$python" "$read_upstream" "$dir/up/deep/pytorch_model.bin" >"$dir/b.json" || fail "read_upstream.py on our file"
    "$python" - "$dir/a.json" "$dir/b.json" <<'PY' || fail "read_upstream.py sees other tensors"
import json, sys
a, b = (json.load(open(f)) for f in sys.argv[1:])
assert a == b and len(a) == 3, (a, b)
PY
    "$python" "$read_upstream" "$dir/system.bin" 2>&1 | grep -q "os.system is not allowed" || fail "read_upstream.py runs anything"
fi

# ---- what the original program saved -------------------------------------------------------------
fork=$QUAMBA_SHARED_DIR/models/demo-fork-w8a8
manifest=$QUAMBA_SHARED_DIR/golden/fork/demo/manifest_a9995.json
if [ ! -d "$fork" ] || [ ! -f "$manifest" ] || [ -z "$python" ]; then
    echo "SKIPPED: the check against the manifest of the quantized demo model needs ../shared and python3"
    finish
fi
expect 0 "891 tensors" convert -o "$dir/w8" "$fork"
expect 0 "891" convert --to upstream -o "$dir/w8up" "$dir/w8"
expect 0 "mamba1 w8a8" inspect "$dir/w8"
expect 0 "missing     nothing" inspect "$dir/w8"
expect 0 "modules     embedding f16, in_proj w8a8, conv1d i8, x_proj w8a8" inspect "$dir/w8"
expect 0 "not there   lm_head.bias" inspect "$dir/w8"
expect 0 "   23  0.0432  0.0834  0.0834     0.02" inspect "$fork"
expect 0 "0.0365600586" inspect --layer 23 "$fork"
expect 0 "warning: $fork: lm_head.bias is missing: the head runs without bias" generate -q --max-tokens 1 --prompt A "$fork"
expect 0 "norm_f.output_scale is missing: the head gets" generate -q --max-tokens 1 --prompt A "$fork"
expect 0 "is rounded to 127 steps" generate --norm-f-fallback dequant --max-tokens 1 --prompt A "$fork"
expect 1 "has no layer 24: there are 24" inspect --layer 24 "$fork"
"$QUAMBA" inspect --json "$fork" >"$dir/w8.json" || fail "inspect --json"
"$python" - "$manifest" "$dir/w8.json" <<'PY' || fail "inspect --json has other scales than the manifest"
import json, struct, sys
manifest, got = (json.load(open(f)) for f in sys.argv[1:])
want = [{} for _ in range(24)]
for name, entry in manifest.items():
    if name.startswith("backbone.layers.") and "value" in entry:
        layer, rest = name.split(".", 3)[2:]
        want[int(layer)][rest], = struct.unpack("<f", bytes.fromhex(entry["f32"]))
assert got["scales"] == want and len(want[0]) == 27
assert got["modules"]["x_proj"] == "w8a8" and got["inferred"]["missing"] == []
PY
"$python" - "$manifest" "$dir/w8/model.safetensors" <<'PY' || fail "the safetensors file differs from the manifest"
import hashlib, json, struct, sys
manifest = json.load(open(sys.argv[1]))
data = open(sys.argv[2], "rb").read()
n, = struct.unpack("<Q", data[:8])
header = json.loads(data[8:8 + n])
meta = header.pop("__metadata__")
floats, columns = (set(json.loads(meta[k])) for k in ("python_floats", "column_major"))
assert (8 + n) % 64 == 0 and set(header) == set(manifest)
names = {"F32": "float32", "F16": "float16", "I8": "int8"}
for name, want in manifest.items():
    t = header[name]
    begin, end = (8 + n + x for x in t["data_offsets"])
    assert begin % (64 if (end - begin) % 64 == 0 else 2) == 0, name
    if want["dtype"] == "float":
        assert name in floats and data[begin:end].hex() == want["f32"] and t["shape"] == [], name
        continue
    assert names[t["dtype"]] == want["dtype"] and t["shape"] == want["shape"], name
    assert hashlib.sha256(data[begin:end]).hexdigest() == want["sha256"], name
    turned = len(want["stride"]) == 2 and want["stride"] != [want["shape"][1], 1] and max(want["stride"]) > 1
    assert (name in columns) == turned, name
PY
"$python" "$read_upstream" "$dir/w8up/pytorch_model.bin" >"$dir/up.json" || fail "read_upstream.py on the quantized model"
"$python" - "$manifest" "$dir/up.json" <<'PY' || fail "the pytorch_model.bin differs from the manifest"
import json, sys
want, got = (json.load(open(f)) for f in sys.argv[1:])
assert set(want) == set(got)
for name in want:
    for key in ("dtype", "shape", "stride", "sha256", "value"):
        if key in got[name]:
            assert got[name][key] == want[name][key], (name, key)
PY
finish
