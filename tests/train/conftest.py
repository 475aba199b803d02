"""A small drawn data set and one training on it, so that tests run on a machine without photographs and train once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

if TYPE_CHECKING:
    from train.pipeline import RunResult

LABELS = ("with_mask", "without_mask", "mask_weared_incorrect")
VOC = "<annotation><size><width>96</width><height>96</height><depth>3</depth></size>{}</annotation>"
OBJECT = "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"


def drawn_face(label: str, rng: np.random.Generator) -> np.ndarray:
    """A 96 px BGR cartoon: an ellipse with eyes, nose and mouth, and a mask where the label says so."""
    image = np.full((96, 96, 3), rng.integers(60, 200, 3), np.uint8)
    image = cv2.add(image, rng.integers(0, 20, image.shape).astype(np.uint8))
    cv2.ellipse(image, (48, 48), (26, 34), 0, 0, 360, (150, 180, 220), -1)
    for x in (38, 58):
        cv2.circle(image, (x, 40), 3, (30, 30, 30), -1)
    cv2.line(image, (48, 42), (46, 54), (110, 140, 190), 2)
    cv2.ellipse(image, (48, 66), (9, 3), 0, 0, 360, (70, 70, 190), -1)
    if label != "without_mask":
        top = 46 if label == "with_mask" else 59
        cv2.rectangle(image, (26, top), (70, 82), tuple(int(v) for v in rng.integers(180, 255, 3)), -1)
    return image


@pytest.fixture(scope="session")
def drawn_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset file of 90 drawn faces in Pascal VOC, split by a split file."""
    root = tmp_path_factory.mktemp("drawn")
    (root / "images").mkdir()
    (root / "annotations").mkdir()
    rng = np.random.default_rng(0)
    rows = ["set,image,group,split"]
    for number in range(90):
        label = LABELS[number % 3]
        name = f"face{number:03d}"
        cv2.imwrite(str(root / "images" / f"{name}.png"), drawn_face(label, rng))
        (root / "annotations" / f"{name}.xml").write_text(VOC.format(OBJECT.format(label, 20, 12, 76, 84)))
        rows.append(f"drawn,{name},g{number},{'train' if number < 54 else 'val' if number < 72 else 'test'}")
    (root / "splits.csv").write_text("\n".join(rows) + "\n")
    classes = ", ".join(f'{label} = "{label}"' for label in LABELS)
    (root / "drawn.dataset.toml").write_text(
        f'labels = {list(LABELS)}\nsplit_file = "splits.csv"\n[[set]]\nname = "drawn"\nformat = "voc"\n'
        f'images = "images"\nannotations = "annotations"\nclasses = {{ {classes} }}\n'
    )
    return root / "drawn.dataset.toml"


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all: crops and features are made once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def tiny() -> Path:
    """The configuration of a training that takes seconds."""
    return Path(__file__).parents[2] / "train/configs/tiny.toml"


@pytest.fixture(scope="session")
def whole(drawn_data: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory, cache: Path) -> RunResult:
    """A training that nothing disturbed."""
    from train.config import read_config
    from train.pipeline import train

    found = read_config(tiny, runs=tmp_path_factory.mktemp("whole"), cache=cache)
    return train(found.model_copy(update={"dataset": drawn_data}), track=False)
