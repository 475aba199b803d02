"""A trial is a real training: the base configuration with the trial's parameters set, through the same pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edge_agent.errors import ConfigError
from train.config import TrainConfig
from train.runs.space import Space, Value
from train.runs.study import Outcome, Params, Pruned, Report


def changed(config: TrainConfig, params: Mapping[str, Value]) -> TrainConfig:
    """The configuration with dotted keys set (`phase.0.learning_rate`); an unknown key or a bad value is an error."""
    content = config.model_dump()
    for key, value in params.items():
        place: Any = content
        *way, last = key.split(".")
        for part in way:
            place = _inside(place, part, key)
        if isinstance(place, dict):
            place[last] = value
        else:
            raise ConfigError(f"space.{key}: no such key in the training configuration; train/config.py names them")
    try:
        return TrainConfig.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"space: {where}: {first['msg']} (got {first['input']!r})") from error


def _inside(place: Any, part: str, key: str) -> Any:
    if isinstance(place, dict) and part in place:
        return place[part]
    if isinstance(place, (list, tuple)) and part.isdecimal() and int(part) < len(place):
        return place[int(part)]
    raise ConfigError(f"space.{key}: no {part!r} in the training configuration; train/config.py names its keys")


def check(config: TrainConfig, space: Space) -> None:
    """Every parameter, at both of its ends, makes a valid configuration: said before anything is trained."""
    for name, dimension in space.space.items():
        for value in dimension.choices or (dimension.low, dimension.high):
            if value is not None:
                changed(config, space.fixed | {name: value})


@dataclass(frozen=True, slots=True)
class TrainObjective:
    """Trains, and reports `metric` of each epoch for pruning.

    The run's folder is named by its settings: a killed trial that is tried again goes on from its last epoch, and
    settings proposed twice are trained once.
    """

    config: TrainConfig
    study: str
    metric: str
    parent_run_id: str

    def __call__(self, number: int, params: Params, report: Report) -> Outcome:
        import keras

        from train.pipeline import train

        keras.backend.clear_session()
        config = changed(self.config, params).model_copy(update={"name": self.study})

        def on_epoch(row: dict[str, Any]) -> None:
            if self.metric in row:
                report(int(row["at"]), float(row[self.metric]))

        try:
            result = train(config, on_epoch=on_epoch, parent_run_id=self.parent_run_id)
        except Pruned:
            self._close(config, number)
            raise
        if self.metric not in result.metrics:
            known = ", ".join(sorted(result.metrics))
            raise ConfigError(f"metric is {self.metric!r}; a training measures {known}")
        _tag(result.run_id, number)
        return Outcome(result.metrics[self.metric], dict(result.metrics), result.run_id)

    def _close(self, config: TrainConfig, number: int) -> None:
        """A pruned trial's run is ended, so that nobody waits for it."""
        import mlflow

        for kept in config.runs.glob(f"{config.name}-{config.digest()}-*/mlflow_run_id"):
            _tag(kept.read_text(), number)
            mlflow.MlflowClient().set_tag(kept.read_text(), "pruned", "true")
            mlflow.MlflowClient().set_terminated(kept.read_text(), "KILLED")


def _tag(run_id: str, number: int) -> None:
    import mlflow

    if run_id:
        mlflow.MlflowClient().set_tag(run_id, "trial", str(number))
        mlflow.MlflowClient().set_tag(run_id, "mlflow.runName", f"trial {number}")


def default_base(space: Space, space_file: Path) -> Path:
    """The base configuration a space names, beside the space file or in the working folder."""
    if not space.config:
        raise ConfigError(f"{space_file}: config is missing; name the training configuration that trials start from")
    beside = (space_file.parent / space.config).resolve()
    return beside if beside.is_file() else Path(space.config)
