"""Where a model comes from, and what is said when it is not there."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import pytest

from edge_agent.errors import ModelError, NotFoundError, UsageError
from export.__main__ import main
from export.convert import load_keras
from export.source import resolve
from train.runs import tracking


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> mlflow.MlflowClient:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return tracking.client(uri, must_exist=False)


def logged_run(client: mlflow.MlflowClient, tmp_path: Path, artifacts: str) -> str:
    experiment = client.create_experiment("test", artifact_location=(tmp_path / "artifacts").as_uri())
    run_id = client.create_run(experiment).info.run_id
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "model.keras").write_bytes(b"a model")
    (folder / "model.json").write_text(json.dumps({"labels": ["a", "b"], "crop_margin": 0.2}))
    client.log_artifacts(run_id, str(folder), artifacts)
    return str(run_id)


@pytest.mark.parametrize("artifacts", ["", "model"])
def test_an_mlflow_run_gives_its_model_and_record(store: mlflow.MlflowClient, tmp_path: Path, artifacts: str) -> None:
    run_id = logged_run(store, tmp_path, artifacts)
    for given in (run_id, f"runs:/{run_id}"):
        source = resolve(given)
        assert source.run_id == run_id
        assert source.keras_file.read_bytes() == b"a model"
        assert source.labels == ("a", "b")


def test_an_alias_of_the_registry_gives_the_run_behind_it(store: mlflow.MlflowClient, tmp_path: Path) -> None:
    run_id = logged_run(store, tmp_path, "model")
    store.create_registered_model("masks")
    version = store.create_model_version("masks", f"runs:/{run_id}/model", run_id)
    store.set_registered_model_alias("masks", "champion", version.version)
    assert resolve("models:/masks@champion").run_id == run_id
    assert resolve(f"models:/masks/{version.version}").run_id == run_id
    with pytest.raises(NotFoundError, match="challenger"):
        resolve("models:/masks@challenger")
    with pytest.raises(UsageError, match="ALIAS"):
        resolve("models:/masks")


def test_a_run_that_mlflow_does_not_know_is_named(store: mlflow.MlflowClient) -> None:
    store.search_experiments()  # makes the store
    with pytest.raises(NotFoundError, match="0" * 32):
        resolve("0" * 32)


def test_the_command_line_goes_over_the_record(tmp_path: Path) -> None:
    (tmp_path / "model.keras").write_bytes(b"")
    (tmp_path / "model.json").write_text(
        '{"labels": ["a", "b"], "crop_margin": 0.2, "trained_at": "2026-01-02T00:00:00Z"}'
    )
    source = resolve(str(tmp_path), {"crop_margin": 0.3, "labels": None})
    assert source.record["crop_margin"] == 0.3
    assert source.labels == ("a", "b")
    assert source.trained_at.tzinfo is not None


def test_a_folder_without_a_model_and_a_path_that_is_not_there_are_status_66(tmp_path: Path) -> None:
    assert main([str(tmp_path), "--claim", "litert"]) == 66
    assert main([str(tmp_path / "none"), "--claim", "litert"]) == 66


def kept(folder: Path, **changes: object) -> Path:
    """The record of kept weights of a small network; a change to None takes the entry out."""
    record: dict[str, object] = {
        "labels": ["a", "b"],
        "architecture": "small_cnn",
        "alpha": 0.5,
        "input_size_px": 32,
        "head_units": 0,
        "crop_margin": 0.1,
    }
    record = {key: value for key, value in (record | changes).items() if value is not None}
    (folder / "model.json").write_text(json.dumps(record))
    return folder


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"architecture": None}, "lacks architecture; keep the run again"),
        ({"architecture": "vit"}, "its architecture:"),
        ({"head_units": 10**9}, "its head_units:"),
        ({"weights_sha256": "0" * 64}, "or is damaged; keep the run again"),
        ({"thresholds": [0.5]}, "an entry of its record is of the wrong kind"),
        ({"metrics": [1, 2]}, "an entry of its record is of the wrong kind"),
        ({"epochs": float("inf")}, "an entry of its record is of the wrong kind"),
        ({"labels": ["a", "a"]}, "labels"),
        ({"labels": "face"}, "its labels are 'face', no list of names"),
        ({}, "its model.json is of another network, or the file is damaged"),
        ({"kind": "detector", "channels": "x", "input_width_px": 64, "input_height_px": 64}, "lacks decode"),
    ],
)
def test_kept_weights_with_a_wrong_record_are_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, object], says: str
) -> None:
    (kept(tmp_path, **changes) / "classifier.weights.h5").write_bytes(b"no weights")
    assert main([str(tmp_path), "--claim", "litert", "--out", str(tmp_path / "out")]) == 65
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("export: ")]
    assert says in line
    assert len(line) < 400


def test_weights_are_named_where_a_folder_holds_several(tmp_path: Path) -> None:
    for name in ("classifier.weights.h5", "other.weights.h5", ".partial-7-classifier.weights.h5"):
        (kept(tmp_path) / name).write_bytes(b"")
    with pytest.raises(UsageError, match=r"holds classifier.weights.h5, other.weights.h5; name one"):
        resolve(str(tmp_path))
    (tmp_path / "model.keras").write_bytes(b"")
    assert resolve(str(tmp_path / "other.weights.h5")).keras_file.name == "other.weights.h5"
    (tmp_path / "model.json").unlink()
    with pytest.raises(NotFoundError, match=r"has no model.json beside it"):
        resolve(str(tmp_path / "other.weights.h5"))


def test_the_average_of_a_detector_s_run_is_taken_not_what_it_started_from(tmp_path: Path) -> None:
    for name in ("average.weights.h5", "start.weights.h5"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "detector.json").write_text('{"channels": 48}')
    source = resolve(str(tmp_path))
    assert source.keras_file.name == "average.weights.h5"
    assert source.record["kind"] == "detector"
    assert source.record["channels"] == 48


def test_a_damaged_keras_file_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "model.keras").write_bytes(b"PK cut off")
    with pytest.raises(ModelError, match="is damaged or cut off"):
        load_keras(tmp_path / "model.keras")


def test_wrong_usage_is_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model.keras").write_bytes(b"")
    assert main([str(tmp_path), "--variant", "int4"]) == 2
    assert main([str(tmp_path), "--variant", "all", "--release", str(tmp_path / "x")]) == 2
    assert main([str(tmp_path), "--claim", "onnx"]) == 2
    assert main([str(tmp_path), "--claim", "litert", "--recipe", "magic"]) == 2
    assert main([str(tmp_path), "--claim", "litert", "--size", "100x100"]) == 2
    assert "--size is for detectors" in capsys.readouterr().err
    (tmp_path / "model.json").write_text('{"kind": "detector"}')
    assert main([str(tmp_path), "--claim", "litert", "--size", "big"]) == 2
    assert "give WIDTHxHEIGHT" in capsys.readouterr().err
    (tmp_path / "notes.txt").write_text("x")
    assert main([str(tmp_path / "notes.txt")]) == 2


@pytest.mark.parametrize(
    "option",
    [
        "--crop-margin=-1",
        "--temperature=0",
        "--temperature=nan",
        "--score=2",
        "--gate-crops=0",
        "--calibration-per-class=0",
        "--version=one",
        "--name=../up",
        "--variant=",
    ],
)
def test_an_option_out_of_bounds_is_one_line_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    (tmp_path / "model.keras").write_bytes(b"")
    assert main([str(tmp_path), "--variant", "float32", "--claim", "litert", option]) == 2
    error = capsys.readouterr().err
    assert option.split("=")[0] in error
    assert len(error.strip().splitlines()) == 1


def test_a_place_for_the_release_that_is_not_there_is_said_before_anything_dear(tmp_path: Path) -> None:
    (tmp_path / "model.keras").write_bytes(b"")
    for place in (tmp_path, tmp_path / "none" / "x.tflite"):
        assert main([str(tmp_path), "--claim", "litert", "--release", str(place)]) == 66


def test_a_broken_record_is_status_65(tmp_path: Path) -> None:
    (tmp_path / "model.keras").write_bytes(b"")
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(ModelError, match=r"model\.json is not JSON"):
        resolve(str(tmp_path))
    assert main([str(tmp_path)]) == 65
