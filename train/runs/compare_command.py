"""`python -m train compare RUN RUN...`: one table with intervals, and the faces on which the runs differ."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", nargs="*", help="runs (id, start of it, or name), or models:/NAME@ALIAS; none: list them"
    )
    parser.add_argument(
        "--out", type=Path, help="folder for compare.md, differences.csv and differences.html with the crops"
    )
    parser.add_argument("--dataset", type=Path, help="dataset file that the crops of --out are cut from")


def run(args: argparse.Namespace) -> int:
    from train.runs import tracking

    with tracking.translated("comparing"):
        return _compare(args)


def _compare(args: argparse.Namespace) -> int:
    from edge_agent.errors import UsageError
    from train.runs import comparison, records, tracking

    client = tracking.client(tracking.uri())
    if not args.runs:
        return _list(client)
    if len(args.runs) < 2:
        raise UsageError("compare needs two runs or more; without one it lists them")
    if args.dataset and not args.out:
        raise UsageError("--dataset is for the crops; say with --out where they go")
    found = [records.read(client, _run_id(client, given)) for given in args.runs]
    for other in found[1:]:
        records.refuse_other_split(found[0], other)
    said = [record.predictions for record in found]
    titles = [record.title for record in found]
    rows, differ = comparison.table(said), comparison.disagreements(said)
    text = comparison.as_markdown(rows, titles)
    print(f"{text}\n\nValidation; value [95 % interval] (paired difference from the first run, * beyond noise).")
    print(f"{len(differ)} of {len(comparison.same_faces(said)[0].ids)} faces are called differently:")
    for item in differ[:SHOWN]:
        print(f"  {item.id}: is {item.truth}; " + ", ".join(f"{label} {p:.2f}" for label, p in item.called))
    if args.out:
        from train.runs.comparison_page import write

        print(f"written: {write(args.out, text, titles, differ, args.dataset)}")
    return 0


def _run_id(client: MlflowClient, given: str) -> str:
    from train.runs import tracking
    from train.runs.registry import Registry

    if not given.startswith("models:/"):
        return tracking.find_run(client, given).info.run_id
    name, _, version = given.removeprefix("models:/").replace("@", "/").partition("/")
    return Registry(client, name).version(version).run_id


def _list(client: MlflowClient) -> int:
    from datetime import UTC, datetime

    from train.runs import tracking

    for found in tracking.all_runs(client):
        at = datetime.fromtimestamp(found.info.start_time / 1000, UTC).isoformat(" ", "minutes")[:16]
        score = found.data.metrics.get("val_macro_f1")
        value = f"{score:.4f}" if score is not None else "-"
        print(f"{found.info.run_id}  {at}  {found.info.status.lower():9} {value:>7}  {found.info.run_name}")
    return 0
