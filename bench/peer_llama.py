#!/usr/bin/env python3
"""One turn of llama.cpp, through the library that llama-cpp-python ships: prefill, then greedy decoding.

usage: peer_llama.py MODEL.gguf THREADS PROMPT_LEN GEN_LEN

Prints one JSON object.  The first run warms up and does not count.  Prefill is one llama_decode of
all tokens with n_ubatch as large; decoding is one llama_decode per token, the next token chosen here.
Needs numpy and llama-cpp-python (bench/README.md).
"""

import ctypes
import json
import resource
import sys
import time

import llama_cpp
import numpy

SEED = 1234
silent = llama_cpp.llama_log_callback(lambda level, text, user: None)


def decode(context, tokens):
    """Feeds tokens; returns the logits of the last, borrowed from the library."""
    array = (llama_cpp.llama_token * len(tokens))(*tokens)
    status = llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(array, len(tokens)))
    if status != 0:
        sys.exit(f"llama_decode: status {status}")
    llama_cpp.llama_synchronize(context)
    return llama_cpp.llama_get_logits_ith(context, -1)


def run(context, n_vocab, prompt, gen_len):
    """Seconds of the prefill and of decoding gen_len tokens."""
    llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
    start = time.perf_counter()
    logits = decode(context, prompt)
    first = time.perf_counter()
    for _ in range(gen_len):
        values = numpy.ctypeslib.as_array(logits, shape=(n_vocab,))
        logits = decode(context, [int(values.argmax())])
    last = time.perf_counter()
    if not numpy.isfinite(numpy.ctypeslib.as_array(logits, shape=(n_vocab,))).all():
        sys.exit("the logits are not finite")
    return first - start, last - first


def main(path, n_threads, prompt_len, gen_len):
    llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    model_params = llama_cpp.llama_model_default_params()
    model_params.n_gpu_layers = 0
    model = llama_cpp.llama_model_load_from_file(path.encode(), model_params)
    if not model:
        sys.exit(f"{path}: llama.cpp cannot load it")
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = prompt_len + gen_len + 8
    params.n_batch = params.n_ubatch = prompt_len
    params.n_threads = params.n_threads_batch = n_threads
    params.n_seq_max = 1
    params.no_perf = True
    context = llama_cpp.llama_init_from_model(model, params)
    if not context:
        sys.exit(f"{path}: llama.cpp makes no context")
    n_vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    prompt = numpy.random.default_rng(SEED).integers(0, n_vocab, prompt_len).tolist()
    run(context, n_vocab, prompt, min(gen_len, 4))
    prefill, decoding = run(context, n_vocab, prompt, gen_len)
    print(json.dumps({
        "prefill_tokens_per_s": prompt_len / prefill,
        "decode_tokens_per_s": gen_len / decoding,
        "weights_bytes": llama_cpp.llama_model_size(model),
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "version": "llama-cpp-python " + llama_cpp.__version__,
        "system": llama_cpp.llama_print_system_info().decode().strip(),
    }))


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(sys.argv[1], *map(int, sys.argv[2:]))
