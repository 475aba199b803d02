"""Real faces for export: calibration crops of the training split, gate crops of validation and test, never mixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import UsageError
from edge_agent.preprocess import crop, letterbox
from edge_agent.records import U8
from train.data import Dataset, Sample
from train.faces import face_in
from train.photographs import read_photograph

GATE_SETS = ("ilc2021", "andrewmvd")
SMALLEST_FACE_PX = 20  # the agent's decide.min_face_px: smaller faces are not judged there either
SEED = 5


@dataclass(frozen=True, slots=True)
class Faces:
    """Crops with their truth: pictures uint8 RGB (n, size, size, 3), classes int (n,), ids as in the data set."""

    pictures: U8
    classes: NDArray[np.int64]
    ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.pictures)


def calibration_faces(dataset: Dataset, size: int, margin: float, per_class: int) -> Faces:
    """As many crops of each class, drawn from the training split with a fixed seed."""
    usable = [s for s in dataset.of("train") if s.side_px >= SMALLEST_FACE_PX]
    rng = np.random.default_rng(SEED)
    chosen: list[Sample] = []
    for label in dataset.labels:
        of_class = [s for s in usable if s.label == label]
        chosen += [of_class[i] for i in rng.permutation(len(of_class))[:per_class]]
    return _cut(chosen, dataset.labels, size, margin)


def gate_faces(dataset: Dataset, size: int, margin: float, most: int) -> Faces:
    """Crops of the validation and test splits of the sets that gates are run on (all sets where those are absent)."""
    known = {s.set for s in dataset.samples}
    sets = [name for name in GATE_SETS if name in known] or None
    usable = [s for split in ("val", "test") for s in dataset.of(split, sets) if s.side_px >= SMALLEST_FACE_PX]
    if not usable:
        raise UsageError("the data set has no validation or test faces to run the gates on; give it a split")
    order = np.sort(np.random.default_rng(SEED).permutation(len(usable))[:most])
    return _cut([usable[i] for i in order], dataset.labels, size, margin)


def photographs(
    dataset: Dataset, splits: Sequence[str], sets: Sequence[str] | None, most: int
) -> list[tuple[Path, list[Sample]]]:
    """Pictures with all their faces, a fixed choice of at most `most`."""
    samples = sorted(
        (s for split in splits for s in dataset.of(split, sets) if s.box is not None),
        key=lambda s: (str(s.image_path), s.id),
    )
    pages = [(path, list(page)) for path, page in groupby(samples, key=lambda s: s.image_path)]
    order = np.sort(np.random.default_rng(SEED).permutation(len(pages))[:most])
    return [pages[i] for i in order]


def boxed(path: Path, width: int, height: int) -> U8:
    """One photograph fitted into the detector's input: uint8 RGB (height, width, 3)."""
    return letterbox(read_photograph(path), width, height)[0]


def _cut(samples: list[Sample], labels: tuple[str, ...], size: int, margin: float) -> Faces:
    samples = sorted(samples, key=lambda s: (str(s.image_path), s.id))
    pictures = np.zeros((len(samples), size, size, 3), np.uint8)
    at = 0
    for path, page in groupby(samples, key=lambda s: s.image_path):
        bgr = read_photograph(path)
        for sample in page:
            box = sample.box or face_in(bgr, None, 0.1)[0]
            pictures[at] = crop(bgr, box, size, margin)
            at += 1
    classes = np.array([labels.index(s.label) for s in samples], np.int64)
    return Faces(pictures, classes, tuple(s.id for s in samples))
