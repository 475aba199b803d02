"""`python -m train evaluate`: measure a trained or exported classifier on one split, and write its tables."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="a run folder (its Keras model) or an exported .tflite file")
    parser.add_argument("--dataset", type=Path, default=Path("train/configs/shared.dataset.toml"))
    parser.add_argument("--split", choices=("train", "val", "test"), default="val")
    parser.add_argument("--min-side-px", type=int, default=24, help="smallest face counted, its shorter side")
    parser.add_argument(
        "--robustness", action="store_true", help="also under blur, darkness, low resolution, JPEG, cast"
    )
    parser.add_argument("--cache", type=Path, default=Path(".cache/train"))
    parser.add_argument(
        "--json", type=Path, help="write the figures here (a run folder gets report-<split>.json anyway)"
    )
    parser.add_argument(
        "--log",
        type=Path,
        default=Path("runs/evaluations.jsonl"),
        help="where the evaluation of a .tflite file is noted (a run folder's: beside it)",
    )
    parser.add_argument("--card", type=Path, help="put the tables into this model card, in place of those of the split")
    parser.add_argument("--no-tracking", action="store_true", help="leave MLflow out")


def run(args: argparse.Namespace) -> int:
    from edge_agent.errors import NotFoundError
    from train import card
    from train.evaluate import as_json, evaluate_file, evaluate_run
    from train.files import write_json

    if not args.model.exists():
        raise NotFoundError(f"no run folder or model file {args.model}")
    if args.card:
        card.check(args.card, args.split)
    if args.model.is_dir():
        report = evaluate_run(
            args.model, args.dataset, args.split, args.cache, args.robustness, args.min_side_px, not args.no_tracking
        )
    else:
        report = evaluate_file(
            args.model, args.dataset, args.split, args.cache, args.log, args.robustness, args.min_side_px
        )
    print(report.text)
    if args.json:
        write_json(args.json, as_json(report))
    if args.card:
        card.fill(args.card, args.split, report.text)
        print(f"wrote the tables of {args.split} into {args.card}")
    return 0
