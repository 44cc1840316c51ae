#!/usr/bin/env python3
"""Speed of quamba and of other programs on the same shape, by turns, so that a drifting machine hurts all.

    python3 bench/peers.py --shape 130m
    python3 bench/peers.py --shape 2.8b --peers quamba-w8a8,llama-q8_0 --repeat 3 --json out.json

Every turn runs every peer once, each in a process of its own after a run that warms it up; the order
turns, too.  Ratios are taken within a turn.  Reported are medians, and the smallest and largest.
bench/README.md says how to set up the peers; one that is not there is left out and named.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys

import shapes

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
FIGURES = ("prefill_tokens_per_s", "decode_tokens_per_s")


# ---- peers: name -> the command of one turn, which prints a JSON object ---------------------------

def quamba(mode):
    def command(arg):
        return [arg.quamba, "bench", "--shape", arg.shape, "--mode", mode, "--json", "--repeat", "1",
                "--prompt-len", str(arg.prompt_len), "--gen-len", str(arg.gen_len),
                "--threads", str(arg.threads), "--cpu", arg.cpu]
    return command


def llama(kind):
    def command(arg):
        return [sys.executable, HERE / "peer_llama.py", gguf_path(arg, kind), *sizes(arg)]
    return command


def transformers(arg):
    return [arg.torch_python, HERE / "peer_transformers.py", arg.shape, *sizes(arg)]


def mamba_c(arg):
    return [sys.executable, HERE / "peer_mamba_c.py", arg.mamba_c, arg.files, arg.shape, *sizes(arg)]


PEERS = {"quamba-w8a8": quamba("0"), "quamba-fp32": quamba("fp32"), "llama-q8_0": llama("q8_0"),
         "llama-f32": llama("f32"), "transformers": transformers, "mamba.c": mamba_c}
NEEDS = {"llama-q8_0": ("llama_cpp", "gguf", "numpy"), "llama-f32": ("llama_cpp", "gguf", "numpy"),
         "transformers": ("torch", "transformers"), "mamba.c": ("numpy",)}


def sizes(arg):
    return [str(arg.threads), str(arg.prompt_len), str(arg.gen_len)]


def gguf_path(arg, kind):
    return pathlib.Path(arg.files) / f"{arg.shape}-{kind}.gguf"


def missing(arg, name):
    """Why a peer cannot run, or None."""
    python = arg.torch_python if name == "transformers" else sys.executable
    for module in NEEDS.get(name, ()):
        found = subprocess.run([python, "-c", f"import {module}"], capture_output=True)
        if found.returncode != 0:
            return f"{python} has no {module}"
    if name == "mamba.c" and not arg.mamba_c:
        return "no --mamba-c BINARY"
    return None


def prepare(arg, name):
    """The random weights of a peer, made once and kept."""
    if not name.startswith("llama-"):
        return
    kind = name.removeprefix("llama-")
    path = gguf_path(arg, kind)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        print(f"writing {path}", file=sys.stderr)
        subprocess.run([sys.executable, HERE / "random_gguf.py", arg.shape, kind, partial], check=True)
        partial.rename(path)


def run_turn(arg, name):
    done = subprocess.run(PEERS[name](arg), capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{name}: status {done.returncode}: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout)


# ---- targets: (shape or None for all, text, value of a turn, wanted) ------------------------------

def ratio(figure, ours, theirs):
    return lambda turn: turn[ours][figure] / turn[theirs][figure]


def memory(turn):
    r = turn["quamba-w8a8"]
    return r["peak_rss_bytes"] / (r["weights_bytes"] + r["state_bytes"])


PREFILL, DECODE = FIGURES
TARGETS = [
    ("130m", "decode W8A8: share of read bandwidth", lambda t: t["quamba-w8a8"]["bandwidth_share"], ">=", 0.8),
    ("130m", "decode W8A8 / llama.cpp Q8_0", ratio(DECODE, "quamba-w8a8", "llama-q8_0"), ">=", 1.6),
    ("130m", "prefill W8A8 / llama.cpp Q8_0", ratio(PREFILL, "quamba-w8a8", "llama-q8_0"), ">=", 7),
    ("130m", "prefill W8A8 / our FP32", ratio(PREFILL, "quamba-w8a8", "quamba-fp32"), ">=", 2.5),
    ("130m", "prefill FP32 / llama.cpp F32", ratio(PREFILL, "quamba-fp32", "llama-f32"), ">=", 2),
    ("130m", "decode FP32: share of read bandwidth", lambda t: t["quamba-fp32"]["bandwidth_share"], ">=", 0.8),
    ("130m", "decode FP32 / mamba.c", ratio(DECODE, "quamba-fp32", "mamba.c"), ">=", 1),
    ("2.8b", "decode W8A8 / llama.cpp Q8_0", ratio(DECODE, "quamba-w8a8", "llama-q8_0"), ">=", 1),
    (None, "peak memory W8A8 / (weights as used + state)", memory, "<=", 1.15),
]


def judge(arg, turns):
    """The targets of this shape whose peers ran."""
    results = []
    for shape, text, value, how, wanted in TARGETS:
        if shape not in (None, arg.shape):
            continue
        try:
            values = [value(turn) for turn in turns]
        except KeyError:
            continue
        median = statistics.median(values)
        met = median >= wanted if how == ">=" else median <= wanted
        results.append({"target": text, "median": median, "min": min(values), "max": max(values),
                        "wanted": f"{how} {wanted}", "met": met})
    return results


# ---- report ---------------------------------------------------------------------------------------

def output_of(*command):
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def machine(arg):
    cpu = "unknown"
    if os.path.exists("/proc/cpuinfo"):
        found = re.search(r"^model name\s*: (.*)$", open("/proc/cpuinfo").read(), re.M)
        cpu = found.group(1) if found else cpu
    cache, compiler, flags = pathlib.Path(arg.quamba).resolve().parent / "CMakeCache.txt", "unknown", "unknown"
    if cache.exists():
        value = dict(re.findall(r"^([A-Z_]+):[A-Z]+=(.*)$", cache.read_text(), re.M))
        compiler = output_of(value.get("CMAKE_C_COMPILER", "cc"), "--version").split("\n")[0]
        kind = value.get("CMAKE_BUILD_TYPE", "")
        flags = f"{kind}: {value.get('CMAKE_C_FLAGS', '')} {value.get('CMAKE_C_FLAGS_' + kind.upper(), '')}"
    return {"processor": cpu, "processors": len(os.sched_getaffinity(0)), "system": platform.platform(),
            "compiler": compiler, "flags": " ".join(flags.split()),
            "commit": output_of("git", "describe", "--always", "--dirty"),
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")}


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def summarize(name, turns):
    runs = [turn[name] for turn in turns]
    out = {figure: spread([run[figure] for run in runs]) for figure in FIGURES}
    for key in ("weights_bytes", "peak_rss_bytes", "bytes_per_token", "state_bytes"):
        if key in runs[0]:
            out[key] = max(run[key] for run in runs)
    for key in ("bandwidth_share", "read_bandwidth_gb_s"):
        if key in runs[0]:
            out[key] = spread([run[key] for run in runs])
    for key in ("version", "system"):
        if key in runs[0]:
            out[key] = runs[0][key]
    return out


def print_report(report):
    where = report["machine"]
    print(f"shape {report['shape']}, {report['threads']} threads, prompt {report['prompt_len']}, "
          f"generated {report['gen_len']}, {report['repeat']} turns")
    print(f"{where['processor']}, {where['processors']} processors; {where['system']}; {where['date']}")
    print(f"commit {where['commit']}; {where['compiler']}; {where['flags']}; --cpu {report['cpu']}")
    print(f"load average {report['load'][0]:.1f} before, {report['load'][1]:.1f} after"
          + ("  (a busy machine: figures are low, ratios doubtful)" if report["busy"] else ""))
    print(f"\n{'peer':14}{'prefill tokens/s':>26}{'decode tokens/s':>26}{'weights MB':>12}{'peak MB':>9}")
    for name, peer in report["peers"].items():
        cells = ["{median:.1f} [{min:.1f} .. {max:.1f}]".format(**peer[figure]) for figure in FIGURES]
        print(f"{name:14}{cells[0]:>26}{cells[1]:>26}{peer['weights_bytes'] / 1e6:12.1f}{peer['peak_rss_bytes'] / 1e6:9.1f}")
    for name, why in report["left_out"].items():
        print(f"{name:14}not run: {why}")
    if report["targets"]:
        print(f"\n{'target':46}{'median [min .. max]':>24}  wanted")
    for t in report["targets"]:
        value = "{median:.2f} [{min:.2f} .. {max:.2f}]".format(**t)
        print(f"{t['target']:46}{value:>24}  {t['wanted']:8}{'met' if t['met'] else 'MISSED'}"
              + (", on a busy machine" if report["busy"] else ""))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=shapes.SHAPES, default="130m")
    parser.add_argument("--peers", default=",".join(PEERS), help="names, separated by commas; default: all")
    parser.add_argument("--repeat", type=int, default=5, help="turns (default 5)")
    parser.add_argument("--threads", type=int, default=2, help="of every peer (default 2)")
    parser.add_argument("--prompt-len", type=int, default=512)
    parser.add_argument("--gen-len", type=int, default=64)
    parser.add_argument("--cpu", default="native", help="quamba's --cpu")
    parser.add_argument("--quamba", default=str(ROOT / "build" / "quamba"), help="the program")
    parser.add_argument("--files", default=str(ROOT / "build" / "peers"), help="where random weights are kept")
    parser.add_argument("--torch-python", default=sys.executable, metavar="PYTHON",
                        help="a Python that has torch and transformers; default: this one")
    parser.add_argument("--mamba-c", metavar="BINARY", help="mamba.c's program, compiled")
    parser.add_argument("--json", metavar="FILE", help="write everything here as JSON")
    arg = parser.parse_args()
    if arg.repeat < 1:
        parser.error("--repeat: at least 1")
    names = arg.peers.split(",")
    for name in names:
        if name not in PEERS:
            parser.error(f"no peer {name}: {', '.join(PEERS)}")
    left_out = {name: why for name in names if (why := missing(arg, name))}
    names = [name for name in names if name not in left_out]
    if not names:
        sys.exit("no peer can run: " + "; ".join(f"{name}: {why}" for name, why in left_out.items()))
    for name in names:
        prepare(arg, name)
    turns, before = [], os.getloadavg()[0]
    for i in range(arg.repeat):
        turn = {}
        for name in names[i % len(names):] + names[:i % len(names)]:
            print(f"turn {i + 1} of {arg.repeat}: {name}", file=sys.stderr)
            turn[name] = run_turn(arg, name)
        turns.append(turn)
    report = {"shape": arg.shape, "threads": arg.threads, "prompt_len": arg.prompt_len, "gen_len": arg.gen_len,
              "repeat": arg.repeat, "cpu": arg.cpu, "machine": machine(arg),
              "load": [before, os.getloadavg()[0]], "busy": before > 1.0,
              "peers": {name: summarize(name, turns) for name in names}, "left_out": left_out,
              "targets": judge(arg, turns), "turns": turns}
    print_report(report)
    if arg.json:
        pathlib.Path(arg.json).write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
