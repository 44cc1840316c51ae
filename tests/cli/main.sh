#!/bin/bash
# quamba main, the original's command line: what it stores and finds where, what it logs, what it
# refuses; and QUICK_RUN.sh on top of it.
. "$QUAMBA_SOURCE_DIR/tests/cli/common.bash"
ln -s "$QUAMBA_SOURCE_DIR/models/demo" "$dir/mamba-demo"
mkdir "$dir/data"
head -n 12 "$QUAMBA_SOURCE_DIR/data/cloze.jsonl" >"$dir/data/cloze.jsonl"
head -n 4 "$QUAMBA_SOURCE_DIR/data/calibration.jsonl" >"$dir/data/calibration.jsonl"
cd "$dir" || exit 1
expect() { ends "$1" "$2" "$QUAMBA" main --threads 1 "${@:3}"; } # STATUS PATTERN OPTIONS...
cloze=(--eval_zero_shot --task_list cloze --calib_data_num 4 --calib_seqlen 16)

# ---- quantize, store, find again -----------------------------------------------------------------
export FLOAT_SIM_ASIC_INT8=true
expect 0 '^cloze +acc ' mamba-demo --pretrained_dir D --quantize --float-sim-asic-int8 "${cloze[@]}" --testing --log_dir L
unset FLOAT_SIM_ASIC_INT8
tail -n 1 err | grep -q '^quamba: .*main --threads 1 mamba-demo --pretrained_dir D .*--log_dir L$' || fail "the command line is not at the end"
stored=D/testPercentileRange/default/quamba-demo-w8a8
[ -f $stored/model.safetensors ] || fail "$stored is not there"
log=L/mamba-demo_w8a8.json
[ "$(ls L)" = "mamba-demo_w8a8.2-2.cloze.limit100.jsonl
mamba-demo_w8a8.json" ] || fail "logs: $(ls L)"
for member in '"mode": "2-2"' '"mode_source": "FLOAT_SIM_ASIC_INT8"' '"datapath": "' '"n_samples": ' '"per_sample_file": ' \
    '"weights_hash": "' '"build": "quamba ' '"pretrained_dir": "D"' '"acc,none": ' '"perplexity_stderr,none": ' '"eval_zero_shot": true'; do
    grep -qF "$member" $log || fail "the log has no $member"
done
[ "$(grep -c '^{$' $log)" = 1 ] && grep -q '^    "lm_eval"' $log || fail "the log is not indented by 4"
before=$(stat -c %Y.%i $stored/model.safetensors)
expect 0 "$stored: stored by an earlier run" mamba-demo --pretrained_dir D --quantize "${cloze[@]}" --log_dir L --limit 2
[ "$(stat -c %Y.%i $stored/model.safetensors)" = "$before" ] || fail "it was made again"
grep -q '"mode_source": "default"' L/quamba-demo-w8a8.json || fail "no log of the stored model"
# by the seed's command: the name of the quantized model, found at the stored path, --quantize does nothing
for mode in 2-4 0; do
    expect 0 "\"mode\": \"$mode\"" quamba-demo-w8a8 --pretrained_dir D --quantize "${cloze[@]}" --limit 2 --json --mode $mode --log_dir L
done
[ "$(grep -c '^{$' L/quamba-demo-w8a8.json)" = 3 ] || fail "the log does not grow"
mkdir -p D/ut-enyac && mv $stored D/ut-enyac/other
expect 0 '"mode": "0"' other --pretrained_dir D --json --limit 1 "${cloze[@]}"
# another alpha has another place; the same place with another alpha is refused
expect 0 'quamba: ' mamba-demo --pretrained_dir D --quantize --percentile_alpha 0.999999 --output_subdir s "${cloze[@]}" --limit 1
[ -d D/s/pa-0.999999/quamba-demo-w8a8 ] || fail "$(find D -name 'pa-*'): no directory pa-0.999999"
mv D/s/pa-0.999999 D/s/pa-1
expect 1 'was made with --percentile-alpha 0.99999.*, not 1: move it' mamba-demo --pretrained_dir D --quantize --percentile_alpha 1.0 --output_subdir s "${cloze[@]}"
# unquantized, without a task
expect 0 'warning: no task is asked for: --eval_zero_shot' mamba-demo
expect 0 '"mode": "fp32"' mamba-demo "${cloze[@]}" --limit 1 --json --log_dir L
[ -f L/mamba-demo_fp16.json ] || fail "no log mamba-demo_fp16.json"

# ---- refusals ------------------------------------------------------------------------------------
expect 2 'mode 1 was removed.*fp16' mamba-demo --fp32-ssm-input
expect 2 'float-sim-asic-research-se: this feature was removed: the nearest mode is 4' mamba-demo --float-sim-asic-research-se
expect 2 'float-sim-scale-factor: this feature was removed' mamba-demo --float-sim-scale-factor 2025
expect 2 'apply-gptq: not built' mamba-demo --apply_gptq
expect 2 'mode 1 was removed' mamba-demo --mode 1
expect 2 'pretrained-dir says where the result is stored' mamba-demo --quantize "${cloze[@]}"
expect 2 'not quantized, mode 2-4' mamba-demo --mode 2-4 "${cloze[@]}"
expect 1 'nothing: no such file or directory, nor are D/nothing, D/testPercentileRange/default/nothing, D/ut-enyac/nothing' nothing --pretrained_dir D
expect 1 'weights and activations can be 8 and 8' mamba-demo --quantize --w_bits 4 --pretrained_dir D "${cloze[@]}"

# ---- QUICK_RUN.sh --------------------------------------------------------------------------------
quick=$QUAMBA_SOURCE_DIR/QUICK_RUN.sh
run() { # run STATUS PATTERN ARGUMENTS...
    local want=$1 pattern=$2
    shift 2
    QUAMBA_MODE=7 CONV1D_MODE3_FP32=true CALIBRATION=data/calibration.jsonl "$quick" "$@" >out 2>err
    local got=$?
    [ "$got" = "$want" ] && cat out err | grep -Eq -e "$pattern" && return
    cat out err
    fail "QUICK_RUN.sh $*: status $got, wanted $want and $pattern"
}
(set -- all; . "$quick" && [ "$(type -t quick_run)" = function ]) >out 2>&1 || fail "sourcing: $(cat out)"
[ ! -s out ] || fail "sourcing says $(cat out)"
run 1 'usage: ./QUICK_RUN.sh MODE'
grep -q 'no mode is given; modes: all fp32 fp16 0 2-0' err || fail "no list: $(cat err)"
run 1 'did you mean 2-4' 24
grep -q '^modes: all fp32 fp16 0 2-0' err || fail "no list: $(cat err)"
run 1 'mode 1 was removed' 1
run 1 'unknown option --lits' 2-4 --lits 3
small=(--model mamba-demo --task_list cloze --pretrained_dir P --limit 3 --threads 1)
run 0 '^2-4 +3 +[0-9.]+ \+- [0-9.]+ +[0-9.]+ \+- [0-9.]+ +- ' 2-4 "${small[@]}"
grep -q '"mode_source": "--mode"' allmodeComparison/testing/mode24/*_w8a8.json || fail "the variables were not cleared"
# all: killed after two modes, then gone on with
setsid "$quick" all "${small[@]}" --log_dir A >first 2>&1 &
for _ in $(seq 300); do grep -q '^mode 2-0' first 2>/dev/null && break; sleep 0.1; done
kill -9 -- -$! || fail "nothing to kill"
wait $! 2>/dev/null
run 0 '^mode fp16: finished before' all "${small[@]}" --log_dir A
grep -q '^mode 0: finished before' out || fail "mode 0 was done again"
[ "$(sed -n 's/^\([^ ]*\)  *3  .*/\1/p' out | tr '\n' ' ')" = "fp16 0 2-0 2-1 2-2 2-3 2-4 3 " ] || { cat out; fail "rows of the table"; }
grep -Eq '^2-0 .* \+0\.0000 \+- 0\.0000 +0/0 +1$' out || { cat out; fail "2-0 is not mode 0"; }
[ ! -e A/unfinished ] || fail "the run does not know that it is finished"
run 0 '^mode 0$' all "${small[@]}" --log_dir A
# a run that fails: the others go on, and the status says it
run 1 'there is no task "nope"' all "${small[@]}" --task_list nope --log_dir B
[ "$(grep -c failed out)" = 8 ] || { cat out; fail "failed runs are not in the table"; }
finish
