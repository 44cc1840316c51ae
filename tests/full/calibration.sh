#!/bin/bash
# Own calibration against the original's: all 512 texts, every scale that quantization needs.  Two
# minutes per model on two cores.
#     tests/full/calibration.sh [MODEL...]        default: demo
# Environment as for tests/cli.
set -u
shared=$QUAMBA_SHARED_DIR
if ! [ -d "$shared/golden/fork" ] || ! command -v python3 >/dev/null; then
    echo "SKIPPED: the check against the original's calibration needs ../shared and python3"
    exit 77
fi
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
models=("$@")
[ $# -gt 0 ] || models=(demo)
failed=0
for name in "${models[@]}"; do
    for alpha in 0.9995 0.9999; do
        "$QUAMBA" quantize --calibration "$shared/data/pile_calibration_512.jsonl" --percentile-alpha $alpha \
            -o "$dir/$name-$alpha" "$shared/models/$name" >/dev/null || { failed=1; continue; }
        python3 - "$name" "$alpha" "$dir/$name-$alpha" "$shared/golden/fork/$name/act_scales_a${alpha#0.}.json" <<'EOF' || failed=1
import json, sys
name, alpha, ours, golden = sys.argv[1:]
got, want = json.load(open(ours + "/act_scales.json")), json.load(open(golden))
recipe = json.load(open(ours + "/config.json"))["quantization_config"]
assert recipe["calibration"]["n_texts"] == 512 and recipe["percentile_alpha"] == float(alpha), recipe
assert len(got) == len(want)
quantiles = ("x_proj:input", "ssm_state_act:input")
unused = ("dt_proj:input", "out_proj:output", "ssm_state_act:output", "lm_head:output")
failed = False
for key in sorted({key for entry in want for key in entry} - set(unused)):
    pairs = [(g[key], w[key]) for g, w in zip(got, want) if key in w]
    equal = sum(g["f32"] == w["f32"] for g, w in pairs)
    worst = max(abs(g["value"] / w["value"] - 1) for g, w in pairs)
    limit = 2e-4 if key in quantiles else 2e-3
    print(f"{name} alpha {alpha} {key:20} {equal:3} of {len(pairs)} equal, worst {worst:.2e}, allowed {limit:.0e}")
    failed |= not worst <= limit
sys.exit(failed)
EOF
    done
done
exit $failed
