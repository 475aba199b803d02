"""`edge-agent predict`: image files in, faces out."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from edge_agent.config import load
from edge_agent.errors import ImageError, MaskwatchError
from edge_agent.predictor import FaceMaskPredictor, Prediction


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="JPEG, PNG, WebP, BMP or TIFF files")
    parser.add_argument("--json", action="store_true", help="one JSON line an image, in order")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration, for models and thresholds")


def run(args: argparse.Namespace) -> int:
    """Look at each image, in order. 65 at the end where one was bad; the others are done all the same."""
    predictor = FaceMaskPredictor(load(args.config))
    status = 0
    for image, outcome in zip(args.images, predictor.predict_batch(args.images), strict=True):
        if isinstance(outcome, MaskwatchError):
            status = ImageError.exit_status
            line = {"image": image, "error": str(outcome)}
            print(json.dumps(line, ensure_ascii=False) if args.json else str(outcome), flush=True)
        elif args.json:
            print(json.dumps(outcome.to_json(), ensure_ascii=False), flush=True)
        else:
            print(_in_words(outcome), flush=True)
    return status


def _in_words(prediction: Prediction) -> str:
    if not prediction.faces:
        return f"{prediction.image}: no face"
    lines = [f"{prediction.image}: {len(prediction.faces)} face{'s' if len(prediction.faces) > 1 else ''}"]
    for face in prediction.faces:
        x, y, w, h = face.box
        sure = "" if face.certain else " (cannot tell)"
        lines.append(f"  {face.label} {face.probabilities[face.label]:.2f}{sure} at x {x}, y {y}, {w}x{h} px")
    return "\n".join(lines)
