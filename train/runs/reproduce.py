"""Is a recorded run what would be trained today? Compare what it rests on, piece by piece; then train it again."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.errors import ModelError, NotFoundError
from train.runs import tracking

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from train.config import TrainConfig

CONFIG_FILE = "config.json"
# With some 550 validation faces one face is 0.002 of accuracy: two or three may fall the other way.
TOLERANCE = 0.005


@dataclass(frozen=True, slots=True)
class Check:
    """One thing a run rests on. fatal: with another one, its figures cannot be expected again."""

    what: str
    recorded: str
    here: str
    fatal: bool

    @property
    def agrees(self) -> bool:
        return self.recorded == self.here

    def __str__(self) -> str:
        if self.agrees:
            return f"same       {self.what}: {self.here or 'not recorded'}"
        mark = "DIFFERENT" if self.fatal else "different"
        return f"{mark}  {self.what}: {self.recorded or 'not recorded'} in the record, {self.here or 'none'} here"


def recorded_config(client: MlflowClient, run_id: str) -> dict[str, Any]:
    """The whole configuration of a run, as its folder had it."""
    path = tracking.download(client, run_id, CONFIG_FILE)
    if path is None:
        raise NotFoundError(f"run {run_id} has no {CONFIG_FILE}; only runs of `python -m train` can be reproduced")
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ModelError(f"{CONFIG_FILE} of run {run_id} is not JSON: {error}") from error
    return dict(content)


def environment() -> dict[str, str]:
    """What of this machine a run's record states."""
    import keras

    from train.tracking import code_version

    return {
        "code_version": code_version(),
        "python": platform.python_version(),
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "machine": platform.machine(),
    }


def compare(recorded: Mapping[str, str], here: Mapping[str, str]) -> list[Check]:
    """Data and split are what a figure means; the rest only explains small differences."""
    fatal = {"data_sha256", "split_sha256", "backend"}
    names = ("data_sha256", "split_sha256", "code_version", "python", "keras", "backend", "machine")
    return [Check(name, recorded.get(name, ""), here.get(name, ""), name in fatal) for name in names]


def file_checks(config: TrainConfig) -> list[str]:
    """Files that the configuration names and that are not here."""
    from train.config import FILES

    named = {"dataset": config.dataset, "model.weights": config.model.weights} | {
        name: getattr(config, name) for name in FILES
    }
    return [
        f"{key}: {value}" for key, value in named.items() if value not in ("", "imagenet") and not Path(value).is_file()
    ]


@dataclass(frozen=True, slots=True)
class Agreement:
    """One metric, then and now."""

    metric: str
    recorded: float
    again: float
    tolerance: float

    @property
    def within(self) -> bool:
        return abs(self.recorded - self.again) <= self.tolerance

    def __str__(self) -> str:
        mark = "same" if self.recorded == self.again else "within" if self.within else "BEYOND"
        gained = self.again - self.recorded
        return f"{mark:7} {self.metric:36} {self.recorded:.4f} then, {self.again:.4f} now, {gained:+.4f}"


def agreements(recorded: Mapping[str, float], again: Mapping[str, float], tolerance: float) -> list[Agreement]:
    """Validation metrics that both have; counts and coverage are left out, they follow a threshold."""
    names = [
        n
        for n in sorted(recorded)
        if n in again and n.startswith("val_") and n not in ("val_faces", "val_coverage", "val_loss")
    ]
    return [Agreement(name, float(recorded[name]), float(again[name]), tolerance) for name in names]
