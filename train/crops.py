"""Exact crops of true boxes, as the device would cut them: for validation, test and calibration."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from edge_agent.preprocess import crop
from edge_agent.records import U8, Box
from train.data import Sample
from train.faces import _key
from train.files import write_atomically
from train.photographs import read_photograph


def exact_crops(samples: Sequence[Sample], size: int, margin: float, cache: Path | None = None) -> U8:
    """uint8 RGB (n, size, size, 3), through `edge_agent.preprocess.crop` alone; cached where a folder is given."""
    path = cache / f"crops-{_key(samples, None)}-{size}-{margin:.3f}.npy" if cache else None
    if path and path.is_file():
        return np.asarray(np.load(path, mmap_mode="r"))
    out = np.zeros((len(samples), size, size, 3), np.uint8)
    position = 0
    for image_path, page in groupby(samples, key=lambda s: s.image_path):
        image = read_photograph(image_path)
        for sample in page:
            inset = 0.1
            whole = Box(
                image.shape[1] * inset,
                image.shape[0] * inset,
                image.shape[1] * (1 - 2 * inset),
                image.shape[0] * (1 - 2 * inset),
            )
            out[position] = crop(image, sample.box or whole, size, margin)
            position += 1
    if path:
        with write_atomically(path) as file:
            np.save(file, out)
    return out
