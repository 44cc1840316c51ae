#!/bin/bash
# What W8A8 costs: quantizes a checkpoint at several percentile alphas, scores each by prefill and
# token by token, then leaves one kind of tensor after the other in floating point, and writes
# the tables of docs/results/w8a8.md.  A run that was killed goes on where it stopped.
#     tools/results_w8a8.sh [WORK_DIR [OUT.md]]      default: build/results, docs/results/w8a8.md
# Environment: QUAMBA (build/quamba), QUAMBA_SHARED_DIR (../shared, with models/mid and data/).
# About an hour on two free cores.
set -euo pipefail
cd "$(dirname "$0")/.."
work=${1:-build/results}
out=${2:-docs/results/w8a8.md}
export QUAMBA=${QUAMBA:-build/quamba}
shared=${QUAMBA_SHARED_DIR:-../shared}
model=$shared/models/mid
if ! [ -d "$model" ]; then
    echo "$0: needs $model" >&2
    exit 1
fi
mkdir -p "$work/logs" "$work/json"

for alpha in 0.9995 0.9999 0.99999 auto; do
    [ -f "$work/json/quantize-$alpha.json" ] && continue
    "$QUAMBA" quantize --calibration "$shared/data/pile_calibration_512.jsonl" \
        --percentile-alpha "$alpha" --json -o "$work/mid-$alpha" "$model" >"$work/quantize.json"
    mv "$work/quantize.json" "$work/json/quantize-$alpha.json"
done

# The search picks one of several alphas; where that was quantized above, the bytes are the same.
alphas="0.9995 0.9999 0.99999 auto"
for alpha in 0.9995 0.9999 0.99999; do
    cmp -s "$work/mid-$alpha/model.safetensors" "$work/mid-auto/model.safetensors" || continue
    alphas="0.9995 0.9999 0.99999"
    echo "$alpha" >"$work/json/auto"
done

# One line a job: name, then eval's arguments.  Each runs on one thread, as many as there are
# cores side by side; results do not depend on that.
jobs=$work/jobs
common="--threads 1 --data-dir $shared/data --log-dir $work/logs --resume --quiet --json"
score() { # ALPHA SCORING SEGMENTS: the lines of one checkpoint
    path=$work/mid-$1
    [ "$1" = fp32 ] && path=$model
    echo "wikitext2-$1-$2 $common --tasks wikitext2 --limit $3 --scoring $2 $path"
    echo "lambada-$1-$2 $common --tasks lambada_openai --scoring $2 $path"
}
simulate() { # KINDS SEGMENTS [SCORING]
    echo "float-$1${3:+-$3} $common --tasks wikitext2 --act-scales $work/mid-auto/act_scales.json" \
        "--leave-float $1 --limit $2 ${3:+--scoring $3} $model"
}
{
    for alpha in fp32 $alphas; do score "$alpha" prefill 64; done
    for kind in none all norm_out in_proj_out conv_out x_proj_out dt_proj_out hadamard_out in_proj \
        conv1d x_proj dt_proj dt_bias A_log D out_proj; do
        simulate $kind 16
    done
    simulate none 16 decode
    simulate state 16 decode
    for alpha in $alphas; do score "$alpha" decode 12; done # fp32: the same bits as by prefill
} >"$jobs"
tools/run_jobs.sh "$work" <"$jobs"
python3 tools/results_w8a8.py "$work/json" >"$out.part"
mv "$out.part" "$out"
echo "wrote $out"
