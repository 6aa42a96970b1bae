#!/usr/bin/python3
"""Draws and tabulates results of gemm_benchmark: the share of the peak that each product reaches.

    gemm_benchmark --benchmark_repetitions=9 --benchmark_enable_random_interleaving=true \\
                   --benchmark_out=run.json
    plot_gemm.py run.json --svg gemm.svg >gemm.md

A figure is the median over all repetitions in all files. A result that was not exact has an open mark
in the drawing and a star in the table. The drawing needs python3-matplotlib.
"""

import argparse
import collections
import json
import math
import re
import statistics
import sys

ORIGINS = [
    ("squares", [(256, 256, 256), (512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048)]),
    ("BERT-large,\n128 tokens", [(128, 1024, 1024), (128, 4096, 1024), (128, 1024, 4096)]),
    ("ResNet-50,\nim2col and 1x1",
     [(3136, 64, 576), (784, 128, 1152), (196, 256, 2304), (49, 512, 4608), (3136, 256, 64)]),
    ("MobileNetV2,\n1x1", [(3136, 144, 24), (784, 192, 32), (196, 576, 96), (49, 960, 160), (49, 320, 960)]),
    ("decoding", [(1, 4096, 4096), (1, 11008, 4096), (8, 4096, 4096), (16, 4096, 4096)]),
    ("small", [(4, 4, 4), (7, 7, 7), (8, 8, 8), (16, 16, 16), (32, 32, 32), (64, 64, 64), (1, 8, 8), (1, 16, 16),
               (1, 32, 32), (1, 64, 64)]),
]
KINDS = {
    "u8_s8_s32": "u8 x s8 to int32",
    "s8_s8_s32": "s8 x s8 to int32",
    "u8_s8_u8": "u8 x s8 to u8, requantized",
    "s8_s8_s8": "s8 x s8 to s8, requantized",
    "u8_s7_s32": "u8 x s7 to int32",
    "u7_s8_s32": "u7 x s8 to int32",
    "u7_s7_s32": "u7 x s7 to int32",
    "f32_f32_f32": "float",
}
NAMES = {"onednn": "oneDNN", "onednn_gemm": "oneDNN gemm", "gemmlowp": "gemmlowp", "xnnpack": "XNNPACK",
         "openblas": "OpenBLAS", "eigen": "Eigen", "eigen_int": "Eigen int"}
# Colours for readers with colour blindness (Okabe and Ito), this library's colour first.
STYLES = [("#0072b2", "o"), ("#d55e00", "s"), ("#e69f00", "^"), ("#009e73", "D"), ("#cc79a7", "v"), ("#56b4e9", "P")]
ROW = re.compile(r"gemm/(\w+)/(\w+)/m:(\d+)/n:(\d+)/k:(\d+)")


def read(paths):
    """name -> counter -> median, and the bytes of each level of cache."""
    values = collections.defaultdict(lambda: collections.defaultdict(list))
    caches = {}
    for path in paths:
        with open(path, encoding="utf-8") as file:
            run = json.load(file)
        for cache in run["context"].get("caches", []):
            if cache["type"] != "Instruction":
                caches[cache["level"]] = cache["size"]
        for row in run["benchmarks"]:
            single = row.get("run_type") == "iteration" and not row.get("error_occurred")
            if single or row.get("aggregate_name") == "median":
                for counter in ("GOPS", "GBps", "Geps", "exact", "bytes_per_weight"):
                    if counter in row:
                        group = "single" if single else "medians"
                        values[row["run_name"]][counter].append((group, row[counter]))
    rows = {name: {c: median(v) for c, v in counters.items()} for name, counters in values.items()}
    return rows, caches


def median(values):
    """The median of the repetitions, or of medians if a file has only these."""
    singles = [v for group, v in values if group == "single"]
    return statistics.median(singles or [v for _, v in values])


def products(rows):
    """kind -> implementation -> shape -> counters, only for rows without cold, threads and packing."""
    found = collections.defaultdict(lambda: collections.defaultdict(dict))
    for name, counters in rows.items():
        hit = ROW.fullmatch(name)
        if hit:
            found[hit[1]][hit[2]][tuple(map(int, hit.groups()[2:]))] = counters
    return found


def geometric_mean(values):
    return math.exp(statistics.fmean(map(math.log, values))) if values else math.nan


def implementations(found, asked):
    """This library first, then the others. Of this library, only the fastest instruction set, unless `asked`."""
    everyone = {who for by_who in found.values() for who in by_who}
    everyone = [who for who in NAMES if who in everyone] + sorted(everyone - NAMES.keys())
    if asked:
        return [who for who in asked if who in everyone]
    speed = {}
    for who in everyone:
        if who.startswith("fewbit_"):
            speed[who] = geometric_mean([c["GOPS"] for by in found.values() for c in by.get(who, {}).values()])
    ours = [max(speed, key=speed.get)] if speed else []
    return ours + [who for who in everyone if not who.startswith("fewbit_")]


def shown(who):
    return "fewbit" if who.startswith("fewbit_") else NAMES.get(who, who)


def comma(shape):
    return ", ".join(map(str, shape))


def all_shapes(found):
    """Pairs of an origin and its measured shapes. Shapes without an origin are last."""
    measured = dict.fromkeys(s for by in found.values() for rows in by.values() for s in rows)
    known = [(origin, [s for s in shapes if s in measured]) for origin, shapes in ORIGINS]
    rest = [s for s in measured if not any(s in shapes for _, shapes in known)]
    return [(origin, shapes) for origin, shapes in known + [("others", rest)] if shapes]


def reading_bound(shape, rows, caches):
    """The GOPS limit by reading weights from an outer cache, or None."""
    m, n, k = shape
    level = "read_l3" if n * k <= caches.get(3, 0) else "read_dram"
    bandwidth = rows.get("peak/" + level, {}).get("GBps")
    return 2 * m * bandwidth if bandwidth and n * k > caches.get(2, 0) else None


# ---- the table


def cell(counters, peak):
    if counters is None:
        return ""
    gops = counters["GOPS"]
    text = f"{gops:.0f}" if gops >= 100 else f"{gops:.1f}"
    share = f" ({100 * gops / peak:.0f} %)" if peak else ""
    return text + share + ("" if counters.get("exact", 1) == 1 else " \\*")


def print_kind(kind, by_who, who_all, groups, peak):
    whos = [w for w in who_all if w in by_who]
    ours = [w for w in whos if w.startswith("fewbit_")]
    rivals = [w for w in whos if w not in ours]
    if not whos:
        return
    compare = bool(ours and rivals)
    print(f"\n### {KINDS.get(kind, kind)}\n")
    heads = [shown(w) if len(ours) < 2 else w for w in whos] + (["fewbit / best of the others"] if compare else [])
    print("| m, n, k | " + " | ".join(heads) + " |")
    print("|---" * (len(heads) + 1) + "|")
    ratios = []
    for _, shapes in groups:
        for s in shapes:
            cells = [cell(by_who[w].get(s), peak) for w in whos]
            if not any(cells):
                continue
            if compare:
                best = max((by_who[w][s]["GOPS"] for w in rivals if s in by_who[w]), default=None)
                mine = max((by_who[w][s]["GOPS"] for w in ours if s in by_who[w]), default=None)
                if best and mine:
                    ratios.append(mine / best)
                cells.append(f"{mine / best:.2f}" if best and mine else "")
            print(f"| {comma(s)} | " + " | ".join(cells) + " |")
    if ratios:
        print(f"\nGeometric mean of the last column: {geometric_mean(ratios):.2f}.")


def print_others(rows):
    """Prints all other rows: peaks, cold weights, threads and packing."""
    others = {name: c for name, c in rows.items() if not ROW.fullmatch(name)}
    if not others:
        return
    print("\n### Peaks and other figures\n\n| row | GOPS | GB/s | bytes per weight |\n|---|---|---|---|")
    for name in sorted(others):
        counters = others[name]
        numbers = [f"{counters[c]:.{digits}f}" if c in counters else ""
                   for c, digits in (("GOPS", 0), ("GBps", 1), ("bytes_per_weight", 3))]
        star = "" if counters.get("exact", 1) == 1 else " \\*"
        print(f"| {name}{star} | " + " | ".join(numbers) + " |")


def print_table(rows, found, who_all, groups, peak_name, peak):
    if peak:
        print(f"10^9 operations per second and, in brackets, the share of {peak_name}, {peak:.0f}. \\* not exact.")
    for kind in [k for k in KINDS if k in found] + [k for k in found if k not in KINDS]:
        is_float = kind.startswith("f32")
        print_kind(kind, found[kind], who_all, groups, None if is_float else peak)
    print_others(rows)


# ---- the drawing


def draw(path, rows, caches, found, who_all, groups, peak_name, peak, title):
    import matplotlib
    matplotlib.use("svg")
    from matplotlib import pyplot as plt, transforms
    plt.rcParams.update({"font.family": "DejaVu Sans", "font.size": 8.5, "svg.hashsalt": "fewbit",
                         "axes.edgecolor": "#b0b0b0", "text.color": "#24292f"})

    kinds = [k for k in KINDS if any(w.startswith("fewbit_") for w in found.get(k, {})) and not k.startswith("f32")]
    if not kinds:
        sys.exit("plot_gemm.py: no product of fewbit is in these files, so there is nothing to draw")
    whos = [w for w in who_all if any(w in found[k] for k in kinds)]
    lines, y = [], 0.0
    for origin, shapes in groups:
        lines.append((origin, [(s, y + i) for i, s in enumerate(shapes)]))
        y += len(shapes) + 0.7
    bottom = y - 1.1

    width, height = 2.25 + 2.55 * len(kinds), 1.45 + 0.205 * y
    highest = max(c["GOPS"] for k in kinds for w in whos for c in found[k].get(w, {}).values())
    figure, axes = plt.subplots(1, len(kinds), figsize=(width, height), sharey=True, squeeze=False)
    for panel, kind in zip(axes[0], kinds):
        draw_panel(panel, found[kind], whos, lines, rows, caches, peak)
        panel.set_xlim(0, max(1.02, 1.01 * highest / peak))
        panel.set_title(KINDS[kind], fontsize=9.5, pad=16, loc="left")
        panel.set_ylim(bottom, -0.9)
    first = axes[0][0]
    first.set_yticks([at for _, rows_at in lines for _, at in rows_at])
    first.set_yticklabels([comma(s) for _, rows_at in lines for s, _ in rows_at])
    for origin, rows_at in lines:
        middle = (rows_at[0][1] + rows_at[-1][1]) / 2
        first.text(0.12 / width, middle, origin, va="center", color="#57606a", linespacing=1.25,
                   transform=transforms.blended_transform_factory(figure.transFigure, first.transData))

    handles = [plt.Line2D([], [], linestyle="", label=shown(w) if not w.startswith("fewbit_") else
                          f"fewbit ({w.removeprefix('fewbit_')})", **mark(i, whos))
               for i, w in enumerate(whos)]
    if any(reading_bound(s, rows, caches) for _, rows_at in lines for s, _ in rows_at):
        handles.append(plt.Line2D([], [], linestyle="", marker="|", color="#57606a", markersize=9,
                                  label="reading the weights"))
    left = 2.1 / width
    figure.subplots_adjust(left=left, right=1 - 0.15 / width, top=1 - 0.95 / height, bottom=0.36 / height, wspace=0.09)
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(left - 0.008, 1 - 0.27 / height),
                  ncol=len(handles), frameon=False, handletextpad=0.1, columnspacing=1.4, borderpad=0, fontsize=9)
    figure.text(left, 1 - 0.1 / height, title or f"Share of the peak of {peak_name.split('/')[-1]}, one thread",
                fontsize=11, weight="bold", va="top")
    figure.text(left, 0.1 / height, f"Rows: m, n, k. 100 % is {peak:.0f} GOPS, 2 m n k operations a product. "
                "Open marks: the result is not exact.", fontsize=8, color="#57606a")
    figure.savefig(path, metadata={"Date": None}, facecolor="white")


def mark(i, whos):
    colour, shape = STYLES[i % len(STYLES)]
    ours = whos[i].startswith("fewbit_")
    return {"color": colour, "marker": shape, "markersize": 6.5 if ours else 5, "zorder": 4 if ours else 3}


def draw_panel(panel, by_who, whos, lines, rows, caches, peak):
    panel.set_xticks([0, 0.25, 0.5, 0.75, 1])
    panel.set_xticklabels(["0", "25", "50", "75", "100 %"])
    panel.xaxis.tick_top()
    panel.tick_params(length=0, labelcolor="#57606a", pad=3)
    panel.tick_params(axis="y", labelcolor="#24292f", pad=7)
    panel.grid(axis="x", color="#e4e7eb", linewidth=0.8)
    panel.axvline(1, color="#8c959f", linewidth=1, zorder=1)
    panel.set_axisbelow(True)
    for side in panel.spines.values():
        side.set_visible(False)
    for _, rows_at in lines:
        for s, at in rows_at:
            panel.axhline(at, color="#e4e7eb", linewidth=0.8, zorder=1)
            bound = reading_bound(s, rows, caches)
            if bound and bound < peak:
                panel.plot([bound / peak], [at], marker="|", color="#57606a", markersize=9, zorder=2)
            for i, who in enumerate(whos):
                counters = by_who.get(who, {}).get(s)
                if counters:
                    style = mark(i, whos)
                    if counters.get("exact", 1) != 1:
                        style["markerfacecolor"] = "white"
                    panel.plot([counters["GOPS"] / peak], [at], linestyle="", clip_on=False, **style)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("json", nargs="+", help="files of --benchmark_out")
    parser.add_argument("--svg", help="file for the drawing")
    parser.add_argument("--peak", help="the peak to compare with, such as vpdpbusd_zmm; default: the highest")
    parser.add_argument("--only", help="implementations to show, such as fewbit_avx2,onednn; default: the fastest of "
                        "fewbit and all others")
    parser.add_argument("--title", help="title of the drawing")
    options = parser.parse_args()

    rows, caches = read(options.json)
    found = products(rows)
    peaks = {name: c["GOPS"] for name, c in rows.items() if name.startswith("peak/") and "GOPS" in c}
    name = "peak/" + options.peak if options.peak else max(peaks, key=peaks.get, default=None)
    if name is None or name not in peaks:
        sys.exit(f"plot_gemm.py: {name or 'a peak'} is not in these files")
    who_all = implementations(found, options.only.split(",") if options.only else None)
    groups = all_shapes(found)
    print_table(rows, found, who_all, groups, name.removeprefix("peak/"), peaks[name])
    if options.svg:
        draw(options.svg, rows, caches, found, who_all, groups, name, peaks[name], options.title)


if __name__ == "__main__":
    main()
