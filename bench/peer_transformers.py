#!/usr/bin/env python3
"""One turn of transformers on PyTorch's CPU, FP32, random weights: prefill, then greedy decoding.

usage: peer_transformers.py SHAPE THREADS PROMPT_LEN GEN_LEN

Prints one JSON object.  The first run warms up and does not count.  Without the packages that need
a GPU, transformers scans token by token in Python: that is what its users get on a CPU.
Needs torch and transformers (bench/README.md).
"""

import json
import resource
import sys
import time

import torch
import transformers

import shapes


def run(model, prompt, gen_len):
    """Seconds of the prefill and of decoding gen_len tokens."""
    start = time.perf_counter()
    out = model(prompt, use_cache=True, logits_to_keep=1)
    first = time.perf_counter()
    for i in range(gen_len):
        token = out.logits[:, -1].argmax(-1, keepdim=True)
        position = torch.tensor([prompt.shape[1] + i])
        out = model(token, cache_params=out.cache_params, use_cache=True, cache_position=position)
    return first - start, time.perf_counter() - first


def main(shape, n_threads, prompt_len, gen_len):
    d, n_layer, _, rank = shapes.dimensions(shape)
    torch.set_num_threads(n_threads)
    torch.manual_seed(1234)
    transformers.logging.set_verbosity_error()
    config = transformers.MambaConfig(
        vocab_size=shapes.N_VOCAB, hidden_size=d, num_hidden_layers=n_layer, state_size=shapes.D_STATE,
        conv_kernel=shapes.D_CONV, expand=2, time_step_rank=rank, layer_norm_epsilon=shapes.NORM_EPS)
    with torch.inference_mode():
        model = transformers.MambaForCausalLM(config).eval()
        prompt = torch.randint(0, shapes.N_VOCAB, (1, prompt_len))
        run(model, prompt[:, :16], 2)
        prefill, decoding = run(model, prompt, gen_len)
    print(json.dumps({
        "prefill_tokens_per_s": prompt_len / prefill,
        "decode_tokens_per_s": gen_len / decoding,
        "weights_bytes": sum(p.numel() * p.element_size() for p in model.parameters()),
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "version": f"transformers {transformers.__version__}, torch {torch.__version__}",
    }))


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(sys.argv[1], *map(int, sys.argv[2:]))
