"""Figures of an export on the run that trained the model."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pytest

from export.gates import Gate, Outcome
from export.report import VariantReport
from export.source import Source
from export.tracking import log_back


def report() -> VariantReport:
    gates = (Gate("boxes that Keras finds too, and back", 0.98, ">= 0.97", True), Gate("ECE (gained)", 0.0, "", True))
    outcome = Outcome(gates, {"accuracy": 0.9})
    return VariantReport("int8", "plain", 10, 20, "0" * 64, outcome, (), (), {}, (), "m-int8.tflite")


def test_files_and_figures_reach_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    client = mlflow.MlflowClient()
    experiment = client.create_experiment("test", artifact_location=(tmp_path / "artifacts").as_uri())
    run_id = client.create_run(experiment).info.run_id
    for name in ("export.md", "export.json", "m-int8.tflite"):
        (tmp_path / name).write_text("x")
    log_back(Source(tmp_path / "model.keras", {}, run_id), tmp_path, [report()], lambda line: None)
    metrics = client.get_run(run_id).data.metrics
    assert metrics["export.int8.boxes_that_Keras_finds_too_and_back"] == 0.98
    assert metrics["export.int8.accuracy"] == 0.9
    assert {a.path for a in client.list_artifacts(run_id, "export")} == {
        "export/export.md",
        "export/export.json",
        "export/m-int8.tflite",
    }


def test_a_run_that_is_not_known_is_said_and_nothing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    said: list[str] = []
    log_back(Source(tmp_path / "model.keras", {}, "0" * 32), tmp_path, [report()], said.append)
    assert "nothing was logged" in said[0]
