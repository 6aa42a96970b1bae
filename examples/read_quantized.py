"""Reads quantized matrices that fewbit wrote into a safetensors file. Needs numpy alone.

    python3 read_quantized.py model_int4.safetensors w
"""
import json
import sys

import numpy as np

TYPES = {"BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4",
         "U64": "<u8", "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8", "C64": "<c8"}


def read_file(path):
    data = np.memmap(path, np.uint8, "r")
    start = 8 + int(data[:8].view("<u8")[0])
    header = json.loads(data[8:start].tobytes())
    strings = header.pop("__metadata__", {})
    return {name: data[start + t["data_offsets"][0]:start + t["data_offsets"][1]]
            .view(TYPES.get(t["dtype"], "u1")).reshape(t["shape"] if t["dtype"] in TYPES else -1)
            for name, t in header.items()}, strings


def dequantize(tensors, strings, name):
    storage, granularity, _, scale, _, rows, cols = strings["fewbit:" + name].split()
    rows, cols = int(rows), int(cols)
    bits = {"ternary": 2, "binary": 1}.get(storage) or int(storage.strip("uintcodebk:"))
    codes = tensors[name]
    if bits < 8 or storage.startswith("codebook"):
        bit = np.unpackbits(codes, axis=1, bitorder="little")[:, :cols * bits]
        codes = bit.reshape(rows, cols, bits) @ (1 << np.arange(bits))
        if storage[0] in "it":
            codes = codes - (codes >> (bits - 1) << bits)  # two's complement
        if storage == "binary":
            codes = 1 - 2 * codes
    row, col = np.indices((rows, cols))
    kind, _, group = granularity.partition(":")
    group = int(group or 1)
    place = {"per_tensor": 0 * row, "per_row": row, "per_col": col, "sub_tensor": row // group,
             "grouped": row * -(-cols // group) + col // group}[kind]

    def part(suffix):
        return tensors[name + suffix].ravel()[place].astype(float) if name + suffix in tensors else 0.0

    if name + ".levels" in tensors:
        codes = tensors[name + ".levels"].astype(float)[codes]
    scales = part(".scales")
    if scale == "two_scales":
        scales = np.where(codes < 0, part(".negative_scales"), scales)
    return ((codes - part(".zero_points")) * scales + part(".minima")).astype(np.float32)


if __name__ == "__main__":
    print(dequantize(*read_file(sys.argv[1]), sys.argv[2]))
