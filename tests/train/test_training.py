"""A tiny real training, killed and taken up again, and what it leaves behind."""

from __future__ import annotations

import json
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from edge_agent.errors import ConfigError
from train import files
from train.__main__ import main
from train.config import PhaseConfig, TrainConfig, read_config
from train.data import load
from train.files import DiskError
from train.phases import WeightNoise, kernels, read_history
from train.pipeline import RunResult, chosen, train


class Killed(BaseException):
    """Stands for a kill in the middle of a training."""


@contextmanager
def killed_before(name: str, turn: int) -> Iterator[None]:
    """A kill in the moment before a file of this name appears for the `turn`-th time."""
    seen = 0

    def replace(partial: Path, path: Path) -> None:
        nonlocal seen
        seen += path.name == name
        if path.name == name and seen == turn:
            raise Killed
        os.rename(partial, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "replace", replace)
        try:
            yield
        except Killed:
            return
    pytest.fail(f"{name} was not written {turn} times")


@contextmanager
def room_for(largest_file_bytes: int) -> Iterator[None]:
    """The system refuses to write more into any one file, as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def config(drawn_data: Path, tiny: Path, tmp_path: Path, cache: Path) -> TrainConfig:
    return read_config(tiny, runs=tmp_path / "runs", cache=cache).model_copy(update={"dataset": drawn_data})


def test_a_training_leaves_a_model_its_contract_and_its_predictions(whole: RunResult) -> None:
    result = whole
    book = json.loads((result.folder / "model.json").read_text())
    assert book["labels"] == ["with_mask", "without_mask", "mask_weared_incorrect"]
    assert book["input_size_px"] == 32
    assert set(book["thresholds"]) == set(book["labels"])
    assert result.metrics["val_accuracy"] > 0.6
    kept = np.load(result.folder / "val_predictions.npz")
    assert kept["probabilities"].shape == (18, 3)
    model = keras.models.load_model(result.folder / "model.keras", compile=False)
    assert model.predict_on_batch(np.zeros((1, 32, 32, 3), np.float32)).sum() == pytest.approx(1, abs=1e-5)
    assert not list(result.folder.glob(".partial*"))


def test_a_killed_training_goes_on_where_it_stopped(config: TrainConfig) -> None:
    seen: list[tuple[str, int]] = []

    def stop_in_the_second_phase(row: dict[str, Any]) -> None:
        seen.append((row["phase"], row["epoch"]))
        if (row["phase"], row["epoch"]) == ("all", 1):
            raise Killed

    with pytest.raises(Killed):
        train(config, track=False, on_epoch=stop_in_the_second_phase)
    result = train(config, track=False, on_epoch=lambda row: seen.append((row["phase"], row["epoch"])))
    assert seen == [("head", 0), ("head", 1), *[("all", i) for i in range(6)]]
    history = json.loads((result.folder / "history.json").read_text())
    assert [(row["phase"], row["epoch"]) for row in history] == seen


@pytest.mark.parametrize(("name", "turn"), [("history.json", 4), ("best-1.npz", 1), ("model.json", 1)])
def test_a_kill_between_any_two_files_changes_nothing(
    config: TrainConfig, whole: RunResult, name: str, turn: int
) -> None:
    with killed_before(name, turn):
        train(config, track=False)
    result = train(config, track=False)
    assert (result.folder / "history.json").read_text() == (whole.folder / "history.json").read_text()
    models = [keras.models.load_model(r.folder / "model.keras", compile=False) for r in (whole, result)]
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_phase_that_stopped_early_stays_stopped_after_a_kill_in_the_next(config: TrainConfig) -> None:
    wild = PhaseConfig(name="head", epochs=30, learning_rate=3.0, banks=1, patience=2)  # gets worse soon
    config = config.model_copy(update={"phase": (wild, config.phase[1].model_copy(update={"epochs": 2}))})
    with killed_before("best-1.npz", 1):
        train(config, track=False)
    before = [row for row in read_history(next(config.runs.iterdir())) if row["phase"] == "head"]
    result = train(config, track=False)
    rows = json.loads((result.folder / "history.json").read_text())
    assert len(before) < 30
    assert rows[: len(before)] == before
    assert [row["phase"] for row in rows[len(before) :]] == ["all", "all"]
    assert before[-1]["learning_rate"] < before[0]["learning_rate"]


def test_a_loss_that_is_no_number_ends_the_training_without_a_model(config: TrainConfig) -> None:
    wild = config.phase[0].model_copy(update={"learning_rate": 1e30})
    with pytest.raises(ConfigError, match=r"phase head: the loss is no number in epoch \d; lower its learning_rate"):
        train(config.model_copy(update={"phase": (wild,)}), track=False)
    assert not list(config.runs.glob("*/*.npz"))
    assert not list(config.runs.glob("*/model.*"))


def test_a_full_disk_ends_each_step_in_one_error_and_the_training_goes_on_once_there_is_room(
    config: TrainConfig, tmp_path: Path, whole: RunResult
) -> None:
    kept, config = config, config.model_copy(update={"cache": tmp_path / "cache"})
    with room_for(20_000), pytest.raises(DiskError, match=r"cannot write .*pixels\.bin: .*free some space"):
        train(config, track=False)
    with room_for(5_000), pytest.raises(DiskError, match=r"cannot write .*bank-\w+\.npy: .*free some space"):
        train(kept.model_copy(update={"seed": 2}), track=False)  # its crops are there
    folder = next(config.runs.glob(f"tiny-{kept.digest()}-*"))
    with room_for(50_000), pytest.raises(DiskError, match=r"cannot write .*last\.npz: .*free some space"):
        train(kept, track=False)  # its banks are there
    assert not list(config.runs.rglob(".partial*"))
    assert not (folder / "model.keras").exists()
    assert len(json.loads((folder / "history.json").read_text())) == 2
    train(kept, track=False)
    assert (folder / "model.json").is_file()


def test_pictures_that_are_a_face_each_can_be_trained_on(config: TrainConfig, tmp_path: Path) -> None:
    for number, path in enumerate(sorted((config.dataset.parent / "images").iterdir())):
        folder = tmp_path / "own" / ("with_mask", "without_mask", "mask_weared_incorrect")[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / path.name)
    text = config.dataset.read_text().replace('split_file = "splits.csv"\n', "")
    text = text.replace('"voc"', '"folders"\nsplit = "hash"').replace('images = "images"', 'images = "own"')
    (tmp_path / "own.toml").write_text(text)
    result = train(config.model_copy(update={"dataset": tmp_path / "own.toml"}), track=False)
    assert result.metrics["val_faces"] > 5


def test_mlflow_has_all_of_a_run_whose_training_was_killed_while_it_was_recorded(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient
    from mlflow.models import Model

    from train.runs.tracking import translated

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.chdir(tmp_path)
    with killed_before("reliability.png", 1):
        train(config)
    result = train(config)
    client = MlflowClient()
    with translated("the run"):
        run = client.get_run(result.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["data_sha256"]
    assert run.data.params["dataset"].startswith("drawn.dataset.toml sha256:")
    assert run.data.metrics["val_macro_f1"] == pytest.approx(result.metrics["val_macro_f1"])  # of the model kept
    epochs = {point.step: point.value for point in client.get_metric_history(result.run_id, "val_loss")}
    assert len(epochs) == 8
    names = {item.path for item in client.list_artifacts(result.run_id, "figures")}
    figures = ("history", "confusion", "precision_recall", "reliability", "risk_coverage", "mistakes")
    assert names == {f"figures/{name}.png" for name in figures}
    assert "environment.txt" in {item.path for item in client.list_artifacts(result.run_id)}
    (logged,) = client.search_logged_models([run.info.experiment_id])
    model = Model.load(logged.artifact_location)
    assert model.signature.inputs.inputs[0].shape == (-1, 32, 32, 3)
    assert np.asarray(model.load_input_example(logged.artifact_location)).shape == (1, 32, 32, 3)


def test_a_finished_training_is_not_done_again(config: TrainConfig) -> None:
    first = train(config, track=False)
    stamp = (first.folder / "model.keras").stat().st_mtime_ns
    epochs: list[Any] = []
    again = train(config, track=False, on_epoch=epochs.append)
    assert (again.folder / "model.keras").stat().st_mtime_ns == stamp
    assert epochs == []


def test_the_command_says_in_one_line_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["train", "--config", str(tmp_path / "gone.toml")])
    assert status == 66
    assert capsys.readouterr().err.strip().splitlines() == [
        f"train: no training configuration {tmp_path / 'gone.toml'}; train/configs/ has some"
    ]


@pytest.mark.parametrize(
    ("old", "new", "status", "says"),
    [
        ("[model]", "x = 1\n[model]", 78, "x: Extra inputs are not permitted"),
        ("seed = 1", 'landmarks_model = "gone.onnx"', 66, "no landmarks model gone.onnx"),
        ("seed = 1", 'exclude = "gone.csv"', 66, "no file gone.csv; set `exclude`"),
        ("seed = 1", 'relabel = "gone.csv"', 66, "no file gone.csv; set `relabel` to a CSV file with `id` and `label`"),
        ("seed = 1", 'start_from = "gone.keras"', 66, "no weights file gone.keras; set start_from"),
        ("seed = 1", "min_side_px = 500", 78, "no face of class mask_weared_incorrect is left"),
        ('"all"', '"head"', 78, "phases head, head: at least one, each with a name of its own"),
        ("[model]", '[model]\nweights = "gone.h5"', 66, "no weights file gone.h5; set model.weights"),
        ("[balance]", "[balance]\nsynthetic_bad = 0.5", 78, "set landmarks_model"),
        ("shares = { with_mask", "shares = { masked", 78, "balance.shares name 'masked'"),
        ("open_layers = -1", 'open_from = "block_9"', 78, "no layer of small_cnn starts with it"),
        ('"small_cnn"', '"efficientnet"', 78, "efficientnet has one width"),
    ],
)
def test_a_wrong_configuration_ends_in_one_line_before_anything_is_trained(
    drawn_data: Path,
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    old: str,
    new: str,
    status: int,
    says: str,
) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(("seed = 1\n" + tiny.read_text()).replace(old, new, 1))
    words = ["--dataset", str(drawn_data), "--runs", str(tmp_path / "runs"), "--cache", str(tmp_path / "cache")]
    assert main(["--config", str(path), *words, "--no-tracking"]) == status
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("train: ")
    assert says in line
    assert not list((tmp_path / "runs").rglob("*.npz"))


def test_lists_put_faces_right_and_leave_others_out(drawn_data: Path, config: TrainConfig, tmp_path: Path) -> None:
    left_out, put_right = tmp_path / "doubtful.csv", tmp_path / "relabelled.csv"
    left_out.write_text("id,detail\ndrawn/face000#0,blurred\ndrawn/face003#0,blurred\n")
    put_right.write_text("id,label,why\ndrawn/face003#0,mask_weared_incorrect,nose out\n")
    lists = config.model_copy(update={"exclude": str(left_out), "relabel": str(put_right)})
    before, after = ({s.id: s.label for s in chosen(load(drawn_data), c)} for c in (config, lists))
    assert before.pop("drawn/face000#0") == "with_mask"
    assert after == before | {"drawn/face003#0": "mask_weared_incorrect"}
    named = lists.digest()
    assert named != config.digest()
    put_right.write_text("id,label\ndrawn/face003#0,badly\n")
    assert lists.digest() != named
    with pytest.raises(ConfigError, match="has the label 'badly'; give one of with_mask"):
        chosen(load(drawn_data), lists)
    put_right.write_text("id,label\ndrawn/face060#0,with_mask\n")  # a face of the validation split
    with pytest.raises(ConfigError, match="names drawn/face060#0, which is no face of the training split"):
        chosen(load(drawn_data), lists)
    for text, says in (
        ("id,label\ndrawn/face003#0,\n", "line 2: `label` is empty"),
        ("id,label\ndrawn/face003#0,with_mask\ndrawn/face003#0,without_mask\n", "face003#0 is there twice"),
        ("id,label\ndrawn/face003#0,na\xefve\n", "is no CSV file in UTF-8"),
    ):
        put_right.write_bytes(text.encode("latin-1"))
        with pytest.raises(ConfigError, match=says):
            chosen(load(drawn_data), lists)
    put_right.write_text("\ufeffid,label\ndrawn/face003#0,mask_weared_incorrect\n")  # a spreadsheet's mark
    assert {s.id: s.label for s in chosen(load(drawn_data), lists)} == after
    put_right.write_text("id,why\ndrawn/face003#0,nose out\n")
    with pytest.raises(ConfigError, match="has no column `label`; `relabel` reads `id` and `label`"):
        chosen(load(drawn_data), lists)


def test_a_dataset_of_one_class_trains_no_classifier(drawn_data: Path, config: TrainConfig, tmp_path: Path) -> None:
    text = drawn_data.read_text()
    for label in ("without_mask", "mask_weared_incorrect"):
        text = text.replace(f"'{label}'", "").replace(f'{label} = "{label}"', f'{label} = ""')
    one = tmp_path / "one.dataset.toml"
    one.write_text(f'root = "{drawn_data.parent}"\n' + text.replace("['with_mask', , ]", "['with_mask']"))
    with pytest.raises(ConfigError, match="labels has one class"):
        train(config.model_copy(update={"dataset": one}), track=False)


def test_an_unknown_key_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.toml"
    path.write_text('dataset = "x.toml"\nepochs = 3\n')
    assert main(["--config", str(path)]) == 78
    assert "epochs" in capsys.readouterr().err


def test_weight_noise_moves_each_kernel_by_half_a_step_of_its_channel_and_back() -> None:
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Conv2D(4, 3), keras.layers.DepthwiseConv2D(3), keras.layers.Flatten(), keras.layers.Dense(3)]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    noise = WeightNoise(steps=2.0, seed=1)
    noise.set_model(model)
    before = [np.array(kernel) for kernel in kernels(model)]
    noise.on_train_batch_begin(0)
    moved = [np.array(kernel) for kernel in kernels(model)]
    noise.on_train_batch_end(0)
    assert [values.shape for values in before] == [(3, 3, 3, 4), (3, 3, 4, 1), (64, 3)]
    for kernel, was, then, axes in zip(kernels(model), before, moved, ((0, 1, 2), (0, 1, 3), 0), strict=True):
        step = np.abs(was).max(axes, keepdims=True) / 127
        assert 0.9 < (np.abs(then - was) / step).max() <= 1.001
        assert np.array(kernel) == pytest.approx(was, abs=1e-6)
