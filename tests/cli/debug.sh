#!/bin/bash
# What a run shows of one layer: both blocks with every field, once; the scale check; quick verify.
. "$QUAMBA_SOURCE_DIR/tests/cli/common.bash"
demo=$QUAMBA_SOURCE_DIR/models/demo
cd "$dir" || exit 1
mkdir data
head -n 4 "$QUAMBA_SOURCE_DIR/data/calibration.jsonl" >data/calibration.jsonl
head -n 5 "$QUAMBA_SOURCE_DIR/data/cloze.jsonl" >data/cloze.jsonl
"$QUAMBA" quantize --quiet --threads 1 --calib-data-num 4 --calib-seqlen 16 -o q "$demo" >/dev/null || { fail quantize; exit 1; }
generate() { "$QUAMBA" generate --prompt "It was a dark night and" --max-tokens 3 --temperature 0 "$@" >out 2>err; }
has() { # has PATTERN...: each is in what was said
    for pattern in "$@"; do grep -Eq -e "$pattern" err || { cat err; fail "$case: no $pattern"; }; done
}

# ---- the blocks ----------------------------------------------------------------------------------
n='-?[0-9]+\.[0-9]{6}' s='[0-9]+\.[0-9]{10}'
generate --mode 2-4 --quiet q && cp out plain
for mode in 0 2-0 2-1 2-2 2-3 2-4 3; do
    case="mode $mode"
    generate --mode $mode --debug-layer 5 q || fail "$case: status $?"
    has "^\[Layer 6 / Counter 5\] Conv1D Output \(Mode $mode\)$" '^Location: ' '^Conv1D Kernel: ' '^  shape: \(1, 512, 6\)$' \
        "^  input_scale: $s " "^  output_scale: $s " '^Next Step:$' '^  mixer: ' '^  x_proj: INT8' '^  scan: '
    case $mode in
    2-3 | 2-4 | 3) has '^  dtype: float32$' "^  range \[min, max\]: \[$n, $n\]$" "^  absmax: $n$" "^  conv first 5 values \[0,0,:5\]: \[$n, $n, $n, $n, $n\]$" ;;
    *) has '^  dtype: int8$' '^  range \[min, max\]: \[-?[0-9]+, [0-9]+\]$' '^  absmax: [0-9]+$' '^  conv first 5 values \[0,0,:5\]: \[(-?[0-9]+, ){4}-?[0-9]+\]$' ;;
    esac
    case $mode in
    2-0 | 2-1 | 2-2) [ $mode = 2-1 ] || has 'output_scale: .*for dequantization in the mixer' ;;
    2-3) has 'output_scale: .*for requantization by the scan' ;;
    2-4 | 3) has 'output_scale: .*for requantization for x_proj' ;;
    esac
    [ $mode != 3 ] || has 'input_scale: .*found at run time'
    frames=6
    if [ $mode = 0 ]; then
        frames=3
        grep -q 'SSM Scales' err && fail "mode 0 has a scan block"
    else
        has '^\[Layer 6 / layer_idx 5\] SSM Scales$' '^u dtype: (int8|float32)$' '^dt/B/C dtype: int8$' '^conv output_scale must equal u_scale: .*, equal: yes$'
        for name in u dt B C; do has "^  $name first 5 values \[0,0,:5\]: \["; done
        for name in u dt B C A D z ssm_state dt_bias; do has "^  ${name}_scale: $s \("; done
    fi
    [ "$(grep -cxE '={80}' err)" = $frames ] || { cat err; fail "$case: not $frames lines of 80 equals signs"; }
done
case="the last layer is layer 23"
generate --mode 2-4 --debug-layer 23 --quiet q
cmp -s out plain || fail "watching changes the text"
has '^\[Layer 24 / Counter 23\]' '^\[Layer 24 / layer_idx 23\]'
generate --mode 2-4 --debug-layer 24 q && fail "layer 24 of 24"
case="--debug-layer 24" && has '^quamba: --debug-layer 24: the model has layers 0 to 23$'
case="fp32" && generate --debug-layer 0 "$demo" && has 'mode fp32 has no codes and no scales to show'

# ---- main shows them unasked, others do not ------------------------------------------------------
case="main"
"$QUAMBA" main q --mode 2-4 --eval_zero_shot --eval_few_shot --fewshot 1 --task_list cloze --limit 2 >out 2>err || fail "main: $?"
has '^\[Layer 24 / Counter 23\] Conv1D Output \(Mode 2-4\)$' '^\[Layer 24 / layer_idx 23\] SSM Scales$'
[ "$(grep -c 'Conv1D Output' err)" = 1 ] || fail "main: more than once"
"$QUAMBA" eval q --mode 2-4 --quiet --tasks cloze --limit 2 >out 2>err && [ ! -s err ] || { cat err; fail "eval says something"; }

# ---- the scale check -----------------------------------------------------------------------------
case="check"
generate --mode 2-3 --scale-check warn q || fail "warn: $?"
has 'Scale check of the FP32 convolution output' "^  min-max scale: $s$" "^  scale used: $s$" '^  ratio: [0-9]+\.[0-9]{4}$' \
    '^  code range: \[-?[0-9]+, [0-9]+\]$' '^  distinct codes: [0-9]+ of 256$' \
    "warning: scale check: layer [0-9]+: (warning|error): min-max scale $s, output_scale $s, ratio [0-9]+\.[0-9]{4}" \
    'scale check: (72|96) calls; beyond 2.0 or below 0.5: [0-9]+ in [0-9]+ layers; beyond 1.5'
[ -z "$(grep -oE 'layer [0-9]+: (warning|error)' err | sort | uniq -d)" ] || fail "a layer and class twice"
generate --mode 2-3 --scale-check error --max-tokens 60 q
[ $? = 1 ] && has 'stopped by --scale-check error' || fail "error does not stop"
"$QUAMBA" eval q --mode 2-4 --scale-check error --tasks cloze >out 2>err
[ $? = 1 ] && has 'stopped by --scale-check error' || fail "error does not stop eval"
[ ! -s out ] || fail "a stopped eval has a result"
generate --mode 2-3 --scale-check off --debug-layer 0 q && ! grep -q 'scale check' err || fail "off"
generate --mode 2-2 --scale-check warn q && ! grep -q 'scale check' err || fail "codes are not checked"

# ---- grids ---------------------------------------------------------------------------------------
for mode in $("$QUAMBA" modes list --json | sed -n 's/^ *"id": "\(4\|5-[0-9]\|6-[0-3]\)",*$/\1/p'); do
    case="grid of $mode"
    generate --mode $mode --debug-layer 3 q || fail "$case: $?"
    if [ $mode = 5-1 ] || [ $mode = 6-1 ]; then # FP32 on no grid
        grep -q 'Grid of' err && fail "$case: there is none"
        continue
    fi
    for layer in 0 1 2 23; do has "^\[Layer $((layer + 1)) / layer_idx $layer\] Grid of the convolution output \(Mode $mode\)$"; done
    [ "$(grep -cE "^  (true FP32|INT8 grid|output) range: \[$n, $n\]$" err)" = 12 ] || { cat err; fail "$case: ranges"; }
    [ "$(grep -cE '^  beyond the codes: [0-9]+ of 3072 \([0-9]+\.[0-9]{4}%\)$' err)" = 4 ] || { cat err; fail "$case: counts"; }
    # what does not fit the codes: kept as it is, or cut to the grid
    grep -E '^  \[0,' err | sed 's/.*FP32 \(.*\), grid \(.*\), output \(.*\)/\1 \2 \3/' >examples
    case $mode in
    4 | 5-2) awk '$1 != $3 || $1 == $2 { bad = 1 } END { exit bad || !NR }' examples || { cat err; fail "$case: outliers are not kept"; } ;;
    5-0) awk '$2 != $3 || $1 == $2 { bad = 1 } END { exit bad || !NR }' examples || { cat err; fail "$case: outliers are not cut"; } ;;
    esac
done
generate --mode 2-4 --debug-layer 3 q && ! grep -q 'Grid of' err || fail "2-4 has no grid"

# ---- quick verify --------------------------------------------------------------------------------
for mode in 0 2-0 3; do
    QUAMBA=$QUAMBA "$QUAMBA_SOURCE_DIR/tools/quick_verify.sh" q --mode $mode --debug-layer 2 >out 2>&1 || { cat out; fail "quick_verify.sh $mode"; }
    [ "$(grep -cE '^layer 2 (conv_out|u|dt|B|C|y) [0-9a-f]{16}: equal$' out)" = 6 ] || { cat out; fail "hashes of $mode"; }
    cut -d: -f1 out >verify.$mode
done
cmp -s verify.0 verify.2-0 && : || fail "2-0 differs from 0"
cmp -s verify.0 verify.3 && fail "3 equals 0"
"$QUAMBA_SOURCE_DIR/tools/quick_verify.sh" "$demo" >out 2>&1 && fail "no hash and no failure"
grep -q 'no hash of conv_out' out || { cat out; fail "the missing hash is not named"; }
"$QUAMBA" eval q --mode 2-4 --tasks cloze --quick-verify >out 2>err || fail "eval --quick-verify: $?"
[ ! -s out ] && [ "$(grep -c '^quick verify: layer 23 ' err)" = 6 ] || { cat out err; fail "eval --quick-verify"; }
finish
