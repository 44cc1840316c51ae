#!/bin/bash
# convert --to packed: the same bits from matrices that lie in the file as they are multiplied, and
# what is refused.
. "$QUAMBA_SOURCE_DIR/tests/cli/common.bash"
expect() { ends "$1" "$2" "$QUAMBA" "${@:3}"; } # STATUS PATTERN ARGS...
demo=$QUAMBA_SOURCE_DIR/models/demo
python=$(command -v python3 || true)

made_up_scales >"$dir/scales.json"
expect 0 "" quantize --act-scales "$dir/scales.json" --quantize-embedding --quantize-lm-head -o "$dir/a" "$demo"
expect 0 "as model.safetensors" convert --to packed --threads 2 -o "$dir/p" "$dir/a"
cmp "$dir/a/config.json" "$dir/p/config.json" && cmp "$dir/a/tokenizer.json" "$dir/p/tokenizer.json" ||
    fail "what goes along changed"
in_proj=backbone.layers.0.mixer.in_proj.weight
expect 0 "i8 +\[64, 64, 16, 4\]" inspect --tensor $in_proj "$dir/p"
expect 0 "missing     nothing" inspect "$dir/p"
expect 0 '"quamba_dt_rank": "16"' inspect --json "$dir/p"

# ---- the same bits: every kind of product that a row has, one row at a time and many --------------
head -c 400 "$QUAMBA_SOURCE_DIR/README.md" >"$dir/text"
for row in "0 scalar" "0 avx2" "0 native" "2-4 native" "3 native" "4 native" "5-4 native" "6-3 native"; do
    read -r mode cpu <<<"$row"
    [ "$cpu" != avx2 ] || grep -q avx2 /proc/cpuinfo || continue
    for from in a p; do # records: a header that names the checkpoint, then numbers with 17 digits
        expect 0 "" eval --mode $mode --cpu $cpu --threads 2 --scoring both --text "$dir/text" --log-dir "$dir/log" "$dir/$from"
        cat "$dir/log/$from.$mode."*.jsonl | grep -v quamba_eval >"$dir/$from.records"
    done
    grep -c mean_loglik "$dir/a.records" | grep -q '^2$' || fail "mode $mode: no records"
    cmp "$dir/a.records" "$dir/p.records" || fail "mode $mode, $cpu: packed matrices give other numbers"
    rm -r "$dir/log"
done
# the file alone has all it needs but the tokenizer
expect 0 "" bench --repeat 1 --prompt-len 4 --gen-len 2 "$dir/p/model.safetensors"

# ---- refusals -------------------------------------------------------------------------------------
expect 1 "packed already" convert --to packed -o "$dir/x" "$dir/p"
expect 1 "which nothing but quamba reads" convert --to upstream -o "$dir/x" "$dir/p"
expect 1 "quantize it first" convert --to packed -o "$dir/x" "$demo"
expect 1 "is quantized already" quantize --act-scales "$dir/scales.json" -o "$dir/x" "$dir/p"
[ ! -e "$dir/x" ] || fail "a failed conversion left something behind"
expect 0 "" convert -o "$dir/p2" "$dir/p"
cmp "$dir/p/model.safetensors" "$dir/p2/model.safetensors" || fail "a packed file changes on the way"
damage() { # FROM TO PATTERN: the same number of bytes, so that the header stays one
    mkdir -p "$dir/bad"
    LC_ALL=C sed "s/$1/$2/" "$dir/p/model.safetensors" >"$dir/bad/model.safetensors"
    cmp -s "$dir/p/model.safetensors" "$dir/bad/model.safetensors" && fail "$1 is not there"
    expect 1 "$3" generate --prompt x --max-tokens 1 "$dir/bad/model.safetensors"
}
damage 'layers.0.mixer.selective_scan.A_log' 'layers.0.mixer.selective_scan.X_log' 'selective_scan.A_log is missing'
expect 0 'selective_scan.A_log' inspect "$dir/bad/model.safetensors" # it lists what is missing
damage '"quamba_dt_rank":"16"' '"quamba_dt_rank":"1x"' 'quamba_dt_rank" in its __metadata__ is "1x"'
damage '"quamba_dt_rank":"16"' '"quamba_xy_rank":"16"' 'quamba_dt_rank" in its __metadata__ is missing'
damage '"quamba_dt_rank":"16"' '"quamba_dt_rank":"99"' 'dt_proj.weight is i8 \[32, 4, 16, 4\], must be i8 \[32, 25, 16, 4\]|x_proj.weight is i8'
damage '\[64,64,16,4\]' '[64,16,64,4]' 'in_proj.weight is i8'
finish
