"""A study: many trials of one objective, shared between processes through a storage URL, and resumable.

A trial whose process dies stops beating its heart; the next process that begins a trial marks it failed and puts
its settings back into the queue (Optuna's heartbeat).
"""

from __future__ import annotations

import os
import re
import time
import uuid
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edge_agent.errors import ConfigError, NotFoundError, UnavailableError, UsageError
from train.runs.space import Space, Value, differences
from train.runs.tracking import hidden

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial

HEARTBEAT_S = 5
STALE_AFTER_S = 20
FIRST_ATTEMPTS = 6
FINGERPRINT = "space"


class Pruned(Exception):
    """Raised by `report` inside an objective: no error, the trial is not worth finishing."""


Params = dict[str, Value]
Report = Callable[[int, float], None]
After = Callable[["Study", "FrozenTrial"], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished trial: the value that is compared, other figures worth keeping, and where its model lies."""

    value: float
    figures: dict[str, float]
    run_id: str = ""


class Objective(Protocol):
    """Trains with these parameters; calls `report(step, value)` as it goes, which may raise `Pruned`."""

    def __call__(self, number: int, params: Params, report: Report) -> Outcome: ...


def default_storage(folder: Path) -> str:
    """SQLite beside the runs; several machines share a PostgreSQL URL instead."""
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'studies.db'}"


def open_storage(url: str) -> RDBStorage:
    """Optuna's storage behind a URL; the error names the URL without its password."""
    from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError

    for attempt in range(FIRST_ATTEMPTS):
        try:
            return _storage(url)
        except ArgumentError as error:
            raise UsageError(
                f"--storage {hidden(url)} is no database URL; give postgresql://... or sqlite:///FILE"
            ) from error
        except ImportError as error:
            raise UsageError(
                f"--storage {hidden(url)}: {error}; pip install 'psycopg[binary]' for PostgreSQL"
            ) from error
        except SQLAlchemyError as error:
            # Two processes that begin a study at the same moment both make the tables; one of them loses.
            met = isinstance(error, IntegrityError) or "already exists" in str(error)
            if met and attempt < FIRST_ATTEMPTS - 1:
                time.sleep(0.3 * (attempt + 1))
                continue
            reason = str(error.__cause__ or error).splitlines()[0]
            raise UnavailableError(f"no study storage at {hidden(url)}: {reason}; is the database up?") from error
    raise AssertionError("unreachable")


def _storage(url: str) -> RDBStorage:
    from optuna.exceptions import ExperimentalWarning
    from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback

    # psycopg 3 is what we install; the bare scheme may ask for psycopg2.
    url = re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)
    # Two processes on one SQLite file wait for each other instead of failing at once.
    options = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {"pool_pre_ping": True}
    warnings.simplefilter("ignore", ExperimentalWarning)  # the heartbeat has been "experimental" since 2.9
    return RDBStorage(
        url,
        engine_kwargs=options,
        heartbeat_interval=HEARTBEAT_S,
        grace_period=STALE_AFTER_S,
        heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=2),
    )


def open_study(space: Space, url: str) -> Study:
    """Begin the study, or join the one of that name; refuses one with another space."""
    import optuna

    storage = open_storage(url)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if space.study in (
        summary.study_name for summary in optuna.get_all_study_summaries(storage, include_best_trial=False)
    ):
        _refuse_another_space(optuna.load_study(study_name=space.study, storage=storage), space, url)
    study = optuna.create_study(
        storage=storage,
        study_name=space.study,
        direction=space.direction,
        pruner=_pruner(space),
        load_if_exists=True,
    )
    if FINGERPRINT not in study.user_attrs:
        study.set_user_attr(FINGERPRINT, space.fingerprint())
    study.sampler = _sampler(space, _place_in_line(study))
    return study


def _place_in_line(study: Study) -> int:
    """0 for the first process that ever joined this study, 1 for the next one, and so on."""
    me = f"process {time.time_ns():020d} {uuid.uuid4().hex}"
    study.set_user_attr(me, f"{os.uname().nodename}:{os.getpid()}")
    return sorted(name for name in study.user_attrs if name.startswith("process ")).index(me)


def _refuse_another_space(study: Study, space: Space, url: str) -> None:
    theirs = study.user_attrs.get(FINGERPRINT)
    if theirs is None or theirs == space.fingerprint():
        return
    lines = "; ".join(differences(space.fingerprint(), theirs))
    raise ConfigError(
        f"study {space.study} at {hidden(url)} has another space: {lines}. "
        "Choose another name for `study`, or the old file"
    )


def _sampler(space: Space, place: int) -> BaseSampler:
    from optuna.samplers import GridSampler, RandomSampler, TPESampler

    if space.sampler == "grid":
        # One seed for all: it orders the grid, and processes tell each other positions in that order.
        return GridSampler({name: d.grid(name) for name, d in space.space.items()}, seed=space.seed)
    # A seed of its own for each: a second process, or a resumed one, would propose the same settings again.
    seed = space.seed + 1000 * place
    return (
        RandomSampler(seed)
        if space.sampler == "random"
        else TPESampler(seed=seed, n_startup_trials=max(4, space.trials // 4))
    )


def _pruner(space: Space) -> BasePruner:
    from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner

    if space.pruner == "median":
        return MedianPruner(n_startup_trials=space.warm_up_trials, n_warmup_steps=space.warm_up_steps)
    return HyperbandPruner(min_resource=max(1, space.warm_up_steps)) if space.pruner == "hyperband" else NopPruner()


def finished(study: Study) -> list[FrozenTrial]:
    """Trials that count: completed or pruned."""
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def run(study: Study, space: Space, objective: Objective, after: After) -> int:
    """Run trials until the study has as many as the space asks for; returns how many this process finished."""
    import optuna

    if len(finished(study)) >= space.wanted():
        return 0
    mine: list[int] = []

    def one(trial: Trial) -> float:
        params = {name: d.suggest(trial, name) for name, d in space.space.items()}
        return _attempt(trial, space.fixed | params, objective)

    def enough(study: Study, trial: FrozenTrial) -> None:
        mine.append(trial.number)
        after(study, trial)
        if len(finished(study)) >= space.wanted():
            study.stop()

    study.optimize(one, callbacks=[enough])
    optuna.storages.fail_stale_trials(study)
    return len(mine)


def _attempt(trial: Trial, params: Params, objective: Objective) -> float:
    """One trial; what it measured is kept beside its value."""
    import optuna

    trial.set_user_attr("process", f"{os.uname().nodename}:{os.getpid()}")

    def report(step: int, value: float) -> None:
        trial.report(value, step)
        if trial.should_prune():
            raise Pruned

    try:
        outcome = objective(trial.number, params, report)
    except Pruned:
        raise optuna.TrialPruned from None
    for name, value in outcome.figures.items():
        trial.set_user_attr(name, value)
    trial.set_user_attr("run_id", outcome.run_id)
    return outcome.value


def best(study: Study) -> FrozenTrial:
    """The best completed trial; an error where none has completed."""
    try:
        return study.best_trial
    except ValueError as error:
        raise NotFoundError(f"study {study.study_name} has no completed trial yet") from error
