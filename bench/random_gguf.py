#!/usr/bin/env python3
"""A GGUF of a Mamba-1 shape with random weights, for llama.cpp: only speed depends on it.

usage: random_gguf.py SHAPE q8_0|f32 OUTPUT

q8_0: matrices in Q8_0 where rows divide by 32, ssm_dt in half; what llama.cpp wants in FP32 (norms,
convolution, A, D, biases) stays FP32.  f32: FP32 throughout.  Weights are of the size that trained
ones have, so that no path through the model is one of NaN, infinity or denormals.
Needs numpy and gguf (bench/README.md).
"""

import sys

import gguf
import numpy

import shapes

rng = numpy.random.default_rng(1234)


def uniform(shape, low, high):
    return (low + (high - low) * rng.random(shape, dtype=numpy.float32)).astype(numpy.float32)


def add_q8_0(writer, name, rows, columns, spread):
    """Blocks of a half scale and 32 codes, drawn as they lie in the file."""
    n_blocks = rows * columns // 32
    blocks = numpy.empty((n_blocks, 34), dtype=numpy.uint8)
    blocks[:, :2] = numpy.frombuffer(numpy.float16(spread / 127).tobytes(), dtype=numpy.uint8)
    codes = rng.integers(-127, 128, size=(n_blocks, 32), dtype=numpy.int8)
    blocks[:, 2:] = codes.view(numpy.uint8)
    writer.add_tensor(name, blocks.reshape(rows, columns // 32 * 34), raw_dtype=gguf.GGMLQuantizationType.Q8_0)


def add_matrix(writer, name, rows, columns, spread, kind):
    if kind == "q8_0" and columns % 32 == 0 and "ssm_dt" not in name:
        add_q8_0(writer, name, rows, columns, spread)
    else:
        values = uniform((rows, columns), -spread, spread)
        writer.add_tensor(name, values if kind == "f32" else values.astype(numpy.float16))


def write(shape, kind, path):
    d, n_layer, e, rank = shapes.dimensions(shape)
    n, width = shapes.D_STATE, shapes.D_CONV
    writer = gguf.GGUFWriter(path, "mamba")
    writer.add_name(f"random mamba {shape}")
    writer.add_context_length(1 << 20)
    writer.add_embedding_length(d)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_block_count(n_layer)
    writer.add_ssm_conv_kernel(width)
    writer.add_ssm_inner_size(e)
    writer.add_ssm_state_size(n)
    writer.add_ssm_time_step_rank(rank)
    writer.add_layer_norm_rms_eps(shapes.NORM_EPS)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0 if kind == "q8_0" else gguf.LlamaFileType.ALL_F32)
    writer.add_vocab_size(shapes.N_VOCAB)
    writer.add_tokenizer_model("no_vocab")
    add_matrix(writer, "token_embd.weight", shapes.N_VOCAB, d, 0.1, kind)
    writer.add_tensor("output_norm.weight", uniform(d, 0.9, 1.1))
    for i in range(n_layer):
        block = f"blk.{i}."
        writer.add_tensor(block + "attn_norm.weight", uniform(d, 0.9, 1.1))
        add_matrix(writer, block + "ssm_in.weight", 2 * e, d, 0.05, kind)
        writer.add_tensor(block + "ssm_conv1d.weight", uniform((e, width), -0.5, 0.5))
        writer.add_tensor(block + "ssm_conv1d.bias", uniform(e, -0.1, 0.1))
        add_matrix(writer, block + "ssm_x.weight", rank + 2 * n, e, 0.05, kind)
        add_matrix(writer, block + "ssm_dt.weight", e, rank, 0.1, kind)
        writer.add_tensor(block + "ssm_dt.bias", uniform(e, -5, -3))
        writer.add_tensor(block + "ssm_a", -numpy.exp(uniform((e, n), 0, 2.8)))
        writer.add_tensor(block + "ssm_d", uniform(e, 0.5, 1.5))
        add_matrix(writer, block + "ssm_out.weight", d, e, 0.05, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in shapes.SHAPES or sys.argv[2] not in ("q8_0", "f32"):
        sys.exit(__doc__)
    write(*sys.argv[1:])
