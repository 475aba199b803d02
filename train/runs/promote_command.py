"""`python -m train promote [RUN]`: the candidate becomes the champion if it is better by more than noise."""

from __future__ import annotations

import argparse

MODEL_NAME = "maskwatch-classifier"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", nargs="?", help="run to register as candidate: id, start of it, or name (default: the candidate)"
    )
    parser.add_argument("--name", default=MODEL_NAME, help="registered model (default: %(default)s)")
    parser.add_argument("--metric", choices=("macro_f1", "accuracy"), default="macro_f1")
    parser.add_argument(
        "--margin",
        type=float,
        default=0.0,
        help="the 95 %% interval of the difference has to lie above this (default: 0)",
    )
    parser.add_argument("--dry-run", action="store_true", help="judge, and change nothing")


def run(args: argparse.Namespace) -> int:
    from edge_agent.errors import UsageError
    from train.runs import tracking

    if not -1 < args.margin < 1:
        raise UsageError(f"--margin is {args.margin}; give a difference of {args.metric}, such as 0.005")
    with tracking.translated(f"promoting in {args.name}"):
        return _promote(args)


def _promote(args: argparse.Namespace) -> int:
    from edge_agent.errors import UsageError
    from train.runs import records, tracking
    from train.runs.promotion import Rule, judge
    from train.runs.registry import CANDIDATE, CHAMPION, Registry

    client = tracking.client(tracking.uri())
    registry = Registry(client, args.name)
    run_id = tracking.find_run(client, args.run).info.run_id if args.run else registry.version(CANDIDATE).run_id
    champion = registry.find(CHAMPION)
    if champion and champion.run_id == run_id:
        raise UsageError(f"run {run_id} is the champion of {args.name} already (version {champion.number})")
    # All that can be wrong with either is found before anything changes.
    candidate = records.read(client, run_id)
    rival = records.read(client, champion.run_id) if champion else None
    if rival:
        records.refuse_other_split(candidate, rival)
    rule = Rule(args.metric, args.margin)
    judgement = judge(candidate.predictions, rival.predictions if rival else None, rule)
    if args.dry_run:
        print(f"{'would be promoted' if judgement.granted else 'would be refused'}: {judgement.reason}")
        return 0 if judgement.granted else 1
    version = registry.add(run_id)
    if not judgement.granted:
        held = champion.number if champion else "-"
        print(
            f"refused: version {version.number} stays {CANDIDATE}, version {held} stays {CHAMPION}\n{judgement.reason}"
        )
        return 1
    registry.crown(version, judgement.evidence(rule))
    print(f"promoted: version {version.number} of {args.name} is {CHAMPION}\n{judgement.reason}")
    print(f"export it: python -m export models:/{args.name}@{CHAMPION}")
    return 0
