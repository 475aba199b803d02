"""`python -m train evaluate-detector`: recall by class and size, false boxes and AP50, side by side, as one table."""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_agent.detect import SHIPPED, YUNET_SCORE, HaarDetector, YuNetDetector
from edge_agent.errors import NotFoundError, UsageError
from edge_agent.preprocess import PAD_VALUE
from edge_agent.records import U8, Detector, Face
from train import ledger
from train.detector.evaluate import (
    AGENT_MIN_FACE_PX,
    CLASSES,
    MIN_FACE_PX,
    SIZES_PX,
    Look,
    Result,
    Share,
    false_boxes,
    look_at,
    measure,
    score_for_false_boxes,
)
from train.detector.photos import FACELESS, read_faceless, read_photos, whole_ones
from train.detector.release import SHIPPED_INPUT, read_size
from train.files import write_json

MAIN_SOURCES = ("andrewmvd", "ilc2021")
LOWEST_SCORE = 0.05  # of the boxes that precision over recall is made of


@dataclass(frozen=True, slots=True)
class Contender:
    """A detector that gives boxes from LOWEST_SCORE on, and the score at which it is used. path: of our own alone."""

    name: str
    detector: Detector
    score: float
    path: Path | None = None


class Squared:
    """A detector that is shown every picture padded to a square on the right and at the bottom; boxes stay the same.

    OpenCV plans YuNet anew for every size of picture, for a quarter of a second; a square has one size.
    """

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.name = detector.name

    def detect(self, bgr: U8) -> list[Face]:
        """Faces in a uint8 BGR picture, best first, in its pixels."""
        rows, columns = bgr.shape[:2]
        out = np.full((max(rows, columns), max(rows, columns), 3), PAD_VALUE, np.uint8)
        out[:rows, :columns] = bgr
        return self.detector.detect(out)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "--model", type=Path, nargs="+", default=[SHIPPED], help=".tflite or .weights.h5; unset: the shipped one"
    )
    parser.add_argument("--yunet", type=Path, default=None, help="YuNet .onnx to compare with, at 640 and 320 px")
    parser.add_argument("--haar", action="store_true", help="compare with OpenCV's cascade")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with splits.csv")
    parser.add_argument("--split", choices=("val", "test"), default="test", help="which half to measure on")
    parser.add_argument("--sources", nargs="*", default=list(MAIN_SOURCES), help="sets of photographs")
    parser.add_argument("--input", default=SHIPPED_INPUT, help="for .weights.h5: width x height of the network's input")
    parser.add_argument("--score", type=float, default=None, help="instead of the model's own; 0.5 for .weights.h5")
    parser.add_argument("--nms-iou", type=float, default=None, help="instead of the model's own; 0.45 for .weights.h5")
    parser.add_argument(
        "--false-boxes",
        type=int,
        default=None,
        help="compare ours at this many false boxes; unset: at as many as YuNet at 640 px makes, where it is compared",
    )
    parser.add_argument("--negatives", action="store_true", help="also count boxes on the pictures without a face")
    parser.add_argument("--faceless", type=Path, default=None, help="also count boxes on a folder of such pictures")
    parser.add_argument("--log", type=Path, default=Path("runs/evaluations.jsonl"), help="where the run is noted")
    parser.add_argument("--json", type=Path, default=None, help="also write the figures here")


def run(args: argparse.Namespace) -> int:
    """Print the tables: one row a detector, each at its own score, and all at equal false boxes."""
    for name in ("score", "nms_iou"):
        value = getattr(args, name)
        if value is not None and not 0 < value < 1:
            raise UsageError(f"--{name.replace('_', '-')} is {value}; give a number between 0 and 1")
    if args.false_boxes is not None and args.false_boxes < 0:
        raise UsageError(f"--false-boxes is {args.false_boxes}; give a count of 0 or more")
    ledger.check(args.log)
    photos = read_photos(args.data, args.split, tuple(args.sources))
    without = {"negatives": read_photos(args.data, args.split, (FACELESS,))} if args.negatives else {}
    without |= {"faceless": whole_ones(read_faceless(args.faceless))} if args.faceless else {}
    found = contenders(args)
    looks = [look_at(contender.detector, photos) for contender in found]
    rows = [(f"{c.name} at {c.score:.2f}", measure(mine, c.score)) for c, mine in zip(found, looks, strict=True)]
    print(f"{args.split} of {', '.join(args.sources)}: {len(photos)} photographs")
    print(table(rows))
    equal = _at_equal_false_boxes(args, found, looks, rows)
    print("\nby class and size, each at its own score")
    print(table_by_class_and_size(rows + equal))
    report = {name: as_json(result) for name, result in rows + equal}
    for kind, pictures in without.items():
        for contender, (name, _) in zip(found, rows, strict=True):
            false = sum(false_boxes(look.above(contender.score)) for look in look_at(contender.detector, pictures))
            print(f"{name}: {false} false boxes on {len(pictures)} pictures without a face ({kind})")
            report[name][f"false_boxes_on_{kind}"] = false
    for contender, (name, result) in zip(found, rows, strict=True):
        if contender.path is not None:
            ledger.enter(args.log, contender.path, args.split, {"sources": args.sources, name: as_json(result)})
    if args.json is not None:
        write_json(args.json, report)
    return 0


def _at_equal_false_boxes(
    args: argparse.Namespace, found: list[Contender], looks: list[list[Look]], rows: list[tuple[str, Result]]
) -> list[tuple[str, Result]]:
    """Our own at as many false boxes as asked for, else as the first detector of others makes at its own score."""
    allowed, whose = args.false_boxes, "asked for"
    for contender, (name, result) in zip(found, rows, strict=True):
        if allowed is None and contender.path is None:
            allowed, whose = result.false_boxes, f"of {name}"
    if allowed is None:
        return []
    equal = []
    for contender, mine in zip(found, looks, strict=True):
        if contender.path is not None:
            score = score_for_false_boxes(mine, allowed)
            equal.append((f"{contender.name} at {score:.3f}", measure(mine, score)))
    print(f"\nat no more than the {allowed} false boxes {whose} ({allowed / max(1, len(looks[0])):.2f} a picture)")
    print(table(equal))
    return equal


def contenders(args: argparse.Namespace) -> list[Contender]:
    """The detectors that the options name."""
    found = [_ours(path, args) for path in args.model]
    if len({contender.name for contender in found}) < len(found):
        found = [dataclasses.replace(c, name=str(path)) for c, path in zip(found, args.model, strict=True)]
    if args.yunet is not None:
        for side in (640, 320):
            net = YuNetDetector.open(args.yunet, LOWEST_SCORE, longer_side_px=side)
            found.append(Contender(f"YuNet_n {side}", Squared(net), YUNET_SCORE))
    if args.haar:
        found.append(Contender("Haar", HaarDetector.open(), 0.0))
    return found


def _ours(path: Path, args: argparse.Namespace) -> Contender:
    if not path.is_file():
        raise NotFoundError(f"{path} is not there; give a .tflite or .weights.h5 file as --model")
    if path.suffix == ".tflite":
        from edge_agent.detect_tflite import TFLiteDetector

        detector = TFLiteDetector.open(path, None, args.nms_iou)
        score = args.score if args.score is not None else detector.score
        detector.score = LOWEST_SCORE
        return Contender(path.stem, detector, score, path)
    from train.detector.keras_detector import KerasDetector

    width, height = read_size(args.input)
    network = KerasDetector.open(path, width, height, LOWEST_SCORE, args.nms_iou or 0.45)
    score = 0.5 if args.score is None else args.score
    return Contender(f"{path.name.split('.')[0]} {args.input}", network, score, path)


def table(rows: list[tuple[str, Result]]) -> str:
    """Markdown."""
    classes = [f"{name} >= {MIN_FACE_PX} px" for name in CLASSES]
    head = ["detector at score", *classes, *(_size(s) for s in SIZES_PX)]
    head += ["false boxes", f"of {AGENT_MIN_FACE_PX} px and more", "AP50"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, result in rows:
        shares: list[Share] = [result.by_class[c] for c in CLASSES] + [result.by_size[s] for s in SIZES_PX]
        cells = [name, *map(str, shares), str(result.false_boxes), str(result.false_boxes_kept), f"{result.ap50:.3f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def table_by_class_and_size(rows: list[tuple[str, Result]]) -> str:
    """Markdown: a row for each detector and class, a column for each size."""
    lines = ["| detector at score | class | " + " | ".join(_size(s) for s in SIZES_PX) + " |", "|---" * 7 + "|"]
    for name, result in rows:
        for label in CLASSES:
            cells = [str(result.by_class_and_size[label, size]) for size in SIZES_PX]
            lines.append(f"| {name} | {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _size(limits: tuple[int, int]) -> str:
    low, high = limits
    return f"{low}-{high} px" if high < 10_000 else f"{low} px and more"


def as_json(result: Result) -> dict[str, Any]:
    """Counts by name."""
    by_class = {name: {"found": s.found, "n": s.n} for name, s in result.by_class.items()}
    by_size = {f"{low}-{high}": {"found": s.found, "n": s.n} for (low, high), s in result.by_size.items()}
    both = {
        f"{name} {low}-{high}": {"found": s.found, "n": s.n}
        for (name, (low, high)), s in result.by_class_and_size.items()
    }
    return {
        "by_class": by_class,
        "by_size_px": by_size,
        "by_class_and_size_px": both,
        "false_boxes": result.false_boxes,
        "false_boxes_kept": result.false_boxes_kept,
        "photos": result.photos,
        "ap50": round(result.ap50, 4),
    }
