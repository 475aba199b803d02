"""Decoded photographs in one flat file, with the faces a teacher sees and the labels do not name.

Decoding a JPEG costs as much as the augmentation; a memory map of uint8 costs next to nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge_agent.errors import NotFoundError
from edge_agent.records import F32, U8
from train.detector.geometry import iou_matrix
from train.detector.photos import BARE, Photo

Teacher = Callable[[U8], F32]
TEACHER_SIDES_PX = (640, 1120)
_TEACHER_SCORE = 0.5
_SAME_FACE_IOU = 0.25


@dataclass(frozen=True, slots=True)
class Sample:
    """pixels: uint8 BGR; boxes: float32 (n, 4); bare: bool (n,); unsure: boxes (m, 4) that are neither face nor background."""

    pixels: U8
    boxes: F32
    bare: np.ndarray
    unsure: F32


def yunet_teacher(model: Path) -> Teacher:
    """YuNet over several scales: float32 (n, 4) boxes of what it takes for faces."""
    if not model.is_file():
        raise NotFoundError(f"teacher {model} is not there; give a YuNet .onnx, or set teacher = \"\" to do without")
    net = cv2.FaceDetectorYN.create(str(model), "", (320, 320), _TEACHER_SCORE, 0.3, 5000)

    def look(bgr: U8) -> F32:
        found = []
        for side in TEACHER_SIDES_PX:
            scale = side / max(bgr.shape[:2])
            image = cv2.resize(bgr, None, fx=scale, fy=scale)
            net.setInputSize(image.shape[1::-1])
            faces = net.detect(image)[1]
            if faces is not None:
                found.append(np.concatenate([faces[:, :2], faces[:, :2] + faces[:, 2:4]], axis=1) / scale)
        return np.concatenate(found).astype(np.float32) if found else np.zeros((0, 4), np.float32)

    return look


def build_cache(folder: Path, photos: list[Photo], teacher: Teacher | None) -> None:
    """Write `pixels.bin` and `index.json`; a finished cache of the same photographs is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / "index.json"
    names = [f"{photo.source}/{photo.name}" for photo in photos]
    if index.is_file() and [entry["name"] for entry in json.loads(index.read_text())] == names:
        return
    entries, offset = [], 0
    with (folder / "pixels.bin").open("wb") as out:
        for photo, name in zip(photos, names, strict=True):
            image = photo.pixels()
            unsure = _unlabelled(teacher(image), photo.boxes) if teacher else np.zeros((0, 4), np.float32)
            if photo.source == "negatives":
                unsure = unsure[:0]  # these photographs hold no human face: what the teacher sees there is wrong
            entries.append(
                {
                    "name": name,
                    "offset": offset,
                    "shape": image.shape,
                    "boxes": photo.boxes.tolist(),
                    "bare": [label == BARE for label in photo.classes],
                    "unsure": unsure.tolist(),
                }
            )
            out.write(image.tobytes())
            offset += image.size
    index.write_text(json.dumps(entries))


def _unlabelled(found: F32, labelled: F32) -> F32:
    if len(found) == 0 or len(labelled) == 0:
        return found
    return found[iou_matrix(found, labelled).max(axis=1) < _SAME_FACE_IOU]


class Cache:
    """Samples by number, read from the memory map."""

    def __init__(self, folder: Path) -> None:
        self._entries = json.loads((folder / "index.json").read_text())
        self._pixels = np.memmap(folder / "pixels.bin", np.uint8, "r")
        self.sources = [entry["name"].split("/")[0] for entry in self._entries]

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, number: int) -> Sample:
        entry = self._entries[number]
        size = int(np.prod(entry["shape"]))
        pixels = self._pixels[entry["offset"] : entry["offset"] + size].reshape(entry["shape"])
        return Sample(
            pixels,
            np.asarray(entry["boxes"], np.float32).reshape(-1, 4),
            np.asarray(entry["bare"], bool),
            np.asarray(entry["unsure"], np.float32).reshape(-1, 4),
        )
