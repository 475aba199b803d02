"""`python -m train evaluate-detector`: recall by class and size, false boxes and AP50, side by side, as one table."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_agent.errors import NotFoundError
from edge_agent.preprocess import PAD_VALUE
from edge_agent.records import U8, Detector, Face
from train.detector.evaluate import (
    CLASSES,
    MIN_FACE_PX,
    SIZES_PX,
    Result,
    Share,
    look_at,
    measure,
    score_for_false_boxes,
)
from train.detector.photos import read_photos

MAIN_SOURCES = ("andrewmvd", "ilc2021")
LOWEST_SCORE = 0.05  # of the boxes that precision over recall is made of


@dataclass(frozen=True, slots=True)
class Contender:
    """A detector opened at LOWEST_SCORE, and the score at which it is used."""

    name: str
    detector: Detector
    score: float


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
        "--model", type=Path, nargs="*", default=None, help=".tflite or .weights.h5; unset: the shipped one"
    )
    parser.add_argument("--yunet", type=Path, default=None, help="YuNet .onnx to compare with, at 640 and 320 px")
    parser.add_argument("--haar", action="store_true", help="compare with OpenCV's cascade")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with splits.csv")
    parser.add_argument("--split", choices=("val", "test"), default="test", help="which half to measure on")
    parser.add_argument("--sources", nargs="*", default=list(MAIN_SOURCES), help="sets of photographs")
    parser.add_argument("--input", default="640x480", help="for .weights.h5: width x height of the network's input")
    parser.add_argument("--score", type=float, default=None, help="instead of the model's own")
    parser.add_argument("--nms-iou", type=float, default=None, help="instead of the model's own")
    parser.add_argument(
        "--false-boxes", type=int, default=None, help="on val: print each model's score at this many false boxes"
    )
    parser.add_argument("--json", type=Path, default=None, help="also write the figures here")


def run(args: argparse.Namespace) -> int:
    """Print the table; one row a detector."""
    photos = read_photos(args.data, args.split, tuple(args.sources))
    rows = []
    for contender in contenders(args):
        looks = look_at(contender.detector, photos)
        result = measure(looks, contender.score)
        if args.false_boxes is not None:
            score = score_for_false_boxes(looks, args.false_boxes)
            print(f"{contender.name}: {args.false_boxes} false boxes on {args.split} at score {score:.3f}", flush=True)
            rows.append((f"{contender.name} at {score:.2f}", measure(looks, score)))
        rows.append((f"{contender.name} at {contender.score:.2f}", result))
    print(f"{args.split} of {', '.join(args.sources)}: {len(photos)} photographs")
    print(table(rows))
    if args.json is not None:
        args.json.write_text(json.dumps({name: as_json(result) for name, result in rows}, indent=1))
    return 0


def contenders(args: argparse.Namespace) -> list[Contender]:
    """The detectors that the options name."""
    from edge_agent.detect import SHIPPED, YUNET_SCORE, HaarDetector, YuNetDetector

    found = [_ours(path, args) for path in (args.model if args.model is not None else [SHIPPED])]
    if args.yunet is not None:
        for side in (640, 320):
            # YuNet's own score, so that its NMS meets the boxes it would meet in use
            net = YuNetDetector.open(args.yunet, YUNET_SCORE, 0.3, longer_side_px=side)
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
        return Contender(path.stem, detector, score)
    from train.detector.keras_detector import KerasDetector

    width, height = (int(side) for side in args.input.split("x"))
    network = KerasDetector.open(path, width, height, LOWEST_SCORE, args.nms_iou or 0.45)
    return Contender(f"{path.name.split('.')[0]} {args.input}", network, 0.5 if args.score is None else args.score)


def table(rows: list[tuple[str, Result]]) -> str:
    """Markdown."""
    sizes = [f"{low}-{high} px" if high < 10_000 else f"{low} px and more" for low, high in SIZES_PX]
    head = ["detector at score", *(f"{name} >= {MIN_FACE_PX} px" for name in CLASSES), *sizes, "false boxes", "AP50"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, result in rows:
        shares: list[Share] = [result.by_class[c] for c in CLASSES] + [result.by_size[s] for s in SIZES_PX]
        cells = [name, *map(str, shares), str(result.false_boxes), f"{result.ap50:.3f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def as_json(result: Result) -> dict[str, object]:
    """Counts and shares by name."""
    by_class = {name: {"found": s.found, "n": s.n} for name, s in result.by_class.items()}
    by_size = {f"{low}-{high}": {"found": s.found, "n": s.n} for (low, high), s in result.by_size.items()}
    return {
        "by_class": by_class,
        "by_size_px": by_size,
        "false_boxes": result.false_boxes,
        "photos": result.photos,
        "ap50": round(result.ap50, 4),
    }
