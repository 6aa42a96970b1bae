#!/usr/bin/python3
"""Draws and tabulates the time of k-means in codebook_benchmark and kmeans_sklearn.py.

    kmeans_sklearn.py codebook_benchmark --filter '^kmeans/(fewbit|faiss|faiss_exact)/' --out run.json
    plot_kmeans.py run.json --svg kmeans.svg >kmeans.md

A figure is the median over all repetitions in all files. A result whose inertia is more than 2 % above
the least has an open mark in the drawing and a star in the table. The drawing needs python3-matplotlib.
"""

import argparse
import collections
import json
import re
import statistics

from plot_gemm import STYLES, geometric_mean

NAMES = {"fewbit": "fewbit", "faiss": "faiss", "faiss_exact": "faiss, exact", "sklearn": "scikit-learn"}
ROW = re.compile(r"kmeans/(\w+)/d:(\d+)/k:(\d+)")
UNITS = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3}
TOLERANCE = 1.02  # of inertia


def read(paths):
    """(d, k) -> implementation -> (milliseconds, inertia)"""
    times = collections.defaultdict(lambda: collections.defaultdict(list))
    inertias = collections.defaultdict(lambda: collections.defaultdict(list))
    for path in paths:
        with open(path, encoding="utf-8") as file:
            run = json.load(file)
        for row in run["benchmarks"]:
            hit = ROW.fullmatch(row.get("run_name", ""))
            if hit and hit[1] in NAMES and row.get("run_type") == "iteration" and not row.get("error_occurred"):
                shape = int(hit[2]), int(hit[3])
                times[shape][hit[1]].append(row["real_time"] * UNITS[row["time_unit"]])
                inertias[shape][hit[1]].append(row["inertia"])
    return {shape: {who: (statistics.median(t), statistics.median(inertias[shape][who])) for who, t in by.items()}
            for shape, by in sorted(times.items())}


def is_worse(by, who):
    return by[who][1] > TOLERANCE * min(inertia for _, inertia in by.values())


def shown(ms):
    return f"{ms:.0f}" if ms >= 100 else f"{ms:.1f}"


def print_table(rows, whos):
    rivals = [who for who in whos if who != "fewbit"]
    heads = [NAMES[who] for who in whos] + [f"{NAMES[who]} / fewbit" for who in rivals]
    print("Milliseconds for 65,536 points, 25 iterations, one thread. \\* inertia more than 2 % above the least.\n")
    print("| d | k | " + " | ".join(heads) + " |")
    print("|---" * (len(heads) + 2) + "|")
    ratios = collections.defaultdict(list)
    for (d, k), by in rows.items():
        cells = [shown(by[who][0]) + (" \\*" if is_worse(by, who) else "") if who in by else "" for who in whos]
        for who in rivals:
            both = who in by and "fewbit" in by
            cells.append(f"{by[who][0] / by['fewbit'][0]:.1f}" if both else "")
            if both:
                ratios[who].append(by[who][0] / by["fewbit"][0])
        print(f"| {d} | {k} | " + " | ".join(cells) + " |")
    means = [f"{NAMES[who]} {geometric_mean(ratios[who]):.1f}" for who in rivals]
    print(f"\nGeometric means of the ratios: {', '.join(means)}.")


def draw(path, rows, whos, title):
    import matplotlib
    matplotlib.use("svg")
    from matplotlib import pyplot as plt
    plt.rcParams.update({"font.family": "DejaVu Sans", "font.size": 9, "svg.hashsalt": "fewbit",
                         "text.color": "#24292f"})
    width, height = 7.6, 1.5 + 0.3 * len(rows)
    figure, panel = plt.subplots(figsize=(width, height))
    for i, who in enumerate(whos):
        colour, shape = STYLES[i % len(STYLES)]
        size = 8 if who == "fewbit" else 6
        for at, by in enumerate(rows.values()):
            if who in by:
                face = "white" if is_worse(by, who) else colour
                panel.plot([by[who][0]], [at], linestyle="", color=colour, marker=shape, markersize=size,
                           markerfacecolor=face, zorder=3, clip_on=False)
        panel.plot([], [], linestyle="", color=colour, marker=shape, markersize=size, label=NAMES[who])
    panel.set_xscale("log")
    panel.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda x, _: f"{x:g}"))
    panel.xaxis.tick_top()
    panel.set_yticks(range(len(rows)))
    panel.set_yticklabels([f"d = {d},  k = {k}" for d, k in rows])
    panel.set_ylim(len(rows) - 0.5, -0.5)
    panel.tick_params(length=0, which="both", labelcolor="#24292f", pad=4)
    panel.grid(color="#e4e7eb", linewidth=0.8)
    panel.set_axisbelow(True)
    for side in panel.spines.values():
        side.set_visible(False)
    figure.subplots_adjust(left=1.15 / width, right=1 - 0.25 / width, top=1 - 0.95 / height, bottom=0.35 / height)
    figure.legend(loc="upper left", bbox_to_anchor=(1.05 / width, 1 - 0.3 / height), ncol=len(whos), frameon=False,
                  handletextpad=0.2, columnspacing=1.4, borderpad=0)
    figure.text(1.15 / width, 1 - 0.1 / height, title, fontsize=11, weight="bold", va="top")
    figure.text(1.15 / width, 0.1 / height, "65,536 points of d coordinates, 25 iterations. Open marks: inertia more "
                "than 2 % above the least.", fontsize=8, color="#57606a")
    figure.savefig(path, metadata={"Date": None}, facecolor="white")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("json", nargs="+", help="files of --benchmark_out or of kmeans_sklearn.py --out")
    parser.add_argument("--svg", help="file for the drawing")
    parser.add_argument("--title", default="k-means, milliseconds on one thread", help="title of the drawing")
    options = parser.parse_args()
    rows = read(options.json)
    whos = [who for who in NAMES if any(who in by for by in rows.values())]
    if not whos:
        parser.error("no rows of k-means are in these files")
    print_table(rows, whos)
    if options.svg:
        draw(options.svg, rows, whos, options.title)


if __name__ == "__main__":
    main()
