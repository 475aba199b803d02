"""A user's own small classifier: other labels, another input size, drawn pictures in a folder for each class."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

SIZE = 40
LABELS = ("helmet", "no helmet")


@dataclass(frozen=True, slots=True)
class TinyRun:
    """A run folder with model.keras and model.json, and the dataset file it was trained on."""

    folder: Path
    data: Path


def drawn(label: str, rng: np.random.Generator) -> np.ndarray:
    """A round head, with a coloured cap on it or without, BGR uint8."""
    picture = rng.integers(0, 256, 3).astype(np.uint8) * np.ones((48, 48, 1), np.uint8)
    picture = np.ascontiguousarray(picture)
    cv2.circle(picture, (24, 28), 14, (150, 180, 220), -1)
    if label == "helmet":
        cv2.ellipse(picture, (24, 22), (15, 12), 0, 180, 360, (20, 200, 250), -1)
    noise = rng.normal(0, 6, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("helmets")
    rng = np.random.default_rng(4)
    for label, folder in zip(LABELS, ("helmet", "bare"), strict=True):
        (root / "pictures" / folder).mkdir(parents=True)
        for number in range(160):
            cv2.imwrite(str(root / "pictures" / folder / f"{number}.png"), drawn(label, rng))
    file = root / "dataset.toml"
    file.write_text(
        'labels = ["helmet", "no helmet"]\nroot = "."\n[[set]]\nname = "drawn"\nformat = "folders"\n'
        'images = "pictures"\n'
        'split = "hash"\nclasses = { helmet = "helmet", bare = "no helmet" }\n'
    )
    return file


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, tiny_data: Path) -> TinyRun:
    import keras
    from keras import layers

    from export.faces import calibration_faces
    from train.data import load

    keras.utils.set_random_seed(2)
    faces = calibration_faces(load(tiny_data), SIZE, 0.1, 1000)
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            layers.Rescaling(1 / 127.5, -1.0),
            layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.BatchNormalization(),
            layers.Conv2D(12, 1),
            layers.Conv2D(12, 3, strides=2, padding="same", activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(16, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.2),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    model.fit(faces.pictures.astype(np.float32), faces.classes, epochs=40, batch_size=32, verbose=0)
    folder = tmp_path_factory.mktemp("run")
    model.save(folder / "model.keras")
    record = {
        "labels": list(LABELS),
        "input_size_px": SIZE,
        "crop_margin": 0.1,
        "temperature": 1.4,
        "thresholds": {"certain": 0.7},
        "metrics": {"val_accuracy": 0.97, "val_odd": float("nan")},
        "architecture": "tiny",
        "epochs": 40,
        "trained_at": "2026-01-02T03:04:05+00:00",
    }
    (folder / "model.json").write_text(json.dumps(record))
    return TinyRun(folder, tiny_data)
