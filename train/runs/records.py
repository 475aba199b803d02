"""A finished run as MLflow keeps it: settings, figures, what it was trained on, and its predictions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_agent.errors import ConfigError, ModelError, NotFoundError
from train.runs import predictions, tracking
from train.runs.predictions import Predictions

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True, slots=True)
class Record:
    """book: model.json. tags, params: as MLflow has them, all texts."""

    run_id: str
    name: str
    book: dict[str, Any]
    tags: dict[str, str]
    params: dict[str, str]
    predictions: Predictions

    @property
    def data_sha256(self) -> str:
        return str(self.book.get("data", {}).get("data_sha256", self.tags.get("data_sha256", "")))

    @property
    def split_sha256(self) -> str:
        return str(self.book.get("data", {}).get("split_sha256", self.tags.get("split_sha256", "")))

    @property
    def title(self) -> str:
        return f"{self.name} ({self.run_id[:8]})"


def read(client: MlflowClient, run_id: str) -> Record:
    """Everything of a finished run; an error says what is missing."""
    with tracking.translated(f"reading run {run_id}"):
        run = client.get_run(run_id)
    tracking.refuse_run_without_model(client, run)
    record = tracking.download(client, run_id, tracking.RECORD_FILE)
    said = tracking.download(client, run_id, predictions.FILE)
    if record is None or said is None:
        missing = tracking.RECORD_FILE if record is None else predictions.FILE
        raise NotFoundError(
            f"run {run_id} has no {missing}; only a classifier trained by `python -m train` can be compared"
        )
    try:
        book = json.loads(record.read_text("utf-8"))
    except ValueError as error:
        raise ModelError(f"{tracking.RECORD_FILE} of run {run_id} is not JSON: {error}") from error
    name = run.info.run_name or run_id[:8]
    return Record(run_id, name, book, dict(run.data.tags), dict(run.data.params), predictions.load(said))


def refuse_other_split(first: Record, second: Record) -> None:
    """With another split, one model may have been trained on what the other is judged by."""
    if first.split_sha256 != second.split_sha256:
        raise ConfigError(
            f"{first.title} and {second.title} were trained on different splits "
            f"({first.split_sha256[:8] or 'none'} and {second.split_sha256[:8] or 'none'}): "
            "one may have seen the other's validation faces; train both on one split file"
        )
