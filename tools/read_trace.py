#!/usr/bin/env python3
"""Reads a directory that `quamba trace` wrote, by its manifest alone (docs/trace.md), and computes
what needs no more than NumPy from the arrays it depends on: exact sums, codes, scales, the stream.

usage: read_trace.py DIR [NAME]      NAME: print that array, such as layer00.conv_out

Independent of quamba: nothing of it is used.  Needs Python 3 and NumPy."""
import hashlib
import json
import os
import sys

import numpy as np

TYPES = {"i8": np.int8, "i32": np.int32, "f16": np.float16, "f32": np.float32}
SAFETENSORS = {"I8": "i8", "I32": "i32", "F16": "f16", "F32": "f32"}


def read_hex(path, entry):
    """Lines of lanes words, the first word lowest; every row of the last axis begins a line."""
    bits, lanes, shape = entry["word_bits"], entry["lanes"], entry["shape"]
    one = not shape or (entry["kind"] == "edge" and len(shape) == 1)  # a number per token
    columns = 1 if one else shape[-1]
    mask, values, row = (1 << bits) - 1, [], []
    for line in open(path):
        number = int(line, 16)
        row += [number >> (bits * lane) & mask for lane in range(lanes)]
        if len(row) >= columns:
            values += row[:columns]
            row = []
    kind = entry["type"]
    if kind in ("i8", "i32"):
        values = [v - (1 << bits) if v >> (bits - 1) else v for v in values]
        return np.array(values, TYPES[kind]).reshape(shape)
    pattern = np.array(values, np.uint32 if kind == "f32" else np.uint16)
    return pattern.view(TYPES[kind]).reshape(shape)


def read_safetensors(path, entry):
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        info = json.loads(file.read(size))[entry["name"]]
        assert SAFETENSORS[info["dtype"]] == entry["type"], path
        begin, end = info["data_offsets"]
        file.seek(8 + size + begin)
        data = file.read(end - begin)
    return np.frombuffer(data, TYPES[entry["type"]]).reshape(info["shape"])


def read(directory, entry, form):
    path = os.path.join(directory, entry["file"])
    if form in ("hex", "mem"):
        array = read_hex(path, entry)
    elif form == "npy":
        array = np.load(path, allow_pickle=False)
    elif form == "safetensors":
        array = read_safetensors(path, entry)
    else:
        array = np.fromfile(path, TYPES[entry["type"]]).reshape(entry["shape"])
    assert list(array.shape) == entry["shape"], f"{path}: shape {array.shape}"
    assert array.dtype == TYPES[entry["type"]], f"{path}: type {array.dtype}"
    return array


class Layer(dict):
    """The arrays of one layer by name, and what can be computed from others of them."""

    def sat8(self, x):
        return np.clip(x, -128, 127).astype(np.int8)

    def away(self, x):
        """Round ties away from zero; exact, since a float of 2^23 and more is whole."""
        whole = np.trunc(x)
        return whole + np.where(np.abs(x - whole) >= 0.5, np.sign(x), 0).astype(np.float32)

    def product(self, weight, x):
        return (x.astype(np.int64) @ self[weight].astype(np.int64).T).astype(np.int32)

    def conv_acc(self, t):
        """Of tokens whose taps are all traced."""
        w, x = self["conv_weight"].astype(np.int32), self["conv_in"].astype(np.int32)
        before = len(w) - 1
        sums = sum(w[k] * x[k : len(x) - before + k] for k in range(len(w)))
        return sums, t["conv_acc"][before:]

    def checks(self):
        """(name, needs, function): computed, traced."""
        f32 = np.float32
        return [
            ("in_proj_acc", "norm_out in_proj_weight",
             lambda t: (self.product("in_proj_weight", t["norm_out"]), t["in_proj_acc"])),
            ("conv_acc", "conv_in conv_weight", self.conv_acc),
            ("x_proj_acc", "x_proj_in x_proj_weight",
             lambda t: (self.product("x_proj_weight", t["x_proj_in"]), t["x_proj_acc"])),
            ("dt_proj_acc", "x_proj_out dt_proj_weight",
             lambda t: (self.product("dt_proj_weight",
                                     t["x_proj_out"][:, : self["dt_proj_weight"].shape[1]]),
                        t["dt_proj_acc"])),
            ("out_proj_acc", "hadamard_out out_proj_weight",
             lambda t: (self.product("out_proj_weight", t["hadamard_out"]), t["out_proj_acc"])),
            ("in_proj_x", "in_proj_acc in_proj_a in_proj_b",
             lambda t: (self.sat8(np.rint(t["in_proj_b"] * (t["in_proj_a"] * t["in_proj_acc"][
                 :, : t["in_proj_x"].shape[1]].astype(f32)))), t["in_proj_x"])),
            ("x_proj_out", "x_proj_acc x_proj_a x_proj_b",
             lambda t: (self.sat8(np.rint(t["x_proj_a"] * (t["x_proj_b"] * t["x_proj_acc"].astype(
                 f32)))), t["x_proj_out"])),
            ("hadamard_out", "hadamard_pre",
             lambda t: (self.sat8(self.away(t["hadamard_pre"])), t["hadamard_out"])),
            ("out_proj_out", "out_proj_acc out_proj_a out_proj_b",
             lambda t: ((t["out_proj_a"] * (t["out_proj_b"] * t["out_proj_acc"].astype(f32))).astype(
                 np.float16), t["out_proj_out"])),
            ("gate", "in_proj_z z_scale",
             lambda t: (t["z_scale"] * t["in_proj_z"].astype(f32), t["gate"])),
            ("residual", "residual_in out_proj_out",
             lambda t: (t["residual_in"] + t["out_proj_out"].astype(f32), t["residual"])),
        ]


def same(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    directory, wanted = sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else None
    with open(os.path.join(directory, "manifest.json")) as file:
        manifest = json.load(file)
    form, layers, n, sums = manifest["format"], {}, 0, {}
    for entry in manifest["tensors"]:
        name = entry["file"]
        if name not in sums:
            with open(os.path.join(directory, name), "rb") as file:
                sums[name] = hashlib.sha256(file.read()).hexdigest()
        if sums[name] != entry["sha256"]:
            sys.exit(f"{name}: its sha256 is not that of the manifest")
        array = read(directory, entry, form)
        layer = entry["layer"]
        full = entry["name"] if layer is None else (
            f"{'head' if layer == 'head' else 'layer%02d' % layer}.{entry['name']}")
        if wanted == full:
            print(array)
        layers.setdefault(layer, Layer())[entry["name"]] = array
        n += 1
    computed = 0
    for layer, arrays in layers.items():
        quantized = any(array.dtype == np.int8 for array in arrays.values())
        for name, needs, function in arrays.checks():
            if not quantized and name != "residual":
                continue
            if name not in arrays or any(x not in arrays for x in needs.split()):
                continue
            got, traced = function(arrays)
            if got.dtype != traced.dtype and name != "gate":
                continue  # the mode has another formula there
            if not same(got, traced):
                at = np.argwhere(got != traced)[0]
                sys.exit(f"layer {layer}, {name} {at}: computed {got[tuple(at)]}, "
                         f"traced {traced[tuple(at)]}")
            computed += 1
    if wanted is None:
        print(f"{n} arrays of mode {manifest['mode']['id']} read, {computed} of them computed again")


main()
