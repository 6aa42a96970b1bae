#!/usr/bin/python3
"""k-means of scikit-learn on the points of codebook_benchmark, in one table with its rows.

  benchmarks/kmeans_sklearn.py <codebook_benchmark> [filter of its rows, default the fewbit and faiss ones]

Runs the benchmark once, which leaves its points in a folder, then scikit-learn on the same points:
k-means++ with its default number of candidates, 25 iterations of Lloyd's algorithm, one run, one
thread. Needs python3-sklearn of the system's own Python. Prints a table in Markdown: milliseconds,
inertia, and inertia against scikit-learn's (the mean of three seeds).
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # before numpy is loaded
    os.environ[name] = "1"

import numpy as np
from sklearn.cluster import KMeans

SEEDS = 3


def benchmark_rows(program, row_filter, folder):
    """(d, k) -> {implementation: (milliseconds, inertia)}"""
    output = subprocess.run(
        [program, f"--benchmark_filter={row_filter}", "--benchmark_format=json", "--benchmark_min_time=0.05"],
        env={**os.environ, "FEWBIT_WRITE_POINTS": folder}, check=True, capture_output=True, text=True).stdout
    rows = {}
    for row in json.loads(output)["benchmarks"]:
        implementation, d, k = re.fullmatch(r"kmeans/(\w+)/d:(\d+)/k:(\d+)", row["name"]).groups()
        rows.setdefault((int(d), int(k)), {})[implementation] = (row["real_time"], row["inertia"])
    return rows


def sklearn_row(points, k):
    times, inertias = [], []
    for seed in range(SEEDS):
        start = time.perf_counter()
        model = KMeans(k, init="k-means++", n_init=1, max_iter=25, tol=0, algorithm="lloyd", random_state=seed)
        model.fit(points)
        times.append(1e3 * (time.perf_counter() - start))
        inertias.append(model.inertia_)
    return min(times), float(np.mean(inertias))


def main():
    program = os.path.abspath(sys.argv[1])
    row_filter = sys.argv[2] if len(sys.argv) > 2 else "^kmeans/(fewbit|faiss)/"
    print("| d | k | implementation | ms | inertia | inertia / scikit-learn's |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for (d, k), rows in sorted(benchmark_rows(program, row_filter, folder).items()):
            points = np.fromfile(f"{folder}/d{d}.f32", np.float32).reshape(-1, d)
            rows["sklearn"] = sklearn_row(points, k)
            for implementation, (ms, inertia) in rows.items():
                share = inertia / rows["sklearn"][1]
                print(f"| {d} | {k} | {implementation} | {ms:.1f} | {inertia:.6g} | {share:.4f} |", flush=True)


if __name__ == "__main__":
    main()
