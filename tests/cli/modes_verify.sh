#!/usr/bin/env bash
# quamba modes verify: all equivalences hold on the quantized demo model, as a table and as JSON.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }

"$QUAMBA" quantize "$QUAMBA_SOURCE_DIR/models/demo" --output "$work/w8a8" --quiet \
    --act-scales "$QUAMBA_SOURCE_DIR/tests/golden/act_scales_demo.json" > /dev/null
"$QUAMBA" modes verify --threads 1 --json "$work/w8a8" > "$work/found.json" || fail "status $?"
python3 - "$work/found.json" << 'PY'
import json, sys
found = json.load(open(sys.argv[1]))
ids = {f["id"] for f in found}
assert {f"T{i}" for i in range(1, 23)} <= ids, ids
assert all(f["outcome"] == "holds" for f in found), [f for f in found if f["outcome"] != "holds"]
PY
status=0
"$QUAMBA" modes verify "$QUAMBA_SOURCE_DIR/models/demo" 2> "$work/err" || status=$?
[ $status = 2 ] || fail "an unquantized model: status $status"
grep -q "is not quantized" "$work/err" || fail "message: $(cat "$work/err")"
status=0
"$QUAMBA" modes verify 2> "$work/err" || status=$?
[ $status = 2 ] || fail "without a model: status $status"
