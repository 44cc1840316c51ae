#!/bin/bash
# What each mode scores: full LAMBADA by prefill in the seven modes (of those that are equal bit for
# bit, one) and unquantized in half precision; the first 1,000 items token by token in four modes and
# by prefill in the other rows; writes the tables of
# docs/results/modes.md.  A run that was killed goes on where it stopped.
#     tools/results_modes.sh [WORK_DIR [OUT.md]]      default: build/results, docs/results/modes.md
# Environment: QUAMBA (build/quamba), QUAMBA_SHARED_DIR (../shared, with models/mid and data/).
# WORK_DIR may be that of tools/results_w8a8.sh, whose quantized model is used then.
set -euo pipefail
cd "$(dirname "$0")/.."
work=${1:-build/results}
out=${2:-docs/results/modes.md}
export QUAMBA=${QUAMBA:-build/quamba} work
shared=${QUAMBA_SHARED_DIR:-../shared}
model=$shared/models/mid
if ! [ -d "$model" ]; then
    echo "$0: needs $model" >&2
    exit 1
fi
mkdir -p "$work/logs" "$work/json"
quantize() { # ALPHA: mid-ALPHA, calibrated on the reference texts
    [ -f "$work/mid-$1/config.json" ] && return
    "$QUAMBA" quantize --calibration "$shared/data/pile_calibration_512.jsonl" \
        --percentile-alpha "$1" -o "$work/mid-$1" "$model"
}
quantize 0.9995
quantize 1.0 # the scales without clipping, for 6-4

common="--threads 1 --data-dir $shared/data --log-dir $work/logs --resume --quiet --json --tasks lambada_openai"
{
    for mode in 0 2-1 2-4 3; do
        echo "mode-$mode-prefill $common --mode $mode $work/mid-0.9995"
    done
    echo "mode-fp16-prefill $common --mode fp16 $model"
    for mode in 2-1 2-4 3; do
        echo "mode-$mode-decode $common --limit 1000 --scoring decode --mode $mode $work/mid-0.9995"
    done
    # Equal to 0 and 2-1 bit for bit by construction: enough items to see that it is so.
    for mode in 2-0 2-2 2-3; do
        echo "mode-$mode-prefill $common --limit 1000 --mode $mode $work/mid-0.9995"
    done
    echo "mode-0-decode $common --scoring decode --mode 0 $work/mid-0.9995"
    for mode in 3@fork 4 5-0 5-1 5-2 5-3 5-4 5-6 5-7 6 6-0 6-1 6-2 6-3 6-4; do
        extra=
        [ $mode = 6-4 ] && extra="--outlier-scales $work/mid-1.0/act_scales.json"
        echo "mode-$mode-prefill $common --limit 1000 --mode $mode $extra $work/mid-0.9995"
    done
} >"$work/modes.jobs"
tools/run_jobs.sh "$work" <"$work/modes.jobs"
python3 tools/results_modes.py "$work/json" >"$out.part"
mv "$out.part" "$out"
echo "wrote $out"
