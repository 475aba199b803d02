"""`python -m train rollback`: the champion before has the title again."""

from __future__ import annotations

import argparse

from train.runs.promote_command import MODEL_NAME


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", default=MODEL_NAME, help="registered model (default: %(default)s)")
    parser.add_argument("--to", help="version or alias (default: the champion that the present one replaced)")


def run(args: argparse.Namespace) -> int:
    from train.runs import tracking

    with tracking.translated(f"rolling back {args.name}"):
        return _rollback(args)


def _rollback(args: argparse.Namespace) -> int:
    from train.runs import tracking
    from train.runs.registry import Registry

    lost, has = Registry(tracking.client(tracking.uri()), args.name).roll_back(args.to)
    print(f"version {has.number} of {args.name} is champion again; version {lost.number} is not any more")
    return 0
