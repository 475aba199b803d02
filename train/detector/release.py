"""`python -m train.detector.release`: averaged weights become model.keras and model.json, for `python -m export`.

The network is fully convolutional: the input size is chosen here, not by training. It defaults to what ships.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import sys
from pathlib import Path
from typing import Any

from edge_agent.detect_tflite import DECODE
from edge_agent.errors import ModelError, NotFoundError, UsageError, exit_status
from export.source import DETECTOR_RECORD, DETECTOR_START, DETECTOR_WEIGHTS, MODEL_NAME, RECORD_NAME
from train.detector.learnt import KEY, learnt_splits
from train.files import atomic_path, write_json
from train.keep_command import read_settings

SHIPPED_INPUT = "512x384"
_LARGEST_PX = 4096  # of a model file's input


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "--run", type=Path, default=Path("runs/detector"), help="folder of the run; with --weights made where missing"
    )
    parser.add_argument("--weights", type=Path, default=None, help="unset: the run's average")
    parser.add_argument("--mix", type=Path, default=None, help="weights of an earlier version, to mix in")
    parser.add_argument("--mix-share", type=float, default=0.4, help="of --mix in the sum")
    parser.add_argument("--input", default=SHIPPED_INPUT, help="width x height of the network's input, multiples of 32")
    parser.add_argument(
        "--score", type=float, default=None, help="boxes below it are dropped; unset: chosen on --split"
    )
    parser.add_argument("--int8", default=None, help="ranges that export takes for int8; unset: the first that passes")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with splits.csv")
    parser.add_argument(
        "--split",
        choices=("val", "train"),
        default=None,
        help="where the score is chosen; unset: val, or train where val was trained on",
    )
    parser.add_argument("--false-boxes", type=float, default=0.6, help="a photograph of --split, at the chosen score")
    parser.add_argument(
        "--box-scale", type=float, default=1.0, help="boxes so much larger than trained, about their centres (docs)"
    )
    parser.add_argument(
        "--nms-iou", type=float, default=0.45, help="of two boxes that overlap more, the weaker is dropped"
    )


def run(args: argparse.Namespace) -> int:
    """Write model.keras and model.json into the run's folder."""
    width, height = read_size(args.input)
    bounds = {"box_scale": (0.5, 2), "score": (0, 1), "nms_iou": (0, 1), "false_boxes": (0, 1000), "mix_share": (0, 1)}
    for name, (low, high) in bounds.items():
        value = getattr(args, name)
        if value is not None and not low < value < high:
            raise UsageError(f"--{name.replace('_', '-')} is {value}; give a number between {low} and {high}")
    from export.quantise import RECIPES

    if args.int8 is not None and args.int8 not in RECIPES:
        raise UsageError(f"--int8 is {args.int8!r}; give one of {', '.join(RECIPES)}")
    weights = args.weights or args.run / DETECTOR_WEIGHTS
    if not weights.is_file():
        raise NotFoundError(f"there is no file {weights}; train first, or give --weights")
    if (args.run / DETECTOR_WEIGHTS).is_file() and weights.parent.resolve() != args.run.resolve():
        raise UsageError(f"{args.run} holds a network of its own; give --weights a --run folder that is free")
    if args.mix is not None and not args.mix.is_file():
        raise NotFoundError(f"there is no file {args.mix}; give weights of an earlier version as --mix")
    trained = read_settings(weights.with_name(DETECTOR_RECORD))
    before = read_settings(weights.with_name(RECORD_NAME)) if args.weights else {}  # of kept weights, released again
    try:
        channels, alpha = int(trained.get("channels", 64)), float(trained.get("alpha", 0.35))
        scaled = float(before.get("box_scale", 1.0))
    except (TypeError, ValueError) as error:
        raise ModelError(f"what lies beside {weights} describes no network: {error}") from None

    from train.detector.network import STRIDES, build_detector, extent_in, mix, scale_boxes
    from train.models import load_weights

    network = build_detector(channels, alpha, height, width, extent_in(weights, alpha))
    load_weights(network, weights, "--weights")
    if args.mix is not None:
        extent = extent_in(args.mix, alpha)
        if extent != extent_in(weights, alpha):
            raise ModelError(f"--mix {args.mix} is of another size than {weights}; give the run's {DETECTOR_START}")
        other = build_detector(channels, alpha, extent=extent)
        load_weights(other, args.mix, "--mix")
        mix(network, other, args.mix_share)
    scale_boxes(network, args.box_scale)
    learnt = learnt_splits([args.weights or args.run / DETECTOR_WEIGHTS, args.mix])
    split = args.split or ("train" if "val" in learnt else "val")
    score, figures = (args.score, {}) if args.score else choose_score(network, width, height, args, split)
    if figures and split in learnt:
        figures["metrics_data"] += ", which it was trained on"
    with atomic_path(args.run / MODEL_NAME) as partial:
        network.save(partial)
    record = {
        "kind": "detector",
        "labels": ["face"],
        "architecture": "mobilenetv2-fpn",
        "alpha": alpha,
        "channels": channels,
        "parameters": network.count_params(),
        "epochs": int(trained.get("epochs", 0)),
        "trained_at": trained.get("trained_at"),
        "mlflow_run_id": trained.get("mlflow_run_id") or "",
        "normalisation": "x / 127.5 - 1",
        "input_width_px": width,
        "input_height_px": height,
        "decode": DECODE,
        "strides": list(STRIDES),
        "score_threshold": score,
        "box_scale": args.box_scale * scaled,
        "mix_share": args.mix_share if args.mix is not None else before.get("mix_share"),
        "mix_sha256": hashlib.sha256(args.mix.read_bytes()).hexdigest() if args.mix else before.get("mix_sha256"),
        "int8_recipe": args.int8,
        KEY: sorted(learnt),
        "nms_iou": args.nms_iou,
        **figures,
    }
    if trained:
        write_json(args.run / DETECTOR_RECORD, trained)  # for `keep`, wherever it was read
    write_json(args.run / RECORD_NAME, {k: v for k, v in record.items() if v is not None})
    print(f"{args.run / 'model.keras'}: {width}x{height}, {network.count_params()} parameters, score {score}")
    return 0


def choose_score(
    network: Any, width: int, height: int, args: argparse.Namespace, split: str
) -> tuple[float, dict[str, Any]]:
    """The lowest score with no more than the wanted number of false boxes on a split, and what it finds there.

    metrics: name to figure; metrics_n: the faces or photographs of each; metrics_data: on what they were measured.
    """
    from train.detector.evaluate import look_at, measure, score_for_false_boxes
    from train.detector.evaluate_command import LOWEST_SCORE, MAIN_SOURCES, table
    from train.detector.keras_detector import KerasDetector
    from train.detector.photos import read_photos

    detector = KerasDetector(network, width, height, LOWEST_SCORE, args.nms_iou)
    looks = look_at(detector, read_photos(args.data, split, MAIN_SOURCES))
    lowest = score_for_false_boxes(looks, int(args.false_boxes * len(looks)))
    score = math.ceil(lowest * 1000) / 1000  # rounded down, it would let another box in
    if not score:
        raise UsageError(f"--false-boxes is {args.false_boxes:g}, and no score makes as many on {split}; give less")
    found = measure(looks, score)
    print(table([(f"{split}, float, at {score}", found)]), flush=True)
    metrics = {f"{split}_recall_{name}": round(share.value, 4) for name, share in found.by_class.items()}
    counts = {f"{split}_recall_{name}": share.n for name, share in found.by_class.items()}
    rate, ap50 = f"{split}_false_boxes_a_photograph", f"{split}_ap50"
    metrics |= {rate: round(found.false_boxes / found.photos, 4), ap50: found.ap50}
    counts |= {rate: found.photos, ap50: sum(counts.values())}
    data = f"the float network on {split} of {' and '.join(MAIN_SOURCES)}"
    return score, {"metrics": metrics, "metrics_n": counts, "metrics_data": data}


def read_size(text: str) -> tuple[int, int]:
    """Width and height of e.g. 640x480. Raises UsageError where the pyramid's strides do not fit."""
    try:
        width, height = (int(side) for side in text.split("x"))
    except ValueError:
        raise UsageError(f"--input is {text!r}; give width x height, such as 640x480") from None
    if not (64 <= width <= _LARGEST_PX and 64 <= height <= _LARGEST_PX) or width % 32 or height % 32:
        raise UsageError(f"--input is {text}; both sides have to be multiples of 32, from 64 to {_LARGEST_PX}")
    return width, height


def main() -> int:
    """The command by itself."""
    parser = argparse.ArgumentParser(prog="python -m train.detector.release", description=__doc__)
    add_arguments(parser)
    args = parser.parse_args()
    return exit_status("release", lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
