#!/bin/bash
# The full sets against the reference: LAMBADA (5,153 items) item by item, and the perplexity of the
# first 64 segments of wikitext2.  About five minutes per model on two cores.
#     tests/full/scores.sh [MODEL...]        default: mid demo
# Environment as for tests/cli; SCORES_LOGS is where the records go and stay (default: nowhere).
set -u
shared=$QUAMBA_SHARED_DIR
if ! [ -d "$shared/golden" ] || ! command -v python3 >/dev/null; then
    echo "SKIPPED: full-set scores need ../shared and python3"
    exit 77
fi
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
logs=${SCORES_LOGS:-$dir}
models=("$@")
[ $# -gt 0 ] || models=(mid demo)
failed=0
for name in "${models[@]}"; do
    for run in lambada_openai "wikitext2 --limit 64"; do
        # shellcheck disable=SC2086
        "$QUAMBA" eval --tasks $run --data-dir "$shared/data" --log-dir "$logs/$name" --resume \
            --json "$shared/models/$name" >"$dir/${run%% *}.json" || { failed=1; continue 2; }
    done
    python3 - "$name" "$shared/golden/$name" "$dir" <<'EOF' || failed=1
import json, sys
name, golden, results = sys.argv[1:]
reference = json.load(open(golden + "/golden_fp32.json"))["eval"]
lambada = json.load(open(results + "/lambada_openai.json"))
text = json.load(open(results + "/wikitext2.json"))
scores = lambada["lm_eval"]["lambada_openai"]
want = [json.loads(line) for line in open(golden + "/lambada_fp32.jsonl")]
got = [json.loads(line) for line in open(lambada["per_sample_file"]["lambada_openai"])][1:]
assert len(got) == len(want) == reference["lambada_openai"]["n"], (len(got), len(want))
flips = [w["doc_id"] for g, w in zip(got, want) if g["correct"] != w["correct"]]
tokens = [w["doc_id"] for g, w in zip(got, want) if any(g[k] != w[k] for k in ("doc_id", "n_ctx", "n_cont"))]
worst = max(abs(g["loglik"] - w["loglik"]) for g, w in zip(got, want))
failed = []
def line(what, value, wanted, difference, limit):
    print(f"{name:6} {what:32} {value:<20.17g} reference {wanted:<20.17g} off by {difference:.3g}, allowed {limit:g}")
    if not difference <= limit:
        failed.append(what)
acc, ppl = reference["lambada_openai"]["acc"], reference["lambada_openai"]["perplexity"]
line("LAMBADA accuracy, points", 100 * scores["acc,none"], 100 * acc, 100 * abs(scores["acc,none"] - acc), 0.05)
line("LAMBADA perplexity, relative", scores["perplexity,none"], ppl, abs(scores["perplexity,none"] / ppl - 1), 0.001)
line("LAMBADA items that flip", len(flips), 0, len(flips), 3)
line("LAMBADA items of other tokens", len(tokens), 0, len(tokens), 0)
line("LAMBADA worst log-likelihood", worst, 0, worst, 0.001)
ppl = reference["text"]["ppl"]
assert text["n_samples"]["wikitext2"] == reference["text"]["segments"]
line("wikitext2 perplexity, relative", text["ppl"]["wikitext2"], ppl, abs(text["ppl"]["wikitext2"] / ppl - 1), 0.001)
seconds = lambada["seconds"]["lambada_openai"], text["seconds"]["wikitext2"]
print(f"{name:6} LAMBADA in {seconds[0]:.0f} s, wikitext2 in {seconds[1]:.0f} s")
sys.exit(1 if failed else 0)
EOF
done
exit $failed
