#!/usr/bin/python3
"""Compares histogram_observer with numpy.histogram, on the same numbers and in the same run.

  benchmarks/histogram_numpy.py <calib_benchmark>

Runs the row observe/histogram of the benchmark, which writes its 16 Mi numbers and counts to a temporary folder.
Then runs numpy.histogram on these numbers with 2048 bins. Checks that numpy counts the same numbers in the same bins.
Needs python3-numpy of the system's Python. Prints a Markdown table; times are the fastest of five calls, one thread.
"""
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

RUNS = 5
NUMBERS = 1 << 24


def fewbit_milliseconds(program, folder):
    output = subprocess.run(
        [program, f"--benchmark_filter=^observe/histogram/n:{NUMBERS}$", "--benchmark_format=json",
         "--benchmark_min_time=0.05", f"--benchmark_repetitions={RUNS}"],
        env={**os.environ, "FEWBIT_WRITE_HISTOGRAM": folder}, check=True, capture_output=True, text=True).stdout
    rows = [row for row in json.loads(output)["benchmarks"] if row["run_type"] == "iteration"]
    if len(rows) != RUNS or any(row["exact"] != 1 for row in rows):
        sys.exit("the benchmark has no exact rows")
    return min(row["real_time"] for row in rows)


def fastest(call):
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        result = call()
        times.append(1e3 * (time.perf_counter() - start))
    return min(times), result


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        ours = fewbit_milliseconds(sys.argv[1], folder)
        x = np.fromfile(os.path.join(folder, "numbers.f32"), dtype=np.float32)
        want = np.fromfile(os.path.join(folder, "counts.u64"), dtype=np.uint64)
        end = float(np.fromfile(os.path.join(folder, "end.f64"))[0])
    counts, _ = np.histogram(np.abs(x), bins=len(want), range=(0.0, end))
    if len(x) != NUMBERS or not np.array_equal(counts, want):
        sys.exit(f"numpy counts differently: {int(np.sum(counts != want))} of {len(want)} bins")
    theirs, _ = fastest(lambda: np.histogram(x, bins=2048))
    known, _ = fastest(lambda: np.histogram(x, bins=2048, range=(-end, end)))
    print("| histogram of 16 Mi float32 | ms | ratio |")
    print("|---|---|---|")
    print(f"| histogram_observer, 2048 bins on each side of 0 | {ours:.1f} | 1 |")
    print(f"| numpy.histogram, 2048 bins | {theirs:.1f} | {theirs / ours:.1f} |")
    print(f"| numpy.histogram, 2048 bins, range given | {known:.1f} | {known / ours:.1f} |")


if __name__ == "__main__":
    main()
