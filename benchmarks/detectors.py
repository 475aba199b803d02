"""Detectors side by side in one run: what each finds, what it takes for a face, and how long it takes.

    python -m benchmarks.detectors --yunet ../shared/models/yunet_n.onnx --haar --markdown docs/detector-table.md

Ours (int8 as shipped, float16 where given), YuNet_n at a longer side of 640 and 320 px, OpenCV's Haar cascade. Scores
are each detector's own (ours: chosen on train, val being learnt). Time is the median of whole calls of `detect` on
one 640x480 photograph."""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from edge_agent.detect import SHIPPED, YUNET_SCORE, HaarDetector, YuNetDetector
from edge_agent.detect_tflite import TFLiteDetector
from edge_agent.errors import UsageError, exit_status
from edge_agent.records import U8, Detector
from train.detector.evaluate import (
    CLASSES,
    SIZES_PX,
    Look,
    Result,
    false_boxes,
    look_at,
    measure,
    score_for_false_boxes,
)
from train.detector.evaluate_command import LOWEST_SCORE, Squared, as_json, table, table_by_class_and_size
from train.detector.photos import FACELESS, Photo, read_photos
from train.files import atomic_path, require_writable, write_atomically, write_json

SETS = (("andrewmvd", "ilc2021"), ("macwin",), ("aizoo",))
THREADS = (1, 2)
YARDSTICK = "YuNet_n 640"  # its false boxes are those that the others may make too


@dataclass(frozen=True, slots=True)
class Entry:
    """detector: gives boxes from LOWEST_SCORE on. score: at which it is used. used: it so, with that many threads."""

    name: str
    detector: Detector
    score: float
    used: Callable[[int], Detector]


def main() -> int:
    """Measure, print, and write what was asked for."""
    args = _parser().parse_args()
    return exit_status("detectors", lambda: _run(args), "stopped")


def _run(args: argparse.Namespace) -> int:
    if args.repeats < 1:
        raise UsageError(f"--repeats is {args.repeats}; give a count of 1 or more")
    if args.plot and args.plot.suffix not in (".png", ".svg"):
        raise UsageError(f"--plot is {args.plot}; give a .png or .svg file")
    for path in filter(None, (args.markdown, args.json, args.plot)):
        require_writable(path)
    cv2.setNumThreads(1)
    entries = _entries(args)
    photos = {sources: read_photos(args.data, "test", sources) for sources in SETS[: 3 if args.all_sets else 1]}
    negatives = read_photos(args.data, "test", (FACELESS,))
    report: dict[str, object] = {"machine": f"{platform.machine()}, {_processor()}", "opencv": cv2.__version__}
    lines = [_times(entries, _picture(photos[SETS[0]]), args.repeats, report)]
    for sources, some in photos.items():
        looks = {entry.name: look_at(_steady(entry.detector), some) for entry in entries}
        rows = [(f"{e.name} at {e.score:.2f}", measure(looks[e.name], e.score)) for e in entries]
        lines.append(f"\ntest of {', '.join(sources)}, {len(some)} photographs\n\n{table(rows)}")
        equal = _at_equal_false_boxes(entries, looks, rows)
        if equal:
            lines.append(f"\nat no more false boxes than {YARDSTICK} makes\n\n{table(equal)}")
        lines.append(f"\nby class and size\n\n{table_by_class_and_size(rows + equal)}")
        report["+".join(sources)] = {name: as_json(result) for name, result in rows + equal}
        if sources == SETS[0] and args.plot:
            _plot(args.plot, entries, looks, rows)
    lines.append(_negatives(entries, negatives, report))
    print("\n".join(lines))
    if args.markdown:
        with write_atomically(args.markdown) as out:
            out.write(("\n".join(lines) + "\n").encode())
    if args.json:
        write_json(args.json, report)
    return 0


def _at_equal_false_boxes(
    entries: list[Entry], looks: dict[str, list[Look]], rows: list[tuple[str, Result]]
) -> list[tuple[str, Result]]:
    """Each but Haar, which has no scores to choose from, at as many as the yardstick makes at its own score."""
    allowed = {entry.name: result.false_boxes for entry, (_, result) in zip(entries, rows, strict=True)}.get(YARDSTICK)
    if allowed is None:
        return []
    scores = {e.name: score_for_false_boxes(looks[e.name], allowed) for e in entries if e.score}
    return [(f"{name} at {score:.3f}", measure(looks[name], score)) for name, score in scores.items()]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, nargs="+", default=[SHIPPED], help="our .tflite files")
    parser.add_argument("--yunet", type=Path, help="YuNet_n's .onnx")
    parser.add_argument("--haar", action="store_true", help="OpenCV's cascade, slow")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with splits.csv")
    parser.add_argument("--all-sets", action="store_true", help="macwin and aizoo as well")
    parser.add_argument("--repeats", type=int, default=40, help="calls timed")
    parser.add_argument("--markdown", type=Path, help="write the tables here")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--plot", type=Path, help="write recall over false boxes here (.png or .svg)")
    return parser


def _entries(args: argparse.Namespace) -> list[Entry]:
    entries = []
    for path in args.model:
        detector = TFLiteDetector.open(path)
        score, detector.score = detector.score, LOWEST_SCORE
        size = "x".join(map(str, detector.input_size_px))
        used = partial(TFLiteDetector.open, path, None, None, 1)
        whose = "ours" if len(args.model) == 1 else str(path)  # figures are kept by name
        entries.append(Entry(f"{whose} {detector.manifest.quantisation} {size}", detector, score, used))
    for side in (640, 320) if args.yunet else ():
        low, own = (YuNetDetector.open(args.yunet, s, longer_side_px=side) for s in (LOWEST_SCORE, YUNET_SCORE))
        entries.append(Entry(f"YuNet_n {side}", low, YUNET_SCORE, lambda _, own=own: own))  # type: ignore[misc]
    if args.haar:
        haar = HaarDetector.open()
        entries.append(Entry("Haar", haar, 0.0, lambda _: haar))
    return entries


def _picture(photos: list[Photo]) -> U8:
    """One real photograph at 640x480: the same work for every detector, and for YuNet no new plan."""
    return np.asarray(cv2.resize(photos[0].pixels(), (640, 480)), np.uint8)


def _times(entries: list[Entry], picture: U8, repeats: int, report: dict[str, object]) -> str:
    """Median time of a whole call, in turns, so that what else the machine does falls on all alike."""
    samples: dict[tuple[str, int], list[float]] = {(e.name, n): [] for e in entries for n in THREADS}
    for threads in THREADS:
        cv2.setNumThreads(threads)
        opened = [(entry.name, entry.used(threads)) for entry in entries]
        for turn in range(repeats + 3):
            for name, detector in opened:
                started = time.perf_counter()
                detector.detect(picture)
                if turn >= 3:
                    samples[name, threads].append((time.perf_counter() - started) * 1e3)
    cv2.setNumThreads(1)
    medians = {key: float(np.median(values)) for key, values in samples.items()}
    least = {key: float(np.min(values)) for key, values in samples.items()}
    report["time_ms"] = {f"{name}, {n} threads": round(value, 2) for (name, n), value in medians.items()}
    report["least_time_ms"] = {f"{name}, {n} threads": round(value, 2) for (name, n), value in least.items()}
    lines = ["| detector | one thread: median (least), ms | two threads: median (least), ms |", "|---|---|---|"]
    for entry in entries:
        cells = [f"{medians[entry.name, n]:.1f} ({least[entry.name, n]:.1f})" for n in THREADS]
        lines.append(f"| {entry.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _steady(detector: Detector) -> Detector:
    return Squared(detector) if isinstance(detector, YuNetDetector) else detector


def _negatives(entries: list[Entry], photos: list[Photo], report: dict[str, object]) -> str:
    found = {}
    for entry in entries:
        looks = [look.above(entry.score) for look in look_at(_steady(entry.detector), photos)]
        found[entry.name] = sum(false_boxes(look) for look in looks)
    report["negatives"] = {"photos": len(photos), "false_boxes": found}
    words = "; ".join(f"{name}: {count}" for name, count in found.items())
    return f"\nfalse boxes on {len(photos)} photographs without a face (test of negatives): {words}"


def _plot(path: Path, entries: list[Entry], looks: dict[str, list[Look]], rows: list[tuple[str, Result]]) -> None:
    """Recall by class over false boxes a photograph, and recall by size at each detector's own score."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(CLASSES) + 1, figsize=(16, 4), sharey=True)
    for entry in entries:
        allowed = np.linspace(0, 0.6 * len(looks[entry.name]), 30).astype(int)
        scores = sorted({score_for_false_boxes(looks[entry.name], int(most)) for most in allowed})
        curve = [measure(looks[entry.name], score) for score in scores]
        for axis, label in zip(axes, CLASSES, strict=False):
            x = [result.false_boxes / result.photos for result in curve]
            axis.plot(x, [result.by_class[label].value for result in curve], marker=".", label=entry.name)
            axis.set(title=f"{label}, 24 px and more", xlabel="false boxes a photograph", xlim=(0, 0.6), ylim=(0.5, 1))
            axis.grid(alpha=0.3)
    names = [f"{low}-{high}" if high < 10_000 else f"{low}+" for low, high in SIZES_PX]
    for name, result in rows:
        axes[-1].plot(names, [result.by_size[size].value for size in SIZES_PX], marker="o", label=name)
    axes[-1].set(title="all classes, each at its own score", xlabel="shorter side, px")
    axes[-1].grid(alpha=0.3)
    axes[0].set_ylabel("faces found")
    axes[-1].legend(fontsize=7)
    figure.tight_layout()
    with atomic_path(path) as partial:
        figure.savefig(partial, dpi=90)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
