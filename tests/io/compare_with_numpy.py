"""Compares the values of all quantized matrices of a file with the tensors "<name>.expected"."""
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples"))
from read_quantized import dequantize, read_file

tensors, strings = read_file(sys.argv[1])
names = [key[len("fewbit:"):] for key in strings if key.startswith("fewbit:")]
for name in names:
    got, want = dequantize(tensors, strings, name), tensors[name + ".expected"]
    if got.shape != want.shape or got.tobytes() != want.tobytes():
        sys.exit(f"{name}: {got} is not {want}")
print(f"{len(names)} matrices are equal")
