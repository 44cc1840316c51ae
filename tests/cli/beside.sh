#!/bin/bash
# Models beside a model: rows that are side-by-side runs print how far apart they are, the text is that
# of the chosen row; and the checkpoint that a quantized model was made from.
. "$QUAMBA_SOURCE_DIR/tests/cli/common.bash"
source=$QUAMBA_SOURCE_DIR
"$QUAMBA" quantize --quiet --act-scales "$source/tests/golden/act_scales_demo.json" -o "$dir/w8a8" \
    "$source/models/demo" >/dev/null || exit 1
generate() { # MODE
    "$QUAMBA" generate --threads 1 --mode "$1" --prompt "Once upon a time" --max-tokens 4 --temperature 0 \
        "$dir/w8a8" >"$dir/out" 2>"$dir/err" || fail "--mode $1: status $?"
}
generate 5-1
cp "$dir/out" "$dir/alone"
grep -q 'Side by side' "$dir/err" && fail "5-1 runs by itself"
generate 5
cmp -s "$dir/out" "$dir/alone" || fail "the text of 5 is that of 5-1"
for words in 'Side by side: mode 5,' 'layer 23, residual' '5-0 - 5-2: 0 of .* the codes are equal'; do
    grep -q -e "$words" "$dir/err" || fail "mode 5: no \"$words\" in"
done
generate 6
# x_proj reads the same codes in layer 0, later the streams have parted
grep -A3 'layer 0, x_proj_in' "$dir/err" | grep -q '6 - 0:rnd=even: 0 of .* the codes are equal' ||
    fail "mode 6: the codes of layer 0 must be equal"
grep -A3 'layer 23, x_proj_in' "$dir/err" | grep -q 'the codes are equal' &&
    fail "mode 6: the codes of layer 23 must not be equal"
"$QUAMBA" eval --threads 1 --mode 5@n25 --limit 1 --data-dir "$source/data" --tasks cloze "$dir/w8a8" \
    >"$dir/out" 2>"$dir/err" || fail "eval --mode 5@n25: status $?"
grep -q 'Side by side: mode 5@n25' "$dir/err" || fail "eval shows the rows beside it"
# The unquantized modes of a quantized model are those of the checkpoint it was made from.
"$QUAMBA" generate --threads 1 --mode fp32 --reference "$source/models/demo" --prompt "Once upon a time" \
    --max-tokens 4 --temperature 0 "$dir/w8a8" >"$dir/out" 2>"$dir/err" || fail "--reference: status $?"
"$QUAMBA" generate --threads 1 --prompt "Once upon a time" --max-tokens 4 --temperature 0 \
    "$source/models/demo" >"$dir/alone" 2>/dev/null
cmp -s "$dir/out" "$dir/alone" || fail "--reference: another text than that of the checkpoint"
"$QUAMBA" generate --mode fp32 --prompt x "$dir/w8a8" >"$dir/out" 2>"$dir/err"
[ $? = 2 ] && grep -q -e '--reference DIR' "$dir/err" || fail "fp32 without --reference is refused"
"$QUAMBA" generate --mode fp32 --reference "$dir/none" --prompt x "$dir/w8a8" >"$dir/out" 2>"$dir/err"
[ $? = 1 ] || fail "a reference that is not there"
finish
