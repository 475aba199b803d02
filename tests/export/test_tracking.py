"""Figures of an export on the run that trained the model."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.errors import NotFoundError
from export.gates import Gate, Outcome
from export.report import VariantReport
from export.source import Source, resolve
from export.tracking import log_back
from train.runs import tracking
from train.runs.registry import Registry


def report() -> VariantReport:
    gates = (Gate("boxes that Keras finds too, and back", 0.98, ">= 0.97", True), Gate("ECE (gained)", 0.0, "", True))
    outcome = Outcome(gates, {"accuracy": 0.9})
    return VariantReport("int8", "plain", 10, 20, "0" * 64, outcome, (), (), {}, (), "m-int8.tflite")


def test_files_and_figures_reach_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    client = tracking.client(f"sqlite:///{tmp_path / 'mlflow.db'}", must_exist=False)
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


def test_figures_are_tags_of_the_version_that_was_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    client = tracking.client(f"sqlite:///{tmp_path / 'mlflow.db'}", must_exist=False)
    experiment = client.create_experiment("test", artifact_location=(tmp_path / "artifacts").as_uri())
    run_id = client.create_run(experiment).info.run_id
    for name in ("export.md", "export.json", "m-int8.tflite", "model.keras"):
        (tmp_path / name).write_text("x")
    client.log_artifact(run_id, str(tmp_path / "model.keras"), "model")
    version = Registry(client, "faces").add(run_id)
    log_back(Source(tmp_path / "model.keras", {}, run_id), tmp_path, [report()], lambda line: None)
    tags = Registry(client, "faces").version(version.number).tags
    assert tags["export.int8.accuracy"] == "0.9"
    assert tags["export.int8.passed"] == "1"


def test_a_store_that_is_not_there_is_said_and_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'none.db'}")
    said: list[str] = []
    log_back(Source(tmp_path / "model.keras", {}, "0" * 32), tmp_path, [report()], said.append)
    assert "no MLflow store" in said[0]
    with pytest.raises(NotFoundError, match="no MLflow store"):
        resolve("models:/faces@champion")
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_not_known_is_said_and_nothing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    tracking.client(tracking.uri(), must_exist=False).search_experiments()  # makes the store
    said: list[str] = []
    log_back(Source(tmp_path / "model.keras", {}, "0" * 32), tmp_path, [report()], said.append)
    assert "nothing was logged" in said[0]
