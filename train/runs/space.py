"""`space.toml`: what a study searches, how, and for how long."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge_agent.errors import ConfigError
from train.settings import read_settings

if TYPE_CHECKING:
    from optuna import Trial

Value = bool | int | float | str


class Dimension(BaseModel):
    """One parameter: either `choices`, or `low` and `high` (whole numbers where both are), with `log` or `step`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    choices: tuple[Value, ...] = ()
    low: int | float | None = None
    high: int | float | None = None
    step: int | float | None = None
    log: bool = False

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Dimension:
        if bool(self.choices) == (self.low is not None and self.high is not None):
            raise ValueError("give either choices, or low and high")
        if self.low is not None and self.high is not None:
            if not (math.isfinite(self.low) and math.isfinite(self.high)):
                raise ValueError(f"low is {self.low} and high is {self.high}; give finite numbers")
            if self.step is not None and not 0 < self.step < math.inf:
                raise ValueError(f"step is {self.step}; give a number above 0")
            if not self.low < self.high:
                raise ValueError(f"low is {self.low} and high is {self.high}; low has to be smaller")
            if self.log and self.low <= 0:
                raise ValueError(f"low is {self.low}; with log it has to be above 0")
            if self.log and self.step is not None:
                raise ValueError("log and step exclude each other")
        return self

    def suggest(self, trial: Trial, name: str) -> Value:
        """What Optuna's sampler proposes for this parameter."""
        if self.choices:
            chosen: Value = trial.suggest_categorical(name, self.choices)
            return chosen
        if isinstance(self.low, int) and isinstance(self.high, int) and isinstance(self.step, int | None):
            return trial.suggest_int(name, self.low, self.high, step=self.step or 1, log=self.log)
        return trial.suggest_float(name, float(self.low or 0), float(self.high or 0), step=self.step, log=self.log)

    def grid(self, name: str) -> list[Value]:
        """The values a grid visits; refuses a range without a step."""
        if self.choices:
            return list(self.choices)
        if self.step is None or self.low is None or self.high is None:
            raise ConfigError(f"space.{name} is a range without step; a grid needs choices, or low, high and step")
        count = int((self.high - self.low) / self.step + 1e-9) + 1
        return [self.low + i * self.step for i in range(count)]


class Space(BaseModel):
    """The whole file. `config` and `fixed` are what every trial starts from; `space` names keys of the same config."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    study: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="names run folders too")
    sampler: Literal["tpe", "grid", "random"] = "tpe"
    pruner: Literal["median", "hyperband", "none"] = "median"
    warm_up_steps: int = Field(default=3, ge=0)
    warm_up_trials: int = Field(default=4, ge=0)
    metric: str = "val_macro_f1"
    direction: Literal["maximize", "minimize"] = "maximize"
    trials: int = Field(default=12, ge=1)
    seed: int = 0
    config: str = ""
    fixed: dict[str, Value] = Field(default_factory=dict)
    space: dict[str, Dimension] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_once(self) -> Space:
        twice = sorted(set(self.fixed) & set(self.space))
        if twice:
            raise ValueError(f"{', '.join(twice)} stand in both fixed and space; keep one")
        if self.sampler == "grid":
            for name, dimension in self.space.items():
                dimension.grid(name)
        return self

    def wanted(self) -> int:
        """Trials that end the study: a grid has no more than its points."""
        if self.sampler != "grid":
            return self.trials
        return min(self.trials, math.prod(len(d.grid(name)) for name, d in self.space.items()))

    def fingerprint(self) -> str:
        """What a study may not change half-way: the space, what is fixed, and what is measured."""
        facts = self.model_dump(mode="json", include={"space", "fixed", "metric", "direction", "sampler"})
        return json.dumps(facts, sort_keys=True)


def read(path: Path) -> Space:
    """A space file; its errors name the key, the value and what would do."""
    return read_settings(path, Space, f"no space file {path}; train/runs/spaces/ has an example")


def differences(ours: str, theirs: str) -> list[str]:
    """How two fingerprints differ, one line a key."""
    flat = [_flat(json.loads(text)) for text in (ours, theirs)]
    names = sorted(set(flat[0]) | set(flat[1]))
    return [
        f"{name} is {flat[0].get(name, 'not there')} here and {flat[1].get(name, 'not there')} in the study"
        for name in names
        if flat[0].get(name) != flat[1].get(name)
    ]


def _flat(value: dict[str, Any], prefix: str = "") -> dict[str, str]:
    out: dict[str, str] = {}
    for key, item in value.items():
        if isinstance(item, dict) and item and prefix.count(".") < 1:
            out |= _flat(item, f"{prefix}{key}.")
        else:
            out[f"{prefix}{key}"] = json.dumps(item)
    return out
