"""Checks the numbers of `quamba compare --json` with numpy and scipy:

    compare.py RESULT.json TRACE_FIRST TRACE_OTHER           edges and predictions, from `quamba trace` of both runs
    compare.py RESULT.json RECORDS_FIRST RECORDS_OTHER       scores, from the per-item records of both runs

The result must be of two runs; a trace of the first 100 tokens of the text (npy, layers as wanted) goes with --edge-tokens 100.
A floating-point first run beside a quantized one is rotated here, by a matrix, as docs/compare.md says.  Needs numpy and scipy:

    python3 -m venv .venv && .venv/bin/pip install numpy scipy
"""
import json, os, sys

import numpy as np
import scipy.linalg, scipy.special, scipy.stats

result = json.load(open(sys.argv[1]))
failures = checks = 0


def same(what, got, want, tolerance=1e-9):
    global failures, checks
    checks += 1
    if got is None or not np.isfinite(want):
        good = got is None and not np.isfinite(want)
    else:
        good = abs(got - want) <= tolerance * max(abs(want), 1e-300)
    if not good:
        failures += 1
        print(f"FAILED: {what}: {got}, wanted {want}")


# ---- scores ----------------------------------------------------------------------------------------------------------


def records(path):
    lines = [json.loads(line) for line in open(path)][1:]
    one = [r["loglik"][r["gold"]] if isinstance(r["loglik"], list) else r["loglik"] for r in lines]
    return np.array(one), np.array([r["correct"] for r in lines])


def check_scores(first, other):
    (a, right_a), (b, right_b) = records(first), records(other)
    run = result["tasks"][0]["runs"][1]
    got = run["against_first"]
    won, lost = int(np.sum(right_b > right_a)), int(np.sum(right_b < right_a))
    same("won", got["won"], won)
    same("lost", got["lost"], lost)
    same("McNemar p", got["mcnemar_p"], scipy.stats.binomtest(min(won, lost), won + lost).pvalue if won + lost else 1.0)
    same("mean difference", got["mean_difference"], np.mean(b - a), 1e-12)
    same("standard error", got["stderr"], scipy.stats.sem(b - a), 1e-12)
    interval = scipy.stats.ttest_rel(b, a).confidence_interval(0.95)
    same("low", got["low"], interval.low, 1e-8)
    same("high", got["high"], interval.high, 1e-8)
    same("accuracy", run["acc"], np.mean(right_b))
    same("its error", run["acc_stderr"], np.std(right_b, ddof=1) / np.sqrt(len(right_b)))
    same("perplexity", run["perplexity"], np.exp(-np.mean(b)))


# ---- edges -----------------------------------------------------------------------------------------------------------

SHOWN = {  # an edge of compare by those of trace
    "norm_out": ["norm_out"], "in_proj_out": ["in_proj_x", "in_proj_z"], "conv_in": ["conv_in"], "conv_out": ["conv_out"],
    "x_proj_in": ["x_proj_in"], "x_proj_out": ["x_proj_out"], "dt_proj_out": ["dt_proj_out"], "scan_in": ["scan_in"],
    "scan_out": ["scan_out"], "hadamard_out": ["hadamard_out"], "out_proj_out": ["out_proj_out"], "residual": ["residual"],
    "norm_f_out": ["norm_f_out"], "logits": ["logits"],
}
ALIASES = {"conv_in": ["in_proj_x"], "x_proj_in": ["conv_out"], "scan_in": ["conv_out"], "hadamard_out": ["scan_out"]}
ROTATED = {"norm_out", "out_proj_out", "residual", "hadamard_out", "norm_f_out"}


class Trace:
    def __init__(self, folder):
        self.folder = folder
        self.manifest = json.load(open(f"{folder}/manifest.json"))
        self.tensors = {(t["layer"], t["name"]): t for t in self.manifest["tensors"]}
        self.is_float = not any(t["type"] == "i8" for t in self.manifest["tensors"])

    def array(self, layer, name):
        """The elements, and the scale of codes: one number, or one for each token."""
        t = self.tensors[layer, name]
        scale = t.get("scale")
        if isinstance(scale, str):
            scale = np.load(f"{self.folder}/{self.tensors[layer, scale]['file']}").reshape(-1, 1)
        return np.load(f"{self.folder}/{t['file']}"), scale

    def edge(self, layer, edge, turns):
        """Values in double and, where they are codes, codes and scale."""
        layer = "head" if layer == self.manifest["model"]["n_layer"] else layer
        names = ALIASES.get(edge, SHOWN[edge]) if turns else SHOWN[edge]
        if any((layer, n) not in self.tensors for n in names):
            return None
        parts = [self.array(layer, n) for n in names]
        if any((p[1] is None) != (parts[0][1] is None) for p in parts):
            parts = parts[:1]  # only the x half is shown where it has another type than z
        raw = np.concatenate([p[0] for p in parts], axis=1)
        scale = parts[0][1]
        if scale is not None:
            return (np.float32(scale) * raw.astype(np.float32)).astype(np.float64), raw, scale
        values = raw.astype(np.float64)
        if turns and edge in ROTATED:
            if edge in ("norm_out", "norm_f_out"):
                weight = self.array(layer, "norm_weight" if edge == "norm_out" else "norm_f_weight")[0]
                values = values / weight.astype(np.float64)
            values = values @ scipy.linalg.hadamard(values.shape[1]) / np.sqrt(values.shape[1])
        return values, None, None


def check_edges(first, other):
    a, b = Trace(first), Trace(other)
    turns = a.is_float and not b.is_float
    tolerance = 2e-5 if turns else 1e-11  # the rotation is computed in FP32
    for e in result["edges"]:
        if e["run"] != 1 or e["edge"] not in SHOWN:
            continue
        x, y = a.edge(e["layer"], e["edge"], turns), b.edge(e["layer"], e["edge"], False)
        if y is None and e["edge"] == "conv_in":
            y = b.edge(e["layer"], "conv_in", True)
        if x is None or y is None:
            continue
        where = f"layer {e['layer']}, {e['edge']}: "
        (p, codes_p, scale_p), (q, codes_q, scale_q) = x, y
        p = p[:, : q.shape[1]]
        d = q[:, : p.shape[1]] - p
        same(where + "n", e["n_compared"], d.size)
        same(where + "maximum", e["max_error"], np.max(np.abs(d)), tolerance)
        same(where + "RMS", e["rms_error"], np.sqrt(np.mean(d * d)), tolerance)
        same(where + "RMS of the first", e["rms_first"], np.sqrt(np.mean(p * p)), tolerance)
        with np.errstate(divide="ignore"):
            same(where + "SQNR", e["sqnr_db"], 10 * np.log10(np.sum(p * p) / np.sum(d * d)), tolerance)
        same(where + "cosine", e["cosine"], np.sum(p * (p + d)) / np.sqrt(np.sum(p * p) * np.sum((p + d) ** 2)), tolerance)
        same(where + "largest", e["largest"], np.max(np.abs(q)), tolerance)
        if codes_p is not None and codes_q is not None and np.all(scale_p == scale_q):
            flips = np.abs(codes_p.astype(int) - codes_q.astype(int))
            same(where + "flips", e["code_flips"], np.sum(flips > 0))
            same(where + "worst flip", e["worst_flip"], np.max(flips))
        histogram = next(h for h in result["histograms"] if all(h[k] == e[k] for k in ("run", "layer", "edge")))
        counts = np.histogram(q, bins=64, range=(histogram["low"], histogram["high"]))[0]
        same(where + "histogram", np.sum(np.abs(counts - histogram["counts"])), 0)
    logits = [np.load(f"{t.folder}/{t.tensors['head', 'logits']['file']}").astype(np.float64) for t in (a, b)]
    log_p, log_q = (scipy.special.log_softmax(x, axis=1) for x in logits)
    kl = np.sum(scipy.special.rel_entr(np.exp(log_p), np.exp(log_q)), axis=1)
    got = result["positions"]["runs"][0]
    same("positions", result["positions"]["n"], len(kl))
    same("KL", got["kl_mean"], np.mean(kl), 1e-8)
    same("its error", got["kl_stderr"], scipy.stats.sem(kl), 1e-8)
    same("largest KL", got["kl_max"], np.max(kl), 1e-8)
    agree = np.argmax(logits[0], axis=1) == np.argmax(logits[1], axis=1)
    same("top token", got["top1_agreement"], np.mean(agree))
    same("its error", got["top1_stderr"], np.std(agree, ddof=1) / np.sqrt(len(agree)))


(check_edges if os.path.isdir(sys.argv[2]) else check_scores)(sys.argv[2], sys.argv[3])
print(f"{checks} numbers checked, {failures} wrong")
sys.exit(failures > 0 or checks == 0)
