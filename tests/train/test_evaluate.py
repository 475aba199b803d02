"""The evaluation: its tables, its intervals, and the note of every run."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from edge_agent.errors import ConfigError
from edge_agent.records import U8
from train.__main__ import main
from train.data import Sample, load
from train.evaluate import Contract, Report, evaluate, of_complete_sets

LABELS = ("with_mask", "without_mask", "mask_weared_incorrect")
CONTRACT = Contract(LABELS, 32, 0.1, 2.0, 0.6)


def by_lower_half(crops: U8) -> np.ndarray:
    """A weak classifier by brightness below the nose: right more often than not on drawn faces."""
    bright = crops[:, 18:27, 8:24].mean((1, 2, 3)) / 255
    logits = np.stack([8 * bright, 6 - 4 * bright, np.full(len(crops), 4.0)], 1)
    e = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(e / e.sum(1, keepdims=True), np.float32)


def samples_of(path: Path) -> list[Sample]:
    return list(load(path).samples)


@pytest.fixture(scope="module")
def report(drawn_data: Path) -> Report:
    """Of all drawn faces, under disturbance too."""
    return evaluate(by_lower_half, CONTRACT, samples_of(drawn_data), "val", None, robust=True)


def test_each_set_class_and_size_has_its_figures_with_n_and_an_interval_around_them(report: Report) -> None:
    assert [row["of"] for row in report.rows] == ["all", "all, 32 to 64 px", "drawn", "drawn, 32 to 64 px"]
    everything = report.rows[0]
    assert everything["n"] == np.sum(everything["confusion"]) == 90
    for name in ("accuracy", "macro_f1"):
        low, high = everything[f"{name}_interval"]
        assert low <= everything[name] <= high
    for label in LABELS:
        figures = everything[label]
        assert figures["n"] == 30
        for name in ("precision", "recall", "f1"):
            low, high = figures[f"{name}_interval"]
            assert low <= figures[name] <= high
            assert low < high or figures[name] in (0, 1)


def test_calibration_states_both_errors_and_the_coverage_at_one_percent_risk(report: Report) -> None:
    row = report.calibration[0]
    assert row["ece_before"] != row["ece"]
    assert 0 <= row["coverage_at_1_percent_risk"] <= 1
    assert "coverage at 1 % risk" in report.text


def test_robustness_has_five_disturbances_at_three_strengths_beside_the_undisturbed(report: Report) -> None:
    kinds = [row["disturbance"] for row in report.robustness]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "none": 1,
        "blur": 3,
        "darkness": 3,
        "low resolution": 3,
        "JPEG": 3,
        "colour cast": 3,
    }
    assert report.robustness[0]["accuracy"] == report.rows[0]["accuracy"]


def test_sets_without_the_rare_class_are_measured_apart_from_those_that_label_it(drawn_data: Path) -> None:
    samples = samples_of(drawn_data)
    bare = [Sample("two", s.image_path, s.box, "without_mask", s.group, s.split, s.id) for s in samples[:4]]
    assert of_complete_sets([*samples, *bare], LABELS).tolist() == [True] * 90 + [False] * 4
    assert of_complete_sets(bare, LABELS).all()


def test_a_label_that_the_model_does_not_know_is_named(drawn_data: Path) -> None:
    with pytest.raises(
        ConfigError, match="the dataset has the label 'mask_weared_incorrect'; the model knows mask, bare"
    ):
        evaluate(
            by_lower_half, Contract(("mask", "bare"), 32, 0.1, 1.0, 0.5), samples_of(drawn_data), "val", None, False
        )


def test_every_evaluation_of_a_run_is_noted_with_model_data_and_code(drawn_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "runs/a-run"
    folder.mkdir(parents=True)
    keras.Sequential(
        [keras.Input((32, 32, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, activation="softmax")]
    ).save(folder / "model.keras")
    book = {"labels": LABELS, "input_size_px": 32, "crop_margin": 0.1, "temperature": 1.0, "thresholds": {"a": 0.5}}
    (folder / "model.json").write_text(json.dumps(book))
    words = ["evaluate", str(folder), "--dataset", str(drawn_data), "--cache", str(tmp_path / "cache"), "--split"]
    assert main([*words, "test"]) == 0
    assert main([*words, "test"]) == 0
    lines = [json.loads(line) for line in (tmp_path / "runs/evaluations.jsonl").read_text().splitlines()]
    assert [(line["split"], line["faces"]) for line in lines] == [("test", 18), ("test", 18)]
    assert lines[0]["sha256"] == hashlib.sha256((folder / "model.keras").read_bytes()).hexdigest()
    assert lines[0]["data_sha256"] == load(drawn_data).data_sha256
    assert (folder / "report-test.json").is_file()


def test_a_card_without_markers_is_told_before_anything_is_measured(
    drawn_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "card.md").write_text("# no markers")
    shutil.copyfile(drawn_data, tmp_path / "model.tflite")  # no model: it must not come to that
    words = ["--card", str(tmp_path / "card.md"), "--dataset", str(drawn_data), "--split", "test"]
    assert main(["evaluate", str(tmp_path / "model.tflite"), *words]) == 78
    assert "lacks the markers" in capsys.readouterr().err
