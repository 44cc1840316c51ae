#!/bin/bash
# quamba modes: the edges of the seven modes as specified, knobs changed, what is refused.
. "$QUAMBA_SOURCE_DIR/tests/cli/common.bash"

expect() { ends "$1" "$2" "$QUAMBA" "${@:3}"; } # STATUS PATTERN ARGUMENTS...

# ---- the table of the specification: "same" is what the column before has, ** marks and "(...)"
# at the end are remarks ----
awk -F' *[|] *' '
    !/^\|/ || /^\|-/ { next }
    $2 == "edge" { for (c = 3; c < NF; c++) id[c] = $c; n = NF; next }
    {
        for (c = 3; c < n; c++) {
            cell = $c
            gsub(/[*][*]/, "", cell)
            sub(/ [(][^)]*[)]$/, "", cell)
            sub(/^f16, same$/, "same", cell)
            if (cell == "same") cell = last
            last = cell
            print id[c] "\t" $2 "\t" cell
        }
    }' "$QUAMBA_SOURCE_DIR/tests/golden/mode_edges.md" >"$dir/wanted"
[ "$(wc -l <"$dir/wanted")" = 126 ] || fail "the table has not 18 edges of 7 modes"
for id in 0 2-0 2-1 2-2 2-3 2-4 3; do
    "$QUAMBA" modes show "$id" >"$dir/out" || fail "modes show $id"
    awk -v id="$id" '
        found { i = index($0, "  "); f = substr($0, i); sub(/^ +/, "", f)
                print id "\t" substr($0, 1, i - 1) "\t" f }
        /^edge  / { found = 1 }' "$dir/out"
done >"$dir/shown"
sed -i -E 's/ [(]section 2[.]4[)]//' "$dir/wanted"
sort "$dir/wanted" >"$dir/a"
sort "$dir/shown" >"$dir/b"
diff "$dir/a" "$dir/b" || fail "modes show prints other formats than the specification has"

# ---- list, knobs, show ----
expect 0 '^2-0 .* 0 5-0$' modes list
for id in $(awk 'NR > 1 { print $1 }' "$dir/out"); do
    expect 0 "^mode +$id\$" modes show "$id"
    expect 0 "\"id\": \"$id\"" modes show "$id" --json
done
expect 0 '"same_as"' modes list --json
expect 0 '^conv_out +grid +i8 f32 vq' modes knobs
expect 0 '"short": "grid"' modes knobs --json
expect 0 '^scan kernel +ref32$' modes show 0 --datapath u=deq,scan=ref
expect 0 '^same as +2-1 2-2' modes show 0 --datapath u=deq,scan=ref,state=f32
expect 0 '^causal +no' modes show 3
expect 0 '^grid +446 values, 9 bits' modes show 5-4

# ---- refused ----
expect 2 'there is no mode "9".* 2-4 ' modes show 9
expect 2 'of which mode' modes show
expect 2 'unexpected argument' modes list --datapath u=deq
expect 2 'xp=codes does not go with grid=f32.*grid=f32,xp=req,u=req$' modes show 0 --datapath grid=f32
expect 2 'did you mean grid' modes show 0 --datapath grd=f32
expect 2 'has no knobs' modes show fp32 --datapath u=deq
expect 2 'did you mean grid' generate "$QUAMBA_SOURCE_DIR/models/demo" --datapath grd=f32 --prompt x

# ---- a quantized model runs them ----
model=$dir/w8a8
"$QUAMBA" quantize --quiet --act-scales "$QUAMBA_SOURCE_DIR/tests/golden/act_scales_demo.json" \
    -o "$model" "$QUAMBA_SOURCE_DIR/models/demo" >"$dir/out" || fail "quantize"
run() { "$QUAMBA" generate "$model" --prompt "The river was" --max-tokens 12 --temperature 0 --json "$@"; }
text() { run "$@" 2>"$dir/err" | sed -n 's/^ *"text": //p'; }
[ -n "$(text)" ] || { fail "generate"; cat "$dir/err"; }
[ "$(text --mode 2-0)" = "$(text --datapath u=deq)" ] || fail "--datapath u=deq is not 0"
expect 0 '"mode": "0:scan=ref,state=f32"' generate "$model" --datapath scan=ref,state=f32 \
    --prompt "The river was" --max-tokens 2 --json
[ "$(text --mode 2-4)" = "$(text --datapath conv_out=f32,x_proj_in=req,scan_in=val,scan=ref,ssm_state=f32)" ] ||
    fail "the knobs of 2-4 do not run as 2-4"
expect 2 'percentile-alpha 1.0' generate "$model" --mode 6-4 --prompt x
expect 0 . generate "$model" --mode 6-4 --prompt x --max-tokens 2 --outlier-scales "$model/act_scales.json"
expect 1 'No such file' generate "$model" --mode 6-4 --prompt x --outlier-scales "$dir/none"
echo '[{},{}]' >"$dir/short.json"
expect 1 'short.json' generate "$model" --mode 6-4 --prompt x --outlier-scales "$dir/short.json"
"$QUAMBA" generate "$model" --datapath u=deq --prompt "The river" --max-tokens 1 --quiet \
    --save-state "$dir/state" >/dev/null || fail "--save-state"
expect 0 . generate "$model" --datapath u=deq --prompt x --max-tokens 1 --load-state "$dir/state"
expect 1 'saved in mode' generate "$model" --datapath scan=ref,state=f32 --prompt x --max-tokens 1 \
    --load-state "$dir/state"
finish
