"""A small data set that is drawn, and runs in a store of their own."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from train.runs.predictions import Predictions

LABELS = ("with_mask", "without_mask", "mask_weared_incorrect")
DATASET = """
labels = ["with_mask", "without_mask", "mask_weared_incorrect"]
root = "."
split_file = "splits.csv"
[[set]]
name = "drawn"
format = "coco"
images = "images"
annotations = "coco.json"
classes = { with_mask = "with_mask", without_mask = "without_mask", mask_weared_incorrect = "mask_weared_incorrect" }
"""
CONFIG = """
name = "drawn"
dataset = "drawn.dataset.toml"
bank_size = 48
batch_size = 16
crop_margin = 0.1
runs = "runs"
cache = "cache"
[model]
architecture = "small_cnn"
alpha = 0.5
input_size_px = 32
head_units = 0
dropout = 0.1
[augment]
strength = 0.2
[[phase]]
name = "only"
epochs = 3
learning_rate = 1e-2
open_layers = -1
banks = 1
schedule = "constant"
"""


def drawn_face(label: str, rng: np.random.Generator) -> np.ndarray:
    """40 x 40: skin, eyes, and a blue mask over all, half, or none of the lower face."""
    face = np.full((40, 40, 3), (120, 160, 210), np.uint8)
    cv2.circle(face, (12, 13), 3, (30, 30, 30), -1)
    cv2.circle(face, (28, 13), 3, (30, 30, 30), -1)
    top = {"with_mask": 18, "mask_weared_incorrect": 29, "without_mask": 40}[label]
    face[top:] = (200, 120, 60)
    return np.clip(face.astype(int) + rng.integers(-25, 25, face.shape), 0, 255).astype(np.uint8)


def draw_dataset(root: Path, pictures: int = 48) -> Path:
    """Pictures with three faces each, one of each label, split in three; returns the training configuration."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    images, annotations, rows = [], [], ["set,image,group,split"]
    for number in range(pictures):
        page = np.full((60, 180, 3), 90, np.uint8)
        for place, label in enumerate(LABELS):
            page[10:50, 10 + 60 * place : 50 + 60 * place] = drawn_face(label, rng)
            box = [10 + 60 * place, 10, 40, 40]
            annotations.append({"id": len(annotations), "image_id": number, "category_id": place, "bbox": box})
        cv2.imwrite(str(root / "images" / f"p{number:02d}.png"), page)
        images.append({"id": number, "file_name": f"p{number:02d}.png"})
        rows.append(f"drawn,p{number:02d},g{number},{('train', 'train', 'val')[number % 3]}")
    categories = [{"id": at, "name": label} for at, label in enumerate(LABELS)]
    book = {"images": images, "annotations": annotations, "categories": categories}
    (root / "coco.json").write_text(json.dumps(book))
    (root / "splits.csv").write_text("\n".join(rows) + "\n")
    (root / "drawn.dataset.toml").write_text(DATASET)
    config = root / "drawn.toml"
    config.write_text(CONFIG.replace('"runs"', f'"{root}/runs"').replace('"cache"', f'"{root}/cache"'))
    return config


def made_up(wrong: int, seed: int = 0, photographs: int = 100, hide: int = 0) -> Predictions:
    """Predictions with so many mistakes: three faces a photograph, the same truth for every seed."""
    ids = tuple(f"drawn/p{n:03d}#{at}" for n in range(photographs) for at in range(3))
    truth = np.tile(np.arange(3), photographs)
    called = truth.copy()
    at = np.random.default_rng(seed).choice(len(truth), wrong, replace=False)
    called[at] = (called[at] + 1) % 3
    probabilities = np.full((len(truth), 3), 0.1, np.float32)
    probabilities[np.arange(len(truth)), called] = 0.8
    keep = len(truth) - hide
    groups = tuple(name.split("#")[0] for name in ids)
    return Predictions(LABELS, ids[:keep], groups[:keep], truth[:keep], probabilities[:keep])


def write_predictions(path: Path, said: Predictions) -> None:
    np.savez(
        path,
        ids=np.array(said.ids),
        groups=np.array(said.groups),
        truth=said.truth,
        probabilities=said.probabilities,
        labels=np.array(said.labels),
    )
