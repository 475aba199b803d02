"""Decoded photographs in one flat file, with the faces a teacher sees and the labels do not name.

Decoding a JPEG costs as much as the augmentation; a memory map of uint8 costs next to nothing.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_agent.detect_tflite import suppress
from edge_agent.errors import ConfigError, ImageError, ModelError, NotFoundError
from edge_agent.preprocess import letterbox
from edge_agent.records import F32, U8
from train.detector.geometry import iou_matrix
from train.detector.photos import BARE, FACELESS, Photo
from train.files import DiskError, write_atomically

Finder = Callable[[U8], F32]
TEACHER_SIDES_PX = (640, 1024)
PORTRAIT_SIDES_PX = (256,)
_TEACHER_SCORE = 0.5
_SAME_FACE_IOU = 0.25
_EYES_AHEAD, _EYES_PROFILE = 0.35, 0.2  # distance of the eyes over the width of the box: from the front about 0.45
_NOSE_AHEAD, _NOSE_BOWED = 0.6, 0.2  # way from the eyes to the mouth at which the nose is: about 0.5; how much more
_COLUMNS = 6  # of what the teacher says of a face
_LABELLED_IOU = 0.4  # of a finding and the label of the same face
_SAME_FINDING_IOU = 0.3  # of one face at two sizes
INDEX, PIXELS = "photographs.json", "pixels.bin"
ANSWERS = "teacher-answers.json"  # rows of box, score and how far turned away
WHOLLY_KNOWN = (FACELESS, "crops")  # sets that show no face beside those named


@dataclass(frozen=True, slots=True)
class Hard:
    """faces: float32 (n,), how hard each labelled face is, 0 to 1; decoys: boxes (k, 4) on what only looks like one."""

    faces: F32
    decoys: F32

    @classmethod
    def easy(cls, faces: int, decoys: F32 | None = None) -> Hard:
        """Faces that are not hard."""
        return cls(np.zeros(faces, np.float32), np.zeros((0, 4), np.float32) if decoys is None else decoys)

    @property
    def most(self) -> float:
        """Of the hardest thing in the photograph."""
        return 1.0 if len(self.decoys) else float(self.faces.max(initial=0.0))


@dataclass(frozen=True, slots=True)
class LookedAt:
    """Boxes of one photograph that a detector found, that no label names, and that somebody then looked at.

    unsure: float32 (n, 4), may be a face; nothing: (m, 4), no face: a hand, a lamp, the back of a head.
    """

    unsure: F32
    nothing: F32


@dataclass(frozen=True, slots=True)
class Sample:
    """pixels: uint8 BGR; boxes: float32 (n, 4); bare: bool (n,); unsure: boxes (m, 4), neither face nor background."""

    pixels: U8
    boxes: F32
    bare: np.ndarray
    unsure: F32
    hard: Hard


@dataclass(frozen=True, slots=True)
class Teacher:
    """finds: float32 (n, 6), box, score and how far turned away (`turned`) of what it takes for faces; portrait: the
    same in a picture of one face.

    sha256: what it finds is kept, for it alone.
    """

    finds: Finder
    portrait: Finder
    sha256: str


def open_teacher(model: Path) -> Teacher:
    """YuNet at several sizes, each face once. Raises NotFoundError or ModelError."""
    if not model.is_file():
        raise NotFoundError(f"--teacher {model} is not there; give a YuNet .onnx file")
    sha256 = hashlib.sha256(model.read_bytes()).hexdigest()
    return Teacher(_yunet(model, TEACHER_SIDES_PX), _yunet(model, PORTRAIT_SIDES_PX), sha256)


def _yunet(model: Path, sides_px: tuple[int, ...]) -> Finder:
    # one net a size: OpenCV plans the whole network again, for a quarter of a second, when the input size changes
    try:
        nets = {
            side: cv2.FaceDetectorYN.create(str(model), "", (side, side), _TEACHER_SCORE, 0.3, 5000)
            for side in sides_px
        }
    except cv2.error as error:
        raise ModelError(f"--teacher {model} is no YuNet model: {' '.join(str(error).split())[:160]}") from error

    def look(bgr: U8) -> F32:
        found = []
        for side, net in nets.items():
            image, fit = letterbox(bgr, side, side)
            faces = net.detect(np.ascontiguousarray(image[..., ::-1]))[1]
            if faces is not None:
                columns = [faces[:, :4] / fit.scale, faces[:, 14:], turned(faces[:, 2], faces[:, 4:14])[:, None]]
                found.append(np.concatenate(columns, axis=1).astype(np.float32))
        rows = np.concatenate(found) if found else np.zeros((0, _COLUMNS), np.float32)
        rows = rows[suppress(rows[:, :4], rows[:, 4], _SAME_FINDING_IOU)]
        return np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4], rows[:, 4:]], axis=1)

    return look


def turned(widths: F32, landmarks: F32) -> F32:
    """How far faces are turned away or bowed, 0 to 1: eyes close together for their box, or the nose near the mouth.

    widths: (n,) px; landmarks: (n, 10), x and y of eyes, nose and corners of the mouth, as YuNet gives them.
    """
    points = landmarks.reshape(-1, 5, 2)
    eyes = np.linalg.norm(points[:, 1] - points[:, 0], axis=1) / np.maximum(widths, 1e-6)
    between, mouth = points[:, :2].mean(axis=1), points[:, 3:].mean(axis=1)
    face = mouth - between
    nose = ((points[:, 2] - between) * face).sum(axis=1) / np.maximum((face**2).sum(axis=1), 1e-6)
    profile, bowed = (_EYES_AHEAD - eyes) / (_EYES_AHEAD - _EYES_PROFILE), (nose - _NOSE_AHEAD) / _NOSE_BOWED
    return np.clip(np.maximum(profile, bowed), 0.0, 1.0).astype(np.float32)


def build_cache(folder: Path, photos: list[Photo], teacher: Teacher | None = None) -> list[str]:
    """Write `pixels.bin` and `photographs.json`; a finished cache of the same photographs, labels and teacher is kept.

    Returns a line for each photograph that is left out because it is damaged: what is wrong with it.
    A photograph is the same where its bytes are: a copy of the folder, with other times, makes nothing anew.
    teacher: finds the face of a portrait; without it, or where it finds none or several, a portrait is left out.
    Raises ConfigError or ImageError where no photograph is left, DiskError where the folder cannot be written.
    """
    index = folder / INDEX
    asked = [[f"{photo.source}/{photo.name}", photo.sha256()] for photo in photos if teacher or not photo.portrait]
    sha256 = teacher.sha256 if teacher and any(photo.portrait for photo in photos) else ""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # what is damaged is made anew
        book = json.loads(index.read_text())
        size = sum(int(np.prod(entry["shape"])) for entry in book["entries"])
        whole = (folder / PIXELS).stat().st_size == size
        left_out = set(book["left_out"])
        known = [photo for photo in photos if f"{photo.source}/{photo.name}" not in left_out]
        if whole and (book["asked"], book["teacher"]) == (asked, sha256) and _same_labels(book["entries"], known):
            return [_fault(photo) for photo in photos if f"{photo.source}/{photo.name}" in left_out]
    try:
        index.unlink(missing_ok=True)  # before its pixels change: a kill in between leaves no index of others
        (folder / ANSWERS).unlink(missing_ok=True)
    except OSError as error:
        raise DiskError(f"cannot write in {folder}: {error.strerror}; give another folder as --cache") from error
    entries, offset = [], 0
    damaged: dict[str, str] = {}
    with write_atomically(folder / PIXELS) as out:
        for photo in photos:
            if photo.portrait and not teacher:
                continue
            name = f"{photo.source}/{photo.name}"
            try:
                image, boxes, classes = photo.pixels(), photo.boxes, photo.classes
            except ImageError as error:
                damaged[name] = str(error)
                continue
            if photo.portrait and teacher:
                boxes, classes = teacher.portrait(image)[:, :4], (photo.portrait,)
                if len(boxes) != 1:
                    continue
            bare = [label == BARE for label in classes]
            entries.append(
                {"name": name, "offset": offset, "shape": image.shape, "boxes": boxes.tolist(), "bare": bare}
            )
            out.write(image.tobytes())
            offset += image.size
    if not entries and damaged:
        first = next(iter(damaged.values()))
        raise ImageError(f"no photograph is left to train on, {len(damaged)} damaged, the first: {first}")
    if not entries:
        raise ConfigError("no photograph is left to train on: the teacher finds no face in any; give other sources")
    with write_atomically(index) as out:
        book = {"asked": asked, "teacher": sha256, "entries": entries, "left_out": list(damaged)}
        out.write(json.dumps(book).encode())
    return list(damaged.values())


def _fault(photo: Photo) -> str:
    """Why its pixels cannot be had: read again, since the folder may have moved."""
    try:
        photo.pixels()
    except ImageError as error:
        return str(error)
    return f"{photo.path} was damaged"


def _same_labels(entries: list[dict[str, Any]], photos: list[Photo]) -> bool:
    """What the cache has of photographs with boxes is what their labels say now."""
    kept = {entry["name"]: (entry["boxes"], entry["bare"]) for entry in entries}
    return all(
        kept.get(f"{photo.source}/{photo.name}") == (photo.boxes.tolist(), [c == BARE for c in photo.classes])
        for photo in photos
        if not photo.portrait
    )


def ask_teacher(folder: Path, teacher: Teacher) -> None:
    """Write `teacher-answers.json`: what the teacher finds in each photograph of the cache; its own are kept."""
    cache = Cache(folder)
    if _answers(folder, teacher, len(cache)) is not None:
        return
    found = [
        [] if source in WHOLLY_KNOWN else teacher.finds(cache[number].pixels).tolist()
        for number, source in enumerate(cache.sources)
    ]
    with write_atomically(folder / ANSWERS) as out:
        out.write(json.dumps({"teacher": teacher.sha256, "columns": _COLUMNS, "found": found}).encode())


def _answers(folder: Path, teacher: Teacher, photographs: int) -> list[list[list[float]]] | None:
    """What this teacher found in each photograph; None where it was not asked, or the file is damaged."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        book = json.loads((folder / ANSWERS).read_text())
        if (book["teacher"], book["columns"], len(book["found"])) == (teacher.sha256, _COLUMNS, photographs):
            return list(book["found"])
    return None


def read_looked_at(path: Path) -> dict[str, LookedAt]:
    """By photograph ("set/name"), what a CSV with photograph, left, top, right, bottom and is ("unsure", "nothing")
    says of boxes on no label. Raises NotFoundError or ConfigError that names the line."""
    if not path.is_file():
        raise NotFoundError(f'looked_at {path} is not there; give a CSV beside the configuration, or leave it ""')
    found: dict[str, dict[str, list[list[float]]]] = {}
    with path.open(newline="", errors="replace") as file:
        for line, row in enumerate(csv.DictReader(file), start=2):
            try:
                box = [float(row[edge]) for edge in ("left", "top", "right", "bottom")]
                if not (box[0] < box[2] < np.inf and box[1] < box[3] < np.inf):
                    raise ValueError
                found.setdefault(row["photograph"], {"unsure": [], "nothing": []})[row["is"]].append(box)
            except (KeyError, TypeError, ValueError):
                raise ConfigError(
                    f"{path}, line {line}: give photograph, left, top, right, bottom, is (unsure or nothing)"
                ) from None
    return {name: LookedAt(_boxes(boxes["unsure"]), _boxes(boxes["nothing"])) for name, boxes in found.items()}


def _unlabelled(found: F32, labelled: F32) -> F32:
    """Rows of found, box first, that overlap no labelled face."""
    if len(found) == 0 or len(labelled) == 0:
        return found
    return found[iou_matrix(found[:, :4], labelled).max(axis=1) < _SAME_FACE_IOU]


class Cache:
    """Samples by number, read from the memory map."""

    def __init__(
        self,
        folder: Path,
        looked_at: dict[str, LookedAt] | None = None,
        believe_teacher: float = 2.0,
        teacher: Teacher | None = None,
    ) -> None:
        """looked_at: by photograph; nothing there is a decoy, what is unsure is not taught.

        believe_teacher: what only the teacher finds is a face from this score on; below, it is unsure. teacher: whose
        answers are used, as `ask_teacher` wrote them.
        """
        self._looked_at, self._believe = looked_at or {}, believe_teacher
        self._entries = json.loads((folder / INDEX).read_text())["entries"]
        self._pixels = np.memmap(folder / PIXELS, np.uint8, "r")
        self._taught = _answers(folder, teacher, len(self._entries)) if teacher else None
        self.sources = [entry["name"].split("/")[0] for entry in self._entries]
        self._faces = [self._known(number) for number in range(len(self._entries))]
        self.hard = [
            Hard.easy(len(faces), self._looked(entry["name"]).nothing)
            for (faces, _), entry in zip(self._faces, self._entries, strict=True)
        ]

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, number: int) -> Sample:
        entry = self._entries[number]
        size = int(np.prod(entry["shape"]))
        pixels = self._pixels[entry["offset"] : entry["offset"] + size].reshape(entry["shape"])
        faces, unsure = self._faces[number]
        bare = np.zeros(len(faces), bool)  # nobody said what a face wears that only the teacher found
        bare[: len(entry["bare"])] = entry["bare"]
        return Sample(pixels, faces, bare, unsure, self.hard[number])

    def _known(self, number: int) -> tuple[F32, F32]:
        """Faces and unsure boxes of a photograph."""
        entry = self._entries[number]
        labelled = _boxes(entry["boxes"])
        found = _unlabelled(self._found(number), labelled)
        believed = found[:, 4] >= self._believe
        unsure = np.concatenate([found[~believed, :4], self._looked(entry["name"]).unsure])
        return np.concatenate([labelled, found[believed, :4]]), unsure

    def turned_away(self, number: int) -> F32:
        """How far each bare face of a photograph is turned away or bowed, 0 to 1; 0 where the teacher does not see it.

        0 of a masked one too: there the teacher guesses where nose and mouth are.
        """
        sample, found = self[number], self._found(number)
        same = iou_matrix(sample.boxes, found[:, :4]) >= _LABELLED_IOU
        most = np.max(np.where(same, found[:, 5], 0.0), axis=1, initial=0.0)
        return np.where(sample.bare, most, 0.0).astype(np.float32)

    def _found(self, number: int) -> F32:
        return _boxes(self._taught[number] if self._taught else [], _COLUMNS)

    def _looked(self, name: str) -> LookedAt:
        return self._looked_at.get(name) or LookedAt(_boxes([]), _boxes([]))


def _boxes(rows: list[list[float]], columns: int = 4) -> F32:
    return np.asarray(rows, np.float32).reshape(-1, columns)
