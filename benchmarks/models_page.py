"""What `benchmarks/models.py` found, as a table, a plot, and a choice by rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

RUNS = 60  # of each latency
BUDGET_MS = 1.0  # a face in LiteRT on one core of x86-64: four faces then cost less than the detector
RUNTIMES = ("litert", "tflite-runtime")
MARKERS = {"float32": "o", "float16": "s", "dynamic": "^", "int8": "x", "int8 balanced": "D"}
Row = dict[str, Any]


def fast(row: Row) -> float:
    """Milliseconds in LiteRT on one thread; infinite where it does not run."""
    return float(row["runtimes"]["litert 1"].get("least_ms", np.inf))


def front(rows: list[Row]) -> list[Row]:
    """The Pareto front of what passed its gates: nothing else is both faster and better."""
    found: list[Row] = []
    for row in sorted(rows, key=lambda r: (fast(r), -r["macro_f1"])):
        if row["gates"] == "passed" and np.isfinite(fast(row)) and row["macro_f1"] > max_f1(found):
            found.append(row)
    return found


def max_f1(rows: list[Row]) -> float:
    return max((float(row["macro_f1"]) for row in rows), default=-1.0)


def choices(rows: list[Row]) -> list[str]:
    """The choice by rule: the best on the front that keeps to the budget, and what stands beside it."""
    lines = []
    for kind in ("frozen", "trained"):
        best = front([row for row in rows if row["kind"] == kind])
        if not best:
            continue
        affordable = [row for row in best if fast(row) <= BUDGET_MS]
        names = "; ".join(f"{r['model']} {r['variant']} ({fast(r):.1f} ms, {r['macro_f1']:.3f})" for r in best)
        chosen = "**{model}, {variant}**".format(**affordable[-1]) if affordable else "none, all take longer"
        lines += [f"- {kind}: the front is {names}. Chosen: {chosen}."]
    return lines


def table(rows: list[Row]) -> str:
    """A Markdown table."""
    lines = [
        "| model | variant | accuracy | macro-F1 (95 %) | same class as Keras | gates | MB | LiteRT ms, 1 / 2 threads "
        "| tflite-runtime ms, 1 / 2 threads | resident MB, LiteRT / tflite-runtime |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ran = {runtime: [row["runtimes"][f"{runtime} {threads}"] for threads in (1, 2)] for runtime in RUNTIMES}
        times = [
            " / ".join(f"{p['least_ms']:.1f}" if "least_ms" in p else "does not run" for p in ran[runtime])
            for runtime in RUNTIMES
        ]
        held = " / ".join(
            f"{ran[runtime][0]['resident_mb']:.0f}" if "resident_mb" in ran[runtime][0] else "-" for runtime in RUNTIMES
        )
        low, high = row["macro_f1_95"]
        lines.append(
            f"| {row['model']} | {row['variant']} | {row['accuracy']:.3f} | {row['macro_f1']:.3f} ({low:.3f} to "
            f"{high:.3f}) | {row['same_class']:.3f} | {'passed' if row['gates'] == 'passed' else 'FAILED'} | "
            f"{row['bytes'] / 1e6:.2f} | {times[0]} | {times[1]} | {held} |"
        )
    return "\n".join(lines)


def page(report: Row, rows: list[Row]) -> str:
    """The page of the documentation."""
    loads = [p["load"] for row in rows for p in row["runtimes"].values() if "load" in p]
    return (
        "# Which model, which size, which variant\n\n"
        f"Made by `{report['command']}` on: {report['machine']}; load while latencies were taken: {min(loads):g} to "
        f"{max(loads):g}.\n\n"
        "*Frozen* points are MobileNetV2 with ImageNet weights and a logistic regression on its features of training "
        "faces: they rank alphas and sizes and are no trained model. *Trained* points are runs of `python -m train`. "
        f"All on the same {rows[0]['faces']} validation faces of `ilc2021` and `andrewmvd` (20 px and more); the test "
        f"split has no part in it. Gates are those of [export.md](export.md). Latency is the least of {RUNS} runs; "
        "on a busy machine two threads hardly show, and ratios say more than milliseconds. Resident MB is what the "
        "runtime, the network and its run add to a process.\n\n"
        f"{table(rows)}\n\n![macro-F1 over latency](models.png)\n\n"
        f"The choice, by a rule: of what passed the gates and takes at most {BUDGET_MS:g} ms a face, the best "
        "macro-F1.\n\n"
        + "\n".join(choices(rows))
        + "\n\nWhere intervals overlap, the faster one may serve as well: a device that is short of time can train the "
        "smaller network (`train/configs/small.toml`), a third of the time and of the file.\n"
    )


def plot(rows: list[Row], path: Path) -> None:
    """Macro-F1 over LiteRT latency on one thread, with the Pareto front of each kind."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    usable = [row for row in rows if np.isfinite(fast(row))]
    figure, axes = plt.subplots(figsize=(8, 5), dpi=110)
    names = sorted({row["model"] for row in usable})
    for row in usable:
        colour = f"C{names.index(row['model'])}"
        faint = 1.0 if row["gates"] == "passed" else 0.35
        axes.scatter(fast(row), row["macro_f1"], marker=MARKERS[row["variant"]], color=colour, alpha=faint)
    for kind, style in (("frozen", ":"), ("trained", "-")):
        steps = [(fast(row), row["macro_f1"]) for row in front([r for r in usable if r["kind"] == kind])]
        if steps:
            axes.step(*zip(*steps, strict=True), where="post", color="grey", linestyle=style, label=f"front, {kind}")
    for index, name in enumerate(names):
        axes.scatter([], [], color=f"C{index}", label=name)
    for variant, marker in MARKERS.items():
        axes.scatter([], [], color="black", marker=marker, label=variant)
    axes.set_xlabel(f"LiteRT, one thread: least of {RUNS} runs, ms")
    axes.set_ylabel("macro-F1 on validation faces (faint: failed its gates)")
    axes.legend(fontsize=7)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path)
