"""What a run leaves in MLflow. `MLFLOW_TRACKING_URI` selects a server; the default is a local SQLite file."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

from train.config import FILES, TrainConfig
from train.data import Dataset
from train.runs.tracking import TrackingError, client, translated, uri

EXPERIMENT = "maskwatch-classifier"
DEFAULT_URI = "sqlite:///mlflow.db"
NAMED_FILES = ("dataset", *FILES)


class Nothing:
    """Tracking switched off."""

    run_id = ""

    def epoch(self, row: dict[str, Any]) -> None:
        """Nowhere to log to."""

    def finish(self, *_: Any) -> None:
        """Nowhere to log to."""


@contextmanager
def recording() -> Iterator[None]:
    """What MLflow or its disk refuses, as one line."""
    try:
        with translated("MLflow"):
            yield
    except OSError as error:
        raise TrackingError(f"MLflow cannot store files: {error}; the same command goes on once it can") from error


def is_finished(run_id: str) -> bool:
    """True where MLflow has all of this run; a run that it does not know, or that was not tracked, is not finished."""
    if not run_id:
        return False
    import mlflow

    mlflow_client = client(uri(), must_exist=False)
    with recording():
        try:
            return bool(mlflow_client.get_run(run_id).info.status == "FINISHED")
        except mlflow.MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise


def environment() -> str:
    """Python and every installed distribution, as pip freeze has it."""
    found = {f"{d.metadata['Name']}=={d.version}" for d in distributions() if d.metadata["Name"]}
    return "\n".join([f"# Python {sys.version.split()[0]} on {platform.platform()}", *sorted(found, key=str.lower), ""])


def code_version() -> str:
    """The checkout's commit, with a mark where files differ from it; "" outside a checkout."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parent,
            timeout=10,
            check=False,
        )
        return found.stdout.strip()
    except OSError:
        return ""


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values with dotted keys, as MLflow parameters."""
    out: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            out |= flat(value, f"{prefix}{key}.")
        elif isinstance(value, (list, tuple)) and value and isinstance(value[0], dict):
            for number, item in enumerate(value):
                out |= flat(item, f"{prefix}{key}.{number}.")
        else:
            out[prefix + key] = value
    return out


class Tracked:
    """One MLflow run, opened again when a killed training goes on."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id

    def epoch(self, row: dict[str, Any]) -> None:
        import mlflow

        values = {key: float(value) for key, value in row.items() if key not in ("phase", "epoch", "at")}
        with recording():
            mlflow.log_metrics(values, step=int(row["at"]), run_id=self.run_id)

    def finish(
        self,
        folder: Path,
        metrics: dict[str, float],
        config: TrainConfig,
        table: Any,
        found: Any,
        val: Any,
        labels: Any,
    ) -> None:
        import mlflow

        from train.pictures import draw_all

        pictures = draw_all(folder, table, found, val, labels)
        with recording():
            # after the last epoch: MLflow's current value is that of the last step, and the chart keeps its epochs
            epochs = len(json.loads((folder / "history.json").read_text()))
            mlflow.log_metrics(metrics, step=epochs, run_id=self.run_id)
            mlflow_client = mlflow.MlflowClient()
            for name in ("model.keras", "model.json", "val_predictions.npz", "history.json", "config.json"):
                mlflow_client.log_artifact(self.run_id, str(folder / name), "model")
            for path in pictures:
                mlflow_client.log_artifact(self.run_id, str(path), "figures")
            _log_model(self.run_id, folder, found)
            mlflow_client.set_terminated(self.run_id, "FINISHED")  # last: what is not finished is recorded once more


def _log_model(run_id: str, folder: Path, found: Any) -> None:
    """The model in MLflow's own form, with signature and input example, so that `mlflow models` can load it."""
    import keras
    import mlflow
    from mlflow.models import Model, infer_signature

    example = found[0][:1].astype("float32")
    model = keras.models.load_model(folder / "model.keras", compile=False)
    with mlflow.start_run(run_id=run_id):
        Model.log(
            artifact_path=None,
            name="keras",
            flavor=_KerasFlavor,
            model=model,
            signature=infer_signature(example, model.predict_on_batch(example)),
            input_example=example,
            save_exported_model=False,
        )


class _KerasFlavor:
    """`mlflow.keras` into a folder that is there: MLflow 3.17 writes the example before it makes the folder."""

    @staticmethod
    def save_model(path: str, **more: Any) -> None:
        import keras
        import mlflow.keras

        Path(path).mkdir(parents=True, exist_ok=True)
        # MLflow's own way to find these starts a process that imports the backend once more, for each trial of a study.
        needed = [f"{name}=={version(name)}" for name in ("keras", keras.backend.backend(), "numpy")]
        mlflow.keras.save_model(path=path, pip_requirements=needed, **more)


def open_run(config: TrainConfig, dataset: Dataset, folder: Path, parent_run_id: str = "") -> Tracked:
    """Start the run, or take up the one whose id lies in the folder."""
    import keras
    import mlflow

    mlflow_client = client(uri(), must_exist=False)
    kept = folder / "mlflow_run_id"
    with recording():
        experiment = mlflow.set_experiment(EXPERIMENT)
        if kept.is_file():
            try:
                mlflow_client.get_run(kept.read_text())
                return Tracked(kept.read_text())
            except mlflow.MlflowException:
                kept.unlink()
        tags = {
            "code_version": code_version(),
            "data_sha256": dataset.data_sha256,
            "split_sha256": dataset.split_sha256,
            "python": platform.python_version(),
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
            "machine": platform.machine(),
            "folder": folder.name,
            "mlflow.runName": config.name,
        }
        if parent_run_id:
            tags["mlflow.parentRunId"] = parent_run_id
        run = mlflow_client.create_run(experiment.experiment_id, tags=tags)
        for key, value in flat(config.model_dump(mode="json", exclude={"runs", "cache", *NAMED_FILES})).items():
            mlflow_client.log_param(run.info.run_id, key, value)
        for key in NAMED_FILES:
            mlflow_client.log_param(run.info.run_id, key, named(str(getattr(config, key))))
        mlflow_client.log_text(run.info.run_id, environment(), "environment.txt")
        kept.write_text(run.info.run_id)
    return Tracked(run.info.run_id)


def named(path: str) -> str:
    """A file by its name and the start of its SHA-256: its folder says nothing elsewhere. "" where there is none."""
    if not path:
        return ""
    return f"{Path(path).name} sha256:{hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]}"
