"""`python -m train search --space FILE`: many trainings of one study, on one machine or several, resumable."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

    from train.config import TrainConfig
    from train.runs.space import Space


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--space", type=Path, required=True, help="what is searched (TOML); train/runs/spaces/ has examples"
    )
    parser.add_argument(
        "--storage", help="shared database: postgresql://USER:PASSWORD@HOST/DB (default: SQLite in the runs folder)"
    )
    parser.add_argument("--trials", type=int, help="trials of the whole study, in place of the file's")
    parser.add_argument("--runs", type=Path, help="folder of run folders (default: the configuration's)")
    parser.add_argument("--cache", type=Path, help="folder of cached crops and features")
    parser.add_argument("--threads", type=int, help="TensorFlow threads (default: all cores)")


def run(args: argparse.Namespace) -> int:
    from edge_agent.errors import UsageError
    from train.config import read_config
    from train.runs import objective, space, tracking

    wanted = space.read(args.space)
    if args.trials is not None:
        if args.trials < 1:
            raise UsageError(f"--trials is {args.trials}; give 1 or more")
        wanted = wanted.model_copy(update={"trials": args.trials})
    config = read_config(
        objective.default_base(wanted, args.space), runs=args.runs, cache=args.cache, threads=args.threads
    )
    objective.check(config, wanted)
    with tracking.translated(f"searching {args.space}"):
        return _search(wanted, config, args.storage)


def _search(wanted: Space, config: TrainConfig, storage: str | None) -> int:
    from train.runs import objective, study, tracking
    from train.runs.study_log import StudyLog

    client = tracking.client(tracking.uri(), must_exist=False)
    storage = storage or study.default_storage(config.runs)
    opened = study.open_study(wanted, storage)
    log = StudyLog(client, tracking.experiment(), opened, wanted, storage)
    before = len(study.finished(opened))
    print(f"study {wanted.study} at {tracking.hidden(storage)}: {before} of {wanted.wanted()} trials done", flush=True)

    def after(opened: Study, trial: FrozenTrial) -> None:
        log.after(opened, trial)
        value = "" if trial.value is None else f"{trial.value:.4f}"
        print(f"trial {trial.number:3d} {trial.state.name.lower():9} {value:7} {trial.params}", flush=True)

    goal = objective.TrainObjective(config, wanted.study, wanted.metric, log.run_id)
    ran = study.run(opened, wanted, goal, after)
    log.close()
    best = study.best(opened)
    print(f"{ran} trials here; best: trial {best.number}, {wanted.metric} {best.value:.4f}, {best.params}")
    print(f"its run: {best.user_attrs.get('run_id') or 'not tracked'}   the study's run: {log.run_id}")
    return 0
