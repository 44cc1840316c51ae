#!/usr/bin/env python3
"""Reads a pytorch_model.bin with the standard library alone, as docs/format/upstream.md says, and
prints one JSON object: for each tensor its dtype, shape, stride and the SHA-256 of its elements in
row-major order; for each Python float its value.  Written apart from src/format to check it.

usage: read_upstream.py FILE [NAME...]
"""
import collections
import hashlib
import json
import pickle
import sys
import zipfile

TYPES = {  # torch storage type: (name, bytes per element)
    "FloatStorage": ("float32", 4), "HalfStorage": ("float16", 2), "BFloat16Storage": ("bfloat16", 2),
    "DoubleStorage": ("float64", 8), "CharStorage": ("int8", 1), "ByteStorage": ("uint8", 1),
    "ShortStorage": ("int16", 2), "IntStorage": ("int32", 4), "LongStorage": ("int64", 8),
    "BoolStorage": ("bool", 1),
}

Storage = collections.namedtuple("Storage", "type bytes")
Tensor = collections.namedtuple("Tensor", "storage offset shape stride")


def rebuild_tensor(storage, offset, shape, stride, *rest):
    return Tensor(storage, offset, shape, stride)


class StateDict(collections.OrderedDict):
    """Takes the _metadata attribute and forgets it."""

    def __setstate__(self, state):
        pass


class Reader(pickle.Unpickler):
    def __init__(self, archive, root):
        super().__init__(archive.open(root + "data.pkl"))
        self.archive, self.root = archive, root

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return StateDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return rebuild_tensor
        if module == "torch" and name in TYPES:
            return TYPES[name]
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed")

    def persistent_load(self, key):
        kind, (dtype, size), name, _device, n = key
        data = self.archive.read(f"{self.root}data/{name}")
        if kind != "storage" or len(data) != n * size:
            raise pickle.UnpicklingError(f"bad storage {name}")
        return Storage((dtype, size), data)


def row_major(tensor):
    """The bytes of the elements, last index fastest."""
    size = tensor.storage.type[1]
    code = {1: "B", 2: "H", 4: "I", 8: "Q"}[size]
    items = memoryview(tensor.storage.bytes).cast(code)
    out = []

    def walk(offset, axis):
        if axis == len(tensor.shape):
            out.append(items[offset:offset + 1].tobytes())
        elif axis == len(tensor.shape) - 1:
            n, step = tensor.shape[axis], tensor.stride[axis]
            if n > 0 and step > 0:
                out.append(items[offset:offset + (n - 1) * step + 1:step].tobytes())
            else:
                out.extend([items[offset:offset + 1].tobytes()] * n)
        else:
            for i in range(tensor.shape[axis]):
                walk(offset + i * tensor.stride[axis], axis + 1)

    if all(tensor.shape):
        walk(tensor.offset, 0)
    return b"".join(out)


def describe(value):
    if isinstance(value, float):
        return {"dtype": "float", "value": value}
    if not isinstance(value, Tensor):
        return None
    return {"dtype": value.storage.type[0], "shape": list(value.shape), "stride": list(value.stride),
            "sha256": hashlib.sha256(row_major(value)).hexdigest()}


def main():
    archive = zipfile.ZipFile(sys.argv[1])
    roots = [n[:-len("data.pkl")] for n in archive.namelist() if n.endswith("/data.pkl")]
    if len(roots) != 1:
        sys.exit(f"{sys.argv[1]}: {len(roots)} members data.pkl, wanted one")
    if roots[0] + "byteorder" in archive.namelist():
        assert archive.read(roots[0] + "byteorder") == b"little"
    state = Reader(archive, roots[0]).load()
    wanted = sys.argv[2:] or state
    json.dump({name: describe(state[name]) for name in wanted}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main()
