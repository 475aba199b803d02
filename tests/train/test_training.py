"""A tiny real training, killed and taken up again, and what it leaves behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from train.__main__ import main
from train.config import TrainConfig, read_config
from train.pipeline import train

TINY = Path(__file__).parents[2] / "train/configs/tiny.toml"


class Killed(Exception):
    """Stands for a kill in the middle of a training."""


@pytest.fixture
def config(drawn_data: Path, tmp_path: Path) -> TrainConfig:
    found = read_config(TINY, runs=tmp_path / "runs", cache=tmp_path / "cache")
    return found.model_copy(update={"dataset": drawn_data})


def test_a_training_leaves_a_model_its_contract_and_its_predictions(config: TrainConfig) -> None:
    result = train(config, track=False)
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


def test_an_unknown_key_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.toml"
    path.write_text('dataset = "x.toml"\nepochs = 3\n')
    assert main(["--config", str(path)]) == 78
    assert "epochs" in capsys.readouterr().err
