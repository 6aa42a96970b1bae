#!/usr/bin/python3
"""Tabulates products of few bits and conversions of arrays, compared with an upper bound or another library.

    for program in gemm quant; do
      ${program}_benchmark --benchmark_repetitions=3 --benchmark_enable_random_interleaving=true \\
                           --benchmark_out=$program.json
    done
    tabulate_few_bits.py gemm.json quant.json >few_bits.md

A figure is the median over all repetitions in all files. A row is left out if one of its figures was not
measured. The rows peak/ are the bounds of 8-bit dots and of binary products.
"""

import argparse

from plot_gemm import read

# Each row: description, benchmark name, counter, benchmark name of the bound, and a factor for the bound.
W4 = "gemm/f32_w4g32_f32/{ours}/m:"
HOT, COLD = "/n:4096/k:4096/cold:0", "/n:4096/k:4096/cold:1"
CUBE, DEEP = "/m:1024/n:1024/k:1024", "/m:512/n:512/k:4096"
LARGE, SMALL = "/n:268435456", "/n:262144"
DOTS, BITS = "peak/vpdpbusd_zmm", "peak/xor_popcount"
ROWS = [
    ("4 bits in groups of 32, one row, weights in L3", W4 + "1" + HOT, "GBps", "peak/read_l3", 1),
    ("the same from memory", W4 + "1" + COLD, "GBps", "peak/read_dram", 1),
    ("the same, 8 rows", W4 + "8" + HOT, "GOPS", DOTS, 1),
    ("the same, 128 rows", W4 + "128" + HOT, "GOPS", DOTS, 1),
    ("2 bits in groups of 32, one row, weights in L3", "gemm/f32_w2g32_f32/{ours}/m:1" + HOT, "GBps", "peak/read_l3", 1),
    ("3 bits in groups of 32, one row, weights in L3", "gemm/f32_w3g32_f32/{ours}/m:1" + HOT, "GBps", "peak/read_l3", 1),
    ("8 bits in groups of 32, one row, weights in L3", "gemm/f32_w8g32_f32/{ours}/m:1" + HOT, "GBps", "peak/read_l3", 1),
    ("the same from memory", "gemm/f32_w8g32_f32/{ours}/m:1" + COLD, "GBps", "peak/read_dram", 1),
    ("binary, 1024 x 1024 x 1024", "gemm/b1_b1_s32/{ours}" + CUBE, "GOPS", BITS, 1),
    ("binary, 512 x 512 x 4096", "gemm/b1_b1_s32/{ours}" + DEEP, "GOPS", BITS, 1),
    ("binary, one row, 65,536 x 4096", "gemm/b1_b1_s32/{ours}/m:1/n:65536/k:4096", "GBps", "peak/read_l3", 1),
    ("binary, one row, 2048 x 4096", "gemm/b1_b1_s32/{ours}/m:1/n:2048/k:4096", "GOPS", BITS, 1),
    ("2 bits by 2 bits, 1024 x 1024 x 1024", "gemm/u2_s2_s32/{ours}" + CUBE, "GOPS", BITS, 0.25),
    ("the same beside 8 bits", "gemm/u2_s2_s32/{ours}" + CUBE, "GOPS", "gemm/s8_s8_s32/{ours}" + CUBE, 1),
    ("the same by tables", "gemm/u2_s2_s32/{table}" + CUBE, "GOPS", "gemm/s8_s8_s32/{ours}" + CUBE, 1),
    ("ternary by ternary, 1024 x 1024 x 1024", "gemm/t2_t2_s32/{ours}" + CUBE, "GOPS", "gemm/s8_s8_s32/{ours}" + CUBE, 1),
    ("8 bits by ternary, 1024 x 1024 x 1024", "gemm/s8_t2_s32/{ours}" + CUBE, "GOPS", "gemm/s8_s8_s32/{ours}" + CUBE, 1),
    ("the same, 128 x 1024 x 4096", "gemm/s8_t2_s32/{ours}/m:128/n:1024/k:4096", "GOPS",
     "gemm/s8_s8_s32/{ours}/m:128/n:1024/k:4096", 1),
    ("the same, 49 x 512 x 4608", "gemm/s8_t2_s32/{ours}/m:49/n:512/k:4608", "GOPS",
     "gemm/s8_s8_s32/{ours}/m:49/n:512/k:4608", 1),
    ("the same, one row from memory", "gemm/s8_t2_s32/{ours}/m:1" + COLD, "GOPS", "gemm/s8_s8_s32/{ours}/m:1" + COLD, 1),
    ("8 bits by binary, one row from memory", "gemm/s8_b1_s32/{ours}/m:1" + COLD, "GOPS",
     "gemm/s8_s8_s32/{ours}/m:1" + COLD, 1),
    ("float to int8, 256 Ki", "quantize/f32_s8/{ours}" + SMALL, "Geps", "quantize/f32_s8/xnnpack" + SMALL, 1),
    ("the same by rows, with maxima and sums", "quantize/f32_s8_rows/{ours}" + SMALL, "Geps",
     "quantize/f32_s8/xnnpack" + SMALL, 1),
    ("float to int8, 256 Mi", "quantize/f32_s8/{ours}" + LARGE, "GBps", "memcpy" + LARGE, 1),
    ("int8 to float, 256 Mi", "dequantize/s8_f32/{ours}" + LARGE, "Geps", "dequantize/s8_f32/eigen" + LARGE, 1),
    ("int32 and bias to int8, 256 Ki", "requantize/s32_s8_cols/{ours}" + SMALL, "Geps",
     "requantize/s32_s8_cols/onednn" + SMALL, 1),
    ("float to blocks q8_0, 256 Ki", "quantize/f32_q8_0/{ours}_ggml_x86" + SMALL, "Geps", None, 1),
    ("float to blocks q4_0, 256 Ki", "quantize/f32_q4_0/{ours}_ggml_ref" + SMALL, "Geps", None, 1),
]
# If an instruction set has no kernel of its own, its rows have the name of its base.
BASES = {"avx512_bitalg": "avx512_vnni", "avx512_vnni": "avx2", "avx_vnni": "avx2", "avx2": "scalar",
         "neon_i8mm": "neon_dotprod", "neon_dotprod": "neon", "neon": "scalar", "scalar": None}
UNITS = {"GBps": "GB/s", "GOPS": "10^9 op/s", "Geps": "10^9 numbers/s"}
NAMES = {"peak/read_l3": "reading from L3", "peak/read_dram": "reading from memory", DOTS: "the peak of vpdpbusd",
         "memcpy" + LARGE: "memcpy"}


def beside(name, times):
    if name == BITS:
        return "xor, popcount, add" if times == 1 else "a quarter of that"
    for rival, shown in (("xnnpack", "XNNPACK"), ("onednn", "oneDNN"), ("eigen", "Eigen")):
        if rival in name:
            return shown
    return NAMES.get(name, "8 bits by 8 bits")


def figure(rows, arch, name, counter):
    """The counter of the instruction set, or of its nearest base that was measured."""
    while arch:
        found = rows.get(name.format(ours=f"fewbit_{arch}", table=f"fewbit_table_{arch}"), {}).get(counter)
        if found or "{" not in name:
            return found
        arch = BASES[arch]
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", help="JSON of gemm_benchmark and quant_benchmark")
    parser.add_argument("--arch", help="an instruction set; default: the best that was measured")
    asked = parser.parse_args()
    rows, _ = read(asked.runs)
    arch = asked.arch or next(a for a in BASES if any(f"_{a}/" in name for name in rows))
    print(f"| {arch} | rate | times | |\n|---|---|---|---|")
    for what, name, counter, other, times in ROWS:
        ours = figure(rows, arch, name, counter)
        bound = figure(rows, arch, other, counter) if other else None
        if ours is None or (other and not bound):
            continue
        share = f"{ours / (bound * times):.2f} | {beside(other, times)}" if other else "|"
        digits = 0 if ours >= 100 else 1
        print(f"| {what} | {ours:.{digits}f} {UNITS[counter]} | {share} |")


if __name__ == "__main__":
    main()
