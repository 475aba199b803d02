"""The run in MLflow: parameters at the start, figures as they come, files at the end."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from train.runs.tracking import client, is_missing, uri
from train.tracking import recording

EXPERIMENT = "maskwatch-detector"


class Tracking:
    """Prints each report and, where enabled, sends it to MLflow ($MLFLOW_TRACKING_URI, else sqlite:///mlflow.db)."""

    def __init__(self, folder: Path, parameters: dict[str, Any], *, enabled: bool) -> None:
        self._id_file = folder / "mlflow_run_id"
        self.run_id: str | None = self._id_file.read_text().strip() if self._id_file.is_file() else None
        self._parameters = parameters
        self._enabled = enabled

    def __enter__(self) -> Tracking:
        if not self._enabled:
            return self
        import mlflow

        mlflow_client = client(uri(), must_exist=False)
        known = self.run_id if self.run_id and _is_known(mlflow_client, self.run_id) else None
        with recording():
            mlflow.set_experiment(EXPERIMENT)
            self.run_id = mlflow.start_run(run_id=known, run_name="detector").info.run_id
            if known is None:
                mlflow.log_params({name: str(value)[:500] for name, value in self._parameters.items()})
                self._id_file.parent.mkdir(parents=True, exist_ok=True)
                self._id_file.write_text(str(self.run_id))
        return self

    def report(self, step: int, figures: dict[str, float]) -> None:
        """One line and one set of metrics."""
        words = " ".join(f"{name} {value:.4g}" for name, value in figures.items())
        print(f"{time.strftime('%H:%M:%S')} step {step} {words}", flush=True)
        if self._enabled:
            import mlflow

            with recording():
                mlflow.log_metrics(figures, step=step)

    def finish(self, files: list[Path]) -> None:
        """Keep the run's files with it."""
        if self._enabled:
            import mlflow

            with recording():
                for path in files:
                    mlflow.log_artifact(str(path))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._enabled:
            import mlflow

            with recording():
                mlflow.end_run("FAILED" if kind else "FINISHED")


def _is_known(mlflow_client: Any, run_id: str) -> bool:
    from mlflow.exceptions import MlflowException

    with recording():
        try:
            mlflow_client.get_run(run_id)
        except MlflowException as error:
            if not is_missing(error):
                raise
            print(f"train: MLflow does not know the run {run_id}; it goes on as a new one", file=sys.stderr)
            return False
    return True
