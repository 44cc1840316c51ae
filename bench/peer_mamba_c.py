#!/usr/bin/env python3
"""One turn of mamba.c (github.com/kroggen/mamba.c) on random weights.

usage: peer_mamba_c.py BINARY DIRECTORY SHAPE THREADS PROMPT_LEN GEN_LEN

Writes a checkpoint and a tokenizer in its formats into DIRECTORY when they are not there, runs it with
greedy sampling and prints one JSON object.  It has no prefill of its own: a prompt goes token by token, so
the rate it reports, which leaves out the first token, is given for both.  Needs numpy and the program,
compiled with `make omp`: `make fast` knows no threads.
"""

import json
import os
import pathlib
import re
import resource
import struct
import subprocess
import sys

import numpy

import shapes

HEADER_BYTES = 256


def write_checkpoint(shape, path):
    d, n_layer, e, rank = shapes.dimensions(shape)
    n, width, vocabulary = shapes.D_STATE, shapes.D_CONV, shapes.N_VOCAB
    rng = numpy.random.default_rng(1234)

    def uniform(low, high, *size):
        return (low + (high - low) * rng.random(size, dtype=numpy.float32)).astype(numpy.float32)

    def embedding():
        rows = uniform(-0.1, 0.1, vocabulary, d)
        rows[0] = 0  # the end-of-text token: a logit of 0 is never the largest
        return rows

    per_layer = [
        lambda: uniform(-0.05, 0.05, 2 * e, d), lambda: uniform(-0.5, 0.5, e, width),
        lambda: uniform(-0.1, 0.1, e), lambda: uniform(-0.05, 0.05, rank + 2 * n, e),
        lambda: uniform(-0.1, 0.1, e, rank), lambda: uniform(-5, -3, e),
        lambda: -numpy.exp(uniform(0, 2.8, e, n)), lambda: uniform(0.5, 1.5, e),
        lambda: uniform(-0.05, 0.05, d, e), lambda: uniform(0.9, 1.1, d)]
    with open(path, "wb") as out:
        header = struct.pack("<10i", 0x4D616D62, 1, n_layer, vocabulary, d, e, rank, n, width, 1)
        out.write(header.ljust(HEADER_BYTES, b"\0"))
        out.write(embedding().tobytes())
        for weight in per_layer:  # each kind of weight for all layers
            for _ in range(n_layer):
                out.write(weight().tobytes())
        out.write(uniform(0.9, 1.1, d).tobytes())


def write_tokenizer(path):
    words = [b"%05x " % i for i in range(shapes.N_VOCAB)]
    words[1] = b"a"  # the prompt
    with open(path, "wb") as out:
        out.write(struct.pack("<4I", 0x4D62546B, 1, len(words), max(map(len, words))))
        for word in words:
            out.write(struct.pack("<I", len(word)) + word)


def main(binary, directory, shape, n_threads, gen_len):
    checkpoint = pathlib.Path(directory) / f"{shape}-mamba.c.bin"
    tokenizer = pathlib.Path(directory) / "mamba.c-tokenizer.bin"
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    for path, write in ((checkpoint, lambda p: write_checkpoint(shape, p)), (tokenizer, write_tokenizer)):
        if not path.exists():
            write(path.with_suffix(".part"))
            path.with_suffix(".part").rename(path)
    command = [binary, checkpoint, "-z", tokenizer, "-t", "0", "-i", "a", "-n", str(gen_len + 1)]
    done = subprocess.run(command, capture_output=True, env=dict(os.environ, OMP_NUM_THREADS=str(n_threads)))
    rate = re.search(rb"achieved tok/s: ([0-9.]+)", done.stderr)
    if done.returncode != 0 or not rate:
        sys.exit(f"{binary}: status {done.returncode}: {done.stderr.decode(errors='replace')[-300:]}")
    print(json.dumps({
        "prefill_tokens_per_s": float(rate.group(1)),
        "decode_tokens_per_s": float(rate.group(1)),
        "weights_bytes": checkpoint.stat().st_size - HEADER_BYTES,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
        "version": "mamba.c",
    }))


if __name__ == "__main__":
    if len(sys.argv) != 7 or sys.argv[3] not in shapes.SHAPES:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[6]))
