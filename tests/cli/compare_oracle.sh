#!/bin/bash
# The numbers of quamba compare against numpy and scipy, from what quamba trace wrote of both runs
# and from their per-item records.
. "$QUAMBA_SOURCE_DIR/tests/cli/common.bash"
python=
for candidate in "$QUAMBA_SOURCE_DIR/.venv/bin/python" python3 /usr/bin/python3; do
    "$candidate" -c 'import numpy, scipy' 2>/dev/null && { python=$candidate; break; }
done
if [ -z "$python" ]; then
    echo "SKIPPED: all of it needs python3 with scipy: tools/setup.sh --check, or python3 -m venv .venv && .venv/bin/pip install scipy"
    exit 77
fi
demo=$QUAMBA_SOURCE_DIR/models/demo
text=$QUAMBA_SOURCE_DIR/README.md
cd "$QUAMBA_SOURCE_DIR" || exit 1 # for data/cloze.jsonl
"$QUAMBA" quantize -q --act-scales tests/golden/act_scales_demo.json -o "$dir/w8a8" "$demo" || fail "quantize"

for mode in 0 2-4 3 fp32; do
    model=$dir/w8a8
    [ $mode = fp32 ] && model=$demo
    "$QUAMBA" trace -q --mode $mode --text "$text" --tokens 0:60 --layers 0,11,head -o "$dir/$mode" "$model" ||
        fail "trace of $mode"
done
oracle() { # oracle NAME ARGUMENTS...: says how much it checked
    ends 0 '^[1-9][0-9]+ numbers checked, 0 wrong' "$python" "$QUAMBA_SOURCE_DIR/tests/oracle/compare.py" "${@:2}"
    echo "$1: $(tail -n 1 "$dir/out")"
}
for pair in "0 2-4" "0 3" "fp32 0"; do
    read -r a b <<<"$pair"
    "$QUAMBA" compare --reference "$demo" --modes "$a,$b" --text "$text" --limit 1 --edge-tokens 60 --json "$dir/w8a8" \
        >"$dir/result.json" || fail "compare $a,$b"
    oracle "edges of $b against $a" "$dir/result.json" "$dir/$a" "$dir/$b"
done

"$QUAMBA" compare --modes 0,2-4 --tasks cloze --limit 60 --edge-tokens 0 --log-dir "$dir/logs" --json "$dir/w8a8" \
    >"$dir/result.json" || fail "compare with records"
oracle "scores" "$dir/result.json" "$dir"/logs/w8a8.0.cloze.limit60.jsonl "$dir"/logs/w8a8.2-4.cloze.limit60.jsonl

# the oracle itself can fail
sed 's/"cosine": 0\.99/"cosine": 0.98/; s/"won": [0-9]*/"won": 99/' "$dir/result.json" >"$dir/broken.json"
ends 1 'FAILED: won: 99' "$python" "$QUAMBA_SOURCE_DIR/tests/oracle/compare.py" "$dir/broken.json" \
    "$dir"/logs/w8a8.0.cloze.limit60.jsonl "$dir"/logs/w8a8.2-4.cloze.limit60.jsonl
finish
