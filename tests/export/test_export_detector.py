"""A detector through the same command: maps of any size, decoded in the agent as Keras's own are."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
from keras import layers

from edge_agent.detect_tflite import TFLiteDetector
from edge_agent.model_file import load
from export.__main__ import main

pytestmark = pytest.mark.slow
WIDTH, HEIGHT = 128, 96
BLOB_PX = 30


def small_detector() -> keras.Model:
    """Score and box maps of two strides; bright blobs score high."""
    keras.utils.set_random_seed(3)
    image = keras.Input((HEIGHT, WIDTH, 3))
    x = layers.Rescaling(1 / 127.5, -1.0)(image)
    outputs = []
    for stride in (8, 16):
        pooled = layers.AveragePooling2D(stride)(x)
        features = layers.Conv2D(8, 3, padding="same", activation="relu")(pooled)
        brightness = keras.initializers.Constant(3.0)
        outputs.append(layers.Conv2D(1, 1, kernel_initializer=brightness, bias_initializer="zeros")(pooled))
        box = layers.Conv2D(4, 1, kernel_initializer=keras.initializers.RandomNormal(0, 0.1))
        outputs.append(box(features))
        box.bias.assign([0.0, 0.0, 0.3, 0.3])  # 22 px at stride 16: as a blob, and no neighbour is suppressed
    return keras.Model(image, outputs)


@pytest.fixture(scope="session")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of bright squares as Pascal VOC, with a dataset file."""
    root = tmp_path_factory.mktemp("blobs")
    (root / "images").mkdir()
    (root / "annotations").mkdir()
    rng = np.random.default_rng(8)
    for number in range(40):
        picture = np.full((HEIGHT, WIDTH, 3), 30, np.uint8)
        x, y = (int(v) for v in rng.integers(5, 50, 2))
        cv2.rectangle(picture, (x, y), (x + BLOB_PX, y + BLOB_PX), (240, 240, 240), -1)
        cv2.imwrite(str(root / "images" / f"{number}.png"), picture)
        (root / "annotations" / f"{number}.xml").write_text(
            f"<annotation><object><name>blob</name><bndbox><xmin>{x}</xmin><ymin>{y}</ymin>"
            f"<xmax>{x + BLOB_PX}</xmax><ymax>{y + BLOB_PX}</ymax></bndbox></object></annotation>"
        )
    file = root / "dataset.toml"
    file.write_text(
        'labels = ["blob"]\n[[set]]\nname = "blobs"\nformat = "voc"\nimages = "images"\nannotations = "annotations"\n'
        'split = "hash"\nclasses = { blob = "blob" }\n'
    )
    return file


RECORD = {
    "kind": "detector",
    "labels": ["face"],
    "architecture": "small",
    "decode": "centre-log-size",
    "strides": [8, 16],
    "score_threshold": 0.6,
    "nms_iou": 0.45,
    "trained_at": "2026-01-02T03:04:05+00:00",
}


def test_a_detector_gets_its_maps_named_and_finds_what_keras_finds(blobs: Path, tmp_path: Path) -> None:
    small_detector().save(tmp_path / "model.keras")
    counted = {
        "metrics": {"val_recall_with_mask": 0.9, "val_ap50": 0.8},
        "metrics_n": {"val_recall_with_mask": 345, "val_ap50": 551},
        "metrics_data": "the float network on val",
    }
    (tmp_path / "model.json").write_text(json.dumps(RECORD | counted))
    arguments = [str(tmp_path), "--variant", "float32", "--claim", "litert", "--data", str(blobs), "--no-mlflow"]
    assert main(arguments) == 0, (tmp_path / "export" / "export.md").read_text()
    path = tmp_path / "export" / "maskwatch-detector-float32.tflite"
    manifest = load(path, "detector").manifest
    assert manifest.detector is not None
    assert sorted(manifest.detector.maps) == ["box_16", "box_8", "score_16", "score_8"]
    assert manifest.golden.count == 8
    assert {(metric.name, metric.n, metric.data) for metric in manifest.metrics} == {
        ("val_recall_with_mask", 345, "the float network on val"),
        ("val_ap50", 551, "the float network on val"),
    }
    picture = cv2.imread(str(next((blobs.parent / "images").iterdir())))
    assert TFLiteDetector.open(path).detect(picture)
    report = json.loads((tmp_path / "export" / "export.json").read_text())["variants"][0]
    assert report["gates"]["figures"]["photographs"] > 0


def test_a_network_that_finds_nothing_is_refused_whatever_its_copy_finds(blobs: Path, tmp_path: Path) -> None:
    keras_file, out = tmp_path / "model.keras", tmp_path / "released.tflite"
    small_detector().save(keras_file)
    (tmp_path / "model.json").write_text(json.dumps(RECORD))
    arguments = [str(tmp_path), "--variant", "float32", "--claim", "litert", "--data", str(blobs), "--no-mlflow"]
    assert main([*arguments, "--score", "0.999999", "--release", str(out)]) == 1
    assert "faces found by Keras" in (tmp_path / "export" / "export.md").read_text()
    assert not out.exists()


@pytest.mark.parametrize(
    ("record", "words", "status", "says"),
    [
        ({"strides": [8, 32]}, [], 65, "its record has the strides [8, 32], its maps those of [8, 16]"),
        ({"labels": ["mask"]}, [], 2, "the labels are mask; a detector's one label is face"),
        ({}, ["--labels", "mask,none"], 2, "the labels are mask, none; a detector's one label is face"),
    ],
)
def test_what_is_not_true_of_the_network_is_refused(
    blobs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    record: dict[str, object],
    words: list[str],
    status: int,
    says: str,
) -> None:
    small_detector().save(tmp_path / "model.keras")
    (tmp_path / "model.json").write_text(json.dumps(RECORD | record))
    arguments = [str(tmp_path), "--variant", "float32", "--claim", "litert", "--data", str(blobs), "--no-mlflow"]
    assert main([*arguments, *words]) == status
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("score", ["0", "1"])
def test_a_score_that_no_box_can_pass_or_fail_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], score: str
) -> None:
    assert main([str(tmp_path), "--score", score]) == 2
    assert f"--score is {score}; give a number between 0 and 1" in capsys.readouterr().err


def test_weights_of_a_detector_without_a_size_are_refused_before_anything_dear(tmp_path: Path, blobs: Path) -> None:
    (tmp_path / "average.weights.h5").write_bytes(b"not looked at")
    arguments = [str(tmp_path), "--claim", "litert", "--data", str(blobs), "--no-mlflow"]
    assert main(arguments) == 2
