#!/usr/bin/python3
"""Compares k-means of scikit-learn with the rows of codebook_benchmark, on the same points.

  benchmarks/kmeans_sklearn.py <codebook_benchmark> [--filter REGEX] [--out run.json]

Runs the benchmark, which writes its points to a temporary folder. Then runs scikit-learn on these points:
k-means++ with the default number of candidates, 25 iterations of Lloyd's algorithm, one thread.
Needs python3-sklearn of the system's Python.

Prints a Markdown table: milliseconds (fastest of three runs), inertia, and inertia divided by that of
scikit-learn (mean over its seeds). --out writes all rows in the JSON format of the benchmark, for plot_kmeans.py.
"""
import argparse
import json
import math
import os
import re
import subprocess
import tempfile
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # before numpy is loaded
    os.environ[name] = "1"

import numpy as np
from sklearn.cluster import KMeans

RUNS = 3  # the fastest gives the time; each run of scikit-learn has its own seed


def benchmark_rows(program, row_filter, folder):
    """The benchmark's own context, and (d, k) -> {implementation: (milliseconds, inertia)}"""
    output = subprocess.run(
        [program, f"--benchmark_filter={row_filter}", "--benchmark_format=json", "--benchmark_min_time=0.01",
         f"--benchmark_repetitions={RUNS}"],
        env={**os.environ, "FEWBIT_WRITE_POINTS": folder}, check=True, capture_output=True, text=True).stdout
    run = json.loads(output)
    rows = {}
    for row in run["benchmarks"]:
        if row["run_type"] != "iteration":
            continue
        implementation, d, k = re.fullmatch(r"kmeans/(\w+)/d:(\d+)/k:(\d+)", row["run_name"]).groups()
        of_shape = rows.setdefault((int(d), int(k)), {})
        fastest, _ = of_shape.get(implementation, (math.inf, 0))
        of_shape[implementation] = (min(fastest, row["real_time"]), row["inertia"])
    return run["context"], rows


def sklearn_row(points, k):
    times, inertias = [], []
    for seed in range(RUNS):
        start = time.perf_counter()
        model = KMeans(k, init="k-means++", n_init=1, max_iter=25, tol=0, algorithm="lloyd", random_state=seed)
        model.fit(points)
        times.append(1e3 * (time.perf_counter() - start))
        inertias.append(model.inertia_)
    return min(times), float(np.mean(inertias))


def write_rows(path, context, all_rows):
    benchmarks = [{"name": name, "run_name": name, "run_type": "iteration", "real_time": ms, "time_unit": "ms",
                   "inertia": inertia}
                  for (d, k), rows in all_rows.items() for implementation, (ms, inertia) in rows.items()
                  for name in [f"kmeans/{implementation}/d:{d}/k:{k}"]]
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"context": context, "benchmarks": benchmarks}, file, indent=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="codebook_benchmark")
    parser.add_argument("--filter", default="^kmeans/(fewbit|faiss)/", help="its rows; default: fewbit and faiss")
    parser.add_argument("--out", help="a file for the rows, as JSON")
    options = parser.parse_args()
    print("| d | k | implementation | ms | inertia | inertia / scikit-learn's |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        context, all_rows = benchmark_rows(os.path.abspath(options.program), options.filter, folder)
        for (d, k), rows in sorted(all_rows.items()):
            points = np.fromfile(f"{folder}/d{d}.f32", np.float32).reshape(-1, d)
            rows["sklearn"] = sklearn_row(points, k)
            for implementation, (ms, inertia) in rows.items():
                share = inertia / rows["sklearn"][1]
                print(f"| {d} | {k} | {implementation} | {ms:.1f} | {inertia:.6g} | {share:.4f} |", flush=True)
    if options.out:
        write_rows(options.out, context, all_rows)


if __name__ == "__main__":
    main()
