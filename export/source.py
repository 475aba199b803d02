"""Where a trained model comes from: a run folder, committed weights, a Keras file, MLflow's run or registered model."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge_agent.errors import ModelError, NotFoundError, UsageError

MODEL_NAME, RECORD_NAME, WEIGHTS_END = "model.keras", "model.json", ".weights.h5"
DETECTOR_WEIGHTS, DETECTOR_START, DETECTOR_RECORD = "average.weights.h5", "start.weights.h5", "detector.json"
FACE_BRANCH = "face.npz"
DETECTOR: dict[str, Any] = {
    "kind": "detector",
    "labels": ["face"],
    "architecture": "mobilenet_v2-fpn",
    "decode": "centre-log-size",
    "strides": [8, 16, 32],
    "score_threshold": 0.5,
    "nms_iou": 0.45,
}
"""What every run of train.detector has in common; its record and the command line come over it."""
_RUN_ID = re.compile(r"^[0-9a-f]{32}$")


@dataclass(frozen=True, slots=True)
class Source:
    """A trained Keras model on disk, and what its training recorded of it (`model.json`).

    run_id: the MLflow run that figures are logged back to; empty where there is none.
    """

    keras_file: Path
    record: dict[str, Any] = field(default_factory=dict)
    run_id: str = ""

    @property
    def kind(self) -> str:
        return str(self.record.get("kind", "classifier"))

    @property
    def labels(self) -> tuple[str, ...]:
        labels = self.record.get("labels")
        if not labels:
            raise UsageError(f"{self.keras_file} comes without {RECORD_NAME} and labels; give --labels a,b,c")
        if not isinstance(labels, (list, tuple)) or not all(isinstance(label, str) and label for label in labels):
            raise ModelError(f"{self.keras_file}: its labels are {labels!r}, no list of names; train writes them")
        return tuple(labels)

    @property
    def trained_at(self) -> datetime:
        """Aware; a record without it gets the time of the file."""
        text = self.record.get("trained_at")
        if text is None:
            return datetime.fromtimestamp(int(self.keras_file.stat().st_mtime), UTC)
        moment = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def resolve(given: str, overrides: dict[str, Any] | None = None) -> Source:
    """The model that a command line names: a folder, a .keras file, an MLflow run id, or models:/NAME@ALIAS.

    overrides: entries of the record that the command line gives. Raises NotFoundError, UsageError or ModelError.
    """
    path = Path(given)
    if given.startswith(("models:/", "runs:/")):
        source = _from_mlflow(given)
    elif path.is_dir():
        source = _from_folder(path)
    elif path.is_file():
        if path.suffix not in (".keras", ".h5"):
            raise UsageError(
                f"{given} is no Keras model; give a .keras file, a run folder, a run id or models:/NAME@ALIAS"
            )
        source = _from_weights(path) if path.name.endswith(WEIGHTS_END) else _from_file(path)
    elif _RUN_ID.match(given):
        source = _from_mlflow(given)
    else:
        raise NotFoundError(
            f"{given} is not there; give a run folder, a .keras file, an MLflow run id or models:/NAME@ALIAS"
        )
    record = source.record | {key: value for key, value in (overrides or {}).items() if value is not None}
    return Source(source.keras_file, record, source.run_id or str(record.get("mlflow_run_id") or ""))


def _from_file(path: Path) -> Source:
    return Source(path, read_record(path.parent / RECORD_NAME) if path.name == MODEL_NAME else {})


def _from_weights(path: Path) -> Source:
    """Weights, and the record beside them that says of which network they are."""
    if path.name == DETECTOR_WEIGHTS:
        return Source(path, DETECTOR | read_record(path.parent / DETECTOR_RECORD))
    record = read_record(path.parent / RECORD_NAME)
    if not record:
        raise NotFoundError(
            f"{path} has no {RECORD_NAME} beside it that says of which network it is; keep the run again"
        )
    kept = record.get("weights_sha256")
    if kept is not None and kept != hashlib.sha256(path.read_bytes()).hexdigest():
        raise ModelError(f"{path} is not what {RECORD_NAME} beside it belongs to, or is damaged; keep the run again")
    return Source(path, record)


def _from_folder(folder: Path) -> Source:
    """A run's model.keras; else a detector's average; else weights beside the model.json that says of which network
    they are."""
    if (folder / MODEL_NAME).is_file():
        return _from_file(folder / MODEL_NAME)
    if (folder / DETECTOR_WEIGHTS).is_file():  # beside it lies what the run started from
        return _from_weights(folder / DETECTOR_WEIGHTS)
    weights = sorted(path for path in folder.glob(f"*{WEIGHTS_END}") if not path.name.startswith("."))
    if not weights:
        raise NotFoundError(f"{folder} holds no {MODEL_NAME} and no weights; give the folder of a finished run")
    if len(weights) > 1:
        raise UsageError(f"{folder} holds {', '.join(path.name for path in weights)}; name one of the files")
    return _from_weights(weights[0])


def read_record(path: Path) -> dict[str, Any]:
    """`model.json`; empty where there is none. Raises ModelError."""
    if not path.is_file():
        return {}
    try:
        record = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} is not JSON: {error}; train writes it beside {MODEL_NAME}") from None
    if not isinstance(record, dict):
        raise ModelError(f"{path} is no table of what was trained; train writes it beside {MODEL_NAME}")
    return record


def read_face_branch(folder: Path, record: dict[str, Any]) -> bytes:
    """The weights of the face branch that `record`, of the classifier in `folder`, names; empty where it names none.

    Raises NotFoundError or ModelError.
    """
    entry, path = record.get("face"), folder / FACE_BRANCH
    if entry is None:
        return b""
    if not isinstance(entry, dict):
        raise ModelError(f"{folder / RECORD_NAME}: its face is {entry!r}, no table; run train-face again")
    if not path.is_file():
        raise NotFoundError(f"{path} is not there, and {RECORD_NAME} names it; run `python -m train train-face` again")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != entry.get("weights_sha256"):
        raise ModelError(f"{path} is not what {RECORD_NAME} beside it belongs to, or is damaged; run train-face again")
    return content


def mlflow_client() -> Any:
    """A client of the store that train writes to: $MLFLOW_TRACKING_URI, else a SQLite file here.

    Raises NotFoundError or UnavailableError where there is none; a file of that name is not made.
    """
    from train.runs import tracking

    return tracking.client(tracking.uri())


def _from_mlflow(given: str) -> Source:
    import mlflow
    from mlflow.exceptions import MlflowException

    client = mlflow_client()
    try:
        run_id = _run_id(client, given)
        folder = Path(_download(client, run_id))
    except MlflowException as error:
        raise NotFoundError(f"MLflow at {mlflow.get_tracking_uri()} has no {given}: {_short(error)}") from None
    return Source(folder / MODEL_NAME, read_record(folder / RECORD_NAME), run_id)


def _run_id(client: Any, given: str) -> str:
    """The run behind a run id, runs:/ID or models:/NAME@ALIAS, models:/NAME/VERSION."""
    if not given.startswith("models:/"):
        return given.removeprefix("runs:/").split("/")[0]
    name = given.removeprefix("models:/")
    if "@" in name:
        version = client.get_model_version_by_alias(*name.rsplit("@", 1))
    elif "/" in name:
        version = client.get_model_version(*name.rsplit("/", 1))
    else:
        raise UsageError(f"{given} names no version; give models:/{name}@ALIAS or models:/{name}/VERSION")
    return str(version.run_id)


def _download(client: Any, run_id: str) -> str:
    """The folder of the run's artifacts that holds model.keras, downloaded where it is not local."""
    for folder in ("", "model", "export", "artifacts"):
        names = [item.path.rsplit("/", 1)[-1] for item in client.list_artifacts(run_id, folder or None)]
        if MODEL_NAME in names:
            return str(client.download_artifacts(run_id, folder))
    raise NotFoundError(f"MLflow run {run_id} has no artifact {MODEL_NAME}; is it a finished training run?")


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
