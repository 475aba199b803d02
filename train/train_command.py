"""`python -m train --config FILE`: train a classifier."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, default=Path("train/configs/shared.toml"), help="training configuration (TOML)"
    )
    parser.add_argument("--dataset", type=Path, help="dataset file, in place of the configuration's")
    parser.add_argument("--runs", type=Path, help="folder of run folders (default: runs)")
    parser.add_argument("--cache", type=Path, help="folder of cached crops and features")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--threads", type=int, help="TensorFlow threads (default: all cores)")
    parser.add_argument("--no-tracking", action="store_true", help="leave MLflow out")
    parser.add_argument("--test", action="store_true", help="print the report on the test split at the end")


def run(args: argparse.Namespace) -> int:
    from train.config import read_config

    config = read_config(args.config, runs=args.runs, cache=args.cache, seed=args.seed, threads=args.threads)
    if args.dataset:
        config = config.model_copy(update={"dataset": args.dataset})
    from train.pipeline import train

    result = train(config, track=not args.no_tracking)
    for key, value in result.metrics.items():
        print(f"{key:40} {value:.4f}")
    print(f"run folder: {result.folder}" + (f"\nMLflow run: {result.run_id}" if result.run_id else ""))
    if args.test:
        from train.evaluate import evaluate_run

        print(evaluate_run(result.folder, config.dataset, "test", config.cache).text)
    return 0
