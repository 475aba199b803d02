"""`python -m train reproduce RUN`: what differs from the record, then the same training again."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="run to train again: id, its first 8 characters, or name")
    parser.add_argument("--check-only", action="store_true", help="name the differences, train nothing")
    parser.add_argument("--anyway", action="store_true", help="train even where data, split or backend differ")
    parser.add_argument("--tolerance", type=float, help="how far a metric may lie from the record (default: 0.005)")
    parser.add_argument(
        "--dataset", type=Path, help="dataset file here, where the record's path is not on this machine"
    )
    parser.add_argument("--weights", help="backbone weights here")
    parser.add_argument("--landmarks-model", help="landmarks model here")
    parser.add_argument("--runs", type=Path, help="folder for the new run (default: runs/again)")
    parser.add_argument(
        "--cache", type=Path, help="folder of cached crops and features; a fresh one leaves nothing to trust"
    )
    parser.add_argument("--threads", type=int, help="TensorFlow threads (default: as recorded)")


def run(args: argparse.Namespace) -> int:
    from train.runs import tracking

    with tracking.translated(f"reproducing {args.run}"):
        return _reproduce(args)


def _reproduce(args: argparse.Namespace) -> int:
    from edge_agent.errors import ConfigError
    from train.data import load
    from train.runs import records, reproduce, tracking

    client = tracking.client(tracking.uri())
    record = records.read(client, tracking.find_run(client, args.run).info.run_id)
    config = _config(reproduce.recorded_config(client, record.run_id), args)
    missing = reproduce.file_checks(config)
    if missing:
        raise ConfigError(f"not on this machine: {'; '.join(missing)}. Give --dataset, --weights or --landmarks-model")
    data = load(config.dataset)
    here = reproduce.environment() | {"data_sha256": data.data_sha256, "split_sha256": data.split_sha256}
    checks = reproduce.compare(
        record.tags | {"data_sha256": record.data_sha256, "split_sha256": record.split_sha256}, here
    )
    print(f"run {record.title}", *checks, sep="\n  ", flush=True)
    fatal = [check.what for check in checks if check.fatal and not check.agrees]
    if args.check_only:
        return 1 if fatal else 0
    if fatal and not args.anyway:
        raise ConfigError(
            f"{', '.join(fatal)} differ: its figures cannot be expected again; --anyway trains nevertheless"
        )
    return _again(config, record, args.tolerance if args.tolerance is not None else reproduce.TOLERANCE)


def _config(content: dict[str, Any], args: argparse.Namespace) -> Any:
    from pydantic import ValidationError

    from edge_agent.errors import ConfigError
    from train.config import TrainConfig

    try:
        config = TrainConfig.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"the recorded configuration does not fit this code: {where}: {first['msg']}") from error
    changes = {
        "dataset": args.dataset,
        "landmarks_model": args.landmarks_model,
        "model": config.model.model_copy(update={"weights": args.weights}) if args.weights else None,
        "cache": args.cache,
        "threads": args.threads,
        "runs": args.runs or Path("runs/again"),
    }
    return config.model_copy(update={key: value for key, value in changes.items() if value is not None})


def _again(config: Any, record: Any, tolerance: float) -> int:
    """Train untracked in a folder of its own: the record stays what it is."""
    from edge_agent.errors import UsageError
    from train.pipeline import train
    from train.runs import reproduce

    runs = config.runs / record.run_id
    if any(runs.glob("*/model.json")):
        raise UsageError(f"{runs} holds a finished training already; remove it, or give another --runs")
    os.makedirs(runs, exist_ok=True)
    result = train(config.model_copy(update={"runs": runs}), track=False)
    found = reproduce.agreements(record.book["metrics"], result.metrics, tolerance)
    print(*found, sep="\n")
    beyond = [item.metric for item in found if not item.within]
    print(f"{'not reproduced: ' + ', '.join(beyond) if beyond else 'reproduced'} (tolerance {tolerance})")
    return 1 if beyond else 0
