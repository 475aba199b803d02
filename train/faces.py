"""Faces cut once from their pictures, with room to jitter, and kept on disk for the next run.

A region is the face's surroundings in the picture's own pixels, so that a training crop goes through exactly
one `edge_agent.preprocess.crop`, as on the device.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import ImageError
from edge_agent.records import U8, Box
from train.data import Sample
from train.files import write_atomically
from train.landmarks import LandmarkFinder
from train.photographs import read_photograph

REACH = 0.8  # of the longer side on every edge: room for margin, offset and rotation
LARGEST_SIDE_PX = 200  # larger faces are stored smaller; the network sees at most 224
VERSION = 3


@dataclass(frozen=True, slots=True)
class Region:
    """bgr: uint8 (rows, columns, 3). box: the face. landmarks: float32 (5, 2) in its pixels, NaN where unknown."""

    bgr: U8
    box: Box
    landmarks: NDArray[np.float32]


class RegionStore(Sequence[Region]):
    """Regions of samples in their order, read from one file as they are asked for."""

    def __init__(self, pixels: U8, index: NDArray[np.int64], geometry: NDArray[np.float32]) -> None:
        self._pixels, self._index, self._geometry = pixels, index, geometry

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, at: int) -> Region:  # type: ignore[override]
        start, rows, columns = (int(v) for v in self._index[at])
        numbers = self._geometry[at]
        bgr = np.asarray(self._pixels[start : start + rows * columns * 3]).reshape(rows, columns, 3)
        return Region(bgr, Box(*(float(v) for v in numbers[:4])), numbers[4:].reshape(5, 2))


def cut(bgr: U8, box: Box, landmarks: NDArray[np.float32] | None = None, reach: float = REACH) -> Region:
    """The surroundings of a box, scaled down where the face is larger than LARGEST_SIDE_PX."""
    side = max(box.w, box.h)
    area = Box(box.x - reach * side, box.y - reach * side, box.w + 2 * reach * side, box.h + 2 * reach * side)
    left, top, width, height = area.clipped(bgr.shape[1], bgr.shape[0]).rounded()
    inside = bgr[top : top + max(1, height), left : left + max(1, width)]
    if inside.size == 0:
        inside, left, top = np.full((2, 2, 3), 114, np.uint8), round(box.x), round(box.y)
    scale = min(1.0, LARGEST_SIDE_PX / max(side, 1.0))
    if scale < 1:
        size = max(1, round(inside.shape[1] * scale)), max(1, round(inside.shape[0] * scale))
        inside = np.asarray(cv2.resize(inside, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    points = np.full((5, 2), np.nan, np.float32) if landmarks is None else (landmarks - (left, top)) * scale
    moved = Box((box.x - left) * scale, (box.y - top) * scale, box.w * scale, box.h * scale)
    return Region(inside, moved, points.astype(np.float32))


def smaller(region: Region, side_px: float) -> Region:
    """The region with its face at most side_px large, with less room around it: fewer pixels to draw on."""
    box, side = region.box, max(region.box.w, region.box.h)
    room = 0.5 * side
    left, top = max(0, int(box.x - room)), max(0, int(box.y - room))
    inside = region.bgr[top : int(box.y + box.h + room), left : int(box.x + box.w + room)]
    scale = min(1.0, side_px / side)
    if scale < 1:
        size = max(1, round(inside.shape[1] * scale)), max(1, round(inside.shape[0] * scale))
        inside = np.asarray(cv2.resize(inside, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    moved = Box((box.x - left) * scale, (box.y - top) * scale, box.w * scale, box.h * scale)
    return Region(inside, moved, ((region.landmarks - (left, top)) * scale).astype(np.float32))


def face_in(bgr: U8, finder: LandmarkFinder | None, inset: float) -> tuple[Box, NDArray[np.float32] | None]:
    """The face of a picture that is a face: what the finder finds, else the picture less `inset` on every edge."""
    rows, columns = bgr.shape[:2]
    found = finder.largest(bgr) if finder else None
    if found is not None:
        return found
    return Box(columns * inset, rows * inset, columns * (1 - 2 * inset), rows * (1 - 2 * inset)), None


def regions(samples: Sequence[Sample], cache: Path, landmarks_model: Path | None, workers: int = 2) -> RegionStore:
    """Regions of these samples; cut on the first call, read from the cache on later ones."""
    if landmarks_model:
        LandmarkFinder(landmarks_model)  # says here, before anything is cut, what is wrong with the file
    key = _key(samples, landmarks_model)
    folder = cache / f"regions-{key}"
    if not (folder / "index.npz").is_file():
        _build(samples, folder, landmarks_model, workers)
    book = np.load(folder / "index.npz")
    return RegionStore(np.memmap(folder / "pixels.bin", np.uint8, "r"), book["index"], book["geometry"])


def _key(samples: Sequence[Sample], landmarks_model: Path | None) -> str:
    model = hashlib.sha256(landmarks_model.read_bytes()).hexdigest() if landmarks_model else ""
    facts: list[object] = [VERSION, REACH, LARGEST_SIDE_PX, model]
    stamps: dict[Path, tuple[int, int]] = {}
    for s in samples:
        if s.image_path not in stamps:
            try:
                stat = s.image_path.stat()
            except FileNotFoundError as error:
                raise ImageError(
                    f"{s.id}: no picture {s.image_path}; the labels name a file that is not there"
                ) from error
            stamps[s.image_path] = (stat.st_size, stat.st_mtime_ns)
        facts.append((s.id, s.label, repr(s.box), str(s.image_path), stamps[s.image_path]))
    return hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()[:16]


def _build(samples: Sequence[Sample], folder: Path, landmarks_model: Path | None, workers: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    index, geometry, offset = [], [], 0
    with write_atomically(folder / "pixels.bin") as out:
        for region in _cut_all(samples, landmarks_model, workers):
            out.write(np.ascontiguousarray(region.bgr).tobytes())
            rows, columns = region.bgr.shape[:2]
            index.append((offset, rows, columns))
            box = region.box
            geometry.append([box.x, box.y, box.w, box.h, *region.landmarks.ravel()])
            offset += rows * columns * 3
    with write_atomically(folder / "index.npz") as out:
        np.savez(out, index=np.asarray(index, np.int64), geometry=np.asarray(geometry, np.float32))


def _cut_all(samples: Sequence[Sample], landmarks_model: Path | None, workers: int) -> Iterator[Region]:
    pages = [list(page) for _, page in groupby(samples, key=lambda s: s.image_path)]
    finders = [LandmarkFinder(landmarks_model) if landmarks_model else None for _ in range(workers)]

    def work(number: int) -> list[list[Region]]:
        return [_cut_picture(page, finders[number]) for page in chunk[number::workers]]

    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(pages), 32 * workers):  # bounded: a chunk of pictures in memory at a time
            chunk = pages[start : start + 32 * workers]
            parts = list(pool.map(work, range(workers)))
            for at in range(len(chunk)):
                yield from parts[at % workers][at // workers]


def _cut_picture(page: list[Sample], finder: LandmarkFinder | None) -> list[Region]:
    image = read_photograph(page[0].image_path)
    out = []
    for sample in page:
        if sample.box is None:
            out.append(cut(image, *face_in(image, finder, 0.1)))
            continue
        region = cut(image, sample.box)
        points = finder.within(region.bgr, region.box) if finder and sample.side_px >= 28 else None
        out.append(region if points is None else Region(region.bgr, region.box, points))
    return out
