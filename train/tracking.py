"""What a run leaves in MLflow. `MLFLOW_TRACKING_URI` selects a server; the default is a local SQLite file."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from train.config import TrainConfig
from train.data import Dataset

EXPERIMENT = "maskwatch-classifier"
DEFAULT_URI = "sqlite:///mlflow.db"


class Nothing:
    """Tracking switched off."""

    run_id = ""

    def epoch(self, row: dict[str, Any]) -> None:
        """Nowhere to log to."""

    def finish(self, *_: Any) -> None:
        """Nowhere to log to."""


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

        mlflow.log_metrics(metrics, run_id=self.run_id)
        pictures = draw_all(folder, table, found, val, labels)
        client = mlflow.MlflowClient()
        for name in ("model.keras", "model.json", "val_predictions.npz", "history.json", "config.json"):
            client.log_artifact(self.run_id, str(folder / name), "model")
        for path in pictures:
            client.log_artifact(self.run_id, str(path), "figures")
        _log_model(self.run_id, folder, found)
        client.set_terminated(self.run_id, "FINISHED")


def _log_model(run_id: str, folder: Path, found: Any) -> None:
    """The model in MLflow's own form, with signature and input example, so that `mlflow models` can load it."""
    import keras
    import mlflow
    from mlflow.models import infer_signature

    example = found[0][:2].astype("float32")
    try:
        model = keras.models.load_model(folder / "model.keras")
        with mlflow.start_run(run_id=run_id):
            mlflow.keras.log_model(
                model,
                name="keras",
                signature=infer_signature(example, model.predict_on_batch(example)),
                save_exported_model=False,
            )
    except (mlflow.MlflowException, AttributeError, TypeError) as error:
        mlflow.MlflowClient().set_tag(run_id, "model_not_logged", str(error)[:250])


def open_run(config: TrainConfig, dataset: Dataset, folder: Path, parent_run_id: str = "") -> Tracked:
    """Start the run, or take up the one whose id lies in the folder."""
    import keras
    import mlflow

    if not os.environ.get("MLFLOW_TRACKING_URI"):
        mlflow.set_tracking_uri(DEFAULT_URI)
    experiment = mlflow.set_experiment(EXPERIMENT)
    kept = folder / "mlflow_run_id"
    client = mlflow.MlflowClient()
    if kept.is_file():
        try:
            client.get_run(kept.read_text())
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
    run = client.create_run(experiment.experiment_id, tags=tags)
    for key, value in flat(
        config.model_dump(mode="json", exclude={"runs", "cache", "dataset", "landmarks_model", "exclude", "start_from"})
    ).items():
        client.log_param(run.info.run_id, key, value)
    kept.write_text(run.info.run_id)
    return Tracked(run.info.run_id)
